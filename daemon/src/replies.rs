//! Replies by envelope id, so that a request repeated after a dropped connection does nothing again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use md5::{Digest, Md5};
use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::protocol::{Envelope, Reply, Request};
use tokio::sync::OnceCell;

/// Replies remembered at most; the oldest goes first.
const REPLIES_MAX: usize = 256;

type Outcome = Result<Reply, Problem>;

struct Entry {
    /// Of the request: it may be large.
    digest: [u8; 16],
    outcome: Arc<OnceCell<Outcome>>,
}

/// The newest replies.
#[derive(Clone, Default)]
pub struct Replies {
    remembered: Arc<Mutex<Remembered>>,
}

#[derive(Default)]
struct Remembered {
    by_id: HashMap<String, Entry>,
    /// Oldest first.
    order: VecDeque<String>,
}

impl Replies {
    /// The reply to an envelope: from `work` the first time, the same again afterwards. Whoever repeats it while the work
    /// is under way waits for that; it goes on when its first sender has left.
    ///
    /// Requests that only read are answered anew each time: they do nothing twice, and their replies are large.
    pub async fn answer<F>(
        &self,
        envelope: Envelope,
        work: impl FnOnce(Request) -> F + Send + 'static,
    ) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let Envelope { id, request } = envelope;
        if !(1..=64).contains(&id.chars().count()) {
            return Err(Problem::new(
                ProblemKind::Usage,
                "the request's id is not valid",
                "it has not 1 to 64 characters",
                "use a UUID, a new one for each wish",
            ));
        }
        if !request.changes() {
            return work(request).await;
        }
        let outcome = self.entry(&id, &request)?;
        let done = tokio::spawn(async move {
            outcome
                .get_or_init(|| async move { work(request).await })
                .await
                .clone()
        });
        done.await.unwrap_or_else(|error| {
            Err(Problem::new(
                ProblemKind::Internal,
                "the request ended without a reply",
                error.to_string(),
                "look into the daemon's log",
            ))
        })
    }

    fn entry(&self, id: &str, request: &Request) -> Result<Arc<OnceCell<Outcome>>, Problem> {
        let mut remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let json = serde_json::to_vec(request).unwrap_or_default();
        let digest: [u8; 16] = Md5::digest(json).into();
        let Remembered { by_id, order } = &mut *remembered;
        if let Some(entry) = by_id.get(id) {
            if entry.digest == digest {
                return Ok(entry.outcome.clone());
            }
            return Err(Problem::new(
                ProblemKind::Usage,
                "the request's id was used before",
                "another request had it",
                "use a UUID, a new one for each wish",
            ));
        }
        while order.len() >= REPLIES_MAX {
            if let Some(oldest) = order.pop_front() {
                by_id.remove(&oldest);
            }
        }
        let outcome = Arc::new(OnceCell::new());
        by_id.insert(
            id.to_owned(),
            Entry {
                digest,
                outcome: outcome.clone(),
            },
        );
        order.push_back(id.to_owned());
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    fn start(id: &str, plan: &str) -> Envelope {
        Envelope {
            id: id.to_owned(),
            request: Request::Start {
                plan_id: plan.to_owned(),
                reason: None,
                force: false,
            },
        }
    }

    #[tokio::test]
    async fn a_repeated_request_waits_for_the_first_and_does_nothing() {
        let replies = Replies::default();
        let runs = Arc::new(AtomicU32::new(0));
        let gate = Arc::new(Notify::new());
        let work = || {
            let (runs, gate) = (runs.clone(), gate.clone());
            move |_| async move {
                runs.fetch_add(1, Ordering::SeqCst);
                gate.notified().await;
                Ok(Reply::Done)
            }
        };
        let first = replies.answer(start("id", "p"), work());
        let second = replies.answer(start("id", "p"), work());
        let open = async { gate.notify_one() };
        let (first, second, ()) = tokio::join!(first, second, open);
        assert_eq!(first.unwrap(), Reply::Done);
        assert_eq!(second.unwrap(), Reply::Done);
        let third = replies.answer(start("id", "p"), work()).await;
        assert_eq!(third.unwrap(), Reply::Done);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_id_belongs_to_one_request() {
        let replies = Replies::default();
        let done = |_| async { Ok(Reply::Done) };
        assert!(replies.answer(start("id", "a"), done).await.is_ok());
        assert!(replies.answer(start("id", "b"), done).await.is_err());
        assert!(replies.answer(start("", "a"), done).await.is_err());
        assert!(
            replies
                .answer(start(&"x".repeat(65), "a"), done)
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn few_replies_are_remembered() {
        let replies = Replies::default();
        for number in 0..=REPLIES_MAX {
            let id = number.to_string();
            let done = |_| async { Ok(Reply::Done) };
            replies.answer(start(&id, "p"), done).await.unwrap();
        }
        assert_eq!(replies.remembered.lock().unwrap().by_id.len(), REPLIES_MAX);
    }
}
