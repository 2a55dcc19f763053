//! What keys do in a conversation.

use pillion_conversation::{Activity, Answer, Choice, ChoiceKind, Question};

use super::{
    AGAIN_US, ConversationAction, ConversationContext, ConversationView, Focus, SENT_US,
    card::{Claim, choice_of, claim},
    changes::Done,
    form::{Filled, Form},
    input::TooLong,
    items::Around,
    menu::{self, Menu},
    span::{BOLD, Line, PLAIN, YELLOW},
};
use crate::{
    keys::{Event, Key, KeyCode, Mods, Mouse, Press},
    text,
};

/// Rows per notch of the wheel.
const WHEEL_ROWS: usize = 3;

/// What keys do, the most useful first.
const HELP: [(&str, &str); 17] = [
    ("Enter", "sends, behind what waits"),
    ("Alt-Enter", "begins a new line; so does Ctrl-J"),
    ("Ctrl-S", "stops the turn that runs, and sends at once"),
    ("Esc Esc", "stops the turn; so does Ctrl-C twice"),
    ("PgUp PgDn", "scroll, like the wheel; Home, End"),
    ("Tab", "goes to a question, then to what can be opened"),
    ("Space", "opens what is chosen, or closes it"),
    ("Ctrl-R", "opens everything, or closes it"),
    ("Ctrl-T", "shows the plan"),
    (
        "Ctrl-G",
        "shows what changed in the files; comment on lines there",
    ),
    ("Ctrl-P", "lists what can be set: mode, model, rules, trust"),
    ("Up", "in an empty line: changes your prompt that waits"),
    ("Ctrl-X", "takes that back"),
    ("Ctrl-O", "holds it, or lets it go"),
    ("Alt-Up", "sends it earlier; Alt-Down later"),
    ("F5", "twice: starts the agent again, to go on from here"),
    ("/", "lists the agent's commands; Tab completes"),
];

const WATCHES: &str = "You watch this conversation: prompts are sent by those with the right to prompt. Ask the host for it.";

/// Ctrl-D: a form is sent back empty, or the agent is to stop.
const DECLINE: char = '\u{4}';

const TOO_LONG: &str = "That is longer than a prompt may be.";

impl ConversationView {
    /// Takes in what the terminal sent. `alone` says that it is one key that came in a read of its own: only such a
    /// key answers a question. Draw afterwards.
    pub fn on_event(
        &mut self,
        cx: &ConversationContext<'_>,
        event: &Event<'_>,
        alone: bool,
    ) -> Vec<ConversationAction> {
        let mut actions = Vec::new();
        self.note(cx);
        match event {
            Event::Reply | Event::Unknown | Event::Focus(_) => {}
            Event::Text(text) => self.text(cx, text, alone, &mut actions),
            Event::Key(key) if key.press == Press::Up => {}
            Event::Key(key) => self.key(cx, key, alone, &mut actions),
            Event::PasteStart if self.focus == Focus::Changes => {}
            Event::Paste(text) if self.focus == Focus::Changes => self.changes.paste(text),
            Event::PasteStart => {
                if !self.form_takes_text(cx) && self.writes(cx) {
                    self.input.paste_begins();
                }
            }
            Event::Paste(text) => {
                if self.form_takes_text(cx) {
                    if let Some(form) = &mut self.card.form {
                        form.bytes(text);
                    }
                } else if cx.may_prompt {
                    let typed = self.input.bytes(text);
                    self.typed(cx, typed);
                }
            }
            Event::PasteEnd => self.input.paste_ends(),
            Event::Mouse(mouse) => self.mouse(cx, mouse),
        }
        actions
    }

    fn text(
        &mut self,
        cx: &ConversationContext<'_>,
        text: &[u8],
        alone: bool,
        actions: &mut Vec<ConversationAction>,
    ) {
        if std::mem::take(&mut self.help) {
            return;
        }
        match (self.focus, text) {
            (Focus::Card, _) if self.form_takes_text(cx) => {
                if let Some(form) = &mut self.card.form {
                    form.bytes(text);
                }
            }
            (Focus::Card, _) => {
                let text = String::from_utf8_lossy(text);
                let mut chars = text.chars();
                if let (Some(ch), None) = (chars.next(), chars.next()) {
                    self.answer(cx, ch, alone, actions);
                }
            }
            (Focus::Changes, _) => {
                let done = self.changes.text(cx, text);
                self.changes_done(cx, done, actions);
            }
            (Focus::Item, b" ") => self.history.toggle(),
            (Focus::Menu, [digit @ b'1'..=b'9']) => {
                self.choose(cx, Some(usize::from(digit - b'1')), actions);
            }
            (Focus::Menu, _) => {}
            _ => {
                if self.writes(cx) {
                    let typed = self.input.bytes(text);
                    self.typed(cx, typed);
                }
            }
        }
    }

    /// Whether what is typed goes to the line. A person without the right to prompt is told so.
    fn writes(&mut self, cx: &ConversationContext<'_>) -> bool {
        if !cx.may_prompt {
            if self.message.is_none() {
                self.say(cx.now, WATCHES);
            }
            return false;
        }
        self.focus_input();
        true
    }

    fn focus_input(&mut self) {
        self.focus = Focus::Input;
        self.history.choose_none();
    }

    fn typed(&mut self, cx: &ConversationContext<'_>, typed: Result<(), TooLong>) {
        if typed.is_err() {
            self.say(cx.now, TOO_LONG);
        }
    }

    fn key(
        &mut self,
        cx: &ConversationContext<'_>,
        key: &Key,
        alone: bool,
        actions: &mut Vec<ConversationAction>,
    ) {
        if std::mem::take(&mut self.help) {
            return;
        }
        let around = self.around(cx);
        let page = self.history.page();
        match (key.code, key.mods) {
            (KeyCode::Char('c'), Mods::CTRL) => self.stop(cx, true, actions),
            (KeyCode::Char('g'), Mods::CTRL) if self.focus == Focus::Changes => self.focus_input(),
            (KeyCode::Char('g'), Mods::CTRL) => {
                self.history.choose_none();
                self.focus = Focus::Changes;
            }
            (_, _) if self.focus == Focus::Changes => {
                let done = self.changes.key(cx, key);
                self.changes_done(cx, done, actions);
            }
            (KeyCode::Esc, _) => self.stop(cx, false, actions),
            (KeyCode::Char('t'), Mods::CTRL) => self.plan_open = !self.plan_open,
            (KeyCode::Char('r'), Mods::CTRL) => self.history.open_all(),
            (KeyCode::F(1), _) => self.help = true,
            (KeyCode::F(5), _) => self.restart(cx, actions),
            (KeyCode::Char('p'), Mods::CTRL) => self.open_menu(),
            (code, _) if self.focus == Focus::Menu => self.menu_key(cx, code, actions),
            (KeyCode::Tab, Mods::NONE) => self.tab(cx, &around),
            (KeyCode::Tab, _) => self.back_tab(&around),
            (KeyCode::Char('d'), Mods::CTRL) if self.focus == Focus::Card => {
                self.answer(cx, DECLINE, alone, actions);
            }
            (KeyCode::Enter, _) if self.focus == Focus::Card => {
                self.answer(cx, '\r', alone, actions);
            }
            (_, _) if self.form_takes_text(cx) && !is_vertical(key.code) => {
                if let Some(form) = &mut self.card.form {
                    form.key(key);
                }
            }
            (code, _) if self.focus == Focus::Card => self.card_key(cx, code),
            (KeyCode::PageUp, _) => self.history.up(&around, page),
            (KeyCode::PageDown, _) => self.history.down(&around, page),
            (code, _) if self.focus == Focus::Item => self.item_key(&around, code),
            // In an empty line they have nothing else to do.
            (KeyCode::Home, _) if self.input.is_empty() => self.history.show_beginning(&around),
            (KeyCode::End, _) if self.input.is_empty() => self.history.show_end(),
            (KeyCode::Home, Mods::CTRL) => self.history.show_beginning(&around),
            (KeyCode::End, Mods::CTRL) => self.history.show_end(),
            _ => self.input_key(cx, key, actions),
        }
    }

    /// Does what a key in what has changed comes to.
    fn changes_done(
        &mut self,
        cx: &ConversationContext<'_>,
        done: Done,
        actions: &mut Vec<ConversationAction>,
    ) {
        match done {
            Done::Nothing => {}
            Done::Closed => self.focus_input(),
            Done::Say(text) => self.say(cx.now, text),
            Done::Prompt(text) => {
                self.focus_input();
                self.history.show_end();
                actions.push(ConversationAction::Prompt { text });
            }
        }
    }

    fn around<'a>(&self, cx: &ConversationContext<'a>) -> Around<'a> {
        Around::of(cx, self.size.0)
    }

    /// From the line to the question, and from there to the items, upwards.
    fn tab(&mut self, cx: &ConversationContext<'_>, around: &Around<'_>) {
        if self.focus == Focus::Input
            && let Some(command) = self.commands(cx).first()
        {
            let text = format!("/{} ", command.name);
            return self.input.replace(&text);
        }
        if self.focus == Focus::Input && self.card.question().is_some() && cx.may_approve {
            self.focus = Focus::Card;
            return;
        }
        if self.history.choose_next(around, true) {
            self.focus = Focus::Item;
        } else {
            self.focus_input();
        }
    }

    fn back_tab(&mut self, around: &Around<'_>) {
        match self.focus {
            Focus::Item if self.history.choose_next(around, false) => {}
            _ => self.focus_input(),
        }
    }

    fn item_key(&mut self, around: &Around<'_>, code: KeyCode) {
        match code {
            KeyCode::Enter => self.history.toggle(),
            KeyCode::Up => {
                self.history.choose_next(around, true);
            }
            KeyCode::Down => self.back_tab(around),
            KeyCode::Home => self.history.show_beginning(around),
            KeyCode::End => {
                self.history.show_end();
                self.focus_input();
            }
            _ => {}
        }
    }

    fn card_key(&mut self, cx: &ConversationContext<'_>, code: KeyCode) {
        let page = self.card.page();
        match code {
            KeyCode::Up => self.card.scroll(false, 1),
            KeyCode::Down => self.card.scroll(true, 1),
            KeyCode::PageUp => self.card.scroll(false, page),
            KeyCode::PageDown => self.card.scroll(true, page),
            KeyCode::Home => self.card.scroll(false, usize::MAX / 2),
            KeyCode::End => self.card.scroll(true, usize::MAX / 2),
            KeyCode::Backspace => {
                if let Some(form) = &mut self.card.form {
                    form.back();
                }
            }
            KeyCode::Left => self.other_question(cx, false),
            KeyCode::Right => self.other_question(cx, true),
            KeyCode::Enter => {
                self.say(cx.now, "Enter answers nothing: press the key of an answer.")
            }
            _ => {}
        }
    }

    fn open_menu(&mut self) {
        self.menu = Menu::default();
        self.focus = Focus::Menu;
        self.history.choose_none();
    }

    fn menu_key(
        &mut self,
        cx: &ConversationContext<'_>,
        code: KeyCode,
        actions: &mut Vec<ConversationAction>,
    ) {
        match code {
            KeyCode::Up => self.menu.up(),
            KeyCode::Down => self.menu.down(),
            KeyCode::Enter => self.choose(cx, None, actions),
            KeyCode::Left | KeyCode::Backspace => {
                self.menu.back();
            }
            _ => {}
        }
    }

    fn choose(
        &mut self,
        cx: &ConversationContext<'_>,
        number: Option<usize>,
        actions: &mut Vec<ConversationAction>,
    ) {
        let chosen = self.menu.choose(cx, number);
        actions.extend(chosen.action);
        if !chosen.stays {
            self.focus_input();
        }
        if let Some(prompt) = chosen.edits {
            let mut queue = cx.conversation.queue().iter();
            if let Some(waiting) = queue.find(|waiting| waiting.number == prompt) {
                self.editing = Some(prompt);
                self.input.replace(waiting.text.as_str());
            }
        }
        if chosen.renames {
            self.editing = None;
            self.renaming = true;
            self.input.clear();
        }
    }

    fn other_question(&mut self, cx: &ConversationContext<'_>, next: bool) {
        let open: Vec<_> = cx.conversation.open_questions().map(|(id, _)| id).collect();
        let at = open.iter().position(|id| Some(*id) == self.card.question());
        let to = at.and_then(|at| {
            if next {
                at.checked_add(1)
            } else {
                at.checked_sub(1)
            }
        });
        if let Some(id) = to.and_then(|to| open.get(to)) {
            let question = cx.conversation.question(*id);
            self.card.show(question.map(|question| (*id, question)));
        }
    }

    /// A key pressed at the question.
    fn answer(
        &mut self,
        cx: &ConversationContext<'_>,
        key: char,
        alone: bool,
        actions: &mut Vec<ConversationAction>,
    ) {
        let Some((id, question)) = self.question(cx) else {
            return;
        };
        if self.sent.is_some_and(|(sent, _)| sent == id) {
            return;
        }
        if cx.host_away {
            return self.say(
                cx.now,
                "The host is away: nothing can be answered until it is back.",
            );
        }
        let claim = claim(cx, question);
        let is_form = question.choices.is_empty();
        let is_no = match key {
            'c' if claim == Claim::Mine && !is_form => {
                return actions.push(ConversationAction::Release { question: id });
            }
            'c' if claim == Claim::Free && !is_form => {
                return actions.push(ConversationAction::Claim { question: id });
            }
            DECLINE => true,
            _ if is_form => false,
            '\r' => {
                return self.say(cx.now, "Enter answers nothing: press the key of an answer.");
            }
            'a' if choice_of(question, 'y').is_some() => false,
            key => match choice_of(question, key) {
                Some(choice) => choice.kind() == ChoiceKind::RejectOnce,
                None => return self.no_such_answer(cx, question, key),
            },
        };
        if let Claim::Others(by) = claim {
            let name = text::name(&by.name, 24);
            let text = format!(
                "{name} is handling this: it is free again when they leave it, or after a minute."
            );
            return self.say(cx.now, &text);
        }
        if !self.card.takes_answer(alone, is_no) {
            return;
        }
        let answer = match key {
            'a' if !is_form => {
                self.sent = Some((id, cx.now.mono_us.saturating_add(SENT_US)));
                return actions.push(ConversationAction::AllowAlike { question: id });
            }
            DECLINE if is_form => Answer::Decline,
            DECLINE => Answer::Cancel,
            key if is_form => match self.fill_in(cx, key) {
                Some(filled) => Answer::Form(filled),
                None => return,
            },
            key => match choice_of(question, key) {
                Some(choice) => Answer::Choice(choice.id.clone()),
                None => return,
            },
        };
        self.sent = Some((id, cx.now.mono_us.saturating_add(SENT_US)));
        actions.push(ConversationAction::Answer {
            question: id,
            answer,
        });
    }

    /// A key in a form; what was filled in, if it was the last.
    fn fill_in(&mut self, cx: &ConversationContext<'_>, key: char) -> Option<String> {
        let form = self.card.form.as_mut()?;
        let filled = match key {
            '\r' => form.enter(),
            key => form.choose(key),
        };
        match filled {
            Filled::More => None,
            Filled::Done(filled) => Some(filled),
            Filled::No(why) => {
                self.say(cx.now, why);
                None
            }
        }
    }

    fn form_takes_text(&self, cx: &ConversationContext<'_>) -> bool {
        self.focus == Focus::Card
            && cx.may_approve
            && self.card.form.as_ref().is_some_and(Form::takes_text)
    }

    fn no_such_answer(&mut self, cx: &ConversationContext<'_>, question: &Question, key: char) {
        self.card.wait_again();
        let has = |word: &str| {
            question
                .choices
                .iter()
                .any(|one: &Choice| one.kind_word == word)
        };
        let text = match key {
            'y' if has("allow_always") => {
                "Nothing here allows it only this once: press the number of what you mean."
            }
            'y' | 'n' => "Press the number of the answer you mean.",
            _ => "That key answers nothing here. Esc goes to the line for a prompt.",
        };
        self.say(cx.now, text);
    }

    /// Ctrl-C and Esc: back to the line, or, pressed twice, the turn is stopped.
    fn stop(
        &mut self,
        cx: &ConversationContext<'_>,
        ctrl_c: bool,
        actions: &mut Vec<ConversationAction>,
    ) {
        if !ctrl_c && self.focus == Focus::Menu && self.menu.back() {
            return;
        }
        if !ctrl_c && self.focus != Focus::Input {
            self.focus_input();
            return;
        }
        let renamed = std::mem::take(&mut self.renaming);
        if renamed || (!ctrl_c && self.editing.take().is_some()) {
            self.input.clear();
            return;
        }
        let runs = matches!(
            cx.conversation.activity(0),
            Activity::Working | Activity::NeedsAnswer
        );
        match () {
            () if !runs && !self.input.is_empty() && ctrl_c => {
                self.input.clear();
                self.editing = None;
            }
            () if !cx.may_prompt => {
                let _ = self.writes(cx);
            }
            () if !runs => self.say(cx.now, "Nothing runs that could be stopped."),
            () if cx.host_away => self.say(
                cx.now,
                "The host is away: the turn can't be stopped from here.",
            ),
            () if self.again_until.is_some_and(|until| cx.now.mono_us < until) => {
                self.again_until = None;
                self.message = None;
                actions.push(ConversationAction::Cancel);
            }
            () => {
                self.again_until = Some(cx.now.mono_us.saturating_add(AGAIN_US));
                let key = if ctrl_c { "Ctrl-C" } else { "Esc" };
                self.say(cx.now, &format!("{key} again within 2 s stops the turn."));
            }
        }
    }

    /// F5, pressed twice unless the agent has ended, starts it again.
    fn restart(&mut self, cx: &ConversationContext<'_>, actions: &mut Vec<ConversationAction>) {
        let has_ended = cx.conversation.process().exit.is_some();
        match () {
            () if !cx.may_manage => self.say(
                cx.now,
                "The agent is started again by who manages the session.",
            ),
            () if cx.host_away => self.say(
                cx.now,
                "The host is away: the agent can't be started again from here.",
            ),
            () if has_ended
                || self
                    .restart_until
                    .is_some_and(|until| cx.now.mono_us < until) =>
            {
                self.restart_until = None;
                self.message = None;
                actions.push(ConversationAction::Restart);
            }
            () => {
                self.restart_until = Some(cx.now.mono_us.saturating_add(AGAIN_US));
                self.say(
                    cx.now,
                    "F5 again within 2 s ends the agent and starts it again, to go on from what was said.",
                );
            }
        }
    }

    fn input_key(
        &mut self,
        cx: &ConversationContext<'_>,
        key: &Key,
        actions: &mut Vec<ConversationAction>,
    ) {
        let newline = match (key.code, key.mods) {
            (KeyCode::Enter, Mods::NONE) => return self.send(cx, false, actions),
            (KeyCode::Char('s'), Mods::CTRL) => return self.send(cx, true, actions),
            (KeyCode::Enter, _) | (KeyCode::Char('j'), Mods::CTRL) => true,
            (KeyCode::Char('x'), Mods::CTRL) => return self.withdraw(actions),
            (KeyCode::Char('o'), Mods::CTRL) => return self.hold(cx, actions),
            (KeyCode::Up, Mods::ALT) => return self.reorder(cx, true, actions),
            (KeyCode::Down, Mods::ALT) => return self.reorder(cx, false, actions),
            (KeyCode::Up, _) => {
                // One that was changed is given up by Esc.
                let unchanged = self.is_as_it_waits(cx);
                if (self.input.is_empty() || unchanged) && self.edit_waiting(cx) {
                    return;
                }
                if !self.input.vertical(false) {
                    let around = self.around(cx);
                    self.history.up(&around, 1);
                }
                return;
            }
            (KeyCode::Down, _) => {
                if !self.input.vertical(true) {
                    let around = self.around(cx);
                    self.history.down(&around, 1);
                }
                return;
            }
            _ => false,
        };
        if newline {
            if self.writes(cx) {
                let typed = self.input.insert("\n");
                self.typed(cx, typed);
            }
        } else {
            self.input.key(key);
        }
    }

    fn send(
        &mut self,
        cx: &ConversationContext<'_>,
        amends: bool,
        actions: &mut Vec<ConversationAction>,
    ) {
        let writes = self.renaming || self.writes(cx);
        if self.input.text().trim().is_empty() || !writes {
            return;
        }
        if cx.host_away {
            return self.say(
                cx.now,
                "The host is away: this can be sent when it is back.",
            );
        }
        let runs = matches!(
            cx.conversation.activity(0),
            Activity::Working | Activity::NeedsAnswer
        );
        let text = self.input.take();
        if std::mem::take(&mut self.renaming) {
            let title = text.trim().to_owned();
            return actions.push(ConversationAction::Rename { title });
        }
        actions.push(match self.editing.take() {
            Some(prompt) => ConversationAction::EditQueued { prompt, text },
            None if amends && runs => ConversationAction::Amend { text },
            None => ConversationAction::Prompt { text },
        });
        self.history.show_end();
    }

    /// The person's newest waiting prompt comes into the line, or the one before the one that is there.
    fn edit_waiting(&mut self, cx: &ConversationContext<'_>) -> bool {
        let queue = cx.conversation.queue();
        let mut own = queue
            .iter()
            .rev()
            .filter(|waiting| waiting.by.id == cx.me && waiting.text.omitted() == 0);
        let waiting = match self.editing {
            None => own.next(),
            Some(editing) => {
                let mut before = own.skip_while(|waiting| waiting.number != editing);
                before.next();
                before.next()
            }
        };
        let Some(waiting) = waiting.filter(|_| cx.may_prompt) else {
            return false;
        };
        self.editing = Some(waiting.number);
        self.input.replace(waiting.text.as_str());
        true
    }

    /// Whether the line holds a waiting prompt as it is.
    fn is_as_it_waits(&self, cx: &ConversationContext<'_>) -> bool {
        let mut queue = cx.conversation.queue().iter();
        queue.any(|waiting| {
            Some(waiting.number) == self.editing && waiting.text.as_str() == self.input.text()
        })
    }

    fn withdraw(&mut self, actions: &mut Vec<ConversationAction>) {
        if let Some(prompt) = self.editing.take() {
            self.input.clear();
            actions.push(ConversationAction::Withdraw { prompt });
        }
    }

    fn hold(&mut self, cx: &ConversationContext<'_>, actions: &mut Vec<ConversationAction>) {
        let mut queue = cx.conversation.queue().iter();
        if let Some(waiting) = queue.find(|waiting| Some(waiting.number) == self.editing) {
            actions.push(ConversationAction::Hold {
                prompt: waiting.number,
                held: !waiting.held,
            });
        }
    }

    /// The waiting prompt that is in the line is sent one place earlier, or later.
    fn reorder(
        &mut self,
        cx: &ConversationContext<'_>,
        up: bool,
        actions: &mut Vec<ConversationAction>,
    ) {
        let Some(prompt) = self.editing else {
            return;
        };
        let before = match up {
            true => menu::move_up(cx, prompt).map(Some),
            false => menu::move_down(cx, prompt),
        };
        match before {
            Some(before) => actions.push(ConversationAction::Move { prompt, before }),
            None => self.say(
                cx.now,
                "It can't go there: your prompts change places among each other, and who manages the session moves any.",
            ),
        }
    }

    fn mouse(&mut self, cx: &ConversationContext<'_>, mouse: &Mouse) {
        let around = self.around(cx);
        match mouse.wheel() {
            _ if mouse.release => {}
            Some(rows) if rows < 0 => self.history.up(&around, WHEEL_ROWS),
            Some(_) => self.history.down(&around, WHEEL_ROWS),
            None if mouse.button == 0 => {
                self.history.click(usize::from(mouse.y));
                if self.history.chosen().is_some() {
                    self.focus = Focus::Item;
                }
            }
            None => {}
        }
    }
}

/// Keys that scroll what is asked, whatever is filled in.
fn is_vertical(code: KeyCode) -> bool {
    matches!(
        code,
        KeyCode::Up | KeyCode::Down | KeyCode::PageUp | KeyCode::PageDown
    )
}

/// What keys do, in rows; any key goes back.
pub(super) fn help(cols: usize) -> Vec<Line> {
    let mut rows = vec![Line::new("What keys do here. Any key goes back.", BOLD).cut(cols)];
    for (key, does) in HELP {
        let line = Line::new(&format!("  {key:<10}"), YELLOW).and(does, PLAIN);
        rows.push(line.cut(cols));
    }
    rows
}
