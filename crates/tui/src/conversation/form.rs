//! A question that is a form, filled in one field after the other.

use pillion_conversation::{BoundedText, Json};

use super::{
    input::Input,
    span::{BOLD, DIM, Line, PLAIN, YELLOW, hang},
};
use crate::{keys::Key, text};

/// Most fields that a form may have here, and choices of one.
const MAX_FIELDS: usize = 32;
const MAX_CHOICES: usize = 35;

/// Keys of the choices.
const KEYS: &str = "123456789abcdefghijklmopqrstuvwxyz";

/// Longest label of a choice, in characters.
const LABEL: usize = 200;

#[derive(Debug)]
pub(super) struct Form {
    fields: Vec<Field>,
    /// Values as JSON; `None` for one that is left out.
    values: Vec<Option<String>>,
    input: Input,
}

#[derive(Debug)]
struct Field {
    name: String,
    title: String,
    description: String,
    required: bool,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text,
    Number {
        whole: bool,
    },
    /// Values as JSON, and what they are called.
    Choice(Vec<(String, String)>),
}

/// What comes of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// There is more to fill in.
    More,
    /// All of it, as JSON.
    Done(String),
    /// The key does nothing here, for this reason.
    No(&'static str),
}

impl Form {
    /// Reads a schema; `None` for one that can't be filled in here.
    pub(super) fn of(schema: &BoundedText) -> Option<Form> {
        if schema.omitted() > 0 {
            return None;
        }
        let schema = Json::parse(schema.as_str()).ok()?;
        let [properties, required] = schema.fields(["properties", "required"]);
        let required: Vec<String> = required
            .into_iter()
            .flat_map(Json::items)
            .filter_map(|name| Some(name.text()?.into_owned()))
            .collect();
        let fields: Option<Vec<Field>> = properties?
            .members()
            .map(|(name, field)| Field::of(&name, field, required.iter().any(|one| *one == name)))
            .collect();
        let fields = fields.filter(|fields| (1..=MAX_FIELDS).contains(&fields.len()))?;
        Some(Form {
            fields,
            values: Vec::new(),
            input: Input::default(),
        })
    }

    fn field(&self) -> Option<&Field> {
        self.fields.get(self.values.len())
    }

    /// Whether what is typed is text of the form.
    pub(super) fn takes_text(&self) -> bool {
        self.field()
            .is_some_and(|field| !matches!(field.kind, Kind::Choice(_)))
    }

    /// Bytes that were typed or pasted, of a field that takes them.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        // It is one line. What is too long for a prompt is no value of a form either.
        let line: Vec<u8> = bytes
            .iter()
            .copied()
            .filter(|byte| !matches!(byte, b'\r' | b'\n'))
            .collect();
        let _ = self.input.bytes(&line);
    }

    pub(super) fn key(&mut self, key: &Key) {
        self.input.key(key);
    }

    /// The field before is filled in again; `false` where there is none.
    pub(super) fn back(&mut self) -> bool {
        self.input.clear();
        self.values.pop().is_some()
    }

    /// A key that chooses.
    pub(super) fn choose(&mut self, key: char) -> Filled {
        let Some(Field {
            kind: Kind::Choice(choices),
            ..
        }) = self.field()
        else {
            return Filled::More;
        };
        let at = match key {
            'y' if is_yes_or_no(choices) => Some(0),
            'n' if is_yes_or_no(choices) => Some(1),
            key => KEYS.find(key),
        };
        match at.and_then(|at| choices.get(at)) {
            Some((value, _)) => {
                let value = value.clone();
                self.filled(Some(value))
            }
            None => Filled::No("That key chooses nothing here."),
        }
    }

    /// What was typed is the field's value.
    pub(super) fn enter(&mut self) -> Filled {
        let Some(field) = self.field() else {
            return Filled::More;
        };
        let typed = self.input.text().trim();
        let value = match &field.kind {
            Kind::Choice(_) if field.required => {
                return Filled::No("Press the key of a choice.");
            }
            Kind::Choice(_) => None,
            _ if typed.is_empty() && field.required => {
                return Filled::No("This has to be filled in.");
            }
            _ if typed.is_empty() => None,
            Kind::Text => Some(quoted(typed)),
            Kind::Number { whole } => {
                // As JSON writes them: no sign before, no digits missing.
                let number = Json::parse(typed).ok();
                let fits = number.is_some_and(|number| match whole {
                    true => number.integer().is_some(),
                    false => number.float().is_some(),
                });
                match fits {
                    true => Some(typed.to_owned()),
                    false => return Filled::No("This has to be a number."),
                }
            }
        };
        self.filled(value)
    }

    fn filled(&mut self, value: Option<String>) -> Filled {
        self.input.clear();
        self.values.push(value);
        if self.values.len() < self.fields.len() {
            return Filled::More;
        }
        let members = self.fields.iter().zip(&self.values);
        let members: Vec<String> = members
            .filter_map(|(field, value)| {
                Some(format!("{}:{}", quoted(&field.name), value.as_ref()?))
            })
            .collect();
        Filled::Done(format!("{{{}}}", members.join(",")))
    }

    /// The field that is filled in now.
    pub(super) fn rows(&self, cols: usize) -> Vec<Line> {
        let Some(field) = self.field() else {
            return Vec::new();
        };
        let mut head = Line::default();
        if self.fields.len() > 1 {
            head.push(
                &format!("{} of {}: ", self.values.len() + 1, self.fields.len()),
                DIM,
            );
        }
        head.push(&field.title, BOLD);
        if !field.required {
            head.push(" (may be left out: Enter)", DIM);
        }
        let mut rows = head.wrap(cols);
        for line in super::span::lines(&field.description).filter(|line| !line.is_empty()) {
            rows.extend(Line::new(line, PLAIN).wrap(cols));
        }
        let rest = Line::new("  ", PLAIN);
        match &field.kind {
            Kind::Choice(choices) => {
                let yes_or_no = is_yes_or_no(choices);
                for (key, (at, (_, label))) in KEYS.chars().zip(choices.iter().enumerate()) {
                    let key = match at {
                        0 if yes_or_no => 'y',
                        1 if yes_or_no => 'n',
                        _ => key,
                    };
                    let before = Line::new(&format!("{key} "), YELLOW);
                    let label = Line::new(label, PLAIN).wrap(cols.saturating_sub(2));
                    rows.extend(hang(&before, &rest, label));
                }
            }
            Kind::Text | Kind::Number { .. } => {
                let typed = format!(
                    "{}▏",
                    text::cut_left(self.input.text(), cols.saturating_sub(3))
                );
                rows.push(Line::new("› ", YELLOW).and(&typed, PLAIN));
            }
        }
        rows
    }
}

impl Field {
    fn of(name: &str, schema: Json<'_>, required: bool) -> Option<Field> {
        let [title, description, kind, values, names, one_of] =
            schema.fields(["title", "description", "type", "enum", "enumNames", "oneOf"]);
        let text = |json: Option<Json<'_>>| {
            let text = json.and_then(Json::text).unwrap_or_default();
            text.into_owned()
        };
        let label = |text: &str| pillion_screen::clean::clean_title(text, LABEL);
        let kind = match (values, one_of, text(kind).as_str()) {
            (Some(values), ..) => {
                let mut names = names.into_iter().flat_map(Json::items);
                let choice = |value: Json<'_>| {
                    let name = names.next().or(Some(value));
                    (value.as_str().to_owned(), label(&text(name)))
                };
                Kind::Choice(values.items().map(choice).collect())
            }
            (None, Some(one_of), _) => {
                let choice = |one: Json<'_>| {
                    let [value, title] = one.fields(["const", "title"]);
                    let value = value?;
                    Some((
                        value.as_str().to_owned(),
                        label(&text(title.or(Some(value)))),
                    ))
                };
                Kind::Choice(one_of.items().filter_map(choice).collect())
            }
            (None, None, "boolean") => {
                let choice = |value: &str, label: &str| (value.to_owned(), label.to_owned());
                Kind::Choice(vec![choice("true", "yes"), choice("false", "no")])
            }
            (None, None, "string") => Kind::Text,
            (None, None, "number") => Kind::Number { whole: false },
            (None, None, "integer") => Kind::Number { whole: true },
            _ => return None,
        };
        if let Kind::Choice(choices) = &kind
            && !(1..=MAX_CHOICES).contains(&choices.len())
        {
            return None;
        }
        let title = text(title);
        Some(Field {
            name: name.to_owned(),
            title: if title.is_empty() {
                name.to_owned()
            } else {
                title
            },
            description: text(description),
            required,
            kind,
        })
    }
}

fn is_yes_or_no(choices: &[(String, String)]) -> bool {
    matches!(choices, [(yes, _), (no, _)] if yes == "true" && no == "false")
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for ch in text.chars() {
        match ch {
            '"' | '\\' => out.extend(['\\', ch]),
            ch if ch.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(ch))),
            ch => out.push(ch),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(schema: &str) -> Option<Form> {
        Form::of(&BoundedText::new(schema))
    }

    #[test]
    fn fields_are_filled_in_one_after_the_other() {
        let mut form = form(
            r#"{"type":"object","properties":{
                "name":{"type":"string","title":"Your \"name\""},
                "age":{"type":"integer"},
                "sure":{"type":"boolean"},
                "colour":{"type":"string","enum":["r","g"],"enumNames":["Red","Green"]},
                "size":{"oneOf":[{"const":"s","title":"Small"},{"const":"l"}]},
                "note":{"type":"string"}},"required":["name","sure"]}"#,
        )
        .unwrap();
        assert_eq!(form.enter(), Filled::No("This has to be filled in."));
        form.bytes(b"A \"b\"\r\n");
        assert!(form.takes_text());
        assert_eq!(form.enter(), Filled::More);
        form.bytes(b"1.5");
        assert_eq!(form.enter(), Filled::No("This has to be a number."));
        assert!(form.back());
        form.bytes(b"x");
        assert_eq!(form.enter(), Filled::More);
        assert_eq!(form.enter(), Filled::More, "it may be left out");
        assert!(!form.takes_text());
        assert_eq!(
            form.choose('3'),
            Filled::No("That key chooses nothing here.")
        );
        assert_eq!(form.choose('n'), Filled::More);
        assert_eq!(form.choose('2'), Filled::More);
        assert_eq!(form.choose('2'), Filled::More);
        let filled = r#"{"name":"x","sure":false,"colour":"g","size":"l"}"#;
        assert_eq!(form.enter(), Filled::Done(filled.to_owned()));
    }

    #[test]
    fn what_cannot_be_filled_in_is_no_form() {
        for schema in [
            "",
            "{}",
            r#"{"properties":{}}"#,
            r#"{"properties":{"a":{"type":"array"}}}"#,
            r#"{"properties":{"a":{"enum":[]}}}"#,
        ] {
            assert!(form(schema).is_none(), "{schema}");
        }
    }
}
