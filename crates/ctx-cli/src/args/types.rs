//! Values that are checked while the command line is read.

use std::time::Duration;

use camino::Utf8PathBuf;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use ctx_config::limits;
use ctx_hub::client::HubAddress;
use ctx_hub::types::{ClientId, EntryId, EntryType, Fingerprint, InvitationId, UnknownType};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

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

/// From when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// So long ago.
    Ago(Duration),
    /// A moment.
    At(Timestamp),
}

/// A duration, a time with its zone, or a date or a time in UTC.
pub(super) fn since(text: &str) -> Result<Since, Invalid> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(Since::Ago(ago));
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(Since::At(moment));
    }
    let civil = text.parse::<DateTime>().ok();
    let moment = civil.and_then(|civil| civil.to_zoned(TimeZone::UTC).ok());
    moment
        .map(|moment| Since::At(moment.timestamp()))
        .ok_or_else(|| Invalid {
            why: "write a duration, as 30m or 24h, or a time, as 2026-11-23 or \
                  2026-11-23T08:00:00Z"
                .to_owned(),
        })
}

/// How long an invitation is good for.
pub(super) fn invitation_ttl(text: &str) -> Result<Duration, Invalid> {
    let most = limits::INVITATION_TTL_MAX;
    let asked = duration(text)?;
    if asked < Duration::from_secs(1) || asked > most {
        let days = most.as_secs() / 86_400;
        let why = format!("an invitation is good for 1 second to {days} days");
        return Err(Invalid { why });
    }
    Ok(asked)
}

/// The id of an invitation.
pub(super) fn invitation_id(text: &str) -> Result<InvitationId, Invalid> {
    text.parse::<InvitationId>().map_err(|_| Invalid {
        why:
            "the id of an invitation is 16 lower-case hex digits (`ctx hub invitations` lists them)"
                .to_owned(),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_duration_ago_a_time_or_a_date() {
        let at = |text: &str| Since::At(text.parse().unwrap());
        let read = |text| since(text).unwrap();
        assert_eq!(read("90m"), Since::Ago(Duration::from_secs(5_400)));
        let morning = at("2026-11-23T08:00:00Z");
        for text in [
            "2026-11-23T08:00:00Z",
            "2026-11-23T08:00",
            "2026-11-23 08:00:00",
            "2026-11-23T09:00:00+01:00",
        ] {
            assert_eq!(read(text), morning, "{text}");
        }
        assert_eq!(read("2026-11-23"), at("2026-11-23T00:00:00Z"));
        for wrong in ["", "yesterday", "2026-13-01", "30"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
