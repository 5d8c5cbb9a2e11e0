//! `kill -9` at every statement of a close and between its chunks: the next run does the rest, and nothing twice.

use std::path::PathBuf;

use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection};

use super::once::undisturbed;
use super::{close, plant_settling_day, plant_two_days};
use crate::support::Client;
use crate::support::db::{self, TestDb};
use crate::support::goods::Goods;
use crate::support::process::{Service, admin_key, folder, on_test_db};
use crate::support::race::until_blocked;

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
const ONE_BY_ONE: &[Point] = &[
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

/// Of a day that settles what an earlier one was short of.
const SETTLING: &[Point] = &[
    write("depletions", "NEW.kind = 'settlement'"),
    write("lot_transactions", "NEW.row_source = 'shortage_settlement'"),
    write("shipment_lines", "NEW.sku_id = 103 AND NEW.snapshot_date = '2025-03-07'"),
    write("lot_shortages", "NEW.settled_quantity > 0"),
    // The line whose day was closed before, after its shortage.
    write("shipment_lines", "NEW.sku_id = 103 AND NEW.snapshot_date = '2025-03-05'"),
    write("snapshot_skus", "NEW.sku_id = 103"),
];

/// Of a day whose SKUs are done several at a time.
const TOGETHER: &[Point] = &[
    write("depletions", "NEW.sku_id = 102"),
    write("lot_transactions", "NEW.row_source = 'snapshot_depletion'"),
    write("shipment_lines", "NEW.sku_id = 102"),
    write("lot_shortages", "NEW.sku_id = 103"),
    write("snapshot_skus", "NEW.sku_id = 103"),
    write("depletions", "NEW.sku_id = 105"),
    write("snapshot_skus", "NEW.sku_id = 104"),
];

/// Of a day that two are at work on, one on odd SKUs and one on even ones: both have come so far.
const SIDE_BY_SIDE: &[Point] = &[
    write("depletions", "NEW.sku_id IN (101, 102)"),
    write("lot_transactions", "NEW.row_source = 'snapshot_depletion'"),
    write("shipment_lines", "NEW.sku_id IN (103, 104)"),
    write("snapshot_skus", "NEW.sku_id IN (103, 104)"),
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

/// SKUs that are neither untouched nor done on a day.
const HALVES: &str = "
    SELECT t.sku_id FROM (
        SELECT pool_id, sku_id, snapshot_date IS NOT NULL AS touched FROM shipment_lines WHERE shipped_date = $1
        UNION SELECT pool_id, sku_id, true FROM depletions WHERE cost_date = $1
        UNION SELECT l.pool_id, l.sku_id, true FROM lot_transactions AS t JOIN lots AS l USING (pool_id, lot_id)
        WHERE t.business_date = $1 AND t.row_source IN ('snapshot_depletion', 'shortage_settlement')
    ) AS t
    WHERE touched <> EXISTS (
        SELECT FROM snapshot_skus AS k
        WHERE k.pool_id = t.pool_id AND k.sku_id = t.sku_id AND k.snapshot_date = $1
    )";

/// A database with the world of [`plant_two_days`], and how a close of it is to go about its work.
struct Scene {
    db: TestDb,
    folder: PathBuf,
    goods: Goods,
    env: Vec<(&'static str, String)>,
    conn: PgConnection,
}

impl Scene {
    async fn set(name: &str, chunk_skus: u32, workers: u32) -> Self {
        let (db, folder) = (db::fresh().await, folder(name));
        let goods = Goods::of(&db);
        plant_two_days(&goods).await;
        let mut env = on_test_db(&db, &folder).await;
        env.push(("HOLDFAST_SNAPSHOT_CHUNK_SKUS", chunk_skus.to_string()));
        env.push(("HOLDFAST_SNAPSHOT_WORKERS", workers.to_string()));
        // The daily job would close the same days.
        env.push(("HOLDFAST_JOBS_INTERVAL_MS", "0".to_owned()));
        let mut conn = db.owner_options.connect().await.unwrap();
        let wait = "CREATE FUNCTION wait_at_the_wall() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_advisory_xact_lock_shared(4712); RETURN NEW; END'";
        conn.execute(wait).await.unwrap();
        Self { db, folder, goods, env, conn }
    }

    async fn serve(&self) -> (Service, Client) {
        let service = Service::start(&self.folder, &self.env).await;
        let client = Client::new(&service.base, &admin_key(&self.folder.join("admin.key")));
        (service, client)
    }

    /// Closes a day, is killed at each point in turn once so many have come there, and leaves whole SKUs done or
    /// untouched.
    async fn kill_at_each(&mut self, points: &[Point], date: &'static str, at_work: i64) {
        for point in points {
            let (service, client) = self.serve().await;
            let wall = Wall::build(&mut self.conn, point).await;
            let mut asked = tokio::task::JoinSet::new();
            asked.spawn(async move {
                let body = serde_json::json!({ "date": date });
                client.try_send(reqwest::Method::POST, "/snapshots", &[], Some(&body)).await.is_err()
            });
            until_blocked(&self.db, at_work).await;
            service.kill().await;
            assert_eq!(asked.join_all().await, [true], "it was answered");
            wall.remove().await;
            crate::support::race::deadlocks(&self.db).await;
            let day: chrono::NaiveDate = date.parse().unwrap();
            let halves: Vec<i64> = sqlx::query_scalar(HALVES).bind(day).fetch_all(&self.goods.owner).await.unwrap();
            assert!(halves.is_empty(), "{halves:?} are half done");
            self.goods.expect_agreement().await;
        }
    }

    async fn close(&self, dates: &[&str]) {
        let (service, client) = self.serve().await;
        for date in dates {
            close(&client, date).await.expect(201);
            self.goods.expect_agreement().await;
        }
        service.stop().await;
    }

    /// Ends as if nothing had been.
    async fn end(self, expected: Vec<String>) {
        assert_eq!(self.goods.dump().await, expected);
        std::fs::remove_dir_all(self.folder).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_that_is_killed_at_any_statement_is_finished_by_the_next_as_if_nothing_had_been() {
    let mut scene = Scene::set("killed-close", 1, 1).await;
    scene.kill_at_each(ONE_BY_ONE, "2025-03-05", 1).await;
    scene.close(&["2025-03-05", "2025-03-06"]).await;
    plant_settling_day(&scene.goods).await;
    scene.kill_at_each(SETTLING, "2025-03-07", 1).await;
    scene.close(&["2025-03-07"]).await;
    scene.end(undisturbed(3).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_is_one_that_does_several_skus_at_a_time() {
    let mut scene = Scene::set("killed-chunk", 3, 1).await;
    scene.kill_at_each(TOGETHER, "2025-03-05", 1).await;
    scene.close(&["2025-03-05", "2025-03-06"]).await;
    scene.end(undisturbed(2).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_is_one_that_has_two_at_work() {
    let mut scene = Scene::set("killed-pair", 1, 2).await;
    scene.kill_at_each(SIDE_BY_SIDE, "2025-03-05", 2).await;
    // The even ones are done, or as good as that.
    scene.kill_at_each(&[write("depletions", "NEW.sku_id = 105")], "2025-03-05", 1).await;
    scene.close(&["2025-03-05", "2025-03-06"]).await;
    scene.end(undisturbed(2).await).await;
}
