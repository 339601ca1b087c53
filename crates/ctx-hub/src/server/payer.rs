//! On whose account something is held while a call is under way.

use ipnet::IpNet;

use crate::types::ClientId;

/// On whose account something is held.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Payer {
    /// A client that has shown its token.
    Client(ClientId),
    /// Whoever has shown nothing yet: the network of its address.
    Network(IpNet),
}
