//! What an update costs, and what somebody who comes late waits for.

use std::{fmt::Write, hint::black_box};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pillion_conversation::{Conversation, Masker};

fn chunk(number: usize, text: &str) -> String {
    format!(
        r#"{{"at":{number},"agent":{{"jsonrpc":"2.0","method":"session/update","params":{{"sessionId":"s","update":{{"sessionUpdate":"agent_message_chunk","messageId":"m{}","content":{{"type":"text","text":"{text}"}}}}}}}}}}"#,
        number / 100
    )
}

fn tool(number: usize) -> String {
    format!(
        r#"{{"at":{number},"agent":{{"jsonrpc":"2.0","method":"session/update","params":{{"sessionId":"s","update":{{"sessionUpdate":"tool_call_update","toolCallId":"t{}","status":"completed","content":[{{"type":"content","content":{{"type":"text","text":"{}"}}}}],"rawInput":{{"command":"ls"}}}}}}}}}}"#,
        number / 4,
        "some output ".repeat(8)
    )
}

/// A conversation of so many updates: text, thought and tools.
fn updates(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| match number % 10 {
            0 => tool(number),
            _ => chunk(number, "a few words "),
        })
        .collect()
}

fn folded(updates: &[String]) -> Conversation {
    let mut conversation = Conversation::new();
    for update in updates {
        conversation.apply_text(update);
    }
    conversation
}

fn bench(c: &mut Criterion) {
    let updates = updates(10_000);
    let mut group = c.benchmark_group("10,000 updates");
    group.throughput(Throughput::Elements(10_000));
    group.sample_size(20);
    group.bench_function("fold", |b| b.iter(|| folded(black_box(&updates))));
    let secrets: Vec<(String, String)> = (0..20)
        .map(|number| {
            (
                format!("S{number}_TOKEN"),
                format!("sk-{number}-0123456789abcdef"),
            )
        })
        .collect();
    group.bench_function("mask and fold", |b| {
        let pairs = || secrets.iter().map(|(name, value)| (&**name, &**value));
        b.iter_batched(
            || Masker::new(pairs()),
            |mut masker| {
                let mut conversation = Conversation::new();
                for update in &updates {
                    conversation.apply_text(&masker.mask(update));
                }
                conversation
            },
            BatchSize::SmallInput,
        );
    });
    let conversation = folded(&updates);
    let snapshot = conversation.snapshot();
    group.bench_function("snapshot", |b| b.iter(|| conversation.snapshot()));
    group.bench_function("open a snapshot", |b| {
        b.iter(|| Conversation::from_snapshot(black_box(&snapshot)).unwrap())
    });
    group.finish();
    let mut large = String::new();
    write!(large, "{}", chunk(0, &"x".repeat(10 * 1024 * 1024))).unwrap();
    let mut group = c.benchmark_group("an update of 10 MiB");
    group.throughput(Throughput::Bytes(large.len() as u64));
    group.sample_size(10);
    group.bench_function("fold", |b| {
        b.iter(|| folded(std::slice::from_ref(black_box(&large))))
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
