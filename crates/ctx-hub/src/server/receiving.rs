//! What may be on its way into this hub at a time.

use ctx_config::limits;
use http::HeaderMap;

use super::payer::Payer;
use super::peer::Peer;
use super::pot::{Held, Pot};
use super::subscriber::subscriber;
use crate::types::ClientId;

/// What may be on its way into this hub at a time. Strangers have a purse of their own: they cannot
/// spend what clients need.
#[derive(Debug)]
pub(super) struct Receiving {
    clients: Pot<Payer>,
    strangers: Pot<Payer>,
    /// Health and reflection: streams that take no token, and may stay open.
    open_to_all: Pot<Payer>,
}

impl Default for Receiving {
    fn default() -> Self {
        Self::new(limits::RECEIVING_BYTES, limits::RECEIVING_CLIENT_BYTES)
    }
}

impl Receiving {
    /// Room for `bytes` of messages of clients, `share` of them for each.
    pub(super) fn new(bytes: usize, share: usize) -> Self {
        let (all, one) = (limits::STRANGERS_BYTES, limits::STRANGER_BYTES);
        let (calls, calls_of_one) = (limits::OPEN_CALLS, limits::OPEN_CALLS_OF_ADDRESS);
        Self {
            clients: Pot::new(bytes, share),
            strangers: Pot::new(all, one),
            open_to_all: Pot::new(calls, calls_of_one),
        }
    }

    /// The purse of a call: of `client`, or of whoever is at `peer`. On the admin socket nobody
    /// counts.
    pub(super) fn purse(
        &self,
        client: Option<&ClientId>,
        peer: Option<&Peer>,
        headers: &HeaderMap,
    ) -> Option<Held<Payer>> {
        let network = network(peer?, headers)?;
        Some(match client {
            Some(client) => self.clients.nothing(Payer::Client(client.clone())),
            None => self.strangers.nothing(network),
        })
    }

    /// The place of a call that takes no token; `Err` when its address has too many.
    pub(super) fn place(
        &self,
        peer: Option<&Peer>,
        headers: &HeaderMap,
    ) -> Result<Option<Held<Payer>>, super::pot::Spent> {
        let Some(network) = peer.and_then(|peer| network(peer, headers)) else {
            return Ok(None);
        };
        let mut place = self.open_to_all.nothing(network);
        place.take(1)?;
        Ok(Some(place))
    }
}

fn network(peer: &Peer, headers: &HeaderMap) -> Option<Payer> {
    let address = peer.client_address(headers)?;
    Some(Payer::Network(subscriber(address)))
}
