//! Which Postgres programs are used: those of the machine if any fit, else downloaded ones.
//!
//! The highest version wins, unless a cluster exists: only the major version that made it can
//! open it. Every candidate is run once, as the account that will run the server, because a
//! program may exist and yet be out of that account's reach or lack a library.

use std::fs;
use std::path::{Path, PathBuf};

use tracing::debug;

use super::account::Account;
use super::error::NoBinaries;
use super::home::Home;
use super::version::{Version, leading_number};
use super::{EmbeddedError, Settings, download};

/// Holdfast's SQL needs what Postgres 15 brought.
pub(super) const OLDEST_MAJOR: u32 = 15;

/// Where packages put the programs; one `*` a name. `PATH` comes after these.
const USUAL_FOLDERS: [&str; 10] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/lib/postgresql*/bin",
    "/usr/libexec/postgresql*",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/Library/PostgreSQL/*/bin",
];

/// A folder of programs that has been tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub bin_dir: PathBuf,
    pub version: Version,
}

impl Binaries {
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin_dir.join(name)
    }

    /// What they were built with, as they tell; nothing where they do not.
    pub fn configure(&self, account: &Account) -> String {
        let output = account.command(&self.program("pg_config")).arg("--configure").output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }
}

/// Finds the programs for this cluster, or downloads them.
pub(super) async fn locate(settings: &Settings, home: &Home) -> Result<Binaries, EmbeddedError> {
    let needed = cluster_major(home);
    if let Some(bin_dir) = &settings.bin_dir {
        return named(bin_dir, &home.account, needed);
    }
    let folders = candidates(settings, home);
    match choose(&folders, &home.account, needed) {
        Ok(binaries) => Ok(binaries),
        Err(refused) => download_or_explain(settings, home, needed, refused).await,
    }
}

async fn download_or_explain(
    settings: &Settings,
    home: &Home,
    needed: Option<u32>,
    refused: Vec<String>,
) -> Result<Binaries, EmbeddedError> {
    let reason = match download::fetch(settings, home, needed).await {
        Ok(bin_dir) => match try_out(&bin_dir, &home.account) {
            Ok(binaries) => return Ok(binaries),
            Err(reason) => format!("what was downloaded does not run here: {reason}"),
        },
        Err(reason) => reason,
    };
    let needed = needed.map(|major| (major, home.data()));
    Err(EmbeddedError::NoBinaries(NoBinaries { needed, refused, download: reason }))
}

/// The major version that made the cluster, if there is one.
fn cluster_major(home: &Home) -> Option<u32> {
    let text = fs::read_to_string(home.data().join("PG_VERSION")).ok()?;
    leading_number(text.trim())
}

/// The folder that was asked for by name, or why not. Nothing else is tried: somebody who names
/// version 17 would not like to find 15 running.
fn named(bin_dir: &Path, account: &Account, needed: Option<u32>) -> Result<Binaries, EmbeddedError> {
    let folders = [bin_dir.to_path_buf(), bin_dir.join("bin")];
    let folder = folders.iter().find(|folder| folder.join("postgres").exists());
    let attempt = match folder {
        None => Err("it holds no program named `postgres`".to_owned()),
        Some(folder) => try_out(folder, account).and_then(|binaries| fitting(binaries, needed)),
    };
    attempt.map_err(|reason| EmbeddedError::BinDir { bin_dir: bin_dir.to_path_buf(), reason })
}

/// The best of `folders`, or what was wrong with each that holds a Postgres at all.
fn choose(folders: &[PathBuf], account: &Account, needed: Option<u32>) -> Result<Binaries, Vec<String>> {
    let mut refused = Vec::new();
    let mut best: Option<Binaries> = None;
    for folder in folders {
        match try_out(folder, account).and_then(|binaries| fitting(binaries, needed)) {
            // Not `>=`: among equals the first, which is the package's own folder, is kept.
            Ok(found) if best.as_ref().is_none_or(|best| found.version > best.version) => {
                best = Some(found);
            }
            Ok(_) => {}
            Err(reason) => refused.push(format!("{} {reason}", folder.display())),
        }
    }
    best.inspect(|best| debug!(bin_dir = %best.bin_dir.display(), version = %best.version, "chose Postgres"))
        .ok_or(refused)
}

fn fitting(binaries: Binaries, needed: Option<u32>) -> Result<Binaries, String> {
    let version = binaries.version;
    match needed {
        Some(major) if version.major != major => {
            Err(format!("is Postgres {version}, and the data folder was made by Postgres {major}"))
        }
        _ if version.major < OLDEST_MAJOR => Err(format!("is Postgres {version}, older than {OLDEST_MAJOR}")),
        _ => Ok(binaries),
    }
}

fn try_out(folder: &Path, account: &Account) -> Result<Binaries, String> {
    // The account's commands run elsewhere, so a relative path would name something else.
    let bin_dir = fs::canonicalize(folder).map_err(|error| format!("cannot be reached: {error}"))?;
    if !bin_dir.join("initdb").exists() {
        return Err("has no `initdb`".to_owned());
    }
    let output = account.command(&bin_dir.join("postgres")).arg("--version").output();
    let output = output.map_err(|error| format!("cannot be run by {}: {error}", account.name))?;
    let version = Version::parse(&String::from_utf8_lossy(&output.stdout));
    version.map(|version| Binaries { bin_dir, version }).ok_or_else(|| {
        let complaint = String::from_utf8_lossy(&output.stderr);
        format!("does not tell its version: {}", complaint.lines().next().unwrap_or("no output"))
    })
}

/// Every folder that holds a `postgres`, each once.
fn candidates(settings: &Settings, home: &Home) -> Vec<PathBuf> {
    let path = &settings.surroundings.search_path;
    let mut folders: Vec<PathBuf> = pg_config_folder(path, &home.account).into_iter().collect();
    folders.extend(USUAL_FOLDERS.iter().flat_map(|pattern| expand(pattern)));
    folders.extend(download::folders(settings, home));
    folders.extend(path.iter().cloned());

    let mut unique: Vec<PathBuf> = Vec::new();
    for folder in folders {
        // The program is resolved, not the folder: a `PATH` folder may hold a mere link to it.
        let Ok(program) = fs::canonicalize(folder.join("postgres")) else {
            continue;
        };
        let real = program.parent().filter(|real| real.join("initdb").exists()).map_or(folder, Path::to_path_buf);
        if !unique.contains(&real) {
            unique.push(real);
        }
    }
    unique
}

fn pg_config_folder(path: &[PathBuf], account: &Account) -> Option<PathBuf> {
    let program = path.iter().map(|folder| folder.join("pg_config")).find(|program| program.is_file())?;
    let output = account.command(&program).arg("--bindir").output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

/// The existing folders that a pattern names, where `*` stands for any part of one name.
fn expand(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else {
        return vec![PathBuf::from(pattern)];
    };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let below = after.trim_start_matches('/');
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let names = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    names.map(|entry| if below.is_empty() { entry.path() } else { entry.path().join(below) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A folder with an `initdb` and a `postgres` that only tells a version.
    fn fake(name: &str, version: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("holdfast-bin-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for program in ["postgres", "initdb"] {
            let path = folder.join(program);
            fs::write(&path, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::canonicalize(folder).unwrap()
    }

    #[test]
    fn the_highest_wins_unless_the_cluster_decides() {
        let folders =
            [fake("a", "15.9"), fake("b", "17.2"), fake("c", "17.10"), fake("d", "14.20"), fake("e", "17.10")];
        let account = Account::current();
        let chosen = |needed| choose(&folders, &account, needed).map(|binaries| binaries.bin_dir);
        assert_eq!(chosen(None).as_ref(), Ok(&folders[2]));
        assert_eq!(chosen(Some(15)).as_ref(), Ok(&folders[0]));
        let refused = chosen(Some(16)).unwrap_err();
        assert_eq!(refused.len(), folders.len());
        assert!(chosen(Some(14)).is_err(), "too old even for its own cluster");
        assert_eq!(choose(&folders[3..4], &account, None).unwrap_err().len(), 1);
        assert_eq!(choose(&[], &account, None), Err(Vec::new()));
        for folder in folders {
            fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn a_named_folder_is_used_or_refused_but_never_replaced() {
        let (folder, account) = (fake("named", "16.4"), Account::current());
        assert_eq!(named(&folder, &account, None).unwrap().version, Version { major: 16, minor: 4 });
        let wrong_major = named(&folder, &account, Some(15)).unwrap_err().to_string();
        assert!(
            wrong_major.contains("HOLDFAST_PG_BIN") && wrong_major.contains("made by Postgres 15"),
            "{wrong_major}"
        );
        let nonsense = named(Path::new("/no/such"), &account, None).unwrap_err().to_string();
        assert!(nonsense.contains("/no/such") && nonsense.contains("holds no program"), "{nonsense}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_pattern_names_existing_folders_only() {
        assert_eq!(expand("/usr/no-such-*/bin"), Vec::<PathBuf>::new());
        assert!(expand("/usr/lo*/bin").contains(&PathBuf::from("/usr/local/bin")));
        assert!(expand("/usr/b*").contains(&PathBuf::from("/usr/bin")));
    }
}
