use super::*;
use crate::{Entry, Logged, Message, Outcome};

/// A conversation with an agent that has the modes `ask` and `auto`, and is in `auto`.
struct Desk {
    steering: Steering,
    shown: Conversation,
    now_ms: u64,
    /// What the agent was told, in words.
    told: Vec<String>,
    questions: u64,
}

fn person(id: &str, rights: &str) -> Person {
    Person {
        id: id.to_owned(),
        name: id.to_owned(),
        is_host: rights == "host",
        prompts: rights.contains("prompt"),
        approves: rights.contains("approve"),
        manages: rights.contains("manage"),
    }
}

fn prompt(text: &str) -> ConversationRequest {
    ConversationRequest::Prompt { text: text.into() }
}

impl Desk {
    fn new() -> Desk {
        Desk::with(Gate {
            strict: vec!["plan".into(), "ask".into()],
            ..Gate::default()
        })
    }

    fn with(gate: Gate) -> Desk {
        let mut desk = Desk {
            steering: Steering::new(gate),
            shown: Conversation::new(),
            now_ms: 1,
            told: Vec::new(),
            questions: 0,
        };
        desk.log(Logged::Note(Note::Started {
            environment: crate::Environment::default(),
        }));
        desk.host(r#"{"id":1,"method":"session/new","params":{}}"#);
        desk.agent(
            r#"{"id":1,"result":{"sessionId":"s","modes":{"currentModeId":"auto","availableModes":[{"id":"ask","name":"Ask"},{"id":"auto","name":"Auto"}]}}}"#,
        );
        desk.happened(&ClientEvent::Ready {
            version: 1,
            session: "s".into(),
        });
        desk
    }

    fn log(&mut self, what: Logged<'_>) {
        let at_ms = self.now_ms;
        self.shown.apply(&Entry { at_ms, what });
        self.steering.observe(&self.shown);
        self.pump();
    }

    fn agent(&mut self, message: &str) {
        let message = Message::parse(message).unwrap();
        self.log(Logged::FromAgent(message));
    }

    fn host(&mut self, message: &str) {
        self.host_by(message, None);
    }

    fn host_by(&mut self, message: &str, by: Option<Author>) {
        let message = Message::parse(message).unwrap();
        let prompt = None;
        self.log(Logged::ToAgent {
            message,
            by,
            prompt,
        });
    }

    fn pump(&mut self) {
        while let Some(order) = self.steering.poll() {
            match order {
                Order::Note(note) => self.log(Logged::Note(note)),
                Order::Prompt { text, by, .. } => self.told.push(format!("{}: {text}", by.id)),
                Order::Cancel(by) => self.told.push(format!("{} stops", by.id)),
                Order::Set { option, value, .. } => self.told.push(format!("{option} {value}")),
                Order::Rebase => self.told.push("rebase".to_owned()),
                Order::Restart { by, .. } => self.told.push(format!("{} restarts", by.id)),
                Order::Answer {
                    request,
                    answer,
                    by,
                } => {
                    self.told
                        .push(format!("{} ({}): {answer:?}", by.id, by.right));
                    let Answer::Choice(choice) = answer else {
                        panic!()
                    };
                    self.host_by(
                        &format!(r#"{{"id":{request},"result":{{"outcome":{{"outcome":"selected","optionId":"{choice}"}}}}}}"#),
                        Some(by),
                    );
                }
            }
        }
    }

    fn happened(&mut self, event: &ClientEvent) {
        self.steering.happened(self.now_ms, event, &self.shown);
        self.pump();
    }

    fn set(&mut self, mode: &str) {
        self.agent(&format!(
            r#"{{"method":"session/update","params":{{"sessionId":"s","update":{{"sessionUpdate":"current_mode_update","currentModeId":"{mode}"}}}}}}"#
        ));
        self.happened(&ClientEvent::Set(true));
    }

    fn ask(&mut self, who: &Person, request: ConversationRequest) -> Result<(), RefusedRequest> {
        let done = self
            .steering
            .request(self.now_ms, who, request, &self.shown);
        self.pump();
        done
    }

    /// The agent asks for leave to use a tool; the question's item.
    fn question(&mut self, kind: &str, input: &str) -> ItemId {
        self.questions += 1;
        let n = self.questions;
        self.agent(&format!(
            r#"{{"id":{n},"method":"session/request_permission","params":{{"sessionId":"s","toolCall":{{"toolCallId":"t{n}","title":"does it","kind":"{kind}","rawInput":{{"command":"{input}"}}}},"options":[{{"optionId":"always","name":"Always","kind":"allow_always"}},{{"optionId":"yes","name":"Yes","kind":"allow_once"}},{{"optionId":"no","name":"No","kind":"reject_once"}}]}}}}"#
        ));
        let items = self.shown.items();
        let questions = items.filter(|(_, item)| matches!(item.body, ItemBody::Question(_)));
        questions.map(|(id, _)| id).next_back().unwrap()
    }

    fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    fn outcome(&self, question: ItemId) -> Option<&Outcome> {
        self.shown.question(question).unwrap().outcome.as_ref()
    }
}

#[test]
fn prompts_go_one_after_the_other_and_viewers_send_none() {
    let mut desk = Desk::new();
    let host = person("h", "host");
    let watcher = person("w", "");
    assert_eq!(
        desk.ask(&watcher, prompt("x")),
        Err(RefusedRequest::MayNotPrompt)
    );
    desk.ask(&host, prompt("one")).unwrap();
    desk.ask(&host, prompt("two")).unwrap();
    assert_eq!(desk.told(), ["h: one"]);
    assert_eq!(
        desk.shown.queue().len(),
        2,
        "until the log has that it went"
    );
    assert_eq!(
        desk.ask(&watcher, ConversationRequest::Cancel),
        Err(RefusedRequest::NotYours)
    );
    desk.happened(&ClientEvent::TurnEnded);
    assert_eq!(desk.told(), ["h: two"]);
}

#[test]
fn a_guests_turn_is_in_the_stricter_mode_and_the_old_one_comes_back() {
    let mut desk = Desk::new();
    let guest = person("g", "prompt");
    let host = person("h", "host");
    desk.ask(&guest, prompt("ignore the rules")).unwrap();
    desk.ask(&host, prompt("mine")).unwrap();
    assert_eq!(desk.told(), ["mode ask"], "the prompt waits for it");
    desk.set("ask");
    assert_eq!(desk.told(), ["g: ignore the rules"]);
    // Who sets a mode meanwhile sets it for what comes behind.
    let auto = ConversationRequest::SetOption {
        option: "mode".into(),
        value: "auto".into(),
    };
    desk.ask(&host, auto).unwrap();
    assert_eq!(desk.told(), Vec::<String>::new());
    desk.happened(&ClientEvent::TurnEnded);
    assert_eq!(desk.told(), ["mode auto"]);
    desk.set("auto");
    assert_eq!(desk.told(), ["h: mine"]);
}

#[test]
fn an_agent_that_does_not_set_the_mode_gets_no_guests_prompt_without_a_yes() {
    let mut desk = Desk::new();
    let guest = person("g", "prompt");
    desk.ask(&guest, prompt("x")).unwrap();
    desk.happened(&ClientEvent::Set(false));
    assert_eq!(desk.told(), ["mode ask"]);
    let waiting = &desk.shown.queue()[0];
    assert!(waiting.held && waiting.needs_yes);
    let go = ConversationRequest::Hold {
        prompt: waiting.number,
        held: false,
    };
    assert_eq!(desk.ask(&guest, go.clone()), Err(RefusedRequest::NeedsYes));
    desk.ask(&person("a", "approve"), go).unwrap();
    // It is tried once more, and goes all the same.
    assert_eq!(desk.told(), ["mode ask"]);
    desk.happened(&ClientEvent::Set(false));
    assert_eq!(desk.told(), ["g: x"]);
}

#[test]
fn time_makes_up_for_an_answer_that_does_not_come() {
    let mut desk = Desk::new();
    desk.ask(&person("g", "prompt"), prompt("x")).unwrap();
    let at = desk.steering.deadline_ms().unwrap();
    desk.steering.tick(at - 1, &desk.shown);
    desk.pump();
    assert!(!desk.shown.queue()[0].needs_yes);
    desk.steering.tick(at, &desk.shown);
    desk.pump();
    assert!(desk.shown.queue()[0].needs_yes);
}

#[test]
fn without_modes_a_guests_prompt_waits_for_a_yes_unless_the_agent_always_asks() {
    let mut desk = Desk::with(Gate::default());
    let guest = person("g", "prompt");
    desk.ask(&guest, prompt("x")).unwrap();
    assert!(desk.shown.queue()[0].needs_yes && desk.told().is_empty());
    // What is edited is not what somebody said yes to.
    let go = ConversationRequest::Hold {
        prompt: 0,
        held: false,
    };
    let mut desk = Desk::with(Gate {
        asks: true,
        ..Gate::default()
    });
    desk.ask(&guest, prompt("x")).unwrap();
    assert_eq!(desk.told(), ["g: x"]);
    assert_eq!(desk.ask(&guest, go), Err(RefusedRequest::Gone));
}

#[test]
fn the_first_answer_counts_and_a_claim_keeps_others_out() {
    let mut desk = Desk::new();
    let (anna, bo) = (person("a", "approve"), person("b", "approve"));
    desk.ask(&person("h", "host"), prompt("x")).unwrap();
    desk.told();
    let question = desk.question("execute", "rm");
    let claim = ConversationRequest::Claim { question };
    let yes = ConversationRequest::Answer {
        question,
        answer: Answer::Choice("yes".into()),
    };
    assert_eq!(
        desk.ask(&person("g", "prompt"), yes.clone()),
        Err(RefusedRequest::MayNotApprove)
    );
    desk.ask(&anna, claim.clone()).unwrap();
    assert_eq!(desk.ask(&bo, yes.clone()), Err(RefusedRequest::Claimed));
    assert_eq!(desk.ask(&bo, claim), Err(RefusedRequest::Claimed));
    assert!(desk.shown.question(question).unwrap().claimed_by.is_some());
    desk.steering.left("a");
    desk.pump();
    assert!(desk.shown.question(question).unwrap().claimed_by.is_none());
    let no_such = ConversationRequest::Answer {
        question,
        answer: Answer::Choice("perhaps".into()),
    };
    assert_eq!(desk.ask(&bo, no_such), Err(RefusedRequest::NoSuchChoice));
    desk.ask(&bo, yes.clone()).unwrap();
    assert_eq!(desk.ask(&anna, yes), Err(RefusedRequest::NotOpen));
    let outcome = desk.outcome(question).unwrap();
    assert_eq!(
        (
            outcome.choice.as_str(),
            outcome.by.as_ref().unwrap().id.as_str()
        ),
        ("yes", "b")
    );
}

#[test]
fn a_rule_answers_what_is_alike_never_for_a_guest_and_never_always() {
    let mut desk = Desk::new();
    let host = person("h", "host");
    desk.ask(&host, prompt("x")).unwrap();
    let first = desk.question("execute", "cargo test");
    desk.told();
    desk.ask(&host, ConversationRequest::AllowAlike { question: first })
        .unwrap();
    assert_eq!(
        desk.told(),
        [r#"h (host): Choice("yes")"#],
        "allow_always outlives the session"
    );
    assert_eq!(desk.shown.rules().len(), 1);
    let other = desk.question("execute", "cargo clean");
    assert!(desk.outcome(other).is_none(), "another command");
    let alike = desk.question("execute", "cargo test");
    assert_eq!(
        desk.outcome(alike).unwrap().by.as_ref().unwrap().right,
        "rule 0"
    );
    desk.happened(&ClientEvent::TurnEnded);
    desk.ask(&person("g", "prompt"), prompt("y")).unwrap();
    desk.set("ask");
    let of_guest = desk.question("execute", "cargo test");
    assert!(desk.outcome(of_guest).is_none(), "it is asked");
    desk.ask(&host, ConversationRequest::EndRule { rule: 0 })
        .unwrap();
    assert!(desk.shown.rules().is_empty());
}

#[test]
fn no_rule_is_made_of_a_command_that_is_not_held_whole() {
    let mut desk = Desk::new();
    let host = person("h", "host");
    desk.ask(&host, prompt("x")).unwrap();
    // Another could have the same beginning.
    let long = desk.question("execute", &"x".repeat(crate::limits::MAX_INPUT));
    let refused = desk.ask(&host, ConversationRequest::AllowAlike { question: long });
    assert_eq!(refused, Err(RefusedRequest::NoRule));
    assert!(desk.outcome(long).is_none());
}

#[test]
fn reads_only_lets_read_and_search_and_asks_for_the_rest() {
    let mut desk = Desk::new();
    let host = person("h", "host");
    let guest = person("g", "prompt");
    let trust = ConversationRequest::Trust {
        person: "g".into(),
        trust: Trust::ReadsOnly,
    };
    assert_eq!(
        desk.ask(&guest, trust.clone()),
        Err(RefusedRequest::MayNotManage)
    );
    desk.ask(&host, trust).unwrap();
    assert_eq!(desk.shown.trusted()[0].how, "reads-only");
    desk.ask(&guest, prompt("x")).unwrap();
    desk.set("ask");
    let read = desk.question("read", "");
    assert!(desk.outcome(read).is_some());
    let run = desk.question("execute", "rm");
    assert!(desk.outcome(run).is_none());
    // It is on behalf of the guest, also when the turn has ended.
    desk.happened(&ClientEvent::TurnEnded);
    let later = desk.question("edit", "");
    assert!(desk.outcome(later).is_none());
}

#[test]
fn an_amendment_stops_the_turn_and_comes_next() {
    let mut desk = Desk::new();
    let host = person("h", "host");
    let guest = person("g", "prompt");
    let amend = ConversationRequest::Amend {
        text: "rather this".into(),
    };
    assert_eq!(desk.ask(&host, amend.clone()), Err(RefusedRequest::Idle));
    desk.ask(&host, prompt("one")).unwrap();
    desk.ask(&host, prompt("two")).unwrap();
    assert_eq!(
        desk.ask(&guest, amend.clone()),
        Err(RefusedRequest::NotYours)
    );
    desk.ask(&host, amend).unwrap();
    assert_eq!(desk.told(), ["h: one", "h stops"]);
    desk.happened(&ClientEvent::TurnEnded);
    assert_eq!(desk.told(), ["h: rather this"]);
}

#[test]
fn with_the_rights_go_prompts_and_claims() {
    let mut desk = Desk::new();
    desk.ask(&person("h", "host"), prompt("x")).unwrap();
    let guest = person("g", "prompt approve");
    desk.ask(&guest, prompt("y")).unwrap();
    let question = desk.question("execute", "rm");
    desk.ask(&guest, ConversationRequest::Claim { question })
        .unwrap();
    desk.steering.rights_changed(&person("g", ""), &desk.shown);
    desk.pump();
    assert!(desk.shown.queue().iter().all(|prompt| prompt.by.id != "g"));
    assert!(desk.shown.question(question).unwrap().claimed_by.is_none());
}

#[test]
fn what_waits_goes_on_when_the_agent_begins_again() {
    let mut desk = Desk::new();
    let host = person("h", "host");
    desk.ask(&host, prompt("one")).unwrap();
    desk.ask(&host, prompt("two")).unwrap();
    desk.told();
    desk.steering.ended();
    desk.ask(&host, prompt("three")).unwrap();
    assert_eq!(desk.told(), Vec::<String>::new());
    desk.ask(&host, ConversationRequest::Restart).unwrap();
    desk.happened(&ClientEvent::Ready {
        version: 1,
        session: "s".into(),
    });
    assert_eq!(desk.told(), ["h restarts", "h: two"]);
}

fn trust(id: &str, trust: Trust) -> ConversationRequest {
    let person = id.into();
    ConversationRequest::Trust { person, trust }
}

#[test]
fn who_is_to_watch_sends_nothing_whatever_right_they_have() {
    let mut desk = Desk::new();
    let host = person("h", "host");
    let guest = person("g", "prompt approve manage");
    desk.ask(&host, prompt("one")).unwrap();
    desk.ask(&guest, prompt("mine")).unwrap();
    desk.ask(&host, trust("g", Trust::Watch)).unwrap();
    assert_eq!(desk.shown.trusted()[0].how, "watch");
    let mut queue = desk.shown.queue().iter();
    assert!(
        queue.all(|one| one.by.id != "g"),
        "what waited is taken back"
    );
    assert_eq!(
        desk.ask(&guest, prompt("again")),
        Err(RefusedRequest::MayNotPrompt)
    );
    desk.ask(&host, trust("g", Trust::Ask)).unwrap();
    desk.ask(&guest, prompt("again")).unwrap();
}

#[test]
fn who_is_trusted_prompts_as_the_host_and_by_the_hosts_rules() {
    let mut desk = Desk::new();
    let (host, guest) = (person("h", "host"), person("g", "prompt"));
    desk.ask(&host, prompt("x")).unwrap();
    let first = desk.question("execute", "cargo test");
    desk.ask(&host, ConversationRequest::AllowAlike { question: first })
        .unwrap();
    desk.happened(&ClientEvent::TurnEnded);
    // Only those who are asked say that nobody is to be.
    let manager = person("m", "manage");
    assert_eq!(
        desk.ask(&manager, trust("g", Trust::Trusted)),
        Err(RefusedRequest::MayNotApprove)
    );
    desk.ask(&manager, trust("g", Trust::Watch)).unwrap();
    desk.ask(&person("m", "manage approve"), trust("g", Trust::Trusted))
        .unwrap();
    desk.told();
    desk.ask(&guest, prompt("mine")).unwrap();
    assert_eq!(desk.told(), ["g: mine"], "the mode stays");
    let alike = desk.question("execute", "cargo test");
    assert_eq!(
        desk.outcome(alike).unwrap().by.as_ref().unwrap().right,
        "rule 0"
    );
}

#[test]
fn trust_that_is_taken_back_counts_in_the_turn_that_runs() {
    let mut desk = Desk::new();
    let (host, guest) = (person("h", "host"), person("g", "prompt"));
    desk.ask(&host, trust("g", Trust::Trusted)).unwrap();
    desk.ask(&guest, prompt("mine")).unwrap();
    assert_eq!(desk.told(), ["g: mine"]);
    desk.ask(&host, trust("g", Trust::Ask)).unwrap();
    assert_eq!(desk.told(), ["mode ask"], "the stricter mode");
    desk.set("ask");
    let read = desk.question("read", "");
    assert!(desk.outcome(read).is_none());
    desk.happened(&ClientEvent::TurnEnded);
    assert_eq!(desk.told(), ["mode auto"]);
    // An agent that can't be made to ask is stopped.
    let mut desk = Desk::with(Gate::default());
    desk.ask(&host, trust("g", Trust::Trusted)).unwrap();
    desk.ask(&guest, prompt("mine")).unwrap();
    desk.ask(&host, trust("g", Trust::ReadsOnly)).unwrap();
    assert_eq!(desk.told(), ["g: mine", "h stops"]);
    // With the right goes what was said.
    desk.ask(&host, trust("g", Trust::Trusted)).unwrap();
    desk.steering.rights_changed(&person("g", ""), &desk.shown);
    desk.pump();
    assert_eq!(desk.shown.trusted()[0].how, "ask");
}

#[test]
fn an_agent_that_begins_again_is_in_the_mode_of_before() {
    let mut desk = Desk::new();
    let (host, guest) = (person("h", "host"), person("g", "prompt"));
    // In a turn of a guest's the mode is not the host's.
    desk.ask(&guest, prompt("x")).unwrap();
    desk.set("ask");
    assert_eq!(desk.told(), ["mode ask", "g: x"]);
    desk.ask(&host, ConversationRequest::Restart).unwrap();
    desk.steering.ended();
    desk.happened(&ClientEvent::Ready {
        version: 1,
        session: "s".into(),
    });
    assert_eq!(desk.told(), ["h restarts", "mode auto"]);
    desk.ask(&host, prompt("next")).unwrap();
    assert_eq!(desk.told(), Vec::<String>::new(), "when the mode is set");
    desk.set("auto");
    assert_eq!(desk.told(), ["h: next"]);
}

#[test]
fn a_cancel_that_is_ignored_is_said() {
    let mut desk = Desk::new();
    desk.ask(&person("h", "host"), prompt("x")).unwrap();
    desk.happened(&ClientEvent::CancelIgnored);
    let said = desk.shown.items().last().unwrap().1;
    assert!(
        matches!(&said.body, ItemBody::Notice(notice) if notice.word == crate::Notice::CANCEL_IGNORED)
    );
}

#[test]
fn what_a_conversation_is_called_is_for_who_manages() {
    let mut desk = Desk::new();
    let rename = ConversationRequest::Rename {
        title: "The parser".into(),
    };
    assert_eq!(
        desk.ask(&person("g", "prompt approve"), rename.clone()),
        Err(RefusedRequest::MayNotManage)
    );
    desk.ask(&person("m", "manage"), rename).unwrap();
    let said = desk.shown.items().last().unwrap().1;
    assert!(matches!(&said.body, ItemBody::Notice(notice) if notice.title == "The parser"));
}
