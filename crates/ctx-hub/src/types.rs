//! The small values that everything else is made of.

use std::fmt;
use std::str::FromStr;

use ctx_config::{limits, paths};

pub use crate::fingerprint::{Fingerprint, InvalidFingerprint};
use crate::secret::presentable;

/// A position in the hub's log: 1 for the first stored entry, then 2, 3 … without repetition.
///
/// [`Sequence::START`] (0) stands before the first entry; a cursor begins there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u64);

impl Sequence {
    /// Before the first entry.
    pub const START: Self = Self(0);

    /// The position `value`.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The position as a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What kind of knowledge an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryType {
    /// What was decided, and why.
    Decision,
    /// What was found out.
    Learning,
    /// How things are done here.
    Convention,
    /// What is to be done.
    Task,
}

impl EntryType {
    /// Every type, in the order in which they are listed to people.
    pub const ALL: [Self; 4] = [Self::Decision, Self::Learning, Self::Convention, Self::Task];

    /// The name on the wire and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Learning => "learning",
            Self::Convention => "convention",
            Self::Task => "task",
        }
    }

    /// The name of the mirror file that holds entries of this type.
    #[must_use]
    pub const fn mirror_file(self) -> &'static str {
        match self {
            Self::Decision => paths::DECISIONS_FILE,
            Self::Learning => paths::LEARNINGS_FILE,
            Self::Convention => paths::CONVENTIONS_FILE,
            Self::Task => paths::TASKS_FILE,
        }
    }
}

impl fmt::Display for EntryType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A type that no `ctx` knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid entry type {given:?}")]
pub struct UnknownType {
    /// What was given, shortened, and without tokens: some pass one by mistake.
    pub given: String,
}

impl UnknownType {
    /// The types there are.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let names: Vec<&str> = EntryType::ALL.iter().map(|t| t.as_str()).collect();
        Some(format!("the types are {}", names.join(", ")))
    }
}

impl FromStr for EntryType {
    type Err = UnknownType;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|entry_type| entry_type.as_str() == given)
            .ok_or_else(|| UnknownType {
                given: presentable(given),
            })
    }
}

/// A set of entry types, in the order of [`EntryType::ALL`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeSet(std::collections::BTreeSet<EntryType>);

impl TypeSet {
    /// Every type.
    #[must_use]
    pub fn all() -> Self {
        EntryType::ALL.into_iter().collect()
    }

    /// Whether `entry_type` is in the set.
    #[must_use]
    pub fn contains(&self, entry_type: EntryType) -> bool {
        self.0.contains(&entry_type)
    }

    /// Whether every type is in the set.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.len() == EntryType::ALL.len()
    }

    /// Whether no type is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The types of the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = EntryType> + '_ {
        self.0.iter().copied()
    }

    /// Reads a list of names; an empty list means every type, as on the wire.
    ///
    /// # Errors
    /// [`UnknownType`] for the first name that is none.
    pub fn from_wire<S: AsRef<str>>(names: &[S]) -> Result<Self, UnknownType> {
        if names.is_empty() {
            return Ok(Self::all());
        }
        names.iter().map(|name| name.as_ref().parse()).collect()
    }
}

impl FromIterator<EntryType> for TypeSet {
    fn from_iter<I: IntoIterator<Item = EntryType>>(types: I) -> Self {
        Self(types.into_iter().collect())
    }
}

/// The name of an entry, chosen by its publisher: any text that is not empty. An id is stored once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(String);

impl EntryId {
    /// A new id that no other entry has: 32 lower-case hex digits of operating-system randomness.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        crate::secret::random_hex(limits::ID_RANDOM_BYTES).map(Self)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An entry without an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry ID required")]
pub struct EmptyId;

impl TryFrom<String> for EntryId {
    type Error = EmptyId;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        if id.is_empty() {
            Err(EmptyId)
        } else {
            Ok(Self(id))
        }
    }
}

/// The name of a project, by which a hub knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectName(String);

impl ProjectName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a project cannot be called so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectNameError {
    /// The name is empty or blank.
    #[error("project name required")]
    Empty,
    /// The name is too long.
    #[error("project name exceeds {} bytes", limits::PROJECT_NAME_MAX_BYTES)]
    TooLong,
    /// The name holds a line break or another control character.
    #[error("project name holds a control character")]
    Control,
}

impl TryFrom<String> for ProjectName {
    type Error = ProjectNameError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        if name.trim().is_empty() {
            Err(ProjectNameError::Empty)
        } else if name.len() > limits::PROJECT_NAME_MAX_BYTES {
            Err(ProjectNameError::TooLong)
        } else if name.chars().any(char::is_control) {
            Err(ProjectNameError::Control)
        } else {
            Ok(Self(name))
        }
    }
}

impl FromStr for ProjectName {
    type Err = ProjectNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::try_from(name.to_owned())
    }
}

/// The identity of a hub's log: 32 lower-case hex digits, made when the log was.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HubId(String);

/// The identity of a client at its hub: 32 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(String);

/// The name of an invitation among operators: 16 lower-case hex digits. It proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InvitationId(String);

/// Text that is not the id of an invitation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not an id of 16 lower-case hex digits")]
pub struct InvalidInvitationId {
    /// What was given, shortened, and without tokens: some pass one by mistake.
    pub given: String,
}

/// Text that is not an identity of 32 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not an id of 32 lower-case hex digits")]
pub struct InvalidId {
    /// What was given, shortened, and without tokens: some pass one by mistake.
    pub given: String,
}

macro_rules! hex_id {
    ($name:ident, $bytes:expr, $invalid:ident) => {
        impl $name {
            /// A new random identity.
            ///
            /// # Errors
            /// The operating system gives no random bytes.
            pub fn random() -> Result<Self, getrandom::Error> {
                crate::secret::random_hex($bytes).map(Self)
            }

            /// The identity as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = $invalid;

            fn from_str(given: &str) -> Result<Self, Self::Err> {
                if crate::secret::is_lower_hex(given, $bytes) {
                    Ok(Self(given.to_owned()))
                } else {
                    Err($invalid {
                        given: presentable(given),
                    })
                }
            }
        }
    };
}

hex_id!(HubId, limits::ID_RANDOM_BYTES, InvalidId);
hex_id!(ClientId, limits::ID_RANDOM_BYTES, InvalidId);
hex_id!(
    InvitationId,
    limits::INVITATION_ID_RANDOM_BYTES,
    InvalidInvitationId
);

/// The rolling hash of a hub's log at one entry: 128 bits, written as 32 lower-case hex digits. It
/// covers that entry and all before it, so whoever knows it can tell whether a log is the one that
/// the entry was read from.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chain(u128);

impl Chain {
    const BYTES: usize = 16;

    /// The hash with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// The bytes of the hash.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({self})")
    }
}

impl FromStr for Chain {
    type Err = InvalidId;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        Some(given)
            .filter(|given| crate::secret::is_lower_hex(given, Self::BYTES))
            .and_then(|given| u128::from_str_radix(given, 16).ok())
            .map(Self)
            .ok_or_else(|| InvalidId {
                given: presentable(given),
            })
    }
}

/// A place in a hub's log, and the rolling hash up to there: it tells that log from any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogMark {
    /// The place.
    pub sequence: Sequence,
    /// The hash.
    pub chain: Chain,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_reads_back_from_its_name() {
        for entry_type in EntryType::ALL {
            assert_eq!(entry_type.as_str().parse(), Ok(entry_type));
        }
    }

    #[test]
    fn an_unknown_type_is_refused_and_the_known_ones_are_named() {
        let error = "decisions".parse::<EntryType>().unwrap_err();
        assert_eq!(error.to_string(), "invalid entry type \"decisions\"");
        assert_eq!(
            error.hint().as_deref(),
            Some("the types are decision, learning, convention, task")
        );
    }

    #[test]
    fn an_empty_list_on_the_wire_means_every_type() {
        assert!(TypeSet::from_wire::<&str>(&[]).unwrap().is_all());
        let one = TypeSet::from_wire(&["task"]).unwrap();
        assert!(one.contains(EntryType::Task) && !one.contains(EntryType::Decision));
        assert!(TypeSet::from_wire(&["task", ""]).is_err());
    }

    #[test]
    fn project_names_are_one_line_of_bounded_length() {
        assert_eq!("  ".parse::<ProjectName>(), Err(ProjectNameError::Empty));
        assert_eq!(
            "a\nb".parse::<ProjectName>(),
            Err(ProjectNameError::Control)
        );
        assert_eq!(
            "x".repeat(129).parse::<ProjectName>(),
            Err(ProjectNameError::TooLong)
        );
        assert!("größe 42".parse::<ProjectName>().is_ok());
    }

    #[test]
    fn identities_are_random_and_read_back() {
        let one = HubId::random().unwrap();
        assert_ne!(one, HubId::random().unwrap());
        assert_eq!(one.as_str().parse(), Ok(one.clone()));
        assert!("ABCDEF".parse::<ClientId>().is_err());
    }

    #[test]
    fn a_hash_of_the_log_reads_back_and_nothing_else_is_one() {
        for text in [
            &"0".repeat(32),
            "00ffee00000000000000000000000001",
            &"f".repeat(32),
        ] {
            let chain: Chain = text.parse().unwrap();
            assert_eq!(chain.to_string(), text);
            assert_eq!(Chain::from_bytes(chain.to_bytes()), chain);
        }
        for text in [
            "",
            "0",
            &"F".repeat(32),
            &"0".repeat(33),
            &format!("+{}", "0".repeat(31)),
        ] {
            assert!(text.parse::<Chain>().is_err(), "{text}");
        }
    }
}
