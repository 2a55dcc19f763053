//! A program without a terminal.

use std::{
    io::{Read, Write},
    process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::Instant,
};

use super::{PATIENCE, until};

/// A program whose output is collected. Ended with the test.
pub struct Piped {
    child: Child,
    stdin: Option<ChildStdin>,
    pub out: Collected,
    pub err: Collected,
}

impl Piped {
    /// Starts it without input.
    pub fn start(mut command: Command) -> Piped {
        command.stdin(Stdio::null());
        Piped::spawn(command)
    }

    /// Starts it with a pipe to type into.
    pub fn start_with_input(mut command: Command) -> Piped {
        command.stdin(Stdio::piped());
        Piped::spawn(command)
    }

    /// Starts it with the input that the command says.
    pub fn spawn(mut command: Command) -> Piped {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = Collected::from(child.stdout.take().unwrap());
        let err = Collected::from(child.stderr.take().unwrap());
        Piped {
            stdin: child.stdin.take(),
            child,
            out,
            err,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn send(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Ends its standard input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Ends the program as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let (child, out, err) = (&mut self.child, &self.out, &self.err);
        until(&format!("the end of {}", child.id()), || {
            child.try_wait().unwrap().or_else(|| {
                assert!(
                    out.waited() < PATIENCE,
                    "it goes on after: {}{}",
                    out.text(),
                    err.text()
                );
                None
            })
        })
    }

    /// Waits for its end, and gives all it printed.
    pub fn wait(mut self) -> Output {
        let status = self.wait_exit();
        Output {
            status,
            stdout: self.out.wait_end(),
            stderr: self.err.wait_end(),
        }
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        // It may have ended; a test that panics leaves nothing running either way.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came out of a pipe so far.
#[derive(Clone)]
pub struct Collected {
    shared: Arc<(Mutex<Pipe>, Condvar)>,
    since: Instant,
}

#[derive(Default)]
struct Pipe {
    bytes: Vec<u8>,
    ended: bool,
}

impl Collected {
    fn from(mut from: impl Read + Send + 'static) -> Collected {
        let shared = Arc::new((Mutex::new(Pipe::default()), Condvar::new()));
        let pipe = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut buffer = [0; 65536];
            loop {
                let read = from.read(&mut buffer).unwrap_or(0);
                let mut pipe_now = pipe.0.lock().unwrap();
                pipe_now.bytes.extend_from_slice(&buffer[..read]);
                pipe_now.ended = read == 0;
                pipe.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        Collected {
            shared,
            since: Instant::now(),
        }
    }

    fn waited(&self) -> std::time::Duration {
        self.since.elapsed()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.shared.0.lock().unwrap().bytes).into_owned()
    }

    /// Whether no more comes.
    pub fn is_over(&self) -> bool {
        self.shared.0.lock().unwrap().ended
    }

    /// Waits until `text` has come.
    pub fn wait_for(&self, text: &str) {
        self.wait_until(&format!("{text:?}"), |seen| seen.contains(text));
    }

    /// Waits until what has come satisfies `done`; what has come.
    pub fn wait_until(&self, what: &str, done: impl Fn(&str) -> bool) -> String {
        self.wait(what, |pipe| done(&String::from_utf8_lossy(&pipe.bytes)));
        self.text()
    }

    /// Waits for the end; all that came.
    pub fn wait_end(&self) -> Vec<u8> {
        self.wait("the end of a pipe", |pipe| pipe.ended);
        self.shared.0.lock().unwrap().bytes.clone()
    }

    fn wait(&self, what: &str, done: impl Fn(&Pipe) -> bool) {
        let end = Instant::now() + PATIENCE;
        let mut pipe = self.shared.0.lock().unwrap();
        while !done(&pipe) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || pipe.ended {
                let seen = String::from_utf8_lossy(&pipe.bytes).into_owned();
                let ended = pipe.ended;
                drop(pipe);
                panic!(
                    "waited too long for {what}; {}it printed: {seen}",
                    if ended { "it closed the pipe; " } else { "" }
                );
            }
            pipe = self.shared.1.wait_timeout(pipe, left).unwrap().0;
        }
    }
}
