//! `pillion answer`.

use anyhow::{Result, bail};
use clap::Args;
use pillion::{
    conversation::{Choice, ChoiceKind, Question},
    proto::{Answer, ConversationRequest},
    screen::clean::clean_title,
    settings::{config::Config, paths::Paths},
};

use crate::commands::conversation::{Place, find};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion answer                         what the agent asks, and what can be answered
  pillion answer yes                     allow it, this time
  pillion answer no                      don't
  pillion answer yes --question 12       of several questions, this one
  pillion answer --session TICKET yes    of another machine's, if you may approve there";

/// Longest title that is printed, in characters.
const MAX_TITLE: usize = 200;

/// Flags of `answer`.
#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// Which conversation.
    #[command(flatten)]
    pub place: Place,

    /// Which question, by its number; the only one that is open, by default.
    #[arg(long, value_name = "N")]
    pub question: Option<u64>,

    /// Answer questions like it the same way for the rest of the session; only with "yes".
    #[arg(long)]
    pub alike: bool,

    /// "yes", "no", or the id of a choice. Without it, what is asked is printed.
    pub answer: Option<String>,
}

/// Runs it.
pub async fn run(paths: &Paths, config: &Config, args: AnswerArgs) -> Result<u8> {
    let mut found = match find(paths, config, &args.place).await? {
        Ok(found) => found,
        Err(code) => return Ok(code),
    };
    let shown = found.shown(paths)?;
    let open: Vec<(u64, &Question)> = shown.open_questions().collect();
    let Some(answer) = &args.answer else {
        for (id, question) in &open {
            print(*id, question)?;
        }
        if open.is_empty() {
            pillion::say!("The agent asks nothing.");
        }
        found.leave().await;
        return Ok(0);
    };
    let request = request(&args, answer, &open);
    let done = match request {
        Ok(request) => found.converse(paths, request).await,
        Err(error) => Err(error),
    };
    found.leave().await;
    done
}

fn request(
    args: &AnswerArgs,
    answer: &str,
    open: &[(u64, &Question)],
) -> Result<ConversationRequest> {
    let meant = |(id, _): &&(u64, &Question)| args.question.is_none_or(|wanted| wanted == *id);
    let mut meant = open.iter().filter(meant);
    let (question, asked) = match (meant.next(), meant.next()) {
        (Some(only), None) => *only,
        (None, _) if open.is_empty() => bail!("the agent asks nothing (any more)"),
        (None, _) => {
            bail!("that question is not open (any more); `pillion answer` lists those that are")
        }
        (Some(_), Some(_)) => {
            bail!(
                "the agent asks several things; name one with --question, `pillion answer` lists them"
            )
        }
    };
    let of_kind = |kind: ChoiceKind| asked.choices.iter().find(|choice| choice.kind() == kind);
    let choice = match answer {
        "yes" => of_kind(ChoiceKind::AllowOnce),
        "no" => of_kind(ChoiceKind::RejectOnce),
        id => asked.choices.iter().find(|choice| choice.id == id),
    };
    match choice {
        _ if args.alike && answer == "yes" => Ok(ConversationRequest::AllowAlike { question }),
        _ if args.alike => bail!("--alike goes with \"yes\" alone"),
        Some(choice) => Ok(ConversationRequest::Answer {
            question,
            answer: Answer::Choice(choice.id.clone()),
        }),
        None if answer == "no" => Ok(ConversationRequest::Answer {
            question,
            answer: Answer::Cancel,
        }),
        None => {
            let ids: Vec<&str> = asked
                .choices
                .iter()
                .map(|choice| choice.id.as_str())
                .collect();
            bail!(
                "this can't be answered with \"{answer}\"; there are {}",
                ids.join(", ")
            )
        }
    }
}

fn print(id: u64, question: &Question) -> Result<()> {
    let what = match question.command.is_empty() {
        true => question.title.as_str(),
        false => question.command.as_str(),
    };
    pillion::output!("{id}  {}", clean_title(what, MAX_TITLE))?;
    for Choice { id, name, .. } in &question.choices {
        let (id, name) = (clean_title(id, MAX_TITLE), clean_title(name, MAX_TITLE));
        pillion::output!("      {id}  {name}")?;
    }
    Ok(())
}
