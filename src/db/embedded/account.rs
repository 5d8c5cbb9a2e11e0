//! Which unix account runs the server, and how a program is run as it.
//!
//! Postgres refuses to run as root, and a container's service often is root. Then the server runs
//! as the first account that can really use the folder. `Command::uid` and `Command::gid` are
//! enough for that (std clears the supplementary groups by itself): no `sudo`, `su`, `setpriv` or
//! `unsafe`. The account must be in passwd, because initdb refuses a number without a name.
//!
//! Whatever else runs as that account can read and change the data, which is why `nobody` and
//! `daemon` come last. A production server belongs behind `DATABASE_URL`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User, geteuid};

/// Accounts that commonly exist and own nothing, in the order that we would rather have them.
const SPARE_ACCOUNTS: [&str; 3] = ["postgres", "nobody", "daemon"];

/// Enough for what Postgres and our probes start by name.
const PROGRAM_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A unix account that programs can be run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub uid: u32,
    pub gid: u32,
    pub name: String,
    /// We are root and must become it; otherwise it is ourselves.
    pub switch: bool,
}

impl Account {
    /// The account of this process.
    pub fn current() -> Self {
        let uid = geteuid();
        Self { uid: uid.as_raw(), gid: nix::unistd::getegid().as_raw(), name: name_of(uid.as_raw()), switch: false }
    }

    /// The accounts that root may hand the server to, best first.
    ///
    /// `owners` are those of folders that exist already; the caller of `sudo` and the owner of the
    /// current folder come next, because they will want to read and delete what is made there.
    pub fn for_root(owners: &[u32], sudo_uid: Option<u32>) -> Vec<Self> {
        let here = fs::metadata(".").ok().map(|folder| folder.uid());
        let uids = owners.iter().copied().chain(sudo_uid).chain(here);
        let mut users: Vec<User> = uids.filter_map(|uid| User::from_uid(Uid::from_raw(uid)).ok()?).collect();
        users.extend(SPARE_ACCOUNTS.iter().filter_map(|name| User::from_name(name).ok()?));

        let mut accounts: Vec<Self> = Vec::new();
        for user in users {
            let account = Self { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name: user.name, switch: true };
            if account.uid != 0 && !accounts.contains(&account) {
                accounts.push(account);
            }
        }
        accounts
    }

    /// A command that runs as this account, with an environment of its own.
    ///
    /// The service's environment holds secrets, and any process of the same account can read a
    /// server's environment. It also may hold `PGDATA`, `PGOPTIONS` and the like, which are meant
    /// for somebody else's server. `C` and `UTC` keep messages and logs the same everywhere.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = detached(program);
        if self.switch {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Whether the account can reach `folder`, which needs every folder above to let it through.
    pub fn can_enter(&self, folder: &Path) -> bool {
        self.shell_agrees(r#"cd "$1""#, folder)
    }

    /// Whether the account can really write in `folder`: permissions alone do not tell (read-only
    /// mounts, squashed network folders, user namespaces).
    pub fn can_write(&self, folder: &Path) -> bool {
        self.shell_agrees(r#"f="$1/.probe.$$" && : > "$f" && rm -f "$f""#, folder)
    }

    fn shell_agrees(&self, script: &str, folder: &Path) -> bool {
        let mut shell = self.command(Path::new("/bin/sh"));
        shell.arg("-c").arg(script).arg("sh").arg(folder).stdout(Stdio::null()).stderr(Stdio::null());
        shell.status().is_ok_and(|status| status.success())
    }
}

/// A command that owes nothing to our environment, terminal or current folder.
///
/// Its own process group keeps a Ctrl-C to the service: the service then stops the server in order.
pub(super) fn detached(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", PROGRAM_PATH).env("HOME", "/").env("LC_ALL", "C").env("TZ", "UTC");
    command.current_dir("/").stdin(Stdio::null()).process_group(0);
    command
}

/// Whether this process is root, so that the server needs another account.
pub(super) fn is_root() -> bool {
    geteuid().is_root()
}

/// The account's name, or its number where passwd has none.
pub(super) fn name_of(uid: u32) -> String {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map_or_else(|| format!("the user number {uid}"), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_never_a_candidate_and_nobody_appears_twice() {
        let nobody = User::from_name("nobody").unwrap().unwrap().uid.as_raw();
        let accounts = Account::for_root(&[0, nobody], Some(nobody));
        assert!(accounts.iter().all(|account| account.uid != 0 && account.switch));
        assert_eq!(accounts.first().map(|account| account.uid), Some(nobody));
        assert_eq!(accounts.iter().filter(|account| account.uid == nobody).count(), 1);
    }

    #[test]
    fn a_program_gets_nothing_of_our_environment() {
        let output = Account::current().command(Path::new("/usr/bin/env")).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut names: Vec<&str> = text.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
        names.sort_unstable();
        assert_eq!(names, ["HOME", "LC_ALL", "PATH", "TZ"]);
    }
}
