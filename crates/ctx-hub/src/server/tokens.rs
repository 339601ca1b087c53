//! Tokens that are issued, replaced and run out.

use std::sync::Arc;
use std::time::Duration;

use ctx_config::limits;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tonic::{Response, Status};

use super::audit;
use super::auth::Caller;
use super::settings::{HumanDuration, Tokens};
use super::shared::Shared;
use super::status;
use super::streams::Streams;
use crate::lifetime;
use crate::secret::TokenHash;
use crate::store::{NewToken, Rotated};
use crate::wire::generated as wire;

/// On what terms tokens are issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// How long a token lives; `None`: for ever.
    pub(super) ttl: Option<Duration>,
    /// How long a token that was replaced goes on.
    pub(super) overlap: Duration,
}

impl Terms {
    pub(super) fn of(settings: &Tokens) -> Self {
        Self {
            ttl: settings.ttl.map(HumanDuration::get),
            overlap: settings.overlap.get(),
        }
    }
}

impl Shared {
    /// A token of this hash, issued now.
    pub(super) fn new_token(&self, hash: TokenHash) -> NewToken {
        let now = self.clock.unix();
        NewToken {
            hash,
            expires_at: self.terms.ttl.map(|ttl| lifetime::after(now, ttl)),
        }
    }
}

/// Puts another token in the place of the caller's, and lets the streams that the old one opened end
/// with it.
pub(super) async fn rotate(
    hub: Arc<Shared>,
    caller: Caller,
    message: wire::RotateTokenRequest,
) -> Result<Response<wire::RotateTokenResponse>, Status> {
    let Some(hash) = TokenHash::from_hex(&message.new_token_hash) else {
        return Err(Status::invalid_argument(
            "new_token_hash has to be the SHA-256 of a token, 64 lower-case hex digits",
        ));
    };
    // On a task of its own, as a revocation: whoever asked may be gone before the streams are told.
    let rotating = tokio::spawn(audit::carry(async move {
        let is_itself = hash == caller.token;
        let overlap_ends_at = lifetime::after(hub.clock.unix(), hub.terms.overlap);
        let old = caller.token.clone();
        let rotated = hub.store.rotate(old, hub.new_token(hash), overlap_ends_at);
        let Rotated {
            client,
            expires_at,
            previous_ends_at,
        } = rotated.await.map_err(status::of_store)?;
        if let Some(ends_at) = previous_ends_at
            && !is_itself
        {
            hub.streams.shorten(&caller.token, ends_at);
        }
        tracing::info!(client = %client.id, project = %client.project, expires_at, "token replaced");
        Ok(Response::new(wire::RotateTokenResponse {
            expires_at: expires_at.unwrap_or(0),
            previous_ends_at: previous_ends_at.unwrap_or(0),
        }))
    }));
    rotating.await.map_err(|_| status::stopping())?
}

/// Ends streams whose token has expired. The clock is asked again and again, for it may be set, and a
/// machine may sleep.
pub(super) async fn end_expired(hub: Arc<Shared>) {
    let mut looks = interval(limits::TOKEN_LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        if hub.streams.end_expired(hub.clock.unix()) {
            cut_what_stays(Arc::clone(&hub.streams));
        }
    }
}

/// Gives streams that were told to end a moment for it. Then the connections of those are cut off that
/// are still there, because their client does not read: nobody asks such a stream for its end.
pub(super) fn cut_what_stays(streams: Arc<Streams>) {
    drop(tokio::spawn(async move {
        sleep(limits::STREAM_END_GRACE).await;
        streams.cut_ended();
    }));
}
