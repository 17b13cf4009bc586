//! Taking back what a redrive has sent and nobody has processed yet: a redrive the other way round.
//!
//! It receives from a queue that lives, which costs: each look counts as a receive, and hides the message from its
//! consumers. So what is not looked for is hidden for seconds only, and a sweep that meets nothing new ends it.

use jiff::Timestamp;
use patterns_core::failed::{Origin, OriginKind};
use patterns_core::operation::{
    Level, Lint, Manner, Outlook, Plan, Redrive, Selection, Verification,
};
use patterns_core::problem::{Problem, ProblemKind};

use super::{CHOSEN_MAX, Commands};
use crate::aws::dead_letters::BATCH;
use crate::ledger;
use crate::letter::event_id;
use crate::plan::{self, Frozen, native};
use crate::topology::{QueueFacts, Topology};

/// A message that is left alone may be looked at this often.
const LOOKS: u32 = 2;

/// A call takes about this long, in milliseconds, for an estimate.
const CALL_MS: u64 = 20;

impl Commands {
    /// A plan that takes back what that operation has sent.
    pub(super) async fn take_back(&self, id: &str) -> Result<Plan, Problem> {
        let redrive = self.engine.operation(id).await?;
        let ledger = &self.engine.ledger;
        let carried_out = ledger.plan(id).await.map_err(ledger::disk)?;
        let topology = self.state.topology();
        let again = carried_out.is_some_and(|plan| plan.takes_back.is_some());
        let source = way_back(&redrive, again, &topology).map_err(|(why, fix)| {
            Problem::new(
                ProblemKind::Conflict,
                format!("what operation {id} sent cannot be taken back"),
                why,
                fix,
            )
        })?;
        let message_ids = ledger.unsettled(id, CHOSEN_MAX + 1).await;
        let mut message_ids = message_ids.map_err(ledger::disk)?;
        let more = message_ids.len() > CHOSEN_MAX;
        message_ids.truncate(CHOSEN_MAX);
        if message_ids.is_empty() {
            return Err(Problem::new(
                ProblemKind::Conflict,
                "there is nothing to take back",
                format!("all that operation {id} sent is settled, came back, or was taken back"),
                "",
            ));
        }
        let depth = self.aws.depth(&source.url).await?;
        let held = depth.map_or(0, |depth| depth.total());
        let planned = u64::try_from(message_ids.len()).unwrap_or(u64::MAX);
        let ids = message_ids.iter().map(|id| event_id(&source.arn, id));
        let plan = Plan {
            plan_id: uuid::Uuid::new_v4().to_string(),
            dead_letter_queue: source.name.clone(),
            target: Origin {
                kind: OriginKind::Queue,
                name: redrive.dead_letter_queue.clone(),
            },
            elsewhere: true,
            manner: Manner {
                all_at_once: true,
                ..Manner::default()
            },
            selection: Selection::Chosen(ids.collect()),
            edit: None,
            edits: Vec::new(),
            takes_back: Some(id.to_owned()),
            planned,
            steps: Vec::new(),
            verification: Verification {
                unverified: Some("what is taken back is not processed".to_owned()),
                ..Verification::default()
            },
            account_id: self.state.snapshot().account_id.clone(),
            region: self.aws.region.clone(),
            expires_at: plan::expires_at(Timestamp::now()),
            outlook: outlook(source, planned, held, more),
        };
        self.plans.keep(Frozen {
            plan: plan.clone(),
            message_ids,
        });
        Ok(plan)
    }
}

/// The queue in which the events may still be; or why there is no way back, and what to do.
fn way_back<'a>(
    redrive: &Redrive,
    again: bool,
    topology: &'a Topology,
) -> Result<&'a QueueFacts, (String, &'static str)> {
    if redrive.target.kind == OriginKind::Function {
        return Err((
            "Lambda has the events already, and an asynchronous invocation cannot be called back"
                .to_owned(),
            "what fails comes back to the dead-letter queue by itself",
        ));
    }
    if again {
        return Err((
            "it took events back itself".to_owned(),
            "redrive them again",
        ));
    }
    if redrive.moved.is_some() {
        return Err((
            native::UNVERIFIED.to_owned(),
            "what fails comes back to the dead-letter queue by itself",
        ));
    }
    if !redrive.state.ended() {
        return Err((
            "it has not ended, and would send them again".to_owned(),
            "cancel it first",
        ));
    }
    let found = |name: &str| {
        topology.queues.get(name).ok_or_else(|| {
            let why = if topology.may_exist(name) {
                "cannot be read"
            } else {
                "does not exist any more"
            };
            (
                format!("the queue {name} {why}"),
                "see what the daemon can see with `patterns-tui doctor`",
            )
        })
    };
    let source = found(&redrive.target.name)?;
    found(&redrive.dead_letter_queue)?;
    if source.fifo {
        return Err((
            format!(
                "{} is a FIFO queue, where a received message blocks its group, and none can be picked out",
                source.name
            ),
            "disable its event source to keep the rest from being processed",
        ));
    }
    Ok(source)
}

/// What to expect of looking through a queue that lives and holds so many messages; `more` may be taken back than planned.
fn outlook(source: &QueueFacts, planned: u64, held: u64, more: bool) -> Outlook {
    let batch = u64::try_from(BATCH).unwrap_or(1);
    let expected_calls = held.max(planned).div_ceil(batch) * 2 + planned.div_ceil(batch) * 2;
    let name = &source.name;
    let harm = match &source.redrive {
        Some((dead_letters, receives @ 0..=LOOKS)) => Lint {
            level: Level::Stop,
            what: format!("looking into {name} may move messages to its dead-letter queue untried"),
            why: format!(
                "its maxReceiveCount is {receives}, each look is a receive, and so others' messages may go to {dead_letters}, too"
            ),
            fix: format!("raise maxReceiveCount in the redrive policy of {name}"),
            forcible: true,
        },
        policy => Lint {
            level: Level::Note,
            what: format!("others' messages in {name} are looked at, too"),
            why: match policy {
                Some((_, receives)) => format!(
                    "each is hidden from its consumers for seconds, and has one receive less of {receives}"
                ),
                None => "each is hidden from its consumers for seconds".to_owned(),
            },
            fix: String::new(),
            forcible: false,
        },
    };
    let missed = Lint {
        level: Level::Note,
        what: "not all of the events may still be there".to_owned(),
        why: "what was processed, or is in a consumer's hands, is left alone and counts as skipped"
            .to_owned(),
        fix: String::new(),
        forcible: false,
    };
    let rest = more.then(|| Lint {
        level: Level::Note,
        what: format!("it takes only {planned} of the events"),
        why: "more were sent and are not known to be processed, and no redrive of chosen events takes more".to_owned(),
        fix: "when it has ended, take back the rest".to_owned(),
        forcible: false,
    });
    Outlook {
        expected_seconds: (expected_calls * CALL_MS).div_ceil(1000),
        expected_calls,
        lint: [Some(harm), rest, Some(missed)]
            .into_iter()
            .flatten()
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use patterns_core::operation::OperationState;

    use super::*;
    use crate::topology::tests::{queue, topology};

    fn ended() -> Redrive {
        Redrive {
            state: OperationState::Completed,
            ..Redrive::planned(&crate::redrive::tests::plan("plan"))
        }
    }

    #[test]
    fn where_there_is_no_way_back_it_is_said() {
        let both = topology([queue("orders", Some("dlq")), queue("dlq", None)], []);
        assert_eq!(way_back(&ended(), false, &both).unwrap().name, "orders");
        let why = |redrive: &Redrive, topology: &Topology| {
            way_back(redrive, false, topology).unwrap_err().0
        };
        let mut function = ended();
        function.target.kind = OriginKind::Function;
        assert!(why(&function, &both).contains("Lambda has the events"));
        let mut runs = ended();
        runs.state = OperationState::Paused;
        assert!(why(&runs, &both).contains("not ended"));
        assert!(way_back(&ended(), true, &both).is_err());
        let gone = topology([queue("dlq", None)], []);
        assert!(why(&ended(), &gone).contains("orders does not exist"));
        let gone = topology([queue("orders", None)], []);
        assert!(why(&ended(), &gone).contains("dlq does not exist"));
        let mut fifo = both;
        fifo.queues.get_mut("orders").unwrap().fifo = true;
        assert!(why(&ended(), &fifo).contains("FIFO"));
    }

    #[test]
    fn it_says_when_it_does_not_take_all() {
        let orders = queue("orders", Some("dlq"));
        let said = |more| {
            let lint = outlook(&orders, 100_000, 300_000, more).lint;
            lint.iter().any(|lint| lint.what.contains("only 100000 of"))
        };
        assert!(said(true));
        assert!(!said(false));
    }

    #[test]
    fn a_queue_where_one_look_is_too_many_has_to_be_forced() {
        let mut orders = queue("orders", Some("dlq"));
        assert_eq!(outlook(&orders, 3, 100, false).lint[0].level, Level::Note);
        for receives in [1, 2] {
            orders.redrive.as_mut().unwrap().1 = receives;
            let lint = &outlook(&orders, 3, 100, false).lint[0];
            assert_eq!((lint.level, lint.forcible), (Level::Stop, true));
        }
    }
}
