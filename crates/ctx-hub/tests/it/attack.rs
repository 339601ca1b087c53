//! Attacks by hand: what a hostile peer may send to a hub, and what it may cost.
//!
//! | file | what it has |
//! |---|---|
//! | `raw` | a client that writes HTTP/2 frames by hand, over any stream and at any pace |
//! | `guest` | a client that behaves, to show that it is served meanwhile and afterwards |
//! | `admin` | what a thief of a data directory, a guest with an old invitation or token, and whoever wants another's name try |
//! | `audit` | whoever wants to go unseen, to fill the disk with lines, or to get secrets into them |
//! | `flood` | one client that takes more than its share |
//! | `guess` | tokens that are guessed, and what a stranger is told |
//! | `tls` | a man in the middle, whoever listens in, and what is no handshake |
//! | `held` | calls that are begun and never sent |
//! | `tokens` | tokens that leaked, expired or were replaced, and streams that outlive them |
//! | `parser` | bytes, frames and requests that no client of ours sends |
//! | `conn` | peers that hold a connection and draw things out, or open too many |
//! | `http2` | floods of frames |
//! | `process` | what of it costs memory and open files, of a hub that is a process |
//!
//! Requests that are well formed and odd all the same are written by [`crate::server::peer::Peer`],
//! which is HTTP/2 by the crate `h2`, with any path, metadata and body.

mod admin;
mod audit;
mod guest;
pub(crate) mod raw;

mod conn;
mod flood;
mod guess;

mod held;
mod http2;
mod parser;
mod process;
#[cfg(feature = "client")]
mod tls;
mod tokens;

pub(crate) use self::guest::{Guest, still_serves};
