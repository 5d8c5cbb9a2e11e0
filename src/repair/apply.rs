//! Applying: finding by finding, each in a transaction of its own. Lock, look again, and append only if what is seen is
//! what the plan was made from.
//!
//! A finding that a file or a request carries is never believed: what is written follows from what is seen under the
//! locks, and both the evidence and the correction must be the same. A dry run does all of it and then rolls back.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use scoped_futures::ScopedFutureExt;
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::books::Books;
use super::{CLIENT, Correction, Finding, Kind, LotUnits, Subject, days, diagnose, lines, shortages};
use crate::app::App;
use crate::catalog::zones;
use crate::db::tx::{self, Contended};
use crate::ids::{ClientId, PoolId, ReservationId, SkuId};
use crate::keys::store::ensure_client;
use crate::ledger::balance::Delta;
use crate::ledger::command::{Command, Expire};
use crate::ledger::correct::{self, Author, LotMove, Taken};
use crate::ledger::submission::Submission;
use crate::ledger::world::HOUSE;
use crate::lots::expiry;

/// What became of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The correction was appended.
    Applied,
    /// It would be; this was a dry run.
    WouldApply,
    /// It had been before, on this evidence.
    AlreadyApplied,
    /// Nothing is wrong any more.
    Gone,
    /// The evidence is another now; diagnose again.
    Stale,
    /// For a person.
    Manual,
    /// The database or another part of the service refused it; nothing was done.
    Refused,
}

/// A finding, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Applied {
    /// The finding.
    pub finding: String,
    /// What is wrong.
    pub kind: Kind,
    /// Which rows.
    pub subject: Subject,
    /// What became of it.
    pub outcome: Outcome,
    /// For people.
    pub detail: String,
}

/// SKUs of which lots were corrected. What of them is off sale is kept so once the last of their findings is done: a
/// pass between two would change the evidence of the second.
#[derive(Debug, Default)]
pub struct Moved(BTreeSet<(PoolId, SkuId)>);

impl Moved {
    /// What could not be kept off sale is by the next close of a day.
    pub async fn keep_off_sale(self, app: &App) {
        for (pool, sku) in self.0 {
            if let Err(error) = expiry::expire(app, pool, &[sku]).await {
                tracing::warn!(%error, pool = pool.0, sku = sku.0, "lots were not kept off sale after a repair");
            }
        }
    }
}

/// Applies one finding, or does all but commit.
///
/// # Errors
/// Contention that did not clear, and a database that cannot be reached: what is wrong with the finding is an outcome.
pub async fn apply(
    app: &App,
    finding: &Finding,
    dry_run: bool,
    by: Option<ClientId>,
    moved: &mut Moved,
) -> sqlx::Result<Applied> {
    let tried = match &finding.correction {
        Correction::Manual { reason } => Ok((Outcome::Manual, reason.clone())),
        Correction::ExpireHold | Correction::CloseDay => by_service(app, finding, dry_run, by).await,
        _ => in_ledger(app, finding, dry_run, by, moved).await,
    };
    let (outcome, detail) = match tried {
        Ok(done) => done,
        Err(error) if is_refusal(&error) => (Outcome::Refused, format!("The database refused it: {error}.")),
        Err(error) => return Err(error),
    };
    Ok(Applied { finding: finding.id.clone(), kind: finding.kind, subject: finding.subject.clone(), outcome, detail })
}

/// A guard that stands in the way of this one finding, and of no other.
fn is_refusal(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("23") || code.starts_with("22")) && !error.is_contention()
}

/// Somebody else has noted the same finding on the same evidence.
fn is_repeat(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Rolls a dry run back through the one helper that runs transactions.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("a dry run")]
    DryRun,
}

impl Contended for Stop {
    fn is_contention(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_contention())
    }
}

async fn in_ledger(
    app: &App,
    finding: &Finding,
    dry_run: bool,
    by: Option<ClientId>,
    moved: &mut Moved,
) -> sqlx::Result<(Outcome, String)> {
    let done = tx::write(&app.db, "repair", |conn| {
        async move {
            let (sku, newest_day) = lock(conn, finding).await?;
            let now = app.clock.read(conn).await?;
            let seen = look(conn, finding, now).await?;
            if let Some((outcome, detail)) = compare(conn, finding, seen.as_ref()).await? {
                return Ok((outcome, detail, None));
            }
            let client = ensure_client(conn, CLIENT, now).await?;
            let business_date = book_on(conn, finding.pool_id, now, newest_day).await?;
            let reason = format!("repair {}: {}", finding.id, finding.kind.as_str());
            let author = Author { client, reason, now, business_date };
            append(conn, finding, &author).await?;
            note(conn, finding, by.unwrap_or(client), now).await?;
            if dry_run { Err(Stop::DryRun) } else { Ok((Outcome::Applied, String::new(), sku)) }
        }
        .scope_boxed()
    })
    .await;
    match done {
        Ok((outcome, detail, sku)) => {
            if let Some(sku) = sku {
                app.projection.reread(finding.pool_id, sku);
                if changes_lots(&finding.correction) {
                    moved.0.insert((finding.pool_id, sku));
                }
            }
            Ok((outcome, detail))
        }
        Err(Stop::DryRun) => Ok((Outcome::WouldApply, String::new())),
        Err(Stop::Database(error)) => Err(error),
    }
}

/// Whether more of lots that are off sale may be there than before, or shipped units may be taken from other lots.
fn changes_lots(correction: &Correction) -> bool {
    matches!(
        correction,
        Correction::CorrectLot { .. } | Correction::CorrectLine { .. } | Correction::SettleShortage { .. }
    )
}

async fn look(conn: &mut PgConnection, finding: &Finding, now: DateTime<Utc>) -> sqlx::Result<Option<Finding>> {
    diagnose::look(conn, finding.pool_id, now, (finding.kind, &finding.subject), &mut Books::default()).await
}

/// Locks what a correction follows from, in the order of every writer: the newest day, stock, lines, lots. Gives the
/// SKU that it is about, and the newest day that was closed or begun where something may be booked.
async fn lock(conn: &mut PgConnection, finding: &Finding) -> sqlx::Result<(Option<SkuId>, Option<NaiveDate>)> {
    let pool = finding.pool_id;
    let newest_day = match &finding.subject {
        Subject::Lot { .. } | Subject::LotDay { .. } | Subject::Line { .. } => {
            correct::hold_newest_day(conn, pool).await?
        }
        _ => None,
    };
    let sku = find_sku(conn, finding).await?;
    if let Some(sku) = sku {
        correct::lock_stock(conn, pool, sku).await?;
    }
    match &finding.subject {
        Subject::Lot { lot_id } | Subject::LotDay { lot_id, .. } => correct::lock_lots(conn, pool, &[*lot_id]).await?,
        Subject::Line { shipment_id, line_ref } => {
            correct::lock_line(conn, pool, *shipment_id, line_ref).await?;
            let lots = match &finding.correction {
                Correction::CorrectLine { .. } => lines::find_lots(conn, pool, *shipment_id, line_ref).await?,
                _ => shortages::find_lots(conn, pool, *shipment_id, line_ref).await?,
            };
            correct::lock_lots(conn, pool, &lots).await?;
        }
        _ => {}
    }
    Ok((sku, newest_day))
}

/// Lots and lines never change their SKU.
async fn find_sku(conn: &mut PgConnection, finding: &Finding) -> sqlx::Result<Option<SkuId>> {
    let pool = finding.pool_id.0;
    let sku = match &finding.subject {
        Subject::Sku { sku_id } | Subject::Entry { sku_id, .. } => return Ok(Some(*sku_id)),
        Subject::Lot { lot_id } | Subject::LotDay { lot_id, .. } => {
            sqlx::query_scalar!("SELECT sku_id FROM lots WHERE pool_id = $1 AND lot_id = $2", pool, lot_id)
                .fetch_optional(conn)
                .await?
        }
        Subject::Line { shipment_id, line_ref } => {
            sqlx::query_scalar!(
                "SELECT sku_id FROM shipment_lines WHERE pool_id = $1 AND shipment_id = $2 AND line_ref = $3",
                pool,
                shipment_id,
                line_ref,
            )
            .fetch_optional(conn)
            .await?
        }
        Subject::Reservation { .. } | Subject::Day { .. } | Subject::Check { .. } => None,
    };
    Ok(sku.map(SkuId))
}

/// Why nothing is to be done, if so.
async fn compare(
    conn: &mut PgConnection,
    finding: &Finding,
    seen: Option<&Finding>,
) -> sqlx::Result<Option<(Outcome, String)>> {
    if seen.is_some_and(|seen| {
        seen.id == finding.id && seen.evidence.hash == finding.evidence.hash && seen.correction == finding.correction
    }) {
        return Ok(None);
    }
    let before = sqlx::query_scalar!(
        r#"
        SELECT applied_at
        FROM repairs
        WHERE pool_id = $1 AND finding_id = $2 AND evidence_hash = decode($3, 'hex')
        "#,
        finding.pool_id.0,
        finding.id,
        hex::encode(hash_of(finding)),
    )
    .fetch_optional(conn)
    .await?;
    Ok(Some(match (before, seen) {
        (Some(at), _) => (Outcome::AlreadyApplied, format!("At {}.", at.format("%Y-%m-%dT%H:%M:%SZ"))),
        (None, None) => (Outcome::Gone, "Nothing is wrong with it any more.".to_owned()),
        (None, Some(_)) => (Outcome::Stale, "Its rows are others now; diagnose again.".to_owned()),
    }))
}

/// The hash as bytes; of a plan that somebody wrote by hand, nothing.
fn hash_of(finding: &Finding) -> Vec<u8> {
    hex::decode(&finding.evidence.hash).unwrap_or_default()
}

/// The day that movements are booked on, as for whatever else happens now: today, unless that day is closed or being
/// closed already.
async fn book_on(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    newest_day: Option<NaiveDate>,
) -> sqlx::Result<NaiveDate> {
    let (zones, _) = zones::find(conn, pool).await?.ok_or(sqlx::Error::RowNotFound)?;
    let today = zones.date_at(now);
    Ok(newest_day.and_then(|date| date.succ_opt()).map_or(today, |first_open| today.max(first_open)))
}

async fn append(conn: &mut PgConnection, finding: &Finding, by: &Author) -> sqlx::Result<()> {
    let pool = finding.pool_id;
    match (&finding.correction, &finding.subject) {
        (
            Correction::CorrectBalance { on_hand_delta, quarantined_delta, held_delta, committed_delta },
            Subject::Sku { sku_id } | Subject::Entry { sku_id, .. },
        ) => {
            let delta = Delta {
                on_hand: *on_hand_delta,
                quarantined: *quarantined_delta,
                held: *held_delta,
                committed: *committed_delta,
            };
            let Some(seen) = super::balances::see(conn, pool, *sku_id).await? else {
                return Err(sqlx::Error::RowNotFound);
            };
            correct::balance(conn, pool, *sku_id, delta, seen.newest.after(delta), by).await
        }
        (Correction::CorrectLot { quantity, day, value }, Subject::Lot { lot_id } | Subject::LotDay { lot_id, .. }) => {
            let step = LotMove {
                lot: *lot_id,
                row_source: "correction",
                source_ref: day.clone(),
                shipment: None,
                quantity: *quantity,
                value: *value,
            };
            correct::lot(conn, pool, &step, by).await
        }
        (
            Correction::CorrectLine { units, depleted_quantity, snapshot_date },
            Subject::Line { shipment_id, line_ref },
        ) => {
            move_lots(conn, pool, "correction", (*shipment_id, line_ref), units, by).await?;
            let taken = taken(units);
            let line = (*shipment_id, line_ref.as_str());
            let after = (*depleted_quantity, *snapshot_date);
            correct::line(conn, pool, line, "correction", &taken, after, by).await
        }
        (Correction::SettleShortage { units }, Subject::Line { shipment_id, line_ref }) => {
            move_lots(conn, pool, "shortage_settlement", (*shipment_id, line_ref), units, by).await?;
            let quantity: i64 = units.iter().map(|one| one.quantity).sum();
            let line = (*shipment_id, line_ref.as_str());
            let depleted = find_depleted(conn, pool, line).await? + quantity;
            correct::line(conn, pool, line, "settlement", &taken(units), (depleted, None), by).await?;
            correct::shortage(conn, pool, line, quantity, by).await
        }
        _ => Err(sqlx::Error::Protocol(format!("a correction that does not fit: {}", finding.id))),
    }
}

fn taken(units: &[LotUnits]) -> Vec<Taken> {
    let one = |one: &LotUnits| Taken { lot: one.lot_id, quantity: one.quantity, unit_cost: Some(one.unit_cost) };
    units.iter().map(one).collect()
}

async fn move_lots(
    conn: &mut PgConnection,
    pool: PoolId,
    row_source: &'static str,
    (shipment, line_ref): (Uuid, &str),
    units: &[LotUnits],
    by: &Author,
) -> sqlx::Result<()> {
    for one in units.iter().filter(|one| one.lot_quantity != 0) {
        let step = LotMove {
            lot: one.lot_id,
            row_source,
            source_ref: Some(format!("{shipment}/{line_ref}")),
            shipment: Some(shipment),
            quantity: one.lot_quantity,
            value: Some(one.value.unwrap_or(one.unit_cost * Decimal::from(one.lot_quantity))),
        };
        correct::lot(conn, pool, &step, by).await?;
    }
    Ok(())
}

async fn find_depleted(conn: &mut PgConnection, pool: PoolId, (shipment, line_ref): (Uuid, &str)) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "SELECT depleted_quantity FROM shipment_lines WHERE pool_id = $1 AND shipment_id = $2 AND line_ref = $3",
        pool.0,
        shipment,
        line_ref,
    )
    .fetch_one(conn)
    .await
}

/// Writes down what was repaired; a second time on the same evidence is a unique violation.
async fn note(conn: &mut PgConnection, finding: &Finding, by: ClientId, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        INSERT INTO repairs (
            pool_id, repair_id, finding_id, evidence_hash, kind, subject, correction, client_id, applied_at
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        "#,
        finding.pool_id.0,
        crate::ids::new_uuid(),
        finding.id,
        hash_of(finding),
        finding.kind.as_str(),
        finding.subject.to_string(),
        serde_json::to_value(&finding.correction).map_err(|error| sqlx::Error::Encode(error.into()))?,
        by.0,
        now,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What the service does itself, under locks of its own: a hold is closed by its lane, a day by its close. Both are
/// harmless to repeat. Their rows in `repairs` are written afterwards: where the process dies in between, what was done
/// is in the ledger or in `snapshots` under the service's own name, and the finding is [`Outcome::Gone`].
async fn by_service(
    app: &App,
    finding: &Finding,
    dry_run: bool,
    by: Option<ClientId>,
) -> sqlx::Result<(Outcome, String)> {
    let stale = {
        let mut conn = app.db.acquire().await?;
        let now = app.clock.read(&mut conn).await?;
        let seen = look(&mut conn, finding, now).await?;
        compare(&mut conn, finding, seen.as_ref()).await?
    };
    if let Some(other) = stale {
        return Ok(other);
    }
    if dry_run {
        return Ok((Outcome::WouldApply, String::new()));
    }
    let refused = match &finding.subject {
        Subject::Reservation { reservation_id } => expire(app, finding.pool_id, *reservation_id).await,
        Subject::Day { date } => days::close(app, finding.pool_id, *date).await,
        _ => Some("It does not fit.".to_owned()),
    };
    if let Some(reason) = refused {
        return Ok((Outcome::Refused, reason));
    }
    let noted = tx::write(&app.db, "repair", |conn| {
        async move {
            let now = app.clock.read(conn).await?;
            let client = ensure_client(conn, CLIENT, now).await?;
            note(conn, finding, by.unwrap_or(client), now).await
        }
        .scope_boxed()
    })
    .await;
    match noted {
        Ok(()) => Ok((Outcome::Applied, String::new())),
        Err(error) if is_repeat(&error) => Ok((Outcome::AlreadyApplied, "By another call just now.".to_owned())),
        Err(error) => Err(error),
    }
}

/// Why the hold was not closed, if so.
async fn expire(app: &App, pool: PoolId, uuid: Uuid) -> Option<String> {
    let id = ReservationId { pool, uuid };
    let submission = Submission {
        client: HOUSE,
        key: None,
        pool,
        request_id: "repair".into(),
        instance: "".into(),
        command: Command::Expire(Expire { id }),
    };
    app.lanes.submit(submission, id.lane_hint()).await.err().map(|error| format!("It was not closed: {error}."))
}
