//! A message of the protocol, as it came in a line.

use std::borrow::Cow;

use crate::{
    json::{Json, JsonError},
    limits::{MAX_DEPTH, MAX_ID, MAX_MESSAGE},
};

/// A JSON-RPC message: one object, read no further than its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// All of it.
    pub json: Json<'a>,
    /// What it is.
    pub kind: MessageKind<'a>,
}

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageKind<'a> {
    /// Wants an answer.
    Request {
        /// By which it is answered.
        id: MessageId,
        /// What is wanted.
        method: Cow<'a, str>,
        /// Its parameters.
        params: Option<Json<'a>>,
    },
    /// Wants none.
    Notification {
        /// What it says.
        method: Cow<'a, str>,
        /// Its parameters.
        params: Option<Json<'a>>,
    },
    /// The answer to a request.
    Response {
        /// Of which.
        id: MessageId,
        /// What was asked for, or what is wrong.
        result: Result<Json<'a>, Json<'a>>,
    },
}

/// The id of a request: a number or a text, as JSON. Each side numbers its own, so the same id may stand for
/// two requests, one in each direction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(String);

/// Why a line is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It is not one JSON value that is read.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// It is several messages in one. No agent sends them, and nobody answers them.
    #[error("it is a batch of messages, which are not read")]
    Batch,
    /// It is JSON, but no message.
    #[error("it is no message of the protocol")]
    NoMessage,
    /// Its id is neither a number nor a text, or longer than [`MAX_ID`].
    #[error("its id can't be used")]
    Id,
}

impl<'a> Message<'a> {
    /// Reads a line.
    ///
    /// # Errors
    /// A line that is no message.
    pub fn parse(line: &'a str) -> Result<Message<'a>, MessageError> {
        Message::of(Json::parse_within(line, MAX_MESSAGE, MAX_DEPTH)?)
    }

    pub(crate) fn of(json: Json<'a>) -> Result<Message<'a>, MessageError> {
        if json.is_array() {
            return Err(MessageError::Batch);
        }
        let [method, id, params, result, error] =
            json.fields(["method", "id", "params", "result", "error"]);
        let id = id.map(MessageId::of).transpose()?;
        let method = method.and_then(Json::text);
        let error = error.filter(|error| !error.is_null());
        let kind = match (method, id, error, result) {
            (Some(method), Some(id), ..) => MessageKind::Request { id, method, params },
            (Some(method), None, ..) => MessageKind::Notification { method, params },
            (None, Some(id), Some(error), _) => MessageKind::Response {
                id,
                result: Err(error),
            },
            (None, Some(id), None, Some(result)) => MessageKind::Response {
                id,
                result: Ok(result),
            },
            _ => return Err(MessageError::NoMessage),
        };
        Ok(Message { json, kind })
    }
}

impl MessageId {
    fn of(json: Json<'_>) -> Result<MessageId, MessageError> {
        let text = json.as_str();
        match text.as_bytes()[0] {
            b'"' | b'-' | b'0'..=b'9' if text.len() <= MAX_ID => Ok(MessageId(text.to_owned())),
            _ => Err(MessageError::Id),
        }
    }

    /// Reads an id as it stands in a message.
    ///
    /// # Errors
    /// Anything else.
    pub fn from_json(text: &str) -> Result<MessageId, MessageError> {
        MessageId::of(Json::parse(text)?)
    }

    /// The id as JSON.
    pub fn as_json(&self) -> &str {
        &self.0
    }
}

/// An id of our own requests.
impl From<u64> for MessageId {
    fn from(number: u64) -> MessageId {
        MessageId(number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(line: &str) -> MessageKind<'_> {
        Message::parse(line).unwrap().kind
    }

    #[test]
    fn a_message_is_what_its_fields_make_it() {
        let MessageKind::Request { id, method, params } =
            kind(r#"{"jsonrpc":"2.0","id":0,"method":"a/b","params":{"x":1}}"#)
        else {
            panic!("no request")
        };
        assert_eq!((id, method.as_ref()), (MessageId::from(0), "a/b"));
        assert!(params.is_some());
        assert!(matches!(
            kind(r#"{"method":"n"}"#),
            MessageKind::Notification { .. }
        ));
        let failed = kind(r#"{"id":"x","error":{"code":1},"result":null}"#);
        assert!(matches!(
            failed,
            MessageKind::Response { result: Err(_), .. }
        ));
        let done = kind(r#"{"id":1,"result":null,"error":null}"#);
        assert!(matches!(done, MessageKind::Response { result: Ok(_), .. }));
    }

    #[test]
    fn a_number_and_a_text_are_two_ids() {
        let id = |line| match kind(line) {
            MessageKind::Request { id, .. } => id,
            _ => panic!("no request"),
        };
        let number = id(r#"{"id":1,"method":"m"}"#);
        let text = id(r#"{"id":"1","method":"m"}"#);
        assert_ne!(number, text);
        assert_eq!((number.as_json(), text.as_json()), ("1", "\"1\""));
    }

    #[test]
    fn what_is_no_message_says_why() {
        let error = |line: &str| Message::parse(line).unwrap_err();
        assert_eq!(error("[]"), MessageError::Batch);
        assert_eq!(error("{}"), MessageError::NoMessage);
        assert_eq!(error("3"), MessageError::NoMessage);
        assert_eq!(error(r#"{"id":1}"#), MessageError::NoMessage);
        assert_eq!(error(r#"{"id":{},"method":"m"}"#), MessageError::Id);
        assert_eq!(error(r#"{"id":null,"method":"m"}"#), MessageError::Id);
        assert_eq!(error("npm warn"), MessageError::Json(JsonError::Malformed));
        let long = format!(r#"{{"id":"{}","method":"m"}}"#, "x".repeat(MAX_ID));
        assert_eq!(error(&long), MessageError::Id);
    }
}
