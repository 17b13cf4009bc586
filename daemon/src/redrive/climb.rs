//! A run in steps: sends one, looks what becomes of it, and lets [`super::ramp`] decide.

use std::collections::BTreeMap;
use std::time::Duration;

use patterns_core::failed::OriginKind;
use patterns_core::operation::{Redrive, Step};
use tokio::time::Instant;

use super::ramp::{self, Backlog, Place, Rise, Seen, Verdict};
use super::run::{Ended, Run, lock};
use super::verify::Looked;
use crate::database::DatabaseError;
use crate::topology::QueueFacts;

/// Between two readings of the queues while a step waits.
const READ_EVERY: Duration = Duration::from_secs(1);

/// What was so before a step.
struct Before {
    deleted: u64,
    returned: u64,
    returned_alike: u64,
    target: Option<u64>,
    age_seconds: Option<u64>,
    /// Messages in the dead-letter queues that the events would come back to.
    dead_letters: Option<u64>,
    /// The fewest errors and throttles since, by function: what leaves the window of the figures must not hide what is new.
    fewest: BTreeMap<String, (u64, u64)>,
}

impl Run<'_> {
    /// Deals with the plan's events step by step.
    pub(super) async fn climb(&self) {
        let steps = &self.task.plan.steps;
        let mut place = Place::after(steps, self.task.plan.planned - self.left());
        while self.left() > 0 && !self.is_over() {
            let mut before = self.before().await;
            let mut sent_at = Instant::now();
            let mut sent = place.before;
            if place.size > 0 {
                place.size = place.size.min(self.left());
                self.show_step(place, None);
                let left = self.left();
                self.take(place.size).await;
                sent_at = Instant::now();
                sent += left.saturating_sub(self.left());
                // Nothing stays hidden while the step waits.
                self.release_held().await;
                if let Err(error) = self.write_deleted().await {
                    self.end(Ended::Ledger(error));
                }
            } else if let Ok(Some(at)) = self.last_sent().await {
                sent_at = at;
            }
            if self.left() == 0 || self.is_over() {
                return;
            }
            let seen = Seen {
                step: place.number(),
                sent,
                sent_at,
                window: self.window(),
                returned: 0,
                returned_alike: 0,
                looked: None,
                grown: 0,
                target: None,
                consumers: Vec::new(),
            };
            let Some(slower) = self.verdict(place, seen, &mut before).await else {
                return;
            };
            place = place.next(steps, slower);
        }
    }

    /// Waits for the verdict on a step: whether the next one is slower. Nothing when there is no next one for now.
    async fn verdict(&self, place: Place, mut seen: Seen, before: &mut Before) -> Option<bool> {
        // A look is not free, so something has to have changed.
        let mut grown = 0;
        while !self.is_over() {
            self.read(&mut seen, before).await;
            let came = seen.grown > grown && seen.grown > seen.returned;
            let verdict = match ramp::decide(&seen, Instant::now()) {
                Verdict::Wait(_) if came => Verdict::Look,
                verdict => verdict,
            };
            match verdict {
                Verdict::Advance => return Some(false),
                Verdict::Slower => return Some(true),
                Verdict::Stop(why) => {
                    self.end(Ended::Asks(why));
                    return None;
                }
                Verdict::Look => {
                    grown = seen.grown;
                    self.look(&mut seen, before).await;
                    continue;
                }
                Verdict::Wait(until) => self.show_step(place, Some(until)),
            }
            self.report().await;
            let wait = tokio::time::sleep(READ_EVERY);
            self.stop.run_until_cancelled(wait).await?;
        }
        None
    }

    /// Looks whether events came back.
    async fn look(&self, seen: &mut Seen, before: &Before) {
        let began = Instant::now();
        let complete = match self.engine.look(self.task).await {
            Ok(Looked { complete, redrive }) => {
                let (returned, alike) = (redrive.returned, redrive.returned_alike);
                seen.returned = returned.saturating_sub(before.returned);
                seen.returned_alike = alike.saturating_sub(before.returned_alike);
                self.count(|shown| {
                    shown.settled = redrive.settled;
                    shown.returned = returned;
                    shown.returned_alike = alike;
                });
                complete
            }
            Err(problem) => {
                self.complain(problem.to_string());
                false
            }
        };
        seen.looked = Some((began, complete));
    }

    fn show_step(&self, place: Place, waits: Option<String>) {
        self.count(|redrive| {
            redrive.step = Some(Step {
                number: place.number(),
                size: place.before + place.size,
                waits,
            });
        });
    }

    fn window(&self) -> Option<Duration> {
        let verification = &self.task.plan.verification;
        if verification.unverified.is_some() {
            return None;
        }
        verification.window_seconds.map(Duration::from_secs)
    }

    /// When the last event was sent, also by an earlier run.
    async fn last_sent(&self) -> Result<Option<Instant>, DatabaseError> {
        let at = self.engine.ledger.last_sent(self.id()).await?;
        let now = jiff::Timestamp::now();
        let ago = at.and_then(|at| Duration::try_from(now.duration_since(at)).ok());
        Ok(ago.and_then(|ago| Instant::now().checked_sub(ago)))
    }

    async fn before(&self) -> Before {
        let target = self.target();
        let so_far = |of: fn(&Redrive) -> u64| lock(&self.progress).as_ref().map_or(0, of);
        Before {
            deleted: so_far(|redrive| redrive.deleted),
            returned: so_far(|redrive| redrive.returned),
            returned_alike: so_far(|redrive| redrive.returned_alike),
            target: match &target {
                Some(queue) => self.depth(queue).await,
                None => None,
            },
            age_seconds: target.and_then(|queue| self.age_seconds(&queue.name)),
            dead_letters: self.dead_letters().await,
            fewest: self.figures(),
        }
    }

    /// Reads the queues, and what the snapshot has of the functions.
    async fn read(&self, seen: &mut Seen, before: &mut Before) {
        if let (Some(queue), Some(earlier)) = (self.target(), before.target) {
            let read = self.depth(&queue).await;
            let (now, empty) = seen
                .target
                .as_ref()
                .map_or((earlier, 0), |target| (target.now, target.empty));
            seen.target = Some(Backlog {
                before: earlier,
                now: read.unwrap_or(now),
                // What cannot be read proves nothing.
                empty: if read == Some(0) { empty + 1 } else { 0 },
                age_seconds: before.age_seconds.zip(self.age_seconds(&queue.name)),
                queue: queue.name,
            });
        }
        if let (Some(earlier), Some(now)) = (before.dead_letters, self.dead_letters().await) {
            let taken = if self.returns_here() {
                let progress = lock(&self.progress);
                let deleted = progress.as_ref().map_or(0, |redrive| redrive.deleted);
                deleted.saturating_sub(before.deleted)
            } else {
                0
            };
            seen.grown = (now + taken).saturating_sub(earlier);
        }
        seen.consumers = self
            .figures()
            .into_iter()
            .map(|(function, (errors, throttles))| {
                let fewest = before
                    .fewest
                    .entry(function.clone())
                    .or_insert((errors, throttles));
                *fewest = (fewest.0.min(errors), fewest.1.min(throttles));
                Rise {
                    function,
                    errors: errors - fewest.0,
                    throttles: throttles - fewest.1,
                }
            })
            .collect();
    }

    /// The queue that the events go to; nothing of a function.
    fn target(&self) -> Option<QueueFacts> {
        let target = &self.task.plan.target;
        let topology = self.engine.state.topology();
        let queue = topology.queues.get(&target.name);
        queue.filter(|_| target.kind == OriginKind::Queue).cloned()
    }

    /// Errors and throttles of the functions that process the events, by name.
    fn figures(&self) -> BTreeMap<String, (u64, u64)> {
        let target = &self.task.plan.target;
        let topology = self.engine.state.topology();
        let names: Vec<&str> = match (target.kind, topology.queues.get(&target.name)) {
            (OriginKind::Function, _) => vec![&target.name],
            (OriginKind::Queue, None) => Vec::new(),
            (OriginKind::Queue, Some(queue)) => {
                let consumers = topology.consumers.iter();
                consumers
                    .filter(|(arn, _)| *arn == queue.arn)
                    .map(|(_, function)| function.as_str())
                    .collect()
            }
        };
        let snapshot = self.engine.state.snapshot();
        let functions = names.iter().filter_map(|name| snapshot.function(name));
        functions
            .filter(|function| function.as_of.is_some())
            .map(|function| (function.name.clone(), (function.errors, function.throttles)))
            .collect()
    }

    fn age_seconds(&self, queue: &str) -> Option<u64> {
        self.engine
            .state
            .snapshot()
            .queue(queue)?
            .oldest_age_seconds
    }

    fn returns_here(&self) -> bool {
        let names = &self.task.plan.verification.returns_to;
        names.contains(&self.queue.name)
    }

    /// Messages in the queues that the events would come back to, when all of them can be read.
    async fn dead_letters(&self) -> Option<u64> {
        let mut sum = 0;
        for name in &self.task.plan.verification.returns_to {
            let queue = self.engine.state.topology().queues.get(name).cloned()?;
            sum += self.depth(&queue).await?;
        }
        Some(sum)
    }

    async fn depth(&self, queue: &QueueFacts) -> Option<u64> {
        let depth = self.engine.aws.depth(&queue.url).await.ok()??;
        Some(depth.total())
    }
}
