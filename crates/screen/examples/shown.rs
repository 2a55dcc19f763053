//! A terminal for suites of others (`tests/terminals/esctest`): reads lines of base64, what a program wrote, and
//! answers each with a line of JSON: what the terminal replies, its cells, row by row.
#![allow(clippy::disallowed_methods, reason = "it speaks over pipes")]

use std::io::{BufRead, Write};

use data_encoding::BASE64;
use pillion_screen::{Screen, Size, Terminal, Width};
use serde_json::json;

fn main() -> std::io::Result<()> {
    let mut terminal = Terminal::new(Size::clamped(80, 25));
    let mut screen = Screen::blank(terminal.size());
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let bytes = BASE64.decode(line?.as_bytes());
        terminal.feed(&bytes.map_err(std::io::Error::other)?);
        while terminal.take_history().is_some() {}
        terminal.capture(&mut screen);
        let cells = |row: &pillion_screen::Row| -> Vec<String> {
            let text = |cell: &pillion_screen::Cell| match cell.width {
                Width::Spacer => String::new(),
                _ => format!("{}{}", cell.ch, cell.marks()),
            };
            row.cells.iter().map(text).collect()
        };
        let rows: Vec<_> = screen.rows.iter().map(cells).collect();
        let replies = BASE64.encode(&terminal.take_replies());
        writeln!(out, "{}", json!({ "replies": replies, "rows": rows }))?;
        out.flush()?;
    }
    Ok(())
}
