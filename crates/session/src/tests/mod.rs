//! Host and viewers talking to each other: stories, refusals, slow and hostile peers.

mod admission;
mod attribution;
mod checkpoints;
mod codes;
mod comings;
mod confirm;
mod conversations;
mod durable;
mod harness;
mod history;
mod hostile;
mod joining;
mod lists;
mod props;
mod resume;
mod rights;
mod shares;
mod signing;
mod story;
mod taken_back;
mod tracks;
mod typing;
mod unproved;
mod versions;
mod watching;
mod who;
