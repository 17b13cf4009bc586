//! One batch: up to ten events from the dead-letter queue to where they failed.

use std::borrow::Cow;
use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use futures::future::join_all;
use patterns_core::failed::OriginKind;
use patterns_core::operation::Plan;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use super::group::DEDUPLICATED;
use super::point::reach;
use super::run::{Dealt, Message, Run, Trouble, lock};
use crate::aws::dead_letters::{Refusal, Sent, System};
use crate::database::DatabaseError;
use crate::edit::Editor;
use crate::ledger::{Arrival, Outcome, Step, Taken, Verdict};
use crate::letter::{Letter, event_id};
use crate::mirror::decode::{Decoded, decode, original, qualifier};
use crate::origin::admits;

/// Longer than a batch takes, even when its one attempt to send takes all its 10 s. Not much longer: what was received and
/// not yet written down when the daemon ended stays hidden for this long, and the next run waits for it. A batch that
/// takes longer still has its messages hidden again, and a message in hand is not taken twice.
pub(super) const VISIBILITY_SECONDS: i32 = 30;

/// At half of that time.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A long poll: it asks all of SQS's servers, a short one only some.
const WAIT_SECONDS: i32 = 1;

/// For writing down what was sent.
const WRITE_TRIES: u32 = 30;
const WRITE_RETRY: Duration = Duration::from_secs(1);

/// What is sent instead of payloads that were edited, by message id.
type Edits = HashMap<String, String>;

/// Bytes in one `SendMessageBatch`. (SQS API Reference.)
const BATCH_BYTES: usize = 1_048_576;

impl Run {
    /// Receives up to `max` messages, which ends `call`, and deals with them. When it fails, what it received is made
    /// visible again.
    pub(super) async fn batch(
        &self,
        max: u64,
        call: Option<SemaphorePermit<'_>>,
    ) -> Result<Dealt, Trouble> {
        let mut room = self.room.reserve().await;
        let url = &self.queue.url;
        let max = usize::try_from(max).unwrap_or(1);
        // The originals of what is edited are kept whole.
        let system = match self.task.plan.edit {
            Some(_) => System::All,
            None => System::Carried,
        };
        let letters = self
            .engine
            .aws
            .receive(url, max, VISIBILITY_SECONDS, WAIT_SECONDS, system)
            .await
            .map_err(|problem| Trouble::Aws(problem.to_string()))?;
        drop(call);
        self.room.correct(&mut room, &letters);
        if letters.is_empty() {
            return Ok(Dealt::default());
        }
        let received = u64::try_from(letters.len()).unwrap_or(0);
        // In this order: see `perhaps_met_all`.
        let letters = self.take_in_hand(letters);
        let new = !self.takes_back() || self.meet(&letters);
        let messages: Vec<_> = letters.iter().map(message).collect();
        let dealt = tokio::select! {
            dealt = self.deal_in_order(letters) => dealt,
            never = self.keep_hidden(&messages) => match never {},
        };
        match dealt {
            Ok(dealt) => Ok(Dealt {
                received,
                new,
                ..dealt
            }),
            Err(trouble) => {
                let left = self.still_in_hand(messages);
                self.put_back(left).await;
                Err(trouble)
            }
        }
    }

    /// As long as a batch takes, its messages stay hidden.
    async fn keep_hidden(&self, messages: &[Message]) -> Infallible {
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            let handles = self.newest_handles(messages);
            let aws = &self.engine.aws;
            aws.hide(&self.queue.url, &handles, VISIBILITY_SECONDS)
                .await;
        }
    }

    pub(super) async fn deal(&self, letters: Vec<Letter>) -> Result<Dealt, Trouble> {
        let plan = &self.task.plan;
        let repeat_within = if plan.manner.careful {
            Some(Duration::ZERO)
        } else {
            self.queue.fifo.then_some(DEDUPLICATED)
        };
        let editor = Editor::of(plan, &self.engine.state.topology())
            .map_err(|why| Trouble::Target(format!("the plan's edit cannot be made: {why}")))?;
        let mut edits = Edits::new();
        let arrivals = letters
            .iter()
            .map(|letter| {
                let arrival = arrival(letter, plan);
                let refused = arrival.refused.or_else(|| {
                    let edited = editor.as_ref()?.edit(letter);
                    edited.map_or_else(
                        |why| Some(Step::Failed(why)),
                        |edited| {
                            edits.extend(edited.map(|edited| (letter.message_id.clone(), edited)));
                            None
                        },
                    )
                });
                Arrival {
                    refused,
                    repeat_within,
                    ..arrival
                }
            })
            .collect();
        let ahead = self.room.intents.acquire().await.ok();
        let earlier = self.take_deleted();
        reach("before_intent");
        let verdicts = self
            .engine
            .ledger
            .intend(
                self.id(),
                &self.queue.arn,
                self.everything(),
                arrivals,
                earlier,
            )
            .await?;
        reach("after_intent");
        let mut dealt = Dealt::default();
        let (mut send, mut delete, mut hold) = (Vec::new(), Vec::new(), Vec::new());
        let mut asks = None;
        for (letter, verdict) in letters.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Send => {
                    send.push(letter);
                    continue;
                }
                Verdict::Delete => {
                    delete.push(message(&letter));
                    continue;
                }
                Verdict::Hold => {}
                Verdict::Ask => asks = Some(letter.message_id.clone()),
                Verdict::Failed => {
                    dealt.done += 1;
                    self.grant(1);
                    self.count(|redrive| redrive.failed += 1);
                }
                Verdict::Skipped => {
                    dealt.done += 1;
                    self.grant(1);
                    self.count(|redrive| redrive.skipped += 1);
                }
            }
            self.stick(&letter);
            hold.push(message(&letter));
        }
        self.hold(hold).await;
        if let Some(id) = asks {
            let why = "the redrive was paused before";
            self.postpone(send, Some(why.to_owned())).await?;
            return Err(Trouble::Asks(format!(
                "event {} may have been sent already; resume to send it again, or cancel to leave it",
                event_id(&self.queue.arn, &id)
            )));
        }
        if !delete.is_empty() {
            self.delete(delete).await;
        }
        let excess = send.split_off(self.grant(send.len()));
        if !excess.is_empty() {
            // For a later step, so nothing is wrong with it.
            self.postpone(excess, None).await?;
        }
        if !send.is_empty() {
            let granted = u64::try_from(send.len()).unwrap_or(0);
            let before = dealt.done;
            self.send(send, &edits, &mut dealt, ahead).await?;
            self.give_back(granted.saturating_sub(dealt.done - before));
        }
        Ok(dealt)
    }

    /// Writes down that messages were certainly not sent, and makes them visible again.
    async fn postpone(&self, letters: Vec<Letter>, why: Option<String>) -> Result<(), Trouble> {
        let outcomes = letters.iter().map(|letter| Outcome {
            message_id: letter.message_id.clone(),
            step: Step::Postponed(why.clone()),
        });
        self.write_down(outcomes.collect()).await?;
        self.put_back(letters.iter().map(message).collect()).await;
        Ok(())
    }

    /// Sends in one call, which ends when it is known what became of it and that is written down.
    async fn send(
        &self,
        letters: Vec<Letter>,
        edits: &Edits,
        dealt: &mut Dealt,
        ahead: Option<SemaphorePermit<'_>>,
    ) -> Result<(), Trouble> {
        let call = self.room.sends.acquire();
        let call = self.stop.run_until_cancelled(call).await;
        let (Some(Ok(call)), true) = (call, self.turn(letters.len()).await) else {
            dealt.postponed = true;
            let why = "the redrive was stopped before";
            return self.postpone(letters, Some(why.to_owned())).await;
        };
        if let Err(why) = self.keep_originals(&letters, edits).await {
            dealt.postponed = true;
            self.complain(why.clone());
            return self.postpone(letters, Some(why)).await;
        }
        let sent = self.deliver(&letters, edits).await?;
        let outcomes: Vec<_> = letters
            .iter()
            .zip(&sent)
            .map(|(letter, sent)| Outcome {
                message_id: letter.message_id.clone(),
                step: step(sent),
            })
            .collect();
        // Nothing is deleted before this is on the disk, and when it cannot be, nothing more is sent.
        let written = self.write_down(outcomes).await;
        written.inspect_err(|_| self.room.sends.close())?;
        drop((call, ahead));
        let throttled = sent
            .iter()
            .filter(|sent| matches!(sent, Err(Refusal::Throttled(_))))
            .count();
        lock(&self.pace).answered(throttled, sent.len(), Instant::now());
        let (mut delete, mut hold, mut put_back) = (Vec::new(), Vec::new(), Vec::new());
        let mut target_gone = None;
        for (letter, sent) in letters.iter().zip(sent) {
            let message = message(letter);
            match sent {
                Ok(_) => {
                    dealt.done += 1;
                    delete.push(message);
                }
                Err(Refusal::Message(why)) => {
                    dealt.done += 1;
                    self.count(|redrive| {
                        redrive.failed += 1;
                        redrive.error = Some(why);
                    });
                    self.stick(letter);
                    hold.push(message);
                }
                Err(Refusal::NotNow(why) | Refusal::Throttled(why) | Refusal::Unknown(why)) => {
                    dealt.postponed = true;
                    self.complain(why);
                    put_back.push(message);
                }
                Err(Refusal::Target(why)) => {
                    target_gone = Some(why);
                    put_back.push(message);
                }
            }
        }
        let acknowledged = u64::try_from(delete.len()).unwrap_or(0);
        self.count(|redrive| redrive.sent += acknowledged);
        let gone = self.delete(delete).await;
        let gone = u64::try_from(gone.len()).unwrap_or(0);
        self.count(|redrive| redrive.deleted += gone);
        self.hold(hold).await;
        self.put_back(put_back).await;
        target_gone.map_or(Ok(()), |why| {
            Err(Trouble::Target(format!(
                "nothing can be sent to {}: {why}",
                self.task.plan.target
            )))
        })
    }

    /// Writes down what happened. It cannot happen otherwise any more, so a full disk gets time to be emptied: what is not
    /// written down will be sent again.
    async fn write_down(&self, outcomes: Vec<Outcome>) -> Result<(), DatabaseError> {
        let mut tries = 0;
        reach("before_sent");
        loop {
            let written = self.settle(outcomes.clone()).await;
            let Err(error) = written else {
                reach("after_sent");
                return Ok(());
            };
            tries += 1;
            if tries >= WRITE_TRIES || self.engine.stop.is_cancelled() {
                return Err(error);
            }
            self.complain(format!("the ledger cannot be written: {error}"));
            tokio::time::sleep(WRITE_RETRY).await;
        }
    }

    async fn settle(&self, outcomes: Vec<Outcome>) -> Result<(), DatabaseError> {
        let ledger = &self.engine.ledger;
        let plan = &self.task.plan;
        let Some(of) = &plan.takes_back else {
            return ledger.settle(self.id(), outcomes).await;
        };
        // Both queues are of one account and region.
        let place = self
            .queue
            .arn
            .rsplit_once(':')
            .map_or("", |(place, _)| place);
        let back_in = format!("{place}:{}", plan.target.name);
        let taken = Taken {
            of: of.clone(),
            back_in,
        };
        ledger.settle_taken(self.id(), outcomes, taken).await
    }

    /// Keeps what is edited as it was: when it is deleted from the dead-letter queue, no other copy is left. Or says why
    /// that failed; then it must not be sent.
    async fn keep_originals(&self, letters: &[Letter], edits: &Edits) -> Result<(), String> {
        let edited = letters
            .iter()
            .filter(|letter| edits.contains_key(&letter.message_id));
        let edited: Vec<_> = edited.cloned().collect();
        if edited.is_empty() {
            return Ok(());
        }
        reach("before_keep");
        let store = &self.engine.mirror.store;
        store
            .keep(&self.queue.arn, self.id(), edited)
            .await
            .map_err(|error| {
                format!("an event is edited only when its original can be kept, and history.db cannot be written: {error}")
            })?;
        reach("after_keep");
        Ok(())
    }

    /// Hands the events over, in order; answers for each.
    async fn deliver(&self, letters: &[Letter], edits: &Edits) -> Result<Vec<Sent>, Trouble> {
        let target = &self.task.plan.target;
        let aws = &self.engine.aws;
        match target.kind {
            OriginKind::Queue => {
                let topology = self.engine.state.topology();
                let Some(queue) = topology.queues.get(&target.name) else {
                    let refusal = if topology.may_exist(&target.name) {
                        Refusal::NotNow(format!("the queue {} cannot be read", target.name))
                    } else {
                        Refusal::Target("the queue does not exist".to_owned())
                    };
                    return Ok(letters.iter().map(|_| Err(refusal.clone())).collect());
                };
                let mut sent = Vec::with_capacity(letters.len());
                for part in parts(&edited(letters, edits)) {
                    // The same in every try: SQS stores one of them.
                    let operation = queue.fifo.then_some(self.id());
                    reach("before_send");
                    sent.extend(aws.send(&queue.url, part, operation).await);
                    reach("after_send");
                }
                Ok(sent)
            }
            OriginKind::Function => {
                let invocations = letters.iter().map(|letter| async move {
                    let payload = match edits.get(&letter.message_id) {
                        Some(edited) => edited,
                        None => original(letter, OriginKind::Function)
                            .map_err(|why| Refusal::Message(why.to_owned()))?,
                    };
                    let qualifier = qualifier(letter);
                    let one_of_many = qualifier.is_some();
                    reach("before_invoke");
                    let sent = aws.invoke(&target.name, qualifier, payload).await;
                    reach("after_invoke");
                    match sent {
                        // An alias that is gone keeps no other event from going back.
                        Err(Refusal::Target(why)) if one_of_many => Err(Refusal::Message(why)),
                        sent => sent,
                    }
                });
                Ok(join_all(invocations).await)
            }
        }
    }
}

fn arrival(letter: &Letter, plan: &Plan) -> Arrival {
    let decoded = decode(letter);
    Arrival {
        message_id: letter.message_id.clone(),
        receipt_handle: letter.receipt_handle.clone(),
        refused: refused(letter, &decoded, plan),
        repeat_within: None,
        request_id: decoded.request_id,
        signature: decoded.signature,
    }
}

/// Why an event must not go where it is planned to, from what it says itself.
fn refused(letter: &Letter, decoded: &Decoded, plan: &Plan) -> Option<Step> {
    let target = &plan.target;
    if !plan.elsewhere && !admits(&decoded.evidence, target) {
        return Some(Step::Skipped(format!(
            "it says that it failed elsewhere than at {target}"
        )));
    }
    original(letter, target.kind)
        .err()
        .map(|why| Step::Failed(why.to_owned()))
}

/// The messages with those bodies that were edited, in the same order.
fn edited<'a>(letters: &'a [Letter], edits: &Edits) -> Cow<'a, [Letter]> {
    if edits.is_empty() {
        return Cow::Borrowed(letters);
    }
    let edited = letters.iter().map(|letter| Letter {
        body: edits
            .get(&letter.message_id)
            .unwrap_or(&letter.body)
            .clone(),
        ..letter.clone()
    });
    Cow::Owned(edited.collect())
}

/// A letter's message.
pub fn message(letter: &Letter) -> Message {
    (letter.message_id.clone(), letter.receipt_handle.clone())
}

fn step(sent: &Sent) -> Step {
    match sent {
        Ok(new_id) => Step::Sent(new_id.clone()),
        Err(Refusal::Unknown(why)) => Step::Unknown(why.clone()),
        Err(Refusal::NotNow(why) | Refusal::Throttled(why) | Refusal::Target(why)) => {
            Step::Postponed(Some(why.clone()))
        }
        Err(Refusal::Message(why)) => Step::Failed(why.clone()),
    }
}

/// Parts of at most [`BATCH_BYTES`] each.
fn parts(letters: &[Letter]) -> Vec<&[Letter]> {
    let mut parts = Vec::new();
    let mut rest = letters;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest
            .iter()
            .take_while(|letter| {
                bytes += letter.size();
                bytes <= BATCH_BYTES
            })
            .count();
        // A message alone is never larger than a batch may be, but if it were, SQS should say so and not we loop.
        let (part, behind) = rest.split_at(fitting.max(1));
        parts.push(part);
        rest = behind;
    }
    parts
}

#[cfg(test)]
mod tests {
    use patterns_core::failed::Origin;

    use super::*;
    use crate::letter::tests::letter;
    use crate::redrive::tests::plan;

    #[test]
    fn parts_are_no_larger_than_a_batch_may_be() {
        let large = letter("m", &"x".repeat(400_000));
        let letters = vec![large; 5];
        let sizes: Vec<_> = parts(&letters).iter().map(|part| part.len()).collect();
        assert_eq!(sizes, [2, 2, 1]);
        let huge = [letter("m", &"x".repeat(2_000_000))];
        assert_eq!(parts(&huge).len(), 1);
        assert!(parts(&[]).is_empty());
    }

    #[test]
    fn a_message_from_elsewhere_is_refused() {
        let orders = plan("plan");
        let mut moved = letter("m", "{}");
        assert_eq!(arrival(&moved, &orders).refused, None);
        moved.system.insert(
            "DeadLetterQueueSourceArn".to_owned(),
            "arn:aws:sqs:eu-west-1:123456789012:bills".to_owned(),
        );
        assert!(matches!(
            arrival(&moved, &orders).refused,
            Some(Step::Skipped(_))
        ));
        let shelf = Plan {
            elsewhere: true,
            ..plan("plan")
        };
        assert_eq!(arrival(&moved, &shelf).refused, None);
        let function = Plan {
            target: Origin {
                kind: OriginKind::Function,
                name: "notify".to_owned(),
            },
            ..plan("plan")
        };
        let record = letter(
            "m",
            r#"{"requestContext":{"requestId":"r-1","functionArn":"arn:aws:lambda:r:a:function:notify","condition":"RetriesExhausted"}}"#,
        );
        assert!(matches!(
            arrival(&record, &function).refused,
            Some(Step::Failed(_))
        ));
        // A returned event is known by the id that its send got.
        assert_eq!(
            arrival(&record, &function).request_id.as_deref(),
            Some("r-1")
        );
    }
}
