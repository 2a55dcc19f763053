//! Every bound of a conversation in one place, with its unit and reason.

/// Longest message from an agent that is read, in bytes. The largest seen from a real agent without an image
/// in it had 1.1 MB; images come as base64.
pub const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// Deepest nesting of a message that is read.
pub const MAX_DEPTH: usize = 100;

/// Longest entry of the log that is read, in bytes: a message, and who caused it.
pub const MAX_ENTRY: usize = MAX_MESSAGE + 64 * 1024;

/// Longest id that an agent may give anything, in bytes. A message with a longer one is not read.
pub const MAX_ID: usize = 256;

/// Longest title, name, path or other word, in bytes; longer ones are cut.
pub const MAX_WORD: usize = 1024;

/// Most bytes of one text that the model holds: a response, a tool's output, one side of a diff. The rest is
/// in the log.
pub const MAX_TEXT: usize = 128 * 1024;

/// Most bytes of a command's output that the model holds: its end. Up to twice as many are held for a moment,
/// so that output which comes in small pieces is not moved for each.
pub const MAX_OUTPUT: usize = 64 * 1024;

/// Most blocks of content, locations or changed files of one item.
pub const MAX_PARTS: usize = 64;

/// Most bytes that an item's content weighs.
pub const MAX_ITEM: usize = 256 * 1024;

/// Most bytes of what a tool was called with, and of the command that a question is about.
pub const MAX_INPUT: usize = 32 * 1024;

/// Most bytes of a form's schema, and of a plan that is a text.
pub const MAX_FORM: usize = 16 * 1024;

/// Most bytes that the plans, options and commands of all threads weigh together.
pub const MAX_LISTS_BYTES: usize = 1024 * 1024;

/// Longest description of a command or an option's value, in bytes; longer ones are cut.
pub const MAX_DESCRIPTION: usize = 256;

/// Most items that the model holds. Older ones are in the log.
pub const MAX_ITEMS: usize = 8192;

/// Most bytes of all items together: what somebody who comes is sent, before compression.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;

/// Most conversations with subagents that are told apart. Updates of more are counted as unknown.
pub const MAX_THREADS: usize = 64;

/// Most commands of a thread, values of an option, steps of a plan, or choices of a question.
pub const MAX_CHOICES: usize = 256;

/// Most plans, and most options, of one thread.
pub const MAX_LISTS: usize = 32;

/// Most questions that may be open at once. One more takes the oldest one's place.
pub const MAX_OPEN_QUESTIONS: usize = 64;

/// Most prompts that may wait in the queue.
pub const MAX_QUEUE: usize = 64;

/// Most prompts of one person that may wait.
pub const MAX_QUEUED_BY_ONE: usize = 16;

/// Longest prompt that may wait, in bytes.
pub const MAX_QUEUED_BYTES: usize = pillion_proto::limits::MAX_PROMPT;

/// Most bytes of a waiting prompt that the model holds.
pub const MAX_PROMPT: usize = 16 * 1024;

/// Most requests to the agent whose answers are waited for.
pub const MAX_CALLS: usize = 256;

/// Most rules by which questions are answered.
pub const MAX_RULES: usize = 64;

/// Most people of whom it was said how far they are trusted.
pub const MAX_TRUSTED: usize = 256;

/// Longest string of an entry that viewers are sent, in bytes: what is longer is shown in part anyway.
pub const MAX_SHOWN_STRING: usize = MAX_TEXT;

/// Longest entry that viewers are sent, in bytes.
pub const MAX_SHOWN_ENTRY: usize = pillion_proto::limits::MAX_CONVERSATION_ENTRY;

/// Most files whose changes are told apart. Of more it is said how many there are.
pub const MAX_CHANGED_FILES: usize = 512;

/// Most bytes of one file's patch.
pub const MAX_PATCH: usize = 64 * 1024;

/// Most bytes of the patches since the start, and as many again of those by turn.
pub const MAX_CHANGES: usize = 256 * 1024;

/// Most turns whose changes are told apart. Older ones are in the log.
pub const MAX_CHANGED_TURNS: usize = 64;
