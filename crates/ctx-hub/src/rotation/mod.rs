//! A project's token, replaced while others use it.
//!
//! The new token is made here and saved in the connection file, beside the one there is, before the
//! hub hears of it; the hub is told its hash alone. Killed at any instruction, the file holds a token
//! that works: the old one goes on at the hub until the overlap is over, and whoever finds two tokens
//! in the file finishes what was begun ([`Rotation::settle`]).

use std::time::Duration;

use ctx_config::paths::{ContextDir, UserDir};
use ctx_io::{FileLock, Holder, Wait, failpoint};
use tokio::task;
use tonic::Code;

use crate::client::{ClientError, HubClient, Timeouts, TokenRotation};
use crate::connection::Connection;
use crate::lifetime::Lifetime;
use crate::secret::ClientToken;

mod error;

pub use error::RotationError;

/// What a token is replaced with: the project, its person, and how patient to be.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The project.
    pub context: ContextDir,
    /// The person whose key seals the connection file.
    pub user: UserDir,
    /// How long to wait for the hub.
    pub timeouts: Timeouts,
    /// What is being done, in the words of its user; stands in the lock.
    pub command: String,
    /// The version of the program; stands in the lock.
    pub version: String,
}

/// A token that was replaced.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Replaced {
    /// What is saved now.
    pub connection: Connection,
    /// When the token before it ends, in Unix seconds; `None` when that is not known.
    pub previous_ends_at: Option<i64>,
    /// Another process replaced it, between the beginning of this one and its turn.
    pub by_another: bool,
}

/// A connection in which no rotation is left half done, as far as that was possible.
#[derive(Debug)]
#[non_exhaustive]
pub struct Settled {
    /// What to go on with.
    pub connection: Connection,
    /// Why a rotation that was broken off could not be finished. The token works all the same, for as
    /// long as the overlap lasts.
    pub trouble: Option<RotationError>,
}

impl Rotation {
    /// Replaces the token of the project, or finishes a rotation that was broken off. Of several at
    /// once one does so, and the others find it done. What began with the token before goes on with it
    /// until the hub's overlap is over.
    ///
    /// # Errors
    /// [`RotationError::Connection`] when the connection file cannot be used or another process holds
    /// its lock for too long; [`RotationError::Client`] when the hub cannot be reached or refuses. The
    /// file holds the tokens that may work.
    pub async fn rotate(&self, wait: Duration) -> Result<Replaced, RotationError> {
        let before = self.load()?;
        let lock = self.lock(Wait::UpTo(wait)).await?;
        let held = self.load()?;
        let replaced = if held.token != before.token && held.next_token.is_none() {
            Replaced {
                connection: held,
                previous_ends_at: None,
                by_another: true,
            }
        } else {
            let is_new = held.next_token.is_none();
            let connection = if is_new { self.prepare(held)? } else { held };
            self.finish(connection, is_new).await?
        };
        release(lock)?;
        Ok(replaced)
    }

    /// Finishes a rotation that was broken off: whoever loads the file in order to talk to the hub
    /// passes it through here. Costs nothing when there is none. Another process that holds the lock is
    /// not waited for.
    pub async fn settle(&self, connection: Connection) -> Settled {
        if connection.next_token.is_none() {
            return Settled {
                connection,
                trouble: None,
            };
        }
        match self.try_settle().await {
            Ok(connection) => Settled {
                connection,
                trouble: None,
            },
            Err(error) => Settled {
                // The file may have changed meanwhile: another process finished it, or it has been
                // given up.
                connection: self.load().unwrap_or(connection),
                trouble: Some(error),
            },
        }
    }

    async fn try_settle(&self) -> Result<Connection, RotationError> {
        let lock = self.lock(Wait::No).await?;
        let held = self.load()?;
        let connection = match held.next_token {
            Some(_) => self.finish(held, false).await?.connection,
            None => held,
        };
        release(lock)?;
        Ok(connection)
    }

    /// Saves a new token beside the one there is.
    fn prepare(&self, held: Connection) -> Result<Connection, RotationError> {
        let connection = Connection {
            next_token: Some(ClientToken::random().map_err(RotationError::Random)?),
            ..held
        };
        connection.save(&self.context, &self.user)?;
        failpoint::reach("rotation.saved").map_err(RotationError::Step)?;
        Ok(connection)
    }

    /// Tells the hub of the next token, unless it knows it, and makes it the one there is.
    async fn finish(
        &self,
        connection: Connection,
        is_new: bool,
    ) -> Result<Replaced, RotationError> {
        let Some(next) = connection.next_token.clone() else {
            return Ok(Replaced {
                connection,
                previous_ends_at: None,
                by_another: false,
            });
        };
        let route = connection.route().settled().map_err(ClientError::from)?;
        let client = HubClient::connect(route, self.timeouts).await?;
        let answer = match tell(&client, &connection, &next, is_new).await {
            Ok(answer) => answer,
            Err(error) => {
                if is_final(&error) {
                    // The hub has said that it will never know it.
                    let connection = Connection {
                        next_token: None,
                        ..connection
                    };
                    connection.save(&self.context, &self.user)?;
                }
                return Err(error.into());
            }
        };
        failpoint::reach("rotation.answered").map_err(RotationError::Step)?;
        let lifetime = answer.expires_at.map(|expires_at| Lifetime {
            issued_at: jiff::Timestamp::now().as_second(),
            expires_at,
        });
        let connection = Connection {
            token: next,
            next_token: None,
            lifetime,
            ..connection
        };
        connection.save(&self.context, &self.user)?;
        failpoint::reach("rotation.settled").map_err(RotationError::Step)?;
        Ok(Replaced {
            connection,
            previous_ends_at: answer.previous_ends_at,
            by_another: false,
        })
    }

    fn load(&self) -> Result<Connection, RotationError> {
        Ok(Connection::load(&self.context, &self.user)?)
    }

    async fn lock(&self, wait: Wait) -> Result<FileLock, RotationError> {
        let this = self.clone();
        let taken = task::spawn_blocking(move || {
            let holder = Holder {
                command: &this.command,
                version: &this.version,
            };
            Connection::lock(&this.context, &holder, wait)
        });
        Ok(taken.await.map_err(|_| RotationError::Interrupted)??)
    }
}

/// Tells the hub of `next`. One that was saved earlier may be known to it already, while the one
/// before has ended: so it is shown itself first.
async fn tell(
    client: &HubClient,
    connection: &Connection,
    next: &ClientToken,
    is_new: bool,
) -> Result<TokenRotation, ClientError> {
    let hash = next.hash();
    if !is_new {
        let with_next = client.clone().with_token(next.clone());
        match with_next.rotate_token(&hash).await {
            Err(ClientError::Credentials { .. }) => {}
            // A hub that has forgotten the call may still know the token.
            Err(error) if is_unimplemented(&error) => {
                with_next.status().await.map_err(|_| error)?;
                return Ok(TokenRotation {
                    expires_at: connection.lifetime.map(|life| life.expires_at),
                    previous_ends_at: None,
                });
            }
            answered => return answered,
        }
    }
    let with_current = client.clone().with_token(connection.token.clone());
    with_current.rotate_token(&hash).await
}

/// Whether the hub has not taken the token and never will. What else goes wrong (a limit, a failing
/// disk, a proxy that refuses) may come after the hub has taken it.
fn is_final(error: &ClientError) -> bool {
    let is_refused = |code: &Code| matches!(code, Code::Unimplemented | Code::InvalidArgument);
    match error {
        ClientError::TokenReplaced { .. } => true,
        ClientError::Rejected { code, .. } => is_refused(code),
        _ => false,
    }
}

fn is_unimplemented(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Rejected {
            code: Code::Unimplemented,
            ..
        }
    )
}

fn release(lock: FileLock) -> Result<(), RotationError> {
    lock.release()
        .map_err(|error| RotationError::Connection(error.into()))
}
