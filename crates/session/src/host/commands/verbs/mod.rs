//! The vocabulary of commands: what can be asked of a session, and what comes of it.
//!
//! A verb is one file: its request, its reply, whether it widens who may join or do what, what is asked before it
//! does, and what it does. The same types travel on the control socket (as JSON), in a co-host's request (as a number
//! and a body, [`Command::to_wire`]) and from the keys of a panel. No sentence is made here: those who show
//! something to a person make it from the typed reply, refusal or question.
//!
//! To add one: its file, and its line in the table below.

mod access_list;
mod admit;
mod allow;
mod attach;
mod ban;
mod close_track;
mod code;
mod converse;
mod end_link;
mod grant;
mod grant_link;
mod kick;
mod label;
mod list_tracks;
mod open_conversation;
mod open_terminal;
mod own;
mod refusal;
mod refuse_request;
mod revoke;
mod set_access_mode;
mod share;
mod show_track;
mod status;
mod stop;
mod target;
mod ticket;
mod trust;
mod turn_away;
mod unban;
mod use_service;
mod who;

use bytes::Bytes;
use pillion_proto::{TrackId, growing};
use serde::{Deserialize, Serialize};

pub use access_list::{AccessList, AccessListed};
pub use admit::Admit;
pub use allow::{Allow, Allowed};
pub use attach::Attach;
pub use ban::{Ban, Banned};
pub use close_track::{CloseTrack, TrackClosed};
pub use code::Code;
pub use converse::Converse;
pub use end_link::EndLink;
pub use grant::{Grant, Granted};
pub use grant_link::{GrantLink, Token};
pub use kick::{Kick, Kicked};
pub use label::{EndedLinks, PersonLabel, Proved, SubjectLabel};
pub use list_tracks::{ListTracks, TrackStatus};
pub use open_conversation::{AgentStart, OpenConversation};
pub use open_terminal::OpenTerminal;
pub use own::Own;
pub use refusal::{Choice, CommandError, Shortfall};
pub use refuse_request::RefuseRequest;
pub use revoke::{Revoke, Revoked};
pub use set_access_mode::{AccessModeSet, SetAccessMode};
pub use share::Share;
pub use show_track::ShowTrack;
pub use status::{SessionStatus, Status, TerminalStatus};
pub use stop::Stop;
pub use target::Target;
pub use ticket::Ticket;
pub use trust::{Trust, TrustSet};
pub use turn_away::{TurnAway, TurnedAway};
pub use unban::Unban;
pub use use_service::{ServiceUsed, UseService};
pub use who::{ParticipantStatus, Who};

#[cfg(feature = "host")]
use crate::host::{Host, commands::question::Question, principal::Principal};

/// What a command does to who may join and do what.
#[cfg(feature = "host")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::host) enum Reach {
    /// Nothing: it asks.
    Nothing,
    /// It changes something, and lets nobody in and gives nobody a right who has not got it.
    Changes,
    /// It could let somebody in, or do more, who can't now.
    Widens,
}

/// How a host carries a command out.
#[cfg(feature = "host")]
pub(in crate::host) trait Run: Sized {
    /// What comes of it.
    type Reply;

    /// What it does to who may join and do what, as the session stands.
    fn reach(&self, host: &Host) -> Reach;

    /// What is asked at the host's terminal before it is carried out, where it widens something. From then on it is
    /// about exactly those whom the question shows.
    fn question(&mut self, _: &Host) -> Result<Question, CommandError> {
        Err(CommandError::NothingToConfirm)
    }

    /// Whether a participant with the right to manage may ask for it.
    fn is_remote(&self) -> bool {
        false
    }

    /// Does it. `None` if the answer is a ticket that comes once the endpoint can be reached.
    fn run(self, host: &mut Host, by: &Principal) -> Result<Option<Self::Reply>, CommandError>;
}

/// From the table of verbs: the enum of requests and that of replies, their numbers, and who carries them out.
macro_rules! verbs {
    ($($(#[doc = $doc:literal])* $number:literal $name:literal $verb:ident -> $reply:ty;)*) => {
        /// What can be asked of a session.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Command {
            $($(#[doc = $doc])* $verb($verb),)*
            /// A verb of a newer version, or a known one with something in it that is not known here: its number,
            /// and what stood behind it. The answer says so.
            #[serde(skip)]
            Unknown(u16, Bytes),
        }

        /// What came of a [`Command`], by its verb.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Reply {
            $(#[doc = concat!("Of [`Command::", stringify!($verb), "`].")] $verb($reply),)*
        }

        $(impl From<$verb> for Command {
            fn from(verb: $verb) -> Command {
                Command::$verb(verb)
            }
        })*

        impl Command {
            /// As it is given to `pillion`.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Command::$verb(_) => $name,)*
                    Command::Unknown(..) => "unknown",
                }
            }

            /// The number of its verb, which is never reused, and the rest as a message of its own.
            ///
            /// # Panics
            /// Never: what is written has no maps and no unknown lengths.
            pub fn to_wire(&self) -> (u16, Bytes) {
                match self {
                    $(Command::$verb(verb) => ($number, body(verb)),)*
                    Command::Unknown(number, body) => (*number, body.clone()),
                }
            }

            /// Reads what [`Command::to_wire`] wrote, in this version or another.
            pub fn from_wire(number: u16, body: Bytes) -> Command {
                let known = match number {
                    $($number => growing::from_bytes(&body).ok().map(Command::$verb),)*
                    _ => None,
                };
                known.unwrap_or(Command::Unknown(number, body))
            }
        }

        impl Reply {
            /// The number of its verb, and what came of it.
            ///
            /// # Panics
            /// Never, as [`Command::to_wire`].
            pub fn to_wire(&self) -> (u16, Bytes) {
                match self {
                    $(Reply::$verb(reply) => ($number, body(reply)),)*
                }
            }

            /// Reads what [`Reply::to_wire`] wrote. `None` if it says something that is not known here.
            pub fn from_wire(number: u16, body: &[u8]) -> Option<Reply> {
                match number {
                    $($number => postcard::from_bytes(body).ok().map(Reply::$verb),)*
                    _ => None,
                }
            }
        }

        #[cfg(feature = "host")]
        impl Command {
            /// [`Run::reach`].
            pub(in crate::host) fn reach(&self, host: &Host) -> Reach {
                match self {
                    $(Command::$verb(verb) => verb.reach(host),)*
                    Command::Unknown(..) => Reach::Nothing,
                }
            }

            /// [`Run::question`].
            pub(in crate::host) fn question(&mut self, host: &Host) -> Result<Question, CommandError> {
                match self {
                    $(Command::$verb(verb) => verb.question(host),)*
                    Command::Unknown(..) => Err(CommandError::NotKnownHere),
                }
            }

            /// [`Run::is_remote`].
            pub(in crate::host) fn is_remote(&self) -> bool {
                match self {
                    $(Command::$verb(verb) => verb.is_remote(),)*
                    // It is answered, and does nothing.
                    Command::Unknown(..) => true,
                }
            }

            /// [`Run::run`].
            pub(in crate::host) fn run(
                self,
                host: &mut Host,
                by: &Principal,
            ) -> Result<Option<Reply>, CommandError> {
                match self {
                    $(Command::$verb(verb) => Ok(verb.run(host, by)?.map(Reply::$verb)),)*
                    Command::Unknown(..) => Err(CommandError::NotKnownHere),
                }
            }
        }
    };
}

verbs! {
    /// Let in somebody who knocks, and put them on the list.
    1 "admit" Admit -> PersonLabel;
    /// Turn away somebody who knocks, or decline their request to type.
    2 "refuse" TurnAway -> TurnedAway;
    /// Give a participant rights.
    3 "grant" Grant -> Granted;
    /// Decline a request to type.
    4 "refuse" RefuseRequest -> PersonLabel;
    /// Take rights away.
    5 "revoke" Revoke -> Revoked;
    /// Remove somebody and bar them.
    6 "kick" Kick -> Kicked;
    /// Say who may join.
    7 "allow" SetAccessMode -> AccessModeSet;
    /// Put somebody on the list of who may join.
    8 "allow" Allow -> Allowed;
    /// Keep out anybody who is or proves to be this.
    9 "ban" Ban -> Banned;
    /// Undo that.
    10 "unban" Unban -> Vec<String>;
    /// Who is here.
    11 "who" Who -> Vec<ParticipantStatus>;
    /// How the session stands.
    12 "ls" Status -> SessionStatus;
    /// Start sharing.
    13 "share" Share -> String;
    /// Stop sharing.
    14 "stop" Stop -> ();
    /// The ticket.
    15 "ticket" Ticket -> String;
    /// Make a token for somebody who is not here yet.
    16 "grant" GrantLink -> Token;
    /// Use a link service.
    17 "link" UseService -> ServiceUsed;
    /// End the link.
    18 "link --off" EndLink -> ();
    /// Make a spoken code.
    19 "code" Code -> ();
    /// Who may join, and who is kept out.
    20 "allow" AccessList -> AccessListed;
    /// Make another terminal the host's own.
    21 "attach" Attach -> ();
    /// Open another terminal.
    22 "new" OpenTerminal -> TrackId;
    /// End a track's program, or forget a track that ended.
    23 "close" CloseTrack -> TrackClosed;
    /// Show another terminal on the host's own.
    24 "show" ShowTrack -> ();
    /// The session's tracks.
    25 "ls" ListTracks -> Vec<TrackStatus>;
    /// Open a conversation with an agent.
    26 "agent" OpenConversation -> TrackId;
    /// Say something in an agent's conversation.
    27 "prompt" Converse -> ();
    /// Make a viewer the host's own terminal.
    28 "attach" Own -> ();
    /// Say how far somebody's prompts are trusted.
    29 "trust" Trust -> TrustSet;
}

fn body<T: Serialize>(value: &T) -> Bytes {
    postcard::to_allocvec(value)
        .expect("commands and replies have no maps and no unknown lengths")
        .into()
}

/// A command that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// What came of it.
    pub reply: Reply,
    /// What of it does not outlive this run of the session.
    pub shortfall: Option<Shortfall>,
}

impl From<Reply> for Done {
    fn from(reply: Reply) -> Done {
        Done {
            reply,
            shortfall: None,
        }
    }
}

/// [`Done`] as it travels.
#[derive(Serialize, Deserialize)]
struct WireDone {
    reply: Bytes,
    #[serde(default)]
    shortfall: Option<Shortfall>,
}

impl Done {
    /// As the body of an answer, which names the verb.
    pub fn to_wire(&self) -> Bytes {
        body(&WireDone {
            reply: self.reply.to_wire().1,
            shortfall: self.shortfall.clone(),
        })
    }

    /// Reads what [`Done::to_wire`] wrote of this verb. `None` if it says something that is not known here.
    pub fn from_wire(verb: u16, body: &[u8]) -> Option<Done> {
        let WireDone { reply, shortfall } = growing::from_bytes(body).ok()?;
        let reply = Reply::from_wire(verb, &reply)?;
        Some(Done { reply, shortfall })
    }
}

impl CommandError {
    /// As the body of an answer.
    pub fn to_wire(&self) -> Bytes {
        body(self)
    }

    /// Reads what [`CommandError::to_wire`] wrote. `None` if it is a reason that is not known here.
    pub fn from_wire(body: &[u8]) -> Option<CommandError> {
        postcard::from_bytes(body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_of_a_newer_version_stays_as_it_came() {
        let command = Command::from_wire(999, Bytes::from_static(b"later"));
        assert_eq!(command, Command::Unknown(999, Bytes::from_static(b"later")));
        assert_eq!(command.to_wire(), (999, Bytes::from_static(b"later")));
    }

    #[test]
    fn a_verb_may_gain_a_field() {
        let command = Command::from(SetAccessMode {
            mode: pillion_proto::AccessMode::Invited,
        });
        let (number, body) = command.to_wire();
        let longer: Bytes = [&body[..], b"and more"].concat().into();
        assert_eq!(Command::from_wire(number, longer), command);
    }

    #[test]
    fn the_socket_takes_no_unknown_verb() {
        assert!(serde_json::from_str::<Command>(r#"{"Unknown":[7,[]]}"#).is_err());
        assert!(serde_json::from_str::<Command>(r#"{"Later":{}}"#).is_err());
    }
}
