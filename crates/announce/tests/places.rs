//! Each place as it is spoken with: a server on this machine that answers as it would.

use std::{collections::BTreeMap, time::Duration};

use pillion_announce::{Announcer, Delivery, Event, Message, Pace, Place};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
};

/// Something that was posted.
#[derive(Debug)]
struct Posted {
    path: String,
    headers: BTreeMap<String, String>,
    body: Value,
}

/// A server that answers each request with the next of these, and the last of them from then on.
struct Server {
    url: String,
    posted: mpsc::UnboundedReceiver<Posted>,
}

impl Server {
    async fn start(answers: &'static [(&'static str, &'static str)]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, posted) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut at = 0;
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let answer = answers.get(at).or(answers.last());
                at += 1;
                let mut text = Vec::new();
                let request = loop {
                    let mut piece = [0; 4096];
                    let length = stream.read(&mut piece).await.unwrap();
                    text.extend_from_slice(&piece[..length]);
                    if let Some(request) = read(&text) {
                        break request;
                    }
                    assert_ne!(length, 0, "a request that is cut short");
                };
                let _ = sender.send(request);
                // Without an answer it is a server that takes its time.
                let Some((status, body)) = answer else {
                    std::mem::forget(stream);
                    continue;
                };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Server { url, posted }
    }

    async fn next(&mut self) -> Posted {
        self.posted.recv().await.unwrap()
    }
}

fn read(text: &[u8]) -> Option<Posted> {
    let text = std::str::from_utf8(text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    (body.len() >= length).then(|| Posted {
        path,
        headers,
        body: serde_json::from_str(body).unwrap(),
    })
}

const FAST: Pace = Pace {
    tries: 3,
    pause: Duration::from_millis(1),
};

fn message(event: Event) -> Message {
    Message {
        event,
        run: "tidy up".into(),
        host: "ci-7".into(),
        session: "26ab31c0f2".into(),
        join: "pillion join pillionabc".into(),
        link: Some("https://links.example/s/abc#key".into()),
        text: "<b> & `rm -rf /`".into(),
        outcome: None,
    }
}

fn announcer(place: &str, environment: &[(&str, String)]) -> Announcer {
    let pairs = environment.iter();
    let environment = pairs.map(|(name, value)| ((*name).to_owned(), value.clone()));
    Announcer::start(vec![place.parse().unwrap()], &environment.collect(), FAST)
}

fn said(to: &'static str, event: Event) -> Delivery {
    Delivery {
        to,
        event,
        result: Ok(()),
    }
}

#[tokio::test]
async fn slack_gets_a_text_in_its_own_markup() {
    let mut server = Server::start(&[("200 OK", "ok")]).await;
    let mut announcer = announcer(&format!("slack:{}/services/T/B/X", server.url), &[]);
    announcer.say(&message(Event::NeedsYou));
    assert_eq!(announcer.delivery().await, said("slack", Event::NeedsYou));
    let posted = server.next().await;
    assert_eq!(posted.path, "/services/T/B/X");
    assert_eq!(posted.headers["content-type"], "application/json");
    assert_eq!(
        posted.body["text"],
        "tidy up on ci-7 asks something\n```&lt;b&gt; &amp; `rm -rf /````\nhttps://links.example/s/abc#key or pillion join pillionabc"
    );
}

#[tokio::test]
async fn github_gets_a_comment_on_the_pull_request_and_a_summary_of_the_job() {
    let mut server = Server::start(&[("201 Created", "{}")]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(file("event.json"), r#"{"pull_request":{"number":17}}"#).unwrap();
    let environment = [
        ("GITHUB_API_URL", server.url.clone()),
        ("GITHUB_REPOSITORY", "anna/site".to_owned()),
        ("GITHUB_TOKEN", "token-0001".to_owned()),
        ("GITHUB_EVENT_PATH", file("event.json")),
        ("GITHUB_STEP_SUMMARY", file("summary.md")),
    ];
    let mut announcer = announcer("github", &environment);
    announcer.say(&message(Event::Began));
    announcer.say(&message(Event::Finished));
    assert_eq!(announcer.delivery().await, said("github", Event::Began));
    assert_eq!(announcer.delivery().await, said("github", Event::Finished));
    for text in ["is at work on ci-7", "is over"] {
        let posted = server.next().await;
        assert_eq!(posted.path, "/repos/anna/site/issues/17/comments");
        assert_eq!(posted.headers["authorization"], "Bearer token-0001");
        let body = posted.body["body"].as_str().unwrap();
        assert!(
            body.contains(text) && body.contains("```text\n<b> &"),
            "{body}"
        );
    }
    let summary = std::fs::read_to_string(file("summary.md")).unwrap();
    assert!(
        summary.contains("is at work") && summary.contains("is over"),
        "{summary}"
    );
}

#[tokio::test]
async fn a_job_without_a_pull_request_has_its_summary_alone() {
    let folder = tempfile::tempdir().unwrap();
    let summary = folder
        .path()
        .join("summary.md")
        .to_str()
        .unwrap()
        .to_owned();
    let mut announcer = announcer("github", &[("GITHUB_STEP_SUMMARY", summary.clone())]);
    announcer.say(&message(Event::Began));
    assert_eq!(announcer.delivery().await, said("github", Event::Began));
    assert!(
        std::fs::read_to_string(summary)
            .unwrap()
            .contains("pillion join")
    );
}

#[tokio::test]
async fn linear_gets_a_comment_and_its_refusals_are_passed_on() {
    let mut server = Server::start(&[
        ("200 OK", r#"{"data":{"commentCreate":{"success":true}}}"#),
        (
            "200 OK",
            r#"{"errors":[{"message":"Entity not found: Issue"}]}"#,
        ),
    ])
    .await;
    let environment = [
        ("LINEAR_API_URL", server.url.clone()),
        ("LINEAR_API_KEY", "lin_0001".to_owned()),
    ];
    let mut announcer = announcer("linear:ENG-12", &environment);
    announcer.say(&message(Event::Finished));
    assert_eq!(announcer.delivery().await, said("linear", Event::Finished));
    let posted = server.next().await;
    assert_eq!(posted.headers["authorization"], "lin_0001");
    assert_eq!(posted.body["variables"]["issue"], "ENG-12");
    announcer.say(&message(Event::Finished));
    let why = announcer.delivery().await.result.unwrap_err();
    assert_eq!(why, "Linear does not take it: Entity not found: Issue");
}

#[tokio::test]
async fn ntfy_gets_a_topic_a_title_and_where_a_touch_leads() {
    let mut server = Server::start(&[("200 OK", "{}")]).await;
    let environment = [("NTFY_TOKEN", "tk_0001".to_owned())];
    let mut announcer = announcer(&format!("ntfy:{}/my-runs", server.url), &environment);
    announcer.say(&message(Event::NeedsYou));
    assert_eq!(announcer.delivery().await, said("ntfy", Event::NeedsYou));
    let posted = server.next().await;
    assert_eq!(posted.path, "/");
    assert_eq!(posted.headers["authorization"], "Bearer tk_0001");
    assert_eq!(posted.body["topic"], "my-runs");
    assert_eq!(posted.body["priority"], 4);
    assert_eq!(posted.body["click"], "https://links.example/s/abc#key");
}

#[tokio::test]
async fn a_webhook_gets_json_that_is_signed() {
    let mut server = Server::start(&[("204 No Content", "")]).await;
    let environment = [("PILLION_WEBHOOK_SECRET", "a secret".to_owned())];
    let mut announcer = announcer(&format!("webhook:{}/in", server.url), &environment);
    announcer.say(&message(Event::Began));
    assert_eq!(announcer.delivery().await, said("webhook", Event::Began));
    let posted = server.next().await;
    assert_eq!(posted.headers["x-pillion-event"], "began");
    assert!(posted.headers["x-pillion-signature"].starts_with("sha256="));
    assert_eq!(posted.body["session"], "26ab31c0f2");
}

#[tokio::test]
async fn a_command_gets_it_and_its_failure_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut announcer = announcer(
        &format!("exec:cat > {}; test $PILLION_EVENT = began", out.display()),
        &[],
    );
    announcer.say(&message(Event::Began));
    assert_eq!(announcer.delivery().await, said("exec", Event::Began));
    let json: Value = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(json["title"], "tidy up is at work on ci-7");
    announcer.say(&message(Event::Finished));
    let why = announcer.delivery().await.result.unwrap_err();
    assert!(why.contains("exit status: 1"), "{why}");
}

#[tokio::test]
async fn a_place_that_has_trouble_is_tried_again_and_one_that_refuses_is_not() {
    let mut server = Server::start(&[
        ("503 Service Unavailable", ""),
        ("200 OK", "ok"),
        ("404 Not Found", "no_service"),
        ("500 Internal Server Error", ""),
    ])
    .await;
    let mut announcer = announcer(&format!("slack:{}/SECRET", server.url), &[]);
    for _ in 0..3 {
        announcer.say(&message(Event::Began));
    }
    assert_eq!(announcer.delivery().await, said("slack", Event::Began));
    let refused = announcer.delivery().await.result.unwrap_err();
    assert!(
        refused.contains("404") && !refused.contains("tried"),
        "{refused}"
    );
    let failed = announcer.delivery().await.result.unwrap_err();
    assert!(
        failed.contains("500") && failed.contains("(tried 3 times)"),
        "{failed}"
    );
    assert!(!failed.contains("SECRET"), "{failed}");
    let mut requests = 0;
    while server.posted.try_recv().is_ok() {
        requests += 1;
    }
    assert_eq!(requests, 2 + 1 + 3);
}

#[tokio::test]
async fn a_place_that_is_slow_or_not_there_holds_up_no_other() {
    let silent = Server::start(&[]).await;
    let places = vec![
        Place::Webhook(silent.url.clone()),
        Place::Slack(None),
        Place::Exec("true".to_owned()),
    ];
    let mut announcer = Announcer::start(places, &BTreeMap::new(), FAST);
    for _ in 0..70 {
        announcer.say(&message(Event::Began));
    }
    let mut done = 0;
    let (mut unset, mut full) = (0, 0);
    while done < 70 {
        match announcer.delivery().await {
            Delivery {
                to: "exec", result, ..
            } => {
                done += 1;
                // It may be asked for more at once than it takes, too.
                full += usize::from(result.is_err());
            }
            Delivery {
                to: "slack",
                result,
                ..
            } => {
                let why = result.unwrap_err();
                unset += usize::from(why.contains("SLACK_WEBHOOK_URL"));
            }
            Delivery { to, result, .. } => {
                assert_eq!(to, "webhook");
                assert!(result.unwrap_err().contains("too many messages wait"));
            }
        }
    }
    assert!(full <= 6 && unset > 0, "{full} {unset}");
    // What is under way is not waited for without end.
    announcer.finish(Duration::from_millis(10)).await;
}
