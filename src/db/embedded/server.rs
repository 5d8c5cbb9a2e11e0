//! Starting, adopting and stopping a cluster's server.
//!
//! Every function here expects its caller to hold the start lock (see [`super::share`]).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tracing::{info, warn};

use super::binaries::Binaries;
use super::error::At;
use super::home::Home;
use super::postmaster::{self, PidFile, Status};
use super::{EmbeddedError, Settings, log, parameters, socket};

/// A recovery replays up to `max_wal_size` and may take minutes on a slow disk; a healthy start
/// takes a tenth of a second.
const START_LIMIT: Duration = Duration::from_mins(5);
/// A fast shutdown writes what is in memory to the disk.
const STOP_LIMIT: Duration = Duration::from_mins(1);
/// How long the processes of a killed server may take to notice and go.
const LEFTOVERS_LIMIT: Duration = Duration::from_secs(5);
/// When the log tells what we wait for.
const NOTE_AFTER: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(4);

/// Adopts the server that runs on the folder, or starts one; gives the folder of its socket.
pub(super) fn ensure_running(home: &Home, binaries: &Binaries, settings: &Settings) -> Result<PathBuf, EmbeddedError> {
    let data = home.data();
    if let Some(file) = postmaster::running(&data) {
        if file.status == Status::Stopping {
            wait_until_gone(&data, file.pid)?;
        } else if let Some(folder) = wait_until_ready(home, file.pid, None)? {
            info!(pid = file.pid, "adopted the Postgres that was running");
            return Ok(folder);
        }
    }
    clear_stale_pid_file(home)?;

    let folder = socket::prepare(home, &settings.surroundings.temp_dir)?;
    let began = Instant::now();
    loop {
        let failure = match launch(home, binaries, settings, &folder)? {
            Started::Ready => return Ok(folder),
            Started::Failed(tail) => tail,
        };
        // The server was killed a moment ago and its children are still letting go of its memory.
        let leftovers = failure.contains("shared memory block") && failure.contains("still in use");
        if !leftovers || began.elapsed() > LEFTOVERS_LIMIT {
            return Err(EmbeddedError::Start { log: home.log(), tail: failure });
        }
        sleep(Duration::from_millis(50));
    }
}

enum Started {
    Ready,
    /// It ended before it was ready; with what it logged.
    Failed(String),
}

/// Starts the server itself, not `pg_ctl`: that one looks only ten times a second.
fn launch(home: &Home, binaries: &Binaries, settings: &Settings, folder: &Path) -> Result<Started, EmbeddedError> {
    let (log, log_begin) = log::open(home)?;
    let program = binaries.program("postgres");
    let mut command = home.account.command(&program);
    command.arg("-D").arg(home.data()).arg("-k").arg(folder).arg("-p").arg(socket::PORT.to_string());
    command.args(parameters::arguments(settings, &binaries.configure(&home.account)));
    command.stdout(log.try_clone().at("open", &home.log())?).stderr(log);

    let mut child = command.spawn().at("run", &program)?;
    let pid = i32::try_from(child.id()).unwrap_or_default();
    let ready = wait_until_ready(home, pid, Some(&mut child));
    collect(child);
    if ready?.is_none() {
        return Ok(Started::Failed(log::tail(home, log_begin)));
    }
    info!(pid, version = %binaries.version, socket = %folder.display(), durable = settings.durable, "started Postgres");
    Ok(Started::Ready)
}

/// Waits for a child's end beside us, so that it leaves no zombie whoever stops it.
pub(super) fn collect(mut child: Child) {
    let wait = move || child.wait().map(|_: ExitStatus| ());
    if let Err(error) = thread::Builder::new().name("child-wait".to_owned()).stack_size(64 * 1024).spawn(wait) {
        warn!(%error, "cannot wait for a child process; it will be a zombie once it ends");
    }
}

/// The folder of the server's socket once it takes connections; `None` if it ended instead.
fn wait_until_ready(home: &Home, pid: i32, mut child: Option<&mut Child>) -> Result<Option<PathBuf>, EmbeddedError> {
    let data = home.data();
    let began = Instant::now();
    let mut noted = false;
    loop {
        let ended = match child.as_mut() {
            Some(child) => child.try_wait().at("wait for", &data)?.is_some(),
            None => !postmaster::is_postmaster_of(pid, &data),
        };
        if ended {
            return Ok(None);
        }
        let file = PidFile::read(&data).filter(|file| file.pid == pid && file.status == Status::Ready);
        if let Some(folder) = file.and_then(|file| file.socket_folder)
            && socket::answers(&folder)
        {
            return Ok(Some(folder));
        }
        if began.elapsed() > START_LIMIT {
            return Err(EmbeddedError::NotReady { log: home.log(), seconds: START_LIMIT.as_secs() });
        }
        if began.elapsed() > NOTE_AFTER && !noted {
            info!(pid, log = %home.log().display(), "Postgres is still starting, most likely recovering after a crash");
            noted = true;
        }
        sleep(POLL);
    }
}

/// Decides about the pid file of a server that is not there.
///
/// Postgres refuses to start when the file's number exists for its account, be it another program's
/// by now or that of a zombie that nobody collects, as in many containers. Then the file goes, once
/// no process works in the folder. Otherwise it stays: Postgres reads in it which shared memory to
/// look at for children of the dead server. (It finds them without it too, by the folder's inode.)
fn clear_stale_pid_file(home: &Home) -> Result<(), EmbeddedError> {
    let data = home.data();
    let Some(file) = PidFile::read(&data) else {
        return Ok(());
    };
    refuse_served_elsewhere(home, &file)?;
    let began = Instant::now();
    while postmaster::is_taken(file.pid) && began.elapsed() < LEFTOVERS_LIMIT {
        if !postmaster::anybody_in(&data) {
            info!(pid = file.pid, "removing a stale postmaster.pid: its number is not the server's any more");
            let path = PidFile::path(&data);
            return fs::remove_file(&path).at("remove", &path);
        }
        sleep(POLL);
    }
    Ok(())
}

/// Process numbers and shared memory end at a container's wall; a folder that two containers share
/// would get two servers. The socket shows the other one: it answers through the file.
fn refuse_served_elsewhere(home: &Home, file: &PidFile) -> Result<(), EmbeddedError> {
    let answers = || file.socket_folder.as_deref().is_some_and(socket::answers);
    if answers() {
        // A child of a server killed this instant may hold the socket until it notices.
        sleep(Duration::from_millis(200));
        if answers() {
            return Err(EmbeddedError::ServedElsewhere { root: home.root.clone() });
        }
    }
    Ok(())
}

/// Stops the server of `data`, if one runs, the fast way: sessions are ended, data is flushed.
pub(super) fn stop(data: &Path) -> Result<(), EmbeddedError> {
    let Some(file) = postmaster::running(data) else {
        return Ok(());
    };
    // It may end by itself in between, which is as good.
    let _ = kill(Pid::from_raw(file.pid), Signal::SIGINT);
    wait_until_gone(data, file.pid)?;
    info!(pid = file.pid, "stopped Postgres");
    Ok(())
}

/// Waits for the end of the process; its pid file goes a moment earlier. A zombie counts as ended.
fn wait_until_gone(data: &Path, pid: i32) -> Result<(), EmbeddedError> {
    let began = Instant::now();
    while postmaster::is_postmaster_of(pid, data) {
        if began.elapsed() > STOP_LIMIT {
            let seconds = STOP_LIMIT.as_secs();
            return Err(EmbeddedError::NotStopped { pid, seconds });
        }
        sleep(POLL);
    }
    Ok(())
}
