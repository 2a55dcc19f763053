//! What can go wrong on our own side.

use std::path::PathBuf;

use thiserror::Error;

/// The network could not be set up. Each text says what to do.
#[derive(Debug, Error)]
pub enum NetError {
    /// The operating system refuses sockets.
    #[error(
        "the operating system does not allow opening a UDP socket ({reason}): a sandbox, container or \
         security policy forbids it; allow UDP for pillion, or run it outside the sandbox"
    )]
    Denied {
        /// The system's words.
        reason: String,
    },
    /// The port asked for is taken.
    #[error(
        "a UDP port pillion was told to use is taken by another program ({reason}): \
         stop that program or choose another port"
    )]
    PortInUse {
        /// The system's words.
        reason: String,
    },
    /// Neither IPv4 nor IPv6.
    #[error(
        "this machine has no network to open a UDP socket on, not even loopback ({reason}): \
         bring an interface up (`ip link set lo up`) and try again"
    )]
    NoSockets {
        /// The system's words.
        reason: String,
    },
    /// Out of file descriptors.
    #[error("too many open files ({reason}): raise the limit with `ulimit -n` and try again")]
    TooManyFiles {
        /// The system's words.
        reason: String,
    },
    /// A relay's or service's certificate authority can't be read.
    #[error("the certificate in {} {reason}: relay_ca and signal_ca take a certificate as PEM or DER", path.display())]
    RelayCa {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A relay's shared secret can't be read.
    #[error("the relay's secret in {} {reason}: relay_secret_file names a file with one line", path.display())]
    RelaySecret {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Told to use the DHT with nothing to say there.
    #[error(
        "without a relay there is nothing to publish in the DHT but this machine's addresses: allow that with \
         PILLION_PUBLISH_ADDRESSES=true (or publish_addresses in the settings), or use a relay"
    )]
    NothingToPublish,
    /// The operating system gave no random bytes.
    #[error(
        "the operating system gives no random bytes ({reason}); nothing can be encrypted without"
    )]
    NoRandomness {
        /// The system's words.
        reason: String,
    },
    /// Anything else while starting.
    #[error(
        "the network could not be started ({reason}); if this stays, please report it with PILLION_LOG=debug"
    )]
    Start {
        /// The library's words.
        reason: String,
    },
}
