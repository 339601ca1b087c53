//! TLS as a client speaks it, and how the certificate of a hub is judged.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::HubAddress;
use super::distrust::Distrust;
use super::trust::Trust;
use crate::types::Fingerprint;
use crate::wire::tls::{ALPN_HTTP2, VERSIONS};

/// How a hub is spoken to over TLS that `trust` vouches for.
pub(super) fn config(trust: &Trust) -> Result<ClientConfig, Distrust> {
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let builder = ClientConfig::builder_with_provider(Arc::<CryptoProvider>::clone(&provider))
        .with_protocol_versions(VERSIONS)
        .map_err(|error| Distrust::of(&error, ""))?;
    let builder = match trust {
        Trust::System => builder.with_root_certificates(system_roots()?),
        Trust::Authorities(certificates) => {
            let roots = certificates.roots();
            builder.with_root_certificates(roots.map_err(|error| Distrust::Authorities {
                what: error.to_string(),
            })?)
        }
        Trust::Pinned(fingerprint) => {
            let pinned = Pinned {
                fingerprint: fingerprint.clone(),
                algorithms,
            };
            let builder = builder.dangerous();
            builder.with_custom_certificate_verifier(Arc::new(pinned))
        }
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
    Ok(config)
}

/// The name that the certificate of the hub at `address` has to be for.
pub(super) fn server_name(address: &HubAddress) -> Result<ServerName<'static>, Distrust> {
    let host = address.host();
    // A dot at the end makes a name absolute in DNS, and has no place in a certificate.
    let name = host.strip_suffix('.').unwrap_or(&host);
    match ServerName::try_from(name) {
        Ok(name) => Ok(name.to_owned()),
        Err(_) => Err(Distrust::NoName { host }),
    }
}

/// Whom the machine trusts. What cannot be read of it vouches for nobody.
fn system_roots() -> Result<RootCertStore, Distrust> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Distrust::NoAuthorities);
    }
    Ok(roots)
}

/// Accepts one certificate alone, by its fingerprint.
///
/// Names, dates and issuers are not looked at. They answer whether a certificate that was never
/// seen before may be the hub's; here its operator has said that it is, by a digest over all of
/// its bytes. Nobody can make another certificate of this digest, and only who has its key can sign
/// the handshake, which is checked as ever: it is that signature, and not the certificate, which
/// everybody may see, that tells the hub from somebody in the middle.
///
/// The fingerprint is no secret, so comparing it may take as long as it takes.
#[derive(Debug)]
struct Pinned {
    fingerprint: Fingerprint,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = Fingerprint::of(end_entity);
        if found == self.fingerprint {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Distrust::OtherFingerprint {
            pinned: self.fingerprint.clone(),
            found,
        }
        .into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
