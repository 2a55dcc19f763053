use super::*;
use crate::{Author, Entry, Environment, Exit, Logged, Message};

/// A run of an agent that speaks the protocol's version 1.
struct Desk {
    run: Unattended,
    shown: Conversation,
    now_ms: u64,
    requests: u64,
    /// What it wanted, in words.
    did: Vec<String>,
}

const MINUTE: u64 = 60_000;

impl Desk {
    fn new(limits: RunLimits) -> Desk {
        let mut desk = Desk {
            run: Unattended::new(limits, 1_000),
            shown: Conversation::new(),
            now_ms: 1_000,
            requests: 0,
            did: Vec::new(),
        };
        desk.log(Logged::Note(Note::Started {
            environment: Environment::default(),
        }));
        desk.log(Logged::Note(Note::Queued {
            prompt: 0,
            by: Author::default(),
            text: "do it".into(),
        }));
        desk.host(r#"{"id":1,"method":"session/new","params":{}}"#, None);
        desk.agent(r#"{"id":1,"result":{"sessionId":"s"}}"#);
        desk.prompt(Some(0));
        desk
    }

    fn idle(minutes: u64) -> RunLimits {
        RunLimits {
            idle_ms: minutes * MINUTE,
            max_ms: None,
            max_cost: None,
        }
    }

    fn log(&mut self, what: Logged<'_>) {
        let at_ms = self.now_ms;
        self.shown.apply(&Entry { at_ms, what });
        self.run.observe(self.now_ms, &self.shown);
        self.pump();
    }

    fn pump(&mut self) {
        while let Some(action) = self.run.poll() {
            match action {
                RunAction::Note(note) => {
                    let said = format!("{note:?}");
                    self.did
                        .push(said.split([' ', '{']).next().unwrap().to_owned());
                    self.log(Logged::Note(note));
                }
                RunAction::Announce(event) => self.did.push(format!("{event:?}")),
                RunAction::End(outcome) => self.did.push(format!("end {}", outcome.word())),
            }
        }
    }

    fn host(&mut self, message: &str, prompt: Option<u64>) {
        let message = Message::parse(message).unwrap();
        self.log(Logged::ToAgent {
            message,
            by: None,
            prompt,
        });
    }

    fn agent(&mut self, message: &str) {
        let message = Message::parse(message).unwrap();
        self.log(Logged::FromAgent(message));
    }

    fn update(&mut self, update: &str) {
        self.agent(&format!(
            r#"{{"method":"session/update","params":{{"sessionId":"s","update":{update}}}}}"#
        ));
    }

    fn prompt(&mut self, number: Option<u64>) {
        self.requests += 10;
        let id = self.requests;
        self.host(
            &format!(
                r#"{{"id":{id},"method":"session/prompt","params":{{"sessionId":"s","prompt":[{{"type":"text","text":"x"}}]}}}}"#
            ),
            number,
        );
    }

    fn say(&mut self, text: &str) {
        self.update(&format!(
            r#"{{"sessionUpdate":"agent_message_chunk","content":{{"type":"text","text":"{text}"}}}}"#
        ));
    }

    fn turn_ends(&mut self, stop: &str) {
        let id = self.requests;
        self.agent(&format!(
            r#"{{"id":{id},"result":{{"stopReason":"{stop}"}}}}"#
        ));
    }

    fn ask(&mut self) {
        self.agent(
            r#"{"id":7,"method":"session/request_permission","params":{"sessionId":"s","toolCall":{"toolCallId":"t","title":"Run it?","kind":"execute"},"options":[{"optionId":"y","name":"Yes","kind":"allow_once"}]}}"#,
        );
    }

    fn answer(&mut self) {
        self.host(
            r#"{"id":7,"result":{"outcome":{"outcome":"selected","optionId":"y"}}}"#,
            None,
        );
    }

    /// Lets time pass, and wakes the run when it wants to be woken.
    fn wait(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        while let Some(at) = self.run.deadline_ms().filter(|at| *at <= until) {
            assert!(at >= self.now_ms, "a time that has passed");
            self.now_ms = at;
            self.run.tick(at, &self.shown);
            self.pump();
        }
        self.now_ms = until;
    }

    fn did(&mut self) -> Vec<String> {
        std::mem::take(&mut self.did)
    }
}

fn finished(outcome: RunOutcome, summary: &str) -> String {
    let summary = summary.to_owned();
    format!("{:?}", RunEvent::Finished { outcome, summary })
}

#[test]
fn a_task_that_is_done_leaves_the_run_open_until_nobody_asks_for_more() {
    let mut desk = Desk::new(Desk::idle(30));
    assert_eq!(desk.did(), ["Began"]);
    // However long it works.
    desk.wait(600 * MINUTE);
    desk.say("all tests pass");
    desk.turn_ends("end_turn");
    assert_eq!(
        desk.did(),
        ["RunFinished", &finished(RunOutcome::Done, "all tests pass")]
    );
    desk.wait(25 * MINUTE - 1);
    assert!(desk.did().is_empty());
    desk.wait(1);
    assert_eq!(desk.did(), ["RunEndsSoon"]);
    // What it says itself does not keep it open.
    desk.wait(5 * MINUTE);
    assert_eq!(desk.did(), ["RunEnds", "end done"]);
    assert_eq!(desk.run.deadline_ms(), None);
}

#[test]
fn a_follow_up_keeps_it_open_and_does_not_change_what_became_of_its_task() {
    let mut desk = Desk::new(Desk::idle(30));
    desk.turn_ends("refusal");
    desk.wait(26 * MINUTE);
    desk.did();
    desk.log(Logged::Note(Note::Queued {
        prompt: 1,
        by: Author::default(),
        text: "and now?".into(),
    }));
    desk.prompt(Some(1));
    desk.wait(60 * MINUTE);
    desk.turn_ends("end_turn");
    assert!(desk.did().is_empty());
    desk.wait(30 * MINUTE);
    assert_eq!(desk.did(), ["RunEndsSoon", "RunEnds", "end refused"]);
}

#[test]
fn a_question_that_nobody_answers_ends_it_and_an_answer_does_not() {
    for answered in [false, true] {
        let mut desk = Desk::new(Desk::idle(10));
        desk.did();
        desk.ask();
        let question = "Run it?".to_owned();
        assert_eq!(
            desk.did(),
            [format!("{:?}", RunEvent::NeedsYou { question })]
        );
        desk.wait(9 * MINUTE);
        if answered {
            desk.answer();
        }
        desk.wait(20 * MINUTE);
        match answered {
            true => assert_eq!(desk.did(), ["RunEndsSoon"]),
            false => assert_eq!(
                desk.did(),
                [
                    "RunEndsSoon",
                    "RunFinished",
                    &finished(RunOutcome::Unanswered, ""),
                    "RunEnds",
                    "end unanswered"
                ]
            ),
        }
    }
}

#[test]
fn time_and_cost_end_it_in_the_middle_of_its_work() {
    let limits = RunLimits {
        max_ms: Some(20 * MINUTE),
        max_cost: Some(1.5),
        ..Desk::idle(30)
    };
    let mut desk = Desk::new(limits);
    desk.did();
    desk.wait(20 * MINUTE);
    let over = ["RunEnds", "end time_limit"];
    let mut all = vec!["RunEndsSoon".to_owned(), "RunFinished".to_owned()];
    all.push(finished(RunOutcome::TimeLimit, ""));
    all.extend(over.map(str::to_owned));
    assert_eq!(desk.did(), all);
    let mut desk = Desk::new(limits);
    let usage = |cost: &str| {
        format!(
            r#"{{"sessionUpdate":"usage_update","used":1,"size":2,"cost":{{"amount":{cost},"currency":"USD"}}}}"#
        )
    };
    desk.update(&usage("1.4"));
    assert_eq!(desk.did(), ["Began"]);
    desk.update(&usage("1.5"));
    assert_eq!(desk.did().last().unwrap(), "end cost_limit");
    // It ends once.
    desk.update(&usage("1.6"));
    desk.log(Logged::Note(Note::Ended {
        exit: Exit::default(),
    }));
    assert!(desk.did().is_empty());
}

#[test]
fn without_time_for_more_it_ends_with_its_task() {
    let mut desk = Desk::new(Desk::idle(0));
    desk.did();
    desk.ask();
    // A question waits all the same.
    desk.wait(25 * MINUTE);
    assert_eq!(desk.did().last().unwrap(), "RunEndsSoon");
    desk.answer();
    desk.say("ok");
    desk.turn_ends("end_turn");
    let done = finished(RunOutcome::Done, "ok");
    assert_eq!(desk.did(), ["RunFinished", &done, "RunEnds", "end done"]);
}

#[test]
fn an_agent_that_ends_ends_it() {
    let mut desk = Desk::new(Desk::idle(0));
    desk.did();
    desk.log(Logged::Note(Note::Ended {
        exit: Exit::default(),
    }));
    assert_eq!(desk.did().last().unwrap(), "end agent_ended");
    let mut desk = Desk::new(Desk::idle(5));
    desk.turn_ends("end_turn");
    desk.log(Logged::Note(Note::Ended {
        exit: Exit::default(),
    }));
    assert_eq!(desk.did().last().unwrap(), "end done");
}

#[test]
fn words_of_outcomes_come_back() {
    for outcome in RunOutcome::ALL {
        assert_eq!(RunOutcome::of_word(outcome.word()), Some(outcome));
        let json = serde_json::to_string(&outcome).unwrap();
        assert_eq!(json, format!("\"{}\"", outcome.word()));
    }
}

#[test]
fn a_long_answer_is_told_by_its_end() {
    let mut desk = Desk::new(Desk::idle(1));
    desk.say(&"ä".repeat(MAX_SUMMARY));
    desk.say("end");
    let said = said_before(&desk.shown, None, MAX_SUMMARY);
    assert!(
        said.len() <= MAX_SUMMARY && said.ends_with("äend"),
        "{said}"
    );
}
