//! Words that sentences are made of.

use pillion_proto::{Right, Rights, Trust};

/// What a set of rights comes to, behind "may" or "to": "watch", "type and open terminals".
pub fn acts(rights: Rights) -> String {
    match rights.without(Right::Delegate) {
        Rights::VIEW => return "watch".to_owned(),
        Rights::EDIT => return "type".to_owned(),
        Rights::MANAGE => return "type and say who may do what".to_owned(),
        _ => {}
    }
    let acts: Vec<&str> = rights
        .iter()
        .filter_map(|right| match right {
            Right::View | Right::Delegate => None,
            Right::Type => Some("type"),
            Right::Prompt => Some("prompt agents"),
            Right::Approve => Some("answer what agents ask"),
            Right::Open => Some("open terminals"),
            Right::Fork => Some("take a conversation and its code home"),
            Right::Record => Some("record"),
            Right::Files => Some("read and write files"),
            Right::Forward => Some("reach ports"),
            Right::Manage => Some("say who may do what"),
        })
        .collect();
    match acts.split_last() {
        None => "watch".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// How far somebody's prompts are trusted, and what that comes to.
pub fn trust_means(trust: Trust) -> &'static str {
    match trust {
        Trust::Watch => "watch (they send the agent nothing)",
        Trust::Ask => "ask (what they make the agent do is asked about)",
        Trust::ReadsOnly => "reads-only (reading and searching is not asked about, the rest is)",
        Trust::Trusted => "trusted (the agent works for them as for the host)",
    }
}

/// A span of time as people say it, at most two units: "8 h", "1 h 30 min", "45 s".
pub fn span(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let seconds = ms.div_ceil(1000);
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, name) in UNITS {
        if rest >= unit && parts.len() < 2 {
            parts.push(format!("{} {name}", rest / unit));
            rest %= unit;
        }
    }
    if parts.is_empty() {
        "0 s".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::{acts, span};

    #[test]
    fn what_rights_come_to_is_said() {
        for (rights, text) in [
            ("view", "watch"),
            ("edit", "type"),
            ("manage, delegate", "type and say who may do what"),
            ("type", "type"),
            ("approve,type", "type and answer what agents ask"),
            (
                "type, prompt, approve",
                "type, prompt agents and answer what agents ask",
            ),
        ] {
            assert_eq!(acts(rights.parse().unwrap()), text);
        }
    }

    #[test]
    fn spans_are_said_in_at_most_two_units() {
        for (ms, text) in [
            (0, "0 s"),
            (1, "1 s"),
            (45_000, "45 s"),
            (5_400_000, "1 h 30 min"),
            (8 * 3_600_000, "8 h"),
            (90_061_000, "1 d 1 h"),
        ] {
            assert_eq!(span(ms), text);
        }
    }
}
