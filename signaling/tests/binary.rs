//! The real binary: killed, out of room, told to end.

mod common;

use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
};

use common::*;
use rustix::process::Signal;

#[tokio::test]
async fn kill_9_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let service = Binary::start(&[], folder.path());
    let asker = Arc::new(service.asker());
    let mut hosts = Vec::new();
    let enough = Arc::new(tokio::sync::Semaphore::new(0));
    let dead = Arc::new(AtomicBool::new(false));
    for task in 0..8u32 {
        let (asker, enough, dead) = (asker.clone(), enough.clone(), dead.clone());
        hosts.push(tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for n in 0.. {
                let host = host(task * 1_000_000 + n);
                let bytes = record(&host, now(), b"x");
                let url = format!("{}{}", asker.base, path(&host));
                match asker.client.put(url).body(bytes.clone()).send().await {
                    Ok(answer) if answer.status() == 204 => acknowledged.push((host, bytes)),
                    // Killed in the middle of it.
                    Err(_) if dead.load(Ordering::SeqCst) => break,
                    other => panic!("{other:?}"),
                }
                enough.add_permits(1);
            }
            acknowledged
        }));
    }
    let _ = enough.acquire_many(400).await.unwrap();
    dead.store(true, Ordering::SeqCst);
    service.kill();

    let service = Binary::start(&[], folder.path());
    let asker = service.asker();
    let mut count = 0;
    for task in hosts {
        for (host, bytes) in task.await.unwrap() {
            assert_eq!(asker.resolve(&host).await, Some(bytes));
            count += 1;
        }
    }
    assert!(count >= 400, "{count}");
}

#[tokio::test]
async fn without_room_it_refuses_politely_and_goes_on_reading() {
    let folder = tempfile::tempdir().unwrap();
    // 8 MiB, and no file larger.
    let service = Binary::start_limited(16 * 1024, &["--cache", "1"], folder.path());
    let asker = service.asker();
    let payload = vec![7; 1800];
    let mut kept = Vec::new();
    let refusal = loop {
        let host = host(kept.len() as u32);
        let bytes = record(&host, now(), &payload);
        match asker.publish(&host, &bytes).await {
            (204, _) => kept.push((host, bytes)),
            refused => break refused,
        }
        assert!(kept.len() < 10_000, "the limit is never reached");
    };
    assert_eq!(refusal.0, 507, "{}", refusal.1);
    assert!(refusal.1.contains("no room"), "{}", refusal.1);
    assert!(kept.len() > 100, "{}", kept.len());
    assert_eq!(asker.get("/healthz").await.unwrap(), b"ok\n");
    for (host, bytes) in &kept {
        assert_eq!(asker.resolve(host).await.as_ref(), Some(bytes));
    }
    drop(service);

    // With room again, everything is there and goes on.
    let service = Binary::start(&[], folder.path());
    let asker = service.asker();
    for (host, bytes) in &kept {
        assert_eq!(asker.resolve(host).await.as_ref(), Some(bytes));
    }
    let new = host(99_999);
    assert_eq!(
        asker.publish(&new, &record(&new, now(), &payload)).await.0,
        204
    );
}

#[tokio::test]
async fn it_ends_well_when_told_to_and_its_log_names_nobody() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let service = Binary::start(&[], folder.path());
        let asker = service.asker();
        let host = host(1);
        let bytes = record(&host, now(), b"x");
        assert_eq!(asker.publish(&host, &bytes).await.0, 204);
        service.signal(signal);
        let (well, log) = service.end();
        assert!(well, "{log}");
        for line in log.lines() {
            assert!(
                line.starts_with('{') && line.ends_with('}'),
                "not JSON: {line}"
            );
        }
        assert!(log.contains("\"ending\""), "{log}");
        assert!(log.contains("the records are closed"), "{log}");
        assert!(!log.contains(&host.id().to_string()), "{log}");

        let again = Binary::start(&[], folder.path());
        assert_eq!(again.asker().resolve(&host).await, Some(bytes));
    }
}

#[test]
fn flags_that_make_no_sense_are_refused() {
    let run = |flags: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pillion-signal"));
        let output = command.args(flags).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let said = run(&["--tls-cert", "a.pem"]);
    assert!(said.contains("--tls-key"), "{said}");
    let said = run(&[
        "--tls-cert",
        "/nowhere/a.pem",
        "--tls-key",
        "/nowhere/b.pem",
    ]);
    assert!(said.contains("/nowhere/a.pem"), "{said}");
    let said = run(&["--data", "/dev/null/x"]);
    assert!(said.contains("cannot be made"), "{said}");
}

#[test]
fn two_services_do_not_share_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Binary::start(&[], folder.path());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_pillion-signal"));
    let output = command
        .args(["--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
}
