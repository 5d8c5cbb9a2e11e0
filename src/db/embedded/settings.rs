//! What an embedded server is told, and the one place where the environment is read.

use std::path::{Path, PathBuf};
use std::{env, ffi::OsString};

/// How long the server outlives its last user when that user gave no notice.
///
/// Long enough for one test binary to end and the next to begin, short enough that nobody finds a
/// forgotten server.
const LINGER_SECONDS: u64 = 5;

/// What an embedded server is told. [`Settings::from_env`] gives the defaults of a real service.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder that holds the cluster, its socket, its log and its locks, say `./data/postgres`.
    ///
    /// It is made if it is absent, belongs to the server's account, and must hold nothing else.
    pub root: PathBuf,
    /// `true` keeps every promise of a commit. `false` is for throwaway test clusters alone: it
    /// switches `fsync`, `full_page_writes` and `synchronous_commit` off.
    ///
    /// A folder keeps the kind it was made with; the other kind is refused.
    pub durable: bool,
    /// The only folder to look for `postgres` and `initdb` in (`HOLDFAST_PG_BIN`); `None` searches.
    pub bin_dir: Option<PathBuf>,
    /// More server settings, each passed as `-c name=value`. They win over ours. A server that is
    /// already running keeps those that it was started with.
    pub parameters: Vec<(String, String)>,
    /// The program that understands `pg-reaper --root <dir> --linger-seconds <n>`; `None` is this
    /// program. Integration tests name the service's binary, because theirs does not understand it.
    pub reaper_exe: Option<PathBuf>,
    /// How long the reaper waits, after the last user is gone without a [`stop`](super::Embedded::stop),
    /// before it stops the server. The first reaper of a folder decides.
    pub linger_seconds: u64,
    /// What the machine says about itself.
    pub surroundings: Surroundings,
}

impl Settings {
    /// A durable cluster in `root`, the rest taken from the environment.
    #[must_use]
    pub fn from_env(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            durable: true,
            bin_dir: variable("HOLDFAST_PG_BIN").map(PathBuf::from),
            parameters: Vec::new(),
            reaper_exe: None,
            linger_seconds: LINGER_SECONDS,
            surroundings: Surroundings::from_env(),
        }
    }
}

/// What the environment says about the machine, read once.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The folders of `PATH`.
    pub search_path: Vec<PathBuf>,
    /// `TMPDIR`, or `/tmp`: holds the socket when the path of `root` is too long for one.
    pub temp_dir: PathBuf,
    /// Where downloaded binaries are kept for an ordinary user (`XDG_CACHE_HOME`, or
    /// `~/.cache`); `None` keeps them beside the cluster.
    pub cache_dir: Option<PathBuf>,
    /// Who called `sudo` (`SUDO_UID`), if anybody did.
    pub sudo_uid: Option<u32>,
}

impl Surroundings {
    /// Reads `PATH`, `TMPDIR`, `XDG_CACHE_HOME`, `HOME` and `SUDO_UID`.
    #[must_use]
    pub fn from_env() -> Self {
        let search_path = variable("PATH")
            .map(|path| env::split_paths(&path).filter(|p| p.is_absolute()).collect())
            .unwrap_or_default();
        let cache_dir = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
        Self {
            search_path,
            temp_dir: absolute("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp")),
            cache_dir,
            sudo_uid: variable("SUDO_UID").and_then(|uid| uid.to_str()?.parse().ok()),
        }
    }
}

/// A variable that is set to something: an empty one counts as absent, as in a shell's `${X:-}`.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn absolute(name: &str) -> Option<PathBuf> {
    variable(name).map(PathBuf::from).filter(|path: &PathBuf| Path::is_absolute(path))
}
