//! The size of a terminal, parsed.

use rustix::termios::Winsize;

/// The size of a terminal in character cells, and in pixels where that is known.
///
/// Always 1..=[`Size::MAX_COLS`] columns and 1..=[`Size::MAX_ROWS`] rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    cols: u16,
    rows: u16,
    /// Width and height of the text area; 0 × 0 means unknown (`tty_ioctl(4)`).
    pixels: (u16, u16),
}

/// A size outside of what a session can share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a terminal of {cols}×{rows} can't be shared; it needs 1 to {} columns and 1 to {} rows",
    Size::MAX_COLS,
    Size::MAX_ROWS
)]
pub struct SizeError {
    /// The number of columns asked for.
    pub cols: u16,
    /// The number of rows asked for.
    pub rows: u16,
}

impl Size {
    /// The widest terminal, in columns: what the largest screens show in the smallest font, and a
    /// bound for what one screen costs every participant in memory.
    pub const MAX_COLS: u16 = 1000;
    /// The highest terminal, in rows. See [`Size::MAX_COLS`].
    pub const MAX_ROWS: u16 = 500;
    /// 80×24: what is assumed where no terminal says otherwise.
    pub const DEFAULT: Self = Self {
        cols: 80,
        rows: 24,
        pixels: (0, 0),
    };

    /// A size of `cols` × `rows` cells.
    ///
    /// # Errors
    /// When either is 0 or past its maximum.
    pub const fn new(cols: u16, rows: u16) -> Result<Self, SizeError> {
        if cols == 0 || rows == 0 || cols > Self::MAX_COLS || rows > Self::MAX_ROWS {
            return Err(SizeError { cols, rows });
        }
        let pixels = (0, 0);
        Ok(Self { cols, rows, pixels })
    }

    /// The nearest size that can be shared; 0 (a terminal that doesn't know its size) becomes that of
    /// [`Size::DEFAULT`].
    pub const fn nearest(cols: u16, rows: u16) -> Self {
        const fn bound(value: u16, unknown: u16, max: u16) -> u16 {
            match value {
                0 => unknown,
                value if value > max => max,
                value => value,
            }
        }
        Self {
            cols: bound(cols, Self::DEFAULT.cols, Self::MAX_COLS),
            rows: bound(rows, Self::DEFAULT.rows, Self::MAX_ROWS),
            pixels: (0, 0),
        }
    }

    /// The same size, its text area measuring `width` × `height` pixels.
    #[must_use]
    pub const fn with_pixels(self, width: u16, height: u16) -> Self {
        let pixels = (width, height);
        Self { pixels, ..self }
    }

    /// The number of columns.
    pub const fn cols(self) -> u16 {
        self.cols
    }

    /// The number of rows.
    pub const fn rows(self) -> u16 {
        self.rows
    }
}

impl Default for Size {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl From<Winsize> for Size {
    fn from(size: Winsize) -> Self {
        Self::nearest(size.ws_col, size.ws_row).with_pixels(size.ws_xpixel, size.ws_ypixel)
    }
}

impl From<Size> for Winsize {
    fn from(size: Size) -> Self {
        Self {
            ws_col: size.cols,
            ws_row: size.rows,
            ws_xpixel: size.pixels.0,
            ws_ypixel: size.pixels.1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sizes_that_can_be_shared_are_sizes() {
        assert!(Size::new(1, 1).is_ok());
        assert!(Size::new(1000, 500).is_ok());
        for (cols, rows) in [
            (0, 24),
            (80, 0),
            (1001, 24),
            (80, 501),
            (u16::MAX, u16::MAX),
        ] {
            assert_eq!(Size::new(cols, rows), Err(SizeError { cols, rows }));
        }
    }

    #[test]
    fn any_reported_size_has_a_nearest_one() {
        assert_eq!(Size::nearest(0, 0), Size::DEFAULT);
        assert_eq!(Size::nearest(u16::MAX, 3), Size::new(1000, 3).unwrap());
        assert_eq!(Size::nearest(132, 0), Size::new(132, 24).unwrap());
    }
}
