//! Ports on which something is to listen again after it was gone.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

use super::trouble::Trouble;

/// Below the ports that the system gives to outgoing connections, so that none of those takes one
/// while nobody listens there.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// An address of this machine on which nobody listens.
pub(crate) fn free() -> Result<String, Trouble> {
    let own = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let offset = own.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let address = format!("127.0.0.1:{}", FIRST + offset);
        if TcpListener::bind(&address).is_ok() {
            return Ok(address);
        }
    }
    Err(Trouble::Broken("no port is free".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_not_given() {
        let first = free().unwrap();
        let held = TcpListener::bind(&first).unwrap();
        let others: Vec<_> = (0..20).map(|_| free().unwrap()).collect();
        assert!(!others.contains(&first), "{others:?}");
        drop(held);
    }
}
