//! What commands print: on streams that may be closed, as text that grows, as QR codes.

pub mod console;
pub(crate) mod printer;
pub mod qr;
pub mod table;
