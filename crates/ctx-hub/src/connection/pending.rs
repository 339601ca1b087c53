//! A registration under way: its token is sealed before the hub is asked.
//!
//! The hub is told the hash of that token. Whoever asks again with it, after a lost answer or a kill,
//! is answered the same registration. So the token has to outlive the process that made it.

use camino::Utf8Path;
use ctx_config::paths::{ContextDir, PRIVATE_FILE_MODE, UserDir};
use ctx_io::atomic::{self, Mode};
use ctx_io::{failpoint, read_optional_limited};

use super::{Connection, ConnectionError, FILE_MAX_BYTES, document, key, seal};
use crate::client::{Registration, Route};
use crate::lifetime::Lifetime;
use crate::secret::ClientToken;
use crate::types::{ProjectName, TypeSet};

/// A registration that was begun. Dropped, it can be begun again with the same token.
#[derive(Debug)]
#[must_use = "finish it with what the hub answered"]
pub struct Pending {
    context: ContextDir,
    user: UserDir,
    connection: Connection,
}

impl Pending {
    /// Begins to register `project` with the hub at the end of `route`: seals a new token, or takes the
    /// one that an attempt which was cut off has sealed for the same address and the same name, however
    /// the hub was asked then. Makes the person's key when there is none. A registration that the
    /// project has already is not touched.
    ///
    /// # Errors
    /// [`ConnectionError`]: the token cannot be sealed, or a connection could not be saved later.
    pub fn begin(
        context: &ContextDir,
        user: &UserDir,
        route: impl Into<Route>,
        project: &ProjectName,
    ) -> Result<Self, ConnectionError> {
        Connection::prepare(context, user)?;
        let route = route.into();
        let saved = Connection::load(context, user)
            .ok()
            .map(|saved| saved.token);
        let before = read(&context.pending_connect_file(), user)?.filter(|before| {
            let same = before.hub_addr == route.address && before.project.as_ref() == Some(project);
            // What was saved is finished, and only its file was left behind.
            same && saved.as_ref() != Some(&before.token)
        });
        let is_new = before.is_none();
        let connection = match before {
            Some(before) => before.moved(route),
            None => Connection {
                hub_addr: route.address,
                trust: route.trust,
                insecure: route.insecure,
                token: ClientToken::random().map_err(ConnectionError::Random)?,
                types: TypeSet::all(),
                project: Some(project.clone()),
                client_id: None,
                next_token: None,
                lifetime: None,
            },
        };
        let pending = Self {
            context: context.clone(),
            user: user.clone(),
            connection,
        };
        if is_new {
            pending.seal()?;
        }
        Ok(pending)
    }

    /// Goes on with a new token: the hub says that the one before is worth nothing any more.
    ///
    /// # Errors
    /// [`ConnectionError`]: the token cannot be sealed.
    pub fn renew(mut self) -> Result<Self, ConnectionError> {
        self.connection.token = ClientToken::random().map_err(ConnectionError::Random)?;
        self.seal()?;
        Ok(self)
    }

    fn seal(&self) -> Result<(), ConnectionError> {
        let key = key::load_or_create(&self.user)?;
        let sealed = seal::seal(&key, document::write(&self.connection)?)?;
        let mode = Mode::Exactly(PRIVATE_FILE_MODE);
        atomic::write(&self.context.pending_connect_file(), &sealed, mode)?;
        failpoint::reach("register.sealed").map_err(ConnectionError::Look)
    }

    /// The token that the hub is told the hash of.
    #[must_use]
    pub const fn token(&self) -> &ClientToken {
        &self.connection.token
    }

    /// Saves the connection that the hub answered. Its token is the one that was proposed, or the one
    /// that an older hub made.
    ///
    /// # Errors
    /// [`ConnectionError`]: nothing was saved, and the same can be begun again.
    pub fn finish(self, registration: Registration) -> Result<Connection, ConnectionError> {
        let Self {
            context,
            user,
            connection,
        } = self;
        failpoint::reach("register.answered").map_err(ConnectionError::Look)?;
        let Registration {
            client_id,
            token,
            expires_at,
        } = registration;
        let connection = Connection {
            token,
            client_id: Some(client_id),
            lifetime: expires_at.map(|expires_at| Lifetime {
                issued_at: jiff::Timestamp::now().as_second(),
                expires_at,
            }),
            ..connection
        };
        connection.save(&context, &user)?;
        // From here on it is registered: what is left behind is told, and replaced by the next.
        let swept = failpoint::reach("register.saved")
            .and_then(|()| fs_err::remove_file(context.pending_connect_file()));
        if let Err(error) = swept {
            tracing::warn!(%error, "the file of the finished registration stays behind");
        }
        Ok(connection)
    }
}

/// What an attempt that was cut off has sealed. What cannot be opened is of no use to anybody, and
/// will be replaced.
fn read(path: &Utf8Path, user: &UserDir) -> Result<Option<Connection>, ConnectionError> {
    let Some(sealed) = read_optional_limited(path, FILE_MAX_BYTES)? else {
        return Ok(None);
    };
    let key = key::load_or_create(user)?;
    let text = seal::open(&key, &sealed, path).ok();
    Ok(text.and_then(|text| document::read(&text).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::HubAddress;
    use crate::types::ClientId;

    fn setting() -> (tempfile::TempDir, ContextDir, UserDir) {
        let temp = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(temp.path()).unwrap();
        let context = ContextDir::new(root.join("project"));
        fs_err::create_dir(context.path()).unwrap();
        let user = UserDir::under_home(root);
        (temp, context, user)
    }

    #[test]
    fn begun_again_it_has_the_same_token_and_for_another_hub_or_name_a_new_one() {
        let (_temp, context, user) = setting();
        let begin = |hub: &str, project: &str| {
            let hub: HubAddress = hub.parse().unwrap();
            let project = project.parse().unwrap();
            let pending = Pending::begin(&context, &user, &hub, &project).unwrap();
            pending.token().clone()
        };
        let first = begin("hub:1", "alpha");
        assert_eq!(begin("hub:1", "alpha"), first);
        let other = begin("hub:2", "alpha");
        assert_ne!(other, first);
        assert_ne!(begin("hub:2", "beta"), other);
        assert_ne!(begin("hub:1", "alpha"), first, "it was replaced");
        let sealed = fs_err::read(context.pending_connect_file()).unwrap();
        assert!(!String::from_utf8_lossy(&sealed).contains("ctx_cli_"));
    }

    #[test]
    fn what_cannot_be_opened_is_replaced_and_what_is_finished_is_gone() {
        let (_temp, context, user) = setting();
        let (hub, project): (HubAddress, ProjectName) =
            ("hub:1".parse().unwrap(), "alpha".parse().unwrap());
        let path = context.pending_connect_file();
        let mode = Mode::Exactly(PRIVATE_FILE_MODE);
        for bytes in [&b""[..], b"short", &[7; 200]] {
            atomic::write(&path, bytes, mode).unwrap();
            drop(Pending::begin(&context, &user, &hub, &project).unwrap());
            assert_ne!(fs_err::read(&path).unwrap(), bytes);
        }
        let pending = Pending::begin(&context, &user, &hub, &project).unwrap();
        let old = pending.token().clone();
        let pending = pending.renew().unwrap();
        assert_ne!(*pending.token(), old);
        let sealed = fs_err::read(&path).unwrap();
        let registration = Registration {
            client_id: ClientId::random().unwrap(),
            token: pending.token().clone(),
            expires_at: None,
        };
        let saved = pending.finish(registration).unwrap();
        assert!(!path.exists());
        assert_eq!(Connection::load(&context, &user).unwrap(), saved);

        // Killed between the two: what is left is not taken for a registration under way.
        atomic::write(&path, &sealed, mode).unwrap();
        let next = Pending::begin(&context, &user, &hub, &project).unwrap();
        assert_ne!(*next.token(), saved.token);
    }
}
