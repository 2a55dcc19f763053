//! Standard output and standard error, for programs that outlive anybody who reads them.
//!
//! The standard library's macros panic when nobody reads any more: a session without a terminal would end with the
//! pipe its log goes through, and a viewer with its window. So these are used instead (clippy's
//! `disallowed-macros` sees to it).

use std::{
    fmt::Arguments,
    io::{self, ErrorKind, Write},
};

/// Says a sentence on standard error, for people. Where nobody reads it, it is not said.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::terminal::console::to_stderr(::std::format_args!($($text)*), "\n") };
}

/// Asks for an answer, which is typed in the same line.
#[macro_export]
macro_rules! prompt {
    ($($text:tt)*) => { $crate::terminal::console::to_stderr(::std::format_args!($($text)*), "") };
}

/// Prints a line of a result on standard output.
///
/// # Errors
/// When it can't be written. That nobody reads any more ([`is_unread`](crate::terminal::console::is_unread)) is an error too,
/// and a reason to end, though not one to report: `pillion ls | head` works.
#[macro_export]
macro_rules! output {
    ($($text:tt)*) => { $crate::terminal::console::to_stdout(::std::format_args!($($text)*)) };
}

/// Why a result was not printed.
#[derive(Debug, thiserror::Error)]
#[error("standard output can't be written")]
pub struct OutputError(#[source] io::Error);

/// Whether a command failed because nobody reads its output any more.
pub fn is_unread(error: &anyhow::Error) -> bool {
    let error = match error.downcast_ref::<OutputError>() {
        Some(OutputError(error)) => Some(error),
        None => error.downcast_ref::<io::Error>(),
    };
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// What [`say!`](crate::say) and [`prompt!`](crate::prompt) do.
pub fn to_stderr(text: Arguments<'_>, end: &str) {
    let mut stderr = io::stderr().lock();
    // There is nobody left to tell.
    let _ = write!(stderr, "{text}{end}").and_then(|()| stderr.flush());
}

/// What [`output!`](crate::output) does.
///
/// # Errors
/// When it can't be written.
pub fn to_stdout(text: Arguments<'_>) -> Result<(), OutputError> {
    writeln!(io::stdout().lock(), "{text}").map_err(OutputError)
}
