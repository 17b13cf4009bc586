//! From a request to its reply: checks first, then the one part that does it.

mod audited;
mod take_back;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use patterns_core::failed::{FailedDetail, Filter, LogLine};
use patterns_core::operation::{Edit, Manner, Operation, Outlook, Plan, Selection};
use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::protocol::{FAILED_LIMIT, Reply, Request};

use crate::aws::Aws;
use crate::burst::Bursts;
use crate::edit::trial::trial;
use crate::edit::{Editor, original};
use crate::ledger::{self, Wish};
use crate::lint::gather::{Subject, gather};
use crate::lint::{self, Facts};
use crate::mirror::{self, Mirror, copy, decode, known, search, store::Mirrored};
use crate::origin::Evidence;
use crate::pattern::Patterns;
use crate::plan::{self, Frozen, Plans, native};
use crate::redrive::{Engine, ramp};
use crate::state::State;
use crate::tasks;
use crate::topology::{QueueFacts, Topology};
use crate::watch::Watch;

/// Logs are a help on the screen; an event must not wait for them for long.
const LOGS: Duration = Duration::from_secs(5);

/// A redrive of chosen events takes at most this many: SQS lets 120 000 be in flight, and others are met on the way.
const CHOSEN_MAX: usize = 100_000;

/// Everything a request may need.
#[derive(Clone)]
pub struct Commands {
    /// Whether requests that change something are refused.
    pub read_only: bool,
    /// AWS.
    pub aws: Aws,
    /// What is known.
    pub state: State,
    /// Failed events.
    pub mirror: Mirror,
    /// Plans that can be started.
    pub plans: Arc<Plans>,
    /// Redrives.
    pub engine: Engine,
    /// Bursts.
    pub bursts: Bursts,
    /// The APIs of the pattern stacks.
    pub patterns: Patterns,
    /// When AWS is asked.
    pub watch: Watch,
}

impl Commands {
    /// Does what is asked. `requested_by` is the user id of the client.
    pub async fn carry_out(
        &self,
        request: Request,
        requested_by: Option<u32>,
    ) -> Result<Reply, Problem> {
        if self.read_only && request.changes() {
            return Err(read_only());
        }
        match request {
            Request::FailedList {
                dead_letter_queue,
                limit,
                filter,
            } => {
                let limit = within_limit(limit)?;
                let (mirror, state) = (&self.mirror, &self.state);
                let list = mirror::list(mirror, state, dead_letter_queue, &filter, limit).await?;
                Ok(Reply::Failed(list))
            }
            Request::FailedGroups { dead_letter_queue } => {
                let groups = mirror::groups(&self.mirror, &self.state, dead_letter_queue).await?;
                Ok(Reply::Groups(groups))
            }
            Request::FailedExport {
                dead_letter_queue,
                after,
            } => {
                let queue = dead_letter_queue.as_deref();
                let page = copy::export(&self.mirror, &self.state, queue, after).await?;
                Ok(Reply::Messages(page))
            }
            Request::FailedImport {
                dead_letter_queue,
                messages,
            } => {
                let sent = self.import(&dead_letter_queue, messages, requested_by);
                Ok(Reply::Imported(Box::pin(sent).await?))
            }
            Request::FailedShow { id } => Ok(Reply::Event(Box::new(self.show(&id).await?))),
            Request::Plan {
                dead_letter_queue,
                selection,
                to,
                manner,
                edit,
            } => {
                let to = to.as_deref();
                // What it asks AWS makes a large future.
                let plan = self.plan(&dead_letter_queue, selection, to, manner, edit);
                let plan = Box::pin(plan).await?;
                Ok(Reply::Plan(Box::new(plan)))
            }
            Request::Start {
                plan_id,
                reason,
                force,
            } => {
                let start = self.start(&plan_id, reason, force, requested_by);
                start.await.map(Reply::Operation)
            }
            Request::Operation { id } => self.operation(&id).await.map(Reply::Operation),
            Request::Outcomes { id, after } => self.outcomes(&id, after).await.map(Reply::Outcomes),
            Request::Audit {
                operation_id,
                after,
            } => self.audit(operation_id, after).await.map(Reply::Audit),
            Request::TakeBack { id } => {
                let plan = self.take_back(&id).await?;
                Ok(Reply::Plan(Box::new(plan)))
            }
            Request::Pause { id } => self.steer(&id, Wish::Pause, requested_by).await,
            Request::Resume { id } => self.steer(&id, Wish::Resume, requested_by).await,
            Request::Cancel { id } => self.steer(&id, Wish::Cancel, requested_by).await,
            Request::TaskCreate { pattern, task } => {
                let task = tasks::create(&self.patterns, pattern.as_deref(), &task).await?;
                Ok(Reply::Task(task))
            }
            Request::TaskList { pattern } => {
                let tasks = tasks::list(&self.patterns, pattern.as_deref()).await?;
                Ok(Reply::Tasks(tasks))
            }
            Request::Burst {
                pattern,
                rate,
                count,
            } => {
                let burst = self.bursts.start(pattern.as_deref(), rate, count).await?;
                Ok(Reply::Operation(Operation::Burst(burst)))
            }
            Request::SetDelivery { function, broken } => {
                self.set_delivery(&function, broken, requested_by).await?;
                Ok(Reply::Done)
            }
            Request::Refresh => {
                self.watch.refresh().await;
                Ok(Reply::Done)
            }
        }
    }

    async fn operation(&self, id: &str) -> Result<Operation, Problem> {
        let snapshot = self.state.snapshot();
        match snapshot.operation(id) {
            Some(operation @ Operation::Burst(_)) => Ok(operation.clone()),
            // What comes back after the end is in the ledger before it is shown.
            Some(operation) if !operation.state().ended() => Ok(operation.clone()),
            _ => self.engine.operation(id).await.map(Operation::Redrive),
        }
    }

    async fn steer(
        &self,
        id: &str,
        wish: Wish,
        requested_by: Option<u32>,
    ) -> Result<Reply, Problem> {
        if let Some(Operation::Burst(_)) = self.state.snapshot().operation(id) {
            return Err(Problem::new(
                ProblemKind::Conflict,
                format!("operation {id} cannot be paused, resumed or cancelled"),
                "it is a burst",
                "wait: it ends by itself",
            ));
        }
        let redrive = self.engine.steer(id, wish, requested_by).await?;
        Ok(Reply::Operation(Operation::Redrive(redrive)))
    }

    async fn show(&self, id: &str) -> Result<FailedDetail, Problem> {
        let valid = (1..=12).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !valid {
            return Err(Problem::new(
                ProblemKind::Usage,
                "the event's id is not valid",
                format!("{id:?} is not 1 to 12 hexadecimal digits"),
                "list the events with `patterns-tui failed list`",
            ));
        }
        let (store, prefix) = (&self.mirror.store, id.to_ascii_lowercase());
        let mut found = store.find(&prefix).await.map_err(mirror::disk)?;
        let kept = store.originals(&prefix).await.map_err(mirror::disk)?;
        for original in &kept {
            if found.iter().all(|(row, _)| row.id != original.row.id) {
                found.push((original.row.clone(), original.letter.clone()));
            }
        }
        if found.len() > 1 {
            return Err(Problem::new(
                ProblemKind::Usage,
                format!("which event {id} means is not clear"),
                "more than one begins with these digits",
                "give more digits",
            ));
        }
        let (row, letter) = found.pop().ok_or_else(|| {
            Problem::new(
                ProblemKind::NotFound,
                format!("there is no failed event {id}"),
                "the mirror does not hold it; it may have been redriven or have expired",
                "list the events with `patterns-tui failed list`",
            )
        })?;
        let event = mirror::shown(&self.mirror, &row, &self.state.topology()).await?;
        let logs = self.logs(&event, &row).await;
        let ledger = &self.engine.ledger;
        let history = ledger.history(&row.queue_arn, &row.message_id).await;
        let mut history = history.map_err(ledger::disk)?;
        if let Some(edited) = kept.iter().find(|kept| kept.row.id == row.id) {
            original::tell(&mut history, edited);
        }
        Ok(FailedDetail {
            event,
            payload: decode::payload(&letter),
            text: decode::text(&letter),
            original: original::before(store, ledger, &row).await?,
            attributes: decode::attributes(&letter),
            logs,
            history,
        })
    }

    /// Log lines that name the event's request or, for a queue's message, its message id.
    async fn logs(
        &self,
        event: &patterns_core::failed::FailedEvent,
        row: &Mirrored,
    ) -> Vec<LogLine> {
        let topology = self.state.topology();
        let Some(function) = event
            .origin
            .as_ref()
            .and_then(|origin| topology.failing_function(origin))
        else {
            return Vec::new();
        };
        let id = row.decoded.request_id.as_ref().unwrap_or(&row.message_id);
        let lines = self
            .aws
            .log_lines(&function.log_group, id, mirror::logs_since(event));
        match tokio::time::timeout(LOGS, lines).await {
            Ok(Ok(lines)) => lines,
            Ok(Err(problem)) => {
                tracing::info!(%problem, "no log lines for an event");
                Vec::new()
            }
            Err(_) => {
                tracing::info!("no log lines for an event: CloudWatch Logs took too long");
                Vec::new()
            }
        }
    }

    async fn plan(
        &self,
        queue: &str,
        selection: Selection,
        to: Option<&str>,
        manner: Manner,
        edit: Option<Edit>,
    ) -> Result<Plan, Problem> {
        manner.check()?;
        let topology = self.state.topology();
        let queue = known(&topology, queue)?;
        plan::selectable(queue, &selection)?;
        if manner.native {
            native::possible(queue, &selection, edit.is_some(), &topology)?;
        }
        let (planned, message_ids, evidence) = match &selection {
            Selection::Everything => self.everything(queue).await?,
            Selection::Chosen(ids) => self.chosen(queue, ids).await?,
            Selection::Matching(filter) => self.matching(queue, filter, &topology).await?,
        };
        if planned == 0 {
            return Err(plan::nothing(&queue.name, &selection));
        }
        plan::editable(edit.as_ref(), &selection, planned)?;
        let (target, elsewhere) = plan::route(queue, &evidence, to, &topology)?;
        if manner.native {
            native::to_a_queue(queue, &target)?;
        }
        let account_id = self.state.snapshot().account_id.clone();
        if account_id.is_empty() {
            return Err(Problem::new(
                ProblemKind::Upstream,
                "no plan can be made yet",
                "AWS has not said which account this is",
                "check the credentials; the daemon keeps asking",
            ));
        }
        let subject = Subject {
            queue,
            target: &target,
            selection: &selection,
            planned,
            message_ids: &message_ids,
            edited: edit.is_some(),
        };
        let mut facts = Box::pin(gather(&self.aws, &self.mirror, &topology, &subject)).await;
        if manner.native {
            facts.verification = native::unverified();
        }
        let steps = ramp::planned(&facts, &manner, queue.fifo);
        let plan = Plan {
            plan_id: uuid::Uuid::new_v4().to_string(),
            dead_letter_queue: queue.name.clone(),
            target,
            elsewhere,
            manner,
            selection,
            edit,
            edits: Vec::new(),
            takes_back: None,
            planned,
            steps,
            verification: facts.verification.clone(),
            account_id,
            region: self.aws.region.clone(),
            expires_at: plan::expires_at(Timestamp::now()),
            outlook: Outlook::default(),
        };
        let mut plan = self.with_outlook(plan, facts, queue, &message_ids).await?;
        let unverified = plan.verification.unverified.as_deref();
        let note = ramp::note(&plan.steps, unverified);
        plan.outlook.lint.extend(note);
        if plan.manner.native {
            let mixed = native::mixed(queue, &plan.target, &topology);
            plan.outlook.lint.splice(0..0, mixed);
        }
        self.plans.keep(Frozen {
            plan: plan.clone(),
            message_ids,
        });
        Ok(plan)
    }

    /// The plan with what to expect of it and what its edit makes of the first events.
    async fn with_outlook(
        &self,
        mut plan: Plan,
        mut facts: Facts,
        queue: &QueueFacts,
        message_ids: &[String],
    ) -> Result<Plan, Problem> {
        let editor = Editor::of(&plan, &self.state.topology()).map_err(plan::no_edit)?;
        let Some(editor) = editor else {
            plan.outlook = lint::outlook(&facts, &plan.manner, plan.steps.len());
            return Ok(plan);
        };
        let trial = trial(&self.mirror.store, &editor, &queue.arn, message_ids).await;
        let trial = trial.map_err(mirror::disk)?;
        // The trial knows how large they become.
        facts.load.too_large = 0;
        plan.outlook = lint::outlook(&facts, &plan.manner, plan.steps.len());
        plan.outlook.lint.extend(trial.lint(plan.planned));
        plan.outlook.lint.sort_by_key(|lint| Reverse(lint.level));
        plan.edits = trial.edits;
        Ok(plan)
    }

    async fn everything(
        &self,
        queue: &QueueFacts,
    ) -> Result<(u64, Vec<String>, Vec<Evidence>), Problem> {
        let depth = self.aws.depth(&queue.url).await?;
        let planned = depth.map_or(0, |depth| depth.visible + depth.in_flight);
        let evidence = self
            .mirror
            .store
            .evidence(&queue.arn)
            .await
            .map_err(mirror::disk)?;
        Ok((planned, Vec::new(), evidence))
    }

    async fn matching(
        &self,
        queue: &QueueFacts,
        filter: &Filter,
        topology: &Topology,
    ) -> Result<(u64, Vec<String>, Vec<Evidence>), Problem> {
        let condition = mirror::condition(&self.mirror, &[queue], filter, topology).await?;
        let store = &self.mirror.store;
        let found = store.matching(&queue.arn, condition, CHOSEN_MAX + 1).await;
        let found = found.map_err(mirror::disk)?.ok_or_else(search::too_long)?;
        few_enough(found.len())?;
        let planned = u64::try_from(found.len()).unwrap_or(u64::MAX);
        let (message_ids, evidence): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        Ok((planned, message_ids, evidence))
    }

    async fn chosen(
        &self,
        queue: &QueueFacts,
        ids: &[String],
    ) -> Result<(u64, Vec<String>, Vec<Evidence>), Problem> {
        let ids: BTreeSet<String> = ids.iter().cloned().collect();
        few_enough(ids.len())?;
        let found = self
            .mirror
            .store
            .chosen(&queue.arn, ids.iter().cloned().collect())
            .await
            .map_err(mirror::disk)?;
        let unknown: Vec<_> = ids
            .iter()
            .filter(|id| !found.contains_key(*id))
            .map(String::as_str)
            .collect();
        if !unknown.is_empty() {
            return Err(Problem::new(
                ProblemKind::NotFound,
                format!("{} of the events are not in {}", unknown.len(), queue.name),
                format!("the mirror does not hold: {}", unknown.join(", ")),
                "list the events again; some may have been redriven or have expired",
            ));
        }
        let planned = u64::try_from(found.len()).unwrap_or(u64::MAX);
        let (message_ids, evidence): (Vec<_>, Vec<_>) = found.into_values().unzip();
        Ok((planned, message_ids, evidence))
    }
}

/// Refuses to choose more events than SQS lets be held.
fn few_enough(events: usize) -> Result<(), Problem> {
    if events <= CHOSEN_MAX {
        return Ok(());
    }
    Err(Problem::new(
        ProblemKind::Conflict,
        "these are too many events for one redrive",
        format!("they are more than {CHOSEN_MAX}, and a redrive of chosen events takes no more"),
        "redrive everything in the queue, or narrow the selection with --from and --until",
    ))
}

fn read_only() -> Problem {
    Problem::new(
        ProblemKind::ReadOnly,
        "the daemon is read-only",
        "it was started with --read-only or read_only = true",
        "start it without, where changes are wanted",
    )
}

fn within_limit(limit: Option<u32>) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(FAILED_LIMIT);
    if (1..=FAILED_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::new(
        ProblemKind::Usage,
        "the limit is not possible",
        format!("{limit} is not between 1 and {FAILED_LIMIT}"),
        "choose another",
    ))
}
