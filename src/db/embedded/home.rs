//! The folder of a cluster: where it is, whose it is, and what lies in it.
//!
//! ```text
//! <root>/data/                the cluster itself
//! <root>/run/                 its socket (elsewhere when this path is too long for one)
//! <root>/server.log           what Postgres says
//! <root>/{start,users,reaper}.lock
//! <root>/postgresql-17.10.0/  downloaded binaries, if root had to download them
//! ```
//!
//! Everything belongs to the server's account and is closed to all others, which is what makes
//! `trust` authentication over the socket safe: only that account and root can reach it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown};
use std::path::{Path, PathBuf};

use nix::libc::O_NOFOLLOW;
use nix::unistd::{AccessFlags, access};
use sha2::{Digest, Sha256};
use tracing::warn;

use super::account::{self, Account};
use super::error::At;
use super::share::START_LOCK;
use super::{EmbeddedError, Settings};

/// What may lie in a folder that is given to us as empty: marks of a mount, of git, of a file
/// browser, and of another process that is just trying the folder ([`Account::can_write`]).
const HARMLESS: [&str; 4] = ["lost+found", ".gitkeep", ".gitignore", ".DS_Store"];
const PROBE_PREFIX: &[u8] = b".probe.";

/// The folder of a cluster and the account that owns it.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub root: PathBuf,
    pub account: Account,
}

impl Home {
    /// Finds or makes the folder and decides the account.
    ///
    /// An ordinary user gets exactly the folder that was asked for. Root may get another one: no
    /// account but root's can reach a folder under, say, `/root`, so the cluster then lives in
    /// `/var/lib/holdfast-pg-<hash of the wanted path>`, and the log says so.
    pub fn prepare(settings: &Settings) -> Result<Self, EmbeddedError> {
        let wanted = std::path::absolute(&settings.root).at("resolve", &settings.root)?;
        let wanted = fs::canonicalize(&wanted).unwrap_or(wanted);
        if !account::is_root() {
            return Self::for_ourselves(&wanted);
        }
        let sudo_uid = settings.surroundings.sudo_uid;
        if let Some(home) = Self::for_another(&wanted, sudo_uid)? {
            return Ok(home);
        }
        let fallback = PathBuf::from(format!("/var/lib/holdfast-pg-{}", short_hash(&wanted)));
        warn!(
            wanted = %wanted.display(), used = %fallback.display(),
            "only root can reach the wanted folder, and Postgres does not run as root: using another one"
        );
        Self::for_another(&fallback, sudo_uid)?.ok_or_else(|| no_account(&wanted, &candidates(&wanted, sudo_uid)))
    }

    fn for_ourselves(root: &Path) -> Result<Self, EmbeddedError> {
        let me = Account::current();
        let foreign = |folder: &Path| EmbeddedError::ForeignFolder {
            root: root.to_path_buf(),
            owner: owner(folder).map_or_else(|| "somebody else".to_owned(), account::name_of),
            me: me.name.clone(),
        };
        fs::create_dir_all(root).at("make the folder", root)?;
        if access(root, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
            return Err(foreign(root));
        }
        let data = root.join("data");
        if owner(&data).is_some_and(|uid| uid != me.uid) {
            return Err(foreign(&data));
        }
        refuse_occupied(root)?;
        // A mounted volume may belong to root and be open to our group: usable, but not ours to close.
        if owner(root) == Some(me.uid) {
            fs::set_permissions(root, Permissions::from_mode(0o700)).at("close the folder", root)?;
        }
        let root = fs::canonicalize(root).at("resolve", root)?;
        Ok(Self { root, account: me })
    }

    /// `None` when nobody but root can reach `root`, and no cluster lies there yet.
    fn for_another(root: &Path, sudo_uid: Option<u32>) -> Result<Option<Self>, EmbeddedError> {
        let (above, _) = existing_part(root.parent().unwrap_or(root));
        let accounts = candidates(root, sudo_uid);
        for account in &accounts {
            // Asked before anything is made: a folder that turns out useless is not left behind.
            if account.can_enter(above) {
                refuse_occupied(root)?;
                make_for(root, account).at("make the folder", root)?;
                if account.can_write(root) {
                    let root = fs::canonicalize(root).at("resolve", root)?;
                    return Ok(Some(Self { root, account: account.clone() }));
                }
            }
        }
        if root.join("data").exists() { Err(no_account(root, &accounts)) } else { Ok(None) }
    }

    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    pub fn log(&self) -> PathBuf {
        self.root.join("server.log")
    }

    /// Opens a file of ours for appending, made on first use, for the account alone.
    ///
    /// Links are not followed: the account can write in this folder, and when we are root it must
    /// not be able to choose which file we open and give away.
    pub fn open(&self, path: &Path) -> Result<File, EmbeddedError> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600).custom_flags(O_NOFOLLOW);
        let file = options.open(path).at("open", path)?;
        if self.account.switch && file.metadata().at("look at", path)?.uid() != self.account.uid {
            fchown(&file, Some(self.account.uid), Some(self.account.gid)).at("hand over", path)?;
        }
        Ok(file)
    }

    /// Makes `folder` a closed folder of the account, or refuses it when it is somebody else's.
    pub fn make_private(&self, folder: &Path) -> Result<(), EmbeddedError> {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
        .at("make the folder", folder)?;
        let found = fs::symlink_metadata(folder).at("look at", folder)?;
        if found.is_dir() && found.uid() == 0 && self.account.switch {
            lchown(folder, Some(self.account.uid), Some(self.account.gid)).at("hand over", folder)?;
        } else if !found.is_dir() || found.uid() != self.account.uid {
            let squatter = io::Error::new(ErrorKind::PermissionDenied, "it belongs to somebody else");
            return Err(squatter).at("use the folder", folder);
        }
        fs::set_permissions(folder, Permissions::from_mode(0o700)).at("close the folder", folder)
    }
}

/// The first 12 hexadecimal digits of a path's SHA-256: enough to keep the folders of one machine
/// apart, short enough for a socket.
pub(super) fn short_hash(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_bytes());
    hex::encode(&digest[..6])
}

/// The owner of the data decides alone; where there is none, who root may hand the server to.
fn candidates(root: &Path, sudo_uid: Option<u32>) -> Vec<Account> {
    match owner(&root.join("data")) {
        Some(uid) => {
            let mut accounts = Account::for_root(&[uid], None);
            accounts.retain(|account| account.uid == uid);
            accounts
        }
        None => Account::for_root(&owner(root).into_iter().collect::<Vec<_>>(), sudo_uid),
    }
}

fn no_account(root: &Path, tried: &[Account]) -> EmbeddedError {
    let names: Vec<&str> = tried.iter().map(|account| account.name.as_str()).collect();
    let tried = match owner(&root.join("data")) {
        Some(uid) if names.is_empty() => format!("its owner, {}, is unknown to this machine", account::name_of(uid)),
        _ => format!("tried {}", names.join(", ")),
    };
    EmbeddedError::NoAccount { root: root.to_path_buf(), tried }
}

fn owner(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|found| found.uid())
}

/// Refuses a folder with other people's files: it is about to be given away and closed.
fn refuse_occupied(root: &Path) -> Result<(), EmbeddedError> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.at("read the folder", root)?,
    };
    let mut example = None;
    for entry in entries {
        let name = entry.at("read the folder", root)?.file_name();
        if name == START_LOCK {
            return Ok(());
        }
        if !HARMLESS.iter().any(|harmless| name == *harmless) && !name.as_bytes().starts_with(PROBE_PREFIX) {
            example = Some(name.to_string_lossy().into_owned());
        }
    }
    // Asked again at the end: another process may be setting the folder up at this moment. A data
    // folder alone is a restored backup.
    let ours = || root.join(START_LOCK).exists() || root.join("data/PG_VERSION").exists();
    match example {
        Some(example) if !ours() => Err(EmbeddedError::OccupiedFolder { root: root.to_path_buf(), example }),
        _ => Ok(()),
    }
}

/// Makes `root` for the account. Folders made on the way go to the owner of the folder they are
/// made in, so that `sudo` leaves nothing in a user's project that the user cannot delete.
fn make_for(root: &Path, account: &Account) -> io::Result<()> {
    let (existing, missing) = existing_part(root);
    let above = fs::metadata(existing)?;
    for folder in missing.iter().rev() {
        let is_root_folder = *folder == root;
        let mode = if is_root_folder { 0o700 } else { 0o755 };
        match DirBuilder::new().mode(mode).create(folder) {
            // The umask may have taken away what lets the account through.
            Ok(()) => fs::set_permissions(folder, Permissions::from_mode(mode))?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        if !is_root_folder {
            lchown(folder, Some(above.uid()), Some(above.gid()))?;
        }
    }
    lchown(root, Some(account.uid), Some(account.gid))?;
    fs::set_permissions(root, Permissions::from_mode(0o700))
}

/// The deepest folder of `path` that exists, and those below it that do not, deepest first.
fn existing_part(path: &Path) -> (&Path, Vec<&Path>) {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    let existing = path.ancestors().nth(missing.len()).unwrap_or(Path::new("/"));
    (existing, missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_other_files_is_refused_and_one_of_ours_is_not() {
        let root = std::env::temp_dir().join(format!("holdfast-occupied-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join(".gitkeep"), "").unwrap();
        assert!(refuse_occupied(&root).is_ok());
        fs::write(root.join("thesis.txt"), "").unwrap();
        let refused = refuse_occupied(&root).unwrap_err().to_string();
        assert!(refused.contains("thesis.txt"), "{refused}");
        fs::write(root.join(START_LOCK), "").unwrap();
        assert!(refuse_occupied(&root).is_ok());
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn missing_folders_are_listed_deepest_first() {
        let (existing, missing) = existing_part(Path::new("/usr/no-such/a/b"));
        assert_eq!(existing, Path::new("/usr"));
        assert_eq!(missing, [Path::new("/usr/no-such/a/b"), Path::new("/usr/no-such/a"), Path::new("/usr/no-such")]);
    }
}
