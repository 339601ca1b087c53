//! How a hub is reached, as the command line or the connection file says it.

use ctx_hub::client::{CA_CERTIFICATES_MAX_BYTES, CaCertificates, HubAddress, Route, Trust};
use ctx_hub::connection::Connection;

use crate::args::TrustArgs;
use crate::commands::{Cx, convert};
use crate::error::CliError;

/// The way to the hub at `address` that `args` asks for.
///
/// # Errors
/// It would expose a token, contradicts itself, or the certificates cannot be read.
pub(super) fn asked(address: &HubAddress, args: &TrustArgs, cx: &Cx) -> Result<Route, CliError> {
    let trust = match (&args.fingerprint, &args.ca_cert) {
        (Some(fingerprint), _) => Trust::Pinned(fingerprint.clone()),
        (None, Some(path)) => Trust::Authorities(certificates(path)?),
        (None, None) => Trust::System,
    };
    let route = Route {
        address: address.clone(),
        trust,
        insecure: args.insecure && !address.is_loopback(),
    };
    let route = route.settled().map_err(|error| {
        let usage = CliError::usage(error.to_string());
        match error.hint() {
            Some(hint) => usage.hint(hint),
            None => usage,
        }
    })?;
    warn_of_exposure(&route, cx);
    Ok(route)
}

/// The way to the hub that the project is registered with.
///
/// # Errors
/// Its token would be sent in the clear, which nobody has allowed.
pub(super) fn kept(connection: &Connection, cx: &Cx) -> Result<Route, CliError> {
    let route = connection.route().settled().map_err(|error| {
        let authority = connection.hub_addr.authority();
        convert::client(error.into()).hint(format!(
            "`ctx connect move https://{authority}` asks the same hub over TLS (with --fingerprint \
             or --ca-cert for a certificate of its own) and keeps the token; --insecure allows it \
             in the clear"
        ))
    })?;
    warn_of_exposure(&route, cx);
    Ok(route)
}

/// Said each time: whoever allowed it once may have forgotten, or somebody else runs the command.
fn warn_of_exposure(route: &Route, cx: &Cx) {
    if route.is_exposed() {
        cx.screen.warning(
            &format!(
                "the token is sent to {} in the clear: whoever can listen in on the network reads it",
                route.address
            ),
            Some("have the hub speak TLS, then `ctx connect move https://HUB`"),
        );
    }
}

fn certificates(path: &camino::Utf8Path) -> Result<CaCertificates, CliError> {
    let limit = u64::try_from(CA_CERTIFICATES_MAX_BYTES).unwrap_or(u64::MAX);
    let read = ctx_io::read_optional_limited(path, limit).map_err(convert::read)?;
    let bytes = read.ok_or_else(|| CliError::usage(format!("{path} is not there")))?;
    CaCertificates::from_pem(&String::from_utf8_lossy(&bytes)).map_err(|error| {
        CliError::usage(format!("{path} holds no certificates of authorities"))
            .because(error)
            .hint("give the certificate of the authority that issued the hub's, in PEM")
    })
}
