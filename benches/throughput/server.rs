//! Child processes that are measured: the real server, and the bare route that reads are compared with.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// What a child prints before its address, once it answers there.
pub const LISTENING: &str = "listening on http://";

const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// A child that listens.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Settings that the real server takes from this process's environment, as `NAME=value`: to try, say, other lanes.
pub fn settings() -> Vec<String> {
    std::env::vars()
        .filter(|(name, _)| name.starts_with("HOLDFAST_"))
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

/// Has the server do only what it is asked: where days are closed one by one, its own daily close would come first.
pub const NO_JOBS: (&str, &str) = ("HOLDFAST_JOBS_INTERVAL_MS", "0");

/// How the real server is started: everything that depends on its environment variables and its printed lines.
/// `settings` are names and values that the part needs.
///
/// # Errors
/// It does not start; its log's end is in the error.
pub async fn start_holdfast(
    database_url: &str,
    folder: &Path,
    name: &str,
    settings: &[(&str, &str)],
) -> anyhow::Result<(Server, String)> {
    let key_file = folder.join(format!("{name}.key"));
    // The nearest `.env` counts, and the project's own may not reconfigure what is measured.
    fs::write(folder.join(".env"), "")?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command
        .current_dir(folder)
        .env("DATABASE_URL", database_url)
        .env_remove("HOLDFAST_MIGRATION_DATABASE_URL")
        .env("HOLDFAST_LISTEN", "127.0.0.1:0")
        .env("HOLDFAST_ADMIN_KEY_FILE", &key_file)
        .envs(settings.iter().copied());
    let server = Server::start(command, folder.join(format!("{name}.log"))).await?;
    // Written at the first start on a database; later ones find it.
    let key = fs::read_to_string(&key_file).with_context(|| format!("no admin key in {}", key_file.display()))?;
    Ok((server, key.trim().to_owned()))
}

impl Server {
    /// Starts `command`, its output in `log`, and waits until it listens.
    ///
    /// # Errors
    /// It ends early or does not listen within a minute.
    pub async fn start(mut command: Command, log: PathBuf) -> anyhow::Result<Self> {
        let output = File::create(&log)?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {command:?}"))?;
        let begin = Instant::now();
        loop {
            let printed = fs::read_to_string(&log)?;
            if let Some(address) = listening_address(&printed) {
                return Ok(Self { child, address });
            }
            if let Some(status) = child.try_wait()? {
                bail!("the server ended with {status}\n{}", end_of(&printed));
            }
            if begin.elapsed() > START_LIMIT {
                bail!("the server does not listen after {START_LIMIT:?}\n{}", end_of(&printed));
            }
            sleep(POLL).await;
        }
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Asks it to end and waits for it.
    ///
    /// # Errors
    /// It has already ended, or does not end in time.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().context("the server has ended by itself")?;
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
        timeout(STOP_LIMIT, self.child.wait()).await.context("the server does not stop")??;
        Ok(())
    }
}

/// The address in the last complete line that names one.
fn listening_address(printed: &str) -> Option<SocketAddr> {
    let complete = &printed[..printed.rfind('\n')?];
    complete.lines().rev().find_map(|line| {
        let (_, address) = line.split_once(LISTENING)?;
        address.split(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').next()?.parse().ok()
    })
}

fn end_of(printed: &str) -> String {
    let lines: Vec<&str> = printed.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
