//! The viewer's half of the screen codec. Needs no emulator.

use crate::{
    apply::{Canvas, is_snapshot},
    compression::{Decompressor, MAX_BODY},
    damage::Damage,
    error::DecodeError,
    screen::Screen,
};

/// Memory kept for the next frame's body; more is given back.
const KEEP: usize = 256 * 1024;

/// Turns snapshots and frames back into the host's screen.
///
/// Bytes are the host's word and not trusted: whatever they are, the outcome is a well-formed,
/// cleaned screen or an error, and memory stays within what the largest screen needs. After an
/// error only a snapshot helps: ask the host for one; until then [`Decoder::screen`] may show a
/// frame half applied.
#[derive(Debug)]
pub struct Decoder {
    unzip: Decompressor,
    body: Vec<u8>,
    canvas: Option<Canvas>,
    step: Step,
}

/// Which frames can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// None: there is no state, or it is in doubt.
    Lost,
    /// One that resets the context.
    AfterSnapshot,
    /// Any.
    Running,
}

impl Decoder {
    /// A decoder that waits for a snapshot.
    #[expect(
        clippy::new_without_default,
        reason = "a context is nothing to default to"
    )]
    pub fn new() -> Decoder {
        Decoder {
            unzip: Decompressor::new(),
            body: Vec::new(),
            canvas: None,
            step: Step::Lost,
        }
    }

    /// Takes a snapshot; the next frame must be one that resets the context.
    ///
    /// # Errors
    /// When the bytes are not a whole snapshot. What the decoder had is kept on the screen, but
    /// frames are refused until a snapshot succeeds.
    pub fn snapshot(&mut self, wire: &[u8]) -> Result<(), DecodeError> {
        self.step = Step::Lost;
        self.unzip.whole(wire, &mut self.body, MAX_BODY)?;
        let canvas = Canvas::snapshot(&self.body);
        self.give_back();
        self.canvas = Some(canvas?);
        self.step = Step::AfterSnapshot;
        Ok(())
    }

    /// Applies the next frame; `reset` is the flag it came with. What changed.
    ///
    /// # Errors
    /// When there is no state to apply it to, or the frame is damaged: ask for a snapshot.
    pub fn frame(&mut self, wire: &[u8], reset: bool) -> Result<Damage, DecodeError> {
        self.frame_with(wire, reset, |_| ())
    }

    /// The same, and shows the frame's uncompressed body, as the log has it, before it is applied.
    ///
    /// # Errors
    /// As [`Decoder::frame`].
    pub fn frame_with(
        &mut self,
        wire: &[u8],
        reset: bool,
        body: impl FnOnce(&[u8]),
    ) -> Result<Damage, DecodeError> {
        match (self.step, reset) {
            (Step::Lost, _) => return Err(DecodeError::NeedSnapshot),
            (Step::AfterSnapshot, false) => return Err(DecodeError::NeedReset),
            _ => {}
        }
        self.step = Step::Lost;
        if reset {
            self.unzip.reset();
        }
        self.unzip.frame(wire, &mut self.body)?;
        body(&self.body);
        let damage = apply(&mut self.canvas, &self.body);
        self.give_back();
        let damage = damage?;
        self.step = Step::Running;
        Ok(damage)
    }

    /// Applies an uncompressed body from the log: a snapshot's, or that of the next frame.
    ///
    /// # Errors
    /// As [`Decoder::snapshot`] and [`Decoder::frame`].
    pub fn apply_raw(&mut self, raw: &[u8]) -> Result<Damage, DecodeError> {
        if self.step == Step::Lost && !is_snapshot(raw) {
            return Err(DecodeError::NeedSnapshot);
        }
        self.step = Step::Lost;
        let damage = apply(&mut self.canvas, raw)?;
        // The compression context knows nothing of it.
        self.step = Step::AfterSnapshot;
        Ok(damage)
    }

    /// The screen as of the last snapshot or frame; `None` before the first.
    pub fn screen(&self) -> Option<&Screen> {
        self.canvas.as_ref().map(|canvas| &canvas.screen)
    }

    fn give_back(&mut self) {
        self.body.clear();
        self.body.shrink_to(KEEP);
    }
}

/// Applies a body, whichever kind it is: a track's first frame starts from a blank screen, too.
fn apply(canvas: &mut Option<Canvas>, body: &[u8]) -> Result<Damage, DecodeError> {
    if is_snapshot(body) {
        let canvas = canvas.insert(Canvas::snapshot(body)?);
        return Ok(Damage::all(canvas.screen.size));
    }
    let canvas = canvas.as_mut().ok_or(DecodeError::NeedSnapshot)?;
    canvas.frame(body)
}
