//! Saying where people are what an unattended run comes to.
//!
//! ```text
//! Message ──Announcer::say──▶ a queue for each place ──▶ slack, github, … ──▶ Delivery
//! ```
//!
//! A place that is down or slow holds up nothing but itself: its messages wait, are tried again with longer and longer
//! pauses, and what can't be delivered is said in a [`Delivery`]. Each place is a file: what it is told, and how.

mod exec;
mod github;
mod linear;
mod message;
mod ntfy;
mod place;
mod slack;
mod webhook;

use std::{collections::BTreeMap, time::Duration};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

pub use message::{Event, Message};
pub use place::{NoPlace, Place};

use place::Way;

/// Names in the environment whose values let one write somewhere.
pub const SECRETS: [&str; 4] = [
    "SLACK_WEBHOOK_URL",
    "LINEAR_API_KEY",
    "NTFY_TOKEN",
    "PILLION_WEBHOOK_SECRET",
];

/// Messages that wait for one place at most.
const MAX_WAITING: usize = 64;

/// How often something is tried to be said, and how long the first pause is; each further one is twice as long.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How often in all.
    pub tries: u32,
    /// The first pause.
    pub pause: Duration,
}

impl Default for Pace {
    /// Half a minute in all, which is as long as a service is gone that is restarted.
    fn default() -> Pace {
        Pace {
            tries: 6,
            pause: Duration::from_secs(1),
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The place's name.
    pub to: &'static str,
    /// What the message was about.
    pub event: Event,
    /// Why it was not said.
    pub result: Result<(), String>,
}

/// Says messages at several places.
#[derive(Debug)]
pub struct Announcer {
    queues: Vec<(&'static str, mpsc::Sender<Message>)>,
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    said: mpsc::UnboundedSender<Delivery>,
    /// Messages of which it is not known yet what became of them.
    waiting: usize,
    workers: JoinSet<()>,
}

impl Announcer {
    /// Announces at these places. What they need besides is in the environment: tokens, addresses of services.
    pub fn start(places: Vec<Place>, environment: &BTreeMap<String, String>, pace: Pace) -> Self {
        let (said, deliveries) = mpsc::unbounded_channel();
        let mut announcer = Announcer {
            queues: Vec::new(),
            deliveries,
            said,
            waiting: 0,
            workers: JoinSet::new(),
        };
        for place in places {
            let (sender, queue) = mpsc::channel(MAX_WAITING);
            let name = place.name();
            announcer.queues.push((name, sender));
            let way = place.way(environment);
            let work = work(name, way, queue, announcer.said.clone(), pace);
            announcer.workers.spawn(work);
        }
        announcer
    }

    /// Says something at all places.
    pub fn say(&mut self, message: &Message) {
        for (to, queue) in &self.queues {
            self.waiting += 1;
            if queue.try_send(message.clone()).is_err() {
                let result = Err("too many messages wait for it already".to_owned());
                let event = message.event;
                let delivery = Delivery { to, event, result };
                let _ = self.said.send(delivery);
            }
        }
    }

    /// What became of one of them. May be dropped while it waits; waits for ever where nothing is under way.
    pub async fn delivery(&mut self) -> Delivery {
        match self.deliveries.recv().await {
            Some(delivery) => {
                self.waiting -= 1;
                delivery
            }
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }

    /// Waits for what is under way, so long at most.
    pub async fn finish(mut self, within: Duration) {
        let end = Instant::now() + within;
        while self.waiting > 0 && timeout_at(end, self.delivery()).await.is_ok() {}
    }
}

/// Says what waits for one place, one message after the other.
async fn work(
    to: &'static str,
    way: Result<Box<dyn Way>, String>,
    mut queue: mpsc::Receiver<Message>,
    said: mpsc::UnboundedSender<Delivery>,
    pace: Pace,
) {
    while let Some(message) = queue.recv().await {
        let result = match &way {
            Ok(way) => deliver(way.as_ref(), &message, pace).await,
            Err(why) => Err(why.clone()),
        };
        let event = message.event;
        let _ = said.send(Delivery { to, event, result });
    }
}

async fn deliver(way: &dyn Way, message: &Message, pace: Pace) -> Result<(), String> {
    let mut pause = pace.pause;
    for attempt in 1.. {
        match way.say(message).await {
            Ok(()) => return Ok(()),
            Err(failure) if failure.again && attempt < pace.tries => {
                sleep(pause).await;
                pause *= 2;
            }
            Err(failure) if attempt > 1 => {
                return Err(format!("{} (tried {attempt} times)", failure.why));
            }
            Err(failure) => return Err(failure.why),
        }
    }
    Ok(())
}
