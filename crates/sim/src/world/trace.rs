//! What happens, in words, for who looks for the reason of a failure.

use pillion_session::{HostInput, HostOutput, LogEntry};

pub(super) fn describe(input: &HostInput) -> String {
    match input {
        HostInput::Output { bytes, more, .. } => format!(
            "output {} {more} {}",
            bytes.len(),
            bytes[..bytes.len().min(60)].escape_ascii()
        ),
        HostInput::Written { track, seq } => format!("written {track} {seq}"),
        HostInput::Discarded { track, upto } => format!("discarded {track} up to {upto}"),
        HostInput::Spawned { track } => format!("spawned {track}"),
        HostInput::SpawnFailed { track, why } => format!("not spawned {track}: {why}"),
        HostInput::OpenLog { request, title } => format!("open log {request} {title}"),
        HostInput::Entry { track, key, json } => format!("entry {track} {key:?} {}", json.len()),
        HostInput::Conversation { track, entry } => format!("said in {track}: {entry}"),
        HostInput::Agent { track, news } => format!("agent of {track}: {news:?}"),
        HostInput::Exited { .. } => "exited".into(),
        HostInput::Resized { size, .. } => format!("resized {size}"),
        HostInput::Tty(news) => format!("tty {news:?}"),
        HostInput::EarlyConnected { conn, .. } => format!("connected early {}", conn.0),
        HostInput::HandshakeConfirmed { conn, .. } => format!("proved {}", conn.0),
        HostInput::Connected { conn, .. } => format!("connected {}", conn.0),
        HostInput::Received {
            conn,
            stream,
            bytes,
        } => {
            format!("received {} {stream:?} {}", conn.0, bytes.len())
        }
        HostInput::Path { conn, .. } => format!("path {}", conn.0),
        HostInput::Disconnected { conn } => format!("disconnected {}", conn.0),
        HostInput::Signed { request, .. } => format!("signed {request}"),
        HostInput::NotSigned { request, why } => format!("not signed {request} {why}"),
        HostInput::Addresses { .. } => "addresses".into(),
        HostInput::Command {
            request,
            by,
            command,
        } => format!("command {request} {by:?} {command:?}"),
        HostInput::Confirmed { request, yes } => format!("confirmed {request} {yes}"),
        HostInput::Withdrawn { request } => format!("withdrawn {request}"),
        HostInput::History(packed) => format!("{packed:?}"),
        HostInput::Delivered { conn, stream } => format!("{conn:?} delivered {stream:?}"),
        HostInput::Trust(_) => "trust".into(),
        HostInput::CodeUsed { number, guest } => format!("code {number} used for {guest}"),
        HostInput::Removals(_) => "removals".into(),
        HostInput::KeyLists(_) => "lists".into(),
        HostInput::Tick => "tick".into(),
    }
}

pub(super) fn describe_output(output: &HostOutput) -> String {
    match output {
        HostOutput::Send { to, bytes } => {
            let each = to
                .iter()
                .map(|(conn, stream)| format!("[send {} {stream:?} {}]", conn.0, bytes.len()));
            each.collect()
        }
        HostOutput::Log(LogEntry::Event { json, .. }) => format!("[log {json}]"),
        HostOutput::Log(LogEntry::Frame { number, .. }) => format!("[frame {number}]"),
        HostOutput::Log(LogEntry::History { first, count, .. }) => {
            format!("[lines {}+{count}]", first.0)
        }
        HostOutput::Done { request, result } => format!("[done {request} {result:?}]"),
        HostOutput::Write { seq, bytes, .. } => format!(
            "[write {seq} {}]",
            String::from_utf8_lossy(&bytes[..bytes.len().min(40)])
        ),
        other => format!("[{other:?}]"),
    }
}
