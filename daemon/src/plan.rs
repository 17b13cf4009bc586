//! Plans: a selection frozen with its route, for someone to confirm. Deciding is pure; [`Plans`] remembers.

pub mod native;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use patterns_core::failed::{Origin, OriginKind};
use patterns_core::operation::{Edit, Level, Plan, Selection};
use patterns_core::problem::{Problem, ProblemKind};

use crate::edit::Change;
use crate::origin::{Evidence, Resolved, admits, resolve};
use crate::topology::{QueueFacts, Topology};

/// After this a plan is refused: the queue may have changed.
const VALID: SignedDuration = SignedDuration::from_mins(10);

/// Plans remembered at most; the oldest goes first.
const PLANS_MAX: usize = 100;

/// Bytes of message ids and edits in all remembered plans; the oldest plan goes first, and the newest stays.
const BYTES_MAX: usize = 16 << 20;

/// A message id is 36 characters in a `String`.
const ID_BYTES: usize = 60;

/// A plan with the message ids it means; none when it means everything.
#[derive(Clone, Debug, PartialEq)]
pub struct Frozen {
    /// What was answered.
    pub plan: Plan,
    /// SQS message ids of chosen events.
    pub message_ids: Vec<String>,
}

impl Frozen {
    fn bytes(&self) -> usize {
        let edit = match &self.plan.edit {
            None => 0,
            Some(Edit::Payload(payload)) => payload.len(),
            Some(Edit::Patch(patch)) => patch.to_string().len(),
        };
        self.message_ids.len() * ID_BYTES + edit
    }
}

/// The plans that can still be started.
#[derive(Default)]
pub struct Plans {
    plans: Mutex<VecDeque<Frozen>>,
}

impl Plans {
    /// Remembers a plan, but not what its edit makes of events: that was shown, and the ledger keeps no text of messages.
    pub fn keep(&self, mut frozen: Frozen) {
        frozen.plan.edits = Vec::new();
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.len() >= PLANS_MAX {
            plans.pop_front();
        }
        plans.push_back(frozen);
        let mut bytes: usize = plans.iter().map(Frozen::bytes).sum();
        while bytes > BYTES_MAX && plans.len() > 1 {
            bytes -= plans.pop_front().as_ref().map_or(0, Frozen::bytes);
        }
    }

    /// The plan of that id, unless it expired.
    pub fn get(&self, plan_id: &str, now: Timestamp) -> Result<Frozen, Problem> {
        let plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let frozen = plans
            .iter()
            .find(|frozen| frozen.plan.plan_id == plan_id)
            .ok_or_else(|| {
                Problem::new(
                    ProblemKind::NotFound,
                    format!("there is no plan {plan_id}"),
                    "the daemon was started again since, or many plans were made after it",
                    "make a new plan",
                )
            })?;
        if frozen.plan.expires_at <= now {
            return Err(Problem::new(
                ProblemKind::Conflict,
                "the plan has expired",
                "it is older than 10 minutes, and the queue may have changed",
                "make a new plan",
            ));
        }
        Ok(frozen.clone())
    }
}

/// When a plan made now expires.
pub fn expires_at(now: Timestamp) -> Timestamp {
    now.checked_add(VALID).unwrap_or(now)
}

/// Refuses to pick events out of a FIFO queue: those before them would have to be deleted first.
/// (Amazon SQS Developer Guide, "FIFO queue delivery logic".)
pub fn selectable(queue: &QueueFacts, selection: &Selection) -> Result<(), Problem> {
    if !queue.fifo || *selection == Selection::Everything {
        return Ok(());
    }
    Err(Problem::new(
        ProblemKind::Conflict,
        format!("events cannot be picked out of {}", queue.name),
        "it is a FIFO queue, and SQS gives out no message of a group before the earlier ones are gone",
        "redrive everything in the queue",
    ))
}

/// Refuses one payload for many events: they would all become the same.
pub fn editable(edit: Option<&Edit>, selection: &Selection, planned: u64) -> Result<(), Problem> {
    match edit {
        Some(edit @ Edit::Patch(_)) => Change::of(edit).map(|_| ()).map_err(no_edit),
        Some(Edit::Payload(_)) if planned != 1 || *selection == Selection::Everything => {
            Err(no_edit(format!(
                "one payload is for exactly one chosen event, and these are {planned}"
            )))
        }
        _ => Ok(()),
    }
}

/// An edit that cannot be meant.
pub fn no_edit(why: String) -> Problem {
    Problem::new(
        ProblemKind::Usage,
        "the edit is not possible",
        why,
        "for many events give a JSON Patch, such as [{\"op\":\"replace\",\"path\":\"/channel\",\"value\":\"mail\"}]",
    )
}

/// The route of the selected events: where they go, and whether that is elsewhere than where they failed. Any queue may
/// be named in `to`; without it they go back to where they failed.
pub fn route(
    queue: &QueueFacts,
    evidence: &[Evidence],
    to: Option<&str>,
    topology: &Topology,
) -> Result<(Origin, bool), Problem> {
    let named = to.map(|to| to.strip_prefix("queue ").unwrap_or(to));
    if named == Some(&queue.name) {
        return Err(Problem::new(
            ProblemKind::Conflict,
            format!("the events in {} cannot go to {}", queue.name, queue.name),
            "they are there already",
            "name another queue",
        ));
    }
    let route = match (target(queue, evidence, to, topology), named) {
        (Err(Unroutable::NotThere(_)), Some(name)) if topology.queues.contains_key(name) => {
            let chosen = Origin {
                kind: OriginKind::Queue,
                name: name.to_owned(),
            };
            (chosen, true)
        }
        (target, _) => (target?, false),
    };
    same_kind(queue, &route.0, topology)?;
    Ok(route)
}

/// A FIFO queue wants groups, and an event from one would lose its place in a standard queue.
fn same_kind(queue: &QueueFacts, target: &Origin, topology: &Topology) -> Result<(), Problem> {
    let fifo = target.kind == OriginKind::Queue
        && topology
            .queues
            .get(&target.name)
            .is_some_and(|target| target.fifo);
    if fifo == queue.fifo {
        return Ok(());
    }
    let why = if fifo {
        "it is a FIFO queue, and they have no message group"
    } else {
        "the order of their groups would be lost there"
    };
    Err(Problem::new(
        ProblemKind::Conflict,
        format!("the events in {} cannot go to {target}", queue.name),
        why,
        "name a queue of the same kind",
    ))
}

/// Why events cannot go back to where they failed.
#[derive(Debug)]
enum Unroutable {
    /// They did not fail at what was named, or some of them did not.
    NotThere(Problem),
    /// Anything else.
    Other(Problem),
}

impl From<Problem> for Unroutable {
    fn from(problem: Problem) -> Self {
        Self::Other(problem)
    }
}

impl From<Unroutable> for Problem {
    fn from(unroutable: Unroutable) -> Self {
        match unroutable {
            Unroutable::NotThere(problem) | Unroutable::Other(problem) => problem,
        }
    }
}

/// Where the selected events failed. `evidence` is what the selected events say, each word once; empty when nothing is
/// known about them.
fn target(
    queue: &QueueFacts,
    evidence: &[Evidence],
    to: Option<&str>,
    topology: &Topology,
) -> Result<Origin, Unroutable> {
    let possible = topology.origins_of(&queue.arn);
    let mut candidates: BTreeSet<Origin> = BTreeSet::new();
    if evidence.is_empty() {
        candidates.extend(possible.iter().cloned());
    }
    for evidence in evidence {
        match resolve(evidence, &queue.arn, topology) {
            Resolved::Known(origin) => {
                candidates.insert(origin);
            }
            Resolved::Ambiguous(origins) => candidates.extend(origins),
            Resolved::Unknown => candidates.extend(possible.iter().cloned()),
        }
    }
    let target = match to {
        Some(to) => {
            candidates.extend(possible);
            let mut named = candidates
                .iter()
                .filter(|origin| origin.name == to || origin.to_string() == to);
            match (named.next(), named.next()) {
                (Some(origin), None) => origin.clone(),
                (Some(_), Some(_)) => {
                    return Err(ambiguous(queue, &candidates, "a queue and a function have that name").into());
                }
                (None, _) => {
                    return Err(Unroutable::NotThere(Problem::new(
                        ProblemKind::Conflict,
                        format!("the events in {} cannot go to {to}", queue.name),
                        "they did not fail there, and no queue has that name",
                        format!("name one of: {}, or any queue", names(&candidates)),
                    )));
                }
            }
        }
        // One candidate among those that could be read would be a guess.
        None if candidates.len() == 1
            && evidence.contains(&Evidence::Nothing)
            && !topology.has_all_queues() =>
        {
            return Err(Problem::new(
                ProblemKind::Conflict,
                format!("it is not known where the events in {} failed", queue.name),
                format!(
                    "some do not say so, and not every queue could be read; known is only {}",
                    names(&candidates)
                ),
                "let the daemon read all queues (`patterns-tui doctor` names the missing permission), or name the target with `to`",
            )
            .into());
        }
        None => match candidates.len() {
            1 => candidates.pop_first(),
            _ => None,
        }
        .ok_or_else(|| {
            if candidates.is_empty() {
                Problem::new(
                    ProblemKind::Conflict,
                    format!("it is not known where the events in {} failed", queue.name),
                    "they do not say so, and no queue and no function sends its failures there",
                    "wait for the next discovery, or check the redrive policy and the functions' destinations",
                )
            } else {
                ambiguous(queue, &candidates, "the events come, or may come, from more than one place")
            }
        })?,
    };
    exists(&target, topology)?;
    if let (Some(_), false) = (
        to,
        evidence.iter().all(|evidence| admits(evidence, &target)),
    ) {
        return Err(Unroutable::Other(Problem::new(
            ProblemKind::Conflict,
            format!("not all of these events can go to {target}"),
            "some of them say that they failed elsewhere",
            "select the events of one origin by their ids",
        )));
    }
    Ok(target)
}

fn exists(target: &Origin, topology: &Topology) -> Result<(), Problem> {
    let (exists, perhaps) = match target.kind {
        OriginKind::Queue => (
            topology.queues.contains_key(&target.name),
            topology.may_exist(&target.name),
        ),
        OriginKind::Function => (topology.functions.contains_key(&target.name), false),
    };
    if exists {
        return Ok(());
    }
    let (why, fix) = if perhaps {
        (
            "it could not be read",
            "see what keeps the daemon from it with `patterns-tui doctor`, then make a new plan",
        )
    } else {
        (
            "it does not exist in this account and region any more",
            "deploy it again, then make a new plan",
        )
    };
    Err(Problem::new(
        ProblemKind::Conflict,
        format!("the events cannot go back to {target}"),
        why,
        fix,
    ))
}

fn ambiguous(queue: &QueueFacts, candidates: &BTreeSet<Origin>, why: &str) -> Problem {
    Problem::new(
        ProblemKind::Ambiguous,
        format!("where the events in {} go is ambiguous", queue.name),
        format!("{why}: {}", names(candidates)),
        "name one of them with `to`, or select the events of one origin by their ids",
    )
}

fn names(origins: &BTreeSet<Origin>) -> String {
    origins
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Refuses a plan that something stops, unless that can be forced and is.
pub fn unhindered(plan: &Plan, force: bool) -> Result<(), Problem> {
    let stops = plan
        .outlook
        .lint
        .iter()
        .find(|lint| lint.level == Level::Stop && !(force && lint.forcible));
    stops.map_or(Ok(()), |lint| {
        let force = if lint.forcible { "; or force it" } else { "" };
        Err(Problem::new(
            ProblemKind::Conflict,
            format!("the redrive was not started: {}", lint.what),
            lint.why.clone(),
            format!("{}{force}, then make a new plan", lint.fix),
        ))
    })
}

/// A plan for no events makes no sense.
pub fn nothing(queue: &str, selection: &Selection) -> Problem {
    let why = match selection {
        Selection::Everything => format!("no failed event is in {queue}"),
        Selection::Chosen(_) => "no event was chosen".to_owned(),
        Selection::Matching(filter) => format!("no failed event in {queue} is {filter}"),
    };
    Problem::new(
        ProblemKind::Conflict,
        "there is nothing to redrive",
        why,
        "",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::tests::{function, queue, topology};

    fn record(function: &str) -> Evidence {
        Evidence::Record {
            function: function.to_owned(),
        }
    }

    fn shared() -> Topology {
        topology(
            [queue("orders", Some("dlq")), queue("dlq", None)],
            [
                function("notify", Some("dlq"), None),
                function("mail", None, Some("dlq")),
            ],
        )
    }

    fn decide(
        topology: &Topology,
        evidence: &[Evidence],
        to: Option<&str>,
    ) -> Result<String, Problem> {
        let (target, elsewhere) = route(&topology.queues["dlq"], evidence, to, topology)?;
        assert!(!elsewhere);
        Ok(target.to_string())
    }

    #[test]
    fn one_origin_needs_no_word() {
        let topology = topology([queue("orders", Some("dlq")), queue("dlq", None)], []);
        assert_eq!(decide(&topology, &[], None).unwrap(), "queue orders");
        assert_eq!(
            decide(&topology, &[Evidence::Nothing], None).unwrap(),
            "queue orders"
        );
    }

    #[test]
    fn what_the_events_say_decides_in_a_shared_queue() {
        let topology = shared();
        assert_eq!(
            decide(&topology, &[record("notify")], None).unwrap(),
            "function notify"
        );
        assert_eq!(
            decide(&topology, &[Evidence::DeadLetterConfig], None).unwrap(),
            "function mail"
        );
    }

    #[test]
    fn a_queue_that_cannot_be_read_is_not_guessed_away() {
        let mut topology = topology([queue("orders", Some("dlq")), queue("dlq", None)], []);
        let silent = [Evidence::Nothing];
        assert_eq!(decide(&topology, &silent, None).unwrap(), "queue orders");
        topology.unread.insert("payments".to_owned());
        let problem = decide(&topology, &silent, None).unwrap_err();
        assert!(problem.why.contains("queue orders"), "{problem}");
        assert_eq!(
            decide(&topology, &silent, Some("orders")).unwrap(),
            "queue orders"
        );
        let moved = |name: &str| {
            [Evidence::SourceQueue {
                arn: queue(name, None).arn,
            }]
        };
        assert_eq!(
            decide(&topology, &moved("orders"), None).unwrap(),
            "queue orders"
        );
        let unread = decide(&topology, &moved("payments"), None).unwrap_err();
        assert!(unread.why.contains("could not be read"), "{unread}");
        let gone = decide(&topology, &moved("bills"), None).unwrap_err();
        assert!(gone.why.contains("does not exist"), "{gone}");
    }

    #[test]
    fn an_ambiguous_route_names_the_choices() {
        let topology = shared();
        let problem = decide(&topology, &[], None).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Ambiguous);
        for name in ["function mail", "function notify", "queue orders"] {
            assert!(problem.why.contains(name), "{problem}");
        }
        assert!(problem.fix.contains("`to`"));
        assert!(
            decide(
                &topology,
                &[record("notify"), Evidence::DeadLetterConfig],
                None
            )
            .is_err()
        );
    }

    #[test]
    fn an_answer_must_be_one_of_the_choices_and_fit_the_events() {
        let topology = shared();
        assert_eq!(
            decide(&topology, &[], Some("mail")).unwrap(),
            "function mail"
        );
        assert_eq!(
            decide(&topology, &[], Some("queue orders")).unwrap(),
            "queue orders"
        );
        assert!(decide(&topology, &[], Some("dlq")).is_err());
        let problem = decide(&topology, &[record("notify")], Some("mail")).unwrap_err();
        assert!(problem.why.contains("elsewhere"), "{problem}");
    }

    #[test]
    fn nothing_is_sent_to_what_is_gone_or_to_nobody() {
        let gone = topology([queue("dlq", None)], []);
        assert!(decide(&gone, &[record("gone")], None).is_err());
        assert!(decide(&gone, &[], None).is_err());
    }

    #[test]
    fn a_queue_may_be_chosen_where_nothing_failed_but_not_by_chance() {
        let queues = [
            queue("orders", Some("dlq")),
            queue("dlq", None),
            queue("shelf", None),
        ];
        let mut topology = topology(queues, [function("notify", Some("dlq"), None)]);
        let dlq = topology.queues["dlq"].clone();
        let (shelf, elsewhere) = route(&dlq, &[], Some("shelf"), &topology).unwrap();
        assert_eq!(
            (shelf.to_string().as_str(), elsewhere),
            ("queue shelf", true)
        );
        for name in ["dlq", "queue dlq", "mail", "function shelf", ""] {
            assert!(route(&dlq, &[], Some(name), &topology).is_err(), "{name}");
        }
        topology.queues.get_mut("shelf").unwrap().fifo = true;
        let problem = route(&dlq, &[], Some("shelf"), &topology).unwrap_err();
        assert!(problem.why.contains("FIFO"), "{problem}");
    }

    #[test]
    fn a_fifo_queue_goes_to_a_fifo_queue_only() {
        let mut topology = topology([queue("orders", Some("dlq")), queue("dlq", None)], []);
        topology.queues.get_mut("dlq").unwrap().fifo = true;
        assert!(decide(&topology, &[], None).is_err());
        topology.queues.get_mut("orders").unwrap().fifo = true;
        assert_eq!(decide(&topology, &[], None).unwrap(), "queue orders");
    }

    #[test]
    fn one_payload_is_for_one_event() {
        let payload = Edit::Payload("{}".to_owned());
        let chosen = Selection::Chosen(vec!["a1".to_owned()]);
        assert!(editable(Some(&payload), &chosen, 1).is_ok());
        for (selection, planned) in [(&chosen, 2), (&Selection::Everything, 1)] {
            let problem = editable(Some(&payload), selection, planned).unwrap_err();
            assert_eq!(problem.kind, ProblemKind::Usage);
        }
        let patch = |patch| Edit::Patch(patch);
        let everything = Selection::Everything;
        let remove = patch(serde_json::json!([{"op": "remove", "path": "/n"}]));
        assert!(editable(Some(&remove), &everything, 1000).is_ok());
        let none = patch(serde_json::json!({"n": 1}));
        let problem = editable(Some(&none), &everything, 1000).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Usage);
    }

    #[test]
    fn plans_with_large_edits_are_fewer() {
        let plans = Plans::default();
        let large = |id: &str| Frozen {
            plan: Plan {
                edit: Some(Edit::Payload("x".repeat(BYTES_MAX / 3))),
                expires_at: Timestamp::MAX,
                ..crate::redrive::tests::plan(id)
            },
            message_ids: Vec::new(),
        };
        for id in ["1", "2", "3", "4"] {
            plans.keep(large(id));
        }
        let now = Timestamp::UNIX_EPOCH;
        let kept = ["1", "2", "3", "4"].map(|id| plans.get(id, now).is_ok());
        assert_eq!(kept, [false, true, true, true]);
    }

    #[test]
    fn plans_expire_and_are_few() {
        let plans = Plans::default();
        let now = Timestamp::UNIX_EPOCH;
        for number in 0..=PLANS_MAX {
            plans.keep(Frozen {
                plan: Plan {
                    expires_at: expires_at(now),
                    ..crate::redrive::tests::plan(&number.to_string())
                },
                message_ids: Vec::new(),
            });
        }
        assert_eq!(plans.get("0", now).unwrap_err().kind, ProblemKind::NotFound);
        assert!(plans.get("1", now).is_ok());
        let later = now + SignedDuration::from_mins(10);
        let expired = plans.get("1", later).unwrap_err();
        assert_eq!(expired.kind, ProblemKind::Conflict);
        assert_eq!(expired.what, "the plan has expired");
        assert_eq!(expired.fix, "make a new plan");
    }
}
