//! A command, which gets the message as JSON on its standard input.

use std::{future::Future, pin::Pin, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{io::AsyncWriteExt as _, process::Command, time::sleep};

use crate::{
    message::Message,
    place::{Failure, Way},
};

/// How long it may take.
const TIME: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Exec {
    /// As a shell reads it.
    pub(crate) command: String,
}

impl Way for Exec {
    fn say<'a>(
        &'a self,
        message: &'a Message,
    ) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>> {
        Box::pin(async move {
            // Whether it has done it already when it fails, nobody knows.
            self.run(message, sleep(TIME))
                .await
                .map_err(|why| Failure { why, again: false })
        })
    }
}

impl Exec {
    async fn run(&self, message: &Message, limit: impl Future<Output = ()>) -> Result<(), String> {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(&self.command)
            .env("PILLION_EVENT", message.event.word())
            .env("PILLION_TITLE", message.title())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("the command could not be started: {error}"))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        let group = group.and_then(Pid::from_raw);
        let stdin = child.stdin.take();
        let ended = async {
            if let Some(mut stdin) = stdin {
                // Not everybody reads it.
                let json = format!("{}\n", message.json());
                let _ = stdin.write_all(json.as_bytes()).await;
            }
            child.wait().await
        };
        tokio::select! {
            ended = ended => match ended {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(format!("the command failed: {status}")),
                Err(error) => Err(format!("the command was lost: {error}")),
            },
            () = limit => {
                // What it started goes with it.
                if let Some(group) = group {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                Err(format!("the command took longer than {} s", TIME.as_secs()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

    #[tokio::test]
    async fn a_command_that_takes_too_long_goes_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        // It waits without end, and says by what.
        let command = format!("sleep 1000000 & echo $! > {}; wait", file.display());
        let exec = Exec { command };
        let message = Message {
            event: Event::Began,
            run: String::new(),
            host: String::new(),
            session: String::new(),
            join: String::new(),
            link: None,
            text: String::new(),
            outcome: None,
        };
        let pid = || std::fs::read_to_string(&file).unwrap_or_default();
        let started = async {
            while !pid().ends_with('\n') {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let why = exec.run(&message, started).await;
        assert!(why.unwrap_err().contains("took longer"));
        let pid = pid();
        let stat = format!("/proc/{}/stat", pid.trim());
        // It is gone, or waits for its parent to hear of it.
        let gone = || {
            let stat = std::fs::read_to_string(&stat).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        while !gone() {
            tokio::task::yield_now().await;
        }
    }
}
