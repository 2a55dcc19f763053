//! The examples do what they say.

use std::{path::PathBuf, process::Command};

use crate::harness::{Machine, Piped};

/// Where `cargo test` has built an example: beside the tests' own folder.
fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().unwrap().parent().unwrap();
    path.join("examples").join(name)
}

#[test]
fn the_example_host_is_seen_by_the_example_viewer() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let mut host = Command::new(example("host"));
    // Nothing more is printed before the viewer is there.
    let script = "echo hello-$((40+2)); read go < go; echo bye-$((1+1))";
    host.args(["sh", "-c", &format!("mkfifo part; mv part go; {script}")]);
    anna.set_env(&mut host);
    let mut host = Piped::start(host);
    host.err.wait_for("\n");
    let ticket = host.err.text().trim().to_owned();

    let mut viewer = Command::new(example("viewer"));
    viewer.arg(&ticket);
    bert.set_env(&mut viewer);
    let mut viewer = Piped::start(viewer);
    viewer.out.wait_for("hello-42");
    std::fs::write(anna.path("go"), "\n").unwrap();
    viewer.out.wait_for("bye-2");
    assert!(host.wait_exit().success());
    assert!(viewer.wait_exit().success());
    viewer.out.wait_for("the program ended");

    // The command reads the example's session like its own.
    assert_eq!(anna.session()["state"], "ended");
    assert!(anna.run(&["export"]).contains("bye-2"));
}
