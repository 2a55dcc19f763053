//! Which items are shown in one piece, and in which order.

use pillion_conversation::{Conversation, Item, ItemBody, ItemId, ToolKind, ToolStatus};

/// How far from a terminal the tool that shows it is looked for, in items.
const NEAR: u64 = 32;

/// What is shown in one piece: an item, or reads and searches one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) first: ItemId,
    pub(super) last: ItemId,
}

/// Changes with everything that a block is laid out from.
pub(super) fn version(conversation: &Conversation, block: Block) -> u64 {
    let of = |id: ItemId| {
        let Some(item) = conversation.item(id) else {
            return 0;
        };
        let ItemBody::Tool(tool) = &item.body else {
            return item.last;
        };
        let shown = tool
            .content
            .iter()
            .filter(|content| content.kind == "terminal");
        let terminals = shown.filter_map(|content| {
            let id = conversation.terminal(item.thread, &content.refers_to)?;
            Some(conversation.item(id)?.last)
        });
        terminals.fold(item.last, u64::max)
    };
    (block.first..=block.last)
        .map(of)
        .fold(block.last - block.first, u64::wrapping_add)
}

/// Whether items of this kind stand right below each other.
pub(super) fn is_compact(item: &Item) -> bool {
    match &item.body {
        ItemBody::Tool(_) | ItemBody::Terminal(_) | ItemBody::Thought(_) => true,
        ItemBody::Notice(_) | ItemBody::Unknown(_) | ItemBody::Newer(_) => true,
        ItemBody::Question(_) => true,
        ItemBody::Prompt(_) | ItemBody::Response(_) | ItemBody::TurnEnd(_) => false,
    }
}

/// Whether an item has no rows of its own: it says nothing, or it is shown with a tool or as what waits.
pub(super) fn is_hidden(conversation: &Conversation, id: ItemId, item: &Item) -> bool {
    match &item.body {
        ItemBody::Response(message) | ItemBody::Thought(message) => message
            .content
            .iter()
            .all(|block| block.kind == "text" && block.text.as_str().trim().is_empty()),
        ItemBody::Question(question) => question.is_open(),
        ItemBody::Terminal(terminal) => (id.saturating_sub(NEAR)..=id + NEAR)
            .filter_map(|near| conversation.item(near))
            .filter(|near| near.thread == item.thread)
            .any(|near| match &near.body {
                ItemBody::Tool(tool) => {
                    let mut content = tool.content.iter();
                    content.any(|one| one.kind == "terminal" && one.refers_to == terminal.id)
                }
                _ => false,
            }),
        _ => false,
    }
}

/// Whether it goes together with others of its kind.
fn is_in_run(item: &Item) -> bool {
    match &item.body {
        ItemBody::Tool(tool) => {
            matches!(tool.kind(), ToolKind::Read | ToolKind::Search)
                && matches!(
                    tool.status(),
                    ToolStatus::Pending | ToolStatus::InProgress | ToolStatus::Completed
                )
                && tool.content.iter().all(|content| content.kind == "content")
        }
        _ => false,
    }
}

fn newest(conversation: &Conversation) -> Option<ItemId> {
    conversation.items().next_back().map(|(id, _)| id)
}

pub(super) fn first_shown(conversation: &Conversation) -> Option<ItemId> {
    next_shown(conversation, conversation.first_item())
}

pub(super) fn last_shown(conversation: &Conversation) -> Option<ItemId> {
    let newest = newest(conversation)?;
    let (id, _) = shown_before(conversation, newest + 1)?;
    Some(id)
}

/// The first item from this one on that has rows.
pub(super) fn next_shown(conversation: &Conversation, from: ItemId) -> Option<ItemId> {
    let mut id = from;
    loop {
        let item = conversation.item(id)?;
        if !is_hidden(conversation, id, item) {
            return Some(id);
        }
        id += 1;
    }
}

/// The last item before this one that has rows.
pub(super) fn shown_before(conversation: &Conversation, before: ItemId) -> Option<(ItemId, &Item)> {
    let mut id = before;
    loop {
        id = id.checked_sub(1)?;
        let item = conversation.item(id)?;
        if !is_hidden(conversation, id, item) {
            return Some((id, item));
        }
    }
}

/// The block of an item that has rows.
pub(super) fn block_of(conversation: &Conversation, id: ItemId) -> Block {
    let mut block = Block {
        first: id,
        last: id,
    };
    let Some(item) = conversation.item(id).filter(|item| is_in_run(item)) else {
        return block;
    };
    let belongs = |other: &Item| other.thread == item.thread && is_in_run(other);
    while let Some((before, other)) = shown_before(conversation, block.first)
        && belongs(other)
    {
        block.first = before;
    }
    while let Some(after) = next_shown(conversation, block.last + 1)
        && conversation.item(after).is_some_and(belongs)
    {
        block.last = after;
    }
    block
}

pub(super) fn block_before(conversation: &Conversation, first: ItemId) -> Option<Block> {
    let (id, _) = shown_before(conversation, first)?;
    Some(block_of(conversation, id))
}

pub(super) fn block_after(conversation: &Conversation, block: Block) -> Option<Block> {
    let id = next_shown(conversation, block.last + 1)?;
    Some(block_of(conversation, id))
}
