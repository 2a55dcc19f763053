//! An agent's process and what becomes of what it does, with an agent that has every bad habit.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use pillion_agent::{AgentCommand, AgentEvent, RunningAgent};
use pillion_conversation::{
    Activity, Answer, Author, ClientEvent, Conversation, Exit, ItemBody, MessageId, NotSent,
    Notice, Outcome, StartFault, Stop, Tool, ToolStatus,
};

/// Nothing here takes as long: a test that waits for what does not come ends.
const LIMIT: Duration = Duration::from_secs(60);

/// A conversation with the scripted agent.
struct Talk {
    agent: RunningAgent,
    conversation: Conversation,
    log: Vec<String>,
    events: Vec<ClientEvent>,
    ended: Option<(Exit, String)>,
}

impl Talk {
    fn start(arguments: &[&str]) -> Talk {
        Talk::start_with(arguments, &[])
    }

    fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Talk {
        let mut environment: Vec<(OsString, OsString)> = std::env::vars_os()
            .filter(|(name, _)| name == "PATH")
            .collect();
        environment.extend(
            variables
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        let command = AgentCommand {
            program: env!("CARGO_BIN_EXE_pillion-scripted-agent").into(),
            arguments: arguments.iter().map(Into::into).collect(),
            cwd: std::env::temp_dir(),
            environment,
        };
        Talk {
            agent: RunningAgent::start(&command, "pillion", "0", None),
            conversation: Conversation::new(),
            log: Vec::new(),
            events: Vec::new(),
            ended: None,
        }
    }

    /// One that can be prompted.
    async fn ready(arguments: &[&str]) -> Talk {
        let mut talk = Talk::start(arguments);
        talk.until(|event| matches!(event, ClientEvent::Ready { .. }))
            .await;
        talk
    }

    /// Takes in what there is next.
    async fn step(&mut self) {
        let event = tokio::time::timeout(LIMIT, self.agent.next()).await;
        match event.expect("something happens in time") {
            AgentEvent::Entry(entry) => {
                self.conversation.apply_text(&entry);
                self.log.push(entry);
            }
            AgentEvent::Happened(event) => self.events.push(event),
            AgentEvent::Ended { exit, errors } => self.ended = Some((exit, errors)),
        }
    }

    async fn until(&mut self, is: impl Fn(&ClientEvent) -> bool) -> ClientEvent {
        loop {
            if let Some(at) = self.events.iter().position(&is) {
                return self.events.remove(at);
            }
            assert_eq!(self.ended, None, "{:#?}", self.log);
            self.step().await;
        }
    }

    async fn turn_end(&mut self) {
        self.until(|event| *event == ClientEvent::TurnEnded).await;
    }

    /// A prompt, and all of its turn.
    async fn turn(&mut self, prompt: &str) {
        self.agent.prompt(prompt, None, Some(author("bo"))).unwrap();
        self.turn_end().await;
    }

    async fn asked(&mut self) -> MessageId {
        match self
            .until(|event| matches!(event, ClientEvent::Asked(_)))
            .await
        {
            ClientEvent::Asked(id) => id,
            other => panic!("{other:?}"),
        }
    }

    async fn end(&mut self) -> (Exit, String) {
        loop {
            if let Some(ended) = self.ended.clone() {
                return ended;
            }
            self.step().await;
        }
    }

    fn bodies(&self) -> impl Iterator<Item = &ItemBody> {
        self.conversation.items().map(|(_, item)| &item.body)
    }

    fn said(&self) -> Vec<String> {
        let text = |body: &ItemBody| match body {
            ItemBody::Response(message) => Some(message.content[0].text.as_str().to_owned()),
            _ => None,
        };
        self.bodies().filter_map(text).collect()
    }

    fn tools(&self) -> Vec<&Tool> {
        let mut tools = Vec::new();
        for body in self.bodies() {
            if let ItemBody::Tool(tool) = body {
                tools.push(tool);
            }
        }
        tools
    }

    /// What became of each question.
    fn outcomes(&self) -> Vec<&str> {
        let mut outcomes = Vec::new();
        for body in self.bodies() {
            if let ItemBody::Question(question) = body {
                outcomes.push(question.outcome.as_ref().map_or("open", |one| &one.word));
            }
        }
        outcomes
    }

    /// Why the newest turn ended.
    fn stop(&self) -> Stop {
        let ends = self.bodies().filter_map(|body| match body {
            ItemBody::TurnEnd(end) => Some(end.stop()),
            _ => None,
        });
        ends.last().unwrap()
    }

    fn notices(&self, word: &str) -> usize {
        let is = |body: &&ItemBody| matches!(body, ItemBody::Notice(one) if one.word == word);
        self.bodies().filter(is).count()
    }
}

fn author(name: &str) -> Author {
    Author {
        id: name.into(),
        name: name.into(),
        right: "prompt".into(),
    }
}

fn choice(id: &str) -> Answer {
    Answer::Choice(id.into())
}

#[tokio::test]
async fn a_turn_with_all_that_an_agent_does_in_both_versions() {
    for version in ["1", "2"] {
        let mut talk = Talk::ready(&["--version", version]).await;
        let prompt = "think:hm tool edit run plan subagent usage mode ask say:done";
        talk.agent.prompt(prompt, None, Some(author("bo"))).unwrap();
        let question = talk.asked().await;
        assert_eq!(talk.conversation.activity(0), Activity::NeedsAnswer);
        talk.agent
            .answer(&question, &choice("allow"), Some(author("al")))
            .unwrap();
        let again = talk
            .agent
            .answer(&question, &choice("reject"), Some(author("bo")));
        assert_eq!(again, Err(NotSent::NotOpen));
        talk.turn_end().await;
        assert_eq!(talk.conversation.activity(0), Activity::Idle);
        assert_eq!(talk.stop(), Stop::EndTurn);
        let titles: Vec<_> = talk.tools().iter().map(|tool| tool.title.clone()).collect();
        assert_eq!(
            titles,
            ["List the files", "Edit a.rs", "Run make", "Write b.rs"]
        );
        assert!(
            talk.tools()
                .iter()
                .all(|tool| tool.status() == ToolStatus::Completed)
        );
        assert_eq!(talk.said(), ["found it", "done"]);
        let (_, asked) = talk
            .conversation
            .items()
            .find(|(_, item)| matches!(item.body, ItemBody::Question(_)))
            .unwrap();
        let ItemBody::Question(question) = &asked.body else {
            unreachable!()
        };
        assert_eq!(question.outcome.as_ref().unwrap().by, Some(author("al")));
        let main = &talk.conversation.threads()[0];
        assert_eq!(main.plans[0].steps.len(), 2);
        assert_eq!(main.mode().unwrap().value, "auto");
        assert_eq!(main.usage.used, Some(1200));
        assert_eq!(main.commands[0].name, "compact");
        assert_eq!(talk.conversation.threads()[1].title, "Searcher");
        let terminal = talk.bodies().find_map(|body| match body {
            ItemBody::Terminal(terminal) => Some(terminal),
            _ => None,
        });
        assert_eq!(terminal.unwrap().output.bytes(), b"cc a.c\r\ncc b.c\r\n");
        assert!(
            talk.bodies()
                .all(|body| !matches!(body, ItemBody::Unknown(_))),
            "{:#?}",
            talk.log
        );
    }
}

#[tokio::test]
async fn the_log_alone_shows_the_same() {
    let mut talk = Talk::ready(&[]).await;
    talk.turn("think:hm tool edit run say:done").await;
    let mut again = Conversation::new();
    talk.log.iter().for_each(|entry| again.apply_text(entry));
    assert_eq!(again, talk.conversation);
}

#[tokio::test]
async fn a_cancelled_turn_ends_and_its_question_is_answered() {
    for version in ["1", "2"] {
        let mut talk = Talk::ready(&["--version", version]).await;
        talk.agent.prompt("ask wait", None, None).unwrap();
        talk.asked().await;
        talk.agent.cancel(Some(author("bo"))).unwrap();
        talk.turn_end().await;
        assert_eq!(talk.outcomes(), [Outcome::CANCELLED]);
        assert_eq!(talk.stop(), Stop::Cancelled);
        talk.turn("say:on").await;
    }
}

#[tokio::test]
async fn an_agent_that_goes_on_when_it_is_cancelled_can_be_ended() {
    let mut talk = Talk::ready(&["ignore-cancel"]).await;
    talk.agent.prompt("say:working wait", None, None).unwrap();
    while talk.said().is_empty() {
        talk.step().await;
    }
    talk.agent.cancel(None).unwrap();
    talk.agent.kill();
    let (exit, _) = talk.end().await;
    assert_eq!(exit.signal, "SIGKILL");
    assert_eq!(talk.conversation.activity(0), Activity::Stopped);
}

#[tokio::test]
async fn forms_are_answered() {
    let mut talk = Talk::ready(&[]).await;
    talk.agent.prompt("form", None, None).unwrap();
    let question = talk.asked().await;
    let filled = Answer::Form(r#"{"name":"x"}"#.into());
    talk.agent.answer(&question, &filled, None).unwrap();
    talk.turn_end().await;
    assert_eq!(talk.said(), [r#"the answer is "accept""#]);
}

#[tokio::test]
async fn modes_and_options_are_set() {
    let mut talk = Talk::ready(&["--version", "1"]).await;
    talk.agent
        .set_option("mode", "auto", Some(author("bo")))
        .unwrap();
    talk.turn("say:x").await;
    assert_eq!(talk.conversation.threads()[0].mode().unwrap().value, "auto");
    let mut talk = Talk::ready(&["--version", "2"]).await;
    talk.agent
        .set_option("mode", "auto", Some(author("bo")))
        .unwrap();
    talk.turn("say:x").await;
    assert_eq!(talk.conversation.threads()[0].mode().unwrap().value, "auto");
}

#[tokio::test]
async fn an_agent_that_does_not_begin_says_why() {
    for (trap, fault) in [
        (
            "login",
            StartFault::NeedsLogin("Authentication required".into()),
        ),
        ("version-3", StartFault::Version(3)),
    ] {
        let mut talk = Talk::start(&[trap]);
        let failed = talk
            .until(|event| matches!(event, ClientEvent::Failed(_)))
            .await;
        assert_eq!(failed, ClientEvent::Failed(fault));
        assert_eq!(talk.agent.prompt("x", None, None), Err(NotSent::NotReady));
    }
}

#[tokio::test]
async fn an_agent_that_never_answers_can_be_ended() {
    let mut talk = Talk::start(&["hang"]);
    assert_eq!(talk.agent.prompt("x", None, None), Err(NotSent::NotReady));
    talk.agent.kill();
    assert_eq!(talk.end().await.0.signal, "SIGKILL");
}

#[tokio::test]
async fn a_program_that_is_not_there_or_no_agent_says_so() {
    let command = |program: &str| AgentCommand {
        program: program.into(),
        arguments: vec![],
        cwd: PathBuf::from("/"),
        environment: vec![],
    };
    let mut no_agent = Talk::start(&[]);
    no_agent.agent = RunningAgent::start(&command("/no/such/agent"), "pillion", "0", None);
    let missing = no_agent.end().await.0.fault;
    assert!(missing.contains("is the agent installed"), "{missing}");
    let mut nowhere = command("/bin/sh");
    nowhere.cwd = "/no/such/folder".into();
    let mut no_agent = Talk::start(&[]);
    no_agent.agent = RunningAgent::start(&nowhere, "pillion", "0", None);
    let nowhere = no_agent.end().await.0.fault;
    assert!(nowhere.contains("is no directory"), "{nowhere}");
    let mut no_agent = Talk::start(&[]);
    no_agent.agent = RunningAgent::start(&command("/bin/true"), "pillion", "0", None);
    assert_eq!(no_agent.end().await.0.code, Some(0));
}

#[tokio::test]
async fn an_agent_that_crashes_keeps_what_was_said_and_says_what_it_printed() {
    let mut talk = Talk::ready(&["crash"]).await;
    talk.agent.prompt("say:x", None, None).unwrap();
    let (exit, errors) = talk.end().await;
    assert_eq!(exit.code, Some(101));
    assert!(errors.contains("panicked: no more"), "{errors}");
    assert_eq!(talk.said(), ["half an ans"]);
    assert_eq!(talk.notices(Notice::ENDED), 1);
    assert_eq!(talk.conversation.activity(0), Activity::Stopped);
}

#[tokio::test]
async fn errors_of_the_model_end_the_turn_with_their_words() {
    for version in ["1", "2"] {
        let mut talk = Talk::ready(&["--version", version, "error-500"]).await;
        talk.turn("say:x").await;
        let error = talk.bodies().find_map(|body| match body {
            ItemBody::TurnEnd(end) => Some(end.error.clone()),
            _ => None,
        });
        assert_eq!(error.unwrap(), "Internal error: the model answered 500");
    }
}

#[tokio::test]
async fn what_is_no_message_is_noted_and_the_conversation_goes_on() {
    let mut talk = Talk::ready(&["garbage", "invalid-utf8", "huge-line", "stderr-flood"]).await;
    talk.turn("say:still-here").await;
    assert_eq!(talk.said(), ["still-here"]);
    assert_eq!(talk.notices(Notice::GARBAGE), 5);
    assert_eq!(talk.notices(Notice::OVERSIZED), 1);
    assert!(talk.log.iter().all(|entry| entry.len() < 100_000));
}

#[tokio::test]
async fn a_flood_fills_no_memory_and_ends_with_the_agent() {
    let mut talk = Talk::ready(&["flood"]).await;
    talk.agent.prompt("x", None, None).unwrap();
    for _ in 0..5_000 {
        talk.step().await;
        talk.log.clear();
    }
    talk.agent.kill();
    assert_eq!(talk.end().await.0.signal, "SIGKILL");
}

#[tokio::test]
async fn an_agent_that_stops_reading_is_ended() {
    let mut talk = Talk::ready(&["deaf"]).await;
    let large = "x".repeat(1024 * 1024);
    talk.agent.prompt(&large, None, None).unwrap();
    for _ in 0..8 {
        // What is set is not waited for.
        talk.agent.set_option("mode", &large, None).unwrap();
    }
    let (exit, _) = talk.end().await;
    assert_eq!(exit.fault, "it no longer read what it was told");
}

#[tokio::test]
async fn what_nobody_knows_is_shown_and_harms_nothing() {
    let mut talk =
        Talk::ready(&["unknown-update", "unknown-stop", "unknown-request", "early"]).await;
    talk.turn("say:x").await;
    let unknown: Vec<_> = talk
        .bodies()
        .filter_map(|body| match body {
            ItemBody::Unknown(unknown) => Some((unknown.kind.as_str(), unknown.count)),
            _ => None,
        })
        .collect();
    assert_eq!(unknown, [("somersault", 3), ("craft/drainMidTurnQueue", 1)]);
    assert_eq!(talk.stop(), Stop::Other);
    assert_eq!(talk.said(), ["craft/drainMidTurnQueue: -32601", "x"]);
}

#[tokio::test]
async fn files_are_neither_read_nor_written_for_an_agent() {
    let mut talk = Talk::ready(&["read-outside", "write-file"]).await;
    talk.turn("").await;
    assert_eq!(
        talk.said(),
        ["fs/read_text_file: -32601", "fs/write_text_file: {}"]
    );
    assert_eq!(talk.notices(Notice::NOT_OFFERED), 2);
}

#[tokio::test]
async fn ids_that_are_used_again_are_told_apart() {
    let mut talk = Talk::ready(&["reuse-ids"]).await;
    talk.agent.prompt("ask ask", None, None).unwrap();
    for _ in 0..2 {
        let question = talk.asked().await;
        talk.agent
            .answer(&question, &choice("allow"), None)
            .unwrap();
    }
    talk.turn_end().await;
    assert_eq!(talk.outcomes(), [Outcome::SELECTED, Outcome::SELECTED]);
    let mut talk = Talk::ready(&["replace-question"]).await;
    talk.agent.prompt("ask", None, None).unwrap();
    talk.asked().await;
    talk.until(|event| matches!(event, ClientEvent::Closed(_)))
        .await;
    let question = talk.asked().await;
    talk.agent
        .answer(&question, &choice("allow"), None)
        .unwrap();
    talk.turn_end().await;
    assert_eq!(talk.outcomes(), [Outcome::REPLACED, Outcome::SELECTED]);
}

#[tokio::test]
async fn every_question_is_answered_whatever_the_agent_does_with_it() {
    let mut talk = Talk::ready(&["leave-open"]).await;
    talk.turn("say:x").await;
    // The answer is in the log a moment later than the event.
    talk.turn("say:y").await;
    assert_eq!(talk.agent.client().open_questions().count(), 0);
    assert_eq!(talk.outcomes(), [Outcome::CANCELLED, Outcome::CANCELLED]);
    let mut talk = Talk::ready(&["withdraw"]).await;
    talk.turn("say:x").await;
    assert_eq!(talk.outcomes(), [Outcome::WITHDRAWN]);
    assert_eq!(talk.said(), ["x"]);
}

#[tokio::test]
async fn a_tool_that_is_announced_nowhere_else_is_made_from_its_permission() {
    let mut talk = Talk::ready(&["--version", "1", "unannounced"]).await;
    talk.agent.prompt("ask", None, None).unwrap();
    let question = talk.asked().await;
    assert_eq!(talk.tools()[0].title, "Write b.rs");
    talk.agent
        .answer(&question, &choice("reject"), None)
        .unwrap();
    talk.turn_end().await;
    assert_eq!(talk.tools()[0].status(), ToolStatus::Failed);
}

#[tokio::test]
async fn work_after_the_turn_is_shown() {
    let mut talk = Talk::ready(&["work-after"]).await;
    talk.turn("say:x").await;
    while talk.said() != ["x", "and one more thing"] {
        talk.step().await;
    }
}

#[tokio::test]
async fn an_agent_leaves_when_its_input_is_closed_or_else_by_force() {
    let mut talk = Talk::ready(&[]).await;
    talk.agent.close();
    assert_eq!(talk.end().await.0.code, Some(0));
    let mut talk = Talk::ready(&["stay"]).await;
    talk.agent.close();
    assert_eq!(talk.end().await.0.signal, "SIGTERM");
}

#[tokio::test]
async fn what_an_agent_leaves_behind_ends_with_it() {
    let mut talk = Talk::ready(&["leave-child"]).await;
    talk.agent.close();
    // The child holds the agent's output open, which ends only with it.
    assert_eq!(talk.end().await.0.code, Some(0));
}

#[tokio::test]
async fn secrets_of_the_environment_are_in_no_entry() {
    const SECRET: &str = "sk-live-0123456789";
    let mut talk = Talk::start_with(&[], &[("OPENAI_API_KEY", SECRET)]);
    talk.until(|event| matches!(event, ClientEvent::Ready { .. }))
        .await;
    talk.turn(&format!("env:OPENAI_API_KEY say:{SECRET}")).await;
    assert_eq!(talk.said(), ["sk-***************", "sk-***************"]);
    assert!(talk.log.iter().all(|entry| !entry.contains("live")));
}
