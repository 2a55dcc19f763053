//! What a program shows and takes: its frames and who gets them, its history, and the way in.

pub(in crate::host) mod fair;
pub(in crate::host) mod history;
pub(in crate::host) mod host_screen;
pub(in crate::host) mod input;
pub(in crate::host) mod lane;
pub(in crate::host) mod pack;
pub(in crate::host) mod track;
