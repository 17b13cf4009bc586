//! Why an action cannot be done now: dimmed in the footer, and said when its key is pressed anyway.

use std::collections::BTreeSet;

use patterns_core::audit::Outcome;
use patterns_core::function::Function;
use patterns_core::operation::Redrive;
use patterns_core::queue::QueueRole;

use crate::action::{Action, Entry};
use crate::layer::Layer;
use crate::model::{Model, Place, Row, Screen};
use crate::{outcomes, verdict};

/// The reason, as a sentence; `None` when it can be done.
pub fn refusal(model: &Model, entry: &Entry) -> Option<String> {
    let Some(snapshot) = &model.snapshot else {
        let harmless = matches!(
            entry.action,
            Action::Quit
                | Action::Suspend
                | Action::Redraw
                | Action::Back
                | Action::Leave
                | Action::Help
                | Action::Cancel
                | Action::NextScreen
                | Action::PreviousScreen
                | Action::Show(_)
        );
        return (!harmless).then(|| "The daemon has not answered yet".to_owned());
    };
    if entry.danger && snapshot.read_only {
        return Some("The daemon is read-only: it was started with --read-only".to_owned());
    }
    match entry.action {
        Action::Commit if matches!(model.layers.last(), Some(Layer::Planning(_))) => {
            Some("The daemon is still making the plan".to_owned())
        }
        Action::Commit if matches!(model.layers.last(), Some(Layer::Reading(_))) => {
            Some("The event is still being read".to_owned())
        }
        Action::Commit | Action::Force => stopped(model, entry.action),
        Action::Options => match model.layers.last() {
            Some(Layer::Confirm(confirm)) if confirm.asked.is_some() => None,
            _ => Some("There is nothing to choose here".to_owned()),
        },
        Action::Burst | Action::CreateTask if snapshot.patterns.is_empty() => Some(
            "The daemon knows no pattern's URL: add [patterns.<name>] url = \"…\" to its configuration".to_owned(),
        ),
        Action::NextPattern | Action::PreviousPattern if snapshot.patterns.len() < 2 => {
            Some("There is no other pattern".to_owned())
        }
        Action::Redrive | Action::Open if model.place() == Place::Groups => {
            model.selected_group().is_none().then(|| "No group is selected".to_owned())
        }
        Action::Redrive | Action::Edit if on_events(model) && model.layers.is_empty() && marked_queues(model) > 1 => Some(format!(
            "The marked events are in {} queues: redrive those of one queue at a time",
            marked_queues(model)
        )),
        Action::Redrive | Action::RedriveQueue | Action::Mark | Action::Edit if on_events(model) => {
            model.selected_event().is_none().then(|| "No event is selected".to_owned())
        }
        Action::Open if model.screen == Screen::Operations => match model.layers.last() {
            Some(Layer::Outcomes(outcomes)) => gone(outcomes.selected()),
            _ if model.selected_redrive().is_some() => None,
            _ => Some("Select a redrive first: a burst has no events".to_owned()),
        },
        Action::TakeBack => untakeable(model.selected_redrive()),
        Action::Open if model.screen == Screen::Failed => {
            model.selected_event().is_none().then(|| "No event is selected".to_owned())
        }
        Action::Redrive | Action::Open => match selected_dead_letter_queue(model) {
            Some(_) => None,
            None => Some("Select a dead-letter queue first".to_owned()),
        },
        Action::PauseOrResume | Action::CancelRedrive => match model.selected_redrive() {
            Some(redrive) if redrive.state.ended() => Some(format!("It has ended: {}", redrive.state.word())),
            Some(_) => None,
            None => Some("Select a redrive first".to_owned()),
        },
        Action::BreakOrHeal => match model.selected_row() {
            Some(Row::Function(name)) => match snapshot.function(&name).and_then(Function::broken) {
                Some(_) => None,
                None => Some(format!("{name} does not deliver for one of our stacks, so it cannot be broken")),
            },
            _ => Some("Select a function first".to_owned()),
        },
        _ => None,
    }
}

/// The dead-letter queue that is selected in the overview.
pub fn selected_dead_letter_queue(model: &Model) -> Option<String> {
    let Some(Row::Queue(name)) = model.selected_row() else {
        return None;
    };
    let queue = model.snapshot.as_ref()?.queue(&name)?;
    (queue.role == QueueRole::DeadLetter).then_some(name)
}

/// Why nothing can be taken back.
fn untakeable(redrive: Option<&Redrive>) -> Option<String> {
    let Some(redrive) = redrive else {
        return Some("Select a redrive first".to_owned());
    };
    if redrive.moved.is_some() {
        return Some("SQS moved the messages itself and does not say which".to_owned());
    }
    if redrive.sent == 0 {
        return Some("It has sent nothing yet".to_owned());
    }
    (redrive.unverified.is_none() && verdict::open(redrive) == 0).then(|| {
        "Nothing is left to take back: it is known what became of everything that was sent"
            .to_owned()
    })
}

/// Why the event of an outcome cannot be shown.
fn gone(outcome: Option<&Outcome>) -> Option<String> {
    let Some(outcome) = outcome else {
        return Some("No event is selected".to_owned());
    };
    outcomes::failed_event(outcome).is_none().then(|| {
        format!(
            "It is not in a dead-letter queue any more: it is {}",
            verdict::state(outcome)
        )
    })
}

/// Why a question cannot be answered with this key.
fn stopped(model: &Model, action: Action) -> Option<String> {
    let Some(Layer::Confirm(confirm)) = model.layers.last() else {
        return None;
    };
    match confirm.stop() {
        None if action == Action::Force => {
            Some("Nothing has to be forced: Enter does it".to_owned())
        }
        None => None,
        Some(stop) if !stop.forcible => Some(format!("It cannot be started: {}", stop.what)),
        Some(_) if action == Action::Force => None,
        Some(stop) => Some(format!(
            "Not started: {}. F starts it nevertheless",
            stop.what
        )),
    }
}

/// How many queues the marked events are in.
fn marked_queues(model: &Model) -> usize {
    model.marks.values().collect::<BTreeSet<_>>().len()
}

fn on_events(model: &Model) -> bool {
    model.screen == Screen::Failed || matches!(model.layers.last(), Some(Layer::Detail(_)))
}
