//! What crosses the network between a client and a hub.
//!
//! `hub.proto` describes the messages; they travel as protobuf or as JSON on the same paths.
//!
//! - `generated`: the messages, as protobuf and as JSON; written by `cargo xtask codegen`.
//! - [`json`]: what older peers expect of the JSON that serde would not do by itself.
//! - [`codec`]: the two encodings, for tonic.
//! - [`method`]: the paths of the calls.
//! - [`admin`]: what operators are told about a hub, as values.
//! - [`convert`]: messages to values and back; the only file that sees both.

pub mod admin;
pub mod codec;
pub mod convert;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
pub mod generated;
pub mod json;
pub mod method;
#[cfg(any(feature = "client", feature = "server"))]
pub(crate) mod socket;
#[cfg(any(feature = "client", feature = "server"))]
pub(crate) mod tls;

/// Most items that are read of an array of a message. An empty item of two bytes takes two hundred in
/// memory: without a bound, a message of the largest size would take gigabytes. More than any
/// message holds that means something.
pub(crate) const ITEMS_MAX: usize = 65_536;

/// The encoded `google.protobuf.FileDescriptorSet` of `hub.proto`, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("descriptor.bin");
