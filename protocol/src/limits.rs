//! Every bound of the protocol, with its unit and its reason. Bounds of one role stand in that role's configuration.

/// Milliseconds on a monotonic clock that the caller holds. No such number crosses the wire.
pub type Millis = u64;

/// Bytes of a user id; a longer one travels as its SHA-256 (71 bytes).
pub const USER_ID_BYTES: usize = 256;
/// Bytes of a node's name.
pub const NODE_NAME_BYTES: usize = 64;
/// Bytes of a client's address: the longest of IPv6, with its scope and port, has fewer.
pub const CLIENT_BYTES: usize = 64;
/// Bytes of a CONNECT packet, all told: MQTT allows 256 MiB, clients send a few hundred bytes.
pub const CONNECT_BYTES: usize = 256 * 1024;
/// Bytes in one direction that were sent and not acknowledged: 5 MB/s over a round trip of 50 ms.
pub const WINDOW: u64 = 256 * 1024;
/// Bytes of payload in one DATA capsule: an HTTP/2 frame's default maximum.
pub const DATA_PAYLOAD: usize = 16 * 1024;
/// Bytes of a capsule's value; a longer one breaks the tunnel.
pub const CAPSULE_BYTES: u64 = 64 * 1024;
/// Bytes of a CLOSE capsule's reason.
pub const REASON_BYTES: usize = 64;
/// Bytes that a detached anchor half goes on to take from its broker.
pub const DETACHED_READ_AHEAD: u64 = 16 * 1024;
/// An ack is sent at once when the unacknowledged bytes reach this part of the window.
pub const ACK_FRACTION: u64 = 4;
/// Milliseconds after which an owed ack is sent by itself.
pub const ACK_DELAY: Millis = 100;
/// Milliseconds without a capsule, after something was sent, that make a tunnel a black hole.
pub const BLACK_HOLE: Millis = 10_000;
/// Milliseconds to which `BLACK_HOLE` doubles with each resume that it caused, until the peer acknowledges something.
pub const BLACK_HOLE_MAX: Millis = 160_000;
/// Milliseconds that an attach may take (T_attach); doubles after each timeout.
pub const ATTACH: Millis = 5_000;
/// Milliseconds to which `ATTACH` doubles.
pub const ATTACH_MAX: Millis = 20_000;
/// Milliseconds from a parsed CONNECT until the client is told that the server is unavailable (T_open).
pub const OPEN: Millis = 15_000;
/// Milliseconds that T_open may reach when the open waits for our own rate or a busy home.
pub const OPEN_MAX: Millis = 60_000;
/// Milliseconds that a session lives without a tunnel (T_grace), by default.
pub const GRACE: Millis = 60_000;
/// Milliseconds that the edge waits beyond the anchor's grace: the anchor's clock started later.
pub const GRACE_MARGIN: Millis = 5_000;
/// Milliseconds of grace that are believed when a peer names them.
pub const GRACE_MAX: Millis = 300_000;
/// Milliseconds of retry-after that are believed when a peer names them.
pub const RETRY_AFTER_MAX: Millis = 30_000;
/// Milliseconds to wait after "busy" or "handover" where the peer names none.
pub const RETRY_AFTER: Millis = 200;
/// Milliseconds that the other direction may go without progress after one was closed (T_half).
pub const HALF_CLOSED: Millis = 30_000;
/// Least milliseconds without any progress to a client after which it is too slow (T_slow).
pub const SLOW: Millis = 60_000;
/// Milliseconds for a whole CONNECT to arrive (T_connect).
pub const CONNECT: Millis = 10_000;
/// Stale answers, or gaps in a tunnel, within `STRIKE_SPAN` that end a session.
pub const STALE_STRIKES: u8 = 3;
/// Gaps within `STRIKE_SPAN` that end a session: one may be a middlebox's, two are the peer's.
pub const GAP_STRIKES: u8 = 2;
/// Milliseconds within which strikes count together.
pub const STRIKE_SPAN: Millis = 60_000;
/// By how much a thawed session's epoch rises: above whatever its successor may have sent.
pub const THAW_EPOCHS: u64 = 1 << 16;

const _: () = assert!(DATA_PAYLOAD as u64 <= CAPSULE_BYTES && CAPSULE_BYTES <= WINDOW);
const _: () = assert!(DETACHED_READ_AHEAD <= WINDOW && GRACE + GRACE_MARGIN <= GRACE_MAX);
