//! Markdown, as agents write it, in rows of a terminal.
//!
//! A line break in a paragraph stays one: agents mean it, and a row that is too short hurts nobody.

use std::iter::Peekable;

use pillion_screen::{Attrs, Style};
use pulldown_cmark::{Alignment, CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::span::{BOLD, CYAN, DIM, Line, PLAIN, hang, lines, with};

/// Deeper quotes and lists are not moved in further.
const MAX_LEVELS: usize = 8;

/// What is nested deeper is laid out as if it were not: each level takes some of the stack.
const MAX_DEPTH: usize = 64;

/// Fewest columns of text behind an indent.
const MIN_TEXT: usize = 8;

/// Most columns of a rule.
const RULE: usize = 40;

/// A text's rows in `cols` columns.
pub(super) fn lay_out(text: &str, cols: usize, base: Style) -> Vec<Line> {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut layout = Layout {
        events: Parser::new_ext(text, options).peekable(),
        cols,
        base,
        rows: Vec::new(),
        levels: Vec::new(),
        owes_gap: false,
        depth: 0,
    };
    layout.blocks();
    let mut rows = layout.rows;
    // What has nothing in it was set apart all the same.
    while rows.last().is_some_and(Line::is_blank) {
        rows.pop();
    }
    rows
}

/// How much of a text is laid out as it is whatever follows it: up to a line that begins a block of its own. 0 if
/// there is no such line. Only the addresses of links may stand behind it.
pub(super) fn settled_length(text: &str) -> usize {
    let mut settled = 0;
    let mut fence: Option<Fence> = None;
    let mut after_blank = false;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let mark = Fence::of(line);
        if let Some(open) = fence {
            match mark {
                _ if open.indent > 0 && !line.starts_with([' ', '\t', '\n', '\r']) => break,
                Some(mark) if mark.indent > 3 => break,
                Some(mark) if mark.ends(open) => fence = None,
                _ => {}
            }
            after_blank = false;
            continue;
        }
        let inner = line.trim();
        // What such a line begins may go past a blank one; and how far one goes that is moved in so far depends on
        // what it is in.
        if inner.starts_with('<') || mark.is_some_and(|mark| mark.indent > 3) {
            break;
        }
        if after_blank && begins_a_block(line) {
            settled = start;
        }
        fence = mark;
        after_blank = inner.is_empty();
    }
    settled
}

/// A line that begins or ends a block of code.
#[derive(Clone, Copy)]
struct Fence {
    indent: usize,
    mark: char,
    length: usize,
    /// Nothing stands behind it.
    bare: bool,
}

impl Fence {
    fn of(line: &str) -> Option<Fence> {
        let inner = line.trim();
        let mark = inner.chars().next().filter(|ch| matches!(ch, '`' | '~'))?;
        let length = inner.chars().take_while(|ch| *ch == mark).count();
        let fence = Fence {
            indent: line.len() - line.trim_start().len(),
            mark,
            length,
            bare: inner.len() == length,
        };
        // Behind one of backticks there are no others.
        let is_code = mark == '`' && inner[length..].contains('`');
        (length >= 3 && !is_code).then_some(fence)
    }

    fn ends(self, open: Fence) -> bool {
        self.bare && self.mark == open.mark && self.length >= open.length
    }
}

/// Whether a line behind a blank one goes on with nothing that was before: it is not moved in, and no item of a list.
fn begins_a_block(line: &str) -> bool {
    let mut chars = line.chars();
    match chars.next() {
        None => false,
        Some(first) if first.is_whitespace() || first.is_ascii_digit() => false,
        Some('-' | '*' | '+') => !chars.next().is_none_or(char::is_whitespace),
        Some(_) => true,
    }
}

struct Layout<'a> {
    events: Peekable<Parser<'a>>,
    cols: usize,
    base: Style,
    rows: Vec<Line>,
    levels: Vec<Level>,
    /// A blank row before the next one, if there is one.
    owes_gap: bool,
    /// How many things what is laid out is in.
    depth: usize,
}

/// Something that moves its content in.
struct Level {
    /// Before its first row; taken once that was drawn.
    first: Option<Line>,
    rest: Line,
}

/// The text of a paragraph or heading: its lines, and the address of the link that it is in.
#[derive(Default)]
struct Inline {
    lines: Vec<Line>,
    styles: Vec<Style>,
    links: Vec<Link>,
}

struct Link {
    address: String,
    text: String,
    is_image: bool,
}

impl<'a> Layout<'a> {
    /// Blocks up to the end of what they are in.
    fn blocks(&mut self) {
        self.depth += 1;
        // Where it is too deep to go down, what is deeper stands here.
        let mut deeper = 0;
        while let Some(event) = self.events.next() {
            match event {
                Event::Start(
                    Tag::BlockQuote(_) | Tag::List(_) | Tag::Item | Tag::FootnoteDefinition(_),
                ) if self.depth >= MAX_DEPTH => deeper += 1,
                Event::Start(tag) => self.block(tag),
                Event::End(_) if deeper > 0 => deeper -= 1,
                Event::End(_) => break,
                Event::Rule => {
                    let width = self.room().min(RULE);
                    self.put(vec![Line::new(&"─".repeat(width), DIM)]);
                    self.owes_gap = true;
                }
                // Text of a tight list's item has no paragraph of its own.
                event => {
                    let inline = self.inline(event, self.base);
                    self.put_inline(inline);
                }
            }
        }
        self.depth -= 1;
    }

    /// A block, which the next one stands apart from if it has any rows.
    fn block(&mut self, tag: Tag<'a>) {
        let stands_apart = !is_inline(&tag) && !matches!(tag, Tag::Item);
        if matches!(tag, Tag::BlockQuote(_))
            || matches!(tag, Tag::List(_)) && self.levels.is_empty()
        {
            // Before what they put before their rows.
            self.gap();
        }
        let before = self.rows.len();
        self.lay_out_block(tag);
        if stands_apart && self.rows.len() > before {
            self.owes_gap = true;
        }
    }

    fn lay_out_block(&mut self, tag: Tag<'a>) {
        match tag {
            Tag::Paragraph => {
                let inline = self.inline_until_end(self.base);
                self.put_inline(inline);
            }
            Tag::Heading { level, .. } => {
                let style = match level {
                    HeadingLevel::H1 => with(with(self.base, Attrs::BOLD), Attrs::UNDERLINE),
                    _ => with(self.base, Attrs::BOLD),
                };
                let inline = self.inline_until_end(style);
                self.put_inline(inline);
            }
            Tag::CodeBlock(kind) => self.code(&kind),
            Tag::HtmlBlock | Tag::MetadataBlock(_) => {
                let inline = self.inline_until_end(with(self.base, Attrs::DIM));
                self.put_inline(inline);
            }
            Tag::BlockQuote(_) => {
                let bar = Line::new("│ ", DIM);
                self.within(Some(bar.clone()), bar);
            }
            Tag::List(first) => self.list(first),
            Tag::Table(alignments) => self.table(&alignments),
            Tag::Item => self.within(Some(Line::new("• ", PLAIN)), Line::new("  ", PLAIN)),
            // Text by itself, as tight items have it.
            tag if is_inline(&tag) => {
                let inline = self.inline(Event::Start(tag), self.base);
                self.put_inline(inline);
            }
            _ => self.blocks(),
        }
    }

    /// What is moved in.
    fn within(&mut self, first: Option<Line>, rest: Line) {
        let deeper = self.levels.len() < MAX_LEVELS && self.room() >= MIN_TEXT + rest.width();
        if deeper {
            self.levels.push(Level { first, rest });
        }
        self.blocks();
        if deeper && let Some(level) = self.levels.pop()
            // An item without anything in it is an item all the same.
            && let Some(first) = level.first
        {
            self.put(vec![first]);
        }
    }

    fn list(&mut self, first: Option<u64>) {
        // A list within an item belongs to the text before it.
        self.owes_gap &= self.levels.is_empty();
        let mut number = first;
        while let Some(event) = self.events.next() {
            match event {
                Event::Start(Tag::Item) => {
                    let task = self
                        .events
                        .next_if(|event| matches!(event, Event::TaskListMarker(_)));
                    let mark = match (task, number) {
                        (Some(Event::TaskListMarker(true)), _) => "[x] ".to_owned(),
                        (Some(_), _) => "[ ] ".to_owned(),
                        (None, Some(number)) => format!("{number}. "),
                        (None, None) => "• ".to_owned(),
                    };
                    number = number.map(|number| number.saturating_add(1));
                    let mark = Line::new(&mark, self.base);
                    let rest = Line::new(&" ".repeat(mark.width()), PLAIN);
                    self.within(Some(mark), rest);
                }
                Event::End(_) => break,
                _ => {}
            }
        }
    }

    fn code(&mut self, kind: &CodeBlockKind<'a>) {
        let mut text = String::new();
        for event in self.events.by_ref() {
            match event {
                Event::Text(piece) => text.push_str(&piece),
                Event::End(_) => break,
                _ => {}
            }
        }
        let bar = match self.room() >= MIN_TEXT {
            true => Line::new("▏ ", DIM),
            false => Line::default(),
        };
        let room = self.room().saturating_sub(bar.width());
        if let CodeBlockKind::Fenced(language) = kind
            && let Some(language) = language.split_whitespace().next()
        {
            let line = bar.clone().and(language, DIM);
            self.put(vec![line.cut(self.room())]);
        }
        let text = text.strip_suffix('\n').unwrap_or(&text);
        for line in lines(text) {
            let rows = Line::new(line, self.base).wrap_anywhere(room);
            self.put(hang(&bar, &bar, rows));
        }
    }

    fn table(&mut self, alignments: &[Alignment]) {
        let mut all: Vec<Vec<Line>> = Vec::new();
        loop {
            match self.events.next() {
                Some(Event::Start(Tag::TableHead | Tag::TableRow)) => all.push(Vec::new()),
                Some(Event::Start(Tag::TableCell)) => {
                    let style = match all.len() {
                        0 | 1 => with(self.base, Attrs::BOLD),
                        _ => self.base,
                    };
                    let cell = self.inline_until_end(style).joined();
                    if let Some(row) = all.last_mut() {
                        row.push(cell);
                    }
                }
                Some(Event::End(TagEnd::Table)) | None => break,
                Some(_) => {}
            }
        }
        let rows = table_rows(&all, alignments, self.room());
        self.put(rows);
    }

    /// Text that begins with this event, up to the next thing that is no text; the rest is left.
    fn inline(&mut self, event: Event<'a>, base: Style) -> Inline {
        let mut inline = Inline::new(base);
        inline.take(event);
        while !inline.styles.is_empty()
            && let Some(event) = self.events.next_if(|event| match event {
                Event::Start(tag) => is_inline(tag),
                Event::End(end) => is_inline_end(end),
                Event::Rule => false,
                _ => true,
            })
        {
            inline.take(event);
        }
        inline
    }

    /// Text up to the end of what it is in.
    fn inline_until_end(&mut self, base: Style) -> Inline {
        let mut inline = Inline::new(base);
        for event in self.events.by_ref() {
            match event {
                Event::End(end) if !is_inline_end(&end) => break,
                event => inline.take(event),
            }
        }
        inline
    }

    fn put_inline(&mut self, inline: Inline) {
        for line in inline.finished() {
            let rows = line.wrap(self.room());
            self.put(rows);
        }
    }

    /// How many columns there are behind what stands before each row.
    fn room(&self) -> usize {
        let before: usize = self.levels.iter().map(|level| level.rest.width()).sum();
        self.cols.saturating_sub(before).max(1)
    }

    fn gap(&mut self) {
        if std::mem::take(&mut self.owes_gap) && !self.rows.is_empty() {
            let mut row = Line::default();
            for level in &self.levels {
                row.extend(&level.rest);
            }
            self.rows.push(row);
        }
    }

    fn put(&mut self, rows: Vec<Line>) {
        self.gap();
        for row in rows {
            let mut all = Line::default();
            for level in &mut self.levels {
                match level.first.take() {
                    Some(first) => all.extend(&first),
                    None => all.extend(&level.rest),
                }
            }
            all.extend(&row);
            self.rows.push(all);
        }
    }
}

impl Inline {
    fn new(base: Style) -> Inline {
        Inline {
            lines: vec![Line::default()],
            styles: vec![base],
            links: Vec::new(),
        }
    }

    fn style(&self) -> Style {
        self.styles.last().copied().unwrap_or(PLAIN)
    }

    fn push(&mut self, text: &str, style: Style) {
        for link in &mut self.links {
            link.text.push_str(text);
        }
        for (at, piece) in lines(text).enumerate() {
            if at > 0 {
                self.lines.push(Line::default());
            }
            if let Some(line) = self.lines.last_mut() {
                line.push(piece, style);
            }
        }
    }

    fn take(&mut self, event: Event<'_>) {
        let style = self.style();
        let mut more = |attrs| self.styles.push(with(style, attrs));
        match event {
            Event::Text(text) => self.push(&text, style),
            Event::Code(text) => {
                let code = Style {
                    fg: CYAN.fg,
                    ..style
                };
                self.push(&text, code);
            }
            Event::Html(text) | Event::InlineHtml(text) => {
                self.push(&text, with(style, Attrs::DIM));
            }
            Event::SoftBreak | Event::HardBreak => self.lines.push(Line::default()),
            Event::Start(Tag::Emphasis) => more(Attrs::ITALIC),
            Event::Start(Tag::Strong) => more(Attrs::BOLD),
            Event::Start(Tag::Strikethrough) => more(Attrs::STRIKE),
            Event::Start(Tag::Link { dest_url, .. }) => {
                more(Attrs::UNDERLINE);
                self.open_link(&dest_url, false);
            }
            Event::Start(Tag::Image { dest_url, .. }) => {
                more(Attrs(0));
                self.push("[image: ", style);
                self.open_link(&dest_url, true);
            }
            Event::Start(_) => more(Attrs(0)),
            Event::End(end) => {
                if self.styles.len() > 1 {
                    self.styles.pop();
                }
                if matches!(end, TagEnd::Link | TagEnd::Image) {
                    self.close_link();
                }
            }
            _ => {}
        }
    }

    fn open_link(&mut self, address: &str, is_image: bool) {
        self.links.push(Link {
            address: address.to_owned(),
            text: String::new(),
            is_image,
        });
    }

    /// Where a link leads is seen, unless its text says so.
    fn close_link(&mut self) {
        let Some(link) = self.links.pop() else { return };
        let style = self.style();
        if link.is_image {
            self.push("]", style);
        }
        let says_so = link.text == link.address
            || link.address.strip_prefix("mailto:") == Some(link.text.as_str());
        if !says_so && !link.address.is_empty() {
            self.push(&format!(" ({})", link.address), with(style, Attrs::DIM));
        }
    }

    /// Its lines, without those at its end that are blank.
    fn finished(mut self) -> Vec<Line> {
        while self.lines.last().is_some_and(Line::is_blank) {
            self.lines.pop();
        }
        self.lines
    }

    /// All of it on one line.
    fn joined(self) -> Line {
        let mut all = Line::default();
        for (at, line) in self.lines.iter().enumerate() {
            if at > 0 {
                all.push(" ", PLAIN);
            }
            all.extend(line);
        }
        all
    }
}

/// A table in columns, or, where those don't fit, a row for each cell.
fn table_rows(all: &[Vec<Line>], alignments: &[Alignment], room: usize) -> Vec<Line> {
    const BETWEEN: &str = " │ ";
    let count = all.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count)
        .map(|at| {
            all.iter()
                .filter_map(|row| row.get(at))
                .map(Line::width)
                .max()
                .unwrap_or(0)
        })
        .collect();
    let total: usize = widths.iter().sum::<usize>() + 3 * count.saturating_sub(1);
    let Some((head, body)) = all.split_first() else {
        return Vec::new();
    };
    if total > room {
        return listed(head, body, room);
    }
    let mut rows = Vec::new();
    for (y, cells) in all.iter().enumerate() {
        let mut row = Line::default();
        for (at, width) in widths.iter().enumerate() {
            if at > 0 {
                row.push(BETWEEN, DIM);
            }
            let empty = Line::default();
            let cell = cells.get(at).unwrap_or(&empty);
            let blank = width - cell.width();
            let before = match alignments.get(at) {
                Some(Alignment::Right) => blank,
                Some(Alignment::Center) => blank / 2,
                _ => 0,
            };
            row.push(&" ".repeat(before), PLAIN);
            row.extend(cell);
            if at + 1 < count {
                row.push(&" ".repeat(blank - before), PLAIN);
            }
        }
        rows.push(row);
        if y == 0 {
            let parts = widths.iter().map(|width| "─".repeat(*width));
            rows.push(Line::new(&parts.collect::<Vec<_>>().join("─┼─"), DIM));
        }
    }
    rows
}

fn listed(head: &[Line], body: &[Vec<Line>], room: usize) -> Vec<Line> {
    let hangs = room >= MIN_TEXT;
    let before = |text| Line::new(if hangs { text } else { "" }, PLAIN);
    let (first, rest) = (before("• "), before("  "));
    let mut rows = Vec::new();
    for cells in body {
        for (at, cell) in cells.iter().enumerate() {
            let mut line = head.get(at).cloned().unwrap_or_default();
            line.push(": ", BOLD);
            line.extend(cell);
            let wrapped = line.wrap(room.saturating_sub(rest.width()));
            let first = if at == 0 { &first } else { &rest };
            rows.extend(hang(first, &rest, wrapped));
        }
    }
    rows
}

fn is_inline(tag: &Tag<'_>) -> bool {
    matches!(
        tag,
        Tag::Emphasis
            | Tag::Strong
            | Tag::Strikethrough
            | Tag::Superscript
            | Tag::Subscript
            | Tag::Link { .. }
            | Tag::Image { .. }
    )
}

fn is_inline_end(end: &TagEnd) -> bool {
    matches!(
        end,
        TagEnd::Emphasis
            | TagEnd::Strong
            | TagEnd::Strikethrough
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::Link
            | TagEnd::Image
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str, cols: usize) -> Vec<String> {
        let rows = lay_out(text, cols, PLAIN);
        rows.iter()
            .map(|row| row.plain_text().trim_end().to_owned())
            .collect()
    }

    #[test]
    fn blocks_are_apart_and_lists_together() {
        let text = "# Title\nSome *text*\nand more.\n\n- one\n- two\n  - inner\n\n1. first\n2. second\n\n> quoted\n> twice\n\n---\nend";
        assert_eq!(
            shown(text, 40),
            [
                "Title",
                "",
                "Some text",
                "and more.",
                "",
                "• one",
                "• two",
                "  • inner",
                "",
                "1. first",
                "2. second",
                "",
                "│ quoted",
                "│ twice",
                "",
                &"─".repeat(40),
                "",
                "end",
            ]
        );
    }

    #[test]
    fn code_is_kept_as_it_is() {
        let text = "Run `ls`:\n```sh\nls  -l |\n  wc -l\n\nexit\n```\nthen";
        assert_eq!(
            shown(text, 12),
            [
                "Run ls:",
                "",
                "▏ sh",
                "▏ ls  -l |",
                "▏   wc -l",
                "▏",
                "▏ exit",
                "",
                "then"
            ]
        );
        assert_eq!(shown("```\nabcdefgh\n```", 8), ["▏ abcdef", "▏ gh"]);
    }

    #[test]
    fn where_a_link_leads_is_seen() {
        assert_eq!(
            shown(
                "[docs](https://a.example/x) <https://b.example> <me@c.example>",
                80
            ),
            ["docs (https://a.example/x) https://b.example me@c.example"]
        );
        assert_eq!(
            shown("[https://good.example](https://evil.example)", 80),
            ["https://good.example (https://evil.example)"]
        );
        assert_eq!(shown("![a cat](cat.png)", 80), ["[image: a cat] (cat.png)"]);
    }

    #[test]
    fn tables_have_columns_where_they_fit() {
        let text = "| name | n |\n|---|--:|\n| one | 1 |\n| three | 333 |";
        assert_eq!(
            shown(text, 40),
            ["name  │   n", "──────┼────", "one   │   1", "three │ 333"]
        );
        assert_eq!(
            shown(text, 9),
            [
                "• name:",
                "  one",
                "  n: 1",
                "• name:",
                "  three",
                "  n: 333"
            ]
        );
    }

    #[test]
    fn tasks_and_long_items_hang() {
        assert_eq!(
            shown("- [x] done\n- [ ] not done yet", 12),
            ["[x] done", "[ ] not done", "    yet"]
        );
        assert_eq!(shown("- a\n\n  b\n- c", 20), ["• a", "", "  b", "", "• c"]);
    }

    #[test]
    fn nesting_without_end_does_no_harm() {
        for text in [
            ">".repeat(20_000),
            "- ".repeat(20_000),
            "*".repeat(20_000),
            "[".repeat(20_000),
        ] {
            lay_out(&text, 20, PLAIN);
        }
    }

    #[test]
    fn what_has_nothing_in_it_takes_no_rows() {
        assert_eq!(shown("a\n\n#\n\nb", 20), ["a", "", "b"]);
        assert_eq!(shown("a\n\n>*\n\nb", 10), ["a", "", "│", "", "b"]);
        assert_eq!(shown("a\n\n-\n\nb", 20), ["a", "", "•", "", "b"]);
    }

    #[test]
    fn html_is_text() {
        assert_eq!(
            shown("<b>bold</b> & <!-- x -->", 40),
            ["<b>bold</b> & <!-- x -->"]
        );
    }

    #[test]
    fn what_is_settled_ends_before_a_block_of_its_own() {
        let settled = |text: &str| text[..settled_length(text)].to_owned();
        assert_eq!(settled("one\n\ntwo\n\nthree"), "one\n\ntwo\n\n");
        assert_eq!(settled("- a\n\n- b\n\n  c\n"), "");
        assert_eq!(settled("a\n\n```\nb\n\nc\n"), "a\n\n");
        assert_eq!(
            settled("a\n\n```\nb\n\nc\n```\n\nd"),
            "a\n\n```\nb\n\nc\n```\n\n"
        );
        assert_eq!(settled("a\n\n<!-- b\n\nc"), "");
    }

    proptest! {
        #[test]
        fn what_is_settled_is_laid_out_by_itself(
            lines in proptest::collection::vec("([-*+>#]|1\\.|```|~~~|    |  |\\| a \\| b \\||---)?[ ]?[ab*`]{0,4}", 0..16),
            cols in 10_usize..30,
        ) {
            let text = lines.join("\n");
            let at = settled_length(&text);
            let mut rows = lay_out(&text[..at], cols, PLAIN);
            let rest = lay_out(&text[at..], cols, PLAIN);
            if !rows.is_empty() && !rest.is_empty() {
                rows.push(Line::default());
            }
            rows.extend(rest);
            prop_assert_eq!(rows, lay_out(&text, cols, PLAIN), "{:?}", &text[..at]);
        }

        #[test]
        fn any_text_fits(text in "[a-c #*_`>|\\-\\[\\]()!~:1.<\n\t日]{0,200}", cols in 1usize..30) {
            let rows = lay_out(&text, cols, PLAIN);
            prop_assert!(rows.iter().all(|row| row.width() <= cols.max(2)), "{:?}", rows);
        }
    }
}
