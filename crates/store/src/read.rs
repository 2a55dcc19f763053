//! Reading the log: walking over records, finding them through the index, and putting history
//! back into chunks. The same code serves a log being written and one that has ended.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::dir::Dir;
use crate::error::{Damage, ReadError, StoreError};
use crate::index::{Index, Position};
use crate::record::{self, GapPayload, Header, RECORD_HEADER, SEGMENT_HEADER, SegmentStart, kind};

/// Bytes read at once when walking.
const WINDOW: usize = 64 << 10;

/// One frame of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The frame's number.
    pub number: u64,
    /// When it was recorded, in milliseconds since 1970.
    pub at_ms: u64,
    /// What was handed to [`append_frame`](crate::SessionLog::append_frame).
    pub bytes: Vec<u8>,
}

/// One event of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The event's running number, from 0.
    pub number: u64,
    /// When it was recorded, in milliseconds since 1970.
    pub at_ms: u64,
    /// What was handed to [`append_event`](crate::SessionLog::append_event).
    pub bytes: Vec<u8>,
}

/// Lines of history, as they were handed to [`append_history`](crate::SessionLog::append_history).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryChunk {
    /// The first line's id; the others follow it without a gap.
    pub first: u64,
    /// The number of lines.
    pub count: u32,
    /// The lines, encoded by the one who appended them.
    pub bytes: Vec<u8>,
}

/// What kind of record a gap is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GapKind {
    /// Frames, by number.
    Frames,
    /// History, by line id.
    History,
    /// Events, by running number.
    Events,
}

/// Records that could not be kept, because the disk was full or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// What is missing.
    pub kind: GapKind,
    /// The track it is missing from (0 for events).
    pub track: u32,
    /// The first number or line id that is missing.
    pub first: u64,
    /// How many are missing, at most: numbers that were never used in this range count too.
    pub count: u64,
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.kind {
            GapKind::Frames => "frames",
            GapKind::History => "lines",
            GapKind::Events => "events",
        };
        let last = self.first.saturating_add(self.count.saturating_sub(1));
        let Gap { first, track, .. } = self;
        write!(
            f,
            "{what} {first} to {last} of track {track} could not be kept"
        )
    }
}

/// History not yet in any record: chunks being gathered into a block, in the record's format.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenBlock {
    pub first: u64,
    pub lines: u32,
    pub at_ms: u64,
    pub payload: Vec<u8>,
}

/// Whole records that are not in a file yet, and where they will go.
#[derive(Clone, Copy)]
pub(crate) struct Tail<'a> {
    pub at: Position,
    pub bytes: &'a [u8],
}

/// Everything there is to read of one log.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub dir: &'a Dir,
    /// The segments' numbers, rising.
    pub segments: &'a [u32],
    /// `None` while the index is being built.
    pub index: Option<&'a Index>,
    pub tail: Option<Tail<'a>>,
    pub blocks: Option<&'a BTreeMap<u32, OpenBlock>>,
}

impl<'a> View<'a> {
    /// A view of files alone.
    pub fn of_files(dir: &'a Dir, segments: &'a [u32], index: Option<&'a Index>) -> View<'a> {
        View {
            dir,
            segments,
            index,
            tail: None,
            blocks: None,
        }
    }

    pub fn start(&self) -> Position {
        Position {
            segment: self.segments.first().copied().unwrap_or(1),
            offset: SEGMENT_HEADER,
        }
    }

    pub fn frames(
        self,
        track: u32,
        from: u64,
    ) -> impl Iterator<Item = Result<Frame, ReadError>> + 'a {
        Records::new(self, kind::FRAME, track, from).map(|record| {
            let (header, bytes) = record?;
            Ok(Frame {
                number: header.key,
                at_ms: header.at_ms,
                bytes,
            })
        })
    }

    pub fn events(self, from: u64) -> impl Iterator<Item = Result<Event, ReadError>> + 'a {
        Records::new(self, kind::EVENT, 0, from).map(|record| {
            let (header, bytes) = record?;
            Ok(Event {
                number: header.key,
                at_ms: header.at_ms,
                bytes,
            })
        })
    }

    pub fn gaps(self) -> impl Iterator<Item = Result<Gap, ReadError>> + 'a {
        Records::new(self, kind::GAP, 0, 0).filter_map(|record| match record {
            Ok((_, bytes)) => GapPayload::decode(&bytes).and_then(gap_from).map(Ok),
            Err(e) => Some(Err(e)),
        })
    }

    /// See [`SessionReader::history_range`](crate::SessionReader::history_range).
    pub fn history_range(
        self,
        track: u32,
        from: u64,
        max_lines: u32,
        max_bytes: usize,
    ) -> Result<Vec<HistoryChunk>, StoreError> {
        let mut out = Gathered {
            from,
            max_lines: u64::from(max_lines),
            max_bytes,
            lines: 0,
            bytes: 0,
            chunks: Vec::new(),
        };
        for record in Records::new(self, kind::HISTORY, track, from) {
            match record {
                Ok((header, payload)) if !out.take(header.key, &payload) => return Ok(out.chunks),
                Ok(_) => {}
                // The ids that are missing tell the caller; the log tells anybody who looks into it.
                Err(ReadError::Damaged(damage)) => tracing::warn!(%damage, "history is damaged"),
                Err(ReadError::Store(error)) => return Err(error),
            }
        }
        if let Some(block) = self.blocks.and_then(|blocks| blocks.get(&track)) {
            out.take(block.first, &block.payload);
        }
        Ok(out.chunks)
    }
}

/// A read of a running session's history, prepared by
/// [`SessionLog::history_read`](crate::SessionLog::history_read) and independent of the log from then on.
pub struct HistoryRead {
    pub(crate) dir: Arc<Dir>,
    pub(crate) segments: Vec<u32>,
    pub(crate) index: Index,
    /// Where the log's files ended, and the whole records that were to follow.
    pub(crate) end: Position,
    pub(crate) unwritten: Vec<u8>,
    pub(crate) blocks: BTreeMap<u32, OpenBlock>,
    pub(crate) track: u32,
    pub(crate) from: u64,
    pub(crate) max_lines: u32,
    pub(crate) max_bytes: usize,
}

impl HistoryRead {
    /// Reads.
    ///
    /// # Errors
    /// The log's files can't be read.
    pub fn run(&self) -> Result<Vec<HistoryChunk>, StoreError> {
        let view = View {
            dir: &self.dir,
            segments: &self.segments,
            index: Some(&self.index),
            tail: Some(Tail {
                at: self.end,
                bytes: &self.unwritten,
            }),
            blocks: Some(&self.blocks),
        };
        let mut chunks =
            view.history_range(self.track, self.from, self.max_lines, self.max_bytes)?;
        // The index of a read knows no further.
        let end = self.from.saturating_add(u64::from(self.max_lines));
        chunks.retain(|chunk| chunk.first < end);
        Ok(chunks)
    }
}

pub(crate) fn gap_from(payload: GapPayload) -> Option<Gap> {
    let kind = match payload.kind {
        kind::FRAME => GapKind::Frames,
        kind::HISTORY => GapKind::History,
        kind::EVENT => GapKind::Events,
        _ => return None,
    };
    Some(Gap {
        kind,
        track: payload.track,
        first: payload.first,
        count: payload.count,
    })
}

/// A history range being put together.
struct Gathered {
    from: u64,
    max_lines: u64,
    max_bytes: usize,
    lines: u64,
    bytes: usize,
    chunks: Vec<HistoryChunk>,
}

impl Gathered {
    /// Takes what the range still holds out of a block; `false` once it is full.
    fn take(&mut self, first: u64, payload: &[u8]) -> bool {
        for (first, count, bytes) in record::chunks(first, payload) {
            if first.saturating_add(u64::from(count)) <= self.from {
                continue;
            }
            let full = self.lines >= self.max_lines || self.bytes + bytes.len() > self.max_bytes;
            if full && !self.chunks.is_empty() {
                return false;
            }
            self.lines += u64::from(count);
            self.bytes += bytes.len();
            self.chunks.push(HistoryChunk {
                first,
                count,
                bytes: bytes.to_vec(),
            });
        }
        self.lines < self.max_lines && self.bytes < self.max_bytes
    }
}

/// The records of one kind and track whose keys reach `from` or beyond, found through the index.
struct Records<'a> {
    walker: Walker<'a>,
    kind: u8,
    track: u32,
    /// The key wanted next.
    from: u64,
    /// Up to here, the records wanted are certain to be met by walking on.
    horizon: Position,
    /// Off once the index has been caught pointing at something else.
    index: Option<&'a Index>,
}

impl<'a> Records<'a> {
    fn new(view: View<'a>, kind: u8, track: u32, from: u64) -> Records<'a> {
        let mut records = Records {
            walker: Walker::new(view, view.start()),
            kind,
            track,
            from,
            horizon: view.start(),
            index: view.index,
        };
        let floor = records
            .index
            .and_then(|index| index.floor(kind, track, from));
        match floor {
            Some(entry) => records.jump(entry.key, entry.at),
            None => records.hop(),
        }
        records
    }

    /// Goes to the next record that the index knows, skipping what lies between.
    fn hop(&mut self) {
        let Some(index) = self.index else { return };
        let at = self.walker.at;
        // Entries can stand closer than the spacing, and then reach further than the last jump's.
        let passed = self.from.checked_sub(1);
        let passed = passed.and_then(|key| index.floor(self.kind, self.track, key));
        if let Some(entry) = passed.filter(|entry| entry.at.segment == at.segment) {
            let reach = entry.at.offset.saturating_add(index.spacing());
            if reach >= at.offset {
                self.horizon = Position {
                    segment: at.segment,
                    offset: reach,
                };
                return;
            }
        }
        match index.ceiling(self.kind, self.track, self.from) {
            Some(entry) if entry.at >= self.walker.at => self.jump(entry.key, entry.at),
            // Passed it already: what follows is found by walking.
            Some(_) => self.give_up_index(at),
            None => {
                let end = index.covered().max(at);
                self.walker.go(end);
                self.horizon = Position {
                    segment: u32::MAX,
                    offset: u64::MAX,
                };
            }
        }
        if !index.complete() {
            self.give_up_index(self.walker.view.start());
        }
    }

    fn jump(&mut self, key: u64, at: Position) {
        let Some(index) = self.index else { return };
        let before = self.walker.at;
        self.walker.go(at);
        let found = self.walker.peek();
        let right = matches!(found, Ok(Some(header)) if
            (header.kind, header.track, header.key) == (self.kind, self.track, key));
        if right && index.complete() {
            self.horizon = Position {
                offset: at.offset.saturating_add(index.spacing()),
                ..at
            };
        } else {
            self.give_up_index(before);
        }
    }

    /// Walks from `at` on without the index.
    fn give_up_index(&mut self, at: Position) {
        self.index = None;
        self.walker.go(at);
    }
}

impl Iterator for Records<'_> {
    type Item = Result<(Header, Vec<u8>), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let beyond = self.walker.at.segment != self.horizon.segment
                || self.walker.at.offset > self.horizon.offset;
            if self.index.is_some() && beyond && self.horizon.segment != u32::MAX {
                self.hop();
            }
            let header = match self.walker.next()? {
                Ok(header) => header,
                Err(e) => return Some(Err(e)),
            };
            let wanted =
                header.kind == self.kind && header.track == self.track && header.end() > self.from;
            if wanted {
                self.from = header.end();
                return Some(self.walker.payload().map(|payload| (header, payload)));
            }
        }
    }
}

/// Walks over all records from a place on, segment by segment.
pub(crate) struct Walker<'a> {
    view: View<'a>,
    /// Where the next record starts.
    at: Position,
    segment: Option<SegmentBytes<'a>>,
    /// The record given last, and where it starts.
    current: Option<(Header, u64)>,
}

impl<'a> Walker<'a> {
    pub fn new(view: View<'a>, at: Position) -> Walker<'a> {
        Walker {
            view,
            at,
            segment: None,
            current: None,
        }
    }

    fn go(&mut self, at: Position) {
        if at.segment != self.at.segment {
            self.segment = None;
        }
        self.at = at;
    }

    /// The next record's header, going on to the next segment at a segment's end. After damage,
    /// which is given once, it goes on with the next segment too.
    pub fn next(&mut self) -> Option<Result<Header, ReadError>> {
        loop {
            match self.peek() {
                Ok(Some(header)) => {
                    self.current = Some((header, self.at.offset));
                    self.at.offset += header.total();
                    return Some(Ok(header));
                }
                Ok(None) => {
                    if !self.next_segment() {
                        return None;
                    }
                }
                Err(e) => {
                    self.skip_rest();
                    return Some(Err(e));
                }
            }
        }
    }

    /// The payload of the record that [`next`](Self::next) gave last, verified and decompressed.
    /// If it is damaged, so is the rest of its segment, and the walk goes on behind that.
    pub fn payload(&mut self) -> Result<Vec<u8>, ReadError> {
        let damage = |at: Position, size: u64| Damage {
            segment: at.segment,
            offset: at.offset,
            bytes: size.saturating_sub(at.offset),
        };
        let (Some((header, offset)), Some(segment)) = (self.current, &mut self.segment) else {
            return Err(damage(self.at, self.at.offset).into());
        };
        let stored = segment.bytes(offset + RECORD_HEADER as u64, header.stored as usize);
        let payload = match stored {
            Ok(stored) => stored.and_then(|stored| header.open(stored)),
            Err(e) => return Err(self.failed(e)),
        };
        let size = segment.size();
        payload.ok_or_else(|| {
            let at = Position { offset, ..self.at };
            self.skip_rest();
            damage(at, size).into()
        })
    }

    /// The header at this place; `None` at the segment's end.
    fn peek(&mut self) -> Result<Option<Header>, ReadError> {
        if self.view.segments.binary_search(&self.at.segment).is_err() {
            return Ok(None);
        }
        let at = self.at;
        let segment = match &mut self.segment {
            Some(segment) => segment,
            none => none.insert(SegmentBytes::open(&self.view, at.segment)?),
        };
        let size = segment.size();
        // A crash can leave a segment just made empty: that is no damage.
        if at.offset == size || size == 0 {
            return Ok(None);
        }
        let header = match segment.bytes(at.offset, RECORD_HEADER) {
            Ok(bytes) => bytes.and_then(Header::decode),
            Err(e) => return Err(self.failed(e)),
        };
        match header {
            Some(header) if header.total() <= size - at.offset.min(size) => Ok(Some(header)),
            _ => Err(Damage {
                segment: at.segment,
                offset: at.offset,
                bytes: size.saturating_sub(at.offset),
            }
            .into()),
        }
    }

    fn failed(&self, e: io::Error) -> ReadError {
        let path = self.view.dir.path().join(segment_name(self.at.segment));
        StoreError::io("read", &path, e).into()
    }

    fn next_segment(&mut self) -> bool {
        let next = self
            .view
            .segments
            .iter()
            .find(|number| **number > self.at.segment);
        let Some(number) = next else { return false };
        self.segment = None;
        self.at = Position {
            segment: *number,
            offset: SEGMENT_HEADER,
        };
        true
    }

    /// Leaves the segment; without a next one, the walk is over.
    fn skip_rest(&mut self) {
        if !self.next_segment() {
            self.segment = None;
            self.at = Position {
                segment: u32::MAX,
                offset: SEGMENT_HEADER,
            };
        }
    }
}

/// One segment's bytes: its file, and behind that what is to be written to it.
struct SegmentBytes<'a> {
    file: File,
    file_size: u64,
    tail: &'a [u8],
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> SegmentBytes<'a> {
    fn open(view: &View<'a>, number: u32) -> Result<SegmentBytes<'a>, ReadError> {
        let name = segment_name(number);
        let path = view.dir.path().join(&name);
        let file = view.dir.read_file(&name)?;
        let metadata = file
            .metadata()
            .map_err(|e| StoreError::io("read", &path, e))?;
        let tail = view.tail.filter(|tail| tail.at.segment == number);
        let mut segment = SegmentBytes {
            file,
            file_size: tail.map_or(metadata.len(), |tail| tail.at.offset),
            tail: tail.map_or(&[], |tail| tail.bytes),
            window: Vec::new(),
            window_at: 0,
        };
        let start = segment
            .bytes(0, SEGMENT_HEADER as usize)
            .map_err(|e| StoreError::io("read", &path, e))?
            .map_or(SegmentStart::Bad, |bytes| {
                record::read_segment_header(bytes, number)
            });
        match start {
            SegmentStart::Good => Ok(segment),
            SegmentStart::Newer(version) => Err(StoreError::Newer {
                path,
                found: u32::from(version),
                known: u32::from(record::VERSION),
            }
            .into()),
            SegmentStart::Older(version) => Err(StoreError::Older {
                path,
                found: u32::from(version),
                known: u32::from(record::VERSION),
            }
            .into()),
            SegmentStart::Bad if segment.size() == 0 => Ok(segment),
            SegmentStart::Bad => Err(Damage {
                segment: number,
                offset: 0,
                bytes: segment.size(),
            }
            .into()),
        }
    }

    fn size(&self) -> u64 {
        self.file_size + self.tail.len() as u64
    }

    /// `length` bytes from `offset` on; `None` if the segment ends before. Never takes more memory
    /// than the segment has bytes.
    fn bytes(&mut self, offset: u64, length: usize) -> io::Result<Option<&[u8]>> {
        if let Some(within) = offset.checked_sub(self.file_size) {
            let from = usize::try_from(within).unwrap_or(usize::MAX);
            return Ok(self.tail.get(from..).and_then(|rest| rest.get(..length)));
        }
        if length as u64 > self.file_size - offset {
            return Ok(None);
        }
        let inside = offset >= self.window_at
            && offset + length as u64 <= self.window_at + self.window.len() as u64;
        if !inside {
            let left = usize::try_from(self.file_size - offset).unwrap_or(usize::MAX);
            self.window.resize(length.max(WINDOW).min(left), 0);
            self.window_at = offset;
            if let Err(e) = self.file.read_exact_at(&mut self.window, offset) {
                self.window.clear();
                // Cut shorter since it was opened: the same as never having been longer.
                return match e.kind() {
                    io::ErrorKind::UnexpectedEof => Ok(None),
                    _ => Err(e),
                };
            }
        }
        let from = (offset - self.window_at) as usize;
        Ok(self.window.get(from..from + length))
    }
}

/// What a segment's file is called.
pub(crate) fn segment_name(number: u32) -> String {
    format!("{number:06}.seg")
}

/// The segment number in a file name.
pub(crate) fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".seg")?;
    let number = digits.parse().ok()?;
    (segment_name(number) == name).then_some(number)
}

/// Most segments a log can have: 16 TB.
pub(crate) const MAX_SEGMENT: u32 = 999_999;

/// The numbers of the segments in a directory, rising.
pub(crate) fn segments(dir: &Dir) -> Result<Vec<u32>, StoreError> {
    let (entries, _) = dir.entries()?;
    let mut numbers: Vec<u32> = entries
        .iter()
        .filter(|entry| !entry.is_dir)
        .filter_map(|entry| segment_number(&entry.name))
        .filter(|number| (1..=MAX_SEGMENT).contains(number))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Brings the index to the end of the log, and says what of the last segment is unreadable.
///
/// The last segment's payloads are verified as well: it is where a crash leaves its traces.
pub(crate) fn catch_up(view: View<'_>, index: &mut Index) -> Result<Option<Damage>, StoreError> {
    let last = view.segments.last().copied();
    let start = index.covered();
    let mut damage = None;
    let mut walker = Walker::new(view, start);
    let mut at = start;
    while let Some(step) = walker.next() {
        let verified = match step {
            Ok(header) => {
                let (_, offset) = walker.current.unwrap_or((header, 0));
                let segment = walker.at.segment;
                at = Position { segment, offset };
                match Some(at.segment) == last {
                    true => walker.payload().map(|_| header),
                    false => Ok(header),
                }
            }
            Err(e) => Err(e),
        };
        match verified {
            Ok(header) => index.note(&header, at),
            Err(ReadError::Damaged(found)) => {
                damage = (Some(found.segment) == last).then_some(found);
            }
            Err(ReadError::Store(error)) => return Err(error),
        }
    }
    if let Some(number) = last {
        let offset = SEGMENT_HEADER;
        index.cover(Position {
            segment: number,
            offset,
        });
    }
    Ok(damage)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::record::{Encoder, Stamp, push_chunk, segment_header};

    fn stamp() -> impl Strategy<Value = Stamp> {
        let key = prop_oneof![0..20_u64, Just(u64::MAX - 1), Just(u64::MAX)];
        let count = prop_oneof![Just(0), Just(1), 1..20_u32, Just(u32::MAX)];
        (0..6_u8, 0..3_u32, key, count).prop_map(|(kind, track, key, count)| Stamp {
            kind,
            track,
            key,
            count,
            at_ms: 0,
        })
    }

    /// What no writer writes, but with every checksum right.
    fn payload() -> impl Strategy<Value = Vec<u8>> {
        let chunks = prop::collection::vec((0..3_u32, 0..9_usize), 0..4).prop_map(|sizes| {
            let mut block = Vec::new();
            for (lines, size) in sizes {
                push_chunk(&mut block, lines.wrapping_sub(1), &vec![b'x'; size]);
            }
            block
        });
        prop_oneof![
            chunks,
            prop::collection::vec(any::<u8>(), 0..40),
            (0..100_000_usize).prop_map(|size| vec![0; size]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn records_out_of_all_order_are_read_without_harm(
            records in prop::collection::vec((stamp(), payload()), 0..40),
            from in prop_oneof![0..20_u64, Just(u64::MAX)],
        ) {
            let temp = tempfile::tempdir().unwrap();
            let root = Dir::create_root(&temp.path().join("sessions")).unwrap();
            let dir = Arc::new(root.create_dir("s").unwrap());
            let mut bytes = segment_header(1).to_vec();
            let mut encoder = Encoder::new().unwrap();
            for (stamp, payload) in &records {
                encoder.push(&mut bytes, *stamp, payload);
            }
            dir.create_file("000001.seg").unwrap().write_all(&bytes).unwrap();
            let (index, damage) = crate::session::index(&dir, &[1]).unwrap();
            prop_assert_eq!(damage, None);
            let view = View::of_files(&dir, &[1], Some(&index));
            for track in 0..3 {
                let frames = view.frames(track, from).filter(|frame| frame.is_ok());
                prop_assert!(frames.count() <= records.len());
                let found = view.history_range(track, from, 100, 1000).unwrap();
                prop_assert!(found.len() <= 200);
                prop_assert!(found.iter().all(|c| c.first.saturating_add(c.count.into()) > from));
            }
            prop_assert!(view.events(from).count() + view.gaps().count() <= records.len());
        }
    }
}
