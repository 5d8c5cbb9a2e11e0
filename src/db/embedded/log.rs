//! The server's own log: a plain file that is kept from growing for ever.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};

use super::EmbeddedError;
use super::error::At;
use super::home::Home;

/// Beyond this a start moves the log aside, in place of the one before.
const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How much of it an error shows.
const TAIL_BYTES: usize = 2000;

/// Opens the log for appending, and tells where this start's part begins.
pub(super) fn open(home: &Home) -> Result<(File, u64), EmbeddedError> {
    let path = home.log();
    let size = || fs::metadata(&path).map_or(0, |log| log.len());
    if size() > BYTES_MAX {
        fs::rename(&path, home.root.join("server.log.old")).at("move aside", &path)?;
    }
    let begin = size();
    Ok((home.open(&path)?, begin))
}

/// What was logged since `begin`, the last part of it. Its own absence is no error worth more than
/// the one that is being reported.
pub(super) fn tail(home: &Home, begin: u64) -> String {
    let mut bytes = Vec::new();
    let read = File::open(home.log()).and_then(|mut log| {
        log.seek(SeekFrom::Start(begin))?;
        log.read_to_end(&mut bytes)
    });
    match read {
        Ok(0) => "(it logged nothing)".to_owned(),
        Ok(_) => String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]).trim_end().to_owned(),
        Err(error) => format!("({error})"),
    }
}
