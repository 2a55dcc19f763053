//! GitHub, from one of its jobs: the job's summary, and a comment on the pull request that the job is for
//! (<https://docs.github.com/actions/reference/workflows-and-actions/variables>).

use std::{fmt, fs, future::Future, io::Write as _, path::PathBuf, pin::Pin};

use pillion_prove::http::Http;
use serde_json::{Value, json};

use crate::{
    message::Message,
    place::{Failure, Way},
};

/// Most that is read of an answer, in bytes: it repeats the comment.
const MAX_ANSWER: usize = 256 * 1024;

/// Most that is read of what caused the job, in bytes.
const MAX_EVENT: u64 = 16 * 1024 * 1024;

pub(crate) struct Github {
    http: Http,
    summary: Option<PathBuf>,
    comments: Option<Comments>,
}

/// Where comments go, and by whose word.
struct Comments {
    url: String,
    token: String,
}

impl Github {
    /// What the job's environment says.
    pub(crate) fn new(http: Http, get: impl Fn(&str) -> Option<String>) -> Result<Github, String> {
        let summary = get("GITHUB_STEP_SUMMARY").map(PathBuf::from);
        let event = get("GITHUB_EVENT_PATH").and_then(|path| read_event(&path));
        let number = event.as_ref().and_then(number_in).or_else(|| {
            let of = get("GITHUB_REF")?;
            of.strip_prefix("refs/pull/")?
                .split('/')
                .next()?
                .parse()
                .ok()
        });
        let api = get("GITHUB_API_URL").unwrap_or_else(|| "https://api.github.com".to_owned());
        let comments = match (number, get("GITHUB_REPOSITORY"), get("GITHUB_TOKEN")) {
            (Some(number), Some(repository), Some(token)) => Some(Comments {
                url: format!("{api}/repos/{repository}/issues/{number}/comments"),
                token,
            }),
            _ => None,
        };
        if summary.is_none() && comments.is_none() {
            return Err(
                "this is no job of GitHub's: GITHUB_STEP_SUMMARY is not set, nor GITHUB_REPOSITORY, GITHUB_TOKEN and a pull \
                 request"
                    .to_owned(),
            );
        }
        Ok(Github {
            http,
            summary,
            comments,
        })
    }
}

fn read_event(path: &str) -> Option<Value> {
    let file = fs::File::open(path).ok()?;
    serde_json::from_reader(std::io::Read::take(file, MAX_EVENT)).ok()
}

/// The pull request, or the issue, that caused the job.
fn number_in(event: &Value) -> Option<u64> {
    let number = |name: &str| event[name]["number"].as_u64();
    number("pull_request").or_else(|| number("issue"))
}

impl Way for Github {
    fn say<'a>(
        &'a self,
        message: &'a Message,
    ) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>> {
        Box::pin(async move {
            let text = message.markdown();
            // The comment first: it is what may have to be tried again.
            if let Some(Comments { url, token }) = &self.comments {
                let authorization = format!("Bearer {token}");
                let headers = [
                    ("authorization", authorization.as_str()),
                    ("accept", "application/vnd.github+json"),
                    ("x-github-api-version", "2022-11-28"),
                ];
                let body = json!({"body": text});
                self.http
                    .post_json(url, &headers, &body, MAX_ANSWER)
                    .await?;
            }
            if let Some(summary) = &self.summary {
                append(summary, &text).map_err(|error| Failure {
                    why: format!("the job's summary can't be written: {error}"),
                    again: false,
                })?;
            }
            Ok(())
        })
    }
}

fn append(file: &PathBuf, text: &str) -> std::io::Result<()> {
    let mut file = fs::File::options().append(true).create(true).open(file)?;
    file.write_all(format!("{text}\n").as_bytes())
}

impl fmt::Debug for Github {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Github")
    }
}
