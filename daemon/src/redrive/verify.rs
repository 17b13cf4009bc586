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
use crate::topology::{QueueFacts, Topology};

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

/// So many looks past the window that could not see everything are enough: more would show no more.
const LOOKS: u32 = 3;

/// What a look at a dead-letter queue came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sight {
    /// All that was in it from then on was met.
    Whole(Timestamp),
    /// Not all of it can be met, for this reason.
    Partial(String),
    /// It could not be looked at, for a reason that may pass.
    Failed(String),
    /// It cannot be looked at, for this reason.
    Never(String),
}

/// A paused or ended operation whose events are not all judged.
struct Waiting {
    unjudged: Unjudged,
    not_before: Instant,
    wait: Duration,
    /// Looks past the window that did not see everything.
    looks: u32,
    /// Whether nothing more is to be learned until it goes on or ends.
    over: bool,
}

impl Engine {
    /// Looks now at where the events of an operation turn up when they fail again. To be called by whoever works on it,
    /// and so has the claim on its dead-letter queue; no message of it may be hidden, or the look is not complete.
    pub async fn look(&self, task: &Task) -> Result<Looked, Problem> {
        let plan = &task.plan;
        let queues = plan.verification.returns_to.iter().cloned().collect();
        let seen = self.look_at(&queues, Some(&plan.dead_letter_queue)).await;
        let since = seen_since(&plan.verification.returns_to, &seen).ok();
        if let Some(since) = since {
            let judged = self.ledger.judge(&task.operation_id, since).await;
            judged.map_err(ledger::disk)?;
        }
        Ok(Looked {
            complete: since.is_some(),
            redrive: self.operation(&task.operation_id).await?,
        })
    }

    /// Judges operations that are paused or have ended, each when its last event has had its time.
    pub async fn judge_idle(&self) {
        let mut waiting: HashMap<(String, bool), Waiting> = HashMap::new();
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
                if let Ok(unjudged) = self.ledger.to_judge(&id.0).await {
                    let new = Waiting {
                        unjudged,
                        not_before: Instant::now(),
                        wait: RETRY,
                        looks: 0,
                        over: false,
                    };
                    waiting.insert(id, new);
                }
            }
            self.judge_due(&mut waiting).await;
        }
    }

    /// Looks once at each queue where events of those that are due turn up.
    async fn judge_due(&self, waiting: &mut HashMap<(String, bool), Waiting>) {
        let (now, today) = (Instant::now(), Timestamp::now());
        let mut due: Vec<_> = waiting
            .iter_mut()
            .filter(|(_, waiting)| {
                !waiting.over
                    && waiting.not_before <= now
                    && waiting.unjudged.due.is_none_or(|due| due <= today)
            })
            .collect();
        let queues = due
            .iter()
            .filter(|(_, waiting)| waiting.unjudged.due.is_some())
            .flat_map(|(_, waiting)| waiting.unjudged.returns_to.iter().cloned())
            .collect();
        let seen = self.look_at(&queues, None).await;
        for ((id, ended), waiting) in &mut due {
            let sight = match waiting.unjudged.due {
                Some(_) => seen_since(&waiting.unjudged.returns_to, &seen),
                // Nothing was sent, so nothing can come back.
                None => Ok(today),
            };
            let written = match sight {
                Ok(since) => self.ledger.judge(id, since).await,
                Err(sight) => match waiting.hopeless(sight) {
                    // One that is paused may go on, and then there is more to see.
                    Some(why) if *ended => self.ledger.give_up(id, why).await,
                    Some(_) => Ok(()),
                    None => {
                        waiting.put_off();
                        continue;
                    }
                },
            };
            if written.is_ok() {
                waiting.over = true;
                self.publish(id).await;
            } else {
                waiting.put_off();
            }
        }
    }

    /// Looks at those queues, the one in hand and those that nobody has; tells what that came to.
    async fn look_at(
        &self,
        queues: &BTreeSet<String>,
        in_hand: Option<&str>,
    ) -> BTreeMap<String, Sight> {
        let topology = self.state.topology();
        let mut seen = BTreeMap::new();
        for name in queues {
            let queue = match to_look_at(&topology, name) {
                Ok(queue) => queue,
                Err(sight) => {
                    seen.insert(name.clone(), sight);
                    continue;
                }
            };
            let claim = self.claims.of(name);
            let guard = claim.try_take();
            if guard.is_none() && in_hand != Some(name) {
                continue;
            }
            let since = Timestamp::now();
            let looked = self.mirror.look(queue, &claim).await;
            drop(guard);
            let (sight, problem) = match looked {
                Ok(scanned) => {
                    let (queue, count) = (name.clone(), scanned.mirrored);
                    self.state.report(Reading::Mirrored { queue, count }).await;
                    let sight = if scanned.complete {
                        Sight::Whole(since)
                    } else {
                        Sight::Partial(partial(name))
                    };
                    (sight, None)
                }
                Err(problem) => (Sight::Failed(problem.to_string()), Some(problem)),
            };
            seen.insert(name.clone(), sight);
            let source = Source::Mirror(name.clone());
            self.state.report(Reading::Problem(source, problem)).await;
        }
        seen
    }
}

impl Waiting {
    /// Why no further look would show more, if so. A look that nobody could take counts only once it was long tried.
    fn hopeless(&mut self, sight: Option<Sight>) -> Option<String> {
        let why = match sight? {
            Sight::Never(why) => return Some(why),
            Sight::Failed(_) if self.wait < RETRY_LONGEST => return None,
            Sight::Failed(why) | Sight::Partial(why) => why,
            Sight::Whole(_) => return None,
        };
        self.looks += 1;
        (self.looks >= LOOKS).then_some(why)
    }

    fn put_off(&mut self) {
        self.not_before = Instant::now() + self.wait;
        self.wait = (self.wait * 2).min(RETRY_LONGEST);
    }
}

/// The dead-letter queue of that name, if it may be looked at.
fn to_look_at<'a>(topology: &'a Topology, name: &str) -> Result<&'a QueueFacts, Sight> {
    let Some(queue) = topology.queues.get(name) else {
        return Err(if topology.may_exist(name) {
            Sight::Failed(format!(
                "the dead-letter queue {name} cannot be read; see `patterns-tui doctor`"
            ))
        } else {
            Sight::Never(format!(
                "the dead-letter queue {name} does not exist any more"
            ))
        });
    };
    if topology.dead_letter_queue(name).is_none() {
        return Err(Sight::Failed(format!(
            "{name} is no dead-letter queue any more, and what has consumers is not looked into"
        )));
    }
    match untouchable(queue) {
        None => Ok(queue),
        Some(why) => Err(Sight::Never(format!("{name} is not looked into: {why}"))),
    }
}

fn partial(name: &str) -> String {
    format!(
        "the dead-letter queue {name} holds more than can be looked through, or others have some of it; `patterns-tui failed list {name}` shows what came back so far"
    )
}

/// Since when all of those queues were seen whole; or what keeps that from being known, unless it is only that somebody
/// else has one of them.
fn seen_since(
    queues: &[String],
    seen: &BTreeMap<String, Sight>,
) -> Result<Timestamp, Option<Sight>> {
    let mut since: Option<Timestamp> = None;
    let mut missing = false;
    for queue in queues {
        match seen.get(queue) {
            Some(Sight::Whole(at)) => since = Some(since.map_or(*at, |since| since.min(*at))),
            Some(sight) => return Err(Some(sight.clone())),
            None => missing = true,
        }
    }
    match since {
        Some(since) if !missing => Ok(since),
        None if !missing => Err(Some(Sight::Never(
            "no dead-letter queue is known that its events could come back to".to_owned(),
        ))),
        _ => Err(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(wait: Duration) -> Waiting {
        Waiting {
            unjudged: Unjudged {
                returns_to: Vec::new(),
                due: None,
            },
            not_before: Instant::now(),
            wait,
            looks: 0,
            over: false,
        }
    }

    #[test]
    fn nothing_is_judged_before_every_queue_was_seen_whole() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let seen = BTreeMap::from([
            ("a".to_owned(), Sight::Whole(at(5))),
            ("b".to_owned(), Sight::Whole(at(3))),
            ("c".to_owned(), Sight::Partial("too many".to_owned())),
        ]);
        let since = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
            seen_since(&names, &seen)
        };
        assert_eq!(since(&["a", "b"]), Ok(at(3)));
        assert_eq!(since(&["a", "c"]), Err(seen.get("c").cloned()));
        assert_eq!(since(&["a", "other"]), Err(None));
        assert!(matches!(since(&[]), Err(Some(Sight::Never(_)))));
    }

    #[test]
    fn three_looks_that_did_not_see_everything_are_enough() {
        let partial = || Some(Sight::Partial("too many".to_owned()));
        let mut large = waiting(RETRY);
        // While somebody else has the queue nobody looks.
        for sight in [partial(), None, partial(), None] {
            assert_eq!(large.hopeless(sight), None);
        }
        assert_eq!(large.hopeless(partial()).as_deref(), Some("too many"));
        let gone = Some(Sight::Never("gone".to_owned()));
        assert_eq!(waiting(RETRY).hopeless(gone).as_deref(), Some("gone"));
        let failed = || Some(Sight::Failed("denied".to_owned()));
        let mut denied = waiting(RETRY);
        for _ in 0..6 {
            assert_eq!(denied.hopeless(failed()), None);
            denied.put_off();
        }
        for _ in 1..LOOKS {
            assert_eq!(denied.hopeless(failed()), None);
        }
        assert_eq!(denied.hopeless(failed()).as_deref(), Some("denied"));
    }
}
