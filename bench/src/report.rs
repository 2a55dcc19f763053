//! What came out, as a table for people and as JSON.

use serde_json::json;

use crate::stats::Samples;

/// One measured quantity, for each system.
#[derive(Debug)]
pub struct Line {
    /// What was measured.
    pub what: String,
    /// In what; empty for a ratio.
    pub unit: &'static str,
    /// What came out, in the order it is to be shown.
    pub values: Vec<Value>,
    /// What Pillion's figure should be at most.
    pub target: Option<f64>,
}

/// A system's figure.
#[derive(Debug)]
pub struct Value {
    /// Its name.
    pub system: &'static str,
    /// The figure.
    pub figure: f64,
    /// The lowest and the highest of what it was made from: of the runs, or of single measurements.
    pub range: (f64, f64),
    /// How many measurements it was made from.
    pub samples: usize,
}

/// A row: lines that were measured together.
#[derive(Debug, Default)]
pub struct Row {
    /// The lines.
    pub lines: Vec<Line>,
    /// What has to be said about them: what failed, what is compared with what.
    pub notes: Vec<String>,
}

/// The name of our column.
const OURS: &str = "pillion";

/// The name of a column that is no system but what limits them all.
pub const BASELINE: &str = "unshared";

impl Line {
    /// A line without figures.
    pub fn new(what: impl Into<String>, unit: &'static str, target: Option<f64>) -> Line {
        Line {
            what: what.into(),
            unit,
            values: Vec::new(),
            target,
        }
    }

    /// Adds the median of a system's samples, if there are any.
    pub fn median(&mut self, system: &'static str, samples: &Samples) {
        self.percentile(system, samples, 50.0);
    }

    /// Adds a percentile of a system's samples, if there are any.
    pub fn percentile(&mut self, system: &'static str, samples: &Samples, percent: f64) {
        if let (Some(figure), Some(range)) = (samples.percentile(percent), samples.range()) {
            self.values.push(Value {
                system,
                figure,
                range,
                samples: samples.len(),
            });
        }
    }

    fn figure(&self, system: &str) -> Option<f64> {
        self.values
            .iter()
            .find(|value| value.system == system)
            .map(|value| value.figure)
    }

    /// Pillion's figure by the least of the others'; below 1 Pillion is better.
    pub fn ratio_to_best_peer(&self) -> Option<f64> {
        let peers = self
            .values
            .iter()
            .filter(|value| ![OURS, BASELINE].contains(&value.system));
        let best = peers.map(|value| value.figure).min_by(f64::total_cmp)?;
        Some(self.figure(OURS)? / best).filter(|ratio| ratio.is_finite())
    }

    /// Whether Pillion's figure is within the target; `None` where one of them is not there.
    pub fn met(&self) -> Option<bool> {
        Some(self.figure(OURS)? <= self.target?)
    }
}

/// The table's columns: what every line is shown under.
pub fn table(rows: &[Row]) -> String {
    let mut columns = vec![OURS];
    for value in rows
        .iter()
        .flat_map(|row| &row.lines)
        .flat_map(|line| &line.values)
    {
        if !columns.contains(&value.system) {
            columns.push(value.system);
        }
    }
    let mut cells = vec![
        ["what"]
            .into_iter()
            .chain(columns.iter().copied())
            .chain(["÷ best peer", "target", ""])
            .map(str::to_owned)
            .collect(),
    ];
    for line in rows.iter().flat_map(|row| &row.lines) {
        let unit = if line.unit.is_empty() {
            String::new()
        } else {
            format!(", {}", line.unit)
        };
        let mut row = vec![format!("{}{unit}", line.what)];
        row.extend(
            columns
                .iter()
                .map(|system| line.figure(system).map_or_else(|| "–".into(), number)),
        );
        row.push(
            line.ratio_to_best_peer()
                .map_or_else(String::new, |ratio| format!("{ratio:.2}")),
        );
        row.push(
            line.target
                .map_or_else(String::new, |target| format!("≤ {target}")),
        );
        row.push(match line.met() {
            Some(true) => "met".into(),
            Some(false) => "MISSED".into(),
            None => String::new(),
        });
        cells.push(row);
    }
    let mut text = aligned(&cells);
    for note in rows.iter().flat_map(|row| &row.notes) {
        text.push_str(&format!("  {note}\n"));
    }
    text
}

/// Everything, for programs.
pub fn json(rows: &[(String, Row)], about: serde_json::Value) -> serde_json::Value {
    let line = |line: &Line| {
        let value = |value: &Value| {
            json!({
                "system": value.system, "figure": value.figure, "low": value.range.0,
                "high": value.range.1, "samples": value.samples,
            })
        };
        json!({
            "what": line.what, "unit": line.unit, "values": line.values.iter().map(value).collect::<Vec<_>>(),
            "ratio_to_best_peer": line.ratio_to_best_peer(), "target": line.target, "met": line.met(),
        })
    };
    let row = |(name, row): &(String, Row)| json!({ "row": name, "lines": row.lines.iter().map(line).collect::<Vec<_>>(), "notes": row.notes });
    json!({ "about": about, "rows": rows.iter().map(row).collect::<Vec<_>>() })
}

/// Three digits that say something.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The first column to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(column) {
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells =
            row.iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, width))| match column {
                    0 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[(&'static str, f64)], target: f64) -> Line {
        let mut line = Line::new("echo", "ms", Some(target));
        for (system, figure) in values {
            let mut samples = Samples::default();
            samples.add_value(*figure);
            line.median(system, &samples);
        }
        line
    }

    #[test]
    fn the_ratio_is_to_the_best_of_the_peers_not_to_the_baseline() {
        let line = line(
            &[
                (OURS, 2.0),
                (BASELINE, 0.5),
                ("ssh+tmux", 8.0),
                ("mosh", 4.0),
            ],
            1.0,
        );
        assert_eq!(line.ratio_to_best_peer(), Some(0.5));
        assert_eq!(line.met(), Some(false));
    }

    #[test]
    fn without_our_figure_nothing_is_claimed() {
        let line = line(&[("mosh", 4.0)], 1.0);
        assert_eq!((line.ratio_to_best_peer(), line.met()), (None, None));
        assert_eq!(super::Line::new("x", "", None).met(), None);
    }

    #[test]
    fn the_table_lines_up_and_says_what_was_met() {
        let row = Row {
            lines: vec![line(&[(OURS, 0.2), ("mosh", 9.81)], 0.25)],
            notes: vec!["so it is".into()],
        };
        let expected = "what      pillion  mosh  ÷ best peer  target\necho, ms     0.20  9.81         0.02  ≤ 0.25  met\n  so it is\n";
        assert_eq!(table(&[row]), expected);
    }
}
