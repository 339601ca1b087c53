//! The paths of the calls, as they stand in the HTTP/2 request.

/// Exchanges the admin token for a client token of a new project.
pub const REGISTER: &str = "/ctx.hub.v1.CtxHub/Register";

/// Ends a client's token; carries the admin token in the message.
pub const REVOKE: &str = "/ctx.hub.v1.CtxHub/Revoke";

/// Stores entries.
pub const PUBLISH: &str = "/ctx.hub.v1.CtxHub/Publish";

/// Streams the stored entries after a sequence, then ends.
pub const SYNC: &str = "/ctx.hub.v1.CtxHub/Sync";

/// The same, and then every new entry as it is stored.
pub const LISTEN: &str = "/ctx.hub.v1.CtxHub/Listen";

/// Figures of the hub.
pub const STATUS: &str = "/ctx.hub.v1.CtxHub/Status";

/// Puts another token in place of the caller's.
pub const ROTATE_TOKEN: &str = "/ctx.hub.v1.CtxHub/RotateToken";

/// For operators: health and figures of the running hub.
pub const HUB_STATUS: &str = "/ctx.hub.v1.CtxHubAdmin/HubStatus";

/// For operators: every client that was ever registered.
pub const LIST_CLIENTS: &str = "/ctx.hub.v1.CtxHubAdmin/ListClients";

/// For operators: ends a client's token and its open streams.
pub const REVOKE_CLIENT: &str = "/ctx.hub.v1.CtxHubAdmin/RevokeClient";

/// For operators, on the admin socket only: makes a new admin token.
pub const ROTATE_ADMIN_TOKEN: &str = "/ctx.hub.v1.CtxHubAdmin/RotateAdminToken";

/// For operators: makes an invitation.
pub const CREATE_INVITATION: &str = "/ctx.hub.v1.CtxHubAdmin/CreateInvitation";

/// For operators: every invitation that was ever made.
pub const LIST_INVITATIONS: &str = "/ctx.hub.v1.CtxHubAdmin/ListInvitations";

/// For operators: ends an invitation.
pub const END_INVITATION: &str = "/ctx.hub.v1.CtxHubAdmin/EndInvitation";

/// For operators, on the admin socket only: drains and stops the hub.
pub const SHUTDOWN: &str = "/ctx.hub.v1.CtxHubAdmin/Shutdown";

#[cfg(test)]
mod tests {
    use super::*;
    use ctx_config::wire::{ADMIN_SERVICE, SERVICE};

    #[test]
    fn every_path_names_its_service() {
        for path in [
            REGISTER,
            REVOKE,
            PUBLISH,
            SYNC,
            LISTEN,
            STATUS,
            ROTATE_TOKEN,
        ] {
            assert!(path.starts_with(&format!("/{SERVICE}/")), "{path}");
        }
        for path in [
            HUB_STATUS,
            LIST_CLIENTS,
            REVOKE_CLIENT,
            SHUTDOWN,
            ROTATE_ADMIN_TOKEN,
            CREATE_INVITATION,
            LIST_INVITATIONS,
            END_INVITATION,
        ] {
            assert!(path.starts_with(&format!("/{ADMIN_SERVICE}/")), "{path}");
        }
    }

    #[test]
    fn the_descriptor_describes_both_services() {
        let descriptor = String::from_utf8_lossy(crate::wire::FILE_DESCRIPTOR_SET);
        for name in ["CtxHub", "CtxHubAdmin", "Register", "Shutdown", "EntryMsg"] {
            assert!(descriptor.contains(name), "{name}");
        }
    }
}
