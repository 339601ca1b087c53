//! What must hold of every reader and writer for any bytes, for the fuzz targets in `fuzz/` and
//! for the test suite; compiled with the feature `fuzzing` only, and no part of the product.
//!
//! Each function takes bytes as they come and panics when something does not hold. What is common
//! to all: no bytes make a reader panic or allocate without bound; what was read is written so that
//! it reads back the same; a damaged file is refused or means what it meant.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use ctx_io::lock::{self, LockStatus};
use ctx_io::{FileLock, Holder, Wait};

mod client;
mod hub;
mod letter;
mod served;
mod text;

pub use self::client::{hub_answer, hub_stream};
pub use self::hub::{hub_bytes, hub_frames, hub_request};
pub use self::text::token;
use crate::client::HubAddress;
pub use crate::connection::fuzzing::{connection_document, connection_sealed};
pub use crate::outbox::fuzzing::outbox_record;
pub use crate::store::fuzzing::{import_clients, import_entries, import_meta};
pub use crate::sync::fuzzing::{mirror_entries, mirror_file, state};
pub use crate::wire::fuzzing::{wire_json, wire_proto};

/// A name and what it runs.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, by the name that it has in `fuzz/`.
pub const TARGETS: [Target; 19] = [
    ("address", address),
    ("connection_document", connection_document),
    ("connection_sealed", connection_sealed),
    ("hub_answer", hub_answer),
    ("hub_bytes", hub_bytes),
    ("hub_frames", hub_frames),
    ("hub_request", hub_request),
    ("hub_stream", hub_stream),
    ("import_clients", import_clients),
    ("import_entries", import_entries),
    ("import_meta", import_meta),
    ("lock_record", lock_record),
    ("mirror_entries", mirror_entries),
    ("mirror_file", mirror_file),
    ("outbox_record", outbox_record),
    ("state", state),
    ("token", token),
    ("wire_json", wire_json),
    ("wire_proto", wire_proto),
];

/// The address of a hub: what is accepted is written so that it reads back the same, and is the
/// host and port of a URI.
pub fn address(bytes: &[u8]) {
    let Ok(address) = String::from_utf8_lossy(bytes).parse::<HubAddress>() else {
        return;
    };
    assert_eq!(address.to_string().parse(), Ok(address.clone()));
    let uri = format!("https://{}", address.authority()).parse::<http::Uri>();
    let port = uri.as_ref().ok().and_then(http::Uri::port_u16);
    assert_eq!(port, Some(address.port()), "{uri:?}");
}

/// A lock file: a contender takes over only what is provably dead, leaves everything else as it is
/// to the byte, and releases what it took.
pub fn lock_record(bytes: &[u8]) {
    let Some(dir) = own_directory() else {
        return;
    };
    let path = dir.join("lock");
    // As another program writes it, and as ours, which marks it by its mode.
    for mode in [0o600, 0o1600] {
        let mode = std::fs::Permissions::from_mode(mode);
        // A machine without room for a file says nothing about the lock.
        if put(&path, bytes).is_ok() && fs_err::set_permissions(&path, mode).is_ok() {
            contend(&path, bytes);
        }
        drop(fs_err::remove_file(&path));
    }
    drop(fs_err::remove_dir(&dir));
}

fn contend(path: &Utf8Path, bytes: &[u8]) {
    const HOLDER: Holder<'static> = Holder {
        command: "fuzz",
        version: "0",
    };
    let before = lock::inspect(path);
    match FileLock::acquire(path, &HOLDER, Wait::No) {
        Ok(taken) => {
            let record = match before {
                Ok(LockStatus::Stale { record, .. }) => Some(record),
                Ok(LockStatus::Unrecorded { .. }) => None,
                _ => panic!("taken over, but was {before:?}"),
            };
            assert_eq!(taken.took_over(), record.as_deref());
            assert_eq!(taken.took_over_unrecorded(), record.is_none());
            let id = taken.record().lock_id.clone();
            let now = lock::inspect(path);
            assert!(
                matches!(&now, Ok(LockStatus::Held { record, .. }) if record.lock_id == id),
                "{now:?}"
            );
            assert!(taken.release().is_ok());
            assert!(!path.exists());
        }
        Err(refused) => {
            let kind = refused.io_kind();
            assert_eq!(kind, std::io::ErrorKind::AlreadyExists, "{refused:?}");
            assert_eq!(fs_err::read(path).ok().as_deref(), Some(bytes));
        }
    }
}

/// A directory of this call.
fn own_directory() -> Option<Utf8PathBuf> {
    let name = format!("ctx-fuzz-{}", crate::types::EntryId::random().ok()?);
    let dir = Utf8PathBuf::from_path_buf(std::env::temp_dir())
        .ok()?
        .join(name);
    fs_err::create_dir(&dir).ok()?;
    Some(dir)
}

fn put(path: &Utf8Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = fs_err::OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .open(path)?
        .write_all(bytes)
}

/// One small damage, chosen by `seed`: cut off, a bit flipped, a part twice, a part left out.
/// Bytes that are empty stay empty.
pub(crate) fn damaged(bytes: &[u8], seed: u64) -> Vec<u8> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX).max(1);
    let place = |number: u64| usize::try_from(number % length).unwrap_or(0);
    let (from, to) = (place(seed >> 8), place(seed >> 24));
    let (from, to) = (from.min(to), from.max(to));
    let part = |from, to| bytes.get(from..to).unwrap_or_default();
    match seed % 4 {
        0 => part(0, from).to_vec(),
        1 => {
            let mut flipped = bytes.to_vec();
            if let Some(byte) = flipped.get_mut(from) {
                *byte ^= 1 << ((seed >> 40) % 8);
            }
            flipped
        }
        2 => [part(0, to), part(from, bytes.len())].concat(),
        _ => [part(0, from), part(to, bytes.len())].concat(),
    }
}

/// A number made of bytes, another one for nearly any others.
pub(crate) fn seed(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |seed, byte| {
        (seed ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
