//! A run in steps: sends one, looks what becomes of it, and lets [`super::ramp`] decide.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use patterns_core::failed::OriginKind;
use patterns_core::operation::Step;
use tokio::time::Instant;

use super::ramp::{self, Backlog, Place, Rise, Seen, Verdict};
use super::run::{Ended, Run, lock};
use super::verify::Looked;
use crate::database::DatabaseError;
use crate::topology::QueueFacts;

/// Between two readings of the queues while a step waits.
const READ_EVERY: Duration = Duration::from_secs(1);

/// How often it is tried to read what the dead-letter queues hold before a step.
const BASELINE_TRIES: u32 = 10;

/// Between two looks: at least this long in one step, and always so many times as long as the earlier one took.
const LOOK_APART: Duration = Duration::from_secs(10);
const LOOK_SHARE: u32 = 4;

/// Events that came back: all, and those with the error that they had before.
type Returned = (u64, u64);

/// What was so before a step.
struct Before {
    deleted: u64,
    /// What verdicts on earlier steps have taken into account; also in an earlier run.
    returned: Returned,
    /// Events that were known to have come back.
    back: u64,
    /// When the first look may begin.
    look_from: Instant,
    target: Option<u64>,
    age_seconds: Option<u64>,
    /// Messages in the dead-letter queues that the events would come back to.
    dead_letters: Option<u64>,
    /// Errors before, by function.
    errors: BTreeMap<String, u64>,
    /// The fewest errors and throttles since, by function: what leaves the window of the figures must not hide what is new.
    fewest: BTreeMap<String, (u64, u64)>,
}

impl Run {
    /// Deals with the plan's events step by step.
    pub(super) async fn climb(self: &Arc<Self>) {
        let steps = &self.task.plan.steps;
        // What a run that was killed may have sent counts as sent, or the step would send as many more.
        let perhaps = match self.perhaps_sent().await {
            Ok(perhaps) => perhaps,
            Err(error) => return self.end(Ended::Ledger(error)),
        };
        let planned = self.task.plan.planned;
        let done = (planned - self.left()).saturating_add(perhaps).min(planned);
        let mut place = Place::after(steps, done);
        let mut returned = match self.engine.ledger.considered(self.id()).await {
            Ok(considered) => considered.unwrap_or_else(|| self.returned()),
            Err(error) => return self.end(Ended::Ledger(error)),
        };
        let mut look_from = Instant::now();
        while self.left() > 0 && !self.is_over() {
            let mut before = self.before(place, returned, look_from).await;
            // What came back while nobody worked on it may be enough.
            let so_far = match self.returned_since(returned).await {
                Ok((so_far, _)) => so_far,
                Err(error) => return self.end(Ended::Ledger(error)),
            };
            if place.before > 0 && ramp::too_many(place.number(), so_far, place.before) {
                place.size = 0;
            }
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
            } else if perhaps == 0
                && let Ok(Some(at)) = self.last_sent().await
            {
                sent_at = at;
            }
            if self.left() == 0 || self.is_over() {
                return;
            }
            let (so_far, alike) = match self.returned_since(returned).await {
                Ok(returned) => returned,
                Err(error) => return self.end(Ended::Ledger(error)),
            };
            let mut seen = Seen {
                step: place.number(),
                sent,
                sent_at,
                window: self.window(),
                returned: so_far,
                returned_alike: alike,
                late: 0,
                looked: None,
                look_from,
                grown: None,
                target: None,
                consumers: Vec::new(),
            };
            let Some(verdict) = self.verdict(place, &mut seen, &mut before).await else {
                return;
            };
            returned = self.returned();
            look_from = before.look_from;
            let ledger = &self.engine.ledger;
            if let Err(error) = ledger.consider(self.id(), returned.0, returned.1).await {
                return self.end(Ended::Ledger(error));
            }
            match verdict {
                Verdict::Stop(why) => return self.end(Ended::Asks(why)),
                verdict => place = place.next(steps, verdict == Verdict::Slower),
            }
        }
    }

    /// Waits for the verdict on a step; none when the run ends before.
    async fn verdict(&self, place: Place, seen: &mut Seen, before: &mut Before) -> Option<Verdict> {
        // A look is not free, so something has to have changed.
        let mut grown = 0;
        while !self.is_over() {
            self.read(seen, before).await;
            let now = Instant::now();
            let grew = seen.grown.unwrap_or(0);
            let came = grew > grown && grew > seen.returned && now >= seen.look_from;
            match ramp::decide(seen, now) {
                Verdict::Look => {}
                Verdict::Wait(_) if came => {}
                Verdict::Wait(until) => {
                    self.show_step(place, Some(until));
                    self.report().await;
                    let wait = tokio::time::sleep(READ_EVERY);
                    self.stop.run_until_cancelled(wait).await?;
                    continue;
                }
                verdict => return Some(verdict),
            }
            grown = grew;
            self.look(seen, before).await;
        }
        None
    }

    /// Looks whether events came back.
    async fn look(&self, seen: &mut Seen, before: &mut Before) {
        let began = Instant::now();
        let complete = match self.engine.look(&self.task).await {
            Ok(Looked { complete, redrive }) => {
                let (returned, alike) = (redrive.returned, redrive.returned_alike);
                self.count(|shown| {
                    shown.settled = redrive.settled;
                    shown.returned = returned;
                    shown.returned_alike = alike;
                });
                match self.returned_since(before.returned).await {
                    Ok(since) => (seen.returned, seen.returned_alike) = since,
                    Err(error) => self.end(Ended::Ledger(error)),
                }
                let back = returned.saturating_sub(before.back);
                seen.late = back.saturating_sub(seen.returned);
                complete
            }
            Err(problem) => {
                self.complain(problem.to_string());
                false
            }
        };
        seen.looked = Some((began, complete));
        before.look_from = Instant::now() + began.elapsed() * LOOK_SHARE;
        seen.look_from = before.look_from.max(Instant::now() + LOOK_APART);
    }

    /// What is known to have come back.
    fn returned(&self) -> Returned {
        lock(&self.progress)
            .as_ref()
            .map_or((0, 0), |redrive| (redrive.returned, redrive.returned_alike))
    }

    /// What came back besides that, of the events that were sent since too many made the operator decide: of those before
    /// it is known that they may come back.
    async fn returned_since(
        &self,
        (earlier, alike_earlier): Returned,
    ) -> Result<Returned, DatabaseError> {
        let (returned, alike) = self.returned();
        let (most, alike_most) = self.engine.ledger.returned_since_ask(self.id()).await?;
        Ok((
            returned.saturating_sub(earlier).min(most),
            alike.saturating_sub(alike_earlier).min(alike_most),
        ))
    }

    /// How many events an earlier run may have sent, without having written down whether it did.
    async fn perhaps_sent(&self) -> Result<u64, DatabaseError> {
        let ledger = &self.engine.ledger;
        let left = ledger
            .leftover(self.id(), jiff::Timestamp::UNIX_EPOCH)
            .await?;
        Ok(u64::try_from(left.intent.len()).unwrap_or(u64::MAX))
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

    async fn before(&self, place: Place, returned: Returned, look_from: Instant) -> Before {
        let target = self.target();
        let figures = self.figures();
        let deleted = lock(&self.progress)
            .as_ref()
            .map_or(0, |redrive| redrive.deleted);
        Before {
            deleted,
            returned,
            back: self.returned().0,
            look_from,
            target: match &target {
                Some(queue) => self.depth(queue).await,
                None => None,
            },
            age_seconds: target.and_then(|queue| self.age_seconds(&queue.name)),
            dead_letters: self.baseline(place).await,
            errors: figures
                .iter()
                .map(|(function, (errors, _))| (function.clone(), *errors))
                .collect(),
            fewest: figures,
        }
    }

    /// Messages in the dead-letter queues before a step. Without it only a look that meets everything proves the step, so
    /// it is worth some tries.
    async fn baseline(&self, place: Place) -> Option<u64> {
        for _ in 1..BASELINE_TRIES {
            let read = self.dead_letters().await;
            if read.is_some() || self.window().is_none() {
                return read;
            }
            let until = "it can be read how many messages the dead-letter queues hold";
            self.show_step(place, Some(until.to_owned()));
            self.report().await;
            let wait = tokio::time::sleep(READ_EVERY);
            self.stop.run_until_cancelled(wait).await?;
        }
        self.dead_letters().await
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
            seen.grown = Some((now + taken).saturating_sub(earlier));
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
                let errors_before = *before.errors.entry(function.clone()).or_insert(errors);
                Rise {
                    function,
                    errors: errors - fewest.0,
                    errors_before,
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
