//! From bytes, in whatever pieces they come, to rows with line numbers.

use super::check::Gate;
use super::csv::Csv;
use super::{LONGEST_ROW, unreadable};
use crate::http::body;
use crate::http::code::Code;
use crate::http::problem::{ErrorItem, Problem};

/// A file in one of the forms.
pub(super) enum Reader {
    Csv(Box<Csv>),
    Lines(Lines),
}

impl Reader {
    /// The reader for a content type.
    pub fn of(content_type: &str) -> Result<Self, Problem> {
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match &*essence {
            "text/csv" => Ok(Self::Csv(Box::default())),
            "application/x-ndjson" => Ok(Self::Lines(Lines::default())),
            _ => Err(Problem::new(
                Code::UnsupportedMediaType,
                "Send the file as text/csv, with a header, or as application/x-ndjson, an object a line.",
            )),
        }
    }

    /// Hands the rows that end in this piece to the gate.
    pub fn feed(&mut self, piece: &[u8], gate: &mut Gate) -> Result<(), Problem> {
        match self {
            Self::Csv(csv) => csv.feed(piece, gate),
            Self::Lines(lines) => lines.feed(piece, gate),
        }
    }

    /// Hands over what ends with the file.
    pub fn finish(&mut self, gate: &mut Gate) -> Result<(), Problem> {
        match self {
            Self::Csv(csv) => csv.finish(gate),
            Self::Lines(lines) => lines.finish(gate),
        }
    }
}

/// NDJSON: each line is the body of a `POST /lots`. Empty lines are passed over.
#[derive(Debug, Default)]
pub(super) struct Lines {
    ended: u32,
    begun: Vec<u8>,
}

impl Lines {
    fn feed(&mut self, piece: &[u8], gate: &mut Gate) -> Result<(), Problem> {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.begun.len() + part.len() > LONGEST_ROW {
                return Err(unreadable(self.ended + 1, format!("is longer than {LONGEST_ROW} bytes")));
            }
            self.begun.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.end_line(gate)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, gate: &mut Gate) -> Result<(), Problem> {
        self.end_line(gate)
    }

    fn end_line(&mut self, gate: &mut Gate) -> Result<(), Problem> {
        self.ended += 1;
        let mut line = self.begun.trim_ascii();
        if self.ended == 1 {
            // Some editors begin a file with a byte order mark; of CSV it is passed over, too.
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line).trim_ascii();
        }
        if !line.is_empty() {
            let row = body::read(line).map_err(|problem| match problem.errors {
                none if none.is_empty() => vec![ErrorItem::at("", problem.code, problem.detail)],
                errors => errors,
            });
            gate.take(self.ended, row)?;
        }
        self.begun.clear();
        Ok(())
    }
}
