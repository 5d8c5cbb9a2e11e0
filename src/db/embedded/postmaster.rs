//! Which server, if any, runs on a data folder: `postmaster.pid`, and whether to believe it.
//!
//! The file outlives a killed server, and process numbers are used again, so a number that exists
//! proves nothing: the process must be a Postgres of the folder's owner with the folder as its
//! current folder. Zombies count as gone.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::account::detached;

/// How far a server is, in the words of its pid file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Starting,
    Ready,
    Stopping,
}

/// The lines of `postmaster.pid` that matter (named in the server's `miscadmin.h`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PidFile {
    pub pid: i32,
    pub socket_folder: Option<PathBuf>,
    pub status: Status,
}

impl PidFile {
    pub fn path(data: &Path) -> PathBuf {
        data.join("postmaster.pid")
    }

    /// The data folder's pid file, if there is one that makes sense.
    pub fn read(data: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(Self::path(data)).ok()?)
    }

    /// Lines: number, data folder, start time, port, socket folder, address, shared memory, status.
    ///
    /// They are written one after the other while the server starts, so the later ones may be
    /// absent. A negative number is a single-user backend's; to signal it, or 1, would be to
    /// signal something else altogether.
    fn parse(text: &str) -> Option<Self> {
        let line = |number: usize| text.lines().nth(number - 1).map(str::trim).filter(|line| !line.is_empty());
        let pid: i32 = line(1)?.parse().ok()?;
        let status = match line(8) {
            Some("ready") => Status::Ready,
            Some("stopping") => Status::Stopping,
            _ => Status::Starting,
        };
        (pid > 1).then(|| Self { pid, socket_folder: line(5).map(PathBuf::from), status })
    }
}

/// The server that runs on `data`, as its pid file tells and the process list confirms.
pub(super) fn running(data: &Path) -> Option<PidFile> {
    PidFile::read(data).filter(|file| is_postmaster_of(file.pid, data))
}

/// Whether the process `pid` is the server of `data`.
pub(super) fn is_postmaster_of(pid: i32, data: &Path) -> bool {
    let Some(process) = Process::find(pid) else {
        return false;
    };
    if process.name != "postgres" && process.name != "postmaster" {
        return false;
    }
    let owner = fs::metadata(data).ok().map(|folder| folder.uid());
    if process.uid.is_some() && process.uid != owner {
        return false;
    }
    // Root in a container often may not read this link of another account's process. The name and
    // the owner then have to do; the caller asks the socket as well.
    fs::read_link(format!("/proc/{pid}/cwd")).map_or(true, |folder| folder == data)
}

/// Whether any process has `data` as its current folder, as each Postgres process has.
///
/// Where there is no `/proc` the answer is no, and Postgres's own check of the shared memory that
/// the pid file names is the guard.
pub(super) fn anybody_in(data: &Path) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    processes.flatten().any(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|folder| folder == data))
}

/// Whether the number belongs to any process, a zombie included: what Postgres itself asks.
pub(super) fn is_taken(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

/// What can be learnt about a living process of any account.
#[derive(Debug, PartialEq, Eq)]
struct Process {
    name: String,
    uid: Option<u32>,
}

impl Process {
    fn find(pid: i32) -> Option<Self> {
        if Path::new("/proc/self/stat").exists() { Self::from_proc(pid) } else { Self::from_ps(pid) }
    }

    fn from_proc(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let uid = fs::metadata(format!("/proc/{pid}")).ok()?.uid();
        Self::parse_stat(&text).map(|name| Self { name, uid: Some(uid) })
    }

    /// `4711 (postgres) S 1 …`: the name may itself hold blanks and parentheses.
    fn parse_stat(text: &str) -> Option<String> {
        let (name, rest) = text.split_once('(')?.1.rsplit_once(')')?;
        let state = rest.trim_start().chars().next()?;
        (!matches!(state, 'Z' | 'X')).then(|| name.to_owned())
    }

    /// macOS has no `/proc`.
    fn from_ps(pid: i32) -> Option<Self> {
        let mut ps: Command = detached(Path::new("/bin/ps"));
        let output =
            ps.arg("-p").arg(pid.to_string()).args(["-o", "stat=", "-o", "uid=", "-o", "comm="]).output().ok()?;
        Self::parse_ps(&String::from_utf8_lossy(&output.stdout))
    }

    /// `Ss   501 /opt/homebrew/bin/postgres`
    fn parse_ps(text: &str) -> Option<Self> {
        let (state, rest) = text.trim().split_once(char::is_whitespace)?;
        let (uid, command) = rest.trim_start().split_once(char::is_whitespace)?;
        let name = Path::new(command.trim()).file_name()?.to_string_lossy().into_owned();
        (!state.starts_with('Z')).then(|| Self { name, uid: uid.parse().ok() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = "4711\n/srv/pg/data\n1763700000\n5432\n/srv/pg/run\n\n  5570562   1234\nready   \n";

    #[test]
    fn a_whole_pid_file() {
        let file = PidFile::parse(READY).unwrap();
        assert_eq!(file, PidFile { pid: 4711, socket_folder: Some("/srv/pg/run".into()), status: Status::Ready });
        assert_eq!(PidFile::parse(&READY.replace("ready", "stopping")).unwrap().status, Status::Stopping);
    }

    #[test]
    fn a_pid_file_cut_anywhere_is_never_ready_and_never_panics() {
        for end in 0..READY.trim_end().len() {
            let cut = PidFile::parse(&READY[..end]);
            assert!(cut.is_none_or(|file| file.status == Status::Starting), "cut at {end}");
        }
    }

    #[test]
    fn a_number_that_must_not_be_signalled_is_no_server() {
        for text in ["", "\n", "0\n", "1\n", "-1\n", "-4711\n", "99999999999\n", "postgres\n"] {
            assert_eq!(PidFile::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn zombies_are_dead_and_odd_names_are_read() {
        assert_eq!(Process::parse_stat("7 (postgres) S 1 7 7"), Some("postgres".to_owned()));
        assert_eq!(Process::parse_stat("7 (a) b (c) R 1 7 7"), Some("a) b (c".to_owned()));
        assert_eq!(Process::parse_stat("7 (postgres) Z 1 7 7"), None);
        let process = Process { name: "postgres".to_owned(), uid: Some(501) };
        assert_eq!(Process::parse_ps("Ss   501 /opt/homebrew/bin/postgres\n"), Some(process));
        assert_eq!(Process::parse_ps("Z   501 (postgres)\n"), None);
        assert_eq!(Process::parse_ps(""), None);
    }

    #[test]
    fn proc_and_ps_say_the_same() {
        let ourselves = i32::try_from(std::process::id()).unwrap();
        if let (Some(proc), Some(ps)) = (Process::from_proc(ourselves), Process::from_ps(ourselves)) {
            // The kernel keeps 15 bytes of a name.
            assert!(ps.name.starts_with(&proc.name), "{proc:?} {ps:?}");
            assert_eq!(proc.uid, ps.uid);
        }
    }

    #[test]
    fn a_living_stranger_is_not_the_server() {
        let ourselves = i32::try_from(std::process::id()).unwrap();
        assert!(is_taken(ourselves));
        assert!(!is_postmaster_of(ourselves, Path::new("/")));
    }
}
