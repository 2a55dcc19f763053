//! History lines: how they are written down, and how a viewer reads them back.
//!
//! A *record* is one logical line as the program wrote it, unwrapped, without trailing blanks; a
//! line too long for one record goes on in the next. Every record has its own [`LineId`]. A chunk
//! is consecutive records, one after the other:
//!
//! | part | bytes |
//! |---|---|
//! | head | number: text length in bytes × 4, + 2 when runs follow, + 1 when the line goes on in the next record |
//! | text | UTF-8 |
//! | runs | only when some text is not of the default look: their number, then each as its length in bytes (the last one's is what is left) and its look |
//! | look | number: 0 the default, 1… those this chunk has shown, in order of appearance; one past the last is a new one, and its style (bit 7 of the first byte: a link follows, a string) stands here |
//!
//! So a plain line costs its text and one byte (two from 32 characters on), and is written with a
//! `memcpy`.

use std::{
    collections::{HashMap, VecDeque},
    iter, mem,
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    cell::{Color, MAX_LINK, MAX_MARKS, Style},
    clean::{allowed_link, is_clean},
    error::DecodeError,
    screen::LineId,
    width::{columns, text_columns},
    wire::{self, Reader},
};

/// Most cells of one record; a longer line is split. Bounds what a "line" of 100 MB can cost anyone.
pub const MAX_RECORD_CELLS: usize = 4096;

/// Most bytes of one record's text: every cell a character and [`MAX_MARKS`] marks of four bytes.
pub const MAX_RECORD_BYTES: usize = MAX_RECORD_CELLS * 4 * (1 + MAX_MARKS);

/// Most memory that lines read at once may take, in bytes. A host sends a quarter of a MiB or little more;
/// that is the most where every character has a look of its own.
pub const MAX_DECODED: usize = 16 * 1024 * 1024;

/// What a run takes beside its text, with what an allocation costs.
const RUN_COST: usize = size_of::<Run>() + 32;

/// A chunk is closed once it has this many looks; one more record may add a look a cell.
const LOOKS_PER_CHUNK: usize = 1024;

/// Most bytes of links in one chunk; after that text is written without its link. So a chunk is at most half
/// a MiB, whatever a program prints.
const LINKS_PER_CHUNK: usize = 256 * 1024;

/// Most looks in one chunk.
const MAX_LOOKS: usize = LOOKS_PER_CHUNK + MAX_RECORD_CELLS;

/// A chunk is closed once it has this many bytes: what a viewer asks for by range stays small
/// beside one bandwidth-delay product, and compresses well.
const CHUNK_BYTES: usize = 64 * 1024;

/// A piece of one line drawn in one look.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Run {
    /// The characters, combining marks included; never empty, never a control character.
    pub text: String,
    /// How they are drawn.
    pub style: Style,
    /// The hyperlink they carry, at most [`MAX_LINK`] bytes.
    pub link: Option<Arc<str>>,
}

/// One record of history.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Line {
    /// Its number.
    pub id: LineId,
    /// Its text, left to right; neighbours differ in style or link.
    pub runs: Vec<Run>,
    /// The line goes on in the next record: it was too long for one.
    pub continued: bool,
}

impl Line {
    /// The line's characters.
    pub fn text(&self) -> String {
        self.runs.iter().map(|run| run.text.as_str()).collect()
    }
}

/// Some consecutive records, encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryChunk {
    /// The first record's number.
    pub first: LineId,
    /// How many records.
    pub count: u32,
    /// The encoded records; read with [`decode_lines`].
    pub bytes: Bytes,
}

impl HistoryChunk {
    /// The records, decoded.
    ///
    /// # Errors
    /// As [`decode_lines`].
    pub fn lines(&self) -> Result<Vec<Line>, DecodeError> {
        decode_lines(self.first, self.count, &self.bytes)
    }
}

/// Reads back a chunk of `count` records of which the first is `first`.
///
/// Memory is bounded by [`MAX_DECODED`], and by the bytes given, not by what they claim.
///
/// # Errors
/// When the bytes are not exactly `count` records, or hold what no honest host sends.
pub fn decode_lines(first: LineId, count: u32, bytes: &[u8]) -> Result<Vec<Line>, DecodeError> {
    Budget::default().decode_lines(first, count, bytes)
}

/// What may still be allocated for lines.
pub(crate) struct Budget(usize);

impl Default for Budget {
    fn default() -> Budget {
        Budget(MAX_DECODED)
    }
}

impl Budget {
    /// As [`decode_lines`], within what is left.
    pub(crate) fn decode_lines(
        &mut self,
        first: LineId,
        count: u32,
        bytes: &[u8],
    ) -> Result<Vec<Line>, DecodeError> {
        decode(first, count, bytes, self)
    }

    fn spend(&mut self, cost: usize) -> Result<(), DecodeError> {
        let left = self.0.checked_sub(cost);
        self.0 = left.ok_or(DecodeError::TooRich { limit: MAX_DECODED })?;
        Ok(())
    }
}

fn decode(
    first: LineId,
    count: u32,
    bytes: &[u8],
    budget: &mut Budget,
) -> Result<Vec<Line>, DecodeError> {
    let mut reader = Reader::new(bytes);
    // A record takes at least a byte.
    if count as usize > bytes.len() {
        return Err(DecodeError::Truncated("history"));
    }
    let end = first.0.checked_add(u64::from(count));
    let end = end.ok_or(DecodeError::Invalid("a line number"))?;
    let mut looks = vec![Look::default()];
    let lines = (first.0..end)
        .map(|id| record(&mut reader, &mut looks, LineId(id), budget))
        .collect::<Result<Vec<Line>, DecodeError>>()?;
    match reader.left() {
        0 => Ok(lines),
        left => Err(DecodeError::Trailing(left)),
    }
}

/// Encodes `lines`, whose ids must be consecutive (only the first is looked at), in as many chunks
/// as they need; the inverse of [`decode_lines`]. Text and links that [`decode_lines`] would refuse
/// are the caller's to avoid.
pub fn encode_lines(lines: &[Line]) -> Vec<HistoryChunk> {
    let mut writer = LineWriter::new(lines.first().map_or(LineId(0), |line| line.id));
    for line in lines {
        writer.line(line);
    }
    iter::from_fn(|| writer.take()).collect()
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Look {
    style: Style,
    link: Option<Arc<str>>,
}

fn record(
    reader: &mut Reader<'_>,
    looks: &mut Vec<Look>,
    id: LineId,
    budget: &mut Budget,
) -> Result<Line, DecodeError> {
    const WHAT: &str = "a history line";
    let head = reader.at_most((MAX_RECORD_BYTES as u64) << 2 | 3, WHAT)?;
    let len = (head >> 2) as usize;
    let text = std::str::from_utf8(reader.bytes(len, WHAT)?)
        .map_err(|_| DecodeError::Invalid("a history line's text"))?;
    if !is_clean(text) {
        return Err(DecodeError::Invalid("a history line's text"));
    }
    if len > MAX_RECORD_CELLS && text_columns(text) > MAX_RECORD_CELLS {
        return Err(DecodeError::Invalid("a history line's length"));
    }
    if !has_bounded_marks(text) {
        return Err(DecodeError::Invalid("a history line's marks"));
    }
    budget.spend(size_of::<Line>() + RUN_COST + len)?;
    let mut runs = Vec::new();
    if head & 2 == 0 {
        if !text.is_empty() {
            runs.push(run(text, &Look::default()));
        }
    } else {
        // A run has at least one byte of text.
        let count = reader.at_most(len.min(MAX_RECORD_CELLS) as u64, "a number of runs")?;
        budget.spend(count as usize * RUN_COST)?;
        runs.reserve_exact(count as usize);
        let mut rest = text;
        for index in 1..=count {
            let part = if index == count {
                mem::take(&mut rest)
            } else {
                let at = reader.at_most(rest.len() as u64, "a run's length")? as usize;
                let split = rest.split_at_checked(at);
                let (part, after) = split.ok_or(DecodeError::Invalid("a run's length"))?;
                rest = after;
                part
            };
            if part.is_empty() {
                return Err(DecodeError::Invalid("a run's length"));
            }
            runs.push(run(part, look(reader, looks)?));
        }
        if !rest.is_empty() {
            return Err(DecodeError::Invalid("a number of runs"));
        }
    }
    Ok(Line {
        id,
        runs,
        continued: head & 1 != 0,
    })
}

/// Whether the text is cells: each begins with a character that has a width, and no more marks follow it
/// than a cell holds. Anybody who draws it may put all that follows into one cell.
fn has_bounded_marks(text: &str) -> bool {
    if text.is_ascii() {
        return true;
    }
    // What comes first must be no mark.
    let mut marks = MAX_MARKS;
    text.chars().all(|ch| {
        marks = match columns(ch) {
            0 => marks + 1,
            _ => 0,
        };
        marks <= MAX_MARKS
    })
}

fn run(text: &str, look: &Look) -> Run {
    Run {
        text: text.to_owned(),
        style: look.style,
        link: look.link.clone(),
    }
}

fn look<'a>(reader: &mut Reader<'_>, looks: &'a mut Vec<Look>) -> Result<&'a Look, DecodeError> {
    const WHAT: &str = "a run's look";
    let index = reader.at_most(looks.len() as u64, WHAT)? as usize;
    if index == looks.len() {
        if looks.len() > MAX_LOOKS {
            return Err(DecodeError::Invalid("a number of looks"));
        }
        let (style, has_link) = reader.style()?;
        let link = if has_link {
            let link = reader.str(MAX_LINK, "a link")?;
            if !allowed_link(link) {
                return Err(DecodeError::Invalid("a link"));
            }
            Some(Arc::from(link))
        } else {
            None
        };
        looks.push(Look { style, link });
    }
    looks.get(index).ok_or(DecodeError::Invalid(WHAT))
}

/// Encodes records one after the other and cuts them into chunks.
#[derive(Debug)]
pub(crate) struct LineWriter {
    first: LineId,
    count: u32,
    bytes: Vec<u8>,
    table: LookTable,
    /// The text of the record being made.
    pub(crate) text: Vec<u8>,
    /// Where each of its runs starts, and the run's look.
    runs: Vec<(usize, LookIndex)>,
    done: VecDeque<HistoryChunk>,
}

impl LineWriter {
    /// A writer whose first record is `first`.
    pub(crate) fn new(first: LineId) -> LineWriter {
        LineWriter {
            first,
            count: 0,
            bytes: Vec::new(),
            table: LookTable::default(),
            text: Vec::new(),
            runs: Vec::new(),
            done: VecDeque::new(),
        }
    }

    /// The number the next record gets.
    pub(crate) fn next(&self) -> LineId {
        LineId(self.first.0 + u64::from(self.count))
    }

    /// The oldest chunk not yet taken.
    pub(crate) fn take(&mut self) -> Option<HistoryChunk> {
        if self.done.is_empty() {
            self.close();
        }
        self.done.pop_front()
    }

    /// Writes a line read back, whatever its id.
    pub(crate) fn line(&mut self, line: &Line) {
        for run in &line.runs {
            let look = self.look(run.style, run.link.as_ref());
            self.set_look(look);
            self.text.extend_from_slice(run.text.as_bytes());
        }
        self.end_record(line.continued);
    }

    /// A look's index, for [`LineWriter::set_look`] until the record ends.
    pub(crate) fn look(&mut self, style: Style, link: Option<&Arc<str>>) -> LookIndex {
        self.table.index(style, link)
    }

    /// The text pushed from now on has this look.
    #[inline]
    pub(crate) fn set_look(&mut self, look: LookIndex) {
        let at = self.text.len();
        if self.runs.last().is_some_and(|run| run.0 == at) {
            self.runs.pop();
        }
        let current = self.runs.last().map_or(LookIndex::DEFAULT, |run| run.1);
        if current != look {
            self.runs.push((at, look));
        }
    }

    /// Forgets what was pushed for a record that is not going to be ended.
    pub(crate) fn abandon_record(&mut self) {
        self.text.clear();
        self.runs.clear();
    }

    /// Writes a record of one look at once.
    #[inline]
    pub(crate) fn record(&mut self, text: &[u8], look: LookIndex, continued: bool) {
        if look == LookIndex::DEFAULT || text.is_empty() {
            let head = (text.len() as u64) << 2 | u64::from(continued);
            wire::put_number(&mut self.bytes, head);
            self.bytes.extend_from_slice(text);
        } else {
            self.styled_record(text, &[(0, look)], continued);
        }
        self.count += 1;
        if self.bytes.len() >= CHUNK_BYTES || self.table.looks.len() > LOOKS_PER_CHUNK {
            self.close();
        }
    }

    /// Ends the record made by pushing to `text` and [`LineWriter::set_look`].
    pub(crate) fn end_record(&mut self, continued: bool) {
        self.set_look(LookIndex::DEFAULT);
        if self.runs.last().is_some_and(|run| run.0 == self.text.len()) {
            self.runs.pop();
        }
        let text = mem::take(&mut self.text);
        let runs = mem::take(&mut self.runs);
        if runs.is_empty() {
            self.record(&text, LookIndex::DEFAULT, continued);
        } else {
            self.styled_record(&text, &runs, continued);
            self.count += 1;
            if self.bytes.len() >= CHUNK_BYTES || self.table.looks.len() > LOOKS_PER_CHUNK {
                self.close();
            }
        }
        self.text = text;
        self.runs = runs;
        self.abandon_record();
    }

    fn styled_record(&mut self, text: &[u8], runs: &[(usize, LookIndex)], continued: bool) {
        let out = &mut self.bytes;
        let head = (text.len() as u64) << 2 | 2 | u64::from(continued);
        wire::put_number(out, head);
        out.extend_from_slice(text);
        // Text before the first run is of the default look.
        let leading = runs.first().is_some_and(|run| run.0 > 0);
        wire::put_number(out, (runs.len() + usize::from(leading)) as u64);
        if let (true, Some(first)) = (leading, runs.first()) {
            wire::put_number(out, first.0 as u64);
            wire::put_number(out, 0);
        }
        for (index, &(start, look)) in runs.iter().enumerate() {
            if let Some(next) = runs.get(index + 1) {
                wire::put_number(out, (next.0 - start) as u64);
            }
            self.table.put(out, look);
        }
    }

    fn close(&mut self) {
        if self.count == 0 {
            return;
        }
        let first = self.first;
        self.first = self.next();
        // A small chunk leaves the large buffer here; a large one takes it along, uncopied.
        let bytes = if self.bytes.len() < CHUNK_BYTES / 2 {
            let copy = Bytes::copy_from_slice(&self.bytes);
            self.bytes.clear();
            copy
        } else {
            let spare = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
            Bytes::from(mem::replace(&mut self.bytes, spare))
        };
        self.done.push_back(HistoryChunk {
            first,
            count: mem::take(&mut self.count),
            bytes,
        });
        self.table.clear();
    }
}

/// A look of the chunk being written; invalid once the record it was asked for has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LookIndex(u32);

impl LookIndex {
    pub(crate) const DEFAULT: LookIndex = LookIndex(0);
}

/// The looks of the chunk being written. `LookIndex` n > 0 is `looks[n - 1]`.
#[derive(Debug, Default)]
struct LookTable {
    /// Each look with its number in the chunk, 0 until it has stood there.
    looks: Vec<(Look, u32)>,
    /// For more looks than are worth searching one by one.
    by_look: HashMap<Look, u32>,
    /// How many looks stand in the chunk.
    written: u32,
    /// Bytes of links among them.
    link_bytes: usize,
    /// The index last found for each of a style's small hashes: coloured output alternates between
    /// few.
    recent: [u32; RECENT],
}

/// How many looks are found again without hashing them properly.
const RECENT: usize = 32;

impl LookTable {
    fn index(&mut self, style: Style, link: Option<&Arc<str>>) -> LookIndex {
        if link.is_none() && style == Style::default() {
            return LookIndex::DEFAULT;
        }
        let slot = small_hash(style);
        let index = self.recent.get(slot).copied().unwrap_or(0);
        let is_it = (index as usize)
            .checked_sub(1)
            .and_then(|at| self.looks.get(at))
            .is_some_and(|(look, _)| look.style == style && look.link.as_ref() == link);
        if is_it {
            return LookIndex(index);
        }
        let index = self.find_or_add(style, link);
        if let Some(place) = self.recent.get_mut(slot) {
            *place = index;
        }
        LookIndex(index)
    }

    fn find_or_add(&mut self, style: Style, link: Option<&Arc<str>>) -> u32 {
        let mut look = Look {
            style,
            link: link.cloned(),
        };
        let link_bytes = link.map_or(0, |link| link.len());
        if link_bytes > LINKS_PER_CHUNK - self.link_bytes && !self.by_look.contains_key(&look) {
            look.link = None;
            if look == Look::default() {
                return LookIndex::DEFAULT.0;
            }
        }
        let next = self.looks.len() as u32 + 1;
        *self.by_look.entry(look).or_insert_with_key(|look| {
            self.link_bytes += look.link.as_ref().map_or(0, |link| link.len());
            self.looks.push((look.clone(), 0));
            next
        })
    }

    /// Writes a look's number, and the look itself the first time.
    fn put(&mut self, out: &mut Vec<u8>, index: LookIndex) {
        let at = (index.0 as usize).checked_sub(1);
        let Some((look, number)) = at.and_then(|at| self.looks.get_mut(at)) else {
            return wire::put_number(out, 0);
        };
        let is_new = *number == 0;
        if is_new {
            self.written += 1;
            *number = self.written;
        }
        wire::put_number(out, u64::from(*number));
        if is_new {
            wire::put_style(out, &look.style, look.link.is_some());
            if let Some(link) = &look.link {
                wire::put_str(out, link);
            }
        }
    }

    fn clear(&mut self) {
        self.looks.clear();
        self.by_look.clear();
        self.written = 0;
        self.link_bytes = 0;
        self.recent = [0; RECENT];
    }
}

/// Spreads the styles in use over the slots of [`LookTable::recent`].
fn small_hash(style: Style) -> usize {
    let color = |color| match color {
        Color::Default => 0,
        Color::Indexed(index) => 1 + u32::from(index),
        Color::Rgb(r, g, b) => u32::from_be_bytes([7, r, g, b]),
    };
    let mixed = color(style.fg)
        .wrapping_mul(31)
        .wrapping_add(color(style.bg))
        .wrapping_mul(31)
        .wrapping_add(u32::from(style.attrs.0))
        .wrapping_mul(0x9e37_79b1);
    mixed as usize >> 27
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cell::Attrs;

    fn line(id: u64, runs: Vec<Run>, continued: bool) -> Line {
        Line {
            id: LineId(id),
            runs,
            continued,
        }
    }

    fn styled(text: &str, style: Style) -> Run {
        Run {
            text: text.to_owned(),
            style,
            link: None,
        }
    }

    fn plain(text: &str) -> Run {
        styled(text, Style::default())
    }

    fn red() -> Style {
        Style {
            fg: Color::Indexed(1),
            ..Style::default()
        }
    }

    fn decoded(chunks: &[HistoryChunk]) -> Vec<Line> {
        chunks
            .iter()
            .flat_map(|chunk| chunk.lines().unwrap())
            .collect()
    }

    #[test]
    fn golden_bytes() {
        let link = Run {
            text: "here".to_owned(),
            style: Style {
                attrs: Attrs::UNDERLINE,
                ..Style::default()
            },
            link: Some(Arc::from("https://a.example")),
        };
        let lines = [
            line(7, vec![plain("ok")], false),
            line(8, vec![], false),
            line(9, vec![styled("err", red()), plain(": é")], false),
            line(10, vec![plain("see "), link, styled("!", red())], true),
        ];
        let chunks = encode_lines(&lines);
        let expected: &[u8] = b"\x08ok\
            \x00\
            \x1eerr: \xc3\xa9\x02\x03\x01\x01\x01\x00\
            \x27see here!\x03\x04\x00\x04\x02\xc0\x08\x11https://a.example\x01";
        assert_eq!(
            chunks[0].bytes.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
        assert_eq!((chunks[0].first, chunks[0].count), (LineId(7), 4));
        assert_eq!(decoded(&chunks), lines);
    }

    #[test]
    fn a_plain_line_costs_its_text_and_one_or_two_bytes() {
        for (len, cost) in [(0, 1), (31, 32), (32, 34), (4095, 4097)] {
            let chunks = encode_lines(&[line(0, vec![plain(&"x".repeat(len))], false)]);
            assert_eq!(chunks[0].bytes.len(), cost.max(1));
        }
    }

    #[test]
    fn a_flood_of_looks_is_spread_over_chunks() {
        let style = |n: u32| Style {
            fg: Color::Rgb((n >> 16) as u8, (n >> 8) as u8, n as u8),
            ..Style::default()
        };
        let runs = |from: u32| (from..from + 4096).map(|n| styled("x", style(n))).collect();
        let lines: Vec<Line> = (0..6)
            .map(|id| line(id, runs(id as u32 * 5000), false))
            .collect();
        let chunks = encode_lines(&lines);
        assert_eq!(chunks.len(), 6);
        assert_eq!(decoded(&chunks), lines);
    }

    #[test]
    fn what_no_honest_host_sends_is_refused() {
        let refused = |count, bytes: &[u8]| decode_lines(LineId(0), count, bytes).unwrap_err();
        assert_eq!(refused(2, b"\x00"), DecodeError::Truncated("history"));
        assert_eq!(
            refused(1, b"\x08o"),
            DecodeError::Truncated("a history line")
        );
        assert_eq!(refused(1, b"\x00\x00"), DecodeError::Trailing(1));
        for text in ["\x1b", "\u{9b}", "\u{202e}", "\n"] {
            let head = [(text.len() << 2) as u8];
            let bytes = [&head[..], text.as_bytes()].concat();
            assert_eq!(
                refused(1, &bytes),
                DecodeError::Invalid("a history line's text")
            );
        }
        let marks = |count| "\u{301}".repeat(count);
        let record = |text: &str| {
            let mut bytes = Vec::new();
            crate::wire::put_number(&mut bytes, (text.len() as u64) << 2);
            bytes.extend_from_slice(text.as_bytes());
            bytes
        };
        for text in [
            marks(1),
            marks(MAX_RECORD_CELLS),
            format!("a{}", marks(MAX_MARKS + 1)),
            format!("ab{}c{}", marks(MAX_MARKS), marks(100)),
        ] {
            assert_eq!(
                refused(1, &record(&text)),
                DecodeError::Invalid("a history line's marks")
            );
        }
        let most = format!("a{}b{}", marks(MAX_MARKS), marks(MAX_MARKS));
        assert!(decode_lines(LineId(0), 1, &record(&most)).is_ok());
        assert_eq!(
            refused(1, b"\x0aok\x02\x00\x00\x00"),
            DecodeError::Invalid("a run's length")
        );
        assert_eq!(
            refused(1, b"\x0aok\x01\x02"),
            DecodeError::Invalid("a run's look")
        );
        assert_eq!(
            refused(1, b"\x0aok\x01\x01\x80\x05file:"),
            DecodeError::Invalid("a link")
        );
        assert!(decode_lines(LineId(u64::MAX), 1, b"\x00").is_err());
        assert!(decode_lines(LineId(0), u32::MAX, b"\x00").is_err());
    }

    fn any_style() -> impl Strategy<Value = Style> {
        let color = || {
            prop_oneof![
                Just(Color::Default),
                any::<u8>().prop_map(Color::Indexed),
                any::<(u8, u8, u8)>().prop_map(|(r, g, b)| Color::Rgb(r, g, b)),
            ]
        };
        (color(), color(), color(), 0..=Attrs::ALL.0).prop_map(|(fg, bg, underline, attrs)| Style {
            fg,
            bg,
            underline,
            attrs: Attrs(attrs),
        })
    }

    fn any_lines() -> impl Strategy<Value = Vec<Line>> {
        let look = (
            prop_oneof![2 => Just(Style::default()), 1 => Just(red()), 3 => any_style()],
            prop::option::weighted(0.2, "https://[a-z]{1,9}\\.example/[a-z]{0,9}"),
        );
        let run = ("[ -~é漢]{1,12}", look).prop_map(|(text, (style, link))| Run {
            text,
            style,
            link: link.map(Arc::from),
        });
        let record = (prop::collection::vec(run, 0..6), any::<bool>());
        prop::collection::vec(record, 0..40).prop_map(|records| {
            let mut lines = Vec::new();
            for ((mut runs, continued), id) in records.into_iter().zip(5..) {
                // Neighbours of one look are one run.
                runs.dedup_by(|right, left| {
                    let same = (right.style, &right.link) == (left.style, &left.link);
                    if same {
                        left.text.push_str(&right.text);
                    }
                    same
                });
                lines.push(line(id, runs, continued));
            }
            lines
        })
    }

    proptest! {
        #[test]
        fn lines_round_trip(lines in any_lines()) {
            prop_assert_eq!(decoded(&encode_lines(&lines)), lines);
        }

        #[test]
        fn altered_bytes_never_panic(
            lines in any_lines(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            count in 0u32..50,
        ) {
            for chunk in encode_lines(&lines) {
                let mut bytes = chunk.bytes.to_vec();
                for (place, byte) in &changes {
                    let place = place.index(bytes.len());
                    bytes[place] = *byte;
                }
                if let Ok(lines) = decode_lines(chunk.first, count, &bytes) {
                    prop_assert_eq!(lines.len(), count as usize);
                    prop_assert!(lines.iter().all(|line| is_clean(&line.text())));
                }
            }
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>, count: u32) {
            let _ = decode_lines(LineId(0), count, &bytes);
        }
    }
}
