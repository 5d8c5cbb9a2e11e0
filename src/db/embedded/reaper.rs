//! Stops a server whose users are all gone without having said so.
//!
//! A killed service, a Ctrl-C in the middle of the tests, a test binary that just ends: none of
//! them stops the server. The reaper does, as a process of its own, because it must outlive them.
//! It is this program again (`holdfast pg-reaper`), one a folder, asleep most of the time. The
//! linger lets one test binary after the other use the same server.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tracing::warn;

use super::account::detached;
use super::home::Home;
use super::share::{LockFile, START_LOCK, USERS_LOCK};
use super::{EmbeddedError, Settings, log, postmaster, server};

/// Held by the one reaper of a folder, for its whole life.
const REAPER_LOCK: &str = "reaper.lock";
const POLL: Duration = Duration::from_millis(250);

/// Starts a reaper. It is a convenience: a failure is logged, and no reason not to start.
///
/// The caller holds the start lock and is a user already. A reaper ends only while it holds both
/// locks itself, so one that lives now will also watch over the server that is about to start.
pub(super) fn spawn(home: &Home, settings: &Settings) {
    if let Err(error) = try_spawn(home, settings) {
        warn!(%error, "no reaper: if this process is killed, its Postgres keeps running");
    }
}

fn try_spawn(home: &Home, settings: &Settings) -> Result<(), Box<dyn std::error::Error>> {
    let sole = LockFile::open(home, REAPER_LOCK)?;
    if !sole.try_alone() {
        return Ok(());
    }
    // Said aloud: a process being forked at this moment by another thread keeps the file open.
    sole.unlock()?;
    let program = match &settings.reaper_exe {
        Some(program) => std::path::absolute(program)?,
        None => std::env::current_exe()?,
    };
    let (log, _) = log::open(home)?;
    let mut command = detached(&program);
    command.arg("pg-reaper").arg("--root").arg(&home.root);
    command.arg("--linger-seconds").arg(settings.linger_seconds.to_string());
    server::collect(command.stdout(Stdio::null()).stderr(log).spawn()?);
    Ok(())
}

/// The body of the hidden subcommand `pg-reaper`: returns when the server is stopped, when it has
/// stopped by itself, when the folder is gone, or at once when the folder has a reaper.
///
/// # Errors
///
/// When the folder is not one of an embedded server, or the server does not stop.
pub fn run_reaper(root: &Path, linger: Duration) -> io::Result<()> {
    let sole = LockFile::open_existing(root, REAPER_LOCK)?;
    if !sole.try_alone() {
        return Ok(());
    }
    let start = LockFile::open_existing(root, START_LOCK)?;
    let users = LockFile::open_existing(root, USERS_LOCK)?;
    let data = root.join("data");
    let mut idle_since: Option<Instant> = None;
    while users.is_current() && start.is_current() {
        // A start or stop is under way: whoever does it is a user, or stops the server itself.
        if start.try_alone() {
            if users.try_alone() {
                let idle = idle_since.get_or_insert_with(Instant::now).elapsed();
                if idle >= linger || postmaster::running(&data).is_none() {
                    server::stop(&data).map_err(|error: EmbeddedError| io::Error::other(error))?;
                    // Before the start lock: the next user's reaper must find this one gone.
                    return sole.unlock();
                }
                users.unlock()?;
            } else {
                idle_since = None;
            }
            start.unlock()?;
        }
        sleep(POLL);
    }
    Ok(())
}
