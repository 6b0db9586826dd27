//! Every HTTP/2 setting of a trunk, with its reason. Trunks are between trusted tiers: mTLS or loopback.

use std::time::Duration;

use baton_protocol::limits;
use h2::{client, server};

/// Bytes of one stream's window: the session's window rules, this one must never be the narrower.
const STREAM_WINDOW: u32 = 256 * 1024 + 16 * 1024;
/// Bytes of the connection's window, the most that HTTP/2 has: else stalled tunnels would starve their siblings.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Credit in bytes for small unread DATA frames; the default ends a connection after about a hundred of them.
const DATA_FRAME_BUDGET: usize = 256 * 1024 * 1024;
/// Bytes of a frame.
const FRAME: u32 = 16 * 1024;
/// Bytes of a header list, uncompressed: ours take less than 1 KiB.
const HEADER_LIST: u32 = 16 * 1024;
/// Bytes that h2 holds for one stream before `capacity` is 0: one window.
const SEND_BUFFER: usize = STREAM_WINDOW as usize;
/// Streams at a time: above [`TUNNELS_PER_TRUNK`], so that attaches never wait for HTTP/2.
const STREAMS: u32 = 20_000;
/// Tunnels on one trunk, by our own choice; then a further trunk is opened.
pub const TUNNELS_PER_TRUNK: usize = 4_096;
/// Reset streams that are remembered, and for how long: attaches that time out look like rapid reset.
const RESET_STREAMS: usize = 20_000;
const RESET_STREAM_TIME: Duration = Duration::from_secs(10);
/// Resets that may wait for `accept`.
const PENDING_RESETS: usize = 100_000;

const _: () = assert!(STREAM_WINDOW as u64 == limits::WINDOW + 16 * 1024);
const _: () = assert!(STREAMS as usize > TUNNELS_PER_TRUNK);

/// The settings of the end that opens tunnels.
pub(crate) fn client() -> client::Builder {
    let mut builder = client::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .data_frame_budget(DATA_FRAME_BUDGET)
        .max_frame_size(FRAME)
        .max_header_list_size(HEADER_LIST)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_streams(STREAMS)
        .initial_max_send_streams(STREAMS as usize)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .reset_stream_duration(RESET_STREAM_TIME)
        .max_local_error_reset_streams(None)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .enable_push(false);
    builder
}

/// The settings of the end that accepts tunnels.
pub(crate) fn server() -> server::Builder {
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .data_frame_budget(DATA_FRAME_BUDGET)
        .max_frame_size(FRAME)
        .max_header_list_size(HEADER_LIST)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_streams(STREAMS)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .reset_stream_duration(RESET_STREAM_TIME)
        .max_local_error_reset_streams(None)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .enable_connect_protocol();
    builder
}
