//! Where the server's socket lies.
//!
//! A socket's whole path must fit in 104 bytes on macOS and 108 on Linux, and projects lie deep.
//! Postgres also splits the setting at commas, and connection addresses want escapes. So a path
//! that is long or has anything but plain characters gives way to a folder in `$TMPDIR`.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::EmbeddedError;
use super::error::At;
use super::home::{Home, short_hash};

/// The port is a part of the socket's name and nothing else: the server listens on no network.
pub(super) const PORT: u16 = 5432;

const PATH_BYTES_MAX: usize = 100;

/// Decides the folder and makes it, closed to all but the account and free for a new server.
///
/// The caller knows that no server of this cluster runs, and the folder is this cluster's alone:
/// what a killed server left there must not keep the next one out, as it would when its process
/// number has come to belong to another program.
pub(super) fn prepare(home: &Home, temp_dir: &Path) -> Result<PathBuf, EmbeddedError> {
    let folders = candidates(&home.root, temp_dir);
    let reachable = |folder: &&PathBuf| match folder.parent() {
        Some(parent) if home.account.switch => home.account.can_enter(parent),
        parent => parent.is_some_and(Path::is_dir),
    };
    // The last candidate lies in /tmp, which everybody can reach.
    let folder = folders.iter().find(reachable).or(folders.last()).cloned().unwrap_or_default();
    home.make_private(&folder)?;
    let lock = folder.join(format!("{}.lock", file_name()));
    match fs::remove_file(&lock) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).at("remove", &lock),
        _ => Ok(folder),
    }
}

/// Whether a server takes connections there. A refusal takes microseconds.
pub(super) fn answers(folder: &Path) -> bool {
    UnixStream::connect(folder.join(file_name())).is_ok()
}

fn candidates(root: &Path, temp_dir: &Path) -> Vec<PathBuf> {
    let name = format!("holdfast-{}", short_hash(root));
    let folders = [root.join("run"), temp_dir.join(&name), Path::new("/tmp").join(&name)];
    folders.into_iter().filter(|folder| fits(folder)).collect()
}

fn fits(folder: &Path) -> bool {
    let path = folder.join(file_name());
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
    path.as_os_str().len() < PATH_BYTES_MAX && path.as_os_str().as_bytes().iter().all(plain)
}

fn file_name() -> String {
    format!(".s.PGSQL.{PORT}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(root: &str, temp_dir: &str) -> PathBuf {
        candidates(Path::new(root), Path::new(temp_dir)).remove(0)
    }

    #[test]
    fn a_short_plain_path_keeps_its_socket() {
        assert_eq!(first("/srv/shop/data/postgres", "/tmp"), Path::new("/srv/shop/data/postgres/run"));
    }

    #[test]
    fn a_long_or_odd_path_gives_way_to_the_temporary_folder() {
        let long = format!("/home/{}", "deep/".repeat(20));
        for root in [long.as_str(), "/home/ann/my shop", "/home/ann/a,b", "/home/ann/größe"] {
            let folder = first(root, "/var/tmp");
            assert!(folder.starts_with("/var/tmp") && fits(&folder), "{root} -> {}", folder.display());
            assert_eq!(first(root, &long).parent(), Some(Path::new("/tmp")), "{root}");
        }
    }

    #[test]
    fn two_clusters_never_share_a_folder() {
        assert_ne!(first("/home/ann/my shop", "/tmp"), first("/home/bob/my shop", "/tmp"));
    }

    #[test]
    fn the_limit_counts_the_whole_path_of_the_socket() {
        let folder_of = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
        let taken_by_name = 1 + file_name().len();
        assert!(fits(Path::new(&folder_of(PATH_BYTES_MAX - taken_by_name - 1))));
        assert!(!fits(Path::new(&folder_of(PATH_BYTES_MAX - taken_by_name))));
    }
}
