//! Kept answers: one per key, each an outcome, each readable.
//!
//! Bodies are parsed here and not in SQL: a cast ends the statement at the first body that does not parse.

use serde::de::IgnoredAny;
use sqlx::PgConnection;

use super::Options;
use super::pages::{self, End, Pages, Range};
use super::report::{Found, Report};
use crate::ids::PoolId;

pub(super) async fn check(
    conn: &mut PgConnection,
    pool: PoolId,
    options: &Options,
    report: &mut Report,
) -> sqlx::Result<()> {
    let mut pages = Pages::of(options.page);
    while let Some(from) = pages.from() {
        let mut tx = pages::snapshot(conn).await?;
        let end = find_end(&mut tx, pool, &from, pages.size()).await?;
        report.count("idempotency_keys", end.as_ref().map_or(0, |end| end.rows));
        let range = pages.range(from, end);
        let answers = find_answers(&mut tx, pool, &range).await?;
        tx.commit().await?;
        report.add(Some(pool), judge(&answers))?;
    }
    Ok(())
}

struct Answer {
    client_id: i64,
    key: String,
    fingerprint_bytes: i32,
    status: i16,
    body: Vec<u8>,
}

async fn find_end(
    conn: &mut PgConnection,
    pool: PoolId,
    from: &(i64, String),
    size: i64,
) -> sqlx::Result<Option<End<(i64, String)>>> {
    let row = sqlx::query!(
        r#"
        SELECT client_id, key, row_number() OVER (ORDER BY client_id, key) AS "rows!"
        FROM (
            SELECT client_id, key
            FROM idempotency_keys
            WHERE pool_id = $1 AND (client_id, key) >= ($2, $3)
            ORDER BY client_id, key
            LIMIT $4
        ) AS page
        ORDER BY client_id DESC, key DESC
        LIMIT 1
        "#,
        pool.0,
        from.0,
        from.1,
        size,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| End { key: (row.client_id, row.key), rows: row.rows }))
}

async fn find_answers(
    conn: &mut PgConnection,
    pool: PoolId,
    range: &Range<(i64, String)>,
) -> sqlx::Result<Vec<Answer>> {
    sqlx::query_as!(
        Answer,
        r#"
        SELECT client_id, key, octet_length(fingerprint) AS "fingerprint_bytes!", status, body
        FROM idempotency_keys
        WHERE pool_id = $1 AND (client_id, key) >= ($2, $3) AND (client_id, key) <= ($4, $5)
        ORDER BY client_id, key
        "#,
        pool.0,
        range.from.0,
        range.from.1,
        range.to.0,
        range.to.1,
    )
    .fetch_all(conn)
    .await
}

/// What is wrong with these answers, which are in key order. Pure.
fn judge(answers: &[Answer]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut before: Option<&Answer> = None;
    for answer in answers {
        let mut report = |check: &str, detail: String| {
            let subject = format!("client {} key {}", answer.client_id, answer.key);
            found.push(Found { check: check.to_owned(), subject, detail });
        };
        if before.is_some_and(|before| before.client_id == answer.client_id && before.key == answer.key) {
            report("answer_keys_unique", "more than one answer".to_owned());
        }
        if !matches!(answer.status, 200..=299 | 404 | 409 | 422) {
            report("answers_are_outcomes", format!("status {} is no outcome", answer.status));
        }
        if answer.fingerprint_bytes != 32 {
            report("answers_are_outcomes", format!("a fingerprint of {} bytes", answer.fingerprint_bytes));
        }
        if let Err(error) = read_json(&answer.body) {
            report("answers_are_outcomes", format!("the body is not JSON: {error}"));
        }
        before = Some(answer);
    }
    found
}

fn read_json(body: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    serde_json::from_str::<IgnoredAny>(std::str::from_utf8(body)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(key: &str, status: i16, body: &[u8]) -> Answer {
        Answer { client_id: 7, key: key.to_owned(), fingerprint_bytes: 32, status, body: body.to_owned() }
    }

    #[test]
    fn only_outcomes_that_can_be_read_pass() {
        let answers = [
            answer("a", 201, b"{\"id\":\"res_1\"}"),
            answer("b", 409, b"{}"),
            answer("b", 422, b"{}"),
            answer("c", 500, b"{}"),
            answer("d", 200, b"{\"id\":"),
            answer("e", 200, b""),
            answer("f", 200, b"\"\xff\""),
            Answer { fingerprint_bytes: 31, ..answer("g", 200, b"{}") },
        ];
        let found: Vec<(String, String)> =
            judge(&answers).into_iter().map(|found| (found.check, found.subject)).collect();
        let expected = [
            ("answer_keys_unique", "client 7 key b"),
            ("answers_are_outcomes", "client 7 key c"),
            ("answers_are_outcomes", "client 7 key d"),
            ("answers_are_outcomes", "client 7 key e"),
            ("answers_are_outcomes", "client 7 key f"),
            ("answers_are_outcomes", "client 7 key g"),
        ];
        assert_eq!(found, expected.map(|(check, subject)| (check.to_owned(), subject.to_owned())));
    }
}
