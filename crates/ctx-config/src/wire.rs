//! Names that cross the network between a client and a hub.

/// Full name of the gRPC service that projects use.
pub const SERVICE: &str = "ctx.hub.v1.CtxHub";

/// Full name of the gRPC service for operators, answered on the admin socket and, with the admin
/// token, on the network.
pub const ADMIN_SERVICE: &str = "ctx.hub.v1.CtxHubAdmin";

/// Content type of messages written as JSON, which every peer speaks.
pub const CONTENT_TYPE_JSON: &str = "application/grpc+json";

/// Content type of messages written as protobuf (`application/grpc+proto` means the same).
pub const CONTENT_TYPE_PROTO: &str = "application/grpc";

/// The long spelling of [`CONTENT_TYPE_PROTO`].
pub const CONTENT_TYPE_PROTO_LONG: &str = "application/grpc+proto";

/// Metadata key of the credentials.
pub const AUTHORIZATION: &str = "authorization";

/// What stands before the token in [`AUTHORIZATION`].
pub const BEARER_PREFIX: &str = "Bearer ";

/// Response metadata: identity of the hub's log, 32 lower-case hex digits. Older hubs send none.
pub const HUB_ID_HEADER: &str = "ctx-hub-id";

/// Response metadata of `Sync`: the hub's last sequence when the call began, in decimal. The
/// stream holds every matching entry up to it. Older hubs send none.
pub const HUB_HEAD_HEADER: &str = "ctx-hub-head";

/// Response metadata of `Sync` and `Listen`: the rolling hash of the hub's log up to
/// [`HUB_HEAD_HEADER`], 32 lower-case hex digits. Older hubs send none.
pub const HUB_CHAIN_HEADER: &str = "ctx-hub-chain";

/// Metadata of a `Sync` or `Listen` that is refused because the caller knows another log:
/// [`HUB_LOG_SHORTER`] or [`HUB_LOG_OTHER`].
pub const HUB_LOG_HEADER: &str = "ctx-hub-log";

/// The hub's log ends before what the caller knows.
pub const HUB_LOG_SHORTER: &str = "shorter";

/// The hub's log reaches as far as the caller knows, and is another one there.
pub const HUB_LOG_OTHER: &str = "other";

/// Response metadata of a call that was refused because it was too much for now: after how many
/// milliseconds it may be repeated, in decimal. The name is that of gRPC's own retries.
pub const RETRY_AFTER_HEADER: &str = "grpc-retry-pushback-ms";

/// First characters of an admin token; 64 lower-case hex digits follow.
pub const ADMIN_TOKEN_PREFIX: &str = "ctx_adm_";

/// First characters of a client token; 64 lower-case hex digits follow.
pub const CLIENT_TOKEN_PREFIX: &str = "ctx_cli_";

/// First characters of an invitation; 64 lower-case hex digits follow.
pub const INVITATION_PREFIX: &str = "ctx_inv_";

/// Port that a hub listens on, and that a client assumes, unless told otherwise.
pub const DEFAULT_PORT: u16 = 9900;

/// Address that a hub listens on unless told otherwise: this machine alone.
pub const DEFAULT_HOST: &str = "127.0.0.1";
