//! The audit finds every kind of damage by the name of its check, and nothing else.
//!
//! A pool is planted with a small world in which every kind of row occurs. With all guards standing it is accepted by
//! the schema and clean. Then the guards go down and each kind of damage gets a pool of its own, so that one run tells
//! for each of them what it is found by.

use std::collections::{BTreeMap, BTreeSet};

use holdfast::ids::PoolId;
use holdfast::ledger::audit::guards::find_guards;
use holdfast::ledger::audit::{CHECKS, Options, Report, expected_guards, run};
use sqlx::PgPool;

use crate::support::load::Load;
use crate::support::{TestApp, db};

/// SKU 11: carts of every kind on a full shelf. 12: given back, expired, then claimed beyond the shelf. 13: untracked.
/// 14: never received. 15: written off and counted anew. `:pool` is the pool.
///
/// Then SKU 21: shipped, one line voided, one that no day has closed yet, one unit back. 22: shipped beyond the shelf,
/// settled by what came next, and beyond it again.
const WORLD: &str = concat!(include_str!("audit/world.sql"), include_str!("audit/world_shipments.sql"));

/// What is planted, and the checks that must find it: those and no other.
const DAMAGE: &str = concat!(include_str!("audit/damage.sql"), include_str!("audit/damage_shipments.sql"));

async fn plant(owner: &PgPool, pool: i64, sql: &str) {
    let sql = sql.replace(":pool", &pool.to_string());
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(owner).await.expect("plant");
}

async fn audit(owner: &PgPool, page: i64) -> Report {
    let mut conn = owner.acquire().await.expect("connect");
    run(&mut conn, &Options { page, ..Options::default() }).await.expect("audit")
}

/// Opens pool `pool` next to the default one.
async fn open_pool(owner: &PgPool, pool: i64) {
    let sql = "INSERT INTO pools SELECT :pool, 'pool-:pool', name, time_zone, revision, created_at, updated_at \
               FROM pools WHERE pool_id = 1";
    plant(owner, pool, sql).await;
}

async fn catalogue(owner: &PgPool) {
    let sql = "INSERT INTO skus SELECT id, 'sku-' || id, '', 1, id <> 13, now(), 'active', 1, now(), now() \
               FROM generate_series(11, 22) AS id";
    plant(owner, 1, sql).await;
}

#[tokio::test]
async fn a_sound_world_is_clean_however_small_the_pages() {
    let db = db::fresh().await;
    let owner = db.owner();
    catalogue(&owner).await;
    plant(&owner, 1, WORLD).await;
    for page in [1, 2, 3, 5000] {
        let report = audit(&owner, page).await;
        assert!(report.is_clean(), "page {page}\n{report}");
        for check in &report.checks {
            assert!(check.rows > 0, "{} saw no row of this world", check.name);
        }
    }
}

#[tokio::test]
async fn every_damage_is_found_by_its_check_and_by_no_other() {
    let db = db::fresh().await;
    let owner = db.owner();
    catalogue(&owner).await;
    lower_guards(&owner).await;
    let damages = damages();
    for (pool, (_, sql)) in (100..).zip(&damages) {
        open_pool(&owner, pool).await;
        plant(&owner, pool, WORLD).await;
        plant(&owner, pool, sql).await;
    }
    for page in [1, 5000] {
        let report = audit(&owner, page).await;
        let mut found: BTreeMap<Option<PoolId>, BTreeSet<&str>> = BTreeMap::new();
        for finding in &report.findings {
            found.entry(finding.pool).or_default().insert(finding.check);
        }
        for (pool, (expected, sql)) in (100..).zip(&damages) {
            let found = found.remove(&Some(PoolId(pool))).unwrap_or_default();
            assert_eq!(&found, expected, "page {page}: {sql}\n{report}");
        }
        let left: Vec<_> = found.into_iter().collect();
        assert_eq!(left, [(None, BTreeSet::from(["guards_in_place"]))], "page {page}");
        assert!(!report.truncated);
    }
    let planted: BTreeSet<&str> = damages.iter().flat_map(|(expected, _)| expected.iter().copied()).collect();
    let never: Vec<&str> = CHECKS.iter().map(|check| check.name).filter(|name| !planted.contains(name)).collect();
    assert_eq!(never, ["guards_in_place"], "every check is tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn live_traffic_is_no_damage() {
    let app = TestApp::start().await;
    let owner = app.db.owner();
    let load = Load::start(app.client.clone(), 8);
    // Not smaller: the audit must read faster than the clients write, or it follows them for ever.
    for page in [100, 5000, 100, 5000] {
        load.until_told(40).await;
        let report = audit(&owner, page).await;
        assert!(report.is_clean(), "page {page}\n{report}");
    }
    drop(load.finish().await);
    app.finish().await;
}

/// The statements of [`DAMAGE`], each below a line `-- check, check`.
fn damages() -> Vec<(BTreeSet<&'static str>, &'static str)> {
    let damages: Vec<_> = DAMAGE
        .split("\n-- ")
        .skip(1)
        .map(|block| {
            let (names, sql) = block.split_once('\n').expect("a line of names, then SQL");
            (names.split(", ").collect(), sql)
        })
        .collect();
    assert!(damages.len() > 80, "{} kinds of damage", damages.len());
    damages
}

async fn lower_guards(owner: &PgPool) {
    let sql = r"
        DO $$
        DECLARE statement text;
        BEGIN
            FOR statement IN
                SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', conrelid::regclass, conname)
                FROM pg_constraint
                WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT IN ('pools', 'skus')
                    AND contype IN ('c', 'f', 'p', 'u') AND NOT starts_with(conrelid::regclass::text, '_')
                ORDER BY contype <> 'f', contype = 'p'
            LOOP EXECUTE statement; END LOOP;
            FOR statement IN
                SELECT format('DROP INDEX %s', indexrelid::regclass)
                FROM pg_index
                WHERE indisunique AND NOT indisprimary AND indrelid::regclass::text IN (
                    'stock_entries', 'reservations', 'lots', 'lot_transactions', 'snapshots'
                )
            LOOP EXECUTE statement; END LOOP;
            FOR statement IN
                SELECT DISTINCT format('ALTER TABLE %s DISABLE TRIGGER USER', tgrelid::regclass)
                FROM pg_trigger
                WHERE NOT tgisinternal
            LOOP EXECUTE statement; END LOOP;
        END
        $$";
    plant(owner, 1, sql).await;
}

#[tokio::test]
async fn the_list_of_guards_is_what_the_migrations_put_up() {
    let db = db::fresh().await;
    let mut conn = db.owner().acquire().await.expect("connect");
    let found = find_guards(&mut conn).await.expect("guards");
    assert!(found.iter().all(|guard| guard.stands), "{found:#?}");
    let found: BTreeSet<(String, String, String)> =
        found.into_iter().map(|guard| (guard.table, guard.kind, guard.name)).collect();
    let expected: BTreeSet<(String, String, String)> = expected_guards()
        .flat_map(|(table, kind, names)| {
            names.iter().map(|name| ((*table).to_owned(), kind.as_str().to_owned(), (*name).to_owned()))
        })
        .collect();
    let missing: Vec<_> = expected.difference(&found).collect();
    let unlisted: Vec<_> = found.difference(&expected).collect();
    assert!(missing.is_empty() && unlisted.is_empty(), "not in the database: {missing:#?}\nnot listed: {unlisted:#?}");
}

#[tokio::test]
async fn a_guard_that_is_gone_switched_off_or_never_validated_is_named() {
    let db = db::fresh().await;
    let owner = db.owner();
    let fallen = [
        ("ALTER TABLE stock DROP CONSTRAINT stock_seq_not_negative", "constraint stock_seq_not_negative on stock"),
        (
            "ALTER TABLE lots DROP CONSTRAINT lots_stock_exists;
             ALTER TABLE lots ADD CONSTRAINT lots_stock_exists
             FOREIGN KEY (pool_id, sku_id) REFERENCES stock (pool_id, sku_id) NOT VALID",
            "constraint lots_stock_exists on lots",
        ),
        ("DROP INDEX stock_entries_one_opening_per_line", "index stock_entries_one_opening_per_line on stock_entries"),
        (
            "ALTER TABLE lot_transactions DISABLE TRIGGER lot_transactions_append_only",
            "trigger lot_transactions_append_only on lot_transactions",
        ),
        (
            "ALTER TABLE reservations ENABLE REPLICA TRIGGER reservations_only_forward",
            "trigger reservations_only_forward on reservations",
        ),
        (
            // Switches off what enforces the reference, too.
            "ALTER TABLE reservation_lines DISABLE TRIGGER ALL;
             ALTER TABLE reservation_lines ENABLE TRIGGER USER",
            "constraint fulfilments_reservation_line_exists on fulfilments\n\
             constraint oversells_line_exists on oversells\n\
             constraint reservation_lines_reservation_exists on reservation_lines",
        ),
    ];
    let mut expected = BTreeSet::new();
    for (sql, names) in fallen {
        plant(&owner, 1, sql).await;
        expected.extend(names.lines());
        let report = audit(&owner, 5000).await;
        let found: BTreeSet<&str> = report.findings.iter().map(|finding| finding.subject.as_str()).collect();
        assert_eq!(found, expected, "{sql}");
        assert!(report.findings.iter().all(|finding| finding.check == "guards_in_place"));
    }
}
