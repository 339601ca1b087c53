//! Failures of those who have not shown who they are: the first ones get a line each, the others are
//! counted, so that nobody can fill the disk, or push the rest of the trail out of its files.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use ctx_config::limits;
use ipnet::IpNet;

use super::line::AuditRecord;
use crate::server::subscriber::subscriber;

/// What is counted at the moment.
#[derive(Debug, Default)]
pub(super) struct Strangers(Option<Window>);

#[derive(Debug)]
struct Window {
    until: Instant,
    /// Lines of their own.
    lines: u32,
    addresses: HashMap<String, Counted>,
    /// Failures of addresses that are not counted apart.
    others: u64,
}

#[derive(Debug, Default)]
struct Counted {
    lines: u32,
    suppressed: u64,
}

impl Strangers {
    /// Counts a failure of whoever is at `address`; whether it gets a line of its own.
    pub(super) fn count(&mut self, address: Option<IpAddr>, now: Instant) -> bool {
        let window = self.0.get_or_insert_with(|| Window {
            until: now + limits::AUDIT_STRANGER_WINDOW,
            lines: 0,
            addresses: HashMap::new(),
            others: 0,
        });
        let known = window.addresses.len();
        let full = window.lines >= limits::AUDIT_STRANGERS_LINES;
        let name = network(address);
        if full && known >= limits::AUDIT_STRANGERS && !window.addresses.contains_key(&name) {
            window.others = window.others.saturating_add(1);
            return false;
        }
        let counted = window.addresses.entry(name).or_default();
        if full || counted.lines >= limits::AUDIT_STRANGER_LINES {
            counted.suppressed = counted.suppressed.saturating_add(1);
            return false;
        }
        counted.lines += 1;
        window.lines += 1;
        true
    }

    /// When what was counted is due to be written; `None` when nothing was.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.as_ref().map(|window| window.until)
    }

    /// What has no line of its own, a line for each of those who failed most and one for all others;
    /// nothing before it is due, unless it is the end.
    pub(super) fn take(&mut self, now: Instant, is_end: bool) -> Vec<AuditRecord> {
        let Some(window) = self.0.take_if(|window| is_end || window.until <= now) else {
            return Vec::new();
        };
        let mut counted: Vec<_> = window
            .addresses
            .into_iter()
            .map(|(name, counted)| (counted.suppressed, name))
            .filter(|(suppressed, _)| *suppressed > 0)
            .collect();
        counted.sort_by(|a, b| b.cmp(a));
        let rest = counted.split_off(counted.len().min(limits::AUDIT_STRANGERS));
        let others = rest
            .iter()
            .fold(window.others, |sum, (n, _)| sum.saturating_add(*n));
        let others = (others > 0).then(|| (others, String::new()));
        let lines = counted.into_iter().chain(others);
        lines.map(|(n, name)| summary(n, name)).collect()
    }
}

fn summary(suppressed: u64, name: String) -> AuditRecord {
    AuditRecord {
        door: Some(Cow::Borrowed("network")),
        address: Some(name).filter(|name| !name.is_empty()),
        suppressed: Some(suppressed),
        ..AuditRecord::new("suppressed")
    }
}

/// What is counted together, as it is written: the network of whoever has one address.
fn network(address: Option<IpAddr>) -> String {
    match address.map(subscriber) {
        None => String::new(),
        Some(IpNet::V4(network)) => network.addr().to_string(),
        Some(IpNet::V6(network)) => network.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(strangers: &mut Strangers, address: [u8; 4], times: u64, now: Instant) -> u64 {
        let count = |_: &u64| strangers.count(Some(address.into()), now);
        u64::try_from((0..times).filter(count).count()).unwrap()
    }

    #[test]
    fn an_address_gets_its_lines_and_then_a_number() {
        let (mut strangers, now) = (Strangers::default(), Instant::now());
        let lines = u64::from(limits::AUDIT_STRANGER_LINES);
        assert_eq!(from(&mut strangers, [192, 0, 2, 1], 10_000, now), lines);
        assert_eq!(from(&mut strangers, [192, 0, 2, 2], 1, now), 1);
        assert_eq!(strangers.take(now, false), []);
        let later = now + limits::AUDIT_STRANGER_WINDOW;
        assert_eq!(strangers.due(), Some(later));
        let told = strangers.take(later, false);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].suppressed, Some(10_000 - lines));
        assert_eq!(told[0].address.as_deref(), Some("192.0.2.1"));
        assert_eq!(strangers.due(), None);
        assert_eq!(from(&mut strangers, [192, 0, 2, 1], 1, later), 1);
    }

    #[test]
    fn many_addresses_together_get_a_bounded_number_of_lines_and_nobody_is_forgotten() {
        let (mut strangers, now) = (Strangers::default(), Instant::now());
        let mut lines = 0;
        for n in 0..60_000_u32 {
            let [_, _, a, b] = n.to_be_bytes();
            lines += from(&mut strangers, [10, 0, a, b], 2, now);
        }
        assert_eq!(lines, u64::from(limits::AUDIT_STRANGERS_LINES));
        let told = strangers.take(now, true);
        assert!(told.len() <= limits::AUDIT_STRANGERS + 1, "{}", told.len());
        let suppressed: u64 = told.iter().filter_map(|told| told.suppressed).sum();
        assert_eq!(suppressed + lines, 120_000);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_stranger() {
        let address = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        assert_eq!(network(address("2001:db8::1")), "2001:db8::/64");
        assert_eq!(network(address("2001:db8::ffff:1")), "2001:db8::/64");
        assert_eq!(network(address("::ffff:192.0.2.7")), "192.0.2.7");
        assert_eq!(network(None), "");
    }
}
