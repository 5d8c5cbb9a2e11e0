//! How many processes share one server: two locks that the kernel drops with their process.
//!
//! - `start.lock`, exclusive: held while the folder changes its state (making a cluster, starting,
//!   adopting, stopping). Always taken first.
//! - `users.lock`, shared: held by each user for as long as it uses the server. Whoever can take
//!   it exclusively, under the start lock, knows that nobody uses the server.
//!
//! A `kill -9` of a service therefore leaves nothing to clean: its lock is gone with it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tracing::info;

use super::error::At;
use super::home::Home;
use super::{EmbeddedError, StopOutcome, server};

pub(super) const START_LOCK: &str = "start.lock";
pub(super) const USERS_LOCK: &str = "users.lock";

/// Longer than a download and a start together may take.
const LIMIT: Duration = Duration::from_mins(11);
/// When the log tells why nothing seems to happen.
const NOTE_AFTER: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(4);

/// A lock file, and where it lies.
#[derive(Debug)]
pub(super) struct LockFile {
    file: File,
    path: PathBuf,
}

impl LockFile {
    pub fn open(home: &Home, name: &str) -> Result<Self, EmbeddedError> {
        let path = home.root.join(name);
        Ok(Self { file: home.open(&path)?, path })
    }

    /// Opens one that exists: the reaper makes nothing in a folder that may be going away.
    pub fn open_existing(root: &Path, name: &str) -> io::Result<Self> {
        let path = root.join(name);
        Ok(Self { file: File::open(&path)?, path })
    }

    /// Takes it for ourselves alone, if nobody else has it.
    pub fn try_alone(&self) -> bool {
        self.file.try_lock().is_ok()
    }

    pub fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }

    /// Whether the path still names the file that we opened. After a `cargo clean` it may name
    /// another one, with other users, or none; our lock then says nothing about that server.
    pub fn is_current(&self) -> bool {
        match (self.file.metadata(), fs::metadata(&self.path)) {
            (Ok(ours), Ok(theirs)) => ours.dev() == theirs.dev() && ours.ino() == theirs.ino(),
            _ => false,
        }
    }

    fn join(&self) -> Result<(), EmbeddedError> {
        self.file.lock_shared().at("lock", &self.path)
    }
}

/// Waits for the start lock. It is released when the value is dropped.
pub(super) fn lock_start(home: &Home) -> Result<LockFile, EmbeddedError> {
    let began = Instant::now();
    let mut noted = false;
    loop {
        let lock = LockFile::open(home, START_LOCK)?;
        // A polled try and not a wait: it ends when the other side never does.
        if lock.try_alone() && lock.is_current() {
            return Ok(lock);
        }
        if began.elapsed() > LIMIT {
            return Err(EmbeddedError::Busy { root: home.root.clone(), seconds: LIMIT.as_secs() });
        }
        if began.elapsed() > NOTE_AFTER && !noted {
            info!(root = %home.root.display(), "waiting for another process to start or stop Postgres");
            noted = true;
        }
        sleep(POLL);
    }
}

/// Becomes a user of the server. The caller holds the start lock.
pub(super) fn join(home: &Home) -> Result<LockFile, EmbeddedError> {
    let users = LockFile::open(home, USERS_LOCK)?;
    users.join()?;
    Ok(users)
}

/// Ends the use of the server, and stops it if it was the last.
///
/// Under the start lock: nobody can adopt a server that is about to stop, and of two that leave at
/// once exactly one is the last.
pub(super) fn leave(home: &Home, users: LockFile) -> Result<StopOutcome, EmbeddedError> {
    // The folder was deleted or replaced. A server whose pid file is gone notices within a minute
    // and ends by itself.
    if !users.is_current() {
        return Ok(StopOutcome::LeftRunning);
    }
    let _start = lock_start(home)?;
    users.unlock().at("unlock", &users.path)?;
    if users.try_alone() {
        server::stop(&home.data())?;
        return Ok(StopOutcome::Stopped);
    }
    drop(users);
    Ok(StopOutcome::LeftRunning)
}

#[cfg(test)]
mod tests {
    use super::super::account::Account;
    use super::*;

    #[test]
    fn alone_means_no_other_user_and_a_replaced_file_is_noticed() {
        let root = std::env::temp_dir().join(format!("holdfast-share-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let home = Home { root: root.clone(), account: Account::current() };
        let first = join(&home).unwrap();
        let second = join(&home).unwrap();
        first.unlock().unwrap();
        assert!(!first.try_alone(), "the second still uses it");
        second.unlock().unwrap();
        assert!(first.try_alone());
        assert!(first.is_current());
        fs::remove_file(root.join(USERS_LOCK)).unwrap();
        assert!(!first.is_current());
        let third = join(&home).unwrap();
        assert!(!first.is_current() && third.is_current());
        fs::remove_dir_all(root).unwrap();
    }
}
