//! The connection file: which hub a project belongs to, and what it proves itself with.
//!
//! `.context/.connect.enc` is a random nonce of 12 bytes followed by the AES-256-GCM ciphertext and
//! tag of a JSON document, sealed with the person's key, `~/.ctx/.ctx.key`. The file may lie in a
//! shared or synchronized directory; without the key it says nothing.

mod document;
mod error;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod key;
mod pending;
mod seal;
#[cfg(test)]
mod tests;

use ctx_config::paths::{ContextDir, PRIVATE_FILE_MODE, UserDir};
use ctx_io::atomic::{self, Mode};
use ctx_io::{AtomicFile, FileLock, Holder, Wait, read_optional_limited};

use crate::client::{HubAddress, Route, Trust};
use crate::lifetime::Lifetime;
use crate::secret::ClientToken;
use crate::types::{ClientId, ProjectName, TypeSet};
pub use document::DocumentError;
pub use error::{ConnectionError, ConnectionErrorKind};
pub use pending::Pending;

/// Largest connection file that is read, in bytes; a real one has a few hundred.
const FILE_MAX_BYTES: u64 = 65_536;

/// What a project needs to reach its hub. `Debug` does not show the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The hub.
    pub hub_addr: HubAddress,
    /// Who vouches for the hub. Versions that spoke no TLS did not write it down.
    pub trust: Trust,
    /// That the token may be sent to the hub in the clear beyond this machine.
    pub insecure: bool,
    /// What the project proves itself with.
    pub token: ClientToken,
    /// Which types it mirrors.
    pub types: TypeSet,
    /// The name under which it registered; older versions of `ctx` did not write it down.
    pub project: Option<ProjectName>,
    /// Its identity at the hub; older versions of `ctx` did not write it down.
    pub client_id: Option<ClientId>,
    /// The token that is about to take the place of `token`: the hub may know it already, or not yet.
    /// `None` when no [rotation](crate::rotation) is under way or was broken off.
    pub next_token: Option<ClientToken>,
    /// How long `token` lives; `None` when it does not expire, as far as is known here.
    pub lifetime: Option<Lifetime>,
}

impl Connection {
    /// How its hub is reached. A file of a version that spoke no TLS may name a hub on another
    /// machine without saying how to ask it: dialling that is refused.
    #[must_use]
    pub fn route(&self) -> Route {
        Route {
            address: self.hub_addr.clone(),
            trust: self.trust.clone(),
            insecure: self.insecure,
        }
    }

    /// The same connection to a hub that is reached another way.
    #[must_use]
    pub fn moved(self, route: Route) -> Self {
        let Route {
            address,
            trust,
            insecure,
        } = route;
        Self {
            hub_addr: address,
            trust,
            insecure,
            ..self
        }
    }

    /// Reads and opens the connection file of a project.
    ///
    /// # Errors
    /// [`ConnectionError`] tells a project that is not set up from one whose file or key is damaged.
    pub fn load(context: &ContextDir, user: &UserDir) -> Result<Self, ConnectionError> {
        check_context(context)?;
        let path = context.connect_file();
        let Some(sealed) = read_optional_limited(&path, FILE_MAX_BYTES)? else {
            return Err(ConnectionError::NotRegistered { path });
        };
        let key = key::load(user)?;
        let text = seal::open(&key, &sealed, &path)?;
        document::read(&text).map_err(|source| ConnectionError::Document { path, source })
    }

    /// Takes the lock of those who change the connection file, and waits for it as `wait` says. Whoever
    /// loads the file in order to save another one has it meanwhile: what a [`rotation`](crate::rotation)
    /// has written there must not be lost. Nobody needs it to read the file. Blocks the thread.
    ///
    /// # Errors
    /// [`ConnectionError::NoContext`], and [`ConnectionError::Lock`] when it is held or cannot be taken.
    pub fn lock(
        context: &ContextDir,
        holder: &Holder<'_>,
        wait: Wait,
    ) -> Result<FileLock, ConnectionError> {
        check_context(context)?;
        Ok(FileLock::acquire(&context.connect_lock(), holder, wait)?)
    }

    /// Makes sure that a connection could be saved, and changes nothing but making the person's key
    /// when there is none. Asked before a hub registers a project: what cannot be saved then would
    /// have to be revoked by hand.
    ///
    /// # Errors
    /// What [`Connection::save`] would fail with.
    pub fn prepare(context: &ContextDir, user: &UserDir) -> Result<(), ConnectionError> {
        check_context(context)?;
        key::load_or_create(user)?;
        // Never committed, so nothing is left behind.
        let mode = Mode::Exactly(PRIVATE_FILE_MODE);
        drop(AtomicFile::create(&context.connect_file(), mode)?);
        Ok(())
    }

    /// Seals and writes the connection file of a project, in place of the one before; makes the
    /// person's key when there is none. The file is replaced atomically: killed at any instruction,
    /// the old or the new one is there.
    ///
    /// # Errors
    /// [`ConnectionError`]; the old file stands.
    pub fn save(&self, context: &ContextDir, user: &UserDir) -> Result<(), ConnectionError> {
        check_context(context)?;
        if self.types.is_empty() {
            return Err(ConnectionError::NoTypes);
        }
        let key = key::load_or_create(user)?;
        let sealed = seal::seal(&key, document::write(self)?)?;
        atomic::write(
            &context.connect_file(),
            &sealed,
            Mode::Exactly(PRIVATE_FILE_MODE),
        )?;
        Ok(())
    }
}

fn check_context(context: &ContextDir) -> Result<(), ConnectionError> {
    let path = context.path();
    match fs_err::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(ConnectionError::NoContext {
            path: path.to_owned(),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(ConnectionError::NoContext {
                path: path.to_owned(),
            })
        }
        Err(error) => Err(ConnectionError::Look(error)),
    }
}
