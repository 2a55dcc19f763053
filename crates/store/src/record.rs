//! The segment format, version 2. All numbers are little-endian.
//!
//! ```text
//! segment   magic "pillseg\n" (8) · version u16 · zero u16 · segment number u32 · records…
//! record     0 header checksum  u32   CRC-32 of bytes 4..44
//!            4 stored length    u32   bytes of payload in the file
//!            8 payload checksum u32   CRC-32 of those bytes
//!           12 kind             u8    1 frame, 2 history block, 3 event, 4 gap; never reused
//!           13 flags            u8    bit 0: the payload is a zstd frame
//!           14 zero             u16
//!           16 track            u32   0 for events and gaps
//!           20 key              u64   frame number, first line id, running number of event or gap
//!           28 count            u32   lines in a history block, else 1
//!           32 raw length       u32   bytes of payload once decompressed
//!           36 time             u64   milliseconds since 1970
//!           44 payload
//! history block payload   { lines u32 · length u32 · bytes }…   chunks with consecutive line ids
//! gap payload             kind u8 · track u32 · first u64 · count u64
//! ```
//!
//! The header has a checksum of its own so that an index is rebuilt from headers alone. Kinds not
//! known are skipped, so later versions may add some; anything else needs a new version. Version 1, which had
//! room for 65,536 tracks in all, was never released and is not read.

use std::io;

use zstd::bulk::{Compressor, Decompressor};

/// Most bytes one record may carry, before compression: a snapshot of a 1000 × 500 screen with
/// every cell styled differently stays below.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

pub(crate) const VERSION: u16 = 2;
pub(crate) const SEGMENT_HEADER: u64 = 16;
pub(crate) const RECORD_HEADER: usize = 44;
const MAGIC: &[u8; 8] = b"pillseg\n";
const FLAG_ZSTD: u8 = 1;

/// Below this, a zstd frame's own overhead eats the gain.
const COMPRESS_FROM: usize = 256;
/// The fastest level that still finds repeated lines; measured in `benches/log.rs`.
const ZSTD_LEVEL: i32 = 1;

/// What a record is. The numbers are on disk.
pub(crate) mod kind {
    pub const FRAME: u8 = 1;
    pub const HISTORY: u8 = 2;
    pub const EVENT: u8 = 3;
    pub const GAP: u8 = 4;
}

/// What stands before a record's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub kind: u8,
    pub flags: u8,
    pub track: u32,
    pub key: u64,
    pub count: u32,
    pub at_ms: u64,
    pub stored: u32,
    pub raw: u32,
    pub payload_crc: u32,
}

/// A record to be written: everything the header needs that isn't found out from the payload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub kind: u8,
    pub track: u32,
    pub key: u64,
    pub count: u32,
    pub at_ms: u64,
}

impl Header {
    /// The first key after this record's.
    pub fn end(&self) -> u64 {
        self.key.saturating_add(u64::from(self.count))
    }

    pub fn total(&self) -> u64 {
        RECORD_HEADER as u64 + u64::from(self.stored)
    }

    fn encode(&self) -> [u8; RECORD_HEADER] {
        let mut out = [0; RECORD_HEADER];
        out[4..8].copy_from_slice(&self.stored.to_le_bytes());
        out[8..12].copy_from_slice(&self.payload_crc.to_le_bytes());
        out[12] = self.kind;
        out[13] = self.flags;
        out[16..20].copy_from_slice(&self.track.to_le_bytes());
        out[20..28].copy_from_slice(&self.key.to_le_bytes());
        out[28..32].copy_from_slice(&self.count.to_le_bytes());
        out[32..36].copy_from_slice(&self.raw.to_le_bytes());
        out[36..44].copy_from_slice(&self.at_ms.to_le_bytes());
        let crc = crc32fast::hash(&out[4..]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None`: these bytes are no record's header, or one whose lengths no writer would write.
    pub fn decode(bytes: &[u8]) -> Option<Header> {
        let mut take = Take(bytes.get(..RECORD_HEADER)?);
        if take.u32()? != crc32fast::hash(bytes.get(4..RECORD_HEADER)?) {
            return None;
        }
        let header = Header {
            stored: take.u32()?,
            payload_crc: take.u32()?,
            kind: take.u8()?,
            flags: take.u8()?,
            track: take.u16().and_then(|_| take.u32())?,
            key: take.u64()?,
            count: take.u32()?,
            raw: take.u32()?,
            at_ms: take.u64()?,
        };
        let sound = header.raw as usize <= MAX_RECORD_BYTES
            && header.stored <= header.raw
            && (header.flags & FLAG_ZSTD != 0 || header.stored == header.raw);
        sound.then_some(header)
    }

    /// The payload out of its stored bytes; `None` if they are not what was written.
    pub fn open(&self, stored: &[u8]) -> Option<Vec<u8>> {
        if crc32fast::hash(stored) != self.payload_crc {
            return None;
        }
        if self.flags & FLAG_ZSTD == 0 {
            return Some(stored.to_vec());
        }
        let mut raw = Vec::with_capacity(self.raw as usize);
        Decompressor::new()
            .and_then(|mut zstd| zstd.decompress_to_buffer(stored, &mut raw))
            .ok()?;
        (raw.len() == self.raw as usize).then_some(raw)
    }
}

/// Turns payloads into records.
pub(crate) struct Encoder {
    zstd: Compressor<'static>,
    scratch: Vec<u8>,
}

impl Encoder {
    pub fn new() -> io::Result<Encoder> {
        Ok(Encoder {
            zstd: Compressor::new(ZSTD_LEVEL)?,
            scratch: Vec::new(),
        })
    }

    /// Appends a record to `out`. `payload` is at most [`MAX_RECORD_BYTES`].
    pub fn push(&mut self, out: &mut Vec<u8>, stamp: Stamp, payload: &[u8]) {
        debug_assert!(payload.len() <= MAX_RECORD_BYTES);
        let compressed = self.compress(payload);
        let (flags, stored) = match compressed {
            true => (FLAG_ZSTD, self.scratch.as_slice()),
            false => (0, payload),
        };
        let header = Header {
            kind: stamp.kind,
            flags,
            track: stamp.track,
            key: stamp.key,
            count: stamp.count,
            at_ms: stamp.at_ms,
            stored: stored.len() as u32,
            raw: payload.len() as u32,
            payload_crc: crc32fast::hash(stored),
        };
        out.extend_from_slice(&header.encode());
        out.extend_from_slice(stored);
    }

    /// Whether `scratch` now holds the payload, at least a sixteenth smaller.
    fn compress(&mut self, payload: &[u8]) -> bool {
        if payload.len() < COMPRESS_FROM {
            return false;
        }
        self.scratch.clear();
        self.scratch
            .reserve(zstd::zstd_safe::compress_bound(payload.len()));
        let done = self.zstd.compress_to_buffer(payload, &mut self.scratch);
        done.is_ok_and(|size| size <= payload.len() - payload.len() / 16)
    }

    pub fn held_bytes(&self) -> usize {
        self.scratch.capacity()
    }

    /// Gives back what one unusually large payload took.
    pub fn trim(&mut self, limit: usize) {
        if self.scratch.capacity() > limit {
            self.scratch = Vec::new();
        }
    }
}

pub(crate) fn segment_header(number: u32) -> [u8; SEGMENT_HEADER as usize] {
    let mut out = [0; SEGMENT_HEADER as usize];
    out[..8].copy_from_slice(MAGIC);
    out[8..10].copy_from_slice(&VERSION.to_le_bytes());
    out[12..].copy_from_slice(&number.to_le_bytes());
    out
}

/// What a segment's first bytes say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SegmentStart {
    Good,
    Newer(u16),
    Older(u16),
    Bad,
}

pub(crate) fn read_segment_header(bytes: &[u8], number: u32) -> SegmentStart {
    let read = || {
        let mut take = Take(bytes.strip_prefix(MAGIC)?);
        Some((take.u16()?, take.u16()?, take.u32()?))
    };
    match read() {
        Some((VERSION, 0, found)) if found == number => SegmentStart::Good,
        Some((version, ..)) if version > VERSION => SegmentStart::Newer(version),
        Some((version @ 1.., 0, found)) if version < VERSION && found == number => {
            SegmentStart::Older(version)
        }
        _ => SegmentStart::Bad,
    }
}

/// Adds one chunk to a history block's payload.
pub(crate) fn push_chunk(block: &mut Vec<u8>, lines: u32, bytes: &[u8]) {
    block.extend_from_slice(&lines.to_le_bytes());
    block.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    block.extend_from_slice(bytes);
}

/// What each chunk costs in a block, beside its bytes.
pub(crate) const CHUNK_OVERHEAD: usize = 8;

/// The chunks of a history block as (first line id, lines, bytes); ends early at what no writer
/// writes.
pub(crate) fn chunks(first: u64, payload: &[u8]) -> impl Iterator<Item = (u64, u32, &[u8])> {
    let mut take = Take(payload);
    let mut next = first;
    std::iter::from_fn(move || {
        // No chunk has no lines, or a run of zeros would be a great many.
        let lines = take.u32().filter(|lines| *lines > 0)?;
        let length = take.u32()? as usize;
        let bytes = take.bytes(length)?;
        let first = next;
        next = next.checked_add(u64::from(lines))?;
        Some((first, lines, bytes))
    })
}

/// Records the log could not keep, as a gap record says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GapPayload {
    pub kind: u8,
    pub track: u32,
    pub first: u64,
    pub count: u64,
}

impl GapPayload {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.kind];
        out.extend_from_slice(&self.track.to_le_bytes());
        out.extend_from_slice(&self.first.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out
    }

    pub fn decode(bytes: &[u8]) -> Option<GapPayload> {
        let mut take = Take(bytes);
        Some(GapPayload {
            kind: take.u8()?,
            track: take.u32()?,
            first: take.u64()?,
            count: take.u64()?,
        })
    }
}

/// Reads numbers off the front of a slice; `None` at its end.
struct Take<'a>(&'a [u8]);

impl<'a> Take<'a> {
    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(stamp: Stamp, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Encoder::new().unwrap().push(&mut out, stamp, payload);
        out
    }

    const STAMP: Stamp = Stamp {
        kind: kind::FRAME,
        track: 0x0102,
        key: 0x0304_0506,
        count: 1,
        at_ms: 1_763_000_000_000,
    };

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// These bytes are on people's disks: a change here needs a new version.
    #[test]
    fn the_format_is_what_it_was() {
        assert_eq!(hex(&segment_header(7)), "70696c6c7365670a0200000007000000");
        assert_eq!(
            hex(&record(STAMP, b"frame")),
            "bccee20005000000cd3cf8b501000000020100000605040300000000\
             0100000005000000001efd7a9a0100006672616d65"
        );
        let mut block = Vec::new();
        push_chunk(&mut block, 2, b"a\nb\n");
        push_chunk(&mut block, 1, b"c\n");
        assert_eq!(hex(&block), "0200000004000000610a620a0100000002000000630a");
        let gap = GapPayload {
            kind: kind::HISTORY,
            track: 3,
            first: 10,
            count: 5,
        };
        assert_eq!(
            hex(&gap.encode()),
            "02030000000a000000000000000500000000000000"
        );
        assert_eq!(GapPayload::decode(&gap.encode()), Some(gap));
    }

    #[test]
    fn what_pays_is_compressed_and_everything_comes_back() {
        let mut noise = 1_u32;
        let random: Vec<u8> = (0..5000)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 24) as u8
            })
            .collect();
        for (payload, smaller) in [
            (Vec::new(), false),
            (b"x".repeat(COMPRESS_FROM - 1), false),
            (b"x".repeat(COMPRESS_FROM), true),
            (random, false),
            (b"line of text\n".repeat(20_000), true),
        ] {
            let bytes = record(STAMP, &payload);
            let header = Header::decode(&bytes).unwrap();
            assert_eq!(header.total() as usize, bytes.len());
            assert_eq!(header.stored < header.raw, smaller);
            assert_eq!(header.open(&bytes[RECORD_HEADER..]).unwrap(), payload);
        }
    }

    /// Both checksums put right: what is left to refuse a record is its meaning.
    #[test]
    fn claimed_lengths_are_not_believed() {
        let bomb = zstd::bulk::compress(&vec![0; 1 << 20], 1).unwrap();
        let header = Header {
            kind: kind::HISTORY,
            flags: FLAG_ZSTD,
            track: 0,
            key: 0,
            count: 1,
            at_ms: 0,
            stored: bomb.len() as u32,
            raw: 1000,
            payload_crc: crc32fast::hash(&bomb),
        };
        let read = Header::decode(&header.encode()).unwrap();
        assert_eq!(read, header);
        assert_eq!(read.open(&bomb), None, "unpacks to more than it says");
        let larger = Header {
            raw: MAX_RECORD_BYTES as u32 + 1,
            ..header
        };
        assert_eq!(Header::decode(&larger.encode()), None);
        let more = Header {
            raw: (2 << 20),
            ..header
        };
        assert_eq!(more.open(&bomb), None, "unpacks to less than it says");
        let plain = Header { flags: 0, ..header };
        assert_eq!(Header::decode(&plain.encode()), None);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for payload in [b"frame".to_vec(), b"line of text\n".repeat(100)] {
            let good = record(STAMP, &payload);
            for at in 0..good.len() * 8 {
                let mut bytes = good.clone();
                bytes[at / 8] ^= 1 << (at % 8);
                let read =
                    Header::decode(&bytes).and_then(|header| header.open(&bytes[RECORD_HEADER..]));
                assert_eq!(read, None, "bit {at}");
            }
        }
        assert_eq!(
            Header::decode(&[0; RECORD_HEADER]),
            None,
            "zeros are no record"
        );
    }

    #[test]
    fn a_segment_of_another_version_or_place_is_told_apart() {
        let good = segment_header(7);
        assert_eq!(read_segment_header(&good, 7), SegmentStart::Good);
        assert_eq!(read_segment_header(&good, 8), SegmentStart::Bad);
        assert_eq!(read_segment_header(&good[..15], 7), SegmentStart::Bad);
        let mut newer = good;
        newer[8] = 3;
        assert_eq!(read_segment_header(&newer, 7), SegmentStart::Newer(3));
        let mut older = good;
        older[8] = 1;
        assert_eq!(read_segment_header(&older, 7), SegmentStart::Older(1));
        assert_eq!(read_segment_header(&older, 8), SegmentStart::Bad);
        older[8] = 0;
        assert_eq!(read_segment_header(&older, 7), SegmentStart::Bad);
    }
}
