//! Sizes, counts and waiting times. The unit is in the name or in the type.

use std::time::Duration;

/// Largest content of an entry, in bytes of UTF-8.
pub const ENTRY_CONTENT_MAX_BYTES: usize = 1_048_576;

/// Largest single field of an entry's meta, in bytes.
pub const META_FIELD_MAX_BYTES: usize = 256;

/// Largest meta of an entry, all fields together, in bytes.
pub const META_TOTAL_MAX_BYTES: usize = 2_048;

/// Largest entry id that is accepted, in bytes.
pub const ENTRY_ID_MAX_BYTES: usize = 256;

/// Largest project name that is accepted, in bytes.
pub const PROJECT_NAME_MAX_BYTES: usize = 128;

/// Most entries that one publish may carry.
pub const PUBLISH_MAX_ENTRIES: usize = 1_000;

/// Most bytes of content that a client sends in one publish.
pub const PUBLISH_MAX_BYTES: usize = 8_388_608;

/// Random bytes in a token; twice as many hex digits follow its prefix.
pub const TOKEN_RANDOM_BYTES: usize = 32;

/// Random bytes in a client id and in a hub id; written as twice as many hex digits.
pub const ID_RANDOM_BYTES: usize = 16;

/// Random bytes in the id of an invitation; written as twice as many hex digits. It names an
/// invitation to operators and proves nothing.
pub const INVITATION_ID_RANDOM_BYTES: usize = 8;

/// How long an invitation is good for unless told otherwise.
pub const INVITATION_TTL: Duration = Duration::from_secs(86_400);

/// How long an invitation is good for at most.
pub const INVITATION_TTL_MAX: Duration = Duration::from_secs(30 * 86_400);

/// How often an invitation can be used at most.
pub const INVITATION_USES_MAX: u32 = 1_000;
/// Tokens of one client that live at the same time, while one after the other is replaced.
pub const CLIENT_MAX_LIVE_TOKENS: u32 = 16;

/// How long a token that was replaced goes on, unless the hub is told otherwise.
pub const TOKEN_OVERLAP: Duration = Duration::from_secs(600);

/// How long one who changes the connection file waits while another does.
pub const CONNECTION_LOCK_WAIT: Duration = Duration::from_secs(30);

/// How early a token's end is warned of at most; a tenth of its time if that is shorter.
pub const TOKEN_WARNING: Duration = Duration::from_secs(1_209_600);

/// How often a hub looks for streams whose token has expired; also how long a message may be on its
/// way before its token is looked at once more.
pub const TOKEN_LOOK: Duration = Duration::from_secs(1);

/// How long a stream that was told to end may go on sending what its client does not read; then its
/// connection is cut off.
pub const STREAM_END_GRACE: Duration = Duration::from_millis(300);

/// How often a hub writes down who has called. A crash loses at most so much of it.
pub const SEEN_INTERVAL: Duration = Duration::from_secs(30);

/// Bytes of the key that seals the connection file (AES-256).
pub const KEY_BYTES: usize = 32;

/// Bytes of the nonce in front of the sealed connection file (AES-GCM).
pub const NONCE_BYTES: usize = 12;

/// Largest message that a client decodes, in bytes. An entry of 1 MiB can be 6 MiB on the wire,
/// because older peers write `<`, `>` and `&` as six bytes each.
pub const CLIENT_MESSAGE_MAX_BYTES: usize = 16_777_216;

/// Largest publish that a hub decodes, in bytes.
pub const SERVER_MESSAGE_MAX_BYTES: usize = 16_777_216;

/// Largest message of any other call that a hub decodes, in bytes. Some come without a token, and
/// a message takes its memory before it is read.
pub const SERVER_SMALL_MESSAGE_MAX_BYTES: usize = 65_536;

/// How long a hub whose store could not be written to waits before it tries again by itself.
pub const STORE_PROBE_PAUSE: Duration = Duration::from_secs(5);

/// Time to open a connection to a hub.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Deadline of a unary call, from the first byte sent to the answer.
pub const CALL_DEADLINE: Duration = Duration::from_secs(15);

/// How long a `Sync` stream may stay silent before the hub counts as gone.
pub const SYNC_IDLE_LIMIT: Duration = Duration::from_secs(30);

/// How long a `Listen` stream may stay silent before the client dials again from its cursor. A
/// quiet hub is no fault, so this costs one new call and loses nothing.
pub const LISTEN_IDLE_LIMIT: Duration = Duration::from_secs(300);

/// Interval of TCP keepalive probes, which find a peer that vanished without a word.
pub const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// Tries of a call that is safe to repeat, the first included.
pub const RETRY_ATTEMPTS: u32 = 3;

/// First pause before a repeated call; later ones double, with jitter.
pub const RETRY_FIRST_PAUSE: Duration = Duration::from_millis(100);

/// First pause before `listen` dials again; later ones double, with jitter.
pub const RECONNECT_FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Longest pause before `listen` dials again.
pub const RECONNECT_LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long `listen` waits for the sync lock before it tries again.
pub const LISTEN_LOCK_WAIT: Duration = Duration::from_secs(30);

/// Entries that a sync applies and commits together.
pub const SYNC_CHUNK_ENTRIES: usize = 8_192;

/// Bytes of content that a sync applies and commits together.
pub const SYNC_CHUNK_BYTES: usize = 4_194_304;

/// Entries that an outbox holds; a publish that finds it full is refused.
pub const OUTBOX_MAX_ENTRIES: usize = 10_000;

/// Bytes of the files that an outbox holds; a publish that finds it full is refused.
pub const OUTBOX_MAX_BYTES: u64 = 67_108_864;

/// Largest file of a queued entry that is read, in bytes: JSON writes some characters as six bytes.
pub const OUTBOX_FILE_MAX_BYTES: u64 = 8_388_608;

/// Queued entries that are sent together.
pub const OUTBOX_BATCH_ENTRIES: usize = 256;

/// Bytes of content after which no further queued entry is sent together with the others; at least
/// one always is. Small enough for an older hub, which decodes 4 MiB.
pub const OUTBOX_BATCH_BYTES: usize = 1_048_576;

/// How long one who wants to send what is queued waits while another is sending it, before both do.
pub const OUTBOX_TURN_WAIT: Duration = Duration::from_secs(10);

/// How often a listener looks whether something was queued.
pub const OUTBOX_LOOK: Duration = Duration::from_secs(2);

/// Entries that the hub reads from its store at a time for one stream.
pub const PAGE_ENTRIES: usize = 256;

/// Bytes of messages that the hub reads from its store at a time for one stream; at least one entry
/// is always read. A client that does not read costs so much.
pub const PAGE_BYTES: usize = 65_536;

/// Streams that are far behind and take long pages, and read one ahead of what they send; others get
/// short ones until one of these has caught up.
pub const LONG_PAGE_STREAMS: usize = 16;

/// Entries of a long page.
pub const LONG_PAGE_ENTRIES: usize = 4_096;

/// Bytes of messages of a long page; at least one entry is always read.
pub const LONG_PAGE_BYTES: usize = 524_288;

/// Memory for the newest entries, which listeners that keep up are sent without a look at the
/// store, in bytes.
pub const RECENT_BYTES: usize = 16_777_216;

/// What is gathered to be written to a connection with several listeners together, in bytes.
pub const COALESCED_BYTES: usize = 32_768;

/// Groups that listeners are woken in, one after the other.
pub const WAKE_GROUPS: usize = 64;

/// Pages that streams read from the store at a time. Fewer than [`STORE_READERS`]: the others are
/// for everybody else.
pub const STREAM_READERS: usize = 2;

/// Publishes that wait for the writer before more of them are made to wait in line.
pub const WRITE_QUEUE: usize = 1_024;

/// How long the writer of a store looks for the next publish before it sleeps. A client that publishes
/// one entry after the other comes back within about so much time.
pub const WRITER_LOOK: Duration = Duration::from_micros(300);

/// Bytes that may wait for the writer; a publish beyond them is refused, and may be sent again.
pub const WRITE_QUEUE_BYTES: usize = 268_435_456;

/// Publishes that share one transaction and so one flush to disk.
pub const GROUP_COMMIT_MAX: usize = 512;

/// Bytes of content after which no further publish joins a transaction, in bytes.
pub const GROUP_COMMIT_MAX_BYTES: usize = 16_777_216;

/// Connections that the store keeps open for reading.
pub const STORE_READERS: usize = 4;

/// Tokens that a store remembers to live, before it forgets them all and asks again.
pub const KNOWN_TOKENS: usize = 4_096;

/// Pages of the write-ahead log after which the store moves them into the database.
pub const WAL_CHECKPOINT_PAGES: u32 = 1_000;

/// Pages of the write-ahead log beyond which publishes wait until the log has been emptied.
pub const WAL_LIMIT_PAGES: u32 = 4_000;

/// How long a stopping hub lets calls under way finish.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// How long a stopping hub waits for connections to close once every call is answered.
pub const DRAIN_GRACE: Duration = Duration::from_secs(3);

/// How long `ctx hub start --daemon` waits for the hub to answer, and `ctx hub stop` for it to end.
pub const DAEMON_WAIT: Duration = Duration::from_secs(30);

/// Longest title in a mirror file's header, in characters; the whole content follows below it.
pub const TITLE_MAX_CHARS: usize = 200;

/// Calls and streams that a hub answers at the same time on one connection.
pub const CONNECTION_MAX_CALLS: u32 = 256;

/// How long the handshake of a connection may take, before HTTP/2 begins on it.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// How long a peer may be silent before its first call.
pub const FIRST_CALL_LIMIT: Duration = Duration::from_secs(30);

/// How long a connection stays open without a call.
pub const CONNECTION_IDLE_LIMIT: Duration = Duration::from_secs(600);

/// How long a message may take to arrive, unless it is a publish.
pub const MESSAGE_LIMIT: Duration = Duration::from_secs(10);

/// How long the message of a publish may take to arrive.
pub const PUBLISH_LIMIT: Duration = Duration::from_secs(60);

/// How long an answer that is there may remain unread; then its connection is closed.
pub const STALLED_LIMIT: Duration = Duration::from_secs(3_600);

/// How long a connection that is being closed has for the answers that are under way.
pub const CLOSING_GRACE: Duration = Duration::from_secs(3);

/// Connections that a hub has open at its address.
pub const CONNECTIONS: usize = 16_384;

/// Connections that a hub has open with one address, or with one /64 network of IPv6.
pub const ADDRESS_CONNECTIONS: usize = 1_024;

/// Connections that a hub has open on its admin socket.
pub const ADMIN_CONNECTIONS: usize = 16;

/// Open files that are kept for the store, the admin socket and everything else that is no
/// connection of the network.
pub const RESERVED_FILES: u64 = 64;

/// Calls on one connection that may be taken back in a minute before they are answered.
pub const CONNECTION_MAX_TAKEN_BACK: u32 = 1_000;

/// Largest headers of a call, in bytes.
pub const HEADERS_MAX_BYTES: u32 = 16_384;

/// Bytes of one connection that may be on their way without having been asked for.
pub const CONNECTION_WINDOW_BYTES: u32 = 262_144;

/// Bytes of one call that may be on their way without having been asked for.
pub const CALL_WINDOW_BYTES: u32 = 131_072;

/// Bytes of messages that clients are sending at a time; a message counts in full from its first
/// bytes on.
pub const RECEIVING_BYTES: usize = 268_435_456;

/// Bytes of messages that one client is sending at a time.
pub const RECEIVING_CLIENT_BYTES: usize = 67_108_864;

/// Bytes of messages that come without a token, at a time.
pub const STRANGERS_BYTES: usize = 33_554_432;

/// Bytes of messages that come without a token from one address, at a time.
pub const STRANGER_BYTES: usize = 4_194_304;

/// Calls open at a time that take no token: health and reflection.
pub const OPEN_CALLS: usize = 4_096;

/// Calls of one address open at a time that take no token.
pub const OPEN_CALLS_OF_ADDRESS: usize = 256;

/// How often a hub pings a connection, to find a peer that vanished without a word.
pub const PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long a hub waits for the answer to a ping before it closes the connection.
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Pause after a connection could not be accepted (no file descriptor is free, for instance).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Findings that a verification lists; further ones are counted.
pub const VERIFY_MAX_FINDINGS: usize = 10_000;

/// How long a verification looks again at a mirror that changes while it is looked at.
pub const VERIFY_SNAPSHOT_WAIT: Duration = Duration::from_secs(30);

/// Largest settings file that a hub reads, in bytes.
pub const SETTINGS_FILE_MAX_BYTES: u64 = 262_144;

/// Entries that one client may publish in a second over a long time, unless the settings say so.
pub const CLIENT_ENTRIES_PER_SECOND: u32 = 50;

/// Entries that one client may publish at once, unless the settings say so: a whole outbox.
pub const CLIENT_ENTRIES_BURST: u32 = 10_000;

/// Bytes that one client may publish in a second over a long time, unless the settings say so.
pub const CLIENT_BYTES_PER_SECOND: u64 = 2_097_152;

/// Bytes that one client may publish at once, unless the settings say so: a whole outbox.
pub const CLIENT_BURST_BYTES: u64 = 67_108_864;

/// Bytes that one client may publish in a day (UTC), unless the settings say so.
pub const CLIENT_DAILY_BYTES: u64 = 1_073_741_824;

/// `Listen` streams that one client may have open, unless the settings say so.
pub const CLIENT_LISTENERS: u32 = 256;

/// `Sync` streams that one client may have open, unless the settings say so.
pub const CLIENT_SYNCS: u32 = 256;

/// `Listen` streams that all clients together may have open, unless the settings say so.
pub const HUB_LISTENERS: u32 = 20_000;

/// Failed attempts to prove who one is that an address has at once, unless the settings say so.
pub const ADDRESS_FAILURES_BURST: u32 = 30;

/// Failed attempts that an address gets back in a minute, unless the settings say so.
pub const ADDRESS_FAILURES_PER_MINUTE: u32 = 6;

/// After how long a client may try again that has as many listeners as it may have: one ends when a
/// process does, and nobody knows when.
pub const LISTENER_RETRY: Duration = Duration::from_secs(30);

/// The same of a client that has as many syncs as it may have, which end by themselves.
pub const SYNC_RETRY: Duration = Duration::from_secs(2);

/// Addresses whose failed attempts are remembered.
pub const FAILURES_MAX_ADDRESSES: usize = 16_384;

/// Longest time that an address is refused after its last failed attempt.
pub const FAILURES_LONGEST_WAIT: Duration = Duration::from_secs(900);

/// How long an address stays known that a token was used from.
pub const PROVED_FOR: Duration = Duration::from_secs(86_400);

/// Addresses that are remembered of one token, the ones used last.
pub const PROVED_ADDRESSES: usize = 8;

/// Tokens whose addresses are remembered.
pub const PROVED_MAX_TOKENS: usize = 65_536;

/// Longest time that a client stays away because a hub asked for it; what a hub asks for beyond
/// that is cut to it, so that none can put a client to sleep for ever.
pub const RETRY_HINT_LONGEST: Duration = Duration::from_secs(3_600);

/// How much longer than a hub asked for a client may stay away, so that not all come back at once.
pub const RETRY_HINT_SPREAD: Duration = Duration::from_secs(2);

/// How often a hub looks whether the files of its certificate have changed.
pub const CERTIFICATE_LOOK: Duration = Duration::from_secs(5);

/// For how many days a self-signed certificate is valid: ten years, for renewing it breaks pins.
pub const SELF_SIGNED_DAYS: i64 = 3_652;

/// How many days before its end a self-signed certificate is made anew.
pub const SELF_SIGNED_RENEW_DAYS: i64 = 30;

/// How many days before its end an operator is told of their certificate's, when it is read.
pub const CERTIFICATE_WARN_DAYS: i64 = 14;

/// How long a hub waits for a peer whose handshake failed to close the connection.
pub const HANDSHAKE_LINGER: Duration = Duration::from_secs(1);
/// Size of a file of the audit trail after which the next one is begun, in bytes, unless told
/// otherwise; the lines that are written together with the last one may go beyond it.
pub const AUDIT_FILE_BYTES: u64 = 67_108_864;
/// Smallest size that a file of the audit trail may be given, in bytes.
pub const AUDIT_FILE_MIN_BYTES: u64 = 4_096;
/// Files of the audit trail that are kept, unless told otherwise.
pub const AUDIT_FILES: u32 = 16;
/// Longest line of an audit trail that is read, in bytes; those of ours are far shorter.
pub const AUDIT_LINE_MAX_BYTES: usize = 65_536;
/// Longest text of a peer in a line of the audit trail, in bytes, before it is escaped.
pub const AUDIT_TEXT_MAX_BYTES: usize = 128;
/// Lines that wait to be written to the audit trail before further calls wait in line.
pub const AUDIT_QUEUE: usize = 4_096;
/// Lines that are written to the audit trail together.
pub const AUDIT_GROUP: usize = 512;
/// Lines that could not be written, and are kept in memory until they can be; further ones are
/// counted.
pub const AUDIT_BACKLOG: usize = 8_192;
/// How often at most the audit trail is flushed to the disk.
pub const AUDIT_FLUSH: Duration = Duration::from_secs(1);
/// How often a hub tries whether an audit trail that could not be written can be written again.
pub const AUDIT_RETRY: Duration = Duration::from_millis(500);
/// How often whoever follows an audit trail looks whether there is more.
pub const AUDIT_LOOK: Duration = Duration::from_millis(200);
/// Lines of an audit trail that are shown before those that follow, unless told otherwise.
pub const AUDIT_FOLLOW_LINES: usize = 10;
/// Disk space that is kept ahead of the end of the audit trail, in bytes, so that calls that need
/// none for themselves go on for a while when the disk is full.
pub const AUDIT_ROOM_BYTES: u64 = 1_048_576;
/// The time over which what strangers fail at is counted for the audit trail.
pub const AUDIT_STRANGER_WINDOW: Duration = Duration::from_secs(60);
/// Failures of one address that get a line of their own in that time; the others are counted.
pub const AUDIT_STRANGER_LINES: u32 = 10;
/// Failures of all addresses together that get a line of their own in that time.
pub const AUDIT_STRANGERS_LINES: u32 = 100;
/// Addresses whose failures beyond that are counted apart; those of others are counted together.
pub const AUDIT_STRANGERS: usize = 16;
