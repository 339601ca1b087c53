//! The admin token: the store has its hash, and that is what counts. The file in the data directory
//! is where its owner reads it once, and is never asked again.

use camino::{Utf8Path, Utf8PathBuf};
use ctx_io::{failpoint, sync_parent};

use super::claim::{Claim, TokenFile, absent_is_fine};
use super::error::HubError;
use crate::secret::AdminToken;
use crate::store::{Store, StoreError};

/// What a hub that starts knows of its admin token.
pub(super) struct Settled {
    /// The token that is accepted, if it was made just now or stands in the file.
    pub(super) token: Option<AdminToken>,
    /// What the operator should know of it.
    pub(super) notices: Vec<String>,
}

/// Settles which admin token counts.
///
/// | store | file | what happens |
/// |---|---|---|
/// | hash | none | nothing |
/// | hash | its token | a notice that the file is not needed |
/// | hash | anything else | a notice that the file says something that does not count |
/// | none | a token | its hash is kept: the directory of an earlier version, or a first start that was killed |
/// | none | no token | refused |
/// | none | none | a token is made, unless none is accepted |
pub(super) async fn settle(
    claim: &Claim,
    store: &dyn Store,
    is_accepted: bool,
) -> Result<Settled, HubError> {
    let failed = |source| HubError::Store {
        data_dir: claim.dir().path().to_owned(),
        source,
    };
    let kept = store.admin().await.map_err(failed)?;
    let path = claim.dir().admin_token();
    let (token, is_new) = match (kept, claim.token_file()) {
        (Some(kept), Ok(TokenFile::Token(token))) if token.hash() == kept.hash => (token, false),
        (Some(_), Ok(TokenFile::Absent)) => return Ok(Settled::default()),
        (Some(_), _) => return Ok(Settled::notice(useless(&path))),
        (None, file) => match file? {
            TokenFile::Token(token) => (token, true),
            TokenFile::Other(source) => return Err(HubError::NoToken { path, source }),
            TokenFile::Absent if !is_accepted => return Ok(Settled::default()),
            TokenFile::Absent => {
                let token = AdminToken::random().map_err(HubError::Random)?;
                // The file first: between the two steps of the other order a token would count that
                // nobody has.
                claim.write_token(&token)?;
                let reached = failpoint::reach("hub.token-written");
                reached.map_err(HubError::io("make an admin token in", claim.dir().path()))?;
                store.set_admin(token.hash()).await.map_err(failed)?;
                return Ok(Settled {
                    token: Some(token),
                    notices: Vec::new(),
                });
            }
        },
    };
    if is_new {
        store.set_admin(token.hash()).await.map_err(failed)?;
    }
    Ok(Settled {
        token: Some(token),
        notices: vec![not_needed(&path, is_accepted)],
    })
}

impl Settled {
    fn default() -> Self {
        Self {
            token: None,
            notices: Vec::new(),
        }
    }

    fn notice(text: String) -> Self {
        Self {
            token: None,
            notices: vec![text],
        }
    }
}

fn not_needed(path: &Utf8Path, is_accepted: bool) -> String {
    if is_accepted {
        format!(
            "{path} holds the admin token, and the hub does not need it there: remove it once you \
             have the token elsewhere, or run `ctx hub token rotate` for a new one that stands in \
             no file"
        )
    } else {
        format!("{path} holds an admin token, and the settings accept none: remove it")
    }
}

fn useless(path: &Utf8Path) -> String {
    format!(
        "{path} does not hold the admin token that this hub accepts: remove it; `ctx hub token \
         rotate` makes a new token if nobody has the one that counts"
    )
}

/// A new admin token in place of the one before.
pub(super) struct Rotated {
    pub(super) token: AdminToken,
    /// The file of the one before, if it could not be removed.
    pub(super) left: Option<(Utf8PathBuf, std::io::Error)>,
}

/// Why there is no new admin token. The one before counts.
pub(super) enum NotRotated {
    Random(getrandom::Error),
    Store(StoreError),
}

/// Makes a new admin token: first its hash is durable, then the file at `path` is removed. Killed in
/// between, the new token counts and nobody has it: rotating again makes another.
pub(super) async fn rotate(store: &dyn Store, path: &Utf8Path) -> Result<Rotated, NotRotated> {
    let token = AdminToken::random().map_err(NotRotated::Random)?;
    let kept = store.set_admin(token.hash()).await;
    kept.map_err(NotRotated::Store)?;
    // Too late to fail: whoever asked has to be told the token.
    let left = remove(path).err().map(|error| (path.to_owned(), error));
    Ok(Rotated { token, left })
}

fn remove(path: &Utf8Path) -> std::io::Result<()> {
    failpoint::reach("rotate.kept")?;
    absent_is_fine(fs_err::remove_file(path))?;
    sync_parent(path).map_err(|error| error.source)?;
    failpoint::reach("rotate.file-removed")
}
