//! A shared conversation for an editor, on standard input and output.

use std::{
    collections::VecDeque,
    io,
    pin::pin,
    time::{Duration, Instant},
};

use pillion_agent::{Line, LineBuffer};
use pillion_conversation::{About, ConversationRequest, Editor, EditorOutput, Seen};
use pillion_proto::{Right, TrackId, TrackKind};
use pillion_screen::clean::clean_title;
use pillion_session::{Phase, ViewerInput};
use pillion_source::{ExitSignal, ExitSignals};
use pillion_tui::words;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::viewing::viewer_loop::{Outcome, ViewerLoop};

/// How long the host may take to say what became of a request.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long a host may be away before nothing is waited for any longer.
const AWAY_FOR: Duration = Duration::from_secs(15);

/// How long an editor that has left may take to read the rest.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Longest title, in characters.
const MAX_TITLE: usize = 200;

/// What is read at once, in bytes.
const READ: usize = 64 * 1024;

/// An editor's end of a conversation.
struct Attachment {
    editor: Editor,
    seat: Seat,
    /// What the host is asked for, one after the other: what it refuses is said without a number.
    wants: VecDeque<(u64, ConversationRequest)>,
    asked: Option<(u64, Instant)>,
    /// What is written to the editor.
    out: Vec<u8>,
    /// The newest thing that was said about the connection.
    told: String,
}

/// From where the conversation is seen.
struct Seat {
    track: Option<TrackId>,
    /// Who uses the editor, as authors are named.
    you: String,
    /// Since when there is no connection, and why.
    away: Option<(Instant, String)>,
}

enum Woken {
    Read(io::Result<usize>),
    Wrote(io::Result<usize>),
    Signal(ExitSignal),
    Time,
}

impl ViewerLoop {
    /// Serves an editor until it closes its end: the conversation that is named, or the first there is.
    ///
    /// # Errors
    /// Signals can't be waited for.
    pub async fn serve_editor(mut self, wanted: Option<TrackId>) -> io::Result<Outcome> {
        let mut signals = ExitSignals::new()?;
        let key = self.session();
        let session = match wanted {
            Some(track) => format!("{key}/{track}"),
            None => key,
        };
        let about = About {
            name: "pillion".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            session,
        };
        let mut at = Attachment {
            editor: Editor::new(about),
            seat: Seat {
                track: None,
                you: self.person(),
                away: Some((Instant::now(), String::new())),
            },
            wants: VecDeque::new(),
            asked: None,
            out: Vec::new(),
            told: String::new(),
        };
        let (mut stdin, mut stdout) = (tokio::io::stdin(), tokio::io::stdout());
        let mut lines = LineBuffer::default();
        let mut buffer = vec![0; READ];
        let outcome = loop {
            self.hear(&mut at, wanted);
            // What is not written yet may be older than what would be written now.
            if at.out.is_empty() {
                let seen = self.seen_by_editor(&at.seat);
                at.editor.look(&seen);
            }
            while !at.editor.is_full()
                && let Some(line) = lines.next_line()
            {
                let line = match line {
                    Line::Text(line) => line,
                    // It is answered as what it is: no message.
                    Line::NotText { start, .. } | Line::TooLong { start, .. } => start,
                };
                let seen = self.seen_by_editor(&at.seat);
                at.editor.handle_line(&line, &seen);
            }
            self.ask(&mut at);
            at.drain();
            self.send();
            let may_read = !at.editor.is_full() && at.out.len() < READ;
            let wake_at = at.wake_at();
            let woken = {
                let writes = !at.out.is_empty();
                let local = async {
                    let time = pin!(async {
                        match wake_at {
                            Some(at) => tokio::time::sleep_until(at.into()).await,
                            None => std::future::pending().await,
                        }
                    });
                    tokio::select! {
                        biased;
                        signal = signals.next() => Woken::Signal(signal),
                        wrote = stdout.write(&at.out), if writes => Woken::Wrote(wrote),
                        read = stdin.read(&mut buffer), if may_read => Woken::Read(read),
                        () = time => Woken::Time,
                    }
                };
                self.next(None, local).await
            };
            match woken {
                Some(Woken::Signal(signal)) => break Outcome::Signalled(signal),
                Some(Woken::Read(Ok(0) | Err(_))) => break Outcome::Left,
                Some(Woken::Read(Ok(read))) => lines.push(&buffer[..read]),
                Some(Woken::Wrote(Ok(0) | Err(_))) => break Outcome::Unread,
                Some(Woken::Wrote(Ok(wrote))) => {
                    at.out.drain(..wrote);
                }
                Some(Woken::Time) | None => {}
            }
        };
        at.drain();
        let farewell = async {
            stdout.write_all(&at.out).await?;
            stdout.flush().await
        };
        // There may be nobody left to read it.
        let _ = tokio::time::timeout(LAST_LINES, farewell).await;
        self.leave().await;
        Ok(outcome)
    }

    /// What there is for the editor to see.
    fn seen_by_editor<'a>(&'a self, seat: &'a Seat) -> Seen<'a> {
        let view = self.view();
        let has = |right| view.rights.has(right);
        Seen {
            conversation: seat.track.and_then(|track| self.shown(track)),
            title: &view.session_name,
            you: &seat.you,
            may_prompt: has(Right::Prompt),
            may_approve: has(Right::Approve),
            away: seat.away.as_ref().map(|(_, why)| why.as_str()),
        }
    }

    /// Takes in what the state machine has told.
    fn hear(&mut self, at: &mut Attachment, wanted: Option<TrackId>) {
        let news = self.drain();
        let mut refused = news.refused.into_iter();
        let confirmed = self.view().unconfirmed == 0;
        if let Some((number, since)) = at.asked {
            let late = since.elapsed() > ANSWER_WITHIN;
            let result = match refused.next() {
                Some(why) => Some(Err(why)),
                None if confirmed => Some(Ok(())),
                None if late => Some(Err("the host did not answer".to_owned())),
                None => None,
            };
            if let Some(result) = result {
                at.asked = None;
                let result = match &result {
                    Ok(()) => Ok(()),
                    Err(why) => Err(why.as_str()),
                };
                at.editor.done(number, result);
            }
        }
        for said in news.aside.iter().chain(&news.said) {
            crate::say!("pillion: {said}");
        }
        if let Some(ended) = news.ended {
            let why = match ended {
                Outcome::Ended(why)
                | Outcome::Refused(why)
                | Outcome::Unreachable(why)
                | Outcome::NoTerminal(why) => why,
                _ => "the session has ended".to_owned(),
            };
            at.editor.end(&why);
        }
        self.hear_connection(at);
        if self.view().you.is_some() {
            self.find_conversation(at, wanted);
        }
    }

    fn hear_connection(&mut self, at: &mut Attachment) {
        let now = Instant::now();
        let said = match &self.view().phase {
            Phase::Live | Phase::Stalled { .. } => {
                let was_away = at.seat.away.take().is_some_and(|_| at.seat.track.is_some());
                if was_away && !at.told.is_empty() {
                    at.editor.tell("connected again");
                }
                at.told.clear();
                return;
            }
            Phase::Knocking { you, wait_ms, .. } => words::knocking(you, *wait_ms, self.view()),
            Phase::Connecting { why: Some(why), .. } => {
                let why = words::interruption(why);
                format!("the host can't be reached at the moment ({why}), and is tried again")
            }
            _ => String::new(),
        };
        let is_knocking = matches!(self.view().phase, Phase::Knocking { .. });
        let since = at.seat.away.as_ref().map_or(now, |(since, _)| *since);
        let since = if is_knocking { now } else { since };
        if !said.is_empty() && said != at.told {
            at.editor.tell(&said);
            at.told.clone_from(&said);
        }
        let why = match (said.is_empty(), at.told.is_empty()) {
            (false, _) => said,
            (true, false) => at.told.clone(),
            (true, true) => "there is no connection to the host yet".to_owned(),
        };
        if now.duration_since(since) >= AWAY_FOR && at.editor.is_waiting() {
            at.editor.give_up(&why);
        }
        at.seat.away = Some((since, why));
    }

    /// Looks for the conversation, once it is known what there is.
    fn find_conversation(&mut self, at: &mut Attachment, wanted: Option<TrackId>) {
        if at.seat.track.is_some() {
            return;
        }
        let tracks = self.view().tracks.iter();
        let mut tracks = tracks.filter(|info| info.kind == TrackKind::Conversation);
        let found = tracks.find(|info| wanted.is_none_or(|wanted| wanted == info.id));
        match found.map(|info| info.id) {
            Some(track) => {
                at.seat.track = Some(track);
                self.tell(ViewerInput::Look(vec![track]));
            }
            None => at.editor.end(
                "this session has no such conversation with an agent: `pillion ls SESSION` lists what it has",
            ),
        }
    }

    /// Asks the host for the next thing that the editor wants.
    fn ask(&mut self, at: &mut Attachment) {
        at.drain();
        let Some(track) = at.seat.track.filter(|_| at.asked.is_none()) else {
            return;
        };
        if let Some((number, request)) = at.wants.pop_front() {
            at.asked = Some((number, Instant::now()));
            self.tell(ViewerInput::Converse { track, request });
        }
    }
}

impl Attachment {
    fn drain(&mut self) {
        while let Some(output) = self.editor.poll() {
            match output {
                EditorOutput::Send(line) => {
                    self.out.extend_from_slice(line.as_bytes());
                    self.out.push(b'\n');
                }
                EditorOutput::Want { number, request } => self.wants.push_back((number, request)),
                EditorOutput::Say(text) => {
                    crate::say!("pillion: {}", clean_title(&text, MAX_TITLE))
                }
            }
        }
    }

    /// When something is looked at again, though nothing came.
    fn wake_at(&self) -> Option<Instant> {
        let answer = self.asked.map(|(_, since)| since + ANSWER_WITHIN);
        let away = self.seat.away.as_ref().filter(|_| self.editor.is_waiting());
        let away = away.map(|(since, _)| *since + AWAY_FOR);
        answer.into_iter().chain(away).min()
    }
}
