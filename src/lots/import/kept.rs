//! Good rows, in an unnamed temporary file, and where each is. The file goes with its last handle, however the process
//! ends. Writing and reading it are copies to and from the page cache, so they are done where they stand.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use crate::catalog::{Catalogue, Pool};
use crate::http::violations::Violations;
use crate::ids::SkuId;
use crate::ledger::command::Receive;
use crate::lots::receive::ReceiveLot;

const BUFFER: usize = 256 * 1024;

/// Where a row is, and which it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Its line in the file as sent.
    pub line: u32,
    /// Number of its SKU, in the order that SKUs were first named in.
    code: u32,
    offset: u64,
    length: u32,
}

/// Rows on their way to the temporary file.
pub(super) struct Keeping {
    file: BufWriter<File>,
    written: u64,
    rows: Vec<Row>,
    codes: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
    buffer: Vec<u8>,
}

impl Keeping {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER, tempfile::tempfile()?),
            written: 0,
            rows: Vec::new(),
            codes: Vec::new(),
            numbers: HashMap::new(),
            buffer: Vec::new(),
        })
    }

    /// Takes the row that is about to be checked down, to be kept if it is good.
    pub fn note(&mut self, row: &ReceiveLot) -> io::Result<()> {
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, row)?;
        Ok(())
    }

    /// Keeps the row that was noted last.
    pub fn keep(&mut self, line: u32, sku: &Arc<str>) -> io::Result<()> {
        let code = if let Some(known) = self.numbers.get(sku) {
            *known
        } else {
            let number = u32::try_from(self.codes.len()).unwrap_or(u32::MAX);
            self.codes.push(Arc::clone(sku));
            self.numbers.insert(Arc::clone(sku), number);
            number
        };
        self.file.write_all(&self.buffer)?;
        let length = u32::try_from(self.buffer.len()).unwrap_or(u32::MAX);
        self.rows.push(Row { line, code, offset: self.written, length });
        self.written += u64::from(length);
        Ok(())
    }

    /// All rows are there.
    pub fn finish(self, pool: Arc<Pool>) -> io::Result<Kept> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Kept { file, pool, rows: self.rows, codes: self.codes })
    }
}

/// The good rows of a file.
pub(super) struct Kept {
    file: File,
    pool: Arc<Pool>,
    pub rows: Vec<Row>,
    codes: Vec<Arc<str>>,
}

impl Kept {
    /// SKUs that the catalogue does not have.
    pub fn unknown_skus(&self, catalogue: &Catalogue) -> Vec<Arc<str>> {
        self.codes.iter().filter(|code| catalogue.sku_by_code(code).is_none()).map(Arc::clone).collect()
    }

    /// Brings the rows into the order of their SKUs' ids, and those of one SKU into that of the file.
    pub fn sort(&mut self, catalogue: &Catalogue) {
        let id = |code: &Arc<str>| catalogue.sku_by_code(code).map_or(SkuId(i64::MAX), |sku| sku.id);
        let ids: Vec<SkuId> = self.codes.iter().map(id).collect();
        self.rows.sort_unstable_by_key(|row| (ids[row.code as usize], row.line));
    }

    /// A row again, as a receipt with a fresh id.
    pub fn read(&self, row: &Row) -> io::Result<Receive> {
        let mut bytes = vec![0; row.length as usize];
        self.file.read_exact_at(&mut bytes, row.offset)?;
        let lot: ReceiveLot = serde_json::from_slice(&bytes)?;
        let receive = lot.read(&mut Violations::default(), Some(&self.pool));
        receive.ok_or_else(|| io::Error::other("a row that was good is not any more"))
    }
}
