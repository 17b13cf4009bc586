//! What keys and answers lead to, and that nothing leads to a panic.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::SignedDuration;
use patterns_core::failed::Filter;
use patterns_core::operation::{Edit, Manner, Operation, OperationState, Redrive, Selection};
use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::protocol::{Reply, Request};
use patterns_core::text::is_hostile;
use proptest::prelude::*;

use crate::effect::Effect;
use crate::layer::Layer;
use crate::message::Message;
use crate::model::{Link, Model, Row, Screen};
use crate::sample::{self, answer, press};
use crate::update::update;

fn failed_list() -> Request {
    Request::FailedList {
        dead_letter_queue: None,
        limit: None,
        filter: Filter::default(),
    }
}

fn handoff_plan() -> Request {
    Request::Plan {
        dead_letter_queue: "internal-handoff-failures".to_owned(),
        selection: Selection::Everything,
        to: None,
        manner: Manner::default(),
        edit: None,
    }
}

fn unreachable() -> Problem {
    Problem::new(ProblemKind::Unreachable, "gone", "it ended", "")
}

#[test]
fn one_key_plans_and_the_second_starts() {
    let mut model = sample::live();
    assert_eq!(press(&mut model, "r"), [Effect::Send(handoff_plan())]);
    assert_eq!(
        press(&mut model, "⏎"),
        [],
        "a plan that is not there cannot be confirmed"
    );
    answer(
        &mut model,
        handoff_plan(),
        Ok(Reply::Plan(Box::new(sample::plan()))),
    );
    let start = Request::Start {
        plan_id: "plan-1".to_owned(),
        reason: None,
        force: false,
    };
    assert_eq!(press(&mut model, "⏎"), [Effect::Send(start)]);
    assert!(model.layers.is_empty());
}

#[test]
fn a_withdrawn_wish_for_a_plan_stays_withdrawn() {
    let mut model = sample::live();
    press(&mut model, "r⎋");
    answer(
        &mut model,
        handoff_plan(),
        Ok(Reply::Plan(Box::new(sample::plan()))),
    );
    assert!(model.layers.is_empty());
}

#[test]
fn an_event_or_its_whole_queue_is_redriven() {
    let mut model = sample::live();
    assert_eq!(press(&mut model, "2"), [Effect::Send(failed_list())]);
    answer(
        &mut model,
        failed_list(),
        Ok(Reply::Failed(sample::failed())),
    );
    let plan = |selection| Request::Plan {
        dead_letter_queue: "queue-leveling-notifications-dlq".to_owned(),
        selection,
        to: None,
        manner: Manner::default(),
        edit: None,
    };
    let chosen = plan(Selection::Chosen(vec!["0b5e55ed0001".to_owned()]));
    assert_eq!(press(&mut model, "jr"), [Effect::Send(chosen)]);
    press(&mut model, "⎋");
    assert_eq!(
        press(&mut model, "A"),
        [Effect::Send(plan(Selection::Everything))]
    );
}

/// The failed events are shown.
fn on_failed() -> Model {
    let mut model = sample::live();
    press(&mut model, "2");
    let list = Ok(Reply::Failed(sample::failed()));
    answer(&mut model, failed_list(), list);
    model
}

fn plan_of(queue: &str, selection: Selection) -> Effect {
    Effect::Send(Request::Plan {
        dead_letter_queue: queue.to_owned(),
        selection,
        to: None,
        manner: Manner::default(),
        edit: None,
    })
}

fn searched(query: &str) -> Request {
    Request::FailedList {
        dead_letter_queue: None,
        limit: None,
        filter: Filter {
            query: Some(query.to_owned()),
            ..Filter::default()
        },
    }
}

#[test]
fn what_is_stopped_starts_only_when_it_is_forced() {
    let mut model = sample::live();
    press(&mut model, "r");
    let plan = Ok(Reply::Plan(Box::new(sample::hindered_plan())));
    answer(&mut model, handoff_plan(), plan);
    assert_eq!(press(&mut model, "⏎"), []);
    assert!(
        model
            .notices
            .last()
            .unwrap()
            .text
            .contains("reserved concurrency")
    );
    let start = Request::Start {
        plan_id: "plan-1".to_owned(),
        reason: None,
        force: true,
    };
    assert_eq!(press(&mut model, "F"), [Effect::Send(start)]);
}

/// The question before a redrive of everything.
fn asked_to_confirm() -> Model {
    let mut model = sample::live();
    press(&mut model, "r");
    let plan = Ok(Reply::Plan(Box::new(sample::plan())));
    answer(&mut model, handoff_plan(), plan);
    model
}

#[test]
fn options_make_another_plan_and_the_reason_goes_with_it() {
    let mut model = asked_to_confirm();
    let sent = press(&mut model, "o5⇥ ⇥ ⇥⇥⇥too fast⏎");
    let Request::Plan {
        dead_letter_queue,
        selection,
        ..
    } = handoff_plan()
    else {
        panic!()
    };
    let other = Request::Plan {
        dead_letter_queue,
        selection,
        to: None,
        manner: Manner {
            rate: Some(5.0),
            careful: true,
            all_at_once: true,
            native: false,
        },
        edit: None,
    };
    assert_eq!(sent, [Effect::Send(other.clone())]);
    assert_eq!(press(&mut model, "⏎"), [], "asked once");
    let refused = Problem::new(ProblemKind::Usage, "no plan", "rate: too high", "");
    answer(&mut model, other.clone(), Err(refused));
    let Some(Layer::Form(form)) = model.layers.last() else {
        panic!("what was typed is gone")
    };
    assert_eq!(form.fields[0].error.as_deref(), Some("too high"));
    assert_eq!(press(&mut model, "⏎"), [Effect::Send(other.clone())]);
    let mut plan = sample::plan();
    plan.plan_id = "plan-2".to_owned();
    answer(&mut model, other, Ok(Reply::Plan(Box::new(plan))));
    assert_eq!(model.layers.len(), 1, "the first question is answered");
    let start = Request::Start {
        plan_id: "plan-2".to_owned(),
        reason: Some("too fast".to_owned()),
        force: false,
    };
    assert_eq!(press(&mut model, "⏎"), [Effect::Send(start)]);
}

#[test]
fn a_reason_alone_needs_no_other_plan() {
    let mut model = asked_to_confirm();
    assert_eq!(press(&mut model, "o⇥⇥⇥⇥⇥why⏎"), []);
    assert_eq!(press(&mut model, "ox⇥⇥⇥⇥⇥⏎"), [], "x is no rate");
    let start = Request::Start {
        plan_id: "plan-1".to_owned(),
        reason: Some("why".to_owned()),
        force: false,
    };
    assert_eq!(press(&mut model, "⎋⏎"), [Effect::Send(start)]);
}

/// What an editor leaves.
fn write(model: &mut Model, effects: &[Effect], change: impl Fn(&str) -> String) -> Vec<Effect> {
    let [Effect::Edit(editing, text)] = effects else {
        panic!("{effects:?}")
    };
    let written = Ok(change(text));
    update(model, Message::Written(editing.clone(), written))
}

/// The event that is to be edited, as it is.
fn read(model: &mut Model, id: &str) -> Vec<Effect> {
    let mut detail = sample::hostile_detail();
    detail.event.id = id.to_owned();
    let event = Ok(Reply::Event(Box::new(detail)));
    update(model, Message::Read(id.to_owned(), Box::new(event)))
}

#[test]
fn a_payload_is_edited_planned_and_confirmed() {
    let mut model = on_failed();
    let id = "0b5e55ed0000";
    assert_eq!(press(&mut model, "e"), [Effect::Read(id.to_owned())]);
    let opened = read(&mut model, id);
    assert!(model.layers.is_empty());
    assert_eq!(write(&mut model, &opened, str::to_owned), []);
    assert!(
        model
            .notices
            .last()
            .unwrap()
            .text
            .contains("Nothing was changed")
    );

    press(&mut model, "e");
    let opened = read(&mut model, id);
    assert_eq!(write(&mut model, &opened, |_| "{".to_owned()), []);
    assert!(model.notices.last().unwrap().text.contains("not JSON"));
    let again = press(&mut model, "⎋e");
    let [Effect::Edit(_, text)] = again.as_slice() else {
        panic!("{again:?}")
    };
    assert_eq!(text, "{", "what was written is not lost");
    let planned = write(&mut model, &again, |_| "{\"a\": 1}\n".to_owned());
    let [Effect::Send(request)] = planned.as_slice() else {
        panic!("{planned:?}")
    };
    let Request::Plan {
        edit, selection, ..
    } = request
    else {
        panic!("{request:?}")
    };
    assert_eq!(*edit, Some(Edit::Payload("{\"a\":1}".to_owned())));
    assert_eq!(*selection, Selection::Chosen(vec![id.to_owned()]));
    let plan = Ok(Reply::Plan(Box::new(sample::edited_plan())));
    answer(&mut model, request.clone(), plan);
    assert!(matches!(model.layers.as_slice(), [Layer::Confirm(_)]));
    assert_eq!(model.draft, None);
}

#[test]
fn a_withdrawn_wish_to_edit_opens_no_editor() {
    let mut model = on_failed();
    press(&mut model, "e⎋");
    assert_eq!(read(&mut model, "0b5e55ed0000"), []);
    press(&mut model, "e");
    let gone = Problem::new(ProblemKind::NotFound, "no such event", "it is gone", "");
    let answer = Message::Read("0b5e55ed0000".to_owned(), Box::new(Err(gone)));
    assert_eq!(update(&mut model, answer), []);
    assert!(model.layers.is_empty() && model.notices.last().unwrap().error);
}

#[test]
fn marked_events_get_one_patch() {
    let mut model = on_failed();
    let opened = press(&mut model, "  e");
    let patch = serde_json::json!([{"op": "remove", "path": "/a"}]);
    let planned = write(&mut model, &opened, |_| patch.to_string());
    let ids = vec!["0b5e55ed0000".to_owned(), "0b5e55ed0001".to_owned()];
    let wanted = Request::Plan {
        dead_letter_queue: "queue-leveling-notifications-dlq".to_owned(),
        selection: Selection::Chosen(ids),
        to: None,
        manner: Manner::default(),
        edit: Some(Edit::Patch(patch)),
    };
    assert_eq!(planned, [Effect::Send(wanted.clone())]);
    let refused = Problem::new(ProblemKind::Conflict, "no plan", "it does not fit", "");
    answer(&mut model, wanted, Err(refused));
    let again = press(&mut model, "⎋e");
    assert!(
        matches!(again.as_slice(), [Effect::Edit(_, text)] if text.contains("remove")),
        "{again:?}"
    );
    let planned = write(&mut model, &again, str::to_owned);
    let [Effect::Send(request)] = planned.as_slice() else {
        panic!("{planned:?}")
    };
    let stopped = Ok(Reply::Plan(Box::new(sample::hindered_plan())));
    answer(&mut model, request.clone(), stopped);
    let again = press(&mut model, "⎋e");
    assert!(
        matches!(again.as_slice(), [Effect::Edit(_, text)] if text.contains("remove")),
        "{again:?}"
    );
}

#[test]
fn a_redrive_is_opened_and_leads_to_what_came_back() {
    let mut model = sample::live();
    press(&mut model, "4");
    assert_eq!(press(&mut model, "⏎"), [], "a burst has no events");
    let id = sample::redrive().operation_id;
    let asked = |after| Request::Outcomes {
        id: id.clone(),
        after,
    };
    assert_eq!(press(&mut model, "j⏎"), [Effect::Send(asked(None))]);
    let page = sample::outcomes();
    let last = page.last().map(|outcome| outcome.message_id.clone());
    let more = answer(&mut model, asked(None), Ok(Reply::Outcomes(page)));
    assert_eq!(more, [Effect::Send(asked(last.clone()))]);
    answer(&mut model, asked(last), Ok(Reply::Outcomes(Vec::new())));
    assert_eq!(press(&mut model, "⏎"), []);
    assert!(model.notices.last().unwrap().text.contains("it is settled"));
    assert_eq!(press(&mut model, "v"), [Effect::Send(asked(None))]);
    answer(
        &mut model,
        asked(None),
        Ok(Reply::Outcomes(sample::outcomes())),
    );
    let returned = "c0ffee000002".to_owned();
    let show = Request::FailedShow {
        id: returned.clone(),
    };
    assert_eq!(press(&mut model, "⏎"), [Effect::Send(show.clone())]);
    let detail = Ok(Reply::Event(Box::new(sample::hostile_detail())));
    answer(&mut model, show, detail);
    let copied = press(&mut model, "y");
    assert_eq!(copied, [Effect::Copy(sample::hostile_detail().event.id)]);
    let redrive = press(&mut model, "r");
    assert!(
        matches!(redrive.as_slice(), [Effect::Send(Request::Plan { .. })]),
        "{redrive:?}"
    );
    press(&mut model, "⎋⎋");
    assert!(matches!(model.layers.as_slice(), [Layer::Outcomes(_)]));
}

#[test]
fn what_is_not_known_yet_is_taken_back_with_two_keys() {
    let mut model = sample::live();
    assert_eq!(press(&mut model, "4ju"), []);
    assert!(
        model
            .notices
            .last()
            .unwrap()
            .text
            .contains("Nothing is left")
    );
    let mut snapshot = sample::snapshot();
    snapshot.operations[1] = Operation::Redrive(sample::ramping());
    update(&mut model, Message::Snapshot(Box::new(snapshot)));
    let id = sample::ramping().operation_id;
    let request = Request::TakeBack { id };
    assert_eq!(press(&mut model, "u"), [Effect::Send(request.clone())]);
    let plan = Ok(Reply::Plan(Box::new(sample::take_back_plan())));
    answer(&mut model, request, plan);
    assert_eq!(press(&mut model, "owrong one⏎"), []);
    let start = Request::Start {
        plan_id: "plan-2".to_owned(),
        reason: Some("wrong one".to_owned()),
        force: false,
    };
    assert_eq!(press(&mut model, "⏎"), [Effect::Send(start)]);
}

#[test]
fn a_verdict_is_news() {
    let mut model = sample::live();
    let mut snapshot = sample::snapshot();
    let mut redrive = Redrive {
        operation_id: "redrive-62bb".to_owned(),
        state: OperationState::Completed,
        sent: 412,
        settled: 0,
        ..sample::ramping()
    };
    let mut told = |model: &mut Model, redrive: &Redrive| {
        snapshot.operations[1] = Operation::Redrive(redrive.clone());
        update(model, Message::Snapshot(Box::new(snapshot.clone())));
        model.notices.last().cloned()
    };
    assert_eq!(told(&mut model, &redrive), None);
    redrive.settled = 409;
    redrive.returned = 3;
    redrive.returned_alike = 3;
    let notice = told(&mut model, &redrive).unwrap();
    assert!(notice.error);
    assert!(
        notice
            .text
            .contains("412 redriven, 409 settled, 3 returned (same error)"),
        "{}",
        notice.text
    );
}

#[test]
fn a_group_is_opened_and_redriven() {
    let mut model = on_failed();
    let request = Request::FailedGroups {
        dead_letter_queue: None,
    };
    assert_eq!(press(&mut model, "v"), [Effect::Send(request.clone())]);
    answer(&mut model, request, Ok(Reply::Groups(sample::groups())));
    let group = Filter {
        group: Some("DeliveryFailed: the mail server refused the notification".to_owned()),
        origin: Some("internal-handoff-send-notification".to_owned()),
        ..Filter::default()
    };
    let queue = "internal-handoff-failures";
    let plan = plan_of(queue, Selection::Matching(group.clone()));
    assert_eq!(press(&mut model, "r"), std::slice::from_ref(&plan));
    let list = Request::FailedList {
        dead_letter_queue: Some(queue.to_owned()),
        limit: None,
        filter: group,
    };
    assert_eq!(press(&mut model, "⎋⏎"), [Effect::Send(list.clone())]);
    let mut events = sample::failed();
    events.events.drain(..3);
    answer(&mut model, list, Ok(Reply::Failed(events)));
    assert_eq!(press(&mut model, "A"), [plan], "all that is shown");
    press(&mut model, "⎋⎋");
    assert!(model.by_group, "Esc leads back to the groups");
}

#[test]
fn a_search_follows_what_is_typed() {
    let mut model = on_failed();
    assert_eq!(press(&mut model, "/r"), [Effect::Send(searched("r"))]);
    assert_eq!(press(&mut model, "ef"), [], "one question at a time");
    let next = answer(
        &mut model,
        searched("r"),
        Err(Problem::new(ProblemKind::Usage, "no query", "", "")),
    );
    assert_eq!(next, [Effect::Send(searched("ref"))]);
    answer(
        &mut model,
        searched("ref"),
        Ok(Reply::Failed(sample::failed())),
    );
    let matching = Selection::Matching(Filter {
        query: Some("ref".to_owned()),
        ..Filter::default()
    });
    let queue = "queue-leveling-notifications-dlq";
    assert_eq!(press(&mut model, "⏎A"), [plan_of(queue, matching)]);
    assert_eq!(press(&mut model, "⎋⎋"), [Effect::Send(failed_list())]);
}

#[test]
fn marked_events_are_redriven_together_if_they_are_in_one_queue() {
    let mut model = on_failed();
    let ids = vec!["0b5e55ed0000".to_owned(), "0b5e55ed0001".to_owned()];
    let plan = plan_of("queue-leveling-notifications-dlq", Selection::Chosen(ids));
    assert_eq!(press(&mut model, "  jr"), [plan]);
    press(&mut model, "⎋j ");
    assert_eq!(press(&mut model, "r"), []);
    assert!(model.notices.last().unwrap().text.contains("2 queues"));
    press(&mut model, "⎋");
    assert!(model.marks.is_empty());
}

#[test]
fn an_ambiguous_route_is_a_choice() {
    let mut model = sample::live();
    let mut snapshot = sample::snapshot();
    let mut other = sample::handoff_origin();
    other.name = "other".to_owned();
    snapshot.queues[0].origins.push(other);
    update(&mut model, Message::Snapshot(Box::new(snapshot)));
    press(&mut model, "r");
    let conflict = Problem::new(
        ProblemKind::Ambiguous,
        "the route is ambiguous",
        "two origins",
        "",
    );
    answer(&mut model, handoff_plan(), Err(conflict));
    let chosen = Request::Plan {
        dead_letter_queue: "internal-handoff-failures".to_owned(),
        selection: Selection::Everything,
        to: Some("other".to_owned()),
        manner: Manner::default(),
        edit: None,
    };
    assert_eq!(press(&mut model, "j⏎"), [Effect::Send(chosen)]);
}

#[test]
fn a_read_only_daemon_is_not_asked_for_changes() {
    let mut model = sample::live();
    let mut snapshot = sample::snapshot();
    snapshot.read_only = true;
    update(&mut model, Message::Snapshot(Box::new(snapshot)));
    assert_eq!(press(&mut model, "rxb"), []);
    assert!(model.layers.is_empty());
    assert!(model.notices.last().unwrap().text.contains("read-only"));
}

#[test]
fn a_redrive_is_paused_with_one_key_and_cancelled_with_two() {
    let mut model = sample::live();
    let mut snapshot = sample::snapshot();
    let mut redrive = sample::redrive();
    redrive.state = OperationState::Running;
    let id = redrive.operation_id.clone();
    let mut running = |model: &mut Model, redrive: &Redrive| {
        snapshot.operations[1] = Operation::Redrive(redrive.clone());
        update(model, Message::Snapshot(Box::new(snapshot.clone())));
    };
    running(&mut model, &redrive);
    assert_eq!(press(&mut model, "4p"), [], "the burst is selected first");
    let pause = Request::Pause { id: id.clone() };
    assert_eq!(press(&mut model, "jp"), [Effect::Send(pause)]);
    redrive.state = OperationState::Paused;
    running(&mut model, &redrive);
    let resume = Request::Resume { id: id.clone() };
    assert_eq!(press(&mut model, "p"), [Effect::Send(resume)]);
    assert_eq!(press(&mut model, "c⎋"), []);
    let cancel = Request::Cancel { id };
    assert_eq!(press(&mut model, "c⏎"), [Effect::Send(cancel)]);
    redrive.state = OperationState::Cancelled;
    running(&mut model, &redrive);
    assert_eq!(press(&mut model, "cp"), []);
    assert!(model.notices.last().unwrap().text.contains("has ended"));
}

#[test]
fn a_function_is_broken_with_two_keys_and_only_where_it_can_be() {
    let mut model = sample::live();
    model
        .row
        .select(Row::Function("queue-leveling-create-task".to_owned()));
    press(&mut model, "x");
    assert!(model.layers.is_empty());
    let name = "queue-leveling-send-notification".to_owned();
    model.row.select(Row::Function(name.clone()));
    let wish = Request::SetDelivery {
        function: name,
        broken: true,
    };
    assert_eq!(press(&mut model, "x⏎"), [Effect::Send(wish)]);
}

#[test]
fn what_was_typed_survives_a_refusal() {
    let mut model = sample::live();
    press(&mut model, "3n");
    let sent = press(&mut model, "quit 1?⏎");
    let [Effect::Send(Request::TaskCreate { task, pattern })] = sent.as_slice() else {
        panic!("{sent:?}");
    };
    assert_eq!(
        (task.title.as_str(), pattern.as_deref()),
        ("quit 1?", Some("internal-handoff"))
    );
    let request = Request::TaskCreate {
        task: task.clone(),
        pattern: pattern.clone(),
    };
    let refused = |why: &str| {
        Err(Problem::new(
            ProblemKind::Usage,
            "the task is not valid",
            why,
            "",
        ))
    };
    answer(
        &mut model,
        request.clone(),
        refused("title: Title must not exceed 3 characters"),
    );
    let Some(Layer::Form(form)) = model.layers.last() else {
        panic!("the form is gone")
    };
    assert_eq!(form.fields[0].value(), "quit 1?");
    assert_eq!(
        form.fields[0].error.as_deref(),
        Some("Title must not exceed 3 characters")
    );

    press(&mut model, "⏎");
    answer(
        &mut model,
        request.clone(),
        refused("the API did not answer"),
    );
    assert!(model.notices.iter().any(|notice| notice.error));
    press(&mut model, "⎋");
    assert!(
        !model.notices.iter().any(|notice| notice.error),
        "Esc dismisses the error first"
    );
    assert_eq!(model.layers.len(), 1, "and leaves the form");

    press(&mut model, "⏎");
    answer(
        &mut model,
        request,
        Ok(Reply::Task(sample::tasks().remove(0))),
    );
    assert!(model.layers.is_empty());
}

#[test]
fn a_burst_is_stated_before_it_starts_and_its_form_survives_a_refusal() {
    let mut model = sample::live();
    let sent = press(&mut model, "b⏎⏎");
    let burst = Request::Burst {
        pattern: Some("queue-leveling".to_owned()),
        rate: 100.0,
        count: 500,
    };
    assert_eq!(sent, [Effect::Send(burst.clone())]);
    answer(&mut model, burst.clone(), Err(sample::problem()));
    assert!(matches!(model.layers.as_slice(), [Layer::Form(form)] if !form.sent));
    answer(
        &mut model,
        burst,
        Ok(Reply::Operation(Operation::Burst(sample::burst()))),
    );
    press(&mut model, "⎋⎋");
    assert!(model.layers.is_empty());
}

#[test]
fn pasted_text_is_never_keys() {
    let mut model = sample::live();
    update(&mut model, Message::Paste("q\u{3}r".to_owned()));
    assert!(model.layers.is_empty());
    press(&mut model, "3n");
    update(&mut model, Message::Paste("buy\nmilk\n".to_owned()));
    let Some(Layer::Form(form)) = model.layers.last() else {
        panic!("the form is gone")
    };
    assert_eq!(form.fields[0].value(), "buy milk");
}

#[test]
fn a_lost_link_keeps_screen_cursor_and_figures() {
    let mut model = sample::live();
    press(&mut model, "j");
    let row = model.selected_row();
    update(
        &mut model,
        Message::Lost {
            problem: Box::new(unreachable()),
            retry_in: Duration::from_secs(1),
        },
    );
    assert!(matches!(model.link, Link::Lost { .. }));
    update(&mut model, Message::Connected(Box::new(sample::hello())));
    let mut snapshot = sample::snapshot();
    snapshot
        .queues
        .insert(0, sample::snapshot().queues.remove(2));
    snapshot.queues[0].name = "a-new-queue".to_owned();
    update(&mut model, Message::Snapshot(Box::new(snapshot)));
    assert_eq!(model.link, Link::Live);
    assert_eq!(model.selected_row(), row);
}

#[test]
fn the_list_follows_the_queues() {
    let mut model = sample::live();
    press(&mut model, "2");
    answer(
        &mut model,
        failed_list(),
        Ok(Reply::Failed(sample::failed())),
    );
    let same = update(&mut model, Message::Snapshot(Box::new(sample::snapshot())));
    assert_eq!(same, []);
    let mut changed = sample::snapshot();
    changed.queues[0].mirrored = Some(15);
    let asked = update(&mut model, Message::Snapshot(Box::new(changed.clone())));
    assert_eq!(asked, [Effect::Send(failed_list())]);
    changed.queues[0].mirrored = Some(16);
    assert_eq!(
        update(&mut model, Message::Snapshot(Box::new(changed))),
        [],
        "one question at a time"
    );
    let again = answer(
        &mut model,
        failed_list(),
        Ok(Reply::Failed(sample::failed())),
    );
    assert_eq!(again, [Effect::Send(failed_list())]);
}

#[test]
fn news_fades_and_errors_stay() {
    let mut model = sample::live();
    let mut ended = sample::snapshot();
    let Operation::Burst(burst) = &mut ended.operations[0] else {
        panic!()
    };
    burst.state = OperationState::Completed;
    burst.sent = 500;
    update(&mut model, Message::Snapshot(Box::new(ended)));
    model.complain(&sample::problem());
    assert_eq!(
        model.notices[0].text,
        "Burst on queue-leveling completed: 500 tasks at 99.2/s"
    );
    update(
        &mut model,
        Message::Tick(sample::now() + SignedDuration::from_secs(6)),
    );
    assert_eq!(model.notices.len(), 1);
    assert!(model.notices[0].error);
}

#[test]
fn escape_leads_home_and_q_leads_out() {
    let mut model = sample::live();
    assert_eq!(press(&mut model, "4⎋⎋⎋"), []);
    assert_eq!(model.screen, Screen::Overview);
    assert_eq!(press(&mut model, "?q"), []);
    assert_eq!(press(&mut model, "q"), [Effect::Quit]);
    let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    press(&mut model, "3n");
    assert_eq!(update(&mut model, Message::Key(ctrl_c)), [Effect::Quit]);
}

#[test]
fn scrolling_ends_with_the_text() {
    let mut model = sample::live();
    press(&mut model, "2");
    answer(
        &mut model,
        failed_list(),
        Ok(Reply::Failed(sample::failed())),
    );
    press(&mut model, "⏎");
    let id = "0b5e55ed0000".to_owned();
    answer(
        &mut model,
        Request::FailedShow { id },
        Ok(Reply::Event(Box::new(sample::hostile_detail()))),
    );
    sample::draw(&mut model, 80, 16);
    press(&mut model, "G");
    let Some(Layer::Detail(detail)) = model.layers.last() else {
        panic!()
    };
    let bottom = detail.scroll;
    assert!(bottom > 0);
    press(&mut model, "jjk");
    let Some(Layer::Detail(detail)) = model.layers.last() else {
        panic!()
    };
    assert_eq!(detail.scroll, bottom - 1);
}

#[test]
fn nothing_hostile_reaches_the_screen() {
    let mut model = sample::live();
    press(&mut model, "2");
    answer(
        &mut model,
        failed_list(),
        Ok(Reply::Failed(sample::failed())),
    );
    press(&mut model, "⏎");
    let id = "0b5e55ed0000".to_owned();
    answer(
        &mut model,
        Request::FailedShow { id },
        Ok(Reply::Event(Box::new(sample::hostile_detail()))),
    );
    let screen = sample::draw(&mut model, 100, 60);
    let text: String = screen
        .content()
        .iter()
        .map(ratatui::buffer::Cell::symbol)
        .collect();
    assert!(!text.chars().any(is_hostile));
    assert!(text.contains("␛[2J") && text.contains("⟨202E⟩"));

    press(&mut model, "⎋3n");
    update(&mut model, Message::Paste("\u{1b}[31m\u{202e}x".to_owned()));
    let screen = sample::draw(&mut model, 100, 60);
    assert!(
        !screen
            .content()
            .iter()
            .any(|cell| cell.symbol().chars().any(is_hostile))
    );
}

/// What the daemon could answer to `request`, right or wrong.
fn any_answer(request: &Request, sort: u8) -> Result<Reply, Problem> {
    let kind = match sort % 4 {
        0 => ProblemKind::Conflict,
        1 => return Err(unreachable()),
        _ => {
            return Ok(match request {
                Request::FailedList { .. } => Reply::Failed(sample::failed()),
                Request::FailedExport { .. } | Request::FailedImport { .. } => {
                    Reply::Messages(Vec::new())
                }
                Request::FailedGroups { .. } => Reply::Groups(sample::groups()),
                Request::FailedShow { .. } => Reply::Event(Box::new(sample::hostile_detail())),
                Request::Plan { .. } | Request::TakeBack { .. } => {
                    Reply::Plan(Box::new(sample::edited_plan()))
                }
                Request::Outcomes { after: None, .. } => Reply::Outcomes(sample::outcomes()),
                Request::Outcomes { .. } => Reply::Outcomes(Vec::new()),
                Request::Audit { .. } => Reply::Audit(Vec::new()),
                Request::TaskCreate { .. } => Reply::Task(sample::tasks().remove(0)),
                Request::TaskList { .. } => Reply::Tasks(sample::tasks()),
                Request::Start { .. }
                | Request::Operation { .. }
                | Request::Pause { .. }
                | Request::Resume { .. }
                | Request::Cancel { .. } => Reply::Operation(Operation::Redrive(sample::redrive())),
                Request::Burst { .. } => Reply::Operation(Operation::Burst(sample::burst())),
                Request::SetDelivery { .. } | Request::Refresh => Reply::Done,
            });
        }
    };
    Err(Problem::new(kind, "refused", "title: for a reason", "wait"))
}

/// One step of a random session; `number` varies what the step does.
fn random_step(model: &mut Model, asked: &mut Vec<Request>, step: u8, number: u8) {
    let keys = [
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::Backspace,
        KeyCode::PageDown,
        KeyCode::Home,
    ];
    let code = match number {
        0..=126 => KeyCode::Char(char::from(number)),
        127..=140 => KeyCode::Char('漢'),
        _ => keys[usize::from(number) % keys.len()],
    };
    let message = match step {
        0..=9 => Message::Key(KeyEvent::new(code, KeyModifiers::NONE)),
        10 => Message::Key(KeyEvent::new(code, KeyModifiers::CONTROL)),
        11 | 12 if !asked.is_empty() => {
            let request = asked.remove(usize::from(number) % asked.len());
            let answer = any_answer(&request, number);
            Message::Replied(request, Box::new(answer))
        }
        13 => {
            let mut snapshot = sample::snapshot();
            snapshot.queues.truncate(usize::from(number) % 4);
            snapshot.functions.truncate(usize::from(number) % 13);
            snapshot.operations.truncate(usize::from(number) % 3);
            snapshot.patterns.truncate(usize::from(number) % 3);
            Message::Snapshot(Box::new(snapshot))
        }
        14 => Message::Lost {
            problem: Box::new(unreachable()),
            retry_in: Duration::from_secs(1),
        },
        15 => Message::Paste("\u{1b}[2J漢\n".to_owned()),
        16 => Message::Connected(Box::new(sample::hello())),
        _ => Message::Tick(sample::now() + SignedDuration::from_secs(i64::from(number))),
    };
    let mut effects = update(model, message);
    while let Some(effect) = effects.pop() {
        match effect {
            Effect::Send(request) => asked.push(request),
            Effect::Read(id) => {
                let answer = any_answer(&Request::FailedShow { id: id.clone() }, number);
                effects.extend(update(model, Message::Read(id, Box::new(answer))));
            }
            Effect::Edit(editing, text) => {
                let written = match number % 3 {
                    0 => Ok(text),
                    1 => Ok("[{}]".to_owned()),
                    _ => Err(unreachable()),
                };
                effects.extend(update(model, Message::Written(editing, written)));
            }
            _ => {}
        }
    }
    if step.is_multiple_of(4) {
        sample::draw(model, u16::from(number), u16::from(number) / 3);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_session_panics(connected in any::<bool>(), steps in prop::collection::vec((0..18u8, any::<u8>()), 1..200)) {
        let mut model = if connected { sample::live() } else { sample::started() };
        let mut asked = Vec::new();
        for (step, number) in steps {
            random_step(&mut model, &mut asked, step, number);
        }
        let screen = sample::draw(&mut model, 100, 30);
        prop_assert!(!screen.content().iter().any(|cell| cell.symbol().chars().any(is_hostile)));
    }
}

#[test]
fn a_backlog_outlives_a_daemon_that_knows_no_queue_yet() {
    let mut model = sample::live();
    let later = |seconds| Message::Tick(sample::now() + SignedDuration::from_secs(seconds));
    update(&mut model, later(1));
    let seen = model.backlog.clone();
    assert!(!seen.is_empty());
    let mut empty = sample::snapshot();
    empty.queues.clear();
    update(&mut model, Message::Snapshot(Box::new(empty)));
    update(&mut model, later(2));
    assert_eq!(model.backlog, seen);
}
