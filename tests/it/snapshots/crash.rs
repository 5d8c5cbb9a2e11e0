//! `kill -9` at every statement of a close and between its chunks: the next run does the rest, and nothing twice.

use sqlx::{AssertSqlSafe, Executor, PgConnection};

use super::once::undisturbed;
use super::{close, plant_two_days};
use crate::support::goods::Goods;
use crate::support::process::{Service, admin_key, folder, on_test_db};
use crate::support::race::until_blocked;
use crate::support::{Client, db};
use sqlx::ConnectOptions;

/// Where to stop a close: at a row that it writes, or at rows that it locks.
enum Point {
    /// Before this row of this table is written; the condition is over NEW.
    Write { table: &'static str, event: &'static str, when: &'static str },
    /// At the rows that this statement locks.
    Lock(&'static str),
}

const fn write(table: &'static str, when: &'static str) -> Point {
    Point::Write { table, event: "INSERT OR UPDATE", when }
}

/// In the order of a close with one SKU a chunk, so that each run gets a little further than the one before.
const POINTS: &[Point] = &[
    Point::Write { table: "snapshots", event: "INSERT", when: "true" },
    Point::Lock("SELECT FROM shipment_lines WHERE sku_id = 101 FOR UPDATE"),
    Point::Lock("SELECT FROM lots WHERE sku_id = 101 FOR UPDATE"),
    write("depletions", "NEW.sku_id = 101"),
    write("lot_transactions", "NEW.row_source <> 'receipt'"),
    write("lots", "NEW.sku_id = 101"),
    write("shipment_lines", "NEW.sku_id = 101"),
    write("snapshot_skus", "NEW.sku_id = 101"),
    // Between two chunks: the first is there and the second has written nothing.
    write("depletions", "NEW.sku_id = 102"),
    write("depletions", "NEW.sku_id = 103"),
    write("lot_shortages", "NEW.sku_id = 103"),
    write("snapshot_skus", "NEW.sku_id = 103"),
    write("depletions", "NEW.sku_id = 104"),
    write("shipment_lines", "NEW.sku_id = 104"),
    write("depletions", "NEW.sku_id = 105"),
    write("snapshot_skus", "NEW.sku_id = 105"),
    Point::Write { table: "snapshots", event: "UPDATE", when: "true" },
];

/// Something of the test's that the close runs into.
struct Wall<'c> {
    conn: &'c mut PgConnection,
    trigger_on: Option<&'static str>,
}

impl<'c> Wall<'c> {
    async fn build(conn: &'c mut PgConnection, point: &Point) -> Self {
        match point {
            Point::Write { table, event, when } => {
                let trigger = format!(
                    "CREATE TRIGGER a_wall BEFORE {event} ON {table} FOR EACH ROW WHEN ({when})
                     EXECUTE FUNCTION wait_at_the_wall()"
                );
                conn.execute(AssertSqlSafe(trigger)).await.unwrap();
                conn.execute("SELECT pg_advisory_lock(4712)").await.unwrap();
                Self { conn, trigger_on: Some(table) }
            }
            Point::Lock(rows) => {
                conn.execute("BEGIN").await.unwrap();
                conn.execute(*rows).await.unwrap();
                Self { conn, trigger_on: None }
            }
        }
    }

    /// Lets whoever waits here go on, into nothing: its client is dead.
    async fn remove(self) {
        let Some(table) = self.trigger_on else {
            self.conn.execute("ROLLBACK").await.unwrap();
            return;
        };
        self.conn.execute("SELECT pg_advisory_unlock(4712)").await.unwrap();
        self.conn.execute(AssertSqlSafe(format!("DROP TRIGGER a_wall ON {table}"))).await.unwrap();
    }
}

/// SKUs that are neither untouched nor done.
const HALVES: &str = "
    SELECT l.sku_id FROM shipment_lines AS l
    WHERE shipped_date = '2025-03-05' AND (snapshot_date IS NOT NULL) <> EXISTS (
        SELECT FROM snapshot_skus AS k WHERE k.pool_id = l.pool_id AND k.sku_id = l.sku_id
    )
    UNION SELECT sku_id FROM depletions AS d WHERE NOT EXISTS (
        SELECT FROM snapshot_skus AS k WHERE k.pool_id = d.pool_id AND k.sku_id = d.sku_id
    )";

#[tokio::test(flavor = "multi_thread")]
async fn a_close_that_is_killed_at_any_statement_is_finished_by_the_next_as_if_nothing_had_been() {
    let (db, folder) = (db::fresh().await, folder("killed-close"));
    let goods = Goods::of(&db);
    plant_two_days(&goods).await;
    let mut env = on_test_db(&db, &folder).await;
    env.push(("HOLDFAST_SNAPSHOT_CHUNK_SKUS", "1".to_owned()));
    env.push(("HOLDFAST_SNAPSHOT_WORKERS", "1".to_owned()));
    // The daily job would close the same days.
    env.push(("HOLDFAST_JOBS_INTERVAL_MS", "0".to_owned()));
    let mut conn = db.owner_options.connect().await.unwrap();
    let wait = "CREATE FUNCTION wait_at_the_wall() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_advisory_xact_lock_shared(4712); RETURN NEW; END'";
    conn.execute(wait).await.unwrap();
    for point in POINTS {
        let service = Service::start(&folder, &env).await;
        let client = Client::new(&service.base, &admin_key(&folder.join("admin.key")));
        let wall = Wall::build(&mut conn, point).await;
        let asked = {
            let client = client.clone();
            let mut asked = tokio::task::JoinSet::new();
            asked.spawn(async move {
                let body = serde_json::json!({"date": "2025-03-05"});
                client.try_send(reqwest::Method::POST, "/snapshots", &[], Some(&body)).await.is_err()
            });
            asked
        };
        until_blocked(&db, 1).await;
        service.kill().await;
        assert_eq!(asked.join_all().await, [true], "it was answered");
        wall.remove().await;
        crate::support::race::deadlocks(&db).await;
        let halves: Vec<i64> = sqlx::query_scalar(HALVES).fetch_all(&goods.owner).await.unwrap();
        assert!(halves.is_empty(), "{halves:?} are half done");
        goods.expect_agreement().await;
    }
    let service = Service::start(&folder, &env).await;
    let client = Client::new(&service.base, &admin_key(&folder.join("admin.key")));
    close(&client, "2025-03-05").await.expect(201);
    close(&client, "2025-03-06").await.expect(201);
    goods.expect_agreement().await;
    assert_eq!(goods.dump().await, undisturbed().await);
    service.stop().await;
    std::fs::remove_dir_all(folder).unwrap();
}
