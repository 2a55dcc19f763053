//! Tests that need more of a machine than it may have.

/// Says why a test is skipped. Where `CI=true` a test that is skipped has failed: what CI does not run, nothing
/// holds.
#[allow(clippy::disallowed_macros)] // What it prints is for who runs the tests.
pub fn skip(why: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|value| value != "true"),
        "skipped, and nothing may be skipped where CI=true: {why}"
    );
    eprintln!("skipped: {why}");
}
