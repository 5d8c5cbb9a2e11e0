//! A Markdown account of a plan and of what was appended because of it, for the file.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::plan::Plan;
use super::{Correction, Finding, Kind, LotUnits};

/// What was appended because of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The row in `repairs`.
    pub repair_id: Uuid,
    /// When.
    pub applied_at: DateTime<Utc>,
    /// The client that ordered it.
    pub client: String,
}

/// What was appended because of the findings of a plan, by finding and evidence.
///
/// # Errors
/// Database errors.
pub async fn find_done(conn: &mut PgConnection, plan: &Plan) -> sqlx::Result<BTreeMap<(String, String), Done>> {
    let mut pools: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for finding in &plan.findings {
        pools.entry(finding.pool_id.0).or_default().push(finding.id.clone());
    }
    let mut done = BTreeMap::new();
    for (pool, ids) in pools {
        let rows = sqlx::query!(
            r#"
            SELECT r.finding_id, encode(r.evidence_hash, 'hex') AS "hash!", r.repair_id, r.applied_at, c.name
            FROM repairs AS r
            JOIN clients AS c ON c.client_id = r.client_id
            WHERE r.pool_id = $1 AND r.finding_id = ANY($2)
            "#,
            pool,
            &ids,
        )
        .fetch_all(&mut *conn)
        .await?;
        for row in rows {
            let one = Done { repair_id: row.repair_id, applied_at: row.applied_at, client: row.name };
            done.insert((row.finding_id, row.hash), one);
        }
    }
    Ok(done)
}

/// The account. Pure.
#[must_use]
pub fn render(plan: &Plan, done: &BTreeMap<(String, String), Done>) -> String {
    let mut text = format!(
        "# Repair {}\n\nPlanned at {}{}.\n\n",
        plan.plan_id,
        plan.made_at.format("%Y-%m-%d %H:%M:%S UTC"),
        plan.pool_id.map(|pool| format!(" for pool {}", pool.0)).unwrap_or_default()
    );
    if plan.findings.is_empty() {
        text.push_str(if plan.has_lots { "Nothing is wrong.\n" } else { NO_LOTS });
        return text;
    }
    let _ = write!(text, "{}", summary(plan, done));
    if plan.truncated {
        text.push_str("\nMore was wrong than this plan holds.\n");
    }
    for finding in &plan.findings {
        let _ = write!(text, "\n{}", section(finding, done));
    }
    text
}

/// What is said where there is nothing to repair.
pub const NO_LOTS: &str =
    "Nothing to repair: there are no lots yet, so nothing was ever received, shipped or depleted.\n";

fn is_done<'a>(finding: &Finding, done: &'a BTreeMap<(String, String), Done>) -> Option<&'a Done> {
    done.get(&(finding.id.clone(), finding.evidence.hash.clone()))
}

fn summary(plan: &Plan, done: &BTreeMap<(String, String), Done>) -> String {
    let mut kinds: BTreeMap<Kind, [usize; 3]> = BTreeMap::new();
    for finding in &plan.findings {
        let counts = kinds.entry(finding.kind).or_default();
        counts[0] += 1;
        counts[1] += usize::from(is_done(finding, done).is_some());
        counts[2] += usize::from(matches!(finding.correction, Correction::Manual { .. }));
    }
    let mut text = "| what | found | repaired | for a person |\n|---|---:|---:|---:|\n".to_owned();
    for (kind, [found, repaired, manual]) in kinds {
        let _ = writeln!(text, "| {} (`{}`) | {found} | {repaired} | {manual} |", kind.title(), kind.as_str());
    }
    text
}

fn section(finding: &Finding, done: &BTreeMap<(String, String), Done>) -> String {
    let mut text = format!("## {}: {}\n\n", finding.kind.as_str(), finding.subject);
    let _ = writeln!(text, "{} in pool {}. {}\n", finding.kind.title(), finding.pool_id.0, finding.detail);
    let _ = writeln!(text, "- finding `{}`", finding.id);
    let _ = writeln!(text, "- evidence: {} rows, SHA-256 `{}`", finding.evidence.rows.len(), finding.evidence.hash);
    let _ = writeln!(text, "- correction: {}", say(&finding.correction));
    match is_done(finding, done) {
        Some(done) => {
            let at = done.applied_at.format("%Y-%m-%d %H:%M:%S UTC");
            let _ = writeln!(text, "- appended at {at} by {}, repair `{}`", done.client, done.repair_id);
        }
        None => text.push_str("- not appended\n"),
    }
    text
}

/// A correction in words.
#[must_use]
pub fn say(correction: &Correction) -> String {
    match correction {
        Correction::CorrectBalance { on_hand_delta: 0, quarantined_delta: 0, held_delta: 0, committed_delta: 0 } => {
            "a ledger entry `correct` that moves nothing; the row becomes what the ledger says".to_owned()
        }
        Correction::CorrectBalance { on_hand_delta, quarantined_delta, held_delta, committed_delta } => format!(
            "a ledger entry `correct` of on_hand {on_hand_delta:+}, quarantined {quarantined_delta:+}, \
             held {held_delta:+}, committed {committed_delta:+}"
        ),
        Correction::CorrectLot { quantity: 0, day: Some(day), .. } => {
            format!("a lot transaction `correction` that moves nothing and names day {day}")
        }
        Correction::CorrectLot { quantity: 0, day: None, .. } => {
            "a lot transaction `correction` that moves nothing; the row becomes what the transactions say".to_owned()
        }
        Correction::CorrectLot { quantity, day, .. } => format!(
            "a lot transaction `correction` of {quantity:+}{}",
            day.as_ref().map(|day| format!(" for day {day}")).unwrap_or_default()
        ),
        Correction::CorrectLine { units, depleted_quantity, snapshot_date } if units.is_empty() => format!(
            "no row is appended; the line's own becomes what its depletions say: it took {depleted_quantity}{}",
            on(*snapshot_date)
        ),
        Correction::CorrectLine { units, depleted_quantity, snapshot_date } => format!(
            "depletions `correction`: {}; the line then took {depleted_quantity}{}",
            list(units),
            on(*snapshot_date)
        ),
        Correction::SettleShortage { units } => format!("depletions `settlement`: {}", list(units)),
        Correction::ExpireHold => "the hold is closed as expired".to_owned(),
        Correction::CloseDay => "the day is closed".to_owned(),
        Correction::Manual { reason } => format!("for a person. {reason}"),
    }
}

fn on(date: Option<NaiveDate>) -> String {
    date.map(|date| format!(" on {date}")).unwrap_or_default()
}

fn list(units: &[LotUnits]) -> String {
    let one = |one: &LotUnits| {
        format!("{:+} of lot {} at {} (the lot {:+})", one.quantity, one.lot_id, one.unit_cost, one.lot_quantity)
    };
    if units.is_empty() { "none".to_owned() } else { units.iter().map(one).collect::<Vec<_>>().join(", ") }
}
