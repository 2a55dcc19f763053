//! Every bound of the wire in one place, with its unit and reason.

/// Longest message on the control and input streams, in bytes. A hello with its grants and
/// claims is the largest legitimate one, at under 50 KiB.
pub const MAX_CONTROL_MESSAGE: usize = 64 * 1024;

/// Longest message on a track stream, in bytes: a compressed snapshot of the largest screen
/// (1000×500 cells) with a different style in every cell stays below it.
pub const MAX_TRACK_MESSAGE: usize = 8 * 1024 * 1024;

/// Longest message on a history stream, in bytes: one reply. A viewer asks again for more.
pub const MAX_HISTORY_MESSAGE: usize = 1024 * 1024;

/// Longest single input, in bytes. A paste is split into several.
pub const MAX_INPUT: usize = 16 * 1024;

/// Longest prompt for an agent, and longest answer to one of its questions, in bytes.
pub const MAX_PROMPT: usize = 64 * 1024;

/// Longest message on an input stream, in bytes: an intent with a prompt in it.
pub const MAX_INPUT_MESSAGE: usize = MAX_PROMPT + 1024;

/// Most history lines in one request.
pub const MAX_HISTORY_LINES: u32 = 10_000;

/// Most input one run of a viewer may have on its way, sent and not confirmed, in bytes. The host keeps that much
/// for a program that doesn't read, so none of it is lost; and a viewer whose input is not confirmed stops
/// reading its terminal, so that a program that reads slowly holds up who types into it and nobody else.
pub const MAX_UNCONFIRMED_INPUT: usize = 256 * 1024;

/// Longest name of a person or session, in characters.
pub const MAX_NAME: usize = pillion_people::MAX_NAME;

/// Longest text of another machine in what is shown to a person (an operating system's words, how somebody proved who
/// they are), in characters.
pub const MAX_SENTENCE: usize = 512;

/// Longest detail in a reason (what was malformed), in characters.
pub const MAX_DETAIL: usize = 80;

/// Longest software version text, in characters.
pub const MAX_SOFTWARE: usize = 64;

/// Longest grant, in bytes (`pillion_caps::MAX_GRANT_BYTES` agrees; a test holds them together).
pub const MAX_GRANT: usize = 4096;

/// Most grants one hello may present.
pub const MAX_GRANTS_IN_HELLO: usize = 4;

/// Longest claim about who somebody is, in bytes: an ID token with its salt, or a membership
/// certificate.
pub const MAX_CLAIM: usize = 8 * 1024;

/// Most claims one hello may make: a key of each kind people have (SSH, e-mail, team, and one more).
pub const MAX_CLAIMS_IN_HELLO: usize = 4;

/// Longest text that names somebody for a list of people, in bytes
/// (`pillion_caps::MAX_SUBJECT_BYTES` agrees; a test holds them together).
pub const MAX_SUBJECT: usize = 600;

/// Most people who may knock at once.
pub const MAX_KNOCKS: usize = 32;

/// Most padding in a resumption, in bytes: with it a host may answer with more than QUIC's first
/// congestion window of ten packets, so more would buy nothing.
pub const MAX_PADDING: usize = 4096;

/// Most participants named in one roster message; a larger roster comes in several.
pub const MAX_ROSTER_PART: usize = 256;

/// Most tracks that are live at once in a session: their list goes into one message, each with the longest title, and
/// each terminal takes a few of the thousand files that a process may usually have open.
pub const MAX_TRACKS: usize = 128;

/// Most tracks named in one message: those that are live, and those that ended a moment ago.
pub const MAX_TRACKS_PART: usize = 160;

/// Most tracks a viewer looks at at once.
pub const MAX_SUBSCRIPTIONS: usize = 16;

/// Longest entry of a log track, in bytes of JSON.
pub const MAX_ENTRY: usize = 16 * 1024;

/// Longest entry of a conversation's track, in bytes: what shows of a longer one is in it, the whole is in the host's
/// log. A conversation shows at most 128 KiB of one text.
pub const MAX_CONVERSATION_ENTRY: usize = 512 * 1024;

/// Longest key of such an entry, in characters.
pub const MAX_ENTRY_KEY: usize = 64;

/// Most entries that a log track's state holds: the newest of each key, and of those without one.
pub const MAX_FOLDED: usize = 512;

/// Most of them without a key: what was said last.
pub const MAX_FOLDED_TAIL: usize = 64;

/// Most bytes of their JSON and keys together: what somebody who comes is sent.
pub const MAX_FOLDED_BYTES: usize = 256 * 1024;

/// Most addresses a ticket may carry.
pub const MAX_TICKET_ADDRS: usize = 16;

/// Longest ticket or token string looked at, in characters.
pub const MAX_TICKET_CHARS: usize = 8192;
