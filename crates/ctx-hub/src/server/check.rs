//! Whether a hub would start: what it reads, without taking anything that a running hub has.

use super::claim;
use super::error::HubError;
use super::lifecycle::HubConfig;
use super::tls::Certificates;

/// Reads everything that [`Hub::open`](super::Hub::open) would read but the store, and changes
/// nothing: no lock is taken, nothing is created, the address is not touched. So it also works while
/// a hub runs on the data directory, and on one that is yet to be made. For the store there is
/// [`store::verify`](crate::store::verify).
///
/// # Errors
/// The first thing that `Hub::open` would fail with.
pub fn check(config: &HubConfig) -> Result<(), HubError> {
    claim::check(&config.data_dir)?;
    Ok(Certificates::check(&config.settings.tls)?)
}
