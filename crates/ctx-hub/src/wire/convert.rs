//! Messages to values and back. The only file that sees both.
//!
//! Every field of a message is named here, so that a field added to `hub.proto` does not compile
//! until somebody has decided what it means.

use super::admin::{ClientRecord, ClientState, HubHealth, InvitationInfo, NewlyInvited};
use super::generated as wire;
use crate::entry::{DraftError, Entry, EntryDraft, EntryMeta, EntryView, MetaView};
use crate::secret::Invitation;
use crate::types::{
    Chain, ClientId, EmptyId, EntryId, EntryType, InvalidFingerprint, InvalidId,
    InvalidInvitationId, LogMark, Sequence, TypeSet, UnknownType,
};

/// A message of a hub that holds what no value can be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The entry has no id.
    #[error("the entry with sequence {sequence} has no id")]
    NoId {
        /// Its place in the hub's log.
        sequence: u64,
        /// What is wrong with the id.
        source: EmptyId,
    },
    /// The entry has a type that this program does not know; a newer hub may have more of them.
    #[error("the entry with sequence {sequence} has an unknown type")]
    Type {
        /// Its place in the hub's log.
        sequence: u64,
        /// The type.
        source: UnknownType,
    },
    /// The rolling hash of the log at the entry is none.
    #[error("the entry with sequence {sequence} has a rolling hash that is none")]
    Chain {
        /// Its place in the hub's log.
        sequence: u64,
        /// What is wrong with the hash.
        source: InvalidId,
    },
    /// The id of an invitation is none.
    #[error("invitation_id is not an id")]
    InvitationId(#[from] InvalidInvitationId),
    /// An invitation is none. It is not repeated.
    #[error("the invitation is not one")]
    Invitation,
    /// An identity is none.
    #[error("{field} is not an identity")]
    Identity {
        /// The field.
        field: &'static str,
        /// What it holds.
        source: InvalidId,
    },
    /// The fingerprint of a certificate is none.
    #[error("the fingerprint of the hub's certificate")]
    Fingerprint(#[from] InvalidFingerprint),
}

/// Reads an entry that a publisher sent and checks every rule of the protocol. What it says of its
/// origin is ignored: the hub knows who it is.
///
/// # Errors
/// [`DraftError`] names the rule that it breaks.
pub fn draft_from_wire(message: wire::PublishEntry) -> Result<EntryDraft, DraftError> {
    let wire::PublishEntry {
        id,
        r#type,
        content,
        origin: _,
        timestamp,
        meta,
    } = message;
    let id = EntryId::try_from(id)?;
    EntryDraft::new(
        id,
        r#type.parse()?,
        content,
        timestamp,
        meta_from_wire(meta),
    )
}

/// Writes an entry for a hub. The origin stays empty: the hub stamps it.
#[must_use]
pub fn draft_to_wire(draft: &EntryDraft) -> wire::PublishEntry {
    wire::PublishEntry {
        id: draft.id().as_str().to_owned(),
        r#type: draft.entry_type().as_str().to_owned(),
        content: draft.content().to_owned(),
        origin: String::new(),
        timestamp: draft.timestamp(),
        meta: meta_to_wire(draft.meta().clone()),
    }
}

/// Reads an entry that a hub sent.
///
/// # Errors
/// [`ConvertError::NoId`] and [`ConvertError::Type`].
pub fn entry_from_wire(message: wire::EntryMsg) -> Result<Entry, ConvertError> {
    let wire::EntryMsg {
        id,
        r#type,
        content,
        origin,
        timestamp,
        sequence,
        meta,
        chain,
    } = message;
    Ok(Entry {
        id: EntryId::try_from(id).map_err(|source| ConvertError::NoId { sequence, source })?,
        entry_type: r#type
            .parse()
            .map_err(|source| ConvertError::Type { sequence, source })?,
        content,
        origin,
        timestamp,
        sequence: Sequence::new(sequence),
        meta: meta_from_wire(meta),
        chain: chain_from_wire(&chain)
            .map_err(|source| ConvertError::Chain { sequence, source })?,
    })
}

/// Writes an entry for a client.
#[must_use]
pub fn entry_to_wire(entry: &EntryView<'_>) -> wire::EntryMsg {
    let EntryView {
        id,
        entry_type,
        content,
        origin,
        timestamp,
        sequence,
        meta,
        chain,
    } = *entry;
    let MetaView {
        display_name,
        host,
        tool,
        via,
    } = meta;
    let meta = EntryMeta {
        display_name: display_name.to_owned(),
        host: host.to_owned(),
        tool: tool.to_owned(),
        via: via.to_owned(),
    };
    wire::EntryMsg {
        id: id.to_owned(),
        r#type: entry_type.as_str().to_owned(),
        content: content.to_owned(),
        origin: origin.to_owned(),
        timestamp,
        sequence: sequence.get(),
        meta: meta_to_wire(meta),
        chain: chain.as_ref().map(Chain::to_string).unwrap_or_default(),
    }
}

/// Reads a rolling hash; what is empty is none.
///
/// # Errors
/// [`InvalidId`] for any other text than 32 lower-case hex digits.
pub fn chain_from_wire(chain: &str) -> Result<Option<Chain>, InvalidId> {
    if chain.is_empty() {
        return Ok(None);
    }
    chain.parse().map(Some)
}

/// Writes what is known of a hub's log: `known_sequence` and `known_chain`.
#[must_use]
pub fn known_to_wire(known: Option<LogMark>) -> (u64, String) {
    known
        .map(|LogMark { sequence, chain }| (sequence.get(), chain.to_string()))
        .unwrap_or_default()
}

/// Writes a set of types. All of them are written as none, which every hub reads as all, those
/// included that only the hub knows.
#[must_use]
pub fn types_to_wire(types: &TypeSet) -> Vec<String> {
    if types.is_all() {
        return Vec::new();
    }
    types
        .iter()
        .map(EntryType::as_str)
        .map(str::to_owned)
        .collect()
}

/// Reads what a hub says of itself to an operator.
///
/// # Errors
/// [`ConvertError::Identity`], [`ConvertError::Fingerprint`].
pub fn health_from_wire(message: wire::HubStatusResponse) -> Result<HubHealth, ConvertError> {
    let wire::HubStatusResponse {
        hub_id,
        version,
        pid,
        started_at,
        addresses,
        data_dir,
        head,
        total_entries,
        connected_clients,
        registered_clients,
        entries_by_type,
        entries_by_project,
        fingerprint,
        encrypted,
        certificate_expires_at,
        self_signed,
        troubles,
    } = message;
    let fingerprint = (!fingerprint.is_empty()).then(|| fingerprint.parse());
    Ok(HubHealth {
        hub_id: hub_id.parse().map_err(|source| ConvertError::Identity {
            field: "hub_id",
            source,
        })?,
        version,
        pid,
        started_at,
        addresses,
        data_dir,
        encrypted,
        fingerprint: fingerprint.transpose()?,
        certificate_expires_at: (certificate_expires_at != 0).then_some(certificate_expires_at),
        self_signed,
        head: Sequence::new(head),
        total_entries,
        connected_clients,
        registered_clients,
        entries_by_type,
        entries_by_project,
        troubles,
    })
}

/// Writes what a hub says of itself to an operator.
#[must_use]
pub fn health_to_wire(health: HubHealth) -> wire::HubStatusResponse {
    let HubHealth {
        hub_id,
        version,
        pid,
        started_at,
        addresses,
        data_dir,
        encrypted,
        fingerprint,
        certificate_expires_at,
        self_signed,
        head,
        total_entries,
        connected_clients,
        registered_clients,
        entries_by_type,
        entries_by_project,
        troubles,
    } = health;
    wire::HubStatusResponse {
        hub_id: hub_id.as_str().to_owned(),
        version,
        pid,
        started_at,
        addresses,
        data_dir,
        head: head.get(),
        total_entries,
        connected_clients,
        registered_clients,
        entries_by_type,
        entries_by_project,
        fingerprint: fingerprint.map_or_else(String::new, |it| it.to_string()),
        encrypted,
        certificate_expires_at: certificate_expires_at.unwrap_or_default(),
        self_signed,
        troubles,
    }
}

/// Reads a client that was registered once.
///
/// # Errors
/// [`ConvertError::Identity`].
pub fn client_from_wire(message: wire::ClientInfo) -> Result<ClientRecord, ConvertError> {
    let wire::ClientInfo {
        client_id,
        project_name,
        created_at,
        revoked_at,
        entries,
        last_seen_at,
        last_address,
        expires_at,
        state,
        open_streams,
    } = message;
    let revoked_at = moment_from_wire(revoked_at);
    Ok(ClientRecord {
        id: client_id_from_wire(&client_id)?,
        project: project_name,
        created_at: moment_from_wire(created_at),
        revoked_at,
        entries,
        last_seen_at: moment_from_wire(last_seen_at),
        last_address: (!last_address.is_empty()).then_some(last_address),
        expires_at: moment_from_wire(expires_at),
        state: ClientState::named(&state)
            .unwrap_or_else(|| ClientState::at(0, revoked_at.is_some(), None)),
        open_streams,
    })
}

/// Writes a client that was registered once.
#[must_use]
pub fn client_to_wire(client: ClientRecord) -> wire::ClientInfo {
    let ClientRecord {
        id,
        project,
        created_at,
        revoked_at,
        entries,
        last_seen_at,
        last_address,
        expires_at,
        state,
        open_streams,
    } = client;
    wire::ClientInfo {
        client_id: id.as_str().to_owned(),
        project_name: project,
        created_at: created_at.unwrap_or(0),
        revoked_at: revoked_at.unwrap_or(0),
        entries,
        last_seen_at: last_seen_at.unwrap_or(0),
        last_address: last_address.unwrap_or_default(),
        expires_at: expires_at.unwrap_or(0),
        state: state.as_str().to_owned(),
        open_streams,
    }
}

/// Reads an invitation that was made once.
///
/// # Errors
/// [`ConvertError::InvitationId`].
pub fn invitation_from_wire(message: wire::InvitationInfo) -> Result<InvitationInfo, ConvertError> {
    let wire::InvitationInfo {
        invitation_id,
        project_name,
        uses,
        used,
        created_at,
        expires_at,
        ended_at,
    } = message;
    Ok(InvitationInfo {
        id: invitation_id.parse()?,
        project: project_name,
        uses,
        used,
        created_at,
        expires_at,
        ended_at: (ended_at != 0).then_some(ended_at),
    })
}

/// Writes an invitation that was made once.
#[must_use]
pub fn invitation_to_wire(info: InvitationInfo) -> wire::InvitationInfo {
    let InvitationInfo {
        id,
        project,
        uses,
        used,
        created_at,
        expires_at,
        ended_at,
    } = info;
    wire::InvitationInfo {
        invitation_id: id.as_str().to_owned(),
        project_name: project,
        uses,
        used,
        created_at,
        expires_at,
        ended_at: ended_at.unwrap_or(0),
    }
}

/// Reads an invitation that was just made.
///
/// # Errors
/// [`ConvertError::Invitation`] and [`ConvertError::InvitationId`].
pub fn newly_invited_from_wire(
    message: wire::CreateInvitationResponse,
) -> Result<NewlyInvited, ConvertError> {
    let wire::CreateInvitationResponse {
        invitation,
        info,
        public_address,
    } = message;
    let invitation = zeroize::Zeroizing::new(invitation);
    Ok(NewlyInvited {
        invitation: Invitation::parse(&invitation).map_err(|_| ConvertError::Invitation)?,
        info: invitation_from_wire(info.unwrap_or_default())?,
        public_address: Some(public_address).filter(|address| !address.is_empty()),
    })
}

/// Writes an invitation that was just made.
#[must_use]
pub fn newly_invited_to_wire(new: NewlyInvited) -> wire::CreateInvitationResponse {
    let NewlyInvited {
        invitation,
        info,
        public_address,
    } = new;
    wire::CreateInvitationResponse {
        invitation: invitation.expose().to_owned(),
        info: Some(invitation_to_wire(info)),
        public_address: public_address.unwrap_or_default(),
    }
}

/// Reads a moment in Unix seconds; 0 is none.
#[must_use]
pub fn moment_from_wire(moment: i64) -> Option<i64> {
    (moment != 0).then_some(moment)
}

/// Reads the identity of a client.
///
/// # Errors
/// [`ConvertError::Identity`].
pub fn client_id_from_wire(text: &str) -> Result<ClientId, ConvertError> {
    text.parse().map_err(|source| ConvertError::Identity {
        field: "client_id",
        source,
    })
}

fn meta_from_wire(meta: Option<wire::EntryMeta>) -> EntryMeta {
    let wire::EntryMeta {
        display_name,
        host,
        tool,
        via,
    } = meta.unwrap_or_default();
    EntryMeta {
        display_name,
        host,
        tool,
        via,
    }
}

fn meta_to_wire(meta: EntryMeta) -> Option<wire::EntryMeta> {
    if meta.is_empty() {
        return None;
    }
    let EntryMeta {
        display_name,
        host,
        tool,
        via,
    } = meta;
    Some(wire::EntryMeta {
        display_name,
        host,
        tool,
        via,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> wire::EntryMeta {
        wire::EntryMeta {
            display_name: "Ada".to_owned(),
            host: "h".to_owned(),
            tool: "t".to_owned(),
            via: "v".to_owned(),
        }
    }

    fn entry() -> wire::EntryMsg {
        wire::EntryMsg {
            id: "i".to_owned(),
            r#type: "convention".to_owned(),
            content: "c".to_owned(),
            origin: "o".to_owned(),
            timestamp: 5,
            sequence: 7,
            meta: Some(meta()),
            chain: "0123456789abcdef0123456789abcdef".to_owned(),
        }
    }

    #[test]
    fn an_entry_of_a_hub_reads_and_is_written_the_same() {
        let value = entry_from_wire(entry()).unwrap();
        assert_eq!(value.sequence, Sequence::new(7));
        assert_eq!(entry_to_wire(&value.view()), entry());
        let unchained = wire::EntryMsg {
            chain: String::new(),
            ..entry()
        };
        let value = entry_from_wire(unchained.clone()).unwrap();
        assert_eq!(value.chain, None);
        assert_eq!(entry_to_wire(&value.view()), unchained);
    }

    #[test]
    fn an_entry_without_id_or_of_unknown_type_is_told_apart() {
        let no_id = wire::EntryMsg {
            id: String::new(),
            ..entry()
        };
        let error = entry_from_wire(no_id).unwrap_err();
        assert_eq!(
            error,
            ConvertError::NoId {
                sequence: 7,
                source: EmptyId
            }
        );
        let rumour = wire::EntryMsg {
            r#type: "rumour".to_owned(),
            ..entry()
        };
        let error = entry_from_wire(rumour).unwrap_err();
        assert!(
            matches!(error, ConvertError::Type { sequence: 7, .. }),
            "{error}"
        );
        let no_hash = wire::EntryMsg {
            chain: "x".to_owned(),
            ..entry()
        };
        let error = entry_from_wire(no_hash).unwrap_err();
        assert!(
            matches!(error, ConvertError::Chain { sequence: 7, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_draft_reads_without_its_claim_to_an_origin_and_is_written_without_one() {
        let message = wire::PublishEntry {
            id: "i".to_owned(),
            r#type: "task".to_owned(),
            content: "c".to_owned(),
            origin: "somebody else".to_owned(),
            timestamp: 5,
            meta: Some(meta()),
        };
        let draft = draft_from_wire(message.clone()).unwrap();
        let written = draft_to_wire(&draft);
        assert_eq!(
            written,
            wire::PublishEntry {
                origin: String::new(),
                ..message
            }
        );
    }

    #[test]
    fn a_draft_that_breaks_a_rule_is_refused_in_the_words_of_the_protocol() {
        let refusal = |message| draft_from_wire(message).unwrap_err().to_string();
        let good = draft_to_wire(
            &draft_from_wire(wire::PublishEntry {
                id: "i".to_owned(),
                r#type: "task".to_owned(),
                ..wire::PublishEntry::default()
            })
            .unwrap(),
        );
        let no_id = wire::PublishEntry {
            id: String::new(),
            ..good.clone()
        };
        assert_eq!(refusal(no_id), "entry ID required");
        let unknown = wire::PublishEntry {
            r#type: "x".to_owned(),
            ..good.clone()
        };
        assert_eq!(refusal(unknown), "invalid entry type \"x\"");
        let large = wire::PublishEntry {
            content: "x".repeat(1_048_577),
            ..good
        };
        assert_eq!(refusal(large), "entry content exceeds 1MB limit");
    }

    #[test]
    fn every_type_is_asked_for_by_naming_none() {
        assert!(types_to_wire(&TypeSet::all()).is_empty());
        let some: TypeSet = [EntryType::Task, EntryType::Decision].into_iter().collect();
        assert_eq!(types_to_wire(&some), ["decision", "task"]);
    }

    #[test]
    fn what_operators_are_told_reads_and_is_written_the_same() {
        let id = "0123456789abcdef0123456789abcdef".to_owned();
        let health = wire::HubStatusResponse {
            hub_id: id.clone(),
            version: "1".to_owned(),
            pid: 2,
            started_at: 3,
            addresses: vec!["a:4".to_owned()],
            data_dir: "/d".to_owned(),
            head: 5,
            total_entries: 6,
            connected_clients: 7,
            registered_clients: 8,
            entries_by_type: [("task".to_owned(), 9)].into(),
            entries_by_project: [("p".to_owned(), 10)].into(),
            fingerprint: "0f".repeat(32),
            encrypted: true,
            certificate_expires_at: 13,
            self_signed: true,
            troubles: vec!["t".to_owned()],
        };
        assert_eq!(
            health_to_wire(health_from_wire(health.clone()).unwrap()),
            health
        );
        let client = wire::ClientInfo {
            client_id: id,
            project_name: "p".to_owned(),
            created_at: 0,
            revoked_at: 11,
            entries: 12,
            last_seen_at: 13,
            last_address: "192.0.2.1".to_owned(),
            expires_at: 14,
            state: "revoked".to_owned(),
            open_streams: 15,
        };
        let record = client_from_wire(client.clone()).unwrap();
        assert_eq!((record.created_at, record.revoked_at), (None, Some(11)));
        assert_eq!(client_to_wire(record), client);
        // An older hub sends no state.
        let older = wire::ClientInfo {
            state: String::new(),
            revoked_at: 0,
            ..client
        };
        let record = client_from_wire(older).unwrap();
        assert_eq!(record.state, ClientState::Live);
    }

    #[test]
    fn an_identity_that_is_none_is_named() {
        let error = client_from_wire(wire::ClientInfo::default()).unwrap_err();
        assert_eq!(error.to_string(), "client_id is not an identity");
        let error = health_from_wire(wire::HubStatusResponse::default()).unwrap_err();
        assert_eq!(error.to_string(), "hub_id is not an identity");
    }
}
