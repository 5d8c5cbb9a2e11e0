//! Plans: findings that were kept, as a file or as a row for REST, and what they look like now.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::books::Books;
use super::diagnose::{self, Cursor, Limits};
use super::{Finding, Kind, Subject};
use crate::clock::Clock;
use crate::http::pagination;
use crate::ids::{ClientId, PoolId};

/// Findings of one plan. Damage beyond that is repaired in rounds.
pub const MOST_FINDINGS: usize = 1000;

/// Findings with what would be appended because of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Names it.
    pub plan_id: Uuid,
    /// When it was begun.
    pub made_at: DateTime<Utc>,
    /// Only of this pool; of all without.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub pool_id: Option<PoolId>,
    /// Whether anything was ever received: without lots there is nothing to repair.
    pub has_lots: bool,
    /// Whether more is wrong than it holds: apply it, then plan again.
    pub truncated: bool,
    /// What is wrong, causes first.
    pub findings: Vec<Finding>,
}

impl Plan {
    /// An empty plan.
    ///
    /// # Errors
    /// Database errors.
    pub async fn begin(conn: &mut PgConnection, clock: &Clock, pool: Option<PoolId>) -> sqlx::Result<Self> {
        let made_at = clock.read(conn).await?;
        let has_lots = diagnose::has_lots(conn, pool).await?;
        let plan_id = crate::ids::new_uuid();
        Ok(Self { plan_id, made_at, pool_id: pool, has_lots, truncated: false, findings: Vec::new() })
    }

    /// Diagnoses on from `cursor`; what to go on from, `None` when it is complete.
    ///
    /// # Errors
    /// Database errors.
    pub async fn step(
        &mut self,
        conn: &mut PgConnection,
        clock: &Clock,
        cursor: Option<Cursor>,
        limits: Limits,
    ) -> sqlx::Result<Option<Cursor>> {
        let room = MOST_FINDINGS.saturating_sub(self.findings.len()).max(1);
        let limits = Limits { findings: limits.findings.min(room), ..limits };
        let step = diagnose::step(conn, clock, self.pool_id, cursor, limits).await?;
        // A page that was begun again, because something of it was repaired meanwhile.
        let known: BTreeSet<&str> = self.findings.iter().map(|one| one.id.as_str()).collect();
        let new: Vec<Finding> = step.findings.into_iter().filter(|one| !known.contains(one.id.as_str())).collect();
        self.findings.extend(new);
        if self.findings.len() >= MOST_FINDINGS && step.next.is_some() {
            self.truncated = true;
            return Ok(None);
        }
        Ok(step.next)
    }
}

/// How a finding stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing is wrong with it.
    Repaired,
    /// It is as it was when the plan was made.
    Unchanged,
    /// Something is wrong with it, on other evidence.
    Changed,
}

/// A finding, and how it stands now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Verified {
    /// The finding.
    pub finding: String,
    /// What was wrong.
    pub kind: Kind,
    /// Which rows.
    pub subject: Subject,
    /// How it stands.
    pub standing: Standing,
    /// What is wrong now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Looks at a finding again, locking nothing.
///
/// # Errors
/// Database errors.
pub async fn verify(conn: &mut PgConnection, clock: &Clock, finding: &Finding) -> sqlx::Result<Verified> {
    let now = clock.read(conn).await?;
    let about = (finding.kind, &finding.subject);
    let seen = diagnose::look(conn, finding.pool_id, now, about, &mut Books::default()).await?;
    let standing = match &seen {
        None => Standing::Repaired,
        Some(seen) if seen.evidence.hash == finding.evidence.hash => Standing::Unchanged,
        Some(_) => Standing::Changed,
    };
    Ok(Verified {
        finding: finding.id.clone(),
        kind: finding.kind,
        subject: finding.subject.clone(),
        standing,
        detail: seen.map(|seen| seen.detail),
    })
}

/// A plan that is kept, and where it goes on.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The plan.
    pub plan: Plan,
    /// Where its diagnosis goes on; `None` at its beginning and when it is complete.
    pub cursor: Option<Cursor>,
    /// Whether everything was looked at, or as much as a plan holds.
    pub complete: bool,
}

impl Kept {
    /// Diagnoses on.
    ///
    /// # Errors
    /// Database errors.
    pub async fn step(mut self, conn: &mut PgConnection, clock: &Clock, limits: Limits) -> sqlx::Result<Self> {
        let cursor = self.plan.step(conn, clock, self.cursor, limits).await?;
        Ok(Self { complete: cursor.is_none(), plan: self.plan, cursor })
    }
}

fn broken(error: serde_json::Error) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

/// The plan with this id.
///
/// # Errors
/// Database errors.
pub async fn find(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Kept>> {
    let row = sqlx::query!("SELECT plan, cursor, complete FROM repair_plans WHERE plan_id = $1", id)
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let plan = serde_json::from_value(row.plan).map_err(broken)?;
    Ok(Some(Kept { plan, cursor: row.cursor.as_deref().and_then(pagination::decode), complete: row.complete }))
}

/// Keeps a plan that has just been begun.
///
/// # Errors
/// Database errors.
pub async fn insert(conn: &mut PgConnection, kept: &Kept, client: ClientId) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO repair_plans (plan_id, client_id, created_at, updated_at, cursor, complete, plan)
        VALUES ($1, $2, $3, $3, $4, $5, $6)
        "#,
        kept.plan.plan_id,
        client.0,
        kept.plan.made_at,
        kept.cursor.as_ref().map(pagination::encode),
        kept.complete,
        serde_json::to_value(&kept.plan).map_err(broken)?,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps what a step added, unless another request has stepped on meanwhile.
///
/// # Errors
/// Database errors.
pub async fn update(
    conn: &mut PgConnection,
    kept: &Kept,
    before: Option<&Cursor>,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"
        UPDATE repair_plans
        SET plan = $2, cursor = $3, complete = $4, updated_at = $5
        WHERE plan_id = $1 AND cursor IS NOT DISTINCT FROM $6 AND NOT complete
        "#,
        kept.plan.plan_id,
        serde_json::to_value(&kept.plan).map_err(broken)?,
        kept.cursor.as_ref().map(pagination::encode),
        kept.complete,
        now,
        before.map(pagination::encode),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes plans that nobody has stepped on since `oldest`, a few at a time; gives how many. Each can be large.
///
/// # Errors
/// Database errors.
pub async fn delete_old(conn: &mut PgConnection, oldest: DateTime<Utc>) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        r#"
        DELETE FROM repair_plans
        WHERE plan_id = ANY(ARRAY(SELECT plan_id FROM repair_plans WHERE updated_at < $1 LIMIT 100))
            AND updated_at < $1
        "#,
        oldest,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
