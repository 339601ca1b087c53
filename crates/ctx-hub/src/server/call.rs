//! The calls there are, sorted by what a caller has to show for them.

use ctx_config::limits;

use super::settings::Limits;
use crate::wire::method;

/// A call of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// The admin token is in the message.
    Open(OpenCall),
    /// The token of a client comes as credentials.
    Client(ClientCall),
    /// For operators.
    Operator(OperatorCall),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpenCall {
    Register,
    Revoke,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientCall {
    Publish,
    Status,
    Sync,
    Listen,
    RotateToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OperatorCall {
    HubStatus,
    ListClients,
    RevokeClient,
    RotateAdminToken,
    CreateInvitation,
    ListInvitations,
    EndInvitation,
    Shutdown,
}

impl Call {
    /// The call at `path`, if there is one.
    pub(super) fn at(path: &str) -> Option<Self> {
        Some(match path {
            method::REGISTER => Self::Open(OpenCall::Register),
            method::REVOKE => Self::Open(OpenCall::Revoke),
            method::PUBLISH => Self::Client(ClientCall::Publish),
            method::STATUS => Self::Client(ClientCall::Status),
            method::SYNC => Self::Client(ClientCall::Sync),
            method::LISTEN => Self::Client(ClientCall::Listen),
            method::ROTATE_TOKEN => Self::Client(ClientCall::RotateToken),
            method::HUB_STATUS => Self::Operator(OperatorCall::HubStatus),
            method::LIST_CLIENTS => Self::Operator(OperatorCall::ListClients),
            method::REVOKE_CLIENT => Self::Operator(OperatorCall::RevokeClient),
            method::ROTATE_ADMIN_TOKEN => Self::Operator(OperatorCall::RotateAdminToken),
            method::CREATE_INVITATION => Self::Operator(OperatorCall::CreateInvitation),
            method::LIST_INVITATIONS => Self::Operator(OperatorCall::ListInvitations),
            method::END_INVITATION => Self::Operator(OperatorCall::EndInvitation),
            method::SHUTDOWN => Self::Operator(OperatorCall::Shutdown),
            _ => return None,
        })
    }

    /// Largest message that is read, in bytes.
    pub(super) fn message_max_bytes(self, most: &Limits) -> usize {
        match self {
            Self::Client(ClientCall::Publish) => most.message_bytes,
            _ => limits::SERVER_SMALL_MESSAGE_MAX_BYTES,
        }
    }

    /// Whether it is answered by a stream.
    pub(super) fn is_stream(self) -> bool {
        matches!(self, Self::Client(ClientCall::Sync | ClientCall::Listen))
    }
}
