//! The items above the input line: which are seen, and which of those are open.
//!
//! Items are laid out from the last one that is seen upwards, as far as the rows go, and what was laid out is kept
//! until the item changes. So an update costs what it changes, however long the conversation is.

use std::collections::{BTreeMap, BTreeSet};

use pillion_conversation::{Conversation, Item, ItemBody, ItemId, Tool};
use pillion_screen::Attrs;

use super::{
    blocks::{
        Block, block_after, block_before, block_of, first_shown, is_compact, is_hidden, last_shown,
        next_shown, shown_before, version,
    },
    items::{Around, Laid, Stable, response_text},
    span::{DIM, Line, PLAIN, hang, with},
};
use crate::text;

/// Laid-out blocks that are kept though they are not seen.
const KEPT: usize = 256;

/// Threads within threads are not moved in further than this.
const MAX_DEPTH: usize = 4;

/// Fewest columns that a subagent's items are moved in for.
const MIN_COLS: usize = 24;

/// A row of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    block: ItemId,
    row: usize,
}

/// What stands above a block, as far as the block looks different for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Above {
    thread: u32,
    compact: bool,
}

#[derive(Debug)]
struct Cached {
    version: u64,
    above: Option<Above>,
    dropped: u64,
    cols: usize,
    open: bool,
    rows: Vec<Line>,
    /// The row that stands for all of it when it is chosen.
    head: usize,
    folds: bool,
    stable: Option<Stable>,
    round: u64,
}

/// The items that are seen.
#[derive(Debug, Default)]
pub(super) struct History {
    cache: BTreeMap<ItemId, Cached>,
    /// Blocks that are open; where all are, those that are not.
    open: BTreeSet<ItemId>,
    all_open: bool,
    /// The last row that is seen; `None` at the end, where it stays while more comes.
    bottom: Option<Place>,
    chosen: Option<ItemId>,
    /// The chosen block is to be seen whatever is seen now.
    reveal: bool,
    /// Counts what was drawn.
    round: u64,
    height: usize,
    /// The block in each row, as they were drawn last.
    shown: Vec<Option<ItemId>>,
}

impl History {
    /// The rows that are seen, from the top: at most `height`.
    pub(super) fn rows(&mut self, around: &Around<'_>, height: usize) -> Vec<Line> {
        self.round += 1;
        self.height = height;
        let oldest = around.conversation.first_item();
        self.open = self.open.split_off(&oldest);
        if self.chosen.is_some_and(|chosen| chosen < oldest) {
            self.chosen = None;
        }
        let pieces = self.pieces(around);
        self.shown.clear();
        let mut rows = Vec::with_capacity(height);
        for (block, from, to) in pieces {
            let Some(cached) = self.cache.get_mut(&block) else {
                continue;
            };
            cached.round = self.round;
            for at in from..to {
                let row = cached.rows[at].clone();
                let is_chosen = self.chosen == Some(block) && at == cached.head;
                rows.push(match is_chosen {
                    true => row.restyled(|style| with(style, Attrs::INVERSE)),
                    false => row,
                });
                self.shown.push(Some(block));
            }
        }
        if self.cache.len() > KEPT {
            let round = self.round;
            self.cache.retain(|_, cached| cached.round == round);
        }
        rows
    }

    /// Whether what is seen is not the end.
    pub(super) fn is_back(&self) -> bool {
        self.bottom.is_some()
    }

    /// Rows of a page.
    pub(super) fn page(&self) -> usize {
        self.height.saturating_sub(1).max(1)
    }

    pub(super) fn chosen(&self) -> Option<ItemId> {
        self.chosen
    }

    pub(super) fn choose_none(&mut self) {
        self.chosen = None;
    }

    /// The end is seen again, and stays so.
    pub(super) fn show_end(&mut self) {
        self.bottom = None;
    }

    /// The first row is seen.
    pub(super) fn show_beginning(&mut self, around: &Around<'_>) {
        let Some(first) = first_shown(around.conversation) else {
            return;
        };
        let place = Place {
            block: first,
            row: 0,
        };
        self.bottom = Some(place);
        self.down(around, self.height.saturating_sub(1));
    }

    pub(super) fn up(&mut self, around: &Around<'_>, by: usize) {
        let conversation = around.conversation;
        let Some(mut place) = self.bottom_place(around) else {
            return;
        };
        // As far as the first row is at the top.
        let above = self.rows_above(around, place, by + self.height);
        let mut left = by.min((above + 1).saturating_sub(self.height));
        if left == 0 {
            return;
        }
        while left > place.row {
            left -= place.row + 1;
            let Some(before) = block_before(conversation, place.block) else {
                return;
            };
            let row = self.lay_out(around, before).saturating_sub(1);
            place = Place {
                block: before.first,
                row,
            };
        }
        place.row -= left;
        self.bottom = Some(place);
    }

    pub(super) fn down(&mut self, around: &Around<'_>, by: usize) {
        let Some(place) = self.bottom else { return };
        let conversation = around.conversation;
        let mut left = by;
        let Some(mut block) = self.block_at(conversation, place.block) else {
            self.bottom = None;
            return;
        };
        let mut row = place.row;
        loop {
            let rows = self.lay_out(around, block);
            let here = (rows.saturating_sub(1)).saturating_sub(row);
            if left <= here {
                row += left;
                break;
            }
            left -= here + 1;
            match block_after(conversation, block) {
                Some(after) => (block, row) = (after, 0),
                None => {
                    self.bottom = None;
                    return;
                }
            }
        }
        self.bottom = Some(Place {
            block: block.first,
            row,
        });
        let is_end =
            block_after(conversation, block).is_none() && row + 1 >= self.lay_out(around, block);
        if is_end {
            self.bottom = None;
        }
    }

    /// Chooses the next block upwards (or downwards) of those that can be opened; `false` if there is none.
    pub(super) fn choose_next(&mut self, around: &Around<'_>, upwards: bool) -> bool {
        let conversation = around.conversation;
        let mut next = match (self.chosen, upwards) {
            (Some(chosen), true) => block_before(conversation, chosen),
            (Some(chosen), false) => {
                let block = self.block_at(conversation, chosen);
                block.and_then(|block| block_after(conversation, block))
            }
            (None, true) => {
                let place = self.bottom_place(around);
                place.and_then(|place| self.block_at(conversation, place.block))
            }
            (None, false) => None,
        };
        while let Some(block) = next {
            self.lay_out(around, block);
            if self
                .cache
                .get(&block.first)
                .is_some_and(|cached| cached.folds)
            {
                self.chosen = Some(block.first);
                self.reveal = true;
                return true;
            }
            next = match upwards {
                true => block_before(conversation, block.first),
                false => block_after(conversation, block),
            };
        }
        false
    }

    /// Opens what is chosen, or closes it.
    pub(super) fn toggle(&mut self) {
        let Some(chosen) = self.chosen else { return };
        if !self.open.remove(&chosen) {
            self.open.insert(chosen);
        }
        self.reveal = true;
    }

    /// Opens everything, or closes everything.
    pub(super) fn open_all(&mut self) {
        self.all_open = !self.all_open;
        self.open.clear();
        self.reveal = true;
    }

    /// Chooses what stands in row `y` and opens or closes it, if it can be.
    pub(super) fn click(&mut self, y: usize) {
        let block = self.shown.get(y).copied().flatten();
        let folds = |block| self.cache.get(&block).is_some_and(|cached| cached.folds);
        if let Some(block) = block.filter(|block| folds(*block)) {
            self.chosen = Some(block);
            self.toggle();
        }
    }

    /// What is seen, from the top: blocks, and which of their rows.
    fn pieces(&mut self, around: &Around<'_>) -> Vec<(ItemId, usize, usize)> {
        let mut pieces = self.upwards(around);
        let is_seen = |pieces: &[(ItemId, usize, usize)], head: usize, chosen: ItemId| {
            let mut all = pieces.iter();
            all.any(|(block, from, to)| *block == chosen && (*from..*to).contains(&head))
        };
        if std::mem::take(&mut self.reveal)
            && let Some(chosen) = self.chosen
            && let Some(block) = self.block_at(around.conversation, chosen)
        {
            let rows = self.lay_out(around, block);
            let head = self.cache.get(&block.first).map_or(0, |cached| cached.head);
            if !is_seen(&pieces, head, block.first) {
                let row = (rows.saturating_sub(1)).min(head + self.height.saturating_sub(1));
                self.bottom = Some(Place {
                    block: block.first,
                    row,
                });
                pieces = self.upwards(around);
            }
        }
        let seen: usize = pieces.iter().map(|(_, from, to)| to - from).sum();
        if seen < self.height && self.bottom.is_some() {
            // Something became shorter: there is room below.
            self.down(around, self.height - seen);
            pieces = self.upwards(around);
        }
        pieces
    }

    fn upwards(&mut self, around: &Around<'_>) -> Vec<(ItemId, usize, usize)> {
        let mut pieces = Vec::new();
        let Some(place) = self.bottom_place(around) else {
            return pieces;
        };
        let mut left = self.height;
        let mut block = self.block_at(around.conversation, place.block);
        let mut end = Some(place.row + 1);
        while let Some(at) = block
            && left > 0
        {
            let rows = self.lay_out(around, at);
            let to = end.take().unwrap_or(rows).min(rows);
            let from = to.saturating_sub(left);
            pieces.push((at.first, from, to));
            left -= to - from;
            block = block_before(around.conversation, at.first);
        }
        pieces.reverse();
        pieces
    }

    /// The last row that is seen.
    fn bottom_place(&mut self, around: &Around<'_>) -> Option<Place> {
        let conversation = around.conversation;
        let place = match self.bottom {
            None => {
                let last = last_shown(conversation)?;
                let block = self.block_at(conversation, last)?;
                let rows = self.lay_out(around, block);
                Place {
                    block: block.first,
                    row: rows.saturating_sub(1),
                }
            }
            Some(place) => {
                let block = self.block_at(conversation, place.block)?;
                let rows = self.lay_out(around, block);
                let row = match block.first == place.block {
                    true => place.row.min(rows.saturating_sub(1)),
                    // It has become a part of something else.
                    false => 0,
                };
                let place = Place {
                    block: block.first,
                    row,
                };
                self.bottom = Some(place);
                place
            }
        };
        Some(place)
    }

    /// How many rows stand above this one, up to `enough`.
    fn rows_above(&mut self, around: &Around<'_>, place: Place, enough: usize) -> usize {
        let mut above = place.row;
        let mut block = block_before(around.conversation, place.block);
        while above < enough
            && let Some(at) = block
        {
            above += self.lay_out(around, at);
            block = block_before(around.conversation, at.first);
        }
        above
    }

    /// The block that an item is in; of one that is no longer held, the first.
    fn block_at(&self, conversation: &Conversation, id: ItemId) -> Option<Block> {
        let held = conversation
            .item(id)
            .is_some_and(|item| !is_hidden(conversation, id, item));
        let id = match held {
            true => id,
            false => next_shown(conversation, id.max(conversation.first_item()))
                .or_else(|| last_shown(conversation))?,
        };
        Some(block_of(conversation, id))
    }

    /// Lays a block out, or finds it laid out; how many rows it has.
    fn lay_out(&mut self, around: &Around<'_>, block: Block) -> usize {
        let conversation = around.conversation;
        let version = version(conversation, block);
        let before = shown_before(conversation, block.first);
        let above = before.map(|(_, item)| Above {
            thread: item.thread,
            compact: is_compact(item),
        });
        let dropped = if above.is_none() {
            conversation.first_item()
        } else {
            0
        };
        let open = self.open.contains(&block.first) != self.all_open;
        if let Some(cached) = self.cache.get(&block.first)
            && cached.version == version
            && (cached.above, cached.dropped) == (above, dropped)
            && (cached.cols, cached.open) == (around.cols, open)
        {
            return cached.rows.len();
        }
        let before = self.cache.remove(&block.first).filter(|cached| {
            (cached.above, cached.dropped, cached.cols) == (above, dropped, around.cols)
        });
        let composed = match before.and_then(|before| continued(around, block, before)) {
            Some(continued) => continued,
            None => composed(around, block, above, dropped, open),
        };
        let count = composed.rows.len();
        let cached = Cached {
            version,
            above,
            dropped,
            cols: around.cols,
            open,
            rows: composed.rows,
            head: composed.head,
            folds: composed.folds,
            stable: composed.stable,
            round: self.round,
        };
        self.cache.insert(block.first, cached);
        count
    }
}

/// A block laid out.
#[derive(Default)]
struct Composed {
    rows: Vec<Line>,
    head: usize,
    folds: bool,
    stable: Option<Stable>,
}

/// A response that goes on: what is settled of it is not laid out again.
fn continued(around: &Around<'_>, block: Block, before: Cached) -> Option<Composed> {
    let item = around.conversation.item(block.first)?;
    let text = response_text(item)?;
    let (length, count) = before.stable?.continues_in(text)?;
    let mut rows = before.rows;
    rows.truncate(count);
    let (around, indent) = moved_in(around, item);
    let stable = around.response(&indent, text, length, before.head, &mut rows);
    Some(Composed {
        rows,
        head: before.head,
        folds: false,
        stable: Some(stable),
    })
}

/// Whether there is a blank row above an item.
fn stands_apart(item: &Item, above: Above) -> bool {
    let belongs = above.compact && is_compact(item) && above.thread == item.thread;
    !belongs && !matches!(item.body, ItemBody::TurnEnd(_))
}

/// The room there is for what is in a thread, and what stands before each of its rows.
fn moved_in<'a>(around: &Around<'a>, item: &Item) -> (Around<'a>, Line) {
    let depth = depth(around.conversation, item.thread);
    let indent = match around.cols >= MIN_COLS + 2 * depth {
        true => Line::new(&"  ".repeat(depth), PLAIN),
        false => Line::default(),
    };
    (around.narrowed(indent.width()), indent)
}

/// All rows of a block: what sets it apart from what is above, and the rows of its items.
fn composed(
    around: &Around<'_>,
    block: Block,
    above: Option<Above>,
    dropped: u64,
    open: bool,
) -> Composed {
    let conversation = around.conversation;
    let mut rows = Vec::new();
    let Some(item) = conversation.item(block.first) else {
        return Composed::default();
    };
    match above {
        None if dropped > 0 => {
            let text = "… what came before this is in the host's log";
            rows.push(Line::new(text, DIM).cut(around.cols));
            rows.push(Line::default());
        }
        Some(above) if stands_apart(item, above) => rows.push(Line::default()),
        _ => {}
    }
    if item.thread != above.map_or(0, |above| above.thread) {
        let name = match item.thread {
            0 => "the agent".to_owned(),
            thread => {
                let of = conversation.threads().get(thread as usize);
                let title = of.map_or("", |thread| thread.title.as_str());
                format!("subagent {}", text::label(title, 60))
            }
        };
        let depth = depth(conversation, item.thread);
        let before = "  ".repeat(depth.saturating_sub(1));
        rows.push(
            Line::new(&before, PLAIN)
                .and("» ", DIM)
                .and(&name, DIM)
                .cut(around.cols),
        );
    }
    let head = rows.len();
    let (around, indent) = moved_in(around, item);
    if let Some(text) = response_text(item) {
        let stable = around.response(&indent, text, 0, head, &mut rows);
        return Composed {
            rows,
            head,
            folds: false,
            stable: Some(stable),
        };
    }
    let laid = match block.first == block.last {
        true => around.item(item, open),
        false => {
            let tools: Vec<&Tool> = (block.first..=block.last)
                .filter_map(|id| match &conversation.item(id)?.body {
                    ItemBody::Tool(tool) => Some(tool),
                    _ => None,
                })
                .collect();
            match tools.len() {
                // What is between them is not shown.
                1 => around.item(item, open),
                _ => around.run(&tools, open),
            }
        }
    };
    let Laid { rows: inner, folds } = laid;
    rows.extend(hang(&indent, &indent, inner));
    Composed {
        rows,
        head,
        folds,
        stable: None,
    }
}

fn depth(conversation: &Conversation, thread: u32) -> usize {
    let threads = conversation.threads();
    let mut at = threads.get(thread as usize);
    let mut depth = 0;
    while let Some(parent) = at.and_then(|thread| thread.parent)
        && depth < MAX_DEPTH
    {
        depth += 1;
        at = threads.get(parent as usize);
    }
    // One whose parent is not known is somebody's all the same.
    depth.max(usize::from(thread > 0))
}
