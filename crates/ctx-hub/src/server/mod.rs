//! The hub's service: entries in, entries out, to every project at once.
//!
//! [`Hub::open`] takes a data directory, [`Hub::serve`] answers until it is told to stop, and
//! [`open_offline`] administers a data directory that no hub serves.
//!
//! | a request passes | which |
//! |---|---|
//! | `phase` | how far the hub is, for whoever started it |
//! | `incoming` | accepts connections, at the address of the hub and on the admin socket |
//! | `connection` | serves one connection, from its handshake to its end |
//! | `peer` | says who is at the other end |
//! | `subscriber` | says what counts as one address |
//! | `gate` | counts connections, and lets in no more than there is room for |
//! | `activity` | closes connections that are silent, or whose peer does not read |
//! | `message`, `receiving` | bound how long a message takes to arrive, and what all of them take |
//! | `tls` | ends the encryption of a connection, with a certificate that can be replaced |
//! | `router` | knows the calls, checks credentials, stamps encoding and identity on the answer |
//! | `handler` | runs one handler in JSON or protobuf |
//! | `service`, `admin` | convert, ask the store, convert back |
//! | `token`, `invitations` | what registers projects |
//! | `fanout` | feeds a stream, a page at a time, when its client reads |
//! | `recent` | the end of the log in memory, read from the store once for all listeners |
//! | `outgoing` | the messages of a stream as they are written |
//! | [`audit`] | puts every call on record before its answer leaves |
//! | `tokens`, `seen` | let tokens be replaced and run out; remember who called when |
//! | `known` | tells whether a caller knows this log or another one |
//! | `attempts` | failed attempts to prove who one is, and what they cost an address |
//! | `budget` | what one client may publish; `bucket` is how that is counted |
//! | `streams` | the open streams, and how many there may be |
//! | `room` | bounds what waits to be stored |
//! | `status` | says to a peer what it may know about a failure |
//!
//! A publish changes the head of the log, and that is all a listener hears of it: it is woken and
//! reads on from where it is, out of memory or, when it is far behind, from the store. So nothing is queued for a listener, and none can slow a publisher.

mod activity;
mod admin;
mod attempts;
pub mod audit;
mod auth;
mod bucket;
mod budget;
mod call;
mod check;
mod claim;
mod coalesced;
mod connection;
mod deadline;
mod doors;
mod encoding;
mod error;
mod fanout;
mod files;
mod gate;
mod handler;
mod incidents;
mod incoming;
mod invitations;
mod known;
mod lifecycle;
mod line;
mod message;
mod offline;
mod outgoing;
mod payer;
mod peer;
mod phase;
mod pot;
mod proxies;
mod receiving;
mod recent;
mod room;
mod router;
mod seen;
mod service;
pub mod settings;
mod shared;
mod status;
mod streams;
mod subscriber;
mod tls;
mod token;
mod tokens;

pub use crate::clock::{Clock, ManualClock};
pub use check::check;
pub use error::{HubError, HubErrorKind};
pub use invitations::{InvitationTerms, NotInvited};
pub use lifecycle::{Hub, HubConfig};
pub use offline::{OfflineHub, open_offline};
pub use phase::Phase;
pub use tls::{Certificates, TlsError};
