//! What each action does to the model, and what it wants done.

use patterns_core::function::Function;
use patterns_core::operation::OperationState;
use patterns_core::protocol::Request;
use tui_input::Input;

use crate::action::Action;
use crate::cursor::Step;
use crate::effect::Effect;
use crate::figure;
use crate::form::{Form, Purpose};
use crate::layer::{Choose, Confirm, Detail, Layer};
use crate::model::{Model, Place, Row, Screen, Wanted};
use crate::outcomes::{Outcomes, failed_event};
use crate::planning::{
    all_to_redrive, edit, options, plan, plan_again, redrive_of, selected_event, to_redrive,
};
use crate::refusal::selected_dead_letter_queue;
use crate::update::fetch;
use crate::verdict;

/// Does `action`, which was not refused.
pub fn perform(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Quit => return vec![Effect::Quit],
        Action::Suspend => return vec![Effect::Suspend],
        Action::Redraw => return vec![Effect::Redraw],
        Action::Back => return back(model).unwrap_or_default(),
        Action::Leave => return back(model).unwrap_or_else(|| vec![Effect::Quit]),
        Action::Help => match model.layers.last() {
            Some(Layer::Help { .. }) => drop(model.layers.pop()),
            _ => model.layers.push(Layer::Help { scroll: 0 }),
        },
        Action::Refresh => {
            let mut effects = vec![Effect::Send(Request::Refresh)];
            effects.extend(fetch(model));
            effects.extend(read_layer_again(model));
            return effects;
        }
        Action::NextScreen => return turn(model, 1),
        Action::PreviousScreen => return turn(model, Screen::ALL.len() - 1),
        Action::Show(screen) => return show(model, screen),
        Action::SelectNext => return step(model, Step::Next),
        Action::SelectPrevious => return step(model, Step::Previous),
        Action::SelectFirst => return step(model, Step::First),
        Action::SelectLast => return step(model, Step::Last),
        Action::PageDown => return step(model, Step::PageDown),
        Action::PageUp => return step(model, Step::PageUp),
        Action::Open => return open(model),
        Action::CopyId => return copy_id(model),
        Action::Redrive => {
            if let Some((queue, selection)) = to_redrive(model) {
                return plan(model, redrive_of(queue, selection, None));
            }
        }
        Action::RedriveQueue => {
            if let Some((queue, selection)) = all_to_redrive(model) {
                return plan(model, redrive_of(queue, selection, None));
            }
        }
        Action::Edit => return edit(model),
        Action::PauseOrResume => return pause_or_resume(model),
        Action::CancelRedrive => cancel_redrive(model),
        Action::TakeBack => {
            if let Some(id) = model
                .selected_redrive()
                .map(|redrive| redrive.operation_id.clone())
            {
                return plan(model, Request::TakeBack { id });
            }
        }
        Action::Mark => mark(model),
        Action::Search => {
            let query = model.wanted.filter.query.clone().unwrap_or_default();
            model.layers.push(Layer::Search(Input::new(query)));
        }
        Action::TurnView => return turn_view(model),
        Action::BreakOrHeal => break_or_heal(model),
        Action::Burst => {
            let form = Form::burst(model.patterns(), model.burst_pattern());
            model.layers.push(Layer::Form(form));
        }
        Action::CreateTask => {
            let form = Form::task(model.patterns(), model.shown_pattern());
            model.layers.push(Layer::Form(form));
        }
        Action::NextPattern => return turn_pattern(model, true),
        Action::PreviousPattern => return turn_pattern(model, false),
        Action::Commit => return commit(model),
        Action::Force => {
            if let Some(Layer::Confirm(Confirm {
                commit: Request::Start { force, .. },
                ..
            })) = model.layers.last_mut()
            {
                *force = true;
                return commit(model);
            }
        }
        Action::Options => options(model),
        Action::Cancel => return cancel(model),
        Action::NextField | Action::PreviousField => {
            if let Some(Layer::Form(form)) = model.layers.last_mut() {
                form.turn(action == Action::NextField);
            }
        }
        Action::Submit => return submit(model),
    }
    Vec::new()
}

fn mark(model: &mut Model) {
    if let Some((queue, id)) = selected_event(model) {
        if model.marks.remove(&id).is_none() {
            model.marks.insert(id, queue);
        }
        step(model, Step::Next);
    }
}

fn turn_view(model: &mut Model) -> Vec<Effect> {
    let stands = model.selected_redrive().cloned();
    if let Some(Layer::Outcomes(outcomes)) = model.layers.last_mut() {
        return outcomes
            .turn(stands.as_ref())
            .map(Effect::Send)
            .into_iter()
            .collect();
    }
    model.by_group = !model.by_group;
    model.wanted = Wanted::default();
    fetch(model)
}

/// Dismisses errors first, then pops a layer, forgets marks and searches, leaves a group, and goes to the overview; `None`
/// when there is nothing to go back from.
fn back(model: &mut Model) -> Option<Vec<Effect>> {
    if dismiss(model) || model.layers.pop().is_some() {
        return Some(Vec::new());
    }
    if model.place() == Place::Screen(Screen::Failed) {
        if !model.marks.is_empty() {
            model.marks.clear();
            return Some(Vec::new());
        }
        if model.wanted.filter.query.take().is_some() {
            return Some(fetch(model));
        }
        if model.wanted != Wanted::default() {
            model.wanted = Wanted::default();
            model.by_group = true;
            return Some(fetch(model));
        }
    }
    (model.screen != Screen::Overview).then(|| show(model, Screen::Overview))
}

fn cancel(model: &mut Model) -> Vec<Effect> {
    if !dismiss(model)
        && let Some(Layer::Search(_)) = model.layers.pop()
    {
        model.wanted.filter.query = None;
        return fetch(model);
    }
    Vec::new()
}

fn dismiss(model: &mut Model) -> bool {
    let before = model.notices.len();
    model.notices.retain(|notice| !notice.error);
    model.notices.len() != before
}

fn turn(model: &mut Model, by: usize) -> Vec<Effect> {
    let at = Screen::ALL
        .iter()
        .position(|screen| *screen == model.screen)
        .unwrap_or(0);
    let next = Screen::ALL.iter().cycle().nth(at + by).copied();
    show(model, next.unwrap_or(Screen::Overview))
}

fn show(model: &mut Model, screen: Screen) -> Vec<Effect> {
    model.screen = screen;
    fetch(model)
}

fn step(model: &mut Model, step: Step) -> Vec<Effect> {
    let extent = model.extent;
    match model.layers.last_mut() {
        Some(
            Layer::Help { scroll }
            | Layer::Detail(Detail { scroll, .. })
            | Layer::Confirm(Confirm { scroll, .. }),
        ) => {
            *scroll = step.from(*scroll, extent.scroll_max, extent.page);
        }
        Some(Layer::Choose(choose)) => {
            choose.at = step.from(
                choose.at,
                choose.origins.len().saturating_sub(1),
                extent.page,
            );
        }
        Some(Layer::Outcomes(outcomes)) => {
            let more = outcomes.step(step, extent.page);
            return more.map(Effect::Send).into_iter().collect();
        }
        Some(_) => {}
        None => match model.screen {
            Screen::Overview => model.row.step(&model.rows(), step, extent.page),
            Screen::Failed if model.by_group => {
                model.group.step(&model.group_keys(), step, extent.page);
            }
            Screen::Failed => model.event.step(&model.event_ids(), step, extent.page),
            Screen::Tasks => model.task.step(&model.task_ids(), step, extent.page),
            Screen::Operations => model
                .operation
                .step(&model.operation_ids(), step, extent.page),
        },
    }
    Vec::new()
}

fn open(model: &mut Model) -> Vec<Effect> {
    if model.screen == Screen::Overview {
        let queue = selected_dead_letter_queue(model);
        let of_queue = model
            .events()
            .iter()
            .find(|event| Some(&event.dead_letter_queue) == queue.as_ref());
        if let Some(id) = of_queue.map(|event| event.id.clone()) {
            model.event.select(id);
        }
        model.wanted_queue = queue;
        model.by_group = false;
        model.wanted = Wanted::default();
        return show(model, Screen::Failed);
    }
    if model.place() == Place::Groups {
        let Some(group) = model.selected_group() else {
            return Vec::new();
        };
        model.by_group = false;
        model.wanted = group;
        model.failed.value = None;
        return fetch(model);
    }
    let id = match model.layers.last() {
        Some(Layer::Outcomes(outcomes)) => {
            let event = outcomes.selected().and_then(failed_event);
            event.map(str::to_owned)
        }
        _ if model.screen == Screen::Operations => return open_redrive(model),
        _ => selected_event(model).map(|(_, id)| id),
    };
    let Some(id) = id else { return Vec::new() };
    model.layers.push(Layer::Detail(Detail {
        id: id.clone(),
        answer: None,
        scroll: 0,
    }));
    vec![Effect::Send(Request::FailedShow { id })]
}

fn open_redrive(model: &mut Model) -> Vec<Effect> {
    let Some(redrive) = model.selected_redrive().cloned() else {
        return Vec::new();
    };
    let mut outcomes = Outcomes::new(redrive.operation_id.clone());
    let asked = outcomes.begin(Some(&redrive));
    model.layers.push(Layer::Outcomes(outcomes));
    asked.map(Effect::Send).into_iter().collect()
}

fn read_layer_again(model: &mut Model) -> Option<Effect> {
    let stands = model.selected_redrive().cloned();
    match model.layers.last_mut() {
        Some(Layer::Detail(detail)) => Some(Effect::Send(Request::FailedShow {
            id: detail.id.clone(),
        })),
        Some(Layer::Outcomes(outcomes)) => outcomes.begin(stands.as_ref()).map(Effect::Send),
        _ => None,
    }
}

fn copy_id(model: &mut Model) -> Vec<Effect> {
    let id = match model.screen {
        _ if matches!(model.layers.last(), Some(Layer::Detail(_))) => {
            selected_event(model).map(|(_, id)| id)
        }
        Screen::Overview => {
            model
                .snapshot
                .as_ref()
                .and_then(|snapshot| match model.selected_row()? {
                    Row::Queue(name) => snapshot.queue(&name).map(|queue| queue.arn.clone()),
                    Row::Function(name) => snapshot
                        .function(&name)
                        .map(|function| function.arn.clone()),
                })
        }
        Screen::Failed if model.by_group => {
            model.selected_group().and_then(|group| group.filter.group)
        }
        Screen::Failed => selected_event(model).map(|(_, id)| id),
        Screen::Tasks => model.task.current(&model.task_ids()),
        Screen::Operations => model.operation.current(&model.operation_ids()),
    };
    let Some(id) = id else { return Vec::new() };
    model.inform(format!("Copied {id}"));
    vec![Effect::Copy(id)]
}

fn pause_or_resume(model: &Model) -> Vec<Effect> {
    let Some(redrive) = model.selected_redrive() else {
        return Vec::new();
    };
    let id = redrive.operation_id.clone();
    vec![Effect::Send(if redrive.state == OperationState::Paused {
        Request::Resume { id }
    } else {
        Request::Pause { id }
    })]
}

fn cancel_redrive(model: &mut Model) {
    let Some(snapshot) = &model.snapshot else {
        return;
    };
    let Some(redrive) = model.selected_redrive() else {
        return;
    };
    let done = verdict::sent(redrive) + redrive.failed + redrive.skipped;
    let left = redrive.planned.saturating_sub(done);
    let title = format!(
        "Cancel the redrive of {}",
        figure::count(redrive.planned, "event")
    );
    let commit = Request::Cancel {
        id: redrive.operation_id.clone(),
    };
    let note = "Batches under way finish first, so a few more may be sent.";
    let confirm = Confirm {
        note: Some(note.to_owned()),
        ..Confirm::of(
            title,
            vec![
                ("From", format!("queue {}", redrive.dead_letter_queue)),
                ("To", redrive.target.to_string()),
                ("Sent", verdict::sent(redrive).to_string()),
                ("Effect", format!("{left} stay in the dead-letter queue")),
                ("Account", snapshot.account_id.clone()),
                ("Region", snapshot.region.clone()),
            ],
            commit,
        )
    };
    model.layers.push(Layer::Confirm(confirm));
}

fn break_or_heal(model: &mut Model) {
    let Some(snapshot) = &model.snapshot else {
        return;
    };
    let Some(Row::Function(name)) = model.selected_row() else {
        return;
    };
    let Some(broken) = snapshot.function(&name).and_then(Function::broken) else {
        return;
    };
    let (title, effect) = if broken {
        (
            "Heal the deliveries of 1 function",
            "deliveries succeed again",
        )
    } else {
        (
            "Break the deliveries of 1 function",
            "every delivery fails until it is healed",
        )
    };
    let confirm = Confirm::of(
        title,
        vec![
            ("Function", name.clone()),
            ("Effect", effect.to_owned()),
            ("Account", snapshot.account_id.clone()),
            ("Region", snapshot.region.clone()),
        ],
        Request::SetDelivery {
            function: name,
            broken: !broken,
        },
    );
    model.layers.push(Layer::Confirm(confirm));
}

fn turn_pattern(model: &mut Model, forward: bool) -> Vec<Effect> {
    let patterns = model.patterns();
    let at = patterns
        .iter()
        .position(|pattern| Some(pattern.as_str()) == model.shown_pattern())
        .unwrap_or(0);
    let step = if forward {
        1
    } else {
        patterns.len().saturating_sub(1)
    };
    model.pattern = patterns.iter().cycle().nth(at + step).cloned();
    // An answer for the other pattern that is still on its way will not be taken.
    model.tasks = crate::model::Fetched::default();
    fetch(model)
}

fn commit(model: &mut Model) -> Vec<Effect> {
    match model.layers.pop() {
        Some(Layer::Confirm(confirm)) => {
            if let Request::Start { .. } = confirm.commit {
                model.marks.clear();
            }
            // The form that led here stays until the daemon has agreed, so that nothing typed is lost.
            if let Some(Layer::Form(form)) = model.layers.last_mut() {
                form.sent = true;
            }
            vec![Effect::Send(confirm.commit)]
        }
        Some(Layer::Choose(Choose {
            mut asked,
            origins,
            at,
        })) => {
            if let Request::Plan { to, .. } = &mut asked {
                *to = origins.into_iter().nth(at).map(|origin| origin.name);
            }
            plan(model, asked)
        }
        // A plan that is still awaited cannot be confirmed.
        Some(layer) => {
            model.layers.push(layer);
            Vec::new()
        }
        None => Vec::new(),
    }
}

fn submit(model: &mut Model) -> Vec<Effect> {
    if let Some(Layer::Search(_)) = model.layers.last() {
        model.layers.pop();
        return Vec::new();
    }
    let Some(Layer::Form(form)) = model.layers.last_mut() else {
        return Vec::new();
    };
    if form.sent {
        return Vec::new();
    }
    let Some(request) = form.request() else {
        return Vec::new();
    };
    match form.purpose {
        Purpose::Task => {
            form.sent = true;
            vec![Effect::Send(request)]
        }
        Purpose::Burst => {
            if let Some(confirm) = confirm_burst(model, request) {
                model.layers.push(Layer::Confirm(confirm));
            }
            Vec::new()
        }
        Purpose::Options => plan_again(model, request),
    }
}

fn confirm_burst(model: &Model, request: Request) -> Option<Confirm> {
    let snapshot = model.snapshot.as_ref()?;
    let Request::Burst {
        pattern,
        rate,
        count,
    } = &request
    else {
        return None;
    };
    #[allow(
        clippy::cast_precision_loss,
        reason = "at most a million tasks, exact in an f64"
    )]
    let seconds = *count as f64 / rate;
    Some(Confirm::of(
        format!("Create {} in a burst", figure::count(*count, "task")),
        vec![
            ("Pattern", pattern.clone().unwrap_or_default()),
            (
                "Rate",
                format!("{}, for {seconds:.1} s", figure::rate(*rate)),
            ),
            ("Account", snapshot.account_id.clone()),
            ("Region", snapshot.region.clone()),
        ],
        request,
    ))
}
