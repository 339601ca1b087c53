//! The JSON document inside the connection file.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Connection, ConnectionError};
use crate::client::{AddressError, CaCertificates, CaError, Trust};
use crate::lifetime::Lifetime;
use crate::secret::{ClientToken, InvalidToken};
use crate::types::{
    EntryType, InvalidFingerprint, InvalidId, ProjectNameError, TypeSet, UnknownType,
};

/// What the buffer of a document begins with, in bytes, besides twice the certificates in it (their
/// line breaks are escaped): enough for nearly all of them, so that the token is seldom copied.
const BUFFER_BYTES: usize = 1_024;

/// A document that was opened and does not describe a connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It is not JSON of the right shape. The text is not repeated, for it holds the token.
    #[error("not the JSON of a connection (line {line}, column {column})")]
    Json {
        /// Where, counted from 1.
        line: usize,
        /// Where, counted from 1.
        column: usize,
    },
    /// The address is none.
    #[error("the address of the hub")]
    Address(#[source] AddressError),
    /// The token is none.
    #[error("the token")]
    Token(#[source] InvalidToken),
    /// A type is unknown.
    #[error("the types")]
    Types(#[source] UnknownType),
    /// The name of the project is none.
    #[error("the name of the project")]
    Project(#[source] ProjectNameError),
    /// The client id is none.
    #[error("the client id")]
    ClientId(#[source] InvalidId),
    /// The certificates of authorities are none.
    #[error("the certificates of authorities")]
    Authorities(#[source] CaError),
    /// The fingerprint is none.
    #[error("the fingerprint of the hub's certificate")]
    Fingerprint(#[source] InvalidFingerprint),
}

/// Unknown fields are ignored. `project` and what follows it are lost when an older `ctx` rewrites
/// the file. Nothing may depend on the first two and on those of the token; without the others a hub
/// is trusted less.
#[derive(Serialize, Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    hub_addr: Cow<'a, str>,
    #[serde(borrow)]
    token: Cow<'a, str>,
    /// Absent, `null` or empty means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    types: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// Stands here while a token is replaced.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    next_token: Option<Cow<'a, str>>,
    /// Unix seconds; absent when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issued_at: Option<i64>,
    /// Unix seconds; absent when the token does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    /// In PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca_cert: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    insecure: bool,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

pub(super) fn read(text: &[u8]) -> Result<Connection, DocumentError> {
    let document: Document<'_> =
        serde_json::from_slice(text).map_err(|error| DocumentError::Json {
            line: error.line(),
            column: error.column(),
        })?;
    let Document {
        hub_addr,
        token,
        types,
        project,
        client_id,
        ca_cert,
        fingerprint,
        insecure,
        next_token,
        issued_at,
        expires_at,
    } = document;
    Ok(Connection {
        hub_addr: hub_addr.parse().map_err(DocumentError::Address)?,
        trust: trust(ca_cert.as_deref(), fingerprint.as_deref())?,
        insecure,
        token: parse_token(token).map_err(DocumentError::Token)?,
        next_token: next_token
            .map(parse_token)
            .transpose()
            .map_err(DocumentError::Token)?,
        lifetime: expires_at.map(|expires_at| Lifetime {
            issued_at: issued_at.unwrap_or(0),
            expires_at,
        }),
        types: TypeSet::from_wire(&types.unwrap_or_default()).map_err(DocumentError::Types)?,
        project: project
            .map(TryInto::try_into)
            .transpose()
            .map_err(DocumentError::Project)?,
        client_id: client_id
            .map(|id| id.parse())
            .transpose()
            .map_err(DocumentError::ClientId)?,
    })
}

/// Owned only where it was written with escapes, which no token needs.
fn parse_token(token: Cow<'_, str>) -> Result<ClientToken, InvalidToken> {
    match token {
        Cow::Borrowed(token) => ClientToken::parse(token),
        Cow::Owned(token) => ClientToken::parse(&Zeroizing::new(token)),
    }
}

/// Of both, the fingerprint counts: it trusts less.
fn trust(ca_cert: Option<&str>, fingerprint: Option<&str>) -> Result<Trust, DocumentError> {
    if let Some(fingerprint) = fingerprint {
        let fingerprint = fingerprint.parse().map_err(DocumentError::Fingerprint)?;
        return Ok(Trust::Pinned(fingerprint));
    }
    let Some(pem) = ca_cert else {
        return Ok(Trust::System);
    };
    let certificates = CaCertificates::from_pem(pem).map_err(DocumentError::Authorities)?;
    Ok(Trust::Authorities(certificates))
}

pub(super) fn write(connection: &Connection) -> Result<Zeroizing<Vec<u8>>, ConnectionError> {
    let Connection {
        hub_addr,
        token,
        types,
        project,
        client_id,
        trust,
        insecure,
        next_token,
        lifetime,
    } = connection;
    let (ca_cert, fingerprint) = match trust {
        Trust::System => (None, None),
        Trust::Authorities(certificates) => (Some(certificates.as_pem()), None),
        Trust::Pinned(fingerprint) => (None, Some(fingerprint.to_string())),
    };
    let buffer = BUFFER_BYTES + 2 * ca_cert.map_or(0, str::len);
    let names = types.iter().map(EntryType::as_str).map(str::to_owned);
    let document = Document {
        hub_addr: hub_addr.to_string().into(),
        token: token.expose().into(),
        types: (!types.is_all()).then(|| names.collect()),
        project: project.as_ref().map(|name| name.as_str().to_owned()),
        client_id: client_id.as_ref().map(|id| id.as_str().to_owned()),
        ca_cert: ca_cert.map(Cow::Borrowed),
        fingerprint,
        insecure: *insecure,
        next_token: next_token.as_ref().map(|token| token.expose().into()),
        issued_at: lifetime.map(|life| life.issued_at),
        expires_at: lifetime.map(|life| life.expires_at),
    };
    let mut text = Zeroizing::new(Vec::with_capacity(buffer));
    serde_json::to_writer(&mut *text, &document).map_err(ConnectionError::Write)?;
    Ok(text)
}
