//! The messages of the wire for any bytes; see [`crate::fuzzing`].

use std::fmt::Debug;

use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::generated::*;
use super::{codec, convert, json};

/// A message as JSON, of the type that the first byte chooses.
pub fn wire_json(bytes: &[u8]) {
    chosen(bytes, Encoding::Json);
}

/// A message as protobuf, of the type that the first byte chooses.
pub fn wire_proto(bytes: &[u8]) {
    chosen(bytes, Encoding::Proto);
}

#[derive(Clone, Copy)]
enum Encoding {
    Json,
    Proto,
}

/// What is checked of a message, by what the first byte is, counted from `a`.
const CHECKS: [fn(&[u8], Encoding); 35] = [
    check::<RegisterRequest>,
    check::<RegisterResponse>,
    check::<RotateTokenRequest>,
    check::<RotateTokenResponse>,
    check::<RevokeRequest>,
    check::<RevokeResponse>,
    check::<PublishRequest>,
    check::<PublishEntry>,
    check::<EntryMeta>,
    check::<PublishResponse>,
    check::<SyncRequest>,
    check::<ListenRequest>,
    check::<EntryMsg>,
    check::<StatusRequest>,
    check::<StatusResponse>,
    check::<HubStatusRequest>,
    check::<HubStatusResponse>,
    check::<ListClientsRequest>,
    check::<ListClientsResponse>,
    check::<ClientInfo>,
    check::<RevokeClientRequest>,
    check::<RevokeClientResponse>,
    check::<ShutdownRequest>,
    check::<ShutdownResponse>,
    entry,
    draft,
    check::<RotateAdminTokenRequest>,
    check::<RotateAdminTokenResponse>,
    check::<CreateInvitationRequest>,
    check::<CreateInvitationResponse>,
    check::<ListInvitationsRequest>,
    check::<ListInvitationsResponse>,
    check::<InvitationInfo>,
    check::<EndInvitationRequest>,
    check::<EndInvitationResponse>,
];

fn chosen(bytes: &[u8], encoding: Encoding) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let number = usize::from(first.wrapping_sub(b'a'));
    if let Some(check) = CHECKS.get(number) {
        check(rest, encoding);
    }
}

fn read<T: Message + Default + DeserializeOwned>(bytes: &[u8], encoding: Encoding) -> Option<T> {
    match encoding {
        Encoding::Json => json::from_slice(bytes).ok(),
        Encoding::Proto => codec::from_proto(bytes).ok(),
    }
}

/// What was read means the same on both wires.
fn check<T>(bytes: &[u8], encoding: Encoding)
where
    T: Message + Default + Serialize + DeserializeOwned + PartialEq + Debug,
{
    let Some(message) = read::<T>(bytes, encoding) else {
        return;
    };
    let proto = T::decode(message.encode_to_vec().as_slice());
    assert_eq!(proto.as_ref().ok(), Some(&message));
    // JSON has one spelling for a meta that is absent and one that is empty.
    let once = through_json(&message);
    assert_eq!(through_json(&once), once);
    assert_eq!(
        serde_json::to_value(&once).ok(),
        serde_json::to_value(&message).ok()
    );
}

fn through_json<T: Serialize + DeserializeOwned + Debug>(message: &T) -> T {
    let written = serde_json::to_vec(message).unwrap_or_default();
    match json::from_slice(&written) {
        Ok(read) => read,
        Err(error) => panic!("{message:?} was written and is not read: {error}"),
    }
}

/// An entry of a hub as a value and back.
fn entry(bytes: &[u8], encoding: Encoding) {
    let Some(Ok(entry)) = read::<EntryMsg>(bytes, encoding).map(convert::entry_from_wire) else {
        return;
    };
    let written = convert::entry_to_wire(&entry.view());
    for message in [through_json(&written), written] {
        assert_eq!(
            convert::entry_from_wire(message).ok().as_ref(),
            Some(&entry)
        );
    }
}

/// An entry of a publisher as a value and back.
fn draft(bytes: &[u8], encoding: Encoding) {
    let Some(Ok(draft)) = read::<PublishEntry>(bytes, encoding).map(convert::draft_from_wire)
    else {
        return;
    };
    let written = convert::draft_to_wire(&draft);
    for message in [through_json(&written), written] {
        assert_eq!(
            convert::draft_from_wire(message).ok().as_ref(),
            Some(&draft)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_checked() {
        let messages = include_str!("generated.rs").matches("pub struct ").count();
        // An entry and a draft are checked as values as well.
        assert_eq!(CHECKS.len(), messages + 2);
    }
}
