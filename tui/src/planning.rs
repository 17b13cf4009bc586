//! From what is selected to a plan: which events are meant, what is changed in them, and in what manner.

use patterns_core::operation::{Edit, Manner, Selection};
use patterns_core::protocol::Request;

use crate::editing::{Editing, Sort};
use crate::effect::Effect;
use crate::form::Form;
use crate::layer::Layer;
use crate::model::{Model, Place, Screen};
use crate::refusal::selected_dead_letter_queue;

/// What is selected or marked, with its queue.
pub fn to_redrive(model: &Model) -> Option<(String, Selection)> {
    if model.screen == Screen::Overview {
        return Some((selected_dead_letter_queue(model)?, Selection::Everything));
    }
    if model.place() == Place::Groups {
        let group = model.selected_group()?;
        return Some((group.queue?, Selection::Matching(group.filter)));
    }
    // An open event is meant alone.
    if let Some((_, queue)) = model
        .marks
        .first_key_value()
        .filter(|_| model.layers.is_empty())
    {
        let ids = model.marks.keys().cloned().collect();
        return Some((queue.clone(), Selection::Chosen(ids)));
    }
    let (queue, id) = selected_event(model)?;
    Some((queue, Selection::Chosen(vec![id])))
}

/// Everything in the queue of the selected event, or what is shown of it.
pub fn all_to_redrive(model: &Model) -> Option<(String, Selection)> {
    let (queue, _) = selected_event(model)?;
    let filter = &model.wanted.filter;
    let selection = if filter.is_empty() || !model.layers.is_empty() {
        Selection::Everything
    } else {
        Selection::Matching(filter.clone())
    };
    Some((queue, selection))
}

/// Asks for a plan. The layer that waits for it is there at once, so that `Esc` can still withdraw the wish.
pub fn plan(model: &mut Model, request: Request) -> Vec<Effect> {
    model.layers.push(Layer::Planning(request.clone()));
    vec![Effect::Send(request)]
}

/// A redrive in the usual manner.
pub fn redrive_of(dead_letter_queue: String, selection: Selection, edit: Option<Edit>) -> Request {
    Request::Plan {
        dead_letter_queue,
        selection,
        to: None,
        manner: Manner::default(),
        edit,
    }
}

/// The marked events get a patch, a single one another payload. What was written before and could not be used is there again.
pub fn edit(model: &mut Model) -> Vec<Effect> {
    let Some((queue, selection)) = to_redrive(model) else {
        return Vec::new();
    };
    let Selection::Chosen(ids) = selection else {
        return Vec::new();
    };
    let marked = model.layers.is_empty() && !model.marks.is_empty();
    let again = |(editing, _): &mut (Editing, String)| {
        editing.ids == ids && (editing.sort == Sort::Patch) == marked
    };
    if let Some((editing, written)) = model.draft.take_if(again) {
        return vec![Effect::Edit(editing, written)];
    }
    if marked {
        let editing = Editing::patch(queue, ids);
        let given = editing.given.clone();
        return vec![Effect::Edit(editing, given)];
    }
    let Some(id) = ids.into_iter().next() else {
        return Vec::new();
    };
    model.layers.push(Layer::Reading(id.clone()));
    vec![Effect::Read(id)]
}

/// What can be chosen differently about the plan.
pub fn options(model: &mut Model) {
    if let Some(Layer::Confirm(confirm)) = model.layers.last()
        && let Some(asked) = &confirm.asked
    {
        let form = Form::options(asked, confirm.reason());
        model.layers.push(Layer::Form(form));
    }
}

/// Asks for the plan that the form describes; when only the reason is another, the plan stays.
pub fn plan_again(model: &mut Model, request: Request) -> Vec<Effect> {
    let Some(Layer::Form(mut form)) = model.layers.pop() else {
        return Vec::new();
    };
    if let Some(Layer::Confirm(confirm)) = model.layers.last_mut()
        && confirm.asked.as_ref() == Some(&request)
    {
        if let Request::Start { reason, .. } = &mut confirm.commit {
            *reason = form.reason();
        }
        return Vec::new();
    }
    form.asked = Some(request.clone());
    form.sent = true;
    model.layers.push(Layer::Form(form));
    vec![Effect::Send(request)]
}

/// Queue and id of the selected event.
pub fn selected_event(model: &Model) -> Option<(String, String)> {
    let event = model.selected_event()?;
    Some((event.dead_letter_queue.clone(), event.id.clone()))
}
