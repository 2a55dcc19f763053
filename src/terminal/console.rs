//! Standard output and standard error, for programs that outlive anybody who reads them.
//!
//! The standard library's macros panic when nobody reads any more: a session without a terminal would end with the
//! pipe its log goes through, and a viewer with its window. So these are used instead (clippy's
//! `disallowed-macros` sees to it).

use std::{
    fmt::Arguments,
    io::{self, ErrorKind, Write},
    sync::LazyLock,
};

use pillion_tui::Charset;

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

/// An error and its causes in one line. A cause is left out where what stands before it has its words already.
pub fn explain(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain() {
        let cause = without_error_numbers(&cause.to_string());
        if said.is_empty() {
            said = cause;
        } else if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

/// Takes out the system's numbers of errors, "(os error 2)", whose names stand before them.
fn without_error_numbers(text: &str) -> String {
    const BEGINS: &str = " (os error ";
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(BEGINS) {
        let (before, from) = rest.split_at(at);
        let number = &from[BEGINS.len()..];
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        out += before;
        rest = match number[digits..].strip_prefix(')') {
            Some(behind) if digits > 0 => behind,
            _ => {
                out += BEGINS;
                number
            }
        };
    }
    out + rest
}

/// What [`say!`](crate::say) and [`prompt!`](crate::prompt) do.
pub fn to_stderr(text: Arguments<'_>, end: &str) {
    let text = without_error_numbers(&text.to_string());
    let text = charset().spell(&text);
    let mut stderr = io::stderr().lock();
    // There is nobody left to tell.
    let _ = write!(stderr, "{text}{end}").and_then(|()| stderr.flush());
}

/// What our own signs may be here, as the environment says it.
pub fn charset() -> Charset {
    static CHARSET: LazyLock<Charset> =
        LazyLock::new(|| Charset::detect(|name| std::env::var(name).ok()));
    *CHARSET
}

/// What [`output!`](crate::output) does.
///
/// # Errors
/// When it can't be written.
pub fn to_stdout(text: Arguments<'_>) -> Result<(), OutputError> {
    writeln!(io::stdout().lock(), "{text}").map_err(OutputError)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn an_error_is_said_once_and_without_numbers() {
        let missing = || io::Error::from_raw_os_error(2);
        let store = pillion_store::StoreError::Io {
            action: "read",
            path: "/x".into(),
            source: missing(),
        };
        let error = anyhow::Error::from(store).context("the session can't be read");
        assert_eq!(
            explain(&error),
            "the session can't be read: Pillion could not read /x: No such file or directory"
        );
        let plain = Err::<(), _>(missing()).context("/y could not be opened");
        assert_eq!(
            explain(&plain.unwrap_err()),
            "/y could not be opened: No such file or directory"
        );
        assert_eq!(explain(&anyhow!("one thing")), "one thing");
    }

    #[test]
    fn only_numbers_of_errors_are_taken_out() {
        for (text, said) in [
            ("a (os error 2), b (os error 13)", "a, b"),
            ("a (os error x) (os error )", "a (os error x) (os error )"),
            ("", ""),
        ] {
            assert_eq!(without_error_numbers(text), said);
        }
    }
}
