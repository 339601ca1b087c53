//! The calls of projects: convert, ask the store, convert back.

use std::sync::Arc;

use ctx_config::wire::{HUB_CHAIN_HEADER, HUB_HEAD_HEADER};
use futures_util::stream::Stream;
use tonic::{Response, Status};

use super::audit;
use super::auth::Caller;
use super::encoding::Encoding;
use super::fanout::{Feed, Wanted};
use super::outgoing::Piece;
use super::shared::Shared;
use super::{status, tokens};
use crate::secret::{ClientToken, Invitation, TokenHash};
use crate::store::{Client, StoreError};
use crate::types::{ClientId, ProjectName, Sequence};
use crate::wire::convert::draft_from_wire;
use crate::wire::generated as wire;

/// Exchanges the admin token or an invitation for a client token.
pub(super) async fn register(
    hub: Arc<Shared>,
    message: wire::RegisterRequest,
) -> Result<Response<wire::RegisterResponse>, Status> {
    let wire::RegisterRequest {
        admin_token,
        project_name,
        invitation,
        token_hash,
    } = message;
    let is_invited = !invitation.is_empty();
    if !is_invited {
        hub.admin.check_message(&*hub.store, &admin_token).await?;
    }
    let project = ProjectName::try_from(project_name).map_err(status::invalid)?;
    let (hash, token) = proposed_or_new(&token_hash)?;
    let registered = if is_invited {
        register_invited(&hub, project, hash.clone(), &invitation).await
    } else if hub.registration.allows(&project) {
        let new = hub.new_token(hash.clone());
        let registered = hub.store.register(project, new).await;
        registered.map_err(status::of_store)
    } else {
        Err(status::name_not_allowed(&project))
    };
    let client = registered?;
    // Asked for again, it is the token of then.
    let shown = hub.store.authenticate(hash).await;
    let shown = shown.map_err(status::of_store)?;
    let expires_at = shown.and_then(|shown| shown.expires_at);
    tracing::info!(client = %client.id, project = %client.project, is_invited, "client registered");
    Ok(Response::new(wire::RegisterResponse {
        client_id: client.id.as_str().to_owned(),
        client_token: token.map_or_else(String::new, |token| token.expose().to_owned()),
        expires_at: expires_at.unwrap_or(0),
    }))
}

/// Registers with an invitation. Whatever is wrong with it, the refusal is the same, and it costs no
/// write.
async fn register_invited(
    hub: &Shared,
    project: ProjectName,
    token: TokenHash,
    invitation: &str,
) -> Result<Client, Status> {
    let refused = || status::of_store(StoreError::Invitation);
    let invitation = Invitation::parse(invitation).map_err(|_| refused())?;
    let hash = invitation.hash();
    let found = hub.store.is_invited(project.clone(), token.clone(), hash);
    if !found.await.map_err(status::of_store)? || !hub.registration.allows(&project) {
        return Err(refused());
    }
    let hash = invitation.hash();
    let new = hub.new_token(token);
    let registered = hub.store.register_invited(project, new, hash).await;
    registered.map_err(status::of_store)
}

/// The hash of the token that a client made, or a new token and its hash.
fn proposed_or_new(proposed: &str) -> Result<(TokenHash, Option<ClientToken>), Status> {
    if proposed.is_empty() {
        let token = ClientToken::random().map_err(status::no_random)?;
        return Ok((token.hash(), Some(token)));
    }
    let hash = TokenHash::from_hex(proposed);
    let hash = hash
        .ok_or_else(|| Status::invalid_argument("token_hash has to be 64 lower-case hex digits"))?;
    Ok((hash, None))
}

/// Ends a client's tokens for whoever has the admin token.
pub(super) async fn revoke(
    hub: Arc<Shared>,
    message: wire::RevokeRequest,
) -> Result<Response<wire::RevokeResponse>, Status> {
    let presented = &message.admin_token;
    hub.admin.check_message(&*hub.store, presented).await?;
    end_client(&hub, &message.client_id).await?;
    Ok(Response::new(wire::RevokeResponse {}))
}

/// Ends the tokens and the open streams of the client with this id.
pub(super) async fn end_client(hub: &Arc<Shared>, id: &str) -> Result<Client, Status> {
    if id.is_empty() {
        return Err(Status::invalid_argument("client ID required"));
    }
    let id: ClientId = id.parse().map_err(status::invalid)?;
    // On a task of its own: whoever asked may be gone before the token is, and then nobody would
    // end the streams.
    let hub = Arc::clone(hub);
    let ending = tokio::spawn(audit::carry(async move {
        let revoked = hub.store.revoke(id).await.map_err(status::of_store)?;
        let client = revoked.ok_or_else(|| Status::not_found("no such client"))?;
        hub.streams.end_client(&client.id);
        tokens::cut_what_stays(Arc::clone(&hub.streams));
        tracing::info!(client = %client.id, project = %client.project, "client revoked");
        Ok(client)
    }));
    ending.await.map_err(|_| status::stopping())?
}

/// Stores entries, all or none, as the caller's.
pub(super) async fn publish(
    hub: Arc<Shared>,
    caller: Caller,
    message: wire::PublishRequest,
) -> Result<Response<wire::PublishResponse>, Status> {
    tell_of(&message.entries, &caller);
    // Whether the client has been revoked while the message was on its way, the store looks at.
    caller.check_if_slow(&*hub.store).await?;
    let most = hub.limits.batch_entries;
    if message.entries.len() > most {
        return Err(status::too_large(format!("publish exceeds {most} entries")));
    }
    let drafts: Result<Vec<_>, _> = message.entries.into_iter().map(draft_from_wire).collect();
    let drafts = drafts.map_err(status::invalid)?;
    if drafts.is_empty() {
        return Ok(Response::new(wire::PublishResponse::default()));
    }
    // First the room: whoever finds none is not to pay for it.
    let _room = hub.room.take(&drafts)?;
    let quota = hub.budget.charge(&caller.client.id, &drafts)?;
    let stored = hub.store.append_within(&caller.client, drafts, quota).await;
    let sequences = stored.map_err(|error| match error {
        StoreError::OverQuota { .. } => hub.budget.day_is_over(),
        other => status::of_store(other),
    })?;
    Ok(Response::new(wire::PublishResponse {
        sequences: sequences.into_iter().map(Sequence::get).collect(),
    }))
}

/// Puts on record what is published, and whom it claims to be from when that is not the caller. It
/// is stored as the caller's all the same.
fn tell_of(entries: &[wire::PublishEntry], caller: &Caller) {
    let project = caller.client.project.as_str();
    let mut origins = entries.iter().map(|entry| entry.origin.as_str());
    let other = origins.find(|origin| !origin.is_empty() && *origin != project);
    let bytes = entries.iter().map(|entry| entry.content.len());
    let bytes = bytes.fold(0, usize::saturating_add);
    audit::tell(|record| {
        record.entries = u64::try_from(entries.len()).ok();
        record.bytes = u64::try_from(bytes).ok();
        record.claimed_origin = other.map(audit::bounded);
    });
}

/// Figures of the hub.
pub(super) async fn figures(hub: Arc<Shared>) -> Result<Response<wire::StatusResponse>, Status> {
    let counted = hub.store.statistics().await.map_err(status::of_store)?;
    let by_type = counted.by_type.into_iter();
    let figures = wire::StatusResponse {
        total_entries: counted.total,
        connected_clients: hub.streams.listening(),
        entries_by_type: by_type
            .map(|(t, count)| (t.as_str().to_owned(), count))
            .collect(),
        entries_by_project: counted.by_project.into_iter().collect(),
    };
    Ok(with_head(figures, counted.head))
}

/// Opens a stream of entries for the caller.
pub(super) async fn stream(
    hub: Arc<Shared>,
    caller: Caller,
    wanted: Result<Wanted, Status>,
    encoding: Encoding,
) -> Result<Response<impl Stream<Item = Result<Piece, Status>> + Send>, Status> {
    let wanted = wanted?;
    let open = hub.streams.open(&caller, wanted.kind)?;
    // What ended the token after it was checked ended only the streams that were open by then.
    open.expires(caller.check_again(&*hub.store).await?);
    wanted.known.check(&*hub.store).await?;
    let recent = Arc::clone(&hub.recent);
    let feed = Feed::new(&*hub.store, recent, wanted, encoding, open, &caller);
    let head = feed.head();
    let chain = hub.store.chain_at(head).await.map_err(status::of_store)?;
    let mut response = with_head(feed.into_pieces(), head);
    // 32 hex digits are always a valid value.
    if let Some(Ok(chain)) = chain.map(|chain| chain.to_string().parse()) {
        response.metadata_mut().insert(HUB_CHAIN_HEADER, chain);
    }
    Ok(response)
}

fn with_head<T>(message: T, head: Sequence) -> Response<T> {
    let mut response = Response::new(message);
    let metadata = response.metadata_mut();
    metadata.insert(HUB_HEAD_HEADER, head.get().into());
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use camino::Utf8Path;
    use ctx_config::paths::DataDir;
    use futures_util::FutureExt as _;

    use super::super::line::Line;
    use super::super::settings::{AuditSettings, Registration};
    use super::super::shared::About;
    use super::super::streams::{Ending, Kind};
    use super::*;
    use crate::store::SqliteStore;

    #[tokio::test]
    async fn a_revocation_ends_the_streams_even_if_whoever_asked_for_it_is_gone() {
        let temp = tempfile::tempdir().unwrap();
        let data_dir = Utf8Path::from_path(temp.path()).unwrap();
        let (store, _) = SqliteStore::open(&DataDir::new(data_dir)).unwrap();
        let about = About {
            version: String::new(),
            pid: 0,
            started_at: 0,
            addresses: Vec::new(),
            data_dir: DataDir::new(data_dir),
            public_address: None,
            certificates: None,
        };
        let audit = audit::Audit::start(&DataDir::new(data_dir), AuditSettings::default()).unwrap();
        let hub = Arc::new(Shared::new(store, audit, Registration::default(), about));
        let token = ClientToken::random().unwrap();
        let project = "alpha".parse().unwrap();
        let new = token.hash().into();
        let client = hub.store.register(project, new).await.unwrap();
        let caller = Caller::new(client.clone(), token.hash(), None, Line::default());
        let mut open = hub.streams.open(&caller, Kind::Listen).unwrap();

        // Asked for, and dropped before it is answered, as when a caller's deadline is over.
        drop(end_client(&hub, client.id.as_str()).now_or_never());
        let ended = tokio::time::timeout(Duration::from_secs(30), open.ended()).await;
        assert_eq!(ended.expect("the stream goes on"), Ending::Revoked);
    }
}
