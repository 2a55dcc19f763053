//! What host and viewer share.

/// The time as the driver sees it when it calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Now {
    /// Microseconds on a clock that never goes back, from any start.
    pub mono_us: u64,
    /// Milliseconds since the Unix epoch; may jump.
    pub unix_ms: u64,
}

impl Now {
    /// So much later.
    #[must_use]
    pub fn after(self, span: std::time::Duration) -> Now {
        let us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Now {
            mono_us: self.mono_us.saturating_add(us),
            unix_ms: self.unix_ms.saturating_add(us / 1000),
        }
    }
}

/// One connection, numbered by the driver; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// One stream of a connection, as both drivers and state machines name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// The control stream, both ways.
    Control,
    /// A viewer's input stream. A new one (higher `epoch`) replaces one that seems stuck.
    Input {
        /// Counts the input streams of a connection, from 0.
        epoch: u32,
    },
    /// One stream of a track, host to viewer. Which track it is of is said in its first message.
    Track {
        /// Numbered by the host on its side, and by the driver on the viewer's: each counts a connection's
        /// track streams in the order in which they begin.
        id: u32,
    },
    /// One history request and its reply.
    History {
        /// Numbered by the viewer on its side and by the driver on the host's.
        id: u64,
    },
}
