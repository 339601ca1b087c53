//! Publish an entry into the store.

use camino::Utf8Path;
use ctx_config::paths::DataDir;
use ctx_hub::secret::TokenHash;
use ctx_hub::store::{SqliteStore, Store as _};

use crate::Failure;

/// Publishes one entry in each round.
pub(super) async fn run(dir: &Utf8Path, rounds: u64) -> Result<(), Failure> {
    let (store, _notices) = SqliteStore::open(&DataDir::new(dir))?;
    let token = TokenHash::of("of a client that is counted");
    let client = store.register("counted".parse()?, token.into()).await?;
    for number in 1..=rounds {
        store.append(&client, vec![super::draft(number)?]).await?;
    }
    Ok(store.close().await?)
}
