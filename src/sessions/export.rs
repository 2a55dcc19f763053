//! Writing a recorded session for other programs: plain text, or an asciicast.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use anyhow::{Context, Result};
use pillion_proto::{Entry, TrackId, TrackKind};
use pillion_screen::{Decoder, Line, Screen, Wrap, clean::clean_title, emit, history};
use pillion_store::{GapKind, SessionMeta, SessionReader};

use crate::{
    clock,
    sessions::{
        conversation,
        recording::{self, RecordedTrack, Run},
    },
};

/// History lines read from the log at once.
const LINES_AT_ONCE: u32 = 4096;
/// Encoded bytes of history read from the log at once.
const BYTES_AT_ONCE: usize = 1 << 20;

/// Writes tracks as plain text, one after the other: of a terminal all history lines, then those that left the
/// screen but were not final yet, and then what was on the screen last; of a log its entries. Only one of them
/// if `only` names one. Of a session that was started again, one run after the other.
///
/// # Errors
/// The log cannot be read or `out` not written, or it has no such track.
pub fn text(reader: &SessionReader, only: Option<TrackId>, out: &mut impl Write) -> Result<()> {
    let again = recording::started_again(reader);
    let tracks = chosen(reader, only)?;
    let mut run = Run::FIRST;
    for (at, track) in tracks.iter().enumerate() {
        if track.run != run {
            run = track.run;
            writeln!(out, "[{}]", began(run, &again))?;
        }
        let is_alone = tracks.iter().filter(|other| other.run == run).count() == 1;
        if !is_alone || (only.is_none() && track.track != MAIN) {
            if at > 0 {
                writeln!(out)?;
            }
            let title = clean_title(&track.title, MAX_TITLE);
            writeln!(out, "[{} {}: {title}]", kind_name(track.kind), track.track)?;
        }
        match track.kind {
            TrackKind::Terminal => terminal_text(reader, track, &mut WithText::new(out))?,
            TrackKind::Log => log_text(reader, track, out)?,
            TrackKind::Conversation => conversation::transcript(reader, track, out)?,
            TrackKind::State | TrackKind::Unknown(_) => {
                writeln!(
                    out,
                    "[this Pillion can't read it: it is older than the one that wrote it]"
                )?;
            }
        }
    }
    Ok(())
}

/// The terminal that a run begins with.
pub const MAIN: TrackId = TrackId(0);

/// The most tracks that are named in one sentence.
const MAX_NAMED: usize = 8;

/// What there is beside a track, by number and title, each once.
pub fn left_out(reader: &SessionReader, exported: TrackId) -> Vec<String> {
    let tracks = recording::tracks(reader).into_iter();
    let others: BTreeMap<TrackId, String> = tracks
        .filter(|track| track.track != exported)
        .map(|track| (track.track, clean_title(&track.title, MAX_TITLE)))
        .collect();
    let count = others.len();
    let named = others.into_iter().take(MAX_NAMED);
    let mut named: Vec<String> = named
        .map(|(id, title)| match title.is_empty() {
            true => id.to_string(),
            false => format!("{id} ({title})"),
        })
        .collect();
    if count > MAX_NAMED {
        named.push(format!("{} more", count - MAX_NAMED));
    }
    named
}

/// Longest title that is written, in characters.
const MAX_TITLE: usize = 64;

fn kind_name(kind: TrackKind) -> &'static str {
    match kind {
        TrackKind::Terminal => "terminal",
        TrackKind::Log => "log",
        TrackKind::Conversation => "conversation",
        TrackKind::State | TrackKind::Unknown(_) => "track",
    }
}

/// The tracks of every run, or the one that is named.
fn chosen(reader: &SessionReader, only: Option<TrackId>) -> Result<Vec<RecordedTrack>> {
    let mut tracks = recording::tracks(reader);
    tracks.sort_by_key(|track| (track.run, track.track));
    if let Some(only) = only {
        let there: Vec<String> = tracks.iter().map(|one| one.track.to_string()).collect();
        tracks.retain(|track| track.track == only);
        // Nothing was recorded of a session that was never shared.
        if tracks.is_empty() && !(there.is_empty() && only == MAIN) {
            anyhow::bail!(
                "this session has no terminal {only}; it has {}",
                there.join(", ")
            );
        }
    }
    Ok(tracks)
}

/// The entries of a log, one a line.
fn log_text(reader: &SessionReader, track: &RecordedTrack, out: &mut impl Write) -> Result<()> {
    let mut next = 0;
    loop {
        let chunks = reader.history_range(track.place(), next, LINES_AT_ONCE, BYTES_AT_ONCE)?;
        let before = next;
        for chunk in chunks {
            for entry in Entry::decode_all(&chunk.bytes).context("a part of the log is damaged")? {
                if entry.number >= next {
                    next = entry.number + 1;
                    out.write_all(&entry.json)?;
                    out.write_all(b"\n")?;
                }
            }
        }
        if next == before {
            return Ok(());
        }
    }
}

/// Says that a run began, and when if the log knows.
fn began(run: Run, again: &BTreeMap<Run, u64>) -> String {
    let at = again.get(&run).map(|at| clock::local(*at));
    let at = at.map_or_else(String::new, |at| format!(" at {at}"));
    format!("the session was started again{at}")
}

/// Leaves out the blank lines before the first one with text: a program seldom begins at the top of its
/// terminal.
struct WithText<'a, W> {
    out: &'a mut W,
    begun: bool,
}

impl<'a, W> WithText<'a, W> {
    fn new(out: &'a mut W) -> WithText<'a, W> {
        WithText { out, begun: false }
    }
}

impl<W: Write> Write for WithText<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let blank = match self.begun {
            true => 0,
            false => bytes.iter().take_while(|byte| **byte == b'\n').count(),
        };
        let text = bytes.get(blank..).unwrap_or_default();
        self.begun |= !text.is_empty();
        self.out.write_all(text)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn terminal_text(
    reader: &SessionReader,
    track: &RecordedTrack,
    out: &mut impl Write,
) -> Result<()> {
    let mut next = 0;
    loop {
        let chunks = reader.history_range(track.place(), next, LINES_AT_ONCE, BYTES_AT_ONCE)?;
        if chunks.is_empty() {
            break;
        }
        let before = next;
        for chunk in chunks {
            let first = pillion_screen::LineId(chunk.first);
            let lines = history::decode_lines(first, chunk.count, &chunk.bytes)
                .context("a part of the history is damaged")?;
            let end = chunk.first + u64::from(chunk.count);
            for line in lines.iter().filter(|line| line.id.0 >= next) {
                write_line(line, out)?;
            }
            next = next.max(end);
        }
        if next == before {
            break;
        }
    }
    let margin = margin(reader, track, next)?;
    let mut goes_on = None;
    for line in margin.values() {
        missing(next, line.id.0, out)?;
        write_line(line, out)?;
        next = line.id.0 + 1;
        goes_on = line.continued.then_some(line.id.0);
    }
    let Some(screen) = last_screen(reader, track)? else {
        return Ok(());
    };
    // The line the screen begins in may have begun above it.
    let shown_from = match goes_on {
        Some(line) if line == screen.lines.top.0 => line,
        _ => next,
    };
    missing(next.max(screen.lines.oldest.0), screen.lines.top.0, out)?;
    last_lines(&screen, shown_from, out)?;
    Ok(())
}

/// The lines between the history's end, which is `from`, and the screen, as the log has them last.
fn margin(reader: &SessionReader, track: &RecordedTrack, from: u64) -> Result<BTreeMap<u64, Line>> {
    let mut lines = BTreeMap::new();
    for stored in reader.frames(track.margin_place(), 0) {
        let chunk = match stored {
            Ok(stored) => {
                recording::margin(&stored).context("a part of the recording is damaged")?
            }
            Err(error) => {
                tracing::warn!(%error, "a part of the recording is left out");
                continue;
            }
        };
        let end = chunk.first.0 + u64::from(chunk.count);
        lines.split_off(&chunk.first.0);
        if end <= from {
            continue;
        }
        let decoded = chunk
            .lines()
            .context("a part of the recording is damaged")?;
        lines.extend(
            decoded
                .into_iter()
                .filter(|line| line.id.0 >= from)
                .map(|line| (line.id.0, line)),
        );
    }
    Ok(lines)
}

fn write_line(line: &Line, out: &mut impl Write) -> io::Result<()> {
    for run in &line.runs {
        out.write_all(run.text.as_bytes())?;
    }
    if !line.continued {
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Says how many lines from `next` to `line` were only in the host's memory.
fn missing(next: u64, line: u64, out: &mut impl Write) -> io::Result<()> {
    match line.saturating_sub(next) {
        0 => Ok(()),
        count => writeln!(
            out,
            "[{count} lines were not yet written when the session ended]"
        ),
    }
}

/// The rows of the last screen from line `from` on, wrapped rows joined again.
fn last_lines(screen: &Screen, from: u64, out: &mut impl Write) -> io::Result<()> {
    let filled = screen
        .rows
        .iter()
        .rposition(|row| !row.text().is_empty())
        .map_or(0, |at| at + 1);
    let (mut line, mut text) = (screen.lines.top.0, String::new());
    for row in &screen.rows[..filled] {
        row.push_part(&mut text);
        if row.wrap != Wrap::Ends {
            continue;
        }
        if line >= from {
            writeln!(out, "{text}")?;
        }
        text.clear();
        line += 1;
    }
    if line >= from && !text.is_empty() {
        writeln!(out, "{}", text.trim_end_matches(' '))?;
    }
    Ok(())
}

fn last_screen(reader: &SessionReader, track: &RecordedTrack) -> Result<Option<Screen>> {
    let mut screen = None;
    replay(reader, track, |_, now| {
        screen = Some(now.clone());
        Ok(())
    })?;
    Ok(screen)
}

/// Which asciicast is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CastVersion {
    /// <https://docs.asciinema.org/manual/asciicast/v2/>: events count from the beginning.
    V2,
    /// <https://docs.asciinema.org/manual/asciicast/v3/>: events count from the one before.
    V3,
}

/// Writes an asciicast recording of one terminal: what `asciinema play` plays.
///
/// It is a header object, then one `[seconds, code, data]` a line; `o` is output, `r` a resize, `m` a marker,
/// which is where the session was started again. The time in between is left out.
///
/// # Errors
/// The log cannot be read or `out` not written.
pub fn cast(
    reader: &SessionReader,
    version: CastVersion,
    terminal: TrackId,
    out: &mut impl Write,
) -> Result<()> {
    let meta = reader.meta();
    let again = recording::started_again(reader);
    let mut before: Option<Screen> = None;
    let mut events = Events::new(version);
    for track in &chosen(reader, Some(terminal))? {
        if track.kind != TrackKind::Terminal {
            anyhow::bail!(
                "{terminal} is no terminal, and only terminals can be played; export it as text"
            );
        }
        let (run, mut is_first) = (track.run, true);
        replay(reader, track, |at_ms, screen| {
            let mut bytes = Vec::new();
            match &before {
                None => {
                    writeln!(out, "{}", header(version, screen, meta))?;
                    emit::emit_full(&[], screen, &mut bytes);
                }
                Some(old) if is_first || old.size != screen.size => {
                    if is_first {
                        events.pause(at_ms);
                        events.write(out, at_ms, "m", &began(run, &again))?;
                    }
                    if old.size != screen.size {
                        let size = screen.size.to_string().replace('×', "x");
                        events.write(out, at_ms, "r", &size)?;
                    }
                    emit::emit_full(&[], screen, &mut bytes);
                }
                Some(old) => emit::emit_diff(old, screen, &mut bytes),
            }
            is_first = false;
            events.write(out, at_ms, "o", &String::from_utf8_lossy(&bytes))?;
            before = Some(screen.clone());
            Ok(())
        })?;
    }
    if before.is_none() {
        anyhow::bail!("this session was never shared, so nothing was recorded");
    }
    Ok(())
}

fn header(version: CastVersion, screen: &Screen, meta: &SessionMeta) -> serde_json::Value {
    let (cols, rows) = (screen.size.cols(), screen.size.rows());
    let (title, command) = (&meta.name, &meta.command);
    let timestamp = meta.started_unix_ms / 1000;
    match version {
        CastVersion::V2 => serde_json::json!({
            "version": 2,
            "width": cols,
            "height": rows,
            "timestamp": timestamp,
            "title": title,
            "command": command,
            "env": { "TERM": "xterm-256color" },
        }),
        CastVersion::V3 => serde_json::json!({
            "version": 3,
            "term": { "cols": cols, "rows": rows, "type": "xterm-256color" },
            "timestamp": timestamp,
            "title": title,
            "command": command,
        }),
    }
}

/// The events of a recording, each at its time in it.
struct Events {
    version: CastVersion,
    /// When the one before was, on the log's clock.
    last_ms: Option<u64>,
    /// When it was, from the recording's beginning.
    passed_ms: u64,
}

impl Events {
    fn new(version: CastVersion) -> Events {
        Events {
            version,
            last_ms: None,
            passed_ms: 0,
        }
    }

    /// Nothing happened until this moment that is shown.
    fn pause(&mut self, at_ms: u64) {
        self.last_ms = Some(at_ms);
    }

    fn write(
        &mut self,
        out: &mut impl Write,
        at_ms: u64,
        code: &str,
        data: &str,
    ) -> io::Result<()> {
        if data.is_empty() {
            return Ok(());
        }
        let last = self.last_ms.unwrap_or(at_ms);
        let since = at_ms.saturating_sub(last);
        self.last_ms = Some(at_ms.max(last));
        self.passed_ms += since;
        let ms = match self.version {
            CastVersion::V2 => self.passed_ms,
            CastVersion::V3 => since,
        };
        let seconds = ms as f64 / 1000.0;
        writeln!(out, "{}", serde_json::json!([seconds, code, data]))
    }
}

/// Plays the recorded frames and shows each state to `each(at_ms, screen)`.
///
/// Where frames were lost (a full disk, a damaged segment) those that build on them are passed over
/// until the next snapshot: a state is shown whole or not at all.
fn replay(
    reader: &SessionReader,
    track: &RecordedTrack,
    mut each: impl FnMut(u64, &Screen) -> Result<()>,
) -> Result<()> {
    let track = track.place();
    let mut lost = lost_frames(reader, track)?.into_iter().peekable();
    let mut decoder = Decoder::new();
    // Nothing to build on yet.
    let mut broken = true;
    for stored in reader.frames(track, 0) {
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!(%error, "a part of the recording is left out");
                broken = true;
                continue;
            }
        };
        while lost.next_if(|first| *first <= stored.number).is_some() {
            broken = true;
        }
        let frame = recording::frame(&stored);
        broken &= !frame.snapshot;
        if broken {
            continue;
        }
        decoder
            .apply_raw(frame.raw)
            .context("a recorded frame is damaged")?;
        if let Some(screen) = decoder.screen() {
            each(stored.at_ms, screen)?;
        }
    }
    Ok(())
}

/// Where frames of a track are missing: the first key of each gap, ascending.
fn lost_frames(reader: &SessionReader, track: u32) -> Result<Vec<u64>> {
    let mut lost = Vec::new();
    for gap in reader.gaps() {
        let gap = gap?;
        if gap.kind == GapKind::Frames && gap.track == track {
            lost.push(gap.first);
        }
    }
    lost.sort_unstable();
    Ok(lost)
}
