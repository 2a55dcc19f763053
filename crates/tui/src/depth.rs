//! How many colours a terminal shows.

use pillion_screen::Color;
use thiserror::Error;

/// xterm's 16 colours, what most terminals come close to.
const NAMED: [[u8; 3]; 16] = [
    [0, 0, 0],
    [205, 0, 0],
    [0, 205, 0],
    [205, 205, 0],
    [0, 0, 238],
    [205, 0, 205],
    [0, 205, 205],
    [229, 229, 229],
    [127, 127, 127],
    [255, 0, 0],
    [0, 255, 0],
    [255, 255, 0],
    [92, 92, 255],
    [255, 0, 255],
    [0, 255, 255],
    [255, 255, 255],
];

/// The levels of the palette's 6×6×6 cube.
const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// How many colours a terminal shows. Colours beyond it are replaced by the nearest ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Depth {
    /// None: attributes only.
    Mono,
    /// The 16 named ones.
    Ansi16,
    /// The 256 of the palette.
    #[default]
    Ansi256,
    /// 24 bits.
    True,
}

/// The terminal can't show a full screen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "this terminal (TERM={0}) can't show a full screen; use `pillion join --text` for the screen as text, or `--follow` for its lines as they come"
)]
pub struct DumbTerminal(String);

impl Depth {
    /// From the environment: `NO_COLOR`, `COLORTERM`, `TERM`.
    ///
    /// # Errors
    /// When `TERM` says that the terminal can do nothing.
    pub fn detect(env: impl Fn(&str) -> Option<String>) -> Result<Depth, DumbTerminal> {
        let get = |name| env(name).unwrap_or_default();
        let term = get("TERM");
        if term == "dumb" {
            return Err(DumbTerminal(term));
        }
        if !get("NO_COLOR").is_empty() {
            return Ok(Depth::Mono);
        }
        if matches!(get("COLORTERM").as_str(), "truecolor" | "24bit") || term.ends_with("-direct") {
            return Ok(Depth::True);
        }
        // Terminals that show 24 bits and say so only by their name.
        if [
            "xterm-kitty",
            "xterm-ghostty",
            "alacritty",
            "foot",
            "wezterm",
        ]
        .contains(&term.as_str())
        {
            return Ok(Depth::True);
        }
        Ok(match term.as_str() {
            name if name.contains("256color") => Depth::Ansi256,
            name if name.starts_with("vt") => Depth::Mono,
            _ => Depth::Ansi16,
        })
    }

    /// The nearest colour that can be shown.
    pub fn nearest(self, color: Color) -> Color {
        match (self, color) {
            (Depth::Mono, _) => Color::Default,
            (Depth::Ansi16, Color::Indexed(n @ 16..)) => Color::Indexed(named(palette(n))),
            (Depth::Ansi16, Color::Rgb(r, g, b)) => Color::Indexed(named([r, g, b])),
            (Depth::Ansi256, Color::Rgb(r, g, b)) => Color::Indexed(indexed([r, g, b])),
            _ => color,
        }
    }
}

fn distance(a: [u8; 3], b: [u8; 3]) -> u32 {
    let square = |(a, b): (u8, u8)| u32::from(a.abs_diff(b)).pow(2);
    a.into_iter().zip(b).map(square).sum()
}

/// What xterm shows for one of the upper 240 of the palette.
fn palette(n: u8) -> [u8; 3] {
    let level = |n: u8| LEVELS.get(usize::from(n % 6)).copied().unwrap_or(0);
    match n.checked_sub(232) {
        Some(gray) => [8 + 10 * gray; 3],
        None => {
            let n = n.saturating_sub(16);
            [level(n / 36), level(n / 6), level(n)]
        }
    }
}

fn named(rgb: [u8; 3]) -> u8 {
    let all = (0..).zip(NAMED);
    all.min_by_key(|(_, named)| distance(rgb, *named))
        .map_or(7, |(n, _)| n)
}

/// The nearer of the cube's nearest and the greys' nearest.
fn indexed(rgb: [u8; 3]) -> u8 {
    let level = |value: u8| {
        let levels = (0u8..).zip(LEVELS);
        let nearest = levels.min_by_key(|(_, level)| level.abs_diff(value));
        nearest.map_or(0, |(level, _)| level)
    };
    let [r, g, b] = rgb.map(level);
    let cube = 16 + 36 * r + 6 * g + b;
    let mean = rgb.iter().map(|value| u32::from(*value)).sum::<u32>() / 3;
    // Greys are 8, 18, … 238.
    let gray = 232 + (mean.saturating_sub(3) / 10).min(23) as u8;
    match distance(rgb, palette(gray)) < distance(rgb, palette(cube)) {
        true => gray,
        false => cube,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(set: &[(&str, &str)]) -> Result<Depth, DumbTerminal> {
        Depth::detect(|name| {
            let found = set.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_tells_how_many_colours() {
        assert_eq!(detect(&[("TERM", "xterm-256color")]), Ok(Depth::Ansi256));
        assert_eq!(
            detect(&[("TERM", "xterm"), ("COLORTERM", "truecolor")]),
            Ok(Depth::True)
        );
        assert_eq!(detect(&[("TERM", "xterm-kitty")]), Ok(Depth::True));
        assert_eq!(detect(&[("TERM", "linux")]), Ok(Depth::Ansi16));
        assert_eq!(detect(&[]), Ok(Depth::Ansi16));
        assert_eq!(
            detect(&[("TERM", "xterm-256color"), ("NO_COLOR", "1")]),
            Ok(Depth::Mono)
        );
        assert_eq!(
            detect(&[("TERM", "xterm-256color"), ("NO_COLOR", "")]),
            Ok(Depth::Ansi256)
        );
        let error = detect(&[("TERM", "dumb")]).unwrap_err();
        assert!(error.to_string().contains("--text"));
    }

    #[test]
    fn colours_become_the_nearest_there_are() {
        let near = |depth: Depth, rgb: [u8; 3]| depth.nearest(Color::Rgb(rgb[0], rgb[1], rgb[2]));
        assert_eq!(near(Depth::Ansi256, [255, 0, 0]), Color::Indexed(196));
        assert_eq!(near(Depth::Ansi256, [8, 8, 8]), Color::Indexed(232));
        assert_eq!(near(Depth::Ansi256, [238, 238, 238]), Color::Indexed(255));
        assert_eq!(near(Depth::Ansi256, [255, 255, 255]), Color::Indexed(231));
        assert_eq!(near(Depth::Ansi16, [250, 5, 5]), Color::Indexed(9));
        assert_eq!(
            Depth::Ansi16.nearest(Color::Indexed(196)),
            Color::Indexed(9)
        );
        assert_eq!(Depth::Ansi16.nearest(Color::Indexed(3)), Color::Indexed(3));
        assert_eq!(Depth::Mono.nearest(Color::Indexed(3)), Color::Default);
        assert_eq!(near(Depth::True, [1, 2, 3]), Color::Rgb(1, 2, 3));
    }

    #[test]
    fn the_nearest_of_256_is_as_near_as_any() {
        for step in 0..=4096u32 {
            let rgb = [step * 7, step * 13, step * 29].map(|value| (value % 256) as u8);
            let best = (16..=255).map(|n| distance(rgb, palette(n))).min().unwrap();
            assert_eq!(distance(rgb, palette(indexed(rgb))), best, "{rgb:?}");
        }
    }
}
