//! Conversations with agents: the agents, the driver between them and the host, what people want of them, and what has
//! to hold whatever they do.

use std::collections::{BTreeSet, VecDeque};

use pillion_caps::PublicKey;
use pillion_conversation::{
    Author, Client, ClientEvent, ClientOutput, Conversation, Earlier, Entry, Environment, Exit,
    Gate, ItemId, Logged, Message, MessageId, MessageKind, Note, Order, Setup,
};
use pillion_proto::{Answer, ConversationRequest, Right, Rights, TrackId, TrackState, Trust};
use pillion_session::{Actor, ConnId, ConversationNews, HostInput, Stream, ViewerInput, verbs};

use super::{Event, Sabotage, World};

/// Conversations of a world at once.
const MAX_TALKS: usize = 2;

/// A person wants something of a conversation at most so often, in microseconds.
const PERSON_US: u64 = 300_000;

/// What an agent is given to know.
const SESSION: &str = "sim";

/// A conversation, as its driver and the world see it.
pub(super) struct Talk {
    client: Client,
    agent: Agent,
    /// Which of the track's agents this is: those before it are gone.
    run: u64,
    ended: bool,
    closing: bool,
    restart: Option<Earlier>,
    /// When the client is looked at next.
    ticks_at_us: Option<u64>,
    /// What the log has come to.
    pub(super) shown: Conversation,
    /// Questions that got an answer of somebody's, by the agent's process and its id.
    answered: BTreeSet<(u64, String)>,
    /// Prompts that wait, as the host has said it, and whether each is held.
    queue: Vec<(u64, bool)>,
    /// The one that is meant to go next, while a mode is set for it.
    next: Option<u64>,
}

/// An agent that does things at random.
struct Agent {
    version: u64,
    /// The prompt it works on, by the id of its request.
    turn: Option<String>,
    steps: VecDeque<Step>,
    /// The request of its own that it waits on.
    waits: Option<u64>,
    cancelled: bool,
    ignores_cancel: bool,
    asked: u64,
}

#[derive(Clone, Copy)]
enum Step {
    Says,
    Asks,
    Dies,
}

impl Agent {
    fn new(version: u64, ignores_cancel: bool) -> Agent {
        Agent {
            version,
            turn: None,
            steps: VecDeque::new(),
            waits: None,
            cancelled: false,
            ignores_cancel,
            asked: 0,
        }
    }
}

fn setup(earlier: Option<Earlier>) -> Setup {
    Setup {
        cwd: "/src".to_owned(),
        name: "sim".to_owned(),
        version: "0".to_owned(),
        earlier,
    }
}

fn update(update: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"session/update","params":{{"sessionId":"{SESSION}","update":{{{update}}}}}}}"#
    )
}

impl World {
    fn talk(&mut self, track: TrackId) -> Option<&mut Talk> {
        self.host.as_mut()?.talks.get_mut(&track)
    }

    fn some_talk(&mut self) -> Option<TrackId> {
        let side = self.host.as_ref()?;
        let live = |id: &TrackId| {
            let track = side.tracks.get(id);
            track.is_some_and(|track| track.state == TrackState::Live)
        };
        let live: Vec<TrackId> = side.talks.keys().copied().filter(live).collect();
        (!live.is_empty()).then(|| *self.dice.pick(&live))
    }

    /// The host begins a conversation.
    pub(super) fn some_talk_begins(&mut self) {
        let Some(side) = &self.host else { return };
        let all = side.talks.keys();
        let live = all.filter(|id| {
            let track = side.tracks.get(id);
            track.is_some_and(|track| track.state == TrackState::Live)
        });
        if live.count() >= MAX_TALKS || side.tracks.len() >= super::tracks::MAX_EVER {
            return;
        }
        let gate = match self.dice.below(3) {
            0 => Gate::default(),
            1 => Gate {
                strict: vec!["ask".to_owned()],
                asks: false,
                ..Gate::default()
            },
            _ => Gate {
                asks: true,
                ..Gate::default()
            },
        };
        let open = verbs::OpenConversation {
            title: "agent".to_owned(),
            start: verbs::AgentStart::default(),
            gate,
        };
        self.command(Actor::Tty, open.into());
    }

    /// The host wants an agent started.
    pub(super) fn start_agent(&mut self, track: TrackId, earlier: Option<Earlier>) {
        let (version, ignores) = (self.dice.range(1, 2), self.dice.one_in(8));
        let agent = Agent::new(version, ignores);
        let client = Client::new(setup(earlier), self.now_us / 1000);
        let Some(side) = &mut self.host else { return };
        match side.talks.get_mut(&track) {
            Some(talk) => {
                talk.client = client;
                talk.agent = agent;
                talk.run += 1;
                talk.ended = false;
                talk.ticks_at_us = None;
            }
            None => {
                let talk = Talk {
                    client,
                    agent,
                    run: 0,
                    ended: false,
                    closing: false,
                    restart: None,
                    ticks_at_us: None,
                    shown: Conversation::new(),
                    answered: BTreeSet::new(),
                    queue: Vec::new(),
                    next: None,
                };
                side.talks.insert(track, talk);
            }
        }
        let environment = Environment::default();
        self.say(track, Logged::Note(Note::Started { environment }));
        self.pump_client(track);
    }

    /// An entry for the log.
    fn say(&mut self, track: TrackId, what: Logged<'_>) {
        let at_ms = self.host_unix_ms();
        let entry = Entry { at_ms, what }.encode();
        let loses = self.strikes(Sabotage::LoseSaid) && self.dice.one_in(20);
        let forgets = matches!(what_of(&entry), Some(Note::Claimed { by: None, .. }))
            && self.strikes(Sabotage::KeepClaim);
        let Some(side) = &mut self.host else { return };
        let live = side.tracks.get(&track);
        let live = live.is_some_and(|track| track.state == TrackState::Live);
        let Some(talk) = side.talks.get_mut(&track).filter(|_| live && !forgets) else {
            return;
        };
        talk.shown.apply_text(&entry);
        if !loses {
            self.tell_host(HostInput::Conversation { track, entry });
        }
    }

    /// Does what the client wants done.
    fn pump_client(&mut self, track: TrackId) {
        while let Some(output) = self.talk(track).and_then(|talk| talk.client.poll()) {
            match output {
                ClientOutput::Send { line, by, prompt } => {
                    let Ok(message) = Message::parse(&line) else {
                        return self.fail(format!("the client says {line}"));
                    };
                    self.say(
                        track,
                        Logged::ToAgent {
                            message,
                            by,
                            prompt,
                        },
                    );
                    self.agent_hears(track, &line);
                }
                ClientOutput::Event(event) => {
                    let news = ConversationNews::Happened(event);
                    self.tell_host(HostInput::Agent { track, news });
                }
            }
        }
        let (now_us, life) = (self.now_us, self.lives);
        let Some(talk) = self.talk(track) else { return };
        let due_us = talk.client.deadline_ms().map(|at| at * 1000 + 1000);
        if due_us != talk.ticks_at_us {
            talk.ticks_at_us = due_us;
            let run = talk.run;
            if let Some(due_us) = due_us {
                let tick = Event::AgentTick { life, track, run };
                self.after(due_us.saturating_sub(now_us), tick);
            }
        }
    }

    pub(super) fn agent_tick(&mut self, track: TrackId, run: u64) {
        let now_ms = self.now_us / 1000;
        if let Some(talk) = self.talk(track)
            && talk.run == run
            && !talk.ended
        {
            talk.client.tick(now_ms);
            self.pump_client(track);
        }
    }

    /// The agent says a line.
    fn agent_says(&mut self, track: TrackId, line: &str) {
        let Ok(message) = Message::parse(line) else {
            return self.fail(format!("the agent of the world says {line}"));
        };
        self.say(track, Logged::FromAgent(message));
        if let Some(talk) = self.talk(track) {
            talk.client.handle_line(line);
        }
        self.pump_client(track);
    }

    /// The agent hears a line. What it says to it comes later.
    fn agent_hears(&mut self, track: TrackId, line: &str) {
        let steps = self.some_steps();
        let Some(talk) = self.talk(track).filter(|talk| !talk.ended) else {
            return;
        };
        let agent = &mut talk.agent;
        let Ok(message) = Message::parse(line) else {
            return;
        };
        let answer = match message.kind {
            MessageKind::Request { id, method, .. } => {
                let id = id.as_json();
                let reply = |result: &str| Some(format!(r#"{{"id":{id},"result":{result}}}"#));
                match method.as_ref() {
                    "initialize" => reply(&format!(r#"{{"protocolVersion":{}}}"#, agent.version)),
                    "session/new" => reply(&format!(
                        r#"{{"sessionId":"{SESSION}","modes":{{"currentModeId":"auto","availableModes":[{{"id":"ask","name":"Ask"}},{{"id":"auto","name":"Auto"}}]}}}}"#
                    )),
                    "session/prompt" => {
                        agent.turn = Some(id.to_owned());
                        agent.steps = steps;
                        agent.cancelled = false;
                        None
                    }
                    "session/set_mode" => reply("{}"),
                    _ => Some(format!(
                        r#"{{"id":{id},"error":{{"code":-32601,"message":"no"}}}}"#
                    )),
                }
            }
            MessageKind::Notification { method, .. } => {
                if method == "session/cancel" && !agent.ignores_cancel {
                    agent.cancelled = true;
                    agent.steps.clear();
                }
                None
            }
            MessageKind::Response { id, .. } => {
                if agent
                    .waits
                    .is_some_and(|waits| MessageId::from(waits) == id)
                {
                    agent.waits = None;
                }
                None
            }
        };
        let run = talk.run;
        let life = self.lives;
        let delay = *self.dice.pick(&[0, 100, 5_000, 400_000]);
        let event = match answer {
            Some(line) => Event::AgentSays {
                life,
                track,
                run,
                line,
            },
            None => Event::AgentActs { life, track, run },
        };
        self.after(delay, event);
    }

    fn some_steps(&mut self) -> VecDeque<Step> {
        let count = self.dice.below(6);
        (0..count)
            .map(|_| {
                self.dice
                    .weighted(&[(6, Step::Says), (4, Step::Asks), (1, Step::Dies)])
            })
            .collect()
    }

    pub(super) fn agent_line(&mut self, track: TrackId, run: u64, line: &str) {
        let is_there = |talk: &&mut Talk| talk.run == run && !talk.ended;
        if self.talk(track).filter(is_there).is_some() {
            self.agent_says(track, line);
        }
    }

    /// The agent goes on with what it is at.
    pub(super) fn agent_acts(&mut self, track: TrackId, run: u64) {
        let is_there = |talk: &&mut Talk| talk.run == run && !talk.ended;
        let Some(talk) = self.talk(track).filter(is_there) else {
            return;
        };
        let agent = &mut talk.agent;
        if agent.waits.is_some() || agent.turn.is_none() {
            return;
        }
        let line = match agent.steps.pop_front() {
            Some(Step::Dies) => return self.agent_ends(track),
            Some(Step::Says) => update(
                r#""sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"word "}"#,
            ),
            Some(Step::Asks) => {
                agent.asked += 1;
                let (id, tool) = (agent.asked, format!("{run}-{}", agent.asked));
                agent.waits = Some(id);
                let kind = if id.is_multiple_of(2) {
                    "read"
                } else {
                    "execute"
                };
                format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"method":"session/request_permission","params":{{"sessionId":"{SESSION}","toolCall":{{"toolCallId":"{tool}","title":"does it","kind":"{kind}","rawInput":{{"command":"make"}}}},"options":[{{"optionId":"always","name":"Always","kind":"allow_always"}},{{"optionId":"yes","name":"Yes","kind":"allow_once"}},{{"optionId":"no","name":"No","kind":"reject_once"}}]}}}}"#
                )
            }
            None => {
                let id = agent.turn.take().unwrap_or_default();
                let stop = match agent.cancelled {
                    true => "cancelled",
                    false => "end_turn",
                };
                format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"stopReason":"{stop}"}}}}"#)
            }
        };
        self.agent_says(track, &line);
        let life = self.lives;
        let delay = *self.dice.pick(&[0, 1_000, 30_000, 300_000]);
        self.after(delay, Event::AgentActs { life, track, run });
    }

    /// The agent's process is gone.
    fn agent_ends(&mut self, track: TrackId) {
        let Some(talk) = self.talk(track).filter(|talk| !talk.ended) else {
            return;
        };
        talk.ended = true;
        let exit = Exit::default();
        self.say(track, Logged::Note(Note::Ended { exit }));
        let news = ConversationNews::Ended;
        self.tell_host(HostInput::Agent { track, news });
        let Some(talk) = self.talk(track) else { return };
        if talk.closing {
            return;
        }
        if let Some(earlier) = talk.restart.take() {
            self.start_agent(track, Some(earlier));
        }
    }

    /// Does what a conversation wants done with its agent, as a driver does.
    pub(super) fn obey(&mut self, track: TrackId, order: Order) {
        let now_ms = self.now_us / 1000;
        let Some(talk) = self.talk(track) else {
            return;
        };
        let client = &mut talk.client;
        let gone = talk.ended;
        let number = match &order {
            Order::Prompt { number, .. } => Some(*number),
            _ => None,
        };
        let news = match order {
            Order::Note(note) => {
                self.say(track, Logged::Note(note));
                None
            }
            Order::Prompt { .. } if gone => Some(ConversationNews::NotSent),
            Order::Prompt { number, text, by } => {
                let sent = client.prompt(&text, Some(number), Some(by));
                sent.is_err().then_some(ConversationNews::NotSent)
            }
            Order::Cancel(by) => {
                let _ = client.cancel(now_ms, Some(by));
                None
            }
            Order::Answer {
                request,
                answer,
                by,
            } => {
                if let Ok(request) = MessageId::from_json(&request) {
                    let _ = client.answer(&request, &answer, Some(by));
                }
                None
            }
            Order::Set { option, value, by } => {
                let sent = client.set_option(&option, &value, Some(by));
                let not_set = ConversationNews::Happened(ClientEvent::Set(false));
                sent.is_err().then_some(not_set)
            }
            // Nobody looks at files here.
            Order::Rebase => None,
            Order::Restart { from, .. } => {
                talk.restart = Some(from);
                if !gone {
                    return self.agent_ends(track);
                }
                let earlier = talk.restart.take();
                return self.start_agent(track, earlier);
            }
        };
        if let Some(news) = news {
            if news == ConversationNews::NotSent
                && let Some(talk) = self.talk(track)
            {
                talk.queue
                    .splice(0..0, number.map(|number| (number, false)));
            }
            self.tell_host(HostInput::Agent { track, news });
        }
        self.pump_client(track);
    }

    /// A conversation is to end, and its agent with it.
    pub(super) fn close_talk(&mut self, track: TrackId) {
        if let Some(talk) = self.talk(track) {
            talk.closing = true;
            self.agent_ends(track);
        }
    }

    /// Somebody wants something of a conversation, whether they may or not.
    pub(super) fn some_conversing(&mut self) {
        let Some(track) = self.some_talk() else {
            return;
        };
        let Some(request) = self.some_request(track) else {
            return;
        };
        if self.dice.one_in(4) {
            let track = Some(track);
            return self.command(Actor::Tty, verbs::Converse { track, request }.into());
        }
        // Those who may more often than others.
        let may = |seat: &super::viewing::Seat| {
            seat.ended.is_none() && seat.viewer.view().rights.has(Right::Prompt)
        };
        let able: Vec<usize> = (0..self.seats.len())
            .filter(|seat| may(&self.seats[*seat]))
            .collect();
        let seat = match able.is_empty() || self.dice.one_in(4) {
            true => self.some_seat(),
            false => Some(*self.dice.pick(&able)),
        };
        // As fast as people are: who wants more is put out.
        let now_us = self.now_us;
        let seat = seat.filter(|seat| {
            let before = self.seats[*seat].conversed_at_us;
            before.is_none_or(|before| now_us >= before + PERSON_US)
        });
        if let Some(seat) = seat {
            self.seats[seat].conversed_at_us = Some(now_us);
            self.tell_viewer(seat, ViewerInput::Converse { track, request });
        }
    }

    fn some_request(&mut self, track: TrackId) -> Option<ConversationRequest> {
        let key = self.dice.below(self.people.len() as u64) as usize;
        let person = self.people[key].secret.public().to_string();
        let talk = self.host.as_ref()?.talks.get(&track)?;
        let queue: Vec<u64> = talk.shown.queue().iter().map(|one| one.number).collect();
        let questions: Vec<ItemId> = talk.shown.open_questions().map(|(id, _)| id).collect();
        let rules: Vec<u64> = talk.shown.rules().iter().map(|rule| rule.number).collect();
        let mut pick = |all: &[u64]| match all.is_empty() {
            true => self.dice.below(20),
            false => *self.dice.pick(all),
        };
        let (prompt, other) = (pick(&queue), pick(&queue));
        let (question, rule) = (pick(&questions), pick(&rules));
        let text = "do it".to_owned();
        use ConversationRequest as Request;
        Some(match self.dice.below(40) {
            0..9 => Request::Prompt { text },
            9..11 => Request::Amend { text },
            11 => Request::Edit { prompt, text },
            12 | 13 => Request::Move {
                prompt,
                before: (!self.dice.one_in(3)).then_some(other),
            },
            14 | 15 => Request::Hold {
                prompt,
                held: self.dice.one_in(3),
            },
            16 => Request::Withdraw { prompt },
            17 | 18 => Request::Cancel,
            19..22 => Request::Claim { question },
            22 => Request::Release { question },
            23..31 => Request::Answer {
                question,
                answer: Answer::Choice(self.dice.text(&["yes", "no", "other"]).to_owned()),
            },
            31 | 32 => Request::AllowAlike { question },
            33 => Request::EndRule { rule },
            34 => Request::SetOption {
                option: "mode".to_owned(),
                value: self.dice.text(&["ask", "auto", "none"]).to_owned(),
            },
            35 | 36 => Request::Trust {
                person,
                trust: *self.dice.pick(&Trust::ALL),
            },
            37 => Request::Restart,
            38 => Request::Rename {
                title: "other".to_owned(),
            },
            _ => Request::Cancel,
        })
    }

    /// Nobody without the right gets anything done, a question is answered once, and prompts go in their order.
    pub(super) fn check_order(
        &mut self,
        from: Option<(ConnId, Stream)>,
        track: TrackId,
        order: &Order,
    ) {
        if order.is_others() {
            self.remote_input = true;
        }
        let (by, rights): (Option<&Author>, &[Right]) = match order {
            Order::Prompt { by, .. } => (Some(by), &[Right::Prompt]),
            Order::Cancel(by) => (Some(by), &[Right::Prompt, Right::Approve, Right::Manage]),
            // By a rule, it is the word of who made that, and stays so.
            Order::Answer { by, .. } if by.right.starts_with("rule") => (None, &[]),
            Order::Answer { by, .. } => (Some(by), &[Right::Approve]),
            Order::Set { by, .. } => (Some(by), &[Right::Prompt, Right::Approve]),
            Order::Restart { by, .. } => (Some(by), &[Right::Manage]),
            Order::Rebase => (None, &[]),
            Order::Note(note) => match note {
                Note::Queued { by, .. } => (Some(by), &[Right::Prompt]),
                Note::Claimed { by, .. } => (by.as_ref(), &[Right::Approve]),
                Note::Allowed { by, .. } | Note::RuleEnded { by, .. } => {
                    (Some(by), &[Right::Approve])
                }
                Note::Trusted { by, .. } | Note::Renamed { by, .. } => (Some(by), &[Right::Manage]),
                Note::Held { by, .. } => {
                    (Some(by), &[Right::Prompt, Right::Approve, Right::Manage])
                }
                // Anybody takes back their own.
                Note::Edited { by, .. } | Note::Moved { by, .. } => {
                    (Some(by), &[Right::Prompt, Right::Manage])
                }
                _ => (None, &[]),
            },
        };
        let by = by.map(|by| by.id.clone()).filter(|id| !id.is_empty());
        let what = || format!("{order:?}").chars().take(80).collect::<String>();
        let by = match (self.sabotage, order) {
            (Sabotage::PromptWithoutRight, Order::Note(Note::Queued { .. }))
            | (Sabotage::AnswerWithoutRight, Order::Answer { .. }) => self
                .somebody_who_watches(rights)
                .map(|key| key.to_string())
                .or(by),
            _ => by,
        };
        if let Some(id) = by {
            let may = self.most_of(&id);
            let has = rights.iter().any(|right| may.has(*right));
            self.require(has, || {
                format!(
                    "{} is done for who may no more than {may}: from {from:?}",
                    what()
                )
            });
        }
        let (answers_twice, out_of_turn) = (
            self.strikes(Sabotage::AnswerQuestionTwice),
            self.strikes(Sabotage::SendOutOfTurn),
        );
        let Some(talk) = self.talk(track) else { return };
        let mut problem = None;
        match order {
            Order::Answer { request, .. } => {
                let question = (talk.run, request.clone());
                let mut new = talk.answered.insert(question.clone());
                if answers_twice {
                    new &= talk.answered.insert(question);
                }
                if !new {
                    problem = Some(format!("question {request} is answered twice"));
                }
                self.tally.answers += 1;
            }
            Order::Prompt { number, .. } => {
                let mut free = talk.queue.iter().filter(|(_, held)| !held);
                let first = match out_of_turn {
                    true => free.nth(1),
                    false => free.next(),
                };
                let first = first.map(|(first, _)| *first);
                let expected = [first, talk.next.filter(|_| !out_of_turn)];
                let is_next = (out_of_turn && first.is_none()) || expected.contains(&Some(*number));
                if !is_next {
                    problem = Some(format!(
                        "prompt {number} is sent out of its turn: {:?}",
                        talk.queue
                    ));
                }
                talk.queue.retain(|(waiting, _)| waiting != number);
                talk.next = None;
                self.tally.prompts += 1;
            }
            Order::Set { .. } => {
                let mut free = talk.queue.iter().filter(|(_, held)| !held);
                talk.next = free.next().map(|(first, _)| *first);
            }
            Order::Note(note) => talk.reorder(note),
            Order::Cancel(_) | Order::Rebase | Order::Restart { .. } => {}
        }
        self.require(problem.is_none(), || problem.unwrap_or_default());
    }

    /// What somebody may at most, by the text of their key.
    fn most_of(&self, id: &str) -> Rights {
        let unix_ms = self.host_unix_ms();
        let mut people = self.people.iter().map(|person| person.secret.public());
        let key = people.find(|key| key.to_string() == id);
        key.map_or(Rights::VIEW, |key| self.model.right(key, unix_ms).1)
    }

    fn somebody_who_watches(&self, rights: &[Right]) -> Option<PublicKey> {
        let unix_ms = self.host_unix_ms();
        let mut people = self.people.iter().map(|person| person.secret.public());
        people.find(|key| {
            let most = self.model.right(*key, unix_ms).1;
            !rights.iter().any(|right| most.has(*right))
        })
    }

    /// At rest a viewer's conversation is what the log comes to, and nobody holds a question who left it.
    pub(super) fn check_talk(&mut self, seat: usize, track: TrackId) -> Result<(), String> {
        let Some(talk) = self.host.as_ref().and_then(|side| side.talks.get(&track)) else {
            return Err(format!(
                "viewer {seat} shows conversation {track}, which is none"
            ));
        };
        let shown = self.seats[seat].viewer.conversation(track);
        let same = shown.is_some_and(|shown| shown.snapshot() == talk.shown.snapshot());
        if !same {
            let words = |shown: &Conversation| {
                let items: Vec<_> = shown.items().collect();
                let (next, queue) = (shown.next(), shown.queue());
                format!("{next} {queue:?} {:?} {items:?}", shown.threads())
            };
            return Err(format!(
                "viewer {seat} shows something else of a conversation: {}\n  it is {}",
                shown.map_or_else(String::new, words),
                words(&talk.shown)
            ));
        }
        self.tally.talks += 1;
        Ok(())
    }

    /// At rest a minute has passed, and every claim with it; and what is said to wait does.
    pub(super) fn check_talks(&self) -> Result<(), String> {
        for (track, talk) in self.host.iter().flat_map(|side| &side.talks) {
            // What becomes of one that is over is not written down.
            if talk.closing {
                continue;
            }
            let mut open = talk.shown.open_questions();
            if let Some((id, _)) = open.find(|(_, question)| question.claimed_by.is_some()) {
                return Err(format!("question {id} of track {track} is still claimed"));
            }
            let queue = talk.shown.queue().iter();
            let queue: Vec<_> = queue.map(|one| (one.number, one.held)).collect();
            if queue != talk.queue {
                return Err(format!(
                    "track {track} shows that {queue:?} wait, and {:?} do",
                    talk.queue
                ));
            }
        }
        Ok(())
    }
}

impl Talk {
    /// Takes in what the host says of a waiting prompt.
    fn reorder(&mut self, note: &Note) {
        let at = |queue: &[(u64, bool)], number: u64| {
            queue.iter().position(|(waiting, _)| *waiting == number)
        };
        match note {
            Note::Queued { prompt, .. } => self.queue.push((*prompt, false)),
            Note::Held { prompt, held, .. } => {
                if let Some(at) = at(&self.queue, *prompt) {
                    self.queue[at].1 = *held;
                }
            }
            Note::NeedsYes { prompt } => {
                if let Some(at) = at(&self.queue, *prompt) {
                    self.queue[at].1 = true;
                }
            }
            Note::Withdrawn { prompt, .. } => {
                self.queue.retain(|(waiting, _)| waiting != prompt);
            }
            Note::Moved { prompt, before, .. } if *before != Some(*prompt) => {
                if let Some(from) = at(&self.queue, *prompt) {
                    let moved = self.queue.remove(from);
                    let to = before.and_then(|before| at(&self.queue, before));
                    let to = to.unwrap_or(self.queue.len());
                    self.queue.insert(to, moved);
                }
            }
            _ => {}
        }
    }
}

/// The note that an entry is.
fn what_of(entry: &str) -> Option<Note> {
    match Entry::decode(entry).ok()?.what {
        Logged::Note(note) => Some(note),
        _ => None,
    }
}
