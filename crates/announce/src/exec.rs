//! A command, which gets the message as JSON on its standard input.

use std::{future::Future, pin::Pin, process::Stdio, time::Duration};

use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

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
            match timeout(TIME, self.run(message)).await {
                Ok(Ok(())) => Ok(()),
                // Whether it has done it already, nobody knows.
                Ok(Err(why)) => Err(Failure { why, again: false }),
                Err(_) => Err(Failure {
                    why: format!("the command took longer than {} s", TIME.as_secs()),
                    again: false,
                }),
            }
        })
    }
}

impl Exec {
    async fn run(&self, message: &Message) -> Result<(), String> {
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
        if let Some(mut stdin) = child.stdin.take() {
            // Not everybody reads it.
            let _ = stdin
                .write_all(format!("{}\n", message.json()).as_bytes())
                .await;
        }
        let status = child.wait().await;
        let status = status.map_err(|error| format!("the command was lost: {error}"))?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("the command failed: {status}")),
        }
    }
}
