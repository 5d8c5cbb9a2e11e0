//! The service as a child process: started, asked to stop, killed, started again.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinSet;

use super::db::TestDb;

/// A fresh folder for one test, below the target folder.
pub fn folder(name: &str) -> PathBuf {
    let folder =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", holdfast::ids::new_uuid().simple()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Environment of a service on a test's database, as the role it should run as.
pub async fn on_test_db(db: &TestDb, folder: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("DATABASE_URL", db.url("holdfast_app").await),
        ("HOLDFAST_MIGRATION_DATABASE_URL", db.url("postgres").await),
        ("HOLDFAST_ALLOW_UNSAFE_DATABASE", "true".to_owned()),
        ("HOLDFAST_ADMIN_KEY_FILE", folder.join("admin.key").display().to_string()),
    ]
}

/// The program with this environment and no other setting; `folder` is where it stands and logs.
fn program(folder: &Path, env: &[(&str, String)], arguments: &[&str]) -> Command {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("service.log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::null()).stderr(log).kill_on_drop(true);
    for kept in ["PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME", "HOLDFAST_PG_BIN"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command.env("HOLDFAST_LOG", "warn").env("HOLDFAST_LISTEN", "127.0.0.1:0");
    for (name, value) in env {
        command.env(name, value);
    }
    command
}

/// Runs one command of the program to its end.
pub async fn run(folder: &Path, env: &[(&str, String)], arguments: &[&str]) -> Output {
    let mut command = program(folder, env, arguments);
    command.stderr(Stdio::piped()).output().await.unwrap()
}

/// Starts one command of the program and lets it run.
pub fn spawn(folder: &Path, env: &[(&str, String)], arguments: &[&str]) -> Child {
    program(folder, env, arguments).stdout(Stdio::null()).spawn().unwrap()
}

/// Starts the program, asks it to stop once `reached` is done (which is given its log), and waits for its end.
pub async fn stop_while_starting(
    folder: &Path,
    env: &[(&str, String)],
    reached: impl AsyncFnOnce(&mut Lines<BufReader<ChildStderr>>),
) -> ExitStatus {
    let mut command = program(folder, env, &[]);
    command.env("HOLDFAST_LOG", "info").stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let ended = async {
        reached(&mut log).await;
        kill(Pid::from_raw(i32::try_from(child.id().expect("it runs")).unwrap()), Signal::SIGTERM).unwrap();
        // What it goes on to log must have somewhere to go.
        let mut stderr = JoinSet::new();
        stderr.spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        child.wait().await.unwrap()
    };
    tokio::time::timeout(Duration::from_mins(1), ended).await.expect("ends within a minute")
}

/// A running service.
pub struct Service {
    child: Child,
    pub base: String,
    folder: PathBuf,
    _stdout: JoinSet<()>,
}

impl Service {
    /// Starts it and waits until it listens.
    pub async fn start(folder: &Path, env: &[(&str, String)]) -> Self {
        let mut child = program(folder, env, &[]).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(base) = line.strip_prefix("listening on ") {
                    return base.to_owned();
                }
            }
            panic!("it ended before it listened: {}", log_of(folder));
        };
        let base = tokio::time::timeout(Duration::from_mins(1), listening).await.expect("listens within a minute");
        // What it goes on to print must have somewhere to go.
        let mut stdout = JoinSet::new();
        stdout.spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, base, folder: folder.to_path_buf(), _stdout: stdout }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id().expect("it runs")).unwrap())
    }

    /// `kill -9`, in the middle of whatever it is doing.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        kill(self.pid(), Signal::SIGTERM).unwrap();
    }

    /// Waits for its end, 30 seconds at most; fails if it panicked on the way.
    pub async fn ended(mut self) -> ExitStatus {
        let ended = tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await;
        let log = log_of(&self.folder);
        assert!(!log.contains("panicked"), "{log}");
        ended.unwrap_or_else(|_| panic!("it does not end: {log}")).unwrap()
    }

    /// Stops it in order.
    pub async fn stop(self) {
        self.terminate();
        let status = self.ended().await;
        assert!(status.success(), "{status}");
    }

    /// Fails unless it is still the process that was started.
    pub fn expect_running(&mut self) {
        assert_eq!(self.child.try_wait().unwrap(), None, "{}", log_of(&self.folder));
    }
}

fn log_of(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("service.log")).unwrap_or_default()
}

/// The first admin key.
pub fn admin_key(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap().trim().to_owned()
}

/// `kill -9` of the Postgres on this folder: the server and every process of it.
pub fn kill_postgres(data: &Path) {
    let pid_file = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
    let postmaster: i32 = pid_file.lines().next().unwrap().parse().unwrap();
    assert!(postmaster > 1 && std::fs::read_link(format!("/proc/{postmaster}/cwd")).unwrap() == data);
    let children: Vec<i32> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| parent_of(*pid) == Some(postmaster))
        .collect();
    kill(Pid::from_raw(postmaster), Signal::SIGKILL).unwrap();
    for child in children {
        // One that ended meanwhile is as dead as it should be.
        kill(Pid::from_raw(child), Signal::SIGKILL).ok();
    }
}

/// `4711 (name) S 1 …`: the parent is the second field behind the name.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
