//! `holdfast repair`: diagnose, plan, apply, verify, report. See `docs/repair.md`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Subcommand;
use sqlx::{PgConnection, PgPool};

use super::Database;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::pagination;
use crate::ids::PoolId;
use crate::repair::apply::{self, Outcome};
use crate::repair::diagnose::{self, Cursor, Limits};
use crate::repair::plan::{self, Plan, Standing};
use crate::repair::report;
use crate::{app, db};

#[derive(Debug, Subcommand)]
pub(super) enum RepairCommand {
    /// Look for damage; locks nothing and changes nothing. Exit code 1 when something is wrong.
    Diagnose {
        /// Only this pool.
        #[arg(long)]
        pool: Option<String>,
        /// Go on where an earlier run ended.
        #[arg(long)]
        cursor: Option<String>,
        /// Stop after this many findings and print where to go on.
        #[arg(long)]
        most: Option<usize>,
        /// Machine-readable: one finding a line, then where to go on.
        #[arg(long)]
        json: bool,
    },
    /// Diagnose and write down what would be appended, as JSON. Exit code 1 when something is wrong.
    Plan {
        /// Only this pool.
        #[arg(long)]
        pool: Option<String>,
        /// The file; standard output without.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Append the corrections of a plan whose evidence still holds. Exit code 1 when something is left.
    Apply {
        /// The file that `plan` wrote.
        #[arg(long)]
        plan: PathBuf,
        /// Only this finding; repeat it for several.
        #[arg(long = "finding")]
        findings: Vec<String>,
        /// Do it. Without, everything is done but committed.
        #[arg(long)]
        apply: bool,
    },
    /// Look again at what a plan names. Exit code 1 when something is still wrong.
    Verify {
        /// The file that `plan` wrote.
        #[arg(long)]
        plan: PathBuf,
    },
    /// An account in Markdown, for the file.
    Report {
        /// The file that `plan` wrote.
        #[arg(long)]
        plan: PathBuf,
        /// The file to write; standard output without.
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

/// How long lanes may take to finish.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether nothing is wrong, or left to do.
pub(super) async fn run(config: &Config, command: RepairCommand) -> anyhow::Result<bool> {
    let database = Database::open(config).await?;
    let done = carry_out(config, &database, command).await;
    database.close().await?;
    done
}

async fn carry_out(config: &Config, database: &Database, command: RepairCommand) -> anyhow::Result<bool> {
    if let RepairCommand::Apply { plan, findings, apply } = command {
        return apply_plan(config, database, &read(&plan)?, &findings, !apply).await;
    }
    // As the service's own role: what repair may write is what the service may write.
    let db = db::pool(database.options.clone(), 2);
    let done = read_only(&db, command).await;
    db.close().await;
    done
}

async fn read_only(db: &PgPool, command: RepairCommand) -> anyhow::Result<bool> {
    let (mut conn, clock) = (db.acquire().await?, Clock::new());
    match command {
        RepairCommand::Diagnose { pool, cursor, most, json } => {
            let pool = find_pool(&mut conn, pool).await?;
            let cursor =
                cursor.map(|text| pagination::decode(&text).context("the cursor does not read")).transpose()?;
            diagnose_all(&mut conn, &clock, pool, cursor, most, json).await
        }
        RepairCommand::Plan { pool, out } => {
            let pool = find_pool(&mut conn, pool).await?;
            let mut plan = Plan::begin(&mut conn, &clock, pool).await?;
            let mut cursor = plan.step(&mut conn, &clock, None, Limits::default()).await?;
            while cursor.is_some() {
                cursor = plan.step(&mut conn, &clock, cursor, Limits::default()).await?;
            }
            if plan.findings.is_empty() {
                eprint!("{}", if plan.has_lots { "Nothing is wrong.\n" } else { report::NO_LOTS });
            }
            write(out.as_deref(), &serde_json::to_string_pretty(&plan)?)?;
            Ok(plan.findings.is_empty())
        }
        RepairCommand::Verify { plan } => {
            let mut clean = true;
            for finding in &read(&plan)?.findings {
                let verified = plan::verify(&mut conn, &clock, finding).await?;
                let standing = match verified.standing {
                    Standing::Repaired => "repaired",
                    Standing::Unchanged => "unchanged",
                    Standing::Changed => "changed",
                };
                clean &= verified.standing == Standing::Repaired;
                let detail = verified.detail.unwrap_or_default();
                println!("{standing}: {} {} {}: {detail}", finding.id, finding.kind.as_str(), finding.subject);
            }
            Ok(clean)
        }
        RepairCommand::Report { plan, out } => {
            let plan = read(&plan)?;
            let done = report::find_done(&mut conn, &plan).await?;
            write(out.as_deref(), &report::render(&plan, &done))?;
            Ok(true)
        }
        RepairCommand::Apply { .. } => Ok(true),
    }
}

async fn diagnose_all(
    conn: &mut PgConnection,
    clock: &Clock,
    pool: Option<PoolId>,
    mut cursor: Option<Cursor>,
    most: Option<usize>,
    json: bool,
) -> anyhow::Result<bool> {
    let mut found = 0;
    loop {
        let findings = most.map_or(Limits::default().findings, |most| most.saturating_sub(found).max(1));
        let step = diagnose::step(conn, clock, pool, cursor, Limits { findings, ..Limits::default() }).await?;
        for finding in &step.findings {
            if json {
                println!("{}", serde_json::to_string(finding)?);
            } else {
                println!("{} {}: pool {}, {}", finding.id, finding.kind.as_str(), finding.pool_id.0, finding.subject);
                println!("    {}\n    {}", finding.detail, report::say(&finding.correction));
            }
        }
        found += step.findings.len();
        cursor = step.next;
        let Some(next) = &cursor else { break };
        if most.is_some_and(|most| found >= most) {
            let next = pagination::encode(next);
            if json {
                println!("{}", serde_json::json!({ "next_cursor": next }));
            } else {
                println!("to go on: --cursor {next}");
            }
            return Ok(found == 0);
        }
    }
    if found == 0 && !diagnose::has_lots(conn, pool).await? {
        eprint!("{}", report::NO_LOTS);
    }
    if !json {
        println!("{found} found");
    }
    Ok(found == 0)
}

async fn apply_plan(
    config: &Config,
    database: &Database,
    plan: &Plan,
    only: &[String],
    dry_run: bool,
) -> anyhow::Result<bool> {
    for id in only {
        anyhow::ensure!(plan.findings.iter().any(|one| one.id == *id), "there is no finding {id:?} in the plan");
    }
    let mut settings = config.settings();
    // What repair is asked to do and nothing else: no job, no sweep.
    (settings.intervals.jobs, settings.intervals.sweep) = (None, None);
    let running = app::start(database.options.clone(), Clock::new(), settings).await?;
    let (mut clean, mut moved) = (true, apply::Moved::default());
    for finding in plan.findings.iter().filter(|one| only.is_empty() || only.contains(&one.id)) {
        let applied = apply::apply(&running.app, finding, dry_run, None, &mut moved).await?;
        let outcome = serde_json::to_value(applied.outcome)?;
        let outcome = outcome.as_str().unwrap_or_default().replace('_', " ");
        println!("{outcome}: {} {} {}", finding.id, finding.kind.as_str(), finding.subject);
        println!("    {}", if applied.detail.is_empty() { report::say(&finding.correction) } else { applied.detail });
        clean &=
            matches!(applied.outcome, Outcome::Applied | Outcome::WouldApply | Outcome::AlreadyApplied | Outcome::Gone);
    }
    moved.keep_off_sale(&running.app).await;
    if dry_run {
        println!("a dry run: nothing was changed; --apply does it");
    }
    running.stop(PATIENCE).await;
    Ok(clean)
}

async fn find_pool(conn: &mut PgConnection, code: Option<String>) -> anyhow::Result<Option<PoolId>> {
    let Some(code) = code else { return Ok(None) };
    let id = sqlx::query_scalar!("SELECT pool_id FROM pools WHERE code = $1", code).fetch_optional(conn).await?;
    Ok(Some(PoolId(id.with_context(|| format!("there is no pool {code:?}"))?)))
}

fn read(file: &Path) -> anyhow::Result<Plan> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not a plan", file.display()))
}

fn write(file: Option<&Path>, text: &str) -> anyhow::Result<()> {
    let Some(file) = file else {
        println!("{text}");
        return Ok(());
    };
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
