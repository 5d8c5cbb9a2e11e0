//! `holdfast keys`: for whoever has the database but no key.

use clap::Subcommand;
use sqlx::ConnectOptions;

use super::Database;
use crate::clock::Clock;
use crate::config::Config;
use crate::keys::store::{self, Grant};
use crate::keys::{NewKey, Scope};

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key and print it once.
    Create {
        /// Name of the program that will use it.
        #[arg(long)]
        client: String,
        /// `reservations`, `stock_read`, `lots`, `reconciliation`, `admin`; repeat it for several.
        #[arg(long = "scope", required = true, value_parser = parse_scope)]
        scopes: Vec<Scope>,
        /// For people.
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Revoke a key by its id (the part after `hf_`).
    Revoke {
        /// The id.
        id: String,
    },
}

fn parse_scope(word: &str) -> Result<Scope, String> {
    Scope::parse(word).ok_or_else(|| format!("unknown scope {word:?}"))
}

pub(super) async fn run(config: &Config, command: KeysCommand) -> anyhow::Result<()> {
    let database = Database::open(config).await?;
    let done = edit(&database, command).await;
    database.close().await?;
    done
}

async fn edit(database: &Database, command: KeysCommand) -> anyhow::Result<()> {
    let mut conn = database.migration.clone().connect().await?;
    let now = Clock::new().local_now();
    match command {
        KeysCommand::Create { client, scopes, label } => {
            let key = NewKey::mint()?;
            let grant = Grant { client, label, scopes, expires_at: None, bootstrap: false };
            store::insert(&mut conn, &key, &grant, now).await?;
            println!("{}", key.token);
        }
        KeysCommand::Revoke { id } => {
            anyhow::ensure!(store::revoke(&mut conn, &id, now).await?, "there is no key {id:?}");
        }
    }
    Ok(())
}
