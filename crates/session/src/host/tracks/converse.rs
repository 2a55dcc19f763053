//! Conversations with agents: they begin, people want something of them, and what is to be done goes to the driver.

use pillion_conversation::{Conversation, Person};
use pillion_proto::{
    ConversationRequest, ParticipantId, TrackId, TrackKind, TrackState, Trust, limits::MAX_TRACKS,
};

use crate::{
    host::{
        Host,
        api::{ConversationNews, HostOutput},
        commands::verbs::{CommandError, Converse, OpenConversation},
        context::Context,
        people::roster::HOST,
        principal::Principal,
        timers::Timer,
        tracks::{
            Tracks,
            conversation::ConversationTrack,
            track::{Body, Track},
        },
    },
    types::Now,
};

impl Host {
    /// `pillion agent` in a session: another conversation.
    pub(in crate::host) fn open_conversation(
        &mut self,
        open: OpenConversation,
    ) -> Result<TrackId, CommandError> {
        let OpenConversation { title, start, gate } = open;
        if !self.tracks.any_live() {
            return Err(CommandError::SessionEnded);
        }
        let id = self.tracks.reserve();
        let id = id.ok_or(CommandError::TooManyTracks { max: MAX_TRACKS })?;
        let program = start.command.first().map_or("agent", String::as_str);
        let now = self.cx.now.mono_us;
        let track = Track::conversation(id, &title, program, gate, HOST, now);
        self.add(track.chained(&self.cx.keys.session.public(), self.cx.run));
        self.cx.push(HostOutput::StartAgent { track: id, start });
        Ok(id)
    }

    /// The host wants something of a conversation.
    pub(in crate::host) fn converse_at_host(
        &mut self,
        by: &Principal,
        converse: Converse,
    ) -> Result<(), CommandError> {
        let Converse { track, request } = converse;
        let track = self.conversation_meant(track)?;
        let who = self.conversation_host(by);
        self.converse(&who, track, request)
    }

    /// Says how far somebody's prompts are trusted in a conversation.
    pub(in crate::host) fn trust(
        &mut self,
        by: &Principal,
        track: Option<TrackId>,
        id: ParticipantId,
        trust: Trust,
    ) -> Result<(), CommandError> {
        let track = self.conversation_meant(track)?;
        let who = match by {
            Principal::CoHost { id, .. } => self.conversation_person(*id),
            _ => self.conversation_host(by),
        };
        let person = self.people.person(id)?.identity.to_string();
        self.converse(&who, track, ConversationRequest::Trust { person, trust })
    }

    /// How far somebody's prompts are trusted in a conversation.
    pub(in crate::host) fn trust_of(
        &self,
        track: Option<TrackId>,
        id: ParticipantId,
    ) -> Result<Trust, CommandError> {
        let track = self.conversation_meant(track)?;
        let person = self.people.person(id)?.identity.to_string();
        match self.tracks.get(track).map(|track| &track.body) {
            Some(Body::Conversation(conversation)) => Ok(conversation.trust(&person)),
            _ => Err(CommandError::NoConversation),
        }
    }

    /// The conversation that is named, or the first that is live.
    fn conversation_meant(&self, track: Option<TrackId>) -> Result<TrackId, CommandError> {
        let first = || {
            let mut live = self.tracks.iter();
            let is_live = |track: &&Track| {
                track.kind() == TrackKind::Conversation && track.state == TrackState::Live
            };
            live.find(is_live).map(|track| track.id)
        };
        track.or_else(first).ok_or(CommandError::NoConversation)
    }

    /// The host as a conversation knows them.
    fn conversation_host(&self, by: &Principal) -> Person {
        // What comes by the socket, after others could make programs here say it, is nobody's in particular.
        let is_host = !(matches!(by, Principal::Socket) && self.socket_needs_a_yes());
        Person {
            id: if is_host {
                String::new()
            } else {
                "socket".to_owned()
            },
            name: self.people.display_name(&self.cx, by),
            is_host,
            prompts: true,
            // It has been confirmed where it had to be.
            approves: true,
            manages: true,
        }
    }

    /// A viewer wants something of one.
    pub(in crate::host) fn converse_for_viewer(
        &mut self,
        id: ParticipantId,
        track: TrackId,
        request: ConversationRequest,
    ) -> Result<(), CommandError> {
        let who = self.conversation_person(id);
        self.converse(&who, track, request)
    }

    fn converse(
        &mut self,
        who: &Person,
        id: TrackId,
        request: ConversationRequest,
    ) -> Result<(), CommandError> {
        let now_ms = now_ms(self.cx.now);
        if self.tracks.live(id).is_none() {
            return Err(CommandError::NoSuchTrack(id));
        }
        self.withdraw_of_others(id);
        let conversation = self.tracks.conversation_mut(id);
        let conversation = conversation.ok_or(CommandError::NoConversation)?;
        let title = match &request {
            ConversationRequest::Rename { title } => Some(title.clone()),
            _ => None,
        };
        let done = conversation.request(now_ms, who, request);
        self.carry_out_orders(id);
        done.map_err(CommandError::Conversation)?;
        if let Some(title) = title {
            self.rename_conversation(id, &title);
        }
        Ok(())
    }

    /// A conversation is called something else from now on.
    fn rename_conversation(&mut self, id: TrackId, title: &str) {
        if let Some(track) = self.tracks.get_mut(id) {
            track.rename(title);
            self.tracks.track_changed(id);
        }
    }

    /// Somebody as a conversation knows them, by what they may do at this moment.
    fn conversation_person(&self, id: ParticipantId) -> Person {
        let Some(person) = self.people.roster().get(id) else {
            return Person::default();
        };
        let rights = self
            .people
            .rights()
            .converses(&person.identity, self.cx.now);
        Person {
            id: person.identity.to_string(),
            name: person.name.to_string(),
            is_host: self.cx.keys.owner == Some(person.identity),
            ..rights
        }
    }

    /// Whether somebody has the right to send prompts.
    pub(in crate::host) fn prompts(&self, id: ParticipantId) -> bool {
        self.conversation_person(id).prompts
    }

    /// An entry for a conversation's log.
    pub(in crate::host) fn on_conversation(&mut self, id: TrackId, entry: &str) {
        self.tracks.on_conversation(&mut self.cx, id, entry);
        self.carry_out_orders(id);
    }

    /// Something happened to a conversation's agent.
    pub(in crate::host) fn on_agent(&mut self, id: TrackId, news: &ConversationNews) {
        let now_ms = now_ms(self.cx.now);
        self.withdraw_of_others(id);
        if let Some(conversation) = self.tracks.conversation_mut(id) {
            conversation.happened(now_ms, news);
            self.carry_out_orders(id);
        }
    }

    /// Claims and waits that are over.
    pub(in crate::host) fn expire_conversations(&mut self) {
        let now_ms = now_ms(self.cx.now);
        for id in self.tracks.conversations() {
            self.withdraw_of_others(id);
            if let Some(conversation) = self.tracks.conversation_mut(id) {
                conversation.tick(now_ms);
                self.carry_out_orders(id);
            }
        }
    }

    /// A right that has ended by the clock sends nothing, whether that was noticed or not.
    fn withdraw_of_others(&mut self, id: TrackId) {
        let Some(conversation) = self.tracks.conversation_mut(id) else {
            return;
        };
        for key in conversation.waits_for() {
            let rights = self.people.rights().converses(&key, self.cx.now);
            if rights.prompts || self.cx.keys.owner == Some(key) {
                continue;
            }
            let who = Person {
                id: key.to_string(),
                ..rights
            };
            if let Some(conversation) = self.tracks.conversation_mut(id) {
                conversation.rights_changed(&who, true);
            }
        }
    }

    /// Tells conversations of those whose rights changed, or who left.
    pub(in crate::host) fn tell_conversations(&mut self) {
        if self.cx.standings_changed.is_empty() {
            return;
        }
        let changed = std::mem::take(&mut self.cx.standings_changed);
        for track in self.tracks.conversations() {
            for id in &changed {
                let who = self.conversation_person(*id);
                let person = self.people.roster().get(*id);
                let here = person.is_some_and(|person| person.connections > 0);
                if let Some(conversation) = self.tracks.conversation_mut(track) {
                    conversation.rights_changed(&who, here);
                }
            }
            self.carry_out_orders(track);
        }
    }

    /// Passes on what a conversation wants done.
    pub(in crate::host) fn carry_out_orders(&mut self, id: TrackId) {
        let Some(conversation) = self.tracks.conversation_mut(id) else {
            return;
        };
        while let Some(order) = conversation.poll() {
            if order.is_others() {
                // What others make an agent do may come by the socket from then on.
                self.commands.note_remote_input();
            }
            self.cx.push(HostOutput::Order { track: id, order });
        }
        if let Some(deadline_ms) = conversation.deadline_ms() {
            let at_us = deadline_ms.saturating_mul(1000);
            self.cx.timers.set_by(Timer::Conversations, at_us);
        }
    }
}

impl Tracks {
    fn conversation_mut(&mut self, id: TrackId) -> Option<&mut ConversationTrack> {
        match &mut self.get_mut(id)?.body {
            Body::Conversation(conversation) => Some(conversation),
            Body::Terminal(_) | Body::Log(_) => None,
        }
    }

    pub(in crate::host) fn shown_conversation(&self, id: TrackId) -> Option<&Conversation> {
        match &self.get(id)?.body {
            Body::Conversation(conversation) => Some(conversation.shown()),
            Body::Terminal(_) | Body::Log(_) => None,
        }
    }

    fn conversations(&self) -> Vec<TrackId> {
        let all = self.iter();
        let conversations = all.filter(|track| track.kind() == TrackKind::Conversation);
        conversations.map(|track| track.id).collect()
    }

    /// An entry for a conversation's log.
    fn on_conversation(&mut self, cx: &mut Context, id: TrackId, entry: &str) {
        let Some(track) = self.get_mut(id) else {
            return;
        };
        let Body::Conversation(conversation) = &mut track.body else {
            return;
        };
        if track.state != TrackState::Live {
            return;
        }
        let taken = conversation.append(entry);
        let is_full = conversation.is_full();
        self.took_entry(cx, id, taken, is_full);
    }
}

fn now_ms(now: Now) -> u64 {
    now.mono_us / 1000
}
