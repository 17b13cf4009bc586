//! What became of events after they were sent: looks at where they turn up when they fail again, once they had their time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use patterns_core::operation::Redrive;
use patterns_core::problem::Problem;
use tokio::time::Instant;

use super::Engine;
use crate::ledger::{self, Task, Unjudged};
use crate::mirror::untouchable;
use crate::state::{Reading, Source};

/// How often it is asked whether there is something to judge: one query of a small index.
const EVERY: Duration = Duration::from_secs(1);

/// Wait after a look that could not see everything; doubles up to the longest.
const RETRY: Duration = Duration::from_secs(5);
const RETRY_LONGEST: Duration = Duration::from_mins(5);

/// What a look at an operation's events came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Looked {
    /// Whether everything was seen that could have come back. Then all are settled that have had their window and are not
    /// back.
    pub complete: bool,
    /// How the operation stands now: sent, settled, returned.
    pub redrive: Redrive,
}

/// An ended operation whose events are not all judged.
struct Waiting {
    unjudged: Unjudged,
    not_before: Instant,
    wait: Duration,
}

impl Engine {
    /// Looks now at where the events of an operation turn up when they fail again. To be called by whoever works on it,
    /// and so has the claim on its dead-letter queue; no message of it may be hidden, or the look is not complete.
    pub async fn look(&self, task: &Task) -> Result<Looked, Problem> {
        let plan = &task.plan;
        let queues = plan.verification.returns_to.iter().cloned().collect();
        let seen = self.look_at(&queues, Some(&plan.dead_letter_queue)).await;
        let since = seen_since(&plan.verification.returns_to, &seen);
        if let Some(since) = since {
            let judged = self.ledger.judge(&task.operation_id, since).await;
            judged.map_err(ledger::disk)?;
        }
        Ok(Looked {
            complete: since.is_some(),
            redrive: self.operation(&task.operation_id).await?,
        })
    }

    /// Judges operations that have ended, each when its last event has had its time.
    pub async fn judge_ended(&self) {
        let mut waiting: HashMap<String, Waiting> = HashMap::new();
        // A look under way is not dropped when the daemon stops: it makes visible what it hides.
        while self
            .stop
            .run_until_cancelled(tokio::time::sleep(EVERY))
            .await
            .is_some()
        {
            let Some(world) = self.running.lock().await.world else {
                continue;
            };
            // A ledger that cannot be read is shown by those who cannot go on without it.
            let Ok(ids) = self.ledger.unjudged(world).await else {
                continue;
            };
            waiting.retain(|id, _| ids.contains(id));
            for id in ids {
                if waiting.contains_key(&id) {
                    continue;
                }
                if let Ok(unjudged) = self.ledger.to_judge(&id).await {
                    let new = Waiting {
                        unjudged,
                        not_before: Instant::now(),
                        wait: RETRY,
                    };
                    waiting.insert(id, new);
                }
            }
            self.judge_due(&mut waiting).await;
        }
    }

    /// Looks once at each queue where events of those that are due turn up.
    async fn judge_due(&self, waiting: &mut HashMap<String, Waiting>) {
        let (now, today) = (Instant::now(), Timestamp::now());
        let mut due: Vec<_> = waiting
            .iter_mut()
            .filter(|(_, waiting)| {
                waiting.not_before <= now && waiting.unjudged.due.is_none_or(|due| due <= today)
            })
            .collect();
        let queues = due
            .iter()
            .filter(|(_, waiting)| waiting.unjudged.due.is_some())
            .flat_map(|(_, waiting)| waiting.unjudged.returns_to.iter().cloned())
            .collect();
        let seen = self.look_at(&queues, None).await;
        for (id, waiting) in &mut due {
            let since = match waiting.unjudged.due {
                Some(_) => seen_since(&waiting.unjudged.returns_to, &seen),
                // Nothing was sent, so nothing can come back.
                None => Some(today),
            };
            if let Some(since) = since
                && self.ledger.judge(id, since).await.is_ok()
            {
                self.publish(id).await;
            } else {
                waiting.not_before = Instant::now() + waiting.wait;
                waiting.wait = (waiting.wait * 2).min(RETRY_LONGEST);
            }
        }
    }

    /// Looks at those queues, the one in hand and those that nobody has; tells since when each was seen whole.
    async fn look_at(
        &self,
        queues: &BTreeSet<String>,
        in_hand: Option<&str>,
    ) -> BTreeMap<String, Timestamp> {
        let topology = self.state.topology();
        let mut seen = BTreeMap::new();
        for name in queues {
            let Some(queue) = topology
                .dead_letter_queue(name)
                .filter(|queue| untouchable(queue).is_none())
            else {
                continue;
            };
            let claim = self.claims.of(name);
            let guard = claim.try_take();
            if guard.is_none() && in_hand != Some(name) {
                continue;
            }
            let since = Timestamp::now();
            let looked = self.mirror.look(queue, &claim).await;
            drop(guard);
            let problem = match looked {
                Ok(scanned) => {
                    if scanned.complete {
                        seen.insert(name.clone(), since);
                    }
                    let (queue, count) = (name.clone(), scanned.mirrored);
                    self.state.report(Reading::Mirrored { queue, count }).await;
                    None
                }
                Err(problem) => Some(problem),
            };
            let source = Source::Mirror(name.clone());
            self.state.report(Reading::Problem(source, problem)).await;
        }
        seen
    }
}

/// Since when all of those queues were seen whole; none when one was not.
fn seen_since(queues: &[String], seen: &BTreeMap<String, Timestamp>) -> Option<Timestamp> {
    let since: Option<Vec<_>> = queues.iter().map(|queue| seen.get(queue)).collect();
    since?.into_iter().min().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_judged_before_every_queue_was_seen_whole() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let seen = BTreeMap::from([("a".to_owned(), at(5)), ("b".to_owned(), at(3))]);
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(seen_since(&names(&["a", "b"]), &seen), Some(at(3)));
        assert_eq!(seen_since(&names(&["a", "c"]), &seen), None);
        assert_eq!(seen_since(&[], &seen), None);
    }
}
