//! What the agent asks, and what becomes of it.

use super::{Conversation, Origin, read};
use crate::{
    bounded::BoundedText,
    entry::Author,
    json::Json,
    limits::{MAX_FORM, MAX_INPUT, MAX_OPEN_QUESTIONS},
    model::{ItemBody, ItemId, Notice, Outcome, Question},
};

impl Conversation {
    pub(super) fn question_or_unknown(
        &mut self,
        at_ms: u64,
        request: &str,
        method: &str,
        params: Option<Json<'_>>,
    ) {
        let main = Origin { thread: 0, at_ms };
        let Some(params) = params else {
            return self.unknown(main, method);
        };
        let session = params.get("sessionId").and_then(Json::text);
        let thread = session.and_then(|session| self.thread_of(&session));
        let from = Origin {
            thread: thread.unwrap_or(0),
            at_ms,
        };
        self.thread_mut(from.thread).heard_ms = at_ms;
        let question = match method {
            "session/request_permission" => self.permission(from, params),
            "elicitation/create" => form(params),
            "fs/read_text_file" | "fs/write_text_file" => {
                let title = format!("{method}: {}", read::string(params.get("path")));
                return self.notice(from, Notice::NOT_OFFERED, &title);
            }
            method => return self.unknown(from, method),
        };
        let question = Question {
            request: request.to_owned(),
            ..question
        };
        // The agent's id names one request at a time: what it names no longer can't be answered.
        if let Some(replaced) = self.open_question_of(request) {
            self.close(replaced, Outcome::REPLACED, "", None);
        }
        while self.index.open_questions().count() >= MAX_OPEN_QUESTIONS {
            let oldest = self.index.open_questions().next();
            let Some(oldest) = oldest else { break };
            self.close(oldest, Outcome::REPLACED, "", None);
        }
        self.push(from, ItemBody::Question(question));
    }

    /// A permission, as both versions ask for it. Agents that announced no tool before get it made from this.
    fn permission(&mut self, from: Origin, params: Json<'_>) -> Question {
        let [tool_call, title, description, subject, options] =
            params.fields(["toolCall", "title", "description", "subject", "options"]);
        let of_subject = match subject {
            Some(subject) => subject.fields(["toolCall", "command", "cwd", "toolCallId"]),
            None => [None; 4],
        };
        let [subject_tool, command, cwd, tool_id] = of_subject;
        let tool_call = tool_call.or(subject_tool);
        if let Some(tool_call) = tool_call {
            self.tool_update(from, tool_call);
        }
        let tool_title = tool_call.and_then(|tool| tool.get("title"));
        let tool_id = tool_call
            .and_then(|tool| tool.get("toolCallId"))
            .or(tool_id);
        Question {
            title: read::string(title.or(tool_title)),
            description: read::string(description),
            tool: read::string(tool_id),
            command: command
                .and_then(Json::text)
                .map_or_else(BoundedText::default, |command| {
                    BoundedText::cut(&command, MAX_INPUT)
                }),
            cwd: read::string(cwd),
            choices: options.map(read::choices).unwrap_or_default(),
            ..Question::default()
        }
    }

    fn open_question_of(&self, request: &str) -> Option<ItemId> {
        let mut open = self.open_questions();
        open.find(|(_, question)| question.request == request)
            .map(|(id, _)| id)
    }

    /// The agent takes a request back. It still wants an answer.
    pub(super) fn withdraw_question(&mut self, params: Json<'_>) {
        if let Some(request) = params.get("requestId")
            && let Some(id) = self.open_question_of(request.as_str())
        {
            self.close(id, Outcome::WITHDRAWN, "", None);
        }
    }

    /// An answer went to the agent.
    pub(super) fn answer_question(
        &mut self,
        request: &str,
        result: Result<Json<'_>, Json<'_>>,
        by: Option<&Author>,
    ) {
        let Some(id) = self.open_question_of(request) else {
            return;
        };
        let (word, choice) = match result {
            Err(_) => (Outcome::REFUSED, String::new()),
            Ok(result) => {
                let [outcome, action] = result.fields(["outcome", "action"]);
                let action = action.and_then(Json::text);
                match (outcome, action.as_deref()) {
                    (Some(outcome), _) => {
                        let [word, choice] = outcome.fields(["outcome", "optionId"]);
                        match word.and_then(Json::text).as_deref() {
                            Some("selected") => (Outcome::SELECTED, read::string(choice)),
                            _ => (Outcome::CANCELLED, String::new()),
                        }
                    }
                    (None, Some("accept")) => (Outcome::SELECTED, String::new()),
                    (None, Some("decline")) => (Outcome::DECLINED, String::new()),
                    (None, _) => (Outcome::CANCELLED, String::new()),
                }
            }
        };
        self.close(id, word, &choice, by);
    }

    pub(super) fn close(&mut self, id: ItemId, word: &str, choice: &str, by: Option<&Author>) {
        let outcome = Outcome {
            word: word.to_owned(),
            choice: choice.to_owned(),
            by: by.cloned(),
        };
        // One that is no longer among the items is in the log only, once it needs no answer.
        self.state.kept.retain(|kept| kept.id != id);
        self.index.close_question(id);
        self.change(id, |body| {
            if let ItemBody::Question(question) = body
                && question.is_open()
            {
                question.outcome = Some(outcome);
                question.claimed_by = None;
            }
        });
    }

    pub(super) fn claim(&mut self, id: ItemId, by: Option<&Author>) {
        let kept = self.state.kept.iter_mut().find(|kept| kept.id == id);
        if let Some(kept) = kept
            && let ItemBody::Question(question) = &mut kept.item.body
        {
            question.claimed_by = by.cloned();
        }
        self.change(id, |body| {
            if let ItemBody::Question(question) = body
                && question.is_open()
            {
                question.claimed_by = by.cloned();
            }
        });
    }
}

/// A question that is a form.
fn form(params: Json<'_>) -> Question {
    let [message, schema, url] = params.fields(["message", "requestedSchema", "url"]);
    Question {
        title: read::string(message),
        description: read::string(url),
        form: schema.map_or_else(BoundedText::default, |schema| {
            BoundedText::cut(schema.as_str(), MAX_FORM)
        }),
        ..Question::default()
    }
}
