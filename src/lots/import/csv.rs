//! CSV as RFC 4180 has it: a header with the names of the members of `POST /lots`, then a row a lot. An empty cell is an
//! absent member. Rows of any length would be memory without bound, so there is a longest one.

use csv_core::ReadRecordResult;

use super::check::Gate;
use super::{LONGEST_ROW, at_line, unreadable};
use crate::catalog::days::read_date;
use crate::http::body::Json;
use crate::http::code::Code;
use crate::http::problem::{ErrorItem, Problem};
use crate::http::violations::Violations;
use crate::lots::receive::ReceiveLot;

/// Columns, and whether a file must have them.
const COLUMNS: [(&str, bool); 11] = [
    ("pool", false),
    ("sku", true),
    ("create_sku", false),
    ("lot_code", true),
    ("quantity", true),
    ("unit_cost", true),
    ("currency", true),
    ("received_date", true),
    ("expires_date", false),
    ("source", false),
    ("source_ref", true),
];
/// Room for the known columns and for as many unknown ones as a person would send.
const MOST_CELLS: usize = 256;

/// A CSV file that is being read.
pub(super) struct Csv {
    reader: csv_core::Reader,
    /// Newlines so far.
    newlines: u32,
    /// Line that the current row begins on; none between rows.
    begun: Option<u32>,
    text: Vec<u8>,
    text_len: usize,
    ends: Vec<usize>,
    ends_len: usize,
    header: Option<Vec<&'static str>>,
}

impl Default for Csv {
    fn default() -> Self {
        Self {
            reader: csv_core::Reader::new(),
            newlines: 0,
            begun: None,
            text: vec![0; LONGEST_ROW],
            text_len: 0,
            ends: vec![0; MOST_CELLS],
            ends_len: 0,
            header: None,
        }
    }
}

impl Csv {
    pub fn feed(&mut self, mut piece: &[u8], gate: &mut Gate) -> Result<(), Problem> {
        while !piece.is_empty() {
            if self.begun.is_none() {
                // Between rows only line ends are passed over, so that a row's line is the one it begins on.
                let blank = piece.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                self.count_lines(&piece[..blank]);
                piece = &piece[blank..];
                if piece.is_empty() {
                    break;
                }
                self.begun = Some(self.newlines + 1);
            }
            let used = self.step(piece, gate)?;
            piece = &piece[used..];
        }
        Ok(())
    }

    pub fn finish(&mut self, gate: &mut Gate) -> Result<(), Problem> {
        if self.begun.is_some() {
            self.step(&[], gate)?;
        }
        if self.header.is_none() {
            return Err(unreadable(1, "must be a header with the names of the columns"));
        }
        Ok(())
    }

    /// Reads on in the current row; an empty piece is the end of the file.
    fn step(&mut self, piece: &[u8], gate: &mut Gate) -> Result<usize, Problem> {
        let line = self.begun.unwrap_or(1);
        let (text, ends) = (&mut self.text[self.text_len..], &mut self.ends[self.ends_len..]);
        let (result, used, text_len, ends_len) = self.reader.read_record(piece, text, ends);
        self.count_lines(&piece[..used]);
        self.text_len += text_len;
        self.ends_len += ends_len;
        match result {
            ReadRecordResult::InputEmpty => {}
            ReadRecordResult::OutputFull => {
                let detail = format!("is longer than {LONGEST_ROW} bytes; is a quote left open?");
                return Err(unreadable(line, detail));
            }
            ReadRecordResult::OutputEndsFull => {
                return Err(unreadable(line, format!("has more than {MOST_CELLS} cells")));
            }
            ReadRecordResult::Record | ReadRecordResult::End => {
                if self.ends_len > 0 {
                    self.end_row(line, gate)?;
                }
                self.begun = None;
                (self.text_len, self.ends_len) = (0, 0);
            }
        }
        Ok(used)
    }

    fn count_lines(&mut self, read: &[u8]) {
        let newlines = read.split(|byte| *byte == b'\n').count() - 1;
        self.newlines = self.newlines.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
    }

    fn end_row(&mut self, line: u32, gate: &mut Gate) -> Result<(), Problem> {
        let mut cells = Vec::with_capacity(COLUMNS.len());
        let mut from = 0;
        for end in &self.ends[..self.ends_len] {
            cells.push(std::str::from_utf8(&self.text[from..*end]).map_err(|_| end));
            from = *end;
        }
        let cells: Result<Vec<&str>, &usize> = cells.into_iter().collect();
        let Ok(cells) = cells else {
            return match self.header {
                None => Err(unreadable(line, "is not UTF-8")),
                Some(_) => gate.take(line, Err(vec![wrong("is not UTF-8")])),
            };
        };
        match &self.header {
            None => self.header = Some(read_header(line, &cells)?),
            Some(header) if header.len() != cells.len() => {
                let detail = format!("has {} cells; the header has {}", cells.len(), header.len());
                gate.take(line, Err(vec![wrong(detail)]))?;
            }
            Some(header) => gate.take(line, Ok(read_row(header, &cells)))?,
        }
        Ok(())
    }
}

fn wrong(detail: impl Into<String>) -> ErrorItem {
    ErrorItem::at("", Code::ValidationFailed, detail)
}

/// What stands between the columns of a header that a program wrote which does not use commas.
fn separator_of(cells: &[&str]) -> Option<&'static str> {
    let known = |name: &str| COLUMNS.iter().any(|(column, _)| *column == name.trim());
    let separates = |separator: char| {
        cells
            .iter()
            .any(|cell| cell.contains(separator) && cell.split(separator).filter(|name| known(name)).count() > 1)
    };
    [(';', "semicolons"), ('\t', "tabs")].into_iter().find(|(sign, _)| separates(*sign)).map(|(_, word)| word)
}

/// Every unknown, repeated and missing column at once.
fn read_header(line: u32, cells: &[&str]) -> Result<Vec<&'static str>, Problem> {
    if let Some(separator) = separator_of(cells) {
        let detail = format!("is separated by {separator}; columns are separated by commas");
        return Err(unreadable(line, detail));
    }
    let mut errors = Vec::new();
    let mut names: Vec<&'static str> = Vec::with_capacity(cells.len());
    let mut refuse = |name: &str, detail: &str| {
        let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        errors.push(at_line(line, ErrorItem::at(pointer, Code::ValidationFailed, detail)));
    };
    for cell in cells {
        match COLUMNS.iter().find(|(name, _)| name == cell) {
            None => refuse(cell, "is not a known column"),
            Some((name, _)) if names.contains(name) => refuse(cell, "is there more than once"),
            Some((name, _)) => names.push(name),
        }
    }
    for (name, _) in COLUMNS.iter().filter(|(name, required)| *required && !names.contains(name)) {
        refuse(name, "is a required column");
    }
    if errors.is_empty() { Ok(names) } else { Err(Problem::listing(errors)) }
}

fn read_row(header: &[&'static str], cells: &[&str]) -> Json<ReceiveLot> {
    let mut lot = ReceiveLot::default();
    let mut v = Violations::default();
    for (name, cell) in header.iter().zip(cells).filter(|(_, cell)| !cell.is_empty()) {
        let text = || Some((*cell).to_owned());
        match *name {
            "pool" => lot.pool = text(),
            "sku" => lot.sku = text(),
            "create_sku" => lot.create_sku = read(&mut v, name, cell, "true or false", |cell| cell.parse().ok()),
            "lot_code" => lot.lot_code = text(),
            "quantity" => lot.quantity = read(&mut v, name, cell, "an integer", read_integer),
            "unit_cost" => lot.unit_cost = text(),
            "currency" => lot.currency = text(),
            "received_date" => lot.received_date = read(&mut v, name, cell, "a date, YYYY-MM-DD", read_date),
            "expires_date" => lot.expires_date = read(&mut v, name, cell, "a date, YYYY-MM-DD", read_date),
            "source" => lot.source = text(),
            _ => lot.source_ref = text(),
        }
    }
    Json { value: lot, violations: v }
}

fn read<T>(v: &mut Violations, name: &str, cell: &str, expected: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let value = read(cell);
    if value.is_none() {
        v.add(format!("/{name}"), format!("must be {expected}"));
    }
    value
}

/// An integer, written as JSON would.
fn read_integer(cell: &str) -> Option<i64> {
    cell.parse().ok().filter(|value: &i64| value.to_string() == cell)
}
