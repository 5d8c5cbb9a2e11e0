//! Once: whoever asks, however often, from wherever; and what it is that makes it so.

use sqlx::Executor;

use super::{close, plant_settling_day, plant_two_days};
use crate::support::TestApp;
use crate::support::app::settings;
use crate::support::goods::{Goods, POOL};
use crate::support::race::{Call, count, race};

/// What one undisturbed close of so many days leaves behind: two, or the one that settles, too.
pub(super) async fn undisturbed(days: usize) -> Vec<String> {
    let app = TestApp::start().await;
    let goods = Goods::of(&app.db);
    plant_two_days(&goods).await;
    for (number, date) in ["2025-03-05", "2025-03-06", "2025-03-07"].into_iter().enumerate().take(days) {
        if number == 2 {
            plant_settling_day(&goods).await;
        }
        close(&app.client, date).await.expect(201);
    }
    let rows = goods.dump().await;
    app.stop().await;
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_close_a_day_at_once_leave_what_one_would() {
    let mut settings = settings();
    settings.snapshots.chunk_skus = 1;
    let app = TestApp::start_with(settings).await;
    let other = app.another().await;
    let goods = Goods::of(&app.db);
    plant_two_days(&goods).await;
    for date in ["2025-03-05", "2025-03-06"] {
        let body = serde_json::json!({ "date": date });
        let calls: Vec<Call> = [&app, &other, &app, &other]
            .map(|instance| Call::new(&instance.client, "/snapshots", body.clone()))
            .to_vec();
        let answers = race(&calls).await;
        assert_eq!(count(&answers, 200) + count(&answers, 201), 4, "{answers:#?}");
        assert!(answers.iter().all(|answer| answer.bytes == answers[0].bytes), "{answers:#?}");
    }
    goods.expect_agreement().await;
    assert_eq!(goods.dump().await, undisturbed(2).await);
    other.stop().await;
    app.stop().await;
}

/// A run that failed half-way and whose own notes were lost: the day is open, and its lines look as if nobody had ever
/// depleted lots for them. The lots know better.
const FORGET: &str = "
    ALTER TABLE snapshots DISABLE TRIGGER USER;
    ALTER TABLE snapshot_skus DISABLE TRIGGER USER;
    ALTER TABLE shipment_lines DISABLE TRIGGER USER;
    DELETE FROM lot_shortages;
    DELETE FROM snapshot_skus;
    UPDATE shipment_lines SET snapshot_date = NULL, depleted_quantity = 0;
    UPDATE snapshots SET status = 'closing', closed_at = NULL;
    ALTER TABLE snapshots ENABLE TRIGGER USER;
    ALTER TABLE snapshot_skus ENABLE TRIGGER USER;
    ALTER TABLE shipment_lines ENABLE TRIGGER USER";

#[tokio::test(flavor = "multi_thread")]
async fn depleting_the_same_lots_again_is_refused_by_the_indexes_and_by_nothing_else() {
    let app = TestApp::start().await;
    let goods = Goods::of(&app.db);
    plant_two_days(&goods).await;
    close(&app.client, "2025-03-05").await.expect(201);
    let left = goods.remaining(1011).await;
    assert_eq!(left, 17);
    goods.owner.execute(sqlx::raw_sql(FORGET)).await.unwrap();

    // Either index alone is enough: the line was depleted, and the lot was depleted for this day.
    let (line, lot) = ("depletions_pkey", "lot_transactions_one_depletion_per_day");
    let refused = close(&app.client, "2025-03-05").await.refused(409, "depleted_before");
    assert_eq!(refused.at("/retryable"), false);
    assert!(refused.at("/detail").as_str().unwrap().contains("holdfast repair diagnose"), "{refused:?}");
    goods.owner.execute("ALTER TABLE depletions DROP CONSTRAINT depletions_pkey").await.unwrap();
    close(&app.client, "2025-03-05").await.refused(409, "depleted_before");
    assert_eq!(goods.remaining(1011).await, left, "{line} is gone, {lot} holds");
    let put_back =
        "ALTER TABLE depletions ADD CONSTRAINT depletions_pkey PRIMARY KEY (pool_id, shipment_id, line_ref, n)";
    goods.owner.execute(put_back).await.unwrap();
    goods.owner.execute("DROP INDEX lot_transactions_one_depletion_per_day").await.unwrap();
    close(&app.client, "2025-03-05").await.refused(409, "depleted_before");
    assert_eq!(goods.remaining(1011).await, left, "{lot} is gone, {line} holds");

    // Without both, the retry takes the same shipments from the lots a second time and says that all is well.
    goods.owner.execute("ALTER TABLE depletions DROP CONSTRAINT depletions_pkey").await.unwrap();
    close(&app.client, "2025-03-05").await.expect(201);
    assert!(goods.remaining(1011).await < left);
    let sql =
        "SELECT count(*) FROM (SELECT FROM lot_transactions WHERE pool_id = $1 AND row_source = 'snapshot_depletion'
        GROUP BY lot_id, source_ref_id HAVING count(*) > 1) AS twice";
    let twice: i64 = sqlx::query_scalar(sql).bind(POOL).fetch_one(&goods.owner).await.unwrap();
    assert!(twice > 0);
    app.stop().await;
}
