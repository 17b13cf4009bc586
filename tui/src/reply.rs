//! What the daemon's answers do to the model.

use patterns_core::audit::Outcome;
use patterns_core::failed::FailedList;
use patterns_core::operation::{Operation, Selection};
use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::protocol::{Reply, Request};
use patterns_core::task::Task;

use crate::editing::Editing;
use crate::effect::Effect;
use crate::figure;
use crate::layer::{Choose, Confirm, Layer};
use crate::model::{Model, Screen};
use crate::planning::{plan, redrive_of};
use crate::update::{fetch, fetch_changed};

/// Takes in the answer to `request`.
pub fn take(model: &mut Model, request: Request, answer: Result<Reply, Problem>) -> Vec<Effect> {
    match request {
        Request::FailedList { .. } => failed(
            model,
            expect(answer, |reply| match reply {
                Reply::Failed(list) => Some(list),
                _ => None,
            }),
        ),
        Request::FailedGroups { .. } => {
            let groups = expect(answer, |reply| match reply {
                Reply::Groups(groups) => Some(groups),
                _ => None,
            });
            model.groups.take(groups, model.now);
            let keys = model.group_keys();
            model.group.settle(&keys);
            if model.groups.problem.is_none() {
                fetch_changed(model)
            } else {
                Vec::new()
            }
        }
        Request::FailedShow { id } => {
            let shown = expect(answer, |reply| match reply {
                Reply::Event(event) => Some(event),
                _ => None,
            });
            // A detail that was closed meanwhile does not want its answer any more.
            for layer in &mut model.layers {
                if let Layer::Detail(detail) = layer
                    && detail.id == id
                {
                    detail.answer = Some(shown.clone());
                }
            }
            Vec::new()
        }
        Request::Plan { .. } | Request::TakeBack { .. } => {
            planned(model, request, answer);
            Vec::new()
        }
        Request::TaskList { pattern } => {
            tasks(
                model,
                pattern.as_deref(),
                expect(answer, |reply| match reply {
                    Reply::Tasks(tasks) => Some(tasks),
                    _ => None,
                }),
            );
            Vec::new()
        }
        Request::TaskCreate { .. } => created(
            model,
            expect(answer, |reply| match reply {
                Reply::Task(task) => Some(task),
                _ => None,
            }),
        ),
        Request::Start { .. } | Request::Burst { .. } | Request::Operation { .. } => {
            match answer {
                Ok(Reply::Operation(operation)) => started(model, &operation),
                Ok(_) => {}
                Err(problem) => reopen_form(model, &problem),
            }
            Vec::new()
        }
        Request::Pause { .. } => steered(model, "is paused", answer),
        Request::Resume { .. } => steered(model, "goes on", answer),
        Request::Cancel { .. } => steered(model, "ends", answer),
        Request::SetDelivery { function, broken } => {
            let verb = if broken { "fail" } else { "succeed" };
            match answer {
                Ok(_) => model.inform(format!("Deliveries of {function} {verb} from now on")),
                Err(problem) => model.complain(&problem),
            }
            Vec::new()
        }
        // Only commands ask for these.
        Request::FailedExport { .. } | Request::FailedImport { .. } | Request::Audit { .. } => {
            Vec::new()
        }
        Request::Outcomes { id, after } => {
            let page = expect(answer, |reply| match reply {
                Reply::Outcomes(page) => Some(page),
                _ => None,
            });
            outcomes(model, &id, after.as_ref(), &page)
        }
        Request::Refresh => {
            match answer {
                Ok(_) => model.inform("Asking AWS again"),
                Err(problem) => model.complain(&problem),
            }
            Vec::new()
        }
    }
}

/// The kind of reply that belongs to a request; another one breaks the protocol.
fn expect<T>(
    answer: Result<Reply, Problem>,
    pick: impl FnOnce(Reply) -> Option<T>,
) -> Result<T, Problem> {
    pick(answer?).ok_or_else(|| {
        Problem::new(
            ProblemKind::Unreachable,
            "cannot understand the daemon",
            "it answered another request than the one it was asked",
            "install the daemon and this program from the same version",
        )
    })
}

fn failed(model: &mut Model, answer: Result<FailedList, Problem>) -> Vec<Effect> {
    model.failed.take(answer, model.now);
    if let Some(queue) = model.wanted_queue.take() {
        let wanted = model
            .events()
            .iter()
            .find(|event| event.dead_letter_queue == queue);
        let already = model
            .selected_event()
            .is_some_and(|event| event.dead_letter_queue == queue);
        if let Some(id) = wanted.filter(|_| !already).map(|event| event.id.clone()) {
            model.event.select(id);
        }
    }
    let ids = model.event_ids();
    model.event.settle(&ids);
    // The queues may have changed while the answer was on its way. After a problem the next change asks again.
    if model.failed.problem.is_none() || model.failed_of.1 != model.wanted {
        fetch_changed(model)
    } else {
        Vec::new()
    }
}

/// The plan goes to the layer that waits for exactly it; without that layer the wish was withdrawn.
fn planned(model: &mut Model, request: Request, answer: Result<Reply, Problem>) {
    let waiting = model.layers.iter().position(|layer| match layer {
        Layer::Planning(asked) => *asked == request,
        Layer::Form(form) => form.sent && form.asked.as_ref() == Some(&request),
        _ => false,
    });
    let Some(at) = waiting else { return };
    match answer {
        Ok(Reply::Plan(plan)) => {
            let mut reason = None;
            let mut at = at;
            if let Layer::Form(form) = model.layers.remove(at) {
                reason = form.reason();
                // The question that the form was opened from is answered by the new plan.
                at = at.saturating_sub(1);
                model.layers.truncate(at);
            }
            let confirm = Confirm::redrive(*plan, request, reason);
            // What is stopped may have to be written differently.
            if confirm.stop().is_none() {
                model.draft = None;
            }
            model.layers.insert(at, Layer::Confirm(confirm));
        }
        Ok(_) => drop(model.layers.remove(at)),
        Err(problem) if matches!(model.layers.get(at), Some(Layer::Form(_))) => {
            reopen_form(model, &problem);
        }
        Err(problem) => {
            model.layers.remove(at);
            match choice(model, request, &problem) {
                Some(choose) => model.layers.insert(at, Layer::Choose(choose)),
                None => model.complain(&problem),
            }
        }
    }
}

/// The choice to offer when a plan was refused because several origins are possible.
fn choice(model: &Model, request: Request, problem: &Problem) -> Option<Choose> {
    let Request::Plan {
        dead_letter_queue,
        to: None,
        ..
    } = &request
    else {
        return None;
    };
    let origins = &model.snapshot.as_ref()?.queue(dead_letter_queue)?.origins;
    (problem.kind == ProblemKind::Ambiguous && origins.len() > 1).then(|| Choose {
        origins: origins.clone(),
        asked: request,
        at: 0,
    })
}

/// The failed event that is to be edited arrived as it is: the editor gets it, unless the wish was withdrawn.
pub fn read(model: &mut Model, id: &str, answer: Result<Reply, Problem>) -> Vec<Effect> {
    let waiting = model
        .layers
        .iter()
        .position(|layer| matches!(layer, Layer::Reading(asked) if asked == id));
    let Some(at) = waiting else {
        return Vec::new();
    };
    model.layers.remove(at);
    let shown = expect(answer, |reply| match reply {
        Reply::Event(event) => Some(event),
        _ => None,
    });
    match shown {
        Ok(event) => {
            let editing = Editing::payload(&event);
            let given = editing.given.clone();
            vec![Effect::Edit(editing, given)]
        }
        Err(problem) => {
            model.complain(&problem);
            Vec::new()
        }
    }
}

/// The editor is closed. What cannot be used is kept for the next try.
pub fn written(
    model: &mut Model,
    editing: Editing,
    written: Result<String, Problem>,
) -> Vec<Effect> {
    let changed = match &written {
        Ok(text) => editing.change(text),
        Err(problem) => Err(problem.clone()),
    };
    match changed {
        Ok(None) => {
            model.inform("Nothing was changed, so nothing is planned");
            Vec::new()
        }
        Ok(Some(edit)) => {
            let selection = Selection::Chosen(editing.ids.clone());
            let queue = editing.dead_letter_queue.clone();
            model.draft = written.ok().map(|text| (editing, text));
            plan(model, redrive_of(queue, selection, Some(edit)))
        }
        Err(problem) => {
            model.complain(&problem);
            model.draft = written.ok().map(|text| (editing, text));
            Vec::new()
        }
    }
}

fn outcomes(
    model: &mut Model,
    id: &str,
    after: Option<&String>,
    answer: &Result<Vec<Outcome>, Problem>,
) -> Vec<Effect> {
    let now = model.now;
    let mut next = None;
    for layer in &mut model.layers {
        if let Layer::Outcomes(outcomes) = layer
            && outcomes.id == id
        {
            next = outcomes.take(after, answer.clone(), now);
        }
    }
    next.map(Effect::Send).into_iter().collect()
}

fn tasks(model: &mut Model, pattern: Option<&str>, answer: Result<Vec<Task>, Problem>) {
    if model.shown_pattern() == pattern {
        model.tasks.take(answer, model.now);
        let ids = model.task_ids();
        model.task.settle(&ids);
    }
}

fn created(model: &mut Model, answer: Result<Task, Problem>) -> Vec<Effect> {
    match answer {
        Ok(task) => {
            close_form(model);
            model.inform(format!("Task {} created", task.id));
            model.task.select(task.id);
            if model.screen == Screen::Tasks {
                fetch(model)
            } else {
                Vec::new()
            }
        }
        Err(problem) => {
            reopen_form(model, &problem);
            Vec::new()
        }
    }
}

fn close_form(model: &mut Model) {
    model
        .layers
        .retain(|layer| !matches!(layer, Layer::Form(form) if form.sent));
}

/// What was typed stays. An error that names a field (`title: Title is required`) is shown there, any other as a notice.
fn reopen_form(model: &mut Model, problem: &Problem) {
    let mut placed = false;
    for layer in &mut model.layers {
        if let Layer::Form(form) = layer
            && form.sent
        {
            form.sent = false;
            for part in problem.why.split("; ") {
                if let Some((field, message)) = part.split_once(": ") {
                    placed |= form.blame(field, message);
                }
            }
        }
    }
    if !placed {
        model.complain(problem);
    }
}

fn steered(model: &mut Model, what: &str, answer: Result<Reply, Problem>) -> Vec<Effect> {
    match answer {
        Ok(Reply::Operation(Operation::Redrive(redrive))) => {
            model.inform(format!("Redrive of {} {what}", redrive.dead_letter_queue));
        }
        Ok(_) => {}
        Err(problem) => model.complain(&problem),
    }
    Vec::new()
}

fn started(model: &mut Model, operation: &Operation) {
    let text = match operation {
        Operation::Redrive(redrive) => format!(
            "Redrive of {} started: {} to {}",
            redrive.dead_letter_queue,
            figure::count(redrive.planned, "event"),
            redrive.target
        ),
        Operation::Burst(burst) => format!(
            "Burst on {} started: {} at {}",
            burst.pattern,
            figure::count(burst.count, "task"),
            figure::rate(burst.requested_rate)
        ),
    };
    if let Operation::Burst(_) = operation {
        close_form(model);
    }
    model.inform(text);
    model.operation.select(operation.id().to_owned());
}
