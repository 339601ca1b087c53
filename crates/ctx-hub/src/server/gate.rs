//! How many connections there may be: in all, and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;

use super::incidents::Incident;
use super::subscriber::subscriber;

/// Counts the connections of one door.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    most_of_one: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    of: HashMap<IpNet, usize>,
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
#[must_use = "the place is given back as soon as this is dropped"]
pub(super) struct Place {
    gate: Arc<Inner>,
    network: Option<IpNet>,
}

impl Gate {
    /// Lets in `most` connections, and `most_of_one` from one address, but never more than half of
    /// all: one address alone does not keep the others out.
    pub(super) fn new(most: usize, most_of_one: usize) -> Self {
        Self(Arc::new(Inner {
            most,
            most_of_one: most_of_one.min(most.div_ceil(2)),
            open: Mutex::default(),
        }))
    }

    /// A place for a connection from `address`; with `None` it counts only among all.
    ///
    /// # Errors
    /// Which limit is reached.
    pub(super) fn enter(&self, address: Option<IpAddr>) -> Result<Place, Incident> {
        let network = address.map(subscriber);
        let mut open = self.0.lock();
        if open.all >= self.0.most {
            return Err(Incident::TooManyConnections);
        }
        if let Some(network) = network {
            let of_one = open.of.entry(network).or_default();
            if *of_one >= self.0.most_of_one {
                return Err(Incident::TooManyOfOneAddress);
            }
            *of_one += 1;
        }
        open.all += 1;
        let gate = Arc::clone(&self.0);
        Ok(Place { gate, network })
    }

    /// How many connections are open.
    #[cfg(test)]
    fn open(&self) -> usize {
        self.0.lock().all
    }
}

impl Inner {
    /// A panic elsewhere leaves the counts whole: each change is made under one lock.
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.gate.lock();
        open.all -= 1;
        if let Some(network) = self.network
            && let Some(of_one) = open.of.get_mut(&network)
        {
            *of_one -= 1;
            if *of_one == 0 {
                open.of.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Option<IpAddr> {
        Some(address.parse().unwrap())
    }

    #[test]
    fn an_address_has_its_share_and_gets_a_place_back_when_one_is_free() {
        let gate = Gate::new(10, 2);
        let one = gate.enter(from("192.0.2.1")).unwrap();
        let _two = gate.enter(from("192.0.2.1")).unwrap();
        let refused = gate.enter(from("192.0.2.1")).unwrap_err();
        assert_eq!(refused, Incident::TooManyOfOneAddress);
        let _other = gate.enter(from("192.0.2.2")).unwrap();
        drop(one);
        let _again = gate.enter(from("192.0.2.1")).unwrap();
        assert_eq!(gate.open(), 3);
    }

    #[test]
    fn one_address_never_has_more_than_half_of_all() {
        let gate = Gate::new(4, 100);
        let held: Vec<_> = (0..2)
            .map(|_| gate.enter(from("192.0.2.1")).unwrap())
            .collect();
        gate.enter(from("192.0.2.1")).unwrap_err();
        let _proxied: Vec<_> = (0..2).map(|_| gate.enter(None).unwrap()).collect();
        let refused = gate.enter(from("192.0.2.9")).unwrap_err();
        assert_eq!(refused, Incident::TooManyConnections);
        drop(held);
        assert!(gate.enter(from("192.0.2.9")).is_ok());
    }

    #[test]
    fn the_addresses_of_one_ipv6_subscriber_are_one_and_nothing_is_kept_of_who_left() {
        let gate = Gate::new(10, 1);
        let held = gate.enter(from("2001:db8::1")).unwrap();
        gate.enter(from("2001:db8::2")).unwrap_err();
        let other = gate.enter(from("2001:db8:0:1::1")).unwrap();
        let mapped = gate.enter(from("::ffff:192.0.2.1")).unwrap();
        gate.enter(from("192.0.2.1")).unwrap_err();
        drop((held, other, mapped));
        assert!(gate.0.lock().of.is_empty());
    }
}
