//! Receives the good rows of a file: all of them in one transaction, or, where bad ones are skipped, so many in each.
//!
//! In a transaction the lots go in first, which nobody waits for; then the balance rows are locked, in SKU order, and
//! the units put on the shelf.

use std::time::{Duration, Instant};

use super::check::{Checked, Findings};
use super::kept::{Kept, Row};
use super::view::Difference;
use super::{MOST_DIFFERENCES, Mode, OnError, disk};
use crate::app::App;
use crate::catalog::skus::ensure_skus;
use crate::http::answers::error_of;
use crate::http::code::Code;
use crate::http::problem::Problem;
use crate::ids::{ClientId, LotId, PoolId};
use crate::ledger::batch::{self, BatchError};
use crate::ledger::command::Receive;
use crate::ledger::lanes::{Bulk, backoff};

/// Lots in one statement.
const PUT: usize = 5000;
/// Ledger entries in one statement.
const POST: usize = 2000;
/// Rows in one transaction where bad rows are skipped: balance rows are locked for a few milliseconds only.
const UNIT: usize = 1000;
const TRIES: u32 = 4;

/// What became of the good rows.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub received: u32,
    pub repeated: u32,
    pub differing: u32,
    pub created_skus: u64,
    pub differences: Vec<Difference>,
    pub findings: Findings,
}

impl Tally {
    fn add(&mut self, unit: Self) {
        self.received += unit.received;
        self.repeated += unit.repeated;
        self.differing += unit.differing;
        let room = MOST_DIFFERENCES - self.differences.len();
        self.differences.extend(unit.differences.into_iter().take(room));
        for error in unit.findings.errors {
            self.findings.add(error.line.unwrap_or(0), vec![error]);
        }
    }

    fn note_repeated(&mut self, line: u32, first: LotId, fields: Vec<&'static str>) {
        self.repeated += 1;
        if !fields.is_empty() {
            self.differing += 1;
            if self.differences.len() < MOST_DIFFERENCES {
                self.differences.push(Difference { line, id: first.to_string(), fields });
            }
        }
    }
}

/// Why a transaction of rows did not commit.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("the temporary file: {0}")]
    Disk(#[from] std::io::Error),
}

/// Receives what was kept, or only looks what was received before. To be called from a detached task.
pub(super) async fn apply(app: &App, client: ClientId, file: &mut Checked) -> Result<Tally, Problem> {
    if file.options.mode == Mode::Validate {
        return look_up(app, file).await;
    }
    let mut tally = Tally::default();
    let mut catalogue = app.catalogue.current();
    let unknown = file.kept.unknown_skus(&catalogue);
    if !unknown.is_empty() {
        tally.created_skus = ensure_skus(app, &unknown).await?;
        catalogue = app.fresh_catalogue().await?;
    }
    file.kept.sort(&catalogue);
    let all_or_nothing = file.options.on_error == OnError::RejectAll;
    let size = if all_or_nothing { file.kept.rows.len() } else { UNIT };
    let mut lane = None;
    for rows in file.kept.rows.chunks(size.max(1)) {
        let work = Work { app, client, pool: file.options.pool.id, kept: &file.kept, rows, all_or_nothing };
        tally.add(work.persist(&mut lane).await?);
    }
    Ok(tally)
}

/// Rows of one transaction.
struct Work<'a> {
    app: &'a App,
    client: ClientId,
    pool: PoolId,
    kept: &'a Kept,
    rows: &'a [Row],
    all_or_nothing: bool,
}

impl Work<'_> {
    /// Tries until it is committed or hopeless. After a lost connection the next try finds what was committed by the
    /// names of the rows.
    async fn persist(&self, lane: &mut Option<Bulk>) -> Result<Tally, Problem> {
        let mut attempt = 1;
        loop {
            let error = match self.once(lane).await {
                Ok(tally) => return Ok(tally),
                Err(Failure::Disk(error)) => return Err(disk(&error)),
                Err(Failure::Batch(error)) => error,
            };
            if attempt == TRIES || matches!(error, BatchError::Unexpected(_)) {
                return Err(problem_of(&error));
            }
            metrics::counter!("holdfast_transaction_retries_total", "transaction" => "import_lots").increment(1);
            let random = crate::ids::new_uuid().as_bytes()[9];
            tokio::time::sleep(backoff(attempt, Duration::from_millis(100), Duration::from_secs(2), random)).await;
            attempt += 1;
        }
    }

    /// Whatever fails takes the connection with it, and the server gives up what was begun on it.
    async fn once(&self, lane: &mut Option<Bulk>) -> Result<Tally, Failure> {
        let mut bulk = match lane.take() {
            Some(bulk) => bulk,
            None => self.app.lanes.bulk(self.pool, self.client).await?,
        };
        let tally = self.run(&mut bulk).await?;
        *lane = Some(bulk);
        Ok(tally)
    }

    async fn run(&self, bulk: &mut Bulk) -> Result<Tally, Failure> {
        bulk.begin().await?;
        let mut tally = Tally::default();
        let new = self.put(bulk, &mut tally).await?;
        if self.all_or_nothing && tally.findings.rejected > 0 {
            bulk.roll_back().await?;
            return Ok(tally);
        }
        let locked = Instant::now();
        for part in new.chunks(POST) {
            let receives: Result<Vec<Receive>, _> =
                part.iter().map(|(row, id)| Ok(Receive { id: *id, ..self.kept.read(row)? })).collect();
            bulk.post(receives.map_err(Failure::Disk)?).await?;
        }
        bulk.commit().await?;
        metrics::histogram!("holdfast_import_locked_seconds").record(locked.elapsed().as_secs_f64());
        Ok(tally)
    }

    /// Puts the lots in; answers which rows are new, with the ids of their lots.
    async fn put(&self, bulk: &mut Bulk, tally: &mut Tally) -> Result<Vec<(Row, LotId)>, Failure> {
        let mut new = Vec::new();
        for part in self.rows.chunks(PUT) {
            let receives = part.iter().map(|row| self.kept.read(row)).collect::<Result<Vec<_>, _>>()?;
            let arrivals = bulk.put(&receives).await?;
            for ((row, receive), arrival) in part.iter().zip(&receives).zip(arrivals) {
                match arrival {
                    batch::Arrival::New => {
                        tally.received += 1;
                        new.push((*row, receive.id));
                    }
                    batch::Arrival::Repeated { first, differences } => {
                        tally.note_repeated(row.line, first, differences);
                    }
                    batch::Arrival::Refused(violation) => tally.findings.add(row.line, vec![error_of(&violation)]),
                }
            }
        }
        Ok(new)
    }
}

async fn look_up(app: &App, file: &Checked) -> Result<Tally, Problem> {
    let catalogue = app.catalogue.current();
    let mut tally = Tally {
        created_skus: u64::try_from(file.kept.unknown_skus(&catalogue).len()).unwrap_or(u64::MAX),
        ..Tally::default()
    };
    let mut conn = app.db.acquire().await?;
    for part in file.kept.rows.chunks(POST) {
        let receives: Result<Vec<Receive>, _> = part.iter().map(|row| file.kept.read(row)).collect();
        let receives = receives.map_err(|error| disk(&error))?;
        let repeated = batch::find_repeated(&mut conn, &catalogue, file.options.pool.id, &receives).await?;
        for (row, repeated) in part.iter().zip(repeated) {
            match repeated {
                None => tally.received += 1,
                Some((first, differences)) => tally.note_repeated(row.line, first, differences),
            }
        }
    }
    Ok(tally)
}

fn problem_of(error: &BatchError) -> Problem {
    match error {
        BatchError::Unexpected(error) => {
            tracing::error!(%error, "an import failed");
            Problem::new(Code::Internal, "An unexpected error; it has been logged. Nothing of this part was received.")
        }
        error => {
            tracing::warn!(%error, "an import did not get through");
            let detail = "The database did not let it through in time. Send the file again: what was received counts \
                          as repeated.";
            Problem::new(Code::Unavailable, detail)
        }
    }
}
