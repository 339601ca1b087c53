//! What an operator may set: one TOML file, a section for each concern.
//!
//! [`Settings::read`] takes the file of a data directory or the one that `--config` names. Every
//! key has a default, so no file is needed, and a file needs to name only what differs. What a file
//! says wins over the default; a flag of `ctx hub start` wins over the file.
//!
//! A key that is unknown is refused, with the nearest one that is known: a limit that was meant and
//! misspelt would not hold. Errors name the file, the line, the column and the key.
//!
//! The file holds no secrets, so it may be read by others. `docs/reference/settings.md` lists every
//! key; a test compares it with what stands here.
//!
//! A new section is a file with a struct that implements [`Section`], and three lines here: its
//! `mod`, its `pub use`, and its line in `sections!`.

mod audit;
mod connections;
mod duration;
mod error;
mod fields;
mod file;
mod limits;
mod listen;
mod log;
mod registration;
pub(super) mod tls;
mod tokens;

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use audit::AuditSettings;
pub use connections::Connections;
pub use duration::HumanDuration;
pub use error::{SettingsError, SettingsFault};
pub use limits::Limits;
pub use listen::{Listen, Network, NotANetwork};
pub use log::{Log, LogFormat};
pub use registration::Registration;
pub use tls::TlsSettings;
pub use tokens::Tokens;

/// A part of the settings.
pub trait Section: Clone + Debug + Default + PartialEq + Serialize + DeserializeOwned {
    /// Checks what the types cannot: bounds, and keys that contradict each other.
    ///
    /// # Errors
    /// The first key whose value cannot be, and why.
    fn validate(&self) -> Result<(), Invalid>;
}

/// A value that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Its key, without the section.
    pub key: &'static str,
    /// What would be right, as a sentence about the value: `has to be at least 1`.
    pub why: String,
}

impl Invalid {
    /// The value of `key` cannot be, because it `why`.
    #[must_use]
    pub fn new(key: &'static str, why: impl Into<String>) -> Self {
        Self {
            key,
            why: why.into(),
        }
    }
}

/// Makes [`Settings`] of its sections.
macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident: $section:ty,)+) => {
        /// Everything that an operator may set.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[non_exhaustive]
        pub struct Settings {
            $($(#[$doc])* pub $name: $section,)+
        }

        impl Settings {
            /// Checks every section: after flags changed something, too.
            ///
            /// # Errors
            /// The section and the key whose value cannot be.
            pub fn validate(&self) -> Result<(), (&'static str, Invalid)> {
                $(self.$name.validate().map_err(|invalid| (stringify!($name), invalid))?;)+
                Ok(())
            }

            /// The keys of a section, or `None` when there is no such section.
            fn keys(section: &str) -> Option<&'static [&'static str]> {
                $(if section == stringify!($name) {
                    return Some(fields::of::<$section>());
                })+
                None
            }

            /// The names of the sections.
            const SECTIONS: &[&str] = &[$(stringify!($name)),+];
        }
    };
}

sections! {
    /// How a hub is reached from outside.
    listen: Listen,
    /// How many connections there may be, and how long a peer may draw things out.
    connections: Connections,
    /// Who may register which projects.
    registration: Registration,
    /// How much of a hub one client, and all of them, may use.
    limits: Limits,
    /// With which certificate a hub ends TLS itself.
    tls: TlsSettings,
    /// How large the audit trail may become.
    audit: AuditSettings,
    /// How a hub logs.
    log: Log,
    /// How long what clients prove themselves with is worth something.
    tokens: Tokens,
}
