//! Reads what `crates/conversation/tests/editor` has with the protocol's own types, and compares what comes back: a field
//! that the types don't know would be missing from it.

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use agent_client_protocol_schema::{v1, v2};
    use serde::{Serialize, de::DeserializeOwned};
    use serde_json::Value;

    /// Reads a value as `T`.
    fn read<T: DeserializeOwned + Serialize>(value: &Value, line: &str) {
        let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {line}"));
        let back = serde_json::to_value(&read).unwrap();
        contained(value, &back, line);
    }

    /// Whether all that was written is in what was read. What is `null` or empty may be left out, and `attach` is RFD
    /// #533's.
    fn contained(written: &Value, read: &Value, line: &str) {
        match (written, read) {
            (Value::Object(written), Value::Object(read)) => {
                for (name, value) in written {
                    let is_nothing = value.is_null()
                        || value.as_array().is_some_and(Vec::is_empty)
                        || matches!(value.as_str(), Some("pending" | "other"))
                        || name == "attach";
                    match read.get(name) {
                        Some(read) => contained(value, read, line),
                        None => assert!(is_nothing, "{name} is not known: {line}"),
                    }
                }
            }
            (Value::Array(written), Value::Array(read)) => {
                assert_eq!(written.len(), read.len(), "{line}");
                for (written, read) in written.iter().zip(read) {
                    contained(written, read, line);
                }
            }
            (written, read) => assert_eq!(written, read, "{line}"),
        }
    }

    fn message(version: u64, line: &str, methods: &mut BTreeMap<String, String>) {
        let (side, json) = line.split_at(2);
        let message: Value = match side {
            "> " | "< " => serde_json::from_str(json).unwrap(),
            _ => return,
        };
        let id = message["id"].to_string();
        let method = message["method"].as_str();
        if side == "> " {
            if let Some(method) = method {
                methods.insert(id, method.to_owned());
            }
            return;
        }
        if let Some(method) = method {
            let params = &message["params"];
            return match (version, method) {
                (1, "session/update") => read::<v1::SessionNotification>(params, line),
                (_, "session/update") => read::<v2::UpdateSessionNotification>(params, line),
                (1, "session/request_permission") => {
                    read::<v1::RequestPermissionRequest>(params, line);
                }
                (_, "session/request_permission") => {
                    read::<v2::RequestPermissionRequest>(params, line);
                }
                (1, "$/cancel_request") => read::<v1::CancelRequestNotification>(params, line),
                (_, "$/cancel_request") => read::<v2::CancelRequestNotification>(params, line),
                (_, method) => panic!("{method} is not checked: {line}"),
            };
        }
        let (result, method) = (&message["result"], methods[&id].as_str());
        assert!(result.is_object(), "{line}");
        match (version, method) {
            (1, "initialize") => read::<v1::InitializeResponse>(result, line),
            (_, "initialize") => read::<v2::InitializeResponse>(result, line),
            (1, "session/new") => read::<v1::NewSessionResponse>(result, line),
            (_, "session/new") => read::<v2::NewSessionResponse>(result, line),
            (1, "session/load") => read::<v1::LoadSessionResponse>(result, line),
            (1, "session/resume") => read::<v1::ResumeSessionResponse>(result, line),
            (_, "session/resume") => read::<v2::ResumeSessionResponse>(result, line),
            (1, "session/list") => read::<v1::ListSessionsResponse>(result, line),
            (_, "session/list") => read::<v2::ListSessionsResponse>(result, line),
            (1, "session/close") => read::<v1::CloseSessionResponse>(result, line),
            (_, "session/close") => read::<v2::CloseSessionResponse>(result, line),
            (1, "session/prompt") => read::<v1::PromptResponse>(result, line),
            (_, "session/prompt") => read::<v2::PromptResponse>(result, line),
            (1, "session/set_config_option") => read::<v1::SetSessionConfigOptionResponse>(result, line),
            (_, "session/set_config_option") => read::<v2::SetSessionConfigOptionResponse>(result, line),
            (_, method) => panic!("{method} is not checked: {line}"),
        }
    }

    #[test]
    fn what_editors_are_sent_is_of_the_protocols_types() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/conversation/tests/editor");
        for agent in [1, 2] {
            for editor in [1, 2] {
                let name = format!("agent-{agent}-editor-{editor}.golden");
                let text = std::fs::read_to_string(folder.join(&name)).unwrap();
                let mut methods = BTreeMap::new();
                for line in text.lines() {
                    message(editor, line, &mut methods);
                }
                assert!(text.lines().count() > 50, "{name}");
            }
        }
    }
}
