//! The gate: each row is checked as the body of a `POST /lots` would be, and against the catalogue and the rows before
//! it. Good rows are kept, bad ones are named.

use std::collections::HashSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::kept::{Keeping, Kept};
use super::{MOST_ERRORS, MOST_ROWS, Options, at_line, disk, unreadable};
use crate::catalog::Catalogue;
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::problem::{ErrorItem, Problem};
use crate::ledger::command::Receive;
use crate::lots::receive::{ReceiveLot, check_arrival};

/// Bad rows.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Rows that break a rule.
    pub rejected: u32,
    /// Rules that are broken.
    pub total: u32,
    /// The first of them.
    pub errors: Vec<ErrorItem>,
}

impl Findings {
    /// Adds a bad row.
    pub fn add(&mut self, line: u32, errors: Vec<ErrorItem>) {
        self.rejected += 1;
        self.total += u32::try_from(errors.len()).unwrap_or(u32::MAX);
        let room = MOST_ERRORS - self.errors.len().min(MOST_ERRORS);
        self.errors.extend(errors.into_iter().take(room).map(|error| at_line(line, error)));
    }
}

/// What rows pass through.
pub(super) struct Gate {
    options: Options,
    catalogue: Arc<Catalogue>,
    keeping: Keeping,
    /// Hashes of the names of good rows: 128 bits, so that two names with one hash are not to be expected.
    names: HashSet<u128>,
    rows: u32,
    findings: Findings,
}

impl Gate {
    pub fn new(options: Options, catalogue: Arc<Catalogue>) -> Result<Self, Problem> {
        let keeping = Keeping::new().map_err(|error| disk(&error))?;
        Ok(Self { options, catalogue, keeping, names: HashSet::new(), rows: 0, findings: Findings::default() })
    }

    /// Checks a row, or what could be read of it.
    pub fn take(&mut self, line: u32, row: Result<Json<ReceiveLot>, Vec<ErrorItem>>) -> Result<(), Problem> {
        self.rows += 1;
        if self.rows > MOST_ROWS {
            return Err(unreadable(line, format!("is one row more than the {MOST_ROWS} that a file may have")));
        }
        let checked = match row {
            Err(errors) => Err(errors),
            Ok(row) => self.check(row).map_err(|error| disk(&error))?,
        };
        match checked {
            Ok(receive) => self.keeping.keep(line, &receive.sku).map_err(|error| disk(&error)),
            Err(errors) => {
                self.findings.add(line, errors);
                Ok(())
            }
        }
    }

    fn check(&mut self, row: Json<ReceiveLot>) -> std::io::Result<Result<Receive, Vec<ErrorItem>>> {
        let Json { value, violations: mut v } = row;
        self.keeping.note(&value)?;
        let pool = &self.options.pool;
        if value.pool.as_ref().is_some_and(|code| *code != pool.code) {
            v.add("/pool", format!("must be {:?}, the pool of this import, or absent", pool.code));
        }
        if value.source_ref.is_none() {
            v.add("/source_ref", "is required in an import: it is what makes sending a file twice safe");
        }
        let create = self.options.create_skus || value.create_sku == Some(true);
        check_arrival(&mut v, Some(pool), value.received_date, self.options.now);
        let receive = value.read(&mut v, Some(pool));
        if let Some(receive) = &receive {
            match self.catalogue.sku_by_code(&receive.sku) {
                None if !create => {
                    v.add_code("/sku", Code::UnknownSku, format!("there is no SKU {:?}", receive.sku));
                }
                Some(sku) if !sku.tracked => {
                    let detail = format!("{:?} is untracked and has no stock", receive.sku);
                    v.add_code("/sku", Code::SkuUntracked, detail);
                }
                _ => {}
            }
            if receive.source_ref.is_some() && !self.names.insert(name_of(receive)) {
                v.add("/source_ref", "is the name of an earlier row of this file, too");
            }
        }
        Ok(v.finish(receive).map_err(|problem| problem.errors))
    }

    /// All rows have passed or been refused.
    pub fn finish(self) -> Result<Checked, Problem> {
        let kept = self.keeping.finish(Arc::clone(&self.options.pool)).map_err(|error| disk(&error))?;
        Ok(Checked { options: self.options, rows: self.rows, kept, findings: self.findings })
    }
}

fn name_of(receive: &Receive) -> u128 {
    let mut hash = Sha256::new();
    hash.update(receive.source.as_bytes());
    hash.update([0]);
    hash.update(receive.source_ref.as_deref().unwrap_or_default().as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    digest[..16].iter().fold(0, |name, byte| name << 8 | u128::from(*byte))
}

/// A file that was read to its end.
pub(super) struct Checked {
    pub options: Options,
    /// Rows in all.
    pub rows: u32,
    pub kept: Kept,
    pub findings: Findings,
}
