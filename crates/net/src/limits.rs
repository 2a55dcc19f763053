//! Every bound of the transport in one place, with its unit and reason.

use std::time::Duration;

use pillion_proto::limits::{MAX_HISTORY_MESSAGE, MAX_TRACK_MESSAGE, MAX_TRACKS};

/// Connections at a host whose peers have not had a hello accepted, handshakes included; each takes some
/// 170 KB. Beyond, others give way, or who comes is refused at once and may try again. A viewer is a
/// stranger for two round trips: at 100 ms, thousands can come in a second.
pub const MAX_STRANGERS: usize = 512;

/// An address may have this part of them; an IPv6 /56 has twice that, and a /48, and all who come by
/// relays, four times.
pub const STRANGER_PART: u64 = 4;

/// Handshakes under way from which on a joiner's address must first be proved by a retry packet,
/// which costs the host no state: a flood from forged addresses ends there.
pub const RETRY_ABOVE: usize = 64;

/// Connections a host may begin in a second in the long run, and at once. The transport remembers an endpoint
/// for a minute after its last connection, which takes some 22 KB, whether a hello was accepted or not, and
/// nothing can be done about those that it remembers: so this bounds them, to 120 MB. A session lets in
/// 20 a second, and a crowd that lost its network comes back with 1536.
pub const ARRIVALS_PER_SECOND: u64 = 40;

/// See [`ARRIVALS_PER_SECOND`].
pub const ARRIVALS_BURST: u64 = 3072;

/// An address may begin this part of them (30 MB); wider networks as with [`STRANGER_PART`].
pub const ARRIVALS_PART: u64 = 4;

/// Connections a host holds at once, at about 100 KiB each: all strangers, 1536 viewers and 32 people who knock
/// with four connections each, and those that are being closed.
pub const MAX_CONNECTIONS: usize = 2304;

/// Connections that have ended, after which it is worth while to give back what they took.
pub const WORTH_GIVING_BACK: usize = 64;

/// How long a relay may be out of reach before that is news: another is chosen, or it is connected to again, in less.
pub const RELAY_PATIENCE: Duration = Duration::from_secs(5);

/// How long the transport remembers an endpoint whose last connection has ended, and a little more.
pub const REMEMBERED_FOR: Duration = Duration::from_secs(75);

/// How long one handshake may take, and how long a viewer tries to reach a host.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bidirectional streams a viewer may have open: control, and history requests.
pub const MAX_VIEWER_BI_STREAMS: u32 = 8;

/// Unidirectional streams a viewer may have open: its input stream, and those it replaces.
pub const MAX_VIEWER_UNI_STREAMS: u32 = 4;

/// Unidirectional streams a host may have open: one for each track, and the one that replaces it.
pub const MAX_HOST_UNI_STREAMS: u32 = 2 * MAX_TRACKS as u32;

/// Bytes a viewer may have on its way to the host on one stream, unread: two control messages.
pub const HOST_STREAM_WINDOW: u32 = 128 * 1024;

/// Bytes a viewer may have on its way to the host, unread: what a flood can make a host hold.
pub const HOST_RECEIVE_WINDOW: u32 = 256 * 1024;

/// The same before its hello is accepted: the longest hello.
pub const STRANGER_RECEIVE_WINDOW: u32 = 64 * 1024;

/// Bytes a host may have on its way to a viewer on one stream: one message.
pub const VIEWER_STREAM_WINDOW: u32 = MAX_TRACK_MESSAGE as u32;

/// Bytes a host may have on its way to a viewer.
pub const VIEWER_RECEIVE_WINDOW: u32 = 2 * MAX_TRACK_MESSAGE as u32;

/// Unacknowledged bytes QUIC holds for one connection. The host keeps less than this on the way
/// (16 KiB or one bandwidth-delay product) but for a snapshot or a history reply; 1 MiB is 20 MB/s
/// at 50 ms.
pub const SEND_WINDOW: u64 = 1024 * 1024;

/// Bytes that wait beside QUIC's send window for one connection: the largest snapshot and a reply
/// for every history stream. A peer that needs more does not read, and is closed.
pub const MAX_QUEUED: usize =
    MAX_TRACK_MESSAGE + MAX_VIEWER_BI_STREAMS as usize * MAX_HISTORY_MESSAGE;

/// Pieces taken from one stream before the next one's turn: about 20 KiB.
pub const CHUNKS_PER_TURN: usize = 16;

/// Packets that may go without an acknowledgement of their own, if none is due by time (25 ms): QUIC's ACK
/// frequency extension, draft 4. RFC 9000's 1 answers every second packet.
pub const ACK_AFTER: u32 = 9;

/// The round trip both ends reckon with before they have measured one, a tenth of QUIC's own. A lost
/// first packet is sent again after three of these; the transport drops what is sent through a relay it
/// is still connecting to, so a join through one always waits that long (measured: 1.0 s with 333 ms,
/// 0.3 s with 100 ms). And it paces first flights, a window of ten packets in four fifths of it and at
/// most 10 ms' worth at once: with 333 ms a returning viewer is sent one packet of its screen every
/// 26 ms, with this three at once and then one every 3 ms. Anybody who is farther away than that gets a
/// few packets of the handshake twice.
pub const FIRST_RTT: Duration = Duration::from_millis(33);

/// How often a viewer's idle path is tried. The host answers, so one side's beat serves both.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// Silence after which a path counts as dead, when there is another one.
pub const PATH_IDLE: Duration = Duration::from_secs(2);

/// Silence after which a connection counts as dead.
pub const CONNECTION_IDLE: Duration = Duration::from_secs(30);

/// Longest wait for what was sent to be delivered before a connection is closed.
pub const CLOSE_WAIT: Duration = Duration::from_millis(500);

/// Shortest time between two reports of a path's round trip.
pub const PATH_REPORT_INTERVAL: Duration = Duration::from_millis(250);

/// Longest reason for a close, in bytes; one packet.
pub const MAX_CLOSE_REASON: usize = 512;
