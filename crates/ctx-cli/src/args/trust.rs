//! How a hub that is named by its address is reached.

use camino::Utf8PathBuf;
use clap::Args as ClapArgs;
use ctx_hub::types::Fingerprint;

use super::types;

/// Whom to trust, and whether anybody may listen in.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct TrustArgs {
    /// Trust the authorities whose certificates are in this PEM file, and no others
    #[arg(long, value_name = "FILE", value_parser = types::path(), conflicts_with = "fingerprint")]
    pub(crate) ca_cert: Option<Utf8PathBuf>,
    /// Trust the certificate with this SHA-256 fingerprint, and no other (the hub's operator reads
    /// it in `ctx hub status`)
    #[arg(long, value_name = "SHA256", value_parser = types::fingerprint)]
    pub(crate) fingerprint: Option<Fingerprint>,
    /// Send the token in the clear, although others on the network could read it
    #[arg(long, conflicts_with_all = ["ca_cert", "fingerprint"])]
    pub(crate) insecure: bool,
}
