//! The host's side of those who take part in a conversation: who may have what, and in which order it goes to the
//! agent.
//!
//! ```text
//! a request ──Steering::request──▶ ┐                          ┌──▶ Order::Note      into the log
//! an entry ──Steering::observe───▶ ├─ queue, claims, rules ───┼──▶ Order::Prompt    to the agent
//! an event ──Steering::happened──▶ ┘                          └──▶ Order::Answer …
//! ```
//!
//! What somebody's prompt makes the agent do is asked of those who may approve, unless the person is trusted
//! ([`Trust`]). Where the agent has modes, the strictest is set for such a turn and the one before it set again behind
//! it; where it has none, the prompt waits for a yes. Rules that answer questions are the host's own: they don't
//! count in such a turn.
//!
//! Times are milliseconds of any clock that only goes forward.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pillion_proto::{Answer, ConversationRequest, Trust};
use serde::{Deserialize, Serialize};

use crate::{
    claims::Claims,
    client::ClientEvent,
    entry::{Author, Note},
    fold::Conversation,
    limits::{MAX_RULES, MAX_TRUSTED},
    model::{ChoiceKind, ItemBody, ItemId, Question, Tool, ToolKind},
    queue::{NotQueued, PromptQueue, WaitingPrompt},
    transcript::Earlier,
};

/// How long an agent may take to set an option, in milliseconds. A turn that needs it does not begin before.
const SET_LIMIT_MS: u64 = 10_000;

/// The host's side of a conversation's people.
#[derive(Debug)]
pub struct Steering {
    gate: Gate,
    queue: PromptQueue,
    claims: Claims,
    rules: Vec<Rule>,
    next_rule: u64,
    trusted: BTreeMap<String, Trust>,
    /// The prompt that was given to the driver last.
    sent: Option<WaitingPrompt>,
    /// The mode that the agent had when it was started again.
    mode_before: Option<(String, String)>,
    /// Prompts for which somebody said yes.
    accepted: BTreeSet<u64>,
    /// Prompts that wait for one.
    gated: BTreeSet<u64>,
    /// Whether the agent can be prompted.
    ready: bool,
    turn: Turn,
    /// On whose behalf the agent works: of the newest prompt, also when its turn has ended.
    acting: Acting,
    /// Questions of which it was decided whether they are answered by rule, and whether they have their answer.
    looked_at: BTreeMap<ItemId, bool>,
    orders: VecDeque<Order>,
}

/// What is known of an agent's modes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gate {
    /// The ids of modes in which it asks before it does anything, the strictest first.
    pub strict: Vec<String>,
    /// It is set up so that it always asks, and has no mode in which it doesn't.
    pub asks: bool,
    /// What is answered with yes in the host's own turns, without anybody being asked.
    pub allows: Permissions,
}

/// What an agent may do in the host's own turns without anybody being asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Permissions {
    /// Nothing but what it does not ask for.
    #[default]
    Ask,
    /// Read and search.
    Reads,
    /// All that can be answered with yes for once.
    All,
}

/// Somebody who wants something, and what they may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The fingerprint of their key.
    pub id: String,
    /// What they call themselves.
    pub name: String,
    /// They are the host.
    pub is_host: bool,
    /// They may send prompts.
    pub prompts: bool,
    /// They may answer the agent's questions.
    pub approves: bool,
    /// They manage the session.
    pub manages: bool,
}

/// What the conversation's driver has to do, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Write a note into the log.
    Note(Note),
    /// Send a prompt to the agent.
    Prompt {
        /// Its number.
        number: u64,
        /// What it says.
        text: String,
        /// Whose it is.
        by: Author,
    },
    /// Stop the turn.
    Cancel(Author),
    /// Answer a question.
    Answer {
        /// The agent's id of the request, as JSON.
        request: String,
        /// With this.
        answer: Answer,
        /// Who answers.
        by: Author,
    },
    /// Set an option.
    Set {
        /// Which.
        option: String,
        /// To which of its values.
        value: String,
        /// Who set it.
        by: Author,
    },
    /// Start the agent again, so that it goes on from here.
    Restart {
        /// Who wants it.
        by: Author,
        /// From where.
        from: Earlier,
    },
    /// What has changed in its directory counts from now on.
    Rebase,
}

/// Why a request is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusedRequest {
    /// They may not send prompts.
    MayNotPrompt,
    /// They may not answer questions.
    MayNotApprove,
    /// It is not theirs.
    MayNotManage,
    /// The prompt says nothing.
    Empty,
    /// The prompt is too long.
    TooLong,
    /// Too many of theirs wait.
    TooManyOfYours,
    /// Too many wait.
    Full,
    /// The prompt was sent or withdrawn.
    Gone,
    /// It is somebody else's.
    NotYours,
    /// It would go before somebody else's.
    NotPastOthers,
    /// It waits for somebody's yes.
    NeedsYes,
    /// The agent does nothing that could be stopped.
    Idle,
    /// The question has its answer.
    NotOpen,
    /// It does not have this answer.
    NoSuchChoice,
    /// Somebody else is about to answer it.
    Claimed,
    /// No rule can be made of the question.
    NoRule,
    /// There is no such rule, option or value.
    NoSuchThing,
    /// There are as many as may be.
    TooMany,
    /// The agent can't be spoken with now.
    NotReady,
    /// A request of a newer version.
    NotKnownHere,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    number: u64,
    by: Author,
    about: About,
}

/// What a rule is about, and what a question has to be about for it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct About {
    /// The agent's word for what the tool does.
    tool: String,
    /// Of a command: which, to the letter.
    command: String,
}

/// What the agent is at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Turn {
    /// Nothing.
    Idle,
    /// A mode is being set, and then a prompt goes.
    Preparing {
        prompt: u64,
        before: (String, String),
        until_ms: u64,
    },
    /// A prompt.
    Running {
        by: Author,
        /// The mode to be set again behind it.
        before: Option<(String, String)>,
    },
    /// The mode from before it is being set again.
    Restoring { until_ms: u64 },
}

/// Whose prompt the agent works on.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Acting {
    Host,
    /// Somebody else: the fingerprint of their key.
    Guest(String),
}

impl Order {
    /// Whether somebody else than the host makes the agent do something by it.
    pub fn is_others(&self) -> bool {
        matches!(self, Order::Prompt { by, .. } if by.right != "host")
    }
}

impl Person {
    /// Them as somebody who caused something, by this right.
    fn author(&self, right: &str) -> Author {
        Author {
            id: self.id.clone(),
            name: self.name.clone(),
            right: match self.is_host {
                true => "host".to_owned(),
                false => right.to_owned(),
            },
        }
    }

    fn may_approve(&self) -> Result<(), RefusedRequest> {
        match self.is_host || self.approves {
            true => Ok(()),
            false => Err(RefusedRequest::MayNotApprove),
        }
    }

    fn may_prompt(&self) -> Result<(), RefusedRequest> {
        match self.is_host || self.prompts {
            true => Ok(()),
            false => Err(RefusedRequest::MayNotPrompt),
        }
    }

    fn may_manage(&self) -> Result<(), RefusedRequest> {
        match self.is_host || self.manages {
            true => Ok(()),
            false => Err(RefusedRequest::MayNotManage),
        }
    }
}

/// What the host does by itself.
fn by_itself() -> Author {
    Author {
        right: "host".to_owned(),
        ..Author::default()
    }
}

impl Steering {
    /// Of an agent of which this is known.
    pub fn new(gate: Gate) -> Steering {
        Steering {
            gate,
            queue: PromptQueue::default(),
            claims: Claims::default(),
            rules: Vec::new(),
            next_rule: 0,
            trusted: BTreeMap::new(),
            sent: None,
            mode_before: None,
            accepted: BTreeSet::new(),
            gated: BTreeSet::new(),
            ready: false,
            turn: Turn::Idle,
            acting: Acting::Host,
            looked_at: BTreeMap::new(),
            orders: VecDeque::new(),
        }
    }

    /// What is to be done next; `None` when nothing is.
    pub fn poll(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// When [`Steering::tick`] wants to be called.
    pub fn deadline_ms(&self) -> Option<u64> {
        let turn = match self.turn {
            Turn::Preparing { until_ms, .. } | Turn::Restoring { until_ms } => Some(until_ms),
            Turn::Idle | Turn::Running { .. } => None,
        };
        turn.into_iter().chain(self.claims.deadline_ms()).min()
    }

    /// What there was so far is hidden from those who are shown the conversation.
    pub fn hide_so_far(&mut self) {
        self.orders.push_back(Order::Rebase);
    }

    /// Time has passed.
    pub fn tick(&mut self, now_ms: u64, shown: &Conversation) {
        for note in self.claims.tick(now_ms) {
            self.note(note);
        }
        match self.turn {
            Turn::Preparing { until_ms, .. } | Turn::Restoring { until_ms }
                if until_ms <= now_ms =>
            {
                self.was_set(false, now_ms, shown);
            }
            _ => {}
        }
    }

    /// Somebody wants something.
    ///
    /// # Errors
    /// When they may not have it, or it can't be done.
    pub fn request(
        &mut self,
        now_ms: u64,
        who: &Person,
        request: ConversationRequest,
        shown: &Conversation,
    ) -> Result<(), RefusedRequest> {
        match request {
            ConversationRequest::Prompt { text } => {
                self.may_prompt(who)?;
                self.add(who, &text)?;
            }
            ConversationRequest::Amend { text } => {
                self.may_prompt(who)?;
                self.may_stop(who)?;
                let number = self.add(who, &text)?;
                // It comes before all that wait: it is about what is stopped for it.
                let first = self.queue.waiting().first().map(|first| first.number);
                let author = who.author("prompt");
                if let Some(first) = first.filter(|first| *first != number) {
                    let moved = self.queue.move_before(number, &author, true, Some(first));
                    self.note(moved?);
                }
                self.orders.push_back(Order::Cancel(author));
            }
            ConversationRequest::Edit { prompt, text } => {
                let manages = self.may_arrange(who)?;
                let note = self
                    .queue
                    .edit(prompt, &who.author("prompt"), manages, &text)?;
                // What was said yes to is another thing now.
                self.accepted.remove(&prompt);
                self.note(note);
            }
            ConversationRequest::Move { prompt, before } => {
                let manages = self.may_arrange(who)?;
                let author = who.author("prompt");
                let note = self.queue.move_before(prompt, &author, manages, before)?;
                self.note(note);
            }
            ConversationRequest::Hold { prompt, held } => self.hold(who, prompt, held)?,
            ConversationRequest::Withdraw { prompt } => {
                let manages = who.may_manage().is_ok();
                let note = self
                    .queue
                    .withdraw(prompt, &who.author("prompt"), manages)?;
                self.gated.remove(&prompt);
                self.note(note);
            }
            ConversationRequest::Cancel => {
                self.may_stop(who)?;
                self.orders.push_back(Order::Cancel(who.author("prompt")));
            }
            ConversationRequest::Claim { question } => {
                who.may_approve()?;
                open(shown, question)?;
                let claimed = self.claims.claim(question, &who.author("approve"), now_ms);
                self.note(claimed.map_err(|_| RefusedRequest::Claimed)?);
            }
            ConversationRequest::Release { question } => {
                if let Some(note) = self.claims.release(question, &who.id) {
                    self.note(note);
                }
            }
            ConversationRequest::Answer { question, answer } => {
                who.may_approve()?;
                self.answer(question, answer, who.author("approve"), shown)?;
            }
            ConversationRequest::AllowAlike { question } => {
                self.allow_alike(who, question, shown)?
            }
            ConversationRequest::EndRule { rule } => {
                who.may_approve()?;
                let at = self.rules.iter().position(|known| known.number == rule);
                self.rules.remove(at.ok_or(RefusedRequest::NoSuchThing)?);
                let by = who.author("approve");
                self.note(Note::RuleEnded { rule, by });
            }
            ConversationRequest::SetOption { option, value } => {
                let known = shown.threads()[0]
                    .options
                    .iter()
                    .find(|one| one.id == option);
                let known = known.ok_or(RefusedRequest::NoSuchThing)?;
                // What the agent does without asking is for those who are asked.
                match known.category == "mode" {
                    true => who.may_approve()?,
                    false => self.may_prompt(who)?,
                }
                let has = known.values.is_empty() || known.values.iter().any(|one| one.id == value);
                if !has {
                    return Err(RefusedRequest::NoSuchThing);
                }
                if !self.ready {
                    return Err(RefusedRequest::NotReady);
                }
                self.set(who, option, value, &known.category.clone());
            }
            ConversationRequest::Trust { person, trust } => {
                who.may_manage()?;
                // What nobody is asked about from then on is for those who are asked.
                if trust.is_wider_than(self.trust(&person)) {
                    who.may_approve()?;
                }
                if self.trusted.len() >= MAX_TRUSTED && !self.trusted.contains_key(&person) {
                    return Err(RefusedRequest::TooMany);
                }
                self.set_trust(person, trust, who.author("manage"), shown);
            }
            ConversationRequest::Restart => {
                who.may_manage()?;
                self.restart(who.author("manage"), shown);
            }
            ConversationRequest::Rename { title } => {
                who.may_manage()?;
                let by = who.author("manage");
                self.note(Note::Renamed { title, by });
            }
            ConversationRequest::Unknown => return Err(RefusedRequest::NotKnownHere),
        }
        self.go_on(now_ms, shown);
        Ok(())
    }

    /// An entry was taken into the conversation. Call it after each.
    pub fn observe(&mut self, shown: &Conversation) {
        let open: BTreeSet<ItemId> = shown.open_questions().map(|(id, _)| id).collect();
        let claims = &mut self.claims;
        self.looked_at.retain(|question, _| {
            let is_open = open.contains(question);
            if !is_open {
                claims.closed(*question);
            }
            is_open
        });
        for question in open {
            if self.looked_at.contains_key(&question) {
                continue;
            }
            self.looked_at.insert(question, false);
            if let Some(by) = self.by_rule(question, shown)
                && let Some(choice) = shown.question(question).and_then(allow_once)
            {
                // It is open, and nobody has claimed it.
                let _ = self.answer(question, Answer::Choice(choice), by, shown);
            }
        }
    }

    /// The agent's side says that something happened.
    pub fn happened(&mut self, now_ms: u64, event: &ClientEvent, shown: &Conversation) {
        match event {
            ClientEvent::Ready { .. } => {
                self.ready = true;
                self.set_mode_before(now_ms, shown);
            }
            ClientEvent::Failed(_) => self.ready = false,
            ClientEvent::Set(done) => self.was_set(*done, now_ms, shown),
            ClientEvent::TurnEnded => self.turn_ended(now_ms),
            ClientEvent::Garbage
            | ClientEvent::Asked(_)
            | ClientEvent::Closed(_)
            | ClientEvent::NotOffered(_) => {}
            ClientEvent::CancelIgnored => self.note(Note::CancelIgnored),
        }
        self.go_on(now_ms, shown);
    }

    /// The agent has ended, or begins again. What waits goes on waiting.
    pub fn ended(&mut self) {
        self.ready = false;
        self.turn = Turn::Idle;
    }

    /// Somebody left: what they were about to answer is free again.
    pub fn left(&mut self, id: &str) {
        for note in self.claims.release_all_of(id) {
            self.note(note);
        }
    }

    /// Somebody's rights are others now.
    pub fn rights_changed(&mut self, who: &Person, shown: &Conversation) {
        if who.may_prompt().is_err() {
            self.withdraw_all_of(&who.id);
            // Who gets the right again is not trusted for what was said of them before.
            if self.trust(&who.id).is_wider_than(Trust::Ask) {
                self.set_trust(who.id.clone(), Trust::Ask, by_itself(), shown);
            }
        }
        if who.may_approve().is_err() {
            self.left(&who.id);
        }
    }

    fn note(&mut self, note: Note) {
        self.orders.push_back(Order::Note(note));
    }

    fn withdraw_all_of(&mut self, id: &str) {
        for note in self.queue.withdraw_all_of(id, &by_itself()) {
            if let Note::Withdrawn { prompt, .. } = &note {
                self.gated.remove(prompt);
            }
            self.note(note);
        }
    }

    /// The others than the host whose prompts wait, by the fingerprints of their keys.
    pub fn waits_for(&self) -> BTreeSet<String> {
        let waiting = self.queue.waiting().iter();
        let others = waiting.filter(|one| one.by.right != "host");
        others.map(|one| one.by.id.clone()).collect()
    }

    /// How far somebody is trusted.
    pub fn trust(&self, id: &str) -> Trust {
        self.trusted.get(id).copied().unwrap_or_default()
    }

    /// Whether somebody changes what waits: who sends prompts, their own, and who manages, any.
    fn may_arrange(&self, who: &Person) -> Result<bool, RefusedRequest> {
        let manages = who.may_manage().is_ok();
        if !manages {
            self.may_prompt(who)?;
        }
        Ok(manages)
    }

    /// Whether somebody may send prompts here: by their right, and as far as they are trusted.
    fn may_prompt(&self, who: &Person) -> Result<(), RefusedRequest> {
        match !who.is_host && self.trust(&who.id) == Trust::Watch {
            true => Err(RefusedRequest::MayNotPrompt),
            false => who.may_prompt(),
        }
    }

    /// From now on somebody is trusted so far, in what goes on, too.
    fn set_trust(&mut self, id: String, trust: Trust, by: Author, shown: &Conversation) {
        let before = self.trust(&id);
        self.trusted.insert(id.clone(), trust);
        self.note(Note::Trusted {
            person: id.clone(),
            how: trust.as_str().to_owned(),
            by: by.clone(),
        });
        if trust == Trust::Watch {
            self.withdraw_all_of(&id);
        }
        let runs_freely = match &self.turn {
            Turn::Running { by, before: None } => by.id == id && before == Trust::Trusted,
            _ => false,
        };
        if !runs_freely || trust == Trust::Trusted {
            return;
        }
        // Their turn began in the mode of the host's own.
        match self.stricter(shown) {
            Some((option, now, strict)) if now != strict => {
                if let Turn::Running { before, .. } = &mut self.turn {
                    *before = Some((option.clone(), now));
                }
                self.orders.push_back(Order::Set {
                    option,
                    value: strict,
                    by: by_itself(),
                });
            }
            Some(_) => {}
            None if self.gate.asks => {}
            None => self.orders.push_back(Order::Cancel(by)),
        }
    }

    /// Starts the agent again, to go on from what was said, in the mode that it has outside of guests' turns.
    fn restart(&mut self, by: Author, shown: &Conversation) {
        let of_host = match &self.turn {
            Turn::Preparing { before, .. }
            | Turn::Running {
                before: Some(before),
                ..
            } => Some(before.clone()),
            _ => None,
        };
        let main = &shown.threads()[0];
        let now = main.mode().map(|one| (one.id.clone(), one.value.clone()));
        self.mode_before = of_host.or(self.mode_before.take()).or(now);
        let from = Earlier::of(shown);
        self.orders.push_back(Order::Restart { by, from });
    }

    /// The agent began again: it is set to the mode that it had before, where it has it.
    fn set_mode_before(&mut self, now_ms: u64, shown: &Conversation) {
        let Some((option, value)) = self.mode_before.take() else {
            return;
        };
        let mode = shown.threads()[0].mode();
        let mode = mode.filter(|mode| mode.id == option && mode.value != value);
        if mode.is_some_and(|mode| mode.values.iter().any(|one| one.id == value)) {
            self.restore((option, value), now_ms);
        }
    }

    fn add(&mut self, who: &Person, text: &str) -> Result<u64, RefusedRequest> {
        let note = self.queue.add(&who.author("prompt"), text)?;
        let number = match &note {
            Note::Queued { prompt, .. } => *prompt,
            _ => 0,
        };
        self.note(note);
        Ok(number)
    }

    /// Whose turn it is may stop it, and who approves or manages.
    fn may_stop(&self, who: &Person) -> Result<(), RefusedRequest> {
        let Turn::Running { by, .. } = &self.turn else {
            return Err(RefusedRequest::Idle);
        };
        let theirs = self.may_prompt(who).is_ok() && by.id == who.id;
        match theirs || who.may_approve().is_ok() || who.may_manage().is_ok() {
            true => Ok(()),
            false => Err(RefusedRequest::NotYours),
        }
    }

    fn hold(&mut self, who: &Person, prompt: u64, held: bool) -> Result<(), RefusedRequest> {
        let is_gated = self.gated.contains(&prompt) && !held;
        if is_gated {
            who.may_approve().map_err(|_| RefusedRequest::NeedsYes)?;
        }
        let manages = is_gated || self.may_arrange(who)?;
        let right = if is_gated { "approve" } else { "prompt" };
        let note = self.queue.hold(prompt, &who.author(right), manages, held)?;
        if is_gated {
            self.gated.remove(&prompt);
            self.accepted.insert(prompt);
        }
        self.note(note);
        Ok(())
    }

    fn answer(
        &mut self,
        question: ItemId,
        answer: Answer,
        by: Author,
        shown: &Conversation,
    ) -> Result<(), RefusedRequest> {
        let asked = open(shown, question)?;
        if let Answer::Choice(choice) = &answer
            && !asked.choices.iter().any(|one| one.id == *choice)
        {
            return Err(RefusedRequest::NoSuchChoice);
        }
        let free = self.claims.may_answer(question, &by.id);
        free.map_err(|_| RefusedRequest::Claimed)?;
        // The first answer counts, though the log does not have it yet.
        if self.looked_at.insert(question, true) == Some(true) {
            return Err(RefusedRequest::NotOpen);
        }
        let request = asked.request.clone();
        self.orders.push_back(Order::Answer {
            request,
            answer,
            by,
        });
        Ok(())
    }

    fn allow_alike(
        &mut self,
        who: &Person,
        question: ItemId,
        shown: &Conversation,
    ) -> Result<(), RefusedRequest> {
        who.may_approve()?;
        let asked = open(shown, question)?;
        let about = about(asked, shown).ok_or(RefusedRequest::NoRule)?;
        let choice = allow_once(asked).ok_or(RefusedRequest::NoRule)?;
        if self.rules.len() >= MAX_RULES {
            return Err(RefusedRequest::TooMany);
        }
        let by = who.author("approve");
        self.answer(question, Answer::Choice(choice), by.clone(), shown)?;
        let number = self.next_rule;
        self.next_rule += 1;
        self.note(Note::Allowed {
            rule: number,
            by: by.clone(),
            tool: about.tool.clone(),
            command: about.command.clone(),
        });
        self.rules.push(Rule { number, by, about });
        Ok(())
    }

    /// On whose authority a question is answered with yes without anybody being asked.
    fn by_rule(&self, question: ItemId, shown: &Conversation) -> Option<Author> {
        let asked = shown.question(question)?;
        let by_itself = |right: &str| {
            Some(Author {
                right: right.to_owned(),
                ..by_itself()
            })
        };
        let trust = match (&self.acting, self.gate.allows) {
            (Acting::Host, Permissions::All) => return by_itself("allow all"),
            (Acting::Host, Permissions::Reads) if reads(asked, shown) => Trust::ReadsOnly,
            (Acting::Host, _) => Trust::Trusted,
            (Acting::Guest(id), _) => self.trust(id),
        };
        match trust {
            Trust::Watch | Trust::Ask => None,
            Trust::ReadsOnly if reads(asked, shown) => by_itself("reads only"),
            Trust::ReadsOnly => None,
            Trust::Trusted => {
                let about = about(asked, shown)?;
                let rule = self.rules.iter().find(|rule| rule.about == about)?;
                Some(Author {
                    right: format!("rule {}", rule.number),
                    ..rule.by.clone()
                })
            }
        }
    }

    /// Somebody sets an option. A mode that is set in a turn of a guest's counts behind it.
    fn set(&mut self, who: &Person, option: String, value: String, category: &str) {
        if category == "mode"
            && let Turn::Preparing { before, .. }
            | Turn::Running {
                before: Some(before),
                ..
            } = &mut self.turn
        {
            *before = (option, value);
            return;
        }
        let by = who.author("prompt");
        self.orders.push_back(Order::Set { option, value, by });
    }

    /// Whether what a prompt causes is asked whatever mode the agent is in.
    fn is_guarded(&self, by: &Author) -> bool {
        match acting(by) {
            Acting::Host => false,
            Acting::Guest(id) => self.trust(&id) != Trust::Trusted,
        }
    }

    /// Sends the next prompt, if the agent takes one.
    fn go_on(&mut self, now_ms: u64, shown: &Conversation) {
        while self.ready && self.turn == Turn::Idle {
            let Some(prompt) = self.queue.next() else {
                return;
            };
            let (number, is_guest) = (prompt.number, self.is_guarded(&prompt.by));
            match self.stricter(shown).filter(|_| is_guest) {
                Some((option, now, strict)) if now != strict => {
                    self.orders.push_back(Order::Set {
                        option: option.clone(),
                        value: strict,
                        by: by_itself(),
                    });
                    self.turn = Turn::Preparing {
                        prompt: number,
                        before: (option, now),
                        until_ms: now_ms.saturating_add(SET_LIMIT_MS),
                    };
                }
                None if is_guest && !self.gate.asks && !self.accepted.contains(&number) => {
                    self.wait_for_yes(number);
                }
                _ => {
                    self.send(number, None);
                }
            }
        }
    }

    /// The option that has modes, its value, and the strictest of them.
    fn stricter(&self, shown: &Conversation) -> Option<(String, String, String)> {
        let options = &shown.threads()[0].options;
        let modes = options.iter().find(|option| option.category == "mode")?;
        let mut strict = self.gate.strict.iter();
        let strict = strict.find(|id| modes.values.iter().any(|value| value.id == **id))?;
        Some((modes.id.clone(), modes.value.clone(), strict.clone()))
    }

    fn wait_for_yes(&mut self, number: u64) {
        if self.queue.hold(number, &by_itself(), true, true).is_ok() {
            self.gated.insert(number);
            self.note(Note::NeedsYes { prompt: number });
        }
    }

    /// Sends a prompt, with the mode that was set before it is; whether it still waits.
    fn send(&mut self, number: u64, before: Option<(String, String)>) -> bool {
        let Some(prompt) = self.queue.take(number) else {
            return false;
        };
        self.sent = Some(prompt.clone());
        let WaitingPrompt { by, text, .. } = prompt;
        self.acting = acting(&by);
        self.accepted.remove(&number);
        self.gated.remove(&number);
        self.turn = Turn::Running {
            by: by.clone(),
            before,
        };
        self.orders.push_back(Order::Prompt { number, text, by });
        true
    }

    /// The driver could not send what it was given: the agent ended or takes nothing. It waits again.
    pub fn not_sent(&mut self) {
        if let Some(prompt) = self.sent.take() {
            self.queue.put_back(prompt);
        }
        if let Turn::Running { .. } = self.turn {
            self.turn = Turn::Idle;
            self.ready = false;
        }
    }

    fn was_set(&mut self, done: bool, now_ms: u64, shown: &Conversation) {
        match std::mem::replace(&mut self.turn, Turn::Idle) {
            Turn::Preparing { prompt, before, .. } if done => {
                // It may have been taken back meanwhile.
                if !self.send(prompt, Some(before.clone())) {
                    self.restore(before, now_ms);
                }
            }
            Turn::Preparing { prompt, .. } if self.accepted.contains(&prompt) => {
                self.send(prompt, None);
            }
            Turn::Preparing { prompt, .. } => self.wait_for_yes(prompt),
            Turn::Restoring { .. } => {}
            other => self.turn = other,
        }
        self.go_on(now_ms, shown);
    }

    fn turn_ended(&mut self, now_ms: u64) {
        self.sent = None;
        if let Turn::Running { before, .. } = std::mem::replace(&mut self.turn, Turn::Idle)
            && let Some(before) = before
        {
            self.restore(before, now_ms);
        }
    }

    /// Sets the mode again that was there before.
    fn restore(&mut self, (option, value): (String, String), now_ms: u64) {
        self.orders.push_back(Order::Set {
            option,
            value,
            by: by_itself(),
        });
        self.turn = Turn::Restoring {
            until_ms: now_ms.saturating_add(SET_LIMIT_MS),
        };
    }
}

/// On whose behalf a prompt of theirs makes the agent work.
fn acting(by: &Author) -> Acting {
    match by.right.as_str() {
        "host" => Acting::Host,
        _ => Acting::Guest(by.id.clone()),
    }
}

fn open(shown: &Conversation, question: ItemId) -> Result<&Question, RefusedRequest> {
    let asked = shown.question(question);
    let open = asked.filter(|asked| asked.is_open());
    open.ok_or(RefusedRequest::NotOpen)
}

fn tool_of<'a>(asked: &Question, shown: &'a Conversation) -> Option<&'a Tool> {
    // A subagent's tools are in a thread of its own.
    let threads = 0..u32::try_from(shown.threads().len()).unwrap_or(u32::MAX);
    let mut items = threads.filter_map(|thread| shown.tool(thread, &asked.tool));
    match &shown.item(items.next()?)?.body {
        ItemBody::Tool(tool) => Some(tool),
        _ => None,
    }
}

/// Whether a question is about reading or searching alone.
fn reads(asked: &Question, shown: &Conversation) -> bool {
    let kind = tool_of(asked, shown).map(Tool::kind);
    matches!(kind, Some(ToolKind::Read | ToolKind::Search))
}

/// What a rule made of a question is about; `None` of one that says too little.
fn about(asked: &Question, shown: &Conversation) -> Option<About> {
    let tool = tool_of(asked, shown);
    let kind = tool.map_or(ToolKind::Other, Tool::kind);
    let word = tool.map(|tool| tool.kind_word.clone()).unwrap_or_default();
    match kind {
        ToolKind::Read | ToolKind::Search | ToolKind::Edit => Some(About {
            tool: word,
            command: String::new(),
        }),
        // Of anything else it is allowed to the letter.
        _ => {
            let whole = match asked.command.is_empty() {
                false => Some(&asked.command),
                true => tool.map(|tool| &tool.input),
            };
            // Of one that is not held whole, another may have the same beginning.
            let command = whole
                .filter(|text| text.omitted() == 0)
                .map_or_else(String::new, |text| text.as_str().to_owned());
            let tool = if word.is_empty() {
                "other".to_owned()
            } else {
                word
            };
            (!command.is_empty()).then_some(About { tool, command })
        }
    }
}

/// The choice that says yes this time.
fn allow_once(asked: &Question) -> Option<String> {
    let mut choices = asked.choices.iter();
    let once = choices.find(|choice| choice.kind() == ChoiceKind::AllowOnce)?;
    Some(once.id.clone())
}

impl RefusedRequest {
    /// Its number on the wire: a reason is added at the end.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The reason of a number; `None` for one of a newer version.
    pub fn from_number(number: u8) -> Option<RefusedRequest> {
        postcard::from_bytes(&[number]).ok()
    }
}

impl From<NotQueued> for RefusedRequest {
    fn from(why: NotQueued) -> RefusedRequest {
        match why {
            NotQueued::Empty => RefusedRequest::Empty,
            NotQueued::TooLong(_) => RefusedRequest::TooLong,
            NotQueued::TooManyOfYours => RefusedRequest::TooManyOfYours,
            NotQueued::Full => RefusedRequest::Full,
            NotQueued::Gone => RefusedRequest::Gone,
            NotQueued::NotYours => RefusedRequest::NotYours,
            NotQueued::NotPastOthers => RefusedRequest::NotPastOthers,
        }
    }
}

#[cfg(test)]
mod tests;
