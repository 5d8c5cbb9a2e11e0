//! Making a cluster. The caller holds the start lock (see [`super::share`]).

use std::fs::{self, File};
use std::path::Path;

use tracing::info;

use super::EmbeddedError;
use super::binaries::Binaries;
use super::error::At;
use super::home::Home;

/// Lies in the data folder of a cluster that was made without crash safety.
const THROWAWAY: &str = "holdfast-throwaway";
/// A cluster is made under this name and then renamed: `data` is whole or absent.
const UNFINISHED_PREFIX: &str = "data.new.";

/// Makes the cluster, unless it exists.
///
/// An `initdb` that was interrupted leaves a folder of another name, which the next one removes;
/// so nothing that may hold data is ever deleted.
pub(super) fn create(home: &Home, binaries: &Binaries, durable: bool) -> Result<(), EmbeddedError> {
    let data = home.data();
    if data.join("PG_VERSION").exists() {
        let throwaway = data.join(THROWAWAY).exists();
        let root = home.root.clone();
        let other_kind = throwaway == durable;
        return if other_kind { Err(EmbeddedError::OtherKind { root, throwaway }) } else { Ok(()) };
    }
    remove_unfinished(&home.root);
    let unfinished = home.root.join(format!("{UNFINISHED_PREFIX}{}", std::process::id()));
    initdb(home, binaries, &unfinished, durable)?;
    if !durable {
        home.open(&unfinished.join(THROWAWAY))?;
    }
    fs::rename(&unfinished, &data).at("put in place", &data)?;
    if durable {
        File::open(&home.root).and_then(|folder| folder.sync_all()).at("flush", &home.root)?;
    }
    info!(data = %data.display(), version = %binaries.version, "made a database cluster");
    Ok(())
}

fn initdb(home: &Home, binaries: &Binaries, folder: &Path, durable: bool) -> Result<(), EmbeddedError> {
    let program = binaries.program("initdb");
    let mut command = home.account.command(&program);
    command.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--data-checksums", "-D"]).arg(folder);
    if !durable {
        command.arg("--no-sync");
    }
    let output = command.output().at("run", &program)?;
    if output.status.success() {
        return Ok(());
    }
    remove_unfinished(&home.root);
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let output = if complaint.is_empty() { output.status.to_string() } else { complaint };
    Err(EmbeddedError::Initdb { root: home.root.clone(), output })
}

/// Best effort: the `initdb` of a killed service may still be writing there, and the next start
/// tries again. Ours has a name of its own.
fn remove_unfinished(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED_PREFIX) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
