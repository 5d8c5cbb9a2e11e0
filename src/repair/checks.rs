//! What the audit finds and nothing else here does: each is a finding for a person, so that a diagnosis never says that
//! nothing is wrong where the audit finds something about stock, entries, reservations, lots, shipments or days.
//!
//! Its checks run on the pages that are diagnosed anyway. What they say of something about which more is known is left
//! out: it follows from that, and is found in the next round if it does not.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::books::Books;
use super::evidence::finding;
use super::{Correction, Finding, Kind, Subject};
use crate::ids::PoolId;
use crate::ledger::audit::place::{self, Place};

/// What a check is about: the words that it begins with name one thing, of which more may be found elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Sku(i64),
    SkuDay(i64, NaiveDate),
    Lot(Uuid),
    Shipment(Uuid),
    Reservation(Uuid),
    Day(NaiveDate),
}

/// The owner and where to look for it again; `None` for words that no check says.
fn read(about: &str) -> Option<(Owner, Place)> {
    let words: Vec<&str> = about.split(' ').collect();
    let (first, id) = (words.first()?, words.get(1)?);
    Some(match *first {
        "sku" => {
            let sku: i64 = id.parse().ok()?;
            match (words.get(2).copied(), words.get(3)) {
                (Some("seq"), Some(seq)) => {
                    let seq: i64 = seq.parse().ok()?;
                    (Owner::Sku(sku), Place::Entries((sku, seq.checked_sub(1)?), (sku, seq)))
                }
                (Some("day"), Some(day)) => (Owner::SkuDay(sku, day.parse().ok()?), Place::Days),
                _ => (Owner::Sku(sku), Place::Skus(sku, sku)),
            }
        }
        "lot" => {
            let id = Uuid::parse_str(id).ok()?;
            (Owner::Lot(id), Place::Lots(id, id))
        }
        "shipment" => {
            let id = Uuid::parse_str(id).ok()?;
            (Owner::Shipment(id), Place::Shipments(id, id))
        }
        "reservation" => {
            let id = Uuid::parse_str(id).ok()?;
            (Owner::Reservation(id), Place::Reservations(id, id))
        }
        "day" => (Owner::Day(id.parse().ok()?), Place::Days),
        _ => return None,
    })
}

/// Whether `known` says more about the same thing. A day that is missing explains those after it.
fn is_explained(owner: &Owner, known: &[(Kind, Subject)]) -> bool {
    known.iter().any(|(_, subject)| match (owner, subject) {
        (Owner::Sku(sku), Subject::Sku { sku_id } | Subject::Entry { sku_id, .. }) => *sku == sku_id.0,
        (Owner::Lot(lot), Subject::Lot { lot_id } | Subject::LotDay { lot_id, .. }) => lot == lot_id,
        (Owner::Shipment(shipment), Subject::Line { shipment_id, .. }) => shipment == shipment_id,
        (Owner::Day(day), Subject::Day { date }) => day > date,
        (Owner::SkuDay(_, day), Subject::Day { date }) => day == date,
        _ => false,
    })
}

/// Adds to what is suspected there what its checks find; of many rows of one thing the first.
pub(super) async fn extend(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    place: Place,
    known: &mut Vec<(Kind, Subject)>,
) -> sqlx::Result<()> {
    let (mut told, mut more) = (BTreeSet::new(), Vec::new());
    for found in place::find(conn, pool, now, place).await? {
        let Some((owner, _)) = read(&found.subject) else { continue };
        if !is_explained(&owner, known) && told.insert((found.check.clone(), owner)) {
            more.push((Kind::AuditCheck, Subject::Check { check: found.check, about: found.subject }));
        }
    }
    known.extend(more);
    Ok(())
}

/// What a check still finds.
pub(super) async fn look(
    conn: &mut PgConnection,
    pool: PoolId,
    now: DateTime<Utc>,
    (check, about): (&str, &str),
    books: &mut Books,
) -> sqlx::Result<Option<Finding>> {
    let Some((_, place)) = read(about) else { return Ok(None) };
    let found = match place {
        Place::Days => books.checked_days(conn, pool, now).await?.clone(),
        _ => place::find(conn, pool, now, place).await?,
    };
    let Some(found) = found.into_iter().find(|one| one.check == check && one.subject == about) else {
        return Ok(None);
    };
    let subject = Subject::Check { check: found.check, about: found.subject };
    let rows = vec![serde_json::json!({"check": check, "subject": about, "detail": found.detail})];
    let detail = format!("The audit says of it: {}.", found.detail);
    Ok(Some(finding(Kind::AuditCheck, pool, subject, rows, detail, Correction::manual(advise(check)))))
}

/// What a person can do.
fn advise(check: &str) -> String {
    let how = match check {
        "snapshots_cover_every_sku" | "snapshots_match_lines" | "snapshots_follow_each_other" => {
            "Rows of closed days are missing or were edited. Restore them from a backup."
        }
        "shortages_add_up" | "shortages_in_bounds" => {
            "The shortage of the line is missing or was edited. Restore its row as the line and its depletions say."
        }
        "held_matches_lines" | "committed_matches_lines" | "only_held_reservations_hold_units" => {
            "Reservations and the balance disagree, and both have their entries in the ledger. Compare the \
             reservations of this SKU with their entries and restore the rows that were edited."
        }
        "lot_values_add_up" | "lots_open_with_what_was_received" | "lot_references_exist" => {
            "Rows of the lot are missing or were edited. Restore them from a backup."
        }
        _ => "No other record says which rows are right. Restore them from a backup, or count.",
    };
    format!("No rule decides it. {how}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SkuId;

    #[test]
    fn a_check_is_left_out_only_where_more_is_known_of_the_same_thing() {
        let sku = |text| read(text).expect("known").0;
        let known = [(Kind::BalanceDrift, Subject::Sku { sku_id: SkuId(7) })];
        assert!(is_explained(&sku("sku 7 seq 3"), &known) && !is_explained(&sku("sku 8"), &known));
        let day = NaiveDate::from_ymd_opt(2026, 1, 10).expect("a day");
        let known = [(Kind::OpenDay, Subject::Day { date: day })];
        assert!(is_explained(&sku("day 2026-01-11"), &known) && !is_explained(&sku("day 2026-01-10"), &known));
        assert!(is_explained(&sku("sku 7 day 2026-01-10"), &known), "all of that day is gone");
        assert!(read("pool 3").is_none());
    }
}
