//! The stories: the real binary in real terminals, each file about one part of what people do.
//!
//! They are one program, so that they are linked once and run side by side.

#![allow(clippy::disallowed_macros)] // What it prints is for who runs it.

mod harness;
#[path = "../common/skip.rs"]
mod skip;

mod action;
mod admission;
mod agents;
mod bad_input;
mod changes;
mod codes;
mod completion;
mod devices;
mod durable;
mod editors;
mod evidence;
mod examples;
mod forks;
mod headless;
mod hostile_text;
mod json;
mod leaving;
mod life_cycle;
mod links;
mod own_terminal;
mod people;
mod pictures;
mod processes;
mod queries;
mod real_agents;
mod runs;
mod same_screen;
mod story;
mod terminals;
mod typing;
mod untrusted;
mod who;
mod who_says_yes;
mod wrong_usage;
