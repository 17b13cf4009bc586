//! `update`: from the model and what happened to the next model and what to do. Pure: no clock, no I/O.

use std::time::Duration;

use crossterm::event::KeyEvent;
use jiff::Timestamp;
use patterns_core::operation::{Operation, OperationState};
use patterns_core::problem::Problem;
use patterns_core::protocol::Request;
use patterns_core::queue::QueueRole;
use patterns_core::snapshot::Snapshot;

use crate::action::{Key, contexts, lookup};
use crate::effect::Effect;
use crate::layer::{Confirm, Detail, Layer};
use crate::message::Message;
use crate::model::{BACKLOG_POINTS, Extent, Link, Model, Screen, Wanted};
use crate::refusal::refusal;
use crate::{edit, figure, perform, reply, verdict};

/// A notice that is no error is gone after this many seconds.
const NOTICE_SECONDS: u64 = 5;

/// Takes in what happened; what is to be done about it.
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    match message {
        Message::Tick(now) => {
            tick(model, now);
            Vec::new()
        }
        Message::Key(event) => key(model, event),
        Message::Paste(text) => {
            match model.layers.last_mut() {
                Some(Layer::Form(form)) => edit::paste(form, &text),
                Some(Layer::Search(input)) => {
                    edit::paste_into(input, &text);
                    return search(model);
                }
                _ => {}
            }
            Vec::new()
        }
        Message::Redraw => vec![Effect::Redraw],
        Message::Connected(hello) => {
            model.link = Link::Live;
            if model.snapshot.is_some() {
                model.inform(format!(
                    "Connected again to daemon {} (process {})",
                    hello.version, hello.pid
                ));
            }
            forget_questions(model);
            fetch(model)
        }
        Message::Snapshot(snapshot) => take(model, *snapshot),
        Message::Lost { problem, retry_in } => {
            lost(model, *problem, retry_in);
            Vec::new()
        }
        Message::Replied(request, answer) => reply::take(model, request, *answer),
        Message::Read(id, answer) => reply::read(model, &id, *answer),
        Message::Written(editing, written) => reply::written(model, editing, written),
        Message::Drawn(extent) => {
            drawn(model, extent);
            Vec::new()
        }
    }
}

/// What the shown screen needs from the daemon beyond the snapshot.
pub fn fetch(model: &mut Model) -> Vec<Effect> {
    if model.link != Link::Live || model.snapshot.is_none() {
        return Vec::new();
    }
    match model.screen {
        Screen::Failed if model.by_group && !model.groups.asking => {
            model.groups.asking = true;
            model.failed_of = failed_now(model);
            vec![Effect::Send(Request::FailedGroups {
                dead_letter_queue: None,
            })]
        }
        Screen::Failed if !model.by_group && !model.failed.asking => {
            model.failed.asking = true;
            model.failed_of = failed_now(model);
            let Wanted { queue, filter } = model.wanted.clone();
            vec![Effect::Send(Request::FailedList {
                dead_letter_queue: queue,
                limit: None,
                filter,
            })]
        }
        Screen::Tasks if !model.tasks.asking => {
            let Some(pattern) = model.shown_pattern().map(str::to_owned) else {
                return Vec::new();
            };
            model.tasks.asking = true;
            vec![Effect::Send(Request::TaskList {
                pattern: Some(pattern),
            })]
        }
        _ => Vec::new(),
    }
}

/// Asks for the failed events again when the queues hold others, or others are wanted, than at the last question.
pub fn fetch_changed(model: &mut Model) -> Vec<Effect> {
    let changed = model.snapshot.is_some() && failed_now(model) != model.failed_of;
    if model.screen == Screen::Failed && changed {
        fetch(model)
    } else {
        Vec::new()
    }
}

/// What the answer to a question for failed events depends on.
fn failed_now(model: &Model) -> (Vec<(String, u64)>, Wanted) {
    let held = model.snapshot.as_ref().map(dead_letters);
    (held.unwrap_or_default(), model.wanted.clone())
}

/// Shows what is searched for, as far as it is typed.
fn search(model: &mut Model) -> Vec<Effect> {
    if let Some(Layer::Search(input)) = model.layers.last() {
        let query = input.value().trim();
        model.wanted.filter.query = (!query.is_empty()).then(|| query.to_owned());
    }
    fetch_changed(model)
}

/// What the mirror and the queues hold, queue by queue.
fn dead_letters(snapshot: &Snapshot) -> Vec<(String, u64)> {
    let queues = snapshot
        .queues
        .iter()
        .filter(|queue| queue.role == QueueRole::DeadLetter);
    queues
        .flat_map(|queue| {
            [
                (queue.name.clone(), queue.mirrored.unwrap_or(0)),
                (queue.name.clone(), queue.depth()),
            ]
        })
        .collect()
}

fn key(model: &mut Model, event: KeyEvent) -> Vec<Effect> {
    let entry = Key::of(&event).and_then(|key| lookup(contexts(model), key));
    match (entry, model.layers.last_mut()) {
        (Some(entry), _) => match refusal(model, entry) {
            None => perform::perform(model, entry.action),
            Some(reason) => {
                model.inform(reason);
                Vec::new()
            }
        },
        (None, Some(Layer::Form(form))) => {
            edit::key(form, event);
            Vec::new()
        }
        (None, Some(Layer::Search(input))) => {
            edit::key_into(input, event);
            search(model)
        }
        (None, _) => Vec::new(),
    }
}

fn tick(model: &mut Model, now: Timestamp) {
    let new_second = now.as_second() != model.now.as_second();
    model.now = now;
    model
        .notices
        .retain(|notice| notice.error || figure::seconds_since(notice.at, now) < NOTICE_SECONDS);
    let Some(snapshot) = &model.snapshot else {
        return;
    };
    if !new_second || model.link != Link::Live {
        return;
    }
    // A daemon that has just started knows no queue yet; what was seen before is not forgotten for that.
    if !snapshot.queues.is_empty() {
        model
            .backlog
            .retain(|name, _| snapshot.queue(name).is_some());
    }
    for queue in &snapshot.queues {
        let points = model.backlog.entry(queue.name.clone()).or_default();
        if points.len() == BACKLOG_POINTS {
            points.pop_front();
        }
        points.push_back(queue.depth());
    }
}

fn take(model: &mut Model, snapshot: Snapshot) -> Vec<Effect> {
    model.link = Link::Live;
    let first = model.snapshot.is_none();
    for operation in &snapshot.operations {
        let before = model
            .snapshot
            .as_ref()
            .and_then(|snapshot| snapshot.operation(operation.id()));
        let ran = before.is_some_and(|before| !before.state().ended());
        let news = if ran && operation.state().ended() {
            Some(summary(operation))
        } else {
            judged(before, operation)
        };
        match news {
            Some(Ok(text)) => model.inform(text),
            Some(Err(problem)) => model.complain(&problem),
            None => {}
        }
    }
    model.snapshot = Some(snapshot);
    let rows = model.rows();
    model.row.settle(&rows);
    let operations = model.operation_ids();
    model.operation.settle(&operations);
    let mut effects = if first {
        fetch(model)
    } else {
        fetch_changed(model)
    };
    effects.extend(follow_outcomes(model));
    effects
}

/// Asks again what became of the events of a redrive that is shown and went on.
fn follow_outcomes(model: &mut Model) -> Option<Effect> {
    let stands = model.selected_redrive()?.clone();
    let shown = model.layers.iter_mut().find_map(|layer| match layer {
        Layer::Outcomes(outcomes) => Some(outcomes),
        _ => None,
    });
    shown?.follow(&stands).map(Effect::Send)
}

/// What a redrive came to once its events are settled or came back, some time after it ended.
fn judged(before: Option<&Operation>, now: &Operation) -> Option<Result<String, Problem>> {
    let (Some(Operation::Redrive(before)), Operation::Redrive(now)) = (before, now) else {
        return None;
    };
    if before.judged() || !now.judged() {
        return None;
    }
    let what = format!("Redrive of {}", now.dead_letter_queue);
    let figures = verdict::figures(now);
    Some(if verdict::clean(now) {
        Ok(format!("{what}: {figures}"))
    } else {
        Err(ended_badly(what, figures))
    })
}

fn ended_badly(what: String, why: String) -> Problem {
    let kind = patterns_core::problem::ProblemKind::Upstream;
    Problem::new(kind, what, why, "see Operations (4)")
}

/// What an ended operation came to: good news, or a problem.
fn summary(operation: &Operation) -> Result<String, Problem> {
    let (what, why) = match operation {
        Operation::Redrive(redrive) => {
            let what = format!("Redrive of {}", redrive.dead_letter_queue);
            let clean = verdict::clean(redrive);
            if redrive.state == OperationState::Completed && clean {
                return Ok(format!(
                    "{what} completed: {} to {}",
                    figure::count(verdict::sent(redrive), "event"),
                    redrive.target
                ));
            }
            if redrive.state == OperationState::Cancelled && clean {
                return Ok(format!(
                    "{what} cancelled: {} sent, {} left in the queue",
                    verdict::sent(redrive),
                    redrive.skipped
                ));
            }
            let mut why = verdict::figures(redrive);
            if let Some(error) = &redrive.error {
                why = format!("{why}: {error}");
            }
            (what, why)
        }
        Operation::Burst(burst) => {
            let what = format!("Burst on {}", burst.pattern);
            if burst.state == OperationState::Completed && burst.failed == 0 && burst.shortfall == 0
            {
                let rate = figure::rate(burst.achieved_rate);
                return Ok(format!(
                    "{what} completed: {} at {rate}",
                    figure::count(burst.sent, "task")
                ));
            }
            (
                what,
                format!(
                    "{} created, {} failed, {} not asked for in time",
                    burst.sent, burst.failed, burst.shortfall
                ),
            )
        }
    };
    Err(ended_badly(what, why))
}

fn lost(model: &mut Model, problem: Problem, retry_in: Duration) {
    let retry_at = model.now.checked_add(retry_in).unwrap_or(model.now);
    model.link = Link::Lost { problem, retry_at };
    forget_questions(model);
}

/// Answers that were on their way do not come any more.
fn forget_questions(model: &mut Model) {
    model.failed.asking = false;
    model.groups.asking = false;
    model.tasks.asking = false;
    for layer in &mut model.layers {
        if let Layer::Outcomes(outcomes) = layer {
            outcomes.asking = false;
        }
    }
}

fn drawn(model: &mut Model, extent: Extent) {
    model.extent = extent;
    if let Some(
        Layer::Help { scroll }
        | Layer::Detail(Detail { scroll, .. })
        | Layer::Confirm(Confirm { scroll, .. }),
    ) = model.layers.last_mut()
    {
        *scroll = (*scroll).min(extent.scroll_max);
    }
}
