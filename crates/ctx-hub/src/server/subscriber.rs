//! What counts as one address.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Bits of an IPv6 address that tell one subscriber from another: whoever has one address has the
/// others of its network, too.
const IPV6_SUBSCRIBER: u8 = 64;

/// The network that stands for whoever has `address`.
pub(super) fn subscriber(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        IpAddr::V4(address) => IpNet::V4(Ipv4Net::from(address)),
        IpAddr::V6(address) => {
            let network = Ipv6Net::new(address, IPV6_SUBSCRIBER);
            IpNet::V6(network.map_or_else(|_| Ipv6Net::from(address), |network| network.trunc()))
        }
    }
}
