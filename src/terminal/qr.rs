//! QR codes in a terminal.

use anyhow::{Result, bail};
use qrcode::{Color, EcLevel, QrCode};

/// Light modules around a code: readers need four (ISO/IEC 18004, 5.3.8).
const QUIET: usize = 4;

/// How a terminal draws it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Black on white, two modules in one cell by half blocks.
    Colour,
    /// Half blocks in the terminal's own colours, which are taken to be light on dark.
    Plain,
    /// Two `#` for each light module: a terminal without Unicode.
    Ascii,
}

impl Style {
    /// What a terminal can do, as the environment tells.
    pub fn detect(env: impl Fn(&str) -> Option<String>) -> Style {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let locale = set("LC_ALL")
            .or_else(|| set("LC_CTYPE"))
            .or_else(|| set("LANG"));
        let unicode = locale.is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        match set("TERM").as_deref() {
            None | Some("dumb") => Style::Ascii,
            _ if !unicode => Style::Ascii,
            _ if set("NO_COLOR").is_some() => Style::Plain,
            _ => Style::Colour,
        }
    }
}

/// Draws `text` in at most `cols` columns, a line break after each row.
///
/// # Errors
/// It is too long for a QR code, or the terminal too narrow for it.
pub fn draw(text: &str, style: Style, cols: usize) -> Result<String> {
    let rows = rows(text, style)?;
    let needed = rows.first().map_or(0, |row| row.chars().count());
    if cols < needed {
        bail!("the QR code needs {needed} columns, and this terminal has {cols}: make it wider");
    }
    let mut out = String::new();
    for row in rows {
        match style {
            Style::Colour => out += &format!("\x1b[38;5;231;48;5;16m{row}\x1b[0m\n"),
            Style::Plain | Style::Ascii => out += &format!("{row}\n"),
        }
    }
    Ok(out)
}

/// The rows that draw `text`, each as long as the others, without colours.
///
/// # Errors
/// It is too long for a QR code.
pub fn rows(text: &str, style: Style) -> Result<Vec<String>> {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::L) else {
        bail!("this is too long for a QR code");
    };
    let size = code.width();
    let all = size + 2 * QUIET;
    let modules = code.to_colors();
    let light = |x: usize, y: usize| {
        let inside = (QUIET..QUIET + size).contains(&x) && (QUIET..QUIET + size).contains(&y);
        !inside || modules[(y - QUIET) * size + (x - QUIET)] == Color::Light
    };
    let high = match style {
        Style::Ascii => 1,
        Style::Colour | Style::Plain => 2,
    };
    let row = |y: usize| {
        let cells = (0..all).map(|x| {
            // Below the last row of an odd number there is nothing, which is as good as light.
            let below = y + 1 >= all || light(x, y + 1);
            match (style, light(x, y), below) {
                (Style::Ascii, true, _) => "##",
                (Style::Ascii, false, _) => "  ",
                (_, true, true) => "█",
                (_, true, false) => "▀",
                (_, false, true) => "▄",
                (_, false, false) => " ",
            }
        });
        cells.collect()
    };
    Ok((0..all).step_by(high).map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://signal.example/s/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA#BBBBBBBBBBBBBBBBBBBBBB";

    fn style(env: &[(&str, &str)]) -> Style {
        Style::detect(|name| {
            let found = env.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_link_fits_a_terminal_of_80_by_24() {
        let drawn = draw(LINK, Style::Plain, 80).unwrap();
        assert!(drawn.lines().count() <= 23, "{drawn}");
        assert!(drawn.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn a_quiet_zone_is_all_around() {
        let drawn = draw(LINK, Style::Plain, 80).unwrap();
        let rows: Vec<Vec<char>> = drawn.lines().map(|line| line.chars().collect()).collect();
        for row in rows.iter().take(QUIET / 2) {
            assert!(row.iter().all(|c| *c == '█'));
        }
        for row in &rows {
            assert!(
                row[..QUIET]
                    .iter()
                    .chain(&row[row.len() - QUIET..])
                    .all(|c| *c == '█')
            );
        }
        let last = rows.last().unwrap();
        assert!(last.iter().all(|c| *c == '█'));
    }

    #[test]
    fn every_style_draws_the_same_modules() {
        let ascii = draw(LINK, Style::Ascii, 200).unwrap();
        let modules: Vec<Vec<bool>> = ascii
            .lines()
            .map(|line| {
                line.as_bytes()
                    .chunks(2)
                    .map(|cell| cell == b"##")
                    .collect()
            })
            .collect();
        let plain = draw(LINK, Style::Plain, 80).unwrap();
        for (y, line) in plain.lines().enumerate() {
            for (x, cell) in line.chars().enumerate() {
                let (above, below) = match cell {
                    '█' => (true, true),
                    '▀' => (true, false),
                    '▄' => (false, true),
                    _ => (false, false),
                };
                assert_eq!(above, modules[2 * y][x]);
                assert_eq!(below, modules.get(2 * y + 1).is_none_or(|row| row[x]));
            }
        }
        let colour = draw(LINK, Style::Colour, 80).unwrap();
        let bare = colour
            .replace("\x1b[38;5;231;48;5;16m", "")
            .replace("\x1b[0m", "");
        assert_eq!(bare, plain);
    }

    /// Reads a drawing as a camera would see it on a dark terminal: each module eight pixels wide.
    #[test]
    fn a_reader_reads_it() {
        const PIXELS: usize = 8;
        for text in [LINK, "PILLIONAB3DEFGH234567"] {
            let drawn = draw(text, Style::Ascii, 200).unwrap();
            let rows: Vec<&[u8]> = drawn.lines().map(str::as_bytes).collect();
            let side = rows.len() * PIXELS;
            let mut image = rqrr::PreparedImage::prepare_from_greyscale(side, side, |x, y| {
                match rows[y / PIXELS][2 * (x / PIXELS)] {
                    b'#' => 230,
                    _ => 20,
                }
            });
            let grids = image.detect_grids();
            let [grid] = &grids[..] else {
                panic!("{} codes are seen", grids.len())
            };
            assert_eq!(grid.decode().unwrap().1, text);
        }
    }

    #[test]
    fn a_narrow_terminal_is_told_how_wide_it_must_be() {
        let said = draw(LINK, Style::Plain, 30).unwrap_err().to_string();
        assert!(said.contains("needs 41 columns"), "{said}");
        assert!(draw(&"x".repeat(4000), Style::Plain, 1000).is_err());
    }

    #[test]
    fn a_terminal_gets_what_it_can_draw() {
        assert_eq!(
            style(&[("TERM", "xterm"), ("LANG", "C.UTF-8")]),
            Style::Colour
        );
        let no_color = [("TERM", "xterm"), ("LANG", "de_DE.utf8"), ("NO_COLOR", "1")];
        assert_eq!(style(&no_color), Style::Plain);
        assert_eq!(
            style(&[("TERM", "dumb"), ("LANG", "C.UTF-8")]),
            Style::Ascii
        );
        assert_eq!(
            style(&[("TERM", "xterm"), ("LC_ALL", "C"), ("LANG", "C.UTF-8")]),
            Style::Ascii
        );
        assert_eq!(style(&[("LANG", "C.UTF-8")]), Style::Ascii);
    }
}
