//! Environment variables that `ctx` reads. Only `ctx-cli` reads them.

/// The home directory, under which the key and the default data directory live.
pub const HOME: &str = "HOME";

/// Admin token for commands that reach a hub on another machine, so that the token need not stand
/// on a command line that other users can see.
pub const ADMIN_TOKEN: &str = "CTX_HUB_ADMIN_TOKEN";

/// Invitation for `ctx connect register`, so that it need not stand on a command line either.
pub const INVITATION: &str = "CTX_HUB_INVITATION";

/// Filter of the diagnostic log on standard error, for instance `ctx_hub=debug`.
pub const LOG: &str = "CTX_LOG";

/// When set to anything but the empty string, output is never coloured (<https://no-color.org>).
pub const NO_COLOR: &str = "NO_COLOR";
