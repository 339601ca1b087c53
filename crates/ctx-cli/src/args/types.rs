//! Values that are checked while the command line is read.

use std::time::Duration;

use camino::Utf8PathBuf;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use ctx_config::limits;
use ctx_hub::client::HubAddress;
use ctx_hub::types::{ClientId, EntryId, EntryType, Fingerprint, UnknownType};

/// One of the entry types; every other word is refused with the list of them.
pub(super) fn entry_type() -> impl TypedValueParser<Value = EntryType> {
    PossibleValuesParser::new(EntryType::ALL.map(EntryType::as_str))
        .try_map(|name| name.parse::<EntryType>().map_err(Invalid::from))
}

/// A path that names something.
pub(super) fn path() -> impl TypedValueParser<Value = Utf8PathBuf> {
    NonEmptyStringValueParser::new().map(Utf8PathBuf::from)
}

/// A duration with its unit, as `30s` or `2m`.
pub(super) fn duration(text: &str) -> Result<Duration, Invalid> {
    humantime::parse_duration(text).map_err(|error| Invalid {
        why: format!("{error} (write it with its unit, as 30s or 2m)"),
    })
}

/// As [`duration`], but longer than nothing.
pub(super) fn deadline(text: &str) -> Result<Duration, Invalid> {
    match duration(text)? {
        Duration::ZERO => Err(Invalid {
            why: "it has to be longer than nothing".to_owned(),
        }),
        longer => Ok(longer),
    }
}

/// The id of an entry.
pub(super) fn entry_id(text: &str) -> Result<EntryId, Invalid> {
    let most = limits::ENTRY_ID_MAX_BYTES;
    let bytes = text.len();
    match EntryId::try_from(text.to_owned()) {
        Ok(id) if bytes <= most => Ok(id),
        Ok(_) => Err(Invalid {
            why: format!("an id has at most {most} bytes, and this one has {bytes}"),
        }),
        Err(_) => Err(Invalid {
            why: "an id is not empty".to_owned(),
        }),
    }
}

/// The id of a client.
pub(super) fn client_id(text: &str) -> Result<ClientId, Invalid> {
    text.parse::<ClientId>().map_err(|_| Invalid {
        why: "a client id is 32 lower-case hex digits (`ctx hub clients` lists them)".to_owned(),
    })
}

/// The fingerprint of a certificate.
pub(super) fn fingerprint(text: &str) -> Result<Fingerprint, Invalid> {
    text.parse::<Fingerprint>().map_err(|error| Invalid {
        why: error.to_string(),
    })
}

/// Where a hub listens.
pub(super) fn hub_address(text: &str) -> Result<HubAddress, Invalid> {
    text.parse::<HubAddress>().map_err(|error| Invalid {
        why: match error.hint() {
            Some(hint) => format!("{error} ({hint})"),
            None => error.to_string(),
        },
    })
}

/// Why a value was refused; clap puts the argument and the value in front.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(super) struct Invalid {
    why: String,
}

impl From<UnknownType> for Invalid {
    fn from(error: UnknownType) -> Self {
        Self {
            why: error.to_string(),
        }
    }
}
