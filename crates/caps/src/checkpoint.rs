//! What a host sent, provable to somebody who did not get it from the host: a hash chain over a track's
//! frames, and the session's signature of where the chain stands.
//!
//! ```text
//! head(0) = SHA-256(begin  ‖ session ‖ run ‖ track)
//! head(n) = SHA-256(domain ‖ track ‖ n ‖ head(n-1) ‖ SHA-256(body of frame n))
//! ```
//!
//! A frame's *body* is its contents before compression, empty for a frame that only says what was echoed:
//! the session's log keeps bodies, and who passes a track on may compress it again. Numbers begin again with
//! each run of a session, so the run stands at the chain's beginning and in the signature.
//!
//! The lines that leave a terminal's screen are no part of its frames, and have a chain of their own, whose head the
//! same signature covers:
//!
//! ```text
//! head = SHA-256(begin  ‖ session ‖ run ‖ track)
//! head = SHA-256(domain ‖ track ‖ first line ‖ lines ‖ head before ‖ SHA-256(the lines as the log keeps them))
//! ```

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::keys::{BadSignature, Domain, PublicKey, SecretKey, Signature, sign, verify};

const BEGIN: &[u8] = b"pillion frame chain v1\0";
const FRAME: &[u8] = b"pillion frame v1\0";
const BEGIN_LINES: &[u8] = b"pillion line chain v1\0";
const LINES: &[u8] = b"pillion lines v1\0";
const STATE: &[u8] = b"pillion track state v1\0";

/// Where a chain stands: a hash over every frame so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead(pub [u8; 32]);

/// A hash over the state of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDigest(pub [u8; 32]);

impl StateDigest {
    /// Of a state's canonical bytes. What they cover is said where they are made.
    pub fn of(canonical: &[u8]) -> StateDigest {
        StateDigest(hash(&[STATE, canonical]))
    }
}

/// The chain over one track's frames, as far as it was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameChain {
    track: u32,
    frame: u64,
    head: ChainHead,
}

impl FrameChain {
    /// The chain of a track of this run of a session, before its first frame.
    pub fn begin(session: &PublicKey, run: u32, track: u32) -> FrameChain {
        let head = hash(&[
            BEGIN,
            session.as_bytes(),
            &run.to_be_bytes(),
            &track.to_be_bytes(),
        ]);
        FrameChain::resume(track, 0, ChainHead(head))
    }

    /// The chain as it stands after a frame, by somebody's word: the next checkpoint proves it.
    pub const fn resume(track: u32, frame: u64, head: ChainHead) -> FrameChain {
        FrameChain { track, frame, head }
    }

    /// Goes on with the next frame.
    pub fn push(&mut self, body: &[u8]) {
        self.frame += 1;
        self.head = ChainHead(hash(&[
            FRAME,
            &self.track.to_be_bytes(),
            &self.frame.to_be_bytes(),
            &self.head.0,
            &hash(&[body]),
        ]));
    }

    /// Number of the newest frame in it.
    pub const fn frame(&self) -> u64 {
        self.frame
    }

    /// Where it stands.
    pub const fn head(&self) -> ChainHead {
        self.head
    }

    /// A checkpoint of it and of the lines so far, to be signed.
    pub const fn checkpoint(
        &self,
        run: u32,
        state: StateDigest,
        lines: &LineChain,
        at_unix_ms: u64,
    ) -> Checkpoint {
        Checkpoint {
            run,
            track: self.track,
            frame: self.frame,
            head: self.head,
            state,
            lines: lines.end,
            lines_head: lines.head,
            at_unix_ms,
        }
    }
}

/// The chain over the lines that left one terminal's screen for good, as far as it was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineChain {
    track: u32,
    end: u64,
    head: ChainHead,
}

impl LineChain {
    /// The chain of a track of this run of a session, before its first line.
    pub fn begin(session: &PublicKey, run: u32, track: u32) -> LineChain {
        let head = hash(&[
            BEGIN_LINES,
            session.as_bytes(),
            &run.to_be_bytes(),
            &track.to_be_bytes(),
        ]);
        LineChain::resume(track, 0, ChainHead(head))
    }

    /// The chain as it stands before the line `end`, by somebody's word: the next checkpoint proves it.
    pub const fn resume(track: u32, end: u64, head: ChainHead) -> LineChain {
        LineChain { track, end, head }
    }

    /// Goes on with so many lines from `first` on, as the session's log keeps them.
    pub fn push(&mut self, first: u64, count: u32, bytes: &[u8]) {
        self.end = first.saturating_add(u64::from(count));
        self.head = ChainHead(hash(&[
            LINES,
            &self.track.to_be_bytes(),
            &first.to_be_bytes(),
            &count.to_be_bytes(),
            &self.head.0,
            &hash(&[bytes]),
        ]));
    }

    /// The line behind the last one in it.
    pub const fn end(&self) -> u64 {
        self.end
    }
}

/// What a host says of a track at one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The run of the session, from 0.
    pub run: u32,
    /// The track's number in it.
    pub track: u32,
    /// The frame's number.
    pub frame: u64,
    /// The chain's head after it.
    pub head: ChainHead,
    /// The track's state after it.
    pub state: StateDigest,
    /// The line behind the last one that left the screen for good; 0 for a track that is no terminal.
    pub lines: u64,
    /// The head of the chain over those lines.
    pub lines_head: ChainHead,
    /// The host's clock, in milliseconds since 1970.
    pub at_unix_ms: u64,
}

impl Checkpoint {
    /// Signs it with the session's key.
    pub fn sign(self, session: &SecretKey) -> SignedCheckpoint {
        let message = self.message(&session.public());
        SignedCheckpoint {
            checkpoint: self,
            signature: sign(session, Domain::Checkpoint, &message),
        }
    }

    /// The session's key is in it, so that no two sessions sign the same bytes.
    fn message(&self, session: &PublicKey) -> Vec<u8> {
        let parts: [&[u8]; 9] = [
            session.as_bytes(),
            &self.run.to_be_bytes(),
            &self.track.to_be_bytes(),
            &self.frame.to_be_bytes(),
            &self.head.0,
            &self.state.0,
            &self.lines.to_be_bytes(),
            &self.lines_head.0,
            &self.at_unix_ms.to_be_bytes(),
        ];
        parts.concat()
    }
}

/// A checkpoint and the session's signature, not yet verified.
///
/// In postcard the checkpoint's fields, then the signature's 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    signature: Signature,
}

impl SignedCheckpoint {
    /// What it says.
    pub const fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// What it says, if the session's key signed it.
    ///
    /// # Errors
    /// [`CheckpointFault::Signature`].
    pub fn verify(&self, session: &PublicKey) -> Result<&Checkpoint, CheckpointFault> {
        let message = self.checkpoint.message(session);
        verify(session, Domain::Checkpoint, &message, &self.signature)
            .map_err(|BadSignature| CheckpointFault::Signature)?;
        Ok(&self.checkpoint)
    }

    /// Checks that it is the session's word, and that a chain and the state at its end are what it says.
    ///
    /// # Errors
    /// The first thing that is not so.
    pub fn check(
        &self,
        session: &PublicKey,
        chain: &FrameChain,
        state: StateDigest,
    ) -> Result<(), CheckpointFault> {
        let said = self.verify(session)?;
        match said {
            _ if said.track != chain.track => Err(CheckpointFault::Track),
            _ if said.frame != chain.frame => Err(CheckpointFault::Frame),
            _ if said.head != chain.head => Err(CheckpointFault::Head),
            _ if said.state != state => Err(CheckpointFault::State),
            _ => Ok(()),
        }
    }
}

impl Checkpoint {
    /// Checks that the lines up to here are what it says.
    ///
    /// # Errors
    /// [`CheckpointFault::Lines`].
    pub fn check_lines(&self, lines: &LineChain) -> Result<(), CheckpointFault> {
        match (self.lines, self.lines_head) == (lines.end, lines.head) {
            true => Ok(()),
            false => Err(CheckpointFault::Lines),
        }
    }
}

/// Why a checkpoint does not prove what somebody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CheckpointFault {
    /// Another key's, or altered.
    #[error("the checkpoint is not signed by the session's key")]
    Signature,
    /// Of another run of the session.
    #[error("the checkpoint is of another run of the session")]
    Run,
    /// Of another track.
    #[error("the checkpoint is of another terminal")]
    Track,
    /// Of another frame.
    #[error("the checkpoint is of another frame")]
    Frame,
    /// The frames are not those that were signed.
    #[error("the frames are not the ones that the host signed")]
    Head,
    /// The state is not the one that was signed.
    #[error("the screen is not the one that the host signed")]
    State,
    /// The lines that left the screen are not those that were signed.
    #[error("the lines are not the ones that the host signed")]
    Lines,
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_bytes(&[seed; 32])
    }

    fn chain(seed: u8, run: u32, track: u32, bodies: &[Vec<u8>]) -> FrameChain {
        let mut chain = FrameChain::begin(&key(seed).public(), run, track);
        for body in bodies {
            chain.push(body);
        }
        chain
    }

    fn state() -> StateDigest {
        StateDigest::of(b"state")
    }

    fn lines(all: &[&[u8]]) -> LineChain {
        let mut chain = LineChain::begin(&key(1).public(), 2, 3);
        for line in all {
            chain.push(chain.end(), 1, line);
        }
        chain
    }

    #[test]
    fn other_lines_fewer_lines_and_lines_in_another_order_are_noticed() {
        let said = *signed(&[b"first".to_vec()]).unverified();
        assert_eq!(said.lines, 2);
        assert_eq!(said.check_lines(&lines(&[b"a line", b"another"])), Ok(()));
        let mut shifted = LineChain::begin(&key(1).public(), 2, 3);
        shifted.push(1, 1, b"a line");
        shifted.push(1, 1, b"another");
        let mut other_run = LineChain::begin(&key(1).public(), 1, 3);
        other_run.push(0, 1, b"a line");
        other_run.push(1, 1, b"another");
        for other in [
            lines(&[b"a line", b"anothes"]),
            lines(&[b"another", b"a line"]),
            lines(&[b"a line"]),
            lines(&[b"a line", b"another", b""]),
            shifted,
            other_run,
        ] {
            assert_eq!(said.check_lines(&other), Err(CheckpointFault::Lines));
        }
        // A chain goes on from where somebody says that it stands.
        let mut resumed = LineChain::resume(3, said.lines, said.lines_head);
        assert_eq!(said.check_lines(&resumed), Ok(()));
        resumed.push(2, 1, b"more");
        assert_eq!(resumed, lines(&[b"a line", b"another", b"more"]));
    }

    fn signed(bodies: &[Vec<u8>]) -> SignedCheckpoint {
        let chain = chain(1, 2, 3, bodies);
        chain
            .checkpoint(
                2,
                state(),
                &lines(&[b"a line", b"another"]),
                1_763_000_000_000,
            )
            .sign(&key(1))
    }

    #[test]
    fn golden_bytes() {
        let bodies = [b"first".to_vec(), Vec::new()];
        let hex = |bytes: &[u8]| HEXLOWER.encode(bytes);
        let heads = [0, 1, 2].map(|upto| hex(&chain(1, 2, 3, &bodies[..upto]).head().0));
        assert_eq!(
            heads,
            [
                "44edf8df99250f51d2ec359a0fbaf7bdc9d2eb5debbec3ca4124e8943a3bb1ac",
                "0e5d0d04ae3da4f929515f5dd1e1a9dde40f992bd7fae7d8df84d9d0a3757542",
                "348a1a0610fc2fb282e80c4382af43cbfe8b608137fc121f5dbe773a8434362a",
            ]
        );
        assert_eq!(
            hex(&state().0),
            "005e8d1f9ec8ed5c7ae38b1441f70c0705284f557beb94c5d75cd92055345374"
        );
        let bytes = postcard::to_allocvec(&signed(&bodies)).unwrap();
        assert_eq!(
            hex(&bytes),
            "020302348a1a0610fc2fb282e80c4382af43cbfe8b608137fc121f5dbe773a84\
             34362a005e8d1f9ec8ed5c7ae38b1441f70c0705284f557beb94c5d75cd92055\
             345374023ff1e09efd20c320787e3dd14cd4ab00c20ae0ad61f14b1f35ea3ad3\
             bc2d402b80bcf4d7a733b8f10a55f65f96805ffdf978d0a4292ac7d5c4e1f4c4\
             f1266db38973bf4418d74e7dcc9dd31d1e2b7afb10f6244990122fe1a48a7b0e\
             351b0025f80c29ac0b02"
        );
        assert_eq!(postcard::from_bytes(&bytes), Ok(signed(&bodies)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let bodies = [b"first".to_vec(), b"second".to_vec()];
        let (public, whole) = (key(1).public(), chain(1, 2, 3, &bodies));
        let said = signed(&bodies);
        let check = |chain: &FrameChain, state| said.check(&public, chain, state);
        assert_eq!(check(&whole, state()), Ok(()));
        assert_eq!(
            check(&whole, StateDigest::of(b"")),
            Err(CheckpointFault::State)
        );
        let short = chain(1, 2, 3, &bodies[..1]);
        assert_eq!(check(&short, state()), Err(CheckpointFault::Frame));
        let other = chain(1, 2, 4, &bodies);
        assert_eq!(check(&other, state()), Err(CheckpointFault::Track));
        let run = chain(1, 1, 3, &bodies);
        assert_eq!(check(&run, state()), Err(CheckpointFault::Head));
        let by_another = said.check(&key(2).public(), &whole, state());
        assert_eq!(by_another, Err(CheckpointFault::Signature));
        assert_eq!(
            CheckpointFault::Head.to_string(),
            "the frames are not the ones that the host signed"
        );
    }

    #[test]
    fn every_flipped_bit_of_a_checkpoint_is_noticed() {
        let bodies = [b"first".to_vec()];
        let (public, whole) = (key(1).public(), chain(1, 2, 3, &bodies));
        let bytes = postcard::to_allocvec(&signed(&bodies)).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(read) = postcard::from_bytes::<SignedCheckpoint>(&flipped) {
                assert!(read.check(&public, &whole, state()).is_err(), "bit {bit}");
            }
        }
    }

    fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..8)
    }

    proptest! {
        #[test]
        fn altered_frames_are_noticed(
            bodies in bodies(), at: proptest::sample::Index, to: proptest::sample::Index,
            kind in 0..4, bit: proptest::sample::Index, new: Vec<u8>,
        ) {
            let (at, to) = (at.index(bodies.len()), to.index(bodies.len()));
            let mut altered = bodies.clone();
            match kind {
                0 if !altered[at].is_empty() => {
                    let bit = bit.index(altered[at].len() * 8);
                    altered[at][bit / 8] ^= 1 << (bit % 8);
                }
                1 => altered.swap(at, to),
                2 => drop(altered.remove(at)),
                _ => altered.insert(at, new),
            }
            let said = signed(&bodies);
            let holds = said.check(&key(1).public(), &chain(1, 2, 3, &altered), state());
            prop_assert_eq!(holds.is_ok(), altered == bodies);
            // Even where the number of frames is made to agree.
            let same = FrameChain { frame: said.unverified().frame, ..chain(1, 2, 3, &altered) };
            prop_assert_eq!(said.check(&key(1).public(), &same, state()).is_ok(), altered == bodies);
        }

        #[test]
        fn another_session_run_or_track_is_noticed(
            bodies in bodies(), seed in 1_u8..4, run in 1_u32..4, track in 2_u32..5,
        ) {
            let same = (seed, run, track) == (1, 2, 3);
            let other = chain(seed, run, track, &bodies);
            prop_assert_eq!(other.head() == chain(1, 2, 3, &bodies).head(), same);
            let said = signed(&bodies);
            prop_assert_eq!(said.check(&key(seed).public(), &other, state()).is_ok(), same);
        }

        #[test]
        fn a_chain_that_is_taken_up_again_goes_on_the_same(bodies in bodies(), at: proptest::sample::Index) {
            let at = at.index(bodies.len());
            let part = chain(1, 2, 3, &bodies[..at]);
            let mut rest = FrameChain::resume(3, part.frame(), part.head());
            bodies[at..].iter().for_each(|body| rest.push(body));
            prop_assert_eq!(rest, chain(1, 2, 3, &bodies));
        }
    }
}
