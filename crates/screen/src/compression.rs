//! Compression of frames and snapshots: zstd (RFC 8878), hidden here so that a viewer built without
//! C (in a browser) can use another decoder, like ruzstd, for the same bytes.
//!
//! A track's frames are one zstd stream, flushed after each frame so that every frame ends with a
//! whole block; a *context reset* starts the stream again, magic number and all (6 bytes, once). A
//! snapshot is a zstd stream of its own, ended. No checksums (QUIC and the log have theirs), no
//! content sizes. The window is 128 KiB, which is also all a viewer must remember.

use zstd::zstd_safe;

use crate::error::DecodeError;

/// Largest frame body or snapshot body, in bytes. A compressed one is at most
/// [`MAX_WIRE`], which fits the protocol's largest message for a track (8 MiB); a screen of
/// 1000×500 needs 2.5 MB when plain.
pub const MAX_BODY: usize = 8 * 1024 * 1024 - 64 * 1024;

/// Largest compressed frame or snapshot, in bytes: data that does not compress grows by three bytes
/// a block of 128 KiB, and the stream's header.
pub const MAX_WIRE: usize = MAX_BODY + 1024;

/// log2 of the window: 128 KiB hold many screens of text, and a terminal repeats what it just said.
const WINDOW_LOG: u32 = 17;

#[cfg(feature = "emulator")]
pub(crate) use compress::Compressor;

#[cfg(feature = "emulator")]
mod compress {
    use std::fmt;

    use bytes::{Bytes, BytesMut};
    use zstd::zstd_safe::{
        CCtx, CParameter, InBuffer, OutBuffer, ResetDirective, compress_bound,
        zstd_sys::ZSTD_EndDirective,
    };

    use super::WINDOW_LOG;

    /// One stream of frames, or one that makes snapshots.
    pub(crate) struct Compressor {
        context: CCtx<'static>,
        /// Reused between frames: once every viewer has let go of a frame its memory is taken back.
        out: BytesMut,
    }

    impl fmt::Debug for Compressor {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Compressor").finish_non_exhaustive()
        }
    }

    impl Compressor {
        pub(crate) fn new(level: i32) -> Compressor {
            let mut context = CCtx::create();
            for parameter in [
                CParameter::CompressionLevel(level),
                CParameter::WindowLog(WINDOW_LOG),
                CParameter::ContentSizeFlag(false),
                CParameter::ChecksumFlag(false),
                CParameter::DictIdFlag(false),
            ] {
                let result = context.set_parameter(parameter);
                debug_assert!(result.is_ok(), "zstd knows these parameters");
            }
            Compressor {
                context,
                out: BytesMut::new(),
            }
        }

        /// Forgets what went before; the next frame starts a stream.
        pub(crate) fn reset(&mut self) {
            let result = self.context.reset(ResetDirective::SessionOnly);
            debug_assert!(result.is_ok(), "a session can always be reset");
        }

        /// The next frame of the stream.
        pub(crate) fn frame(&mut self, body: &[u8]) -> Bytes {
            self.run(body, ZSTD_EndDirective::ZSTD_e_flush)
        }

        /// A stream of its own.
        pub(crate) fn whole(&mut self, body: &[u8]) -> Bytes {
            self.reset();
            self.run(body, ZSTD_EndDirective::ZSTD_e_end)
        }

        fn run(&mut self, body: &[u8], end: ZSTD_EndDirective) -> Bytes {
            self.out.clear();
            // Room for the stream's header and for the blocks' headers, so that one call does.
            self.out.resize(compress_bound(body.len()) + 64, 0);
            let mut input = InBuffer::around(body);
            let mut written = 0;
            loop {
                let mut output = OutBuffer::around(&mut self.out[written..]);
                let left = self.context.compress_stream2(&mut output, &mut input, end);
                written += output.pos();
                match left {
                    Ok(0) => break,
                    Ok(left) => self.out.resize(written + left.max(64), 0),
                    // Only running out of memory is left as a reason, which aborts elsewhere too.
                    Err(code) => {
                        panic!("zstd failed: {}", zstd::zstd_safe::get_error_name(code))
                    }
                }
            }
            self.out.truncate(written);
            self.out.split().freeze()
        }
    }
}

/// Reads a stream of frames or a snapshot.
pub(crate) struct Decompressor {
    context: zstd_safe::DCtx<'static>,
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}

impl Decompressor {
    pub(crate) fn new() -> Decompressor {
        let mut context = zstd_safe::DCtx::create();
        let result = context.set_parameter(zstd_safe::DParameter::WindowLogMax(WINDOW_LOG));
        debug_assert!(result.is_ok(), "zstd knows this parameter");
        Decompressor { context }
    }

    /// Forgets what went before; the next frame starts a stream.
    pub(crate) fn reset(&mut self) {
        let result = self.context.reset(zstd_safe::ResetDirective::SessionOnly);
        debug_assert!(result.is_ok(), "a session can always be reset");
    }

    /// The next frame of the stream, into `out` (emptied first).
    pub(crate) fn frame(&mut self, wire: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        if self.run(wire, out, MAX_BODY)? {
            return Err(DecodeError::Compression("the stream of frames ended"));
        }
        Ok(())
    }

    /// A stream of its own of at most `limit` bytes, into `out` (emptied first).
    pub(crate) fn whole(
        &mut self,
        wire: &[u8],
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), DecodeError> {
        self.reset();
        if !self.run(wire, out, limit)? {
            return Err(DecodeError::Compression("the snapshot is cut off"));
        }
        Ok(())
    }

    /// Whether the stream ended exactly where `wire` does. Never holds more than `limit` + 1 bytes,
    /// however much would come out.
    fn run(&mut self, wire: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<bool, DecodeError> {
        const STEP: usize = 16 * 1024;
        let too_large = DecodeError::TooLarge { limit };
        out.clear();
        if wire.len() > MAX_WIRE {
            return Err(too_large);
        }
        let mut input = zstd_safe::InBuffer::around(wire);
        loop {
            out.reserve(STEP.max(out.len()).min(limit + 1 - out.len()));
            let filled = out.len();
            let room = out.capacity();
            let mut output = zstd_safe::OutBuffer::around_pos(out, filled);
            let hint = self
                .context
                .decompress_stream(&mut output, &mut input)
                .map_err(|code| DecodeError::Compression(zstd_safe::get_error_name(code)))?;
            if out.len() > limit {
                return Err(too_large);
            }
            let consumed = input.pos() == wire.len();
            if hint == 0 {
                return if consumed {
                    Ok(true)
                } else {
                    Err(DecodeError::Trailing(wire.len() - input.pos()))
                };
            }
            // Output that stopped short of the room means everything has come out.
            if consumed && out.len() < room {
                return Ok(false);
            }
        }
    }
}

#[cfg(all(test, feature = "emulator"))]
mod tests {
    use super::*;

    #[test]
    fn frames_build_on_each_other_and_a_reset_starts_anew() {
        let mut zip = Compressor::new(1);
        let mut unzip = Decompressor::new();
        let mut out = Vec::new();
        let text: Vec<u8> = (0..2000u32)
            .flat_map(|n| n.to_string().into_bytes())
            .collect();
        let first = zip.frame(&text);
        let second = zip.frame(&text);
        assert!(second.len() < 40, "{}", second.len());
        for wire in [&first, &second] {
            unzip.frame(wire, &mut out).unwrap();
            assert_eq!(out, text);
        }
        zip.reset();
        let third = zip.frame(&text);
        assert_eq!(third, first);
        unzip.reset();
        unzip.frame(&third, &mut out).unwrap();
        assert_eq!(out, text);
    }

    #[test]
    fn the_largest_body_fits_even_when_it_does_not_compress() {
        let mut state = 1u64;
        let body: Vec<u8> = (0..MAX_BODY)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        let wire = Compressor::new(1).frame(&body);
        assert!(wire.len() <= MAX_WIRE, "{}", wire.len());
        let mut out = Vec::new();
        Decompressor::new().frame(&wire, &mut out).unwrap();
        assert_eq!(out, body);
        let wire = Compressor::new(3).whole(&body);
        Decompressor::new()
            .whole(&wire, &mut out, MAX_BODY)
            .unwrap();
        assert_eq!(out, body);
    }

    #[test]
    fn a_bomb_is_refused_within_bounded_memory() {
        let bomb = Compressor::new(3).whole(&vec![0; 64 * 1024 * 1024]);
        assert!(bomb.len() < 16 * 1024);
        let mut out = Vec::new();
        let result = Decompressor::new().whole(&bomb, &mut out, MAX_BODY);
        assert_eq!(result, Err(DecodeError::TooLarge { limit: MAX_BODY }));
        assert!(out.capacity() <= 2 * MAX_BODY);
    }

    #[test]
    fn a_window_larger_than_ours_is_refused() {
        use zstd::zstd_safe::{CCtx, CParameter};
        let mut context = CCtx::create();
        context.set_parameter(CParameter::WindowLog(24)).unwrap();
        context
            .set_parameter(CParameter::ContentSizeFlag(false))
            .unwrap();
        let body = vec![7; 1 << 20];
        let mut wire = Vec::with_capacity(1 << 21);
        context.set_pledged_src_size(None).unwrap();
        let mut output = zstd_safe::OutBuffer::around(&mut wire);
        let mut input = zstd_safe::InBuffer::around(&body);
        context.compress_stream(&mut output, &mut input).unwrap();
        context.flush_stream(&mut output).unwrap();
        let result = Decompressor::new().frame(&wire, &mut Vec::new());
        assert!(
            matches!(result, Err(DecodeError::Compression(_))),
            "{result:?}"
        );
    }

    #[test]
    fn a_frame_is_not_a_snapshot_nor_the_reverse() {
        let mut out = Vec::new();
        let frame = Compressor::new(1).frame(b"frame");
        let whole = Compressor::new(1).whole(b"whole");
        assert!(
            Decompressor::new()
                .whole(&frame, &mut out, MAX_BODY)
                .is_err()
        );
        assert!(Decompressor::new().frame(&whole, &mut out).is_err());
        let mut two = whole.to_vec();
        two.extend_from_slice(&whole);
        assert_eq!(
            Decompressor::new().whole(&two, &mut out, MAX_BODY),
            Err(DecodeError::Trailing(whole.len()))
        );
    }
}
