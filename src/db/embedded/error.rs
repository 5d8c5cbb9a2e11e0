//! What can go wrong, each with the way out in its text: the reader has just typed `cargo run`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::binaries::OLDEST_MAJOR;

/// Why there is no embedded server.
#[allow(missing_docs, reason = "each variant's text names its fields")]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// No installed Postgres fits and none could be downloaded.
    #[error("{0}")]
    NoBinaries(NoBinaries),

    /// `HOLDFAST_PG_BIN` names something that cannot be used.
    #[error(
        "HOLDFAST_PG_BIN names {}, which cannot be used: {reason}. It must be the folder that holds the programs \
         `postgres` and `initdb`, version {OLDEST_MAJOR} or newer. Correct it, remove it to search the usual places, \
         or set DATABASE_URL to a server that is already running", bin_dir.display()
    )]
    BinDir { bin_dir: PathBuf, reason: String },

    /// Postgres refuses to run as root and no other account can use the folder.
    #[error(
        "Postgres does not run as root, and no other account can use {}: {tried}. Run this as an ordinary user, \
         or set DATABASE_URL to a server that is already running", root.display()
    )]
    NoAccount { root: PathBuf, tried: String },

    /// The folder was made by another account.
    #[error(
        "the folder {} belongs to {owner}, and this runs as {me}. Run it as {owner} or as root, choose another \
         folder, or set DATABASE_URL to a server that is already running", root.display()
    )]
    ForeignFolder { root: PathBuf, owner: String, me: String },

    /// The folder holds files that are not ours. It would be given to another account and closed.
    #[error("the folder {} holds other files ({example}). The embedded Postgres needs a folder of its own", root.display())]
    OccupiedFolder { root: PathBuf, example: String },

    /// A durable start on a throwaway folder, or the other way round.
    #[error("{}", if *throwaway {
        format!("{} was made for throwaway tests, where a crash may corrupt it. Choose another folder", root.display())
    } else {
        format!("{} holds durable data, and this start would switch its crash safety off. Choose another folder", root.display())
    })]
    OtherKind { root: PathBuf, throwaway: bool },

    /// Another process holds the start lock for longer than any start takes.
    #[error("another process has been starting or stopping the Postgres in {} for {seconds} s", root.display())]
    Busy { root: PathBuf, seconds: u64 },

    /// The socket answers, but its server cannot be seen from here.
    #[error(
        "a Postgres that this process cannot see, most likely in another container, already serves {}. Two servers \
         would destroy the data. Give each container a folder of its own, or point both to one server with DATABASE_URL",
        root.display()
    )]
    ServedElsewhere { root: PathBuf },

    /// `initdb` failed.
    #[error("initdb could not make a database cluster in {}: {output}. DATABASE_URL can name a server that is already running instead", root.display())]
    Initdb { root: PathBuf, output: String },

    /// The server ended while it was starting.
    #[error("Postgres did not start. The end of {}:\n{tail}", log.display())]
    Start { log: PathBuf, tail: String },

    /// The server runs, but is not ready.
    #[error("Postgres was not ready after {seconds} s; {} tells what it does", log.display())]
    NotReady { log: PathBuf, seconds: u64 },

    /// The server was asked to stop and still runs. It is left to finish.
    #[error("Postgres (process {pid}) was asked to stop and still runs after {seconds} s")]
    NotStopped { pid: i32, seconds: u64 },

    /// A file operation failed.
    #[error("could not {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },

    /// The server refused a statement of ours.
    #[error("could not create the database {database}")]
    CreateDatabase { database: String, source: sqlx::Error },

    /// The runtime is shutting down, or a bug panicked.
    #[error("the start or stop of Postgres was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Everything that is known when no Postgres was found.
#[derive(Debug, Clone, Default)]
pub struct NoBinaries {
    /// The major version that an existing data folder needs, with that folder.
    pub needed: Option<(u32, PathBuf)>,
    /// What was found and why it cannot be used.
    pub refused: Vec<String>,
    /// Why nothing was downloaded.
    pub download: String,
}

impl fmt::Display for NoBinaries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.needed {
            Some((major, folder)) => {
                writeln!(
                    f,
                    "no Postgres {major} found. {} was made by it, and no other major version can open it.",
                    folder.display()
                )?;
            }
            None => writeln!(f, "no Postgres found, {OLDEST_MAJOR} or newer is needed.")?,
        }
        for refused in &self.refused {
            writeln!(f, "  passed over: {refused}")?;
        }
        writeln!(f, "  download: {}", self.download)?;
        let major = self.needed.as_ref().map(|(major, _)| *major);
        let (apt, brew) = match major {
            Some(major) => (format!("postgresql-{major}"), format!("postgresql@{major}")),
            None => ("postgresql".to_owned(), "postgresql".to_owned()),
        };
        writeln!(f, "Any one of these helps:")?;
        writeln!(f, "  - install it: `apt install {apt}` or `brew install {brew}`")?;
        writeln!(f, "  - HOLDFAST_PG_BIN=<the folder that holds the programs postgres and initdb>")?;
        write!(f, "  - DATABASE_URL=postgres://user:password@host/database, a server that is already running")
    }
}

/// Names the operation and the path, which [`io::Error`] leaves out.
pub(super) trait At<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T, EmbeddedError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, doing: &'static str, path: &Path) -> Result<T, EmbeddedError> {
        self.map_err(|source| EmbeddedError::Io { doing, path: path.to_path_buf(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_binaries_names_the_three_ways_out_once_each() {
        let error = EmbeddedError::NoBinaries(NoBinaries {
            needed: None,
            refused: vec!["/usr/lib/postgresql/14/bin is Postgres 14.9".to_owned()],
            download: "the network refused".to_owned(),
        });
        let text = error.to_string();
        for way_out in ["apt install postgresql`", "brew install postgresql`", "HOLDFAST_PG_BIN=", "DATABASE_URL="] {
            assert_eq!(text.matches(way_out).count(), 1, "{way_out} in:\n{text}");
        }
        assert!(text.contains("15 or newer") && text.contains("Postgres 14.9") && text.contains("the network refused"));
    }

    #[test]
    fn an_existing_folder_asks_for_its_own_major() {
        let text =
            NoBinaries { needed: Some((16, PathBuf::from("/srv/pg/data"))), ..NoBinaries::default() }.to_string();
        assert!(text.contains("no Postgres 16 found. /srv/pg/data was made by it"), "{text}");
        assert!(text.contains("apt install postgresql-16`") && text.contains("brew install postgresql@16`"), "{text}");
    }
}
