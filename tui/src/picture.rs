//! Pictures of every screen and layer, to be looked at when they change.

use std::time::Duration;

use patterns_core::failed::Filter;
use patterns_core::operation::{Manner, Operation, Selection};
use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::protocol::{Reply, Request};

use crate::effect::Effect;
use crate::message::Message;
use crate::model::{Model, Screen};
use crate::sample::{self, answer, picture, press};
use crate::update::update;

fn failed_list() -> Request {
    Request::FailedList {
        dead_letter_queue: None,
        limit: None,
        filter: Filter::default(),
    }
}

fn on_failed() -> Model {
    let mut model = sample::live();
    press(&mut model, "2");
    answer(
        &mut model,
        failed_list(),
        Ok(Reply::Failed(sample::failed())),
    );
    model
}

fn plan_request() -> Request {
    Request::Plan {
        dead_letter_queue: "internal-handoff-failures".to_owned(),
        selection: Selection::Everything,
        to: None,
        manner: Manner::default(),
        edit: None,
    }
}

#[test]
fn overview() {
    insta::assert_snapshot!("overview-160x36", picture(&mut sample::live(), 160, 36));
    insta::assert_snapshot!("overview-100x30", picture(&mut sample::live(), 100, 30));
    insta::assert_snapshot!("overview-60x16", picture(&mut sample::live(), 60, 16));
}

#[test]
fn overview_with_problems_and_old_figures() {
    let mut model = sample::live();
    let mut snapshot = sample::snapshot();
    snapshot.problems.push(Problem::new(
        ProblemKind::Upstream,
        "cannot read the queues",
        "the security token has expired",
        "aws sso login",
    ));
    update(&mut model, Message::Snapshot(Box::new(snapshot)));
    let lost = Problem::new(
        ProblemKind::Unreachable,
        "cannot reach the daemon",
        "it ended",
        "",
    );
    update(
        &mut model,
        Message::Lost {
            problem: Box::new(lost),
            retry_in: Duration::from_secs(5),
        },
    );
    update(
        &mut model,
        Message::Tick(sample::now() + jiff::SignedDuration::from_secs(90)),
    );
    insta::assert_snapshot!(picture(&mut model, 120, 30));
}

#[test]
fn overview_with_a_problem_and_a_note() {
    let mut model = sample::live();
    let mut snapshot = sample::snapshot();
    snapshot
        .notes
        .push("the failed events in orders-dlq.fifo are not shown: it is a FIFO queue".to_owned());
    snapshot.problems.push(Problem::new(
        ProblemKind::Upstream,
        "cannot read the queue payments",
        "AccessDenied",
        "allow sqs:GetQueueAttributes in the IAM policy of the daemon's credentials",
    ));
    update(&mut model, Message::Snapshot(Box::new(snapshot)));
    insta::assert_snapshot!("overview-note", picture(&mut model, 120, 30));
}

#[test]
fn failed_events() {
    insta::assert_snapshot!("failed-140x24", picture(&mut on_failed(), 140, 24));
    insta::assert_snapshot!("failed-80x16", picture(&mut on_failed(), 80, 16));
    let mut model = sample::live();
    press(&mut model, "2");
    insta::assert_snapshot!("failed-asking", picture(&mut model, 80, 16));
}

#[test]
fn failed_events_by_group() {
    let mut model = on_failed();
    let asked = press(&mut model, "v");
    insta::assert_snapshot!("groups-asking", picture(&mut model, 80, 16));
    let [Effect::Send(request)] = asked.as_slice() else {
        panic!("{asked:?}")
    };
    let groups = Ok(Reply::Groups(sample::groups()));
    answer(&mut model, request.clone(), groups);
    insta::assert_snapshot!("groups-140x16", picture(&mut model, 140, 16));
    insta::assert_snapshot!("groups-80x16", picture(&mut model, 80, 16));
}

#[test]
fn a_search_with_marks() {
    let mut model = on_failed();
    let asked = press(&mut model, "/refused");
    let [Effect::Send(request)] = asked.as_slice() else {
        panic!("one question at a time: {asked:?}")
    };
    let mut found = sample::failed();
    found.events.drain(..3);
    answer(&mut model, request.clone(), Ok(Reply::Failed(found)));
    insta::assert_snapshot!("search-typing", picture(&mut model, 110, 16));
    press(&mut model, "⏎j  ");
    insta::assert_snapshot!("search-marked", picture(&mut model, 110, 16));
}

#[test]
fn a_failed_event() {
    let mut model = on_failed();
    press(&mut model, "⏎");
    let id = "0b5e55ed0000".to_owned();
    let detail = Box::new(sample::hostile_detail());
    answer(
        &mut model,
        Request::FailedShow { id },
        Ok(Reply::Event(detail)),
    );
    insta::assert_snapshot!(picture(&mut model, 100, 42));
}

#[test]
fn tasks() {
    let mut model = sample::live();
    press(&mut model, "3");
    let asked = Request::TaskList {
        pattern: Some("internal-handoff".to_owned()),
    };
    answer(&mut model, asked, Ok(Reply::Tasks(sample::tasks())));
    insta::assert_snapshot!("tasks", picture(&mut model, 100, 16));
    press(&mut model, "n⏎");
    insta::assert_snapshot!("task-form", picture(&mut model, 100, 20));
}

#[test]
fn operations() {
    let mut model = sample::live();
    press(&mut model, "4");
    insta::assert_snapshot!("operations-burst", picture(&mut model, 110, 26));
    press(&mut model, "j");
    insta::assert_snapshot!("operations-redrive", picture(&mut model, 110, 26));
}

#[test]
fn redrive_asks() {
    let mut model = sample::live();
    press(&mut model, "r");
    insta::assert_snapshot!("planning", picture(&mut model, 100, 24));
    answer(
        &mut model,
        plan_request(),
        Ok(Reply::Plan(Box::new(sample::plan()))),
    );
    insta::assert_snapshot!("confirm-redrive", picture(&mut model, 100, 24));
}

#[test]
fn an_edited_redrive_asks() {
    let mut model = sample::live();
    press(&mut model, "r");
    let plan = Ok(Reply::Plan(Box::new(sample::edited_plan())));
    answer(&mut model, plan_request(), plan);
    insta::assert_snapshot!("confirm-edited", picture(&mut model, 100, 42));
    sample::draw(&mut model, 80, 20);
    press(&mut model, "G");
    insta::assert_snapshot!("confirm-edited-scrolled", picture(&mut model, 80, 20));
    press(&mut model, "o");
    insta::assert_snapshot!("options-form", picture(&mut model, 100, 26));
    press(&mut model, "⇥⇥⇥⇥");
    insta::assert_snapshot!("options-form-small", picture(&mut model, 60, 16));
}

#[test]
fn taking_back_asks() {
    let mut model = sample::live();
    let mut snapshot = sample::snapshot();
    let mut redrive = sample::redrive();
    redrive.settled = 3;
    snapshot.operations[1] = Operation::Redrive(redrive);
    update(&mut model, Message::Snapshot(Box::new(snapshot)));
    let asked = press(&mut model, "4ju");
    let [Effect::Send(request)] = asked.as_slice() else {
        panic!("{asked:?}")
    };
    let plan = Ok(Reply::Plan(Box::new(sample::take_back_plan())));
    answer(&mut model, request.clone(), plan);
    insta::assert_snapshot!("confirm-take-back", picture(&mut model, 100, 26));
}

#[test]
fn outcomes_of_a_redrive() {
    let mut model = sample::live();
    press(&mut model, "4j");
    insta::assert_snapshot!("outcomes-asking", {
        let mut asking = model.clone();
        press(&mut asking, "⏎");
        picture(&mut asking, 80, 20)
    });
    let mut asked = press(&mut model, "⏎");
    for page in [sample::outcomes(), Vec::new()] {
        let [Effect::Send(request)] = asked.as_slice() else {
            panic!("{asked:?}")
        };
        let request = request.clone();
        asked = answer(&mut model, request, Ok(Reply::Outcomes(page)));
    }
    insta::assert_snapshot!("outcomes-130x26", picture(&mut model, 130, 26));
    insta::assert_snapshot!("outcomes-60x16", picture(&mut model, 60, 16));
}

#[test]
fn a_ramp_that_waits() {
    let mut model = sample::live();
    let mut snapshot = sample::snapshot();
    snapshot.operations = vec![Operation::Redrive(sample::ramping())];
    update(&mut model, Message::Snapshot(Box::new(snapshot)));
    insta::assert_snapshot!("ramp-overview", picture(&mut model, 130, 36));
    press(&mut model, "4");
    insta::assert_snapshot!("ramp-operations", picture(&mut model, 110, 26));
    insta::assert_snapshot!("ramp-operations-small", picture(&mut model, 60, 16));
}

#[test]
fn an_event_that_came_back() {
    let mut model = on_failed();
    let mut list = sample::failed();
    list.events[1].redrive_count = 2;
    answer(&mut model, failed_list(), Ok(Reply::Failed(list)));
    insta::assert_snapshot!("failed-returned", picture(&mut model, 110, 16));
    press(&mut model, "⏎");
    let mut detail = sample::hostile_detail();
    detail.event.redrive_count = 2;
    detail.original = Some(serde_json::json!({"type": "task_created"}));
    let id = "0b5e55ed0000".to_owned();
    let shown = Ok(Reply::Event(Box::new(detail)));
    answer(&mut model, Request::FailedShow { id }, shown);
    insta::assert_snapshot!("detail-returned", picture(&mut model, 100, 48));
}

#[test]
fn a_hindered_redrive_asks() {
    let mut model = sample::live();
    press(&mut model, "r");
    let plan = Ok(Reply::Plan(Box::new(sample::hindered_plan())));
    answer(&mut model, plan_request(), plan);
    insta::assert_snapshot!("confirm-hindered", picture(&mut model, 100, 28));
    insta::assert_snapshot!("confirm-hindered-small", picture(&mut model, 60, 16));
}

#[test]
fn burst_asks() {
    let mut model = sample::live();
    press(&mut model, "b⏎");
    insta::assert_snapshot!("confirm-burst", picture(&mut model, 100, 24));
    press(&mut model, "⎋");
    insta::assert_snapshot!("burst-form", picture(&mut model, 100, 24));
}

#[test]
fn break_and_heal_ask() {
    let mut model = sample::live();
    // Behind the queues: the fifth function of the first stack.
    press(&mut model, "jjjjjjjx");
    insta::assert_snapshot!(picture(&mut model, 100, 24));
}

#[test]
fn a_choice_of_targets() {
    let mut model = sample::live();
    let mut snapshot = sample::snapshot();
    let other = patterns_core::failed::Origin {
        name: "another-function".to_owned(),
        ..sample::handoff_origin()
    };
    snapshot.queues[0].origins.push(other);
    update(&mut model, Message::Snapshot(Box::new(snapshot)));
    press(&mut model, "r");
    let conflict = Problem::new(
        ProblemKind::Ambiguous,
        "the route is ambiguous",
        "two origins",
        "use --to",
    );
    answer(&mut model, plan_request(), Err(conflict));
    insta::assert_snapshot!(picture(&mut model, 100, 24));
}

#[test]
fn help() {
    let mut model = sample::live();
    press(&mut model, "?");
    insta::assert_snapshot!(picture(&mut model, 120, 34));
}

#[test]
fn notices() {
    let mut model = sample::live();
    model.inform("Redrive of internal-handoff-failures started: 14 events");
    model.complain(&sample::problem());
    insta::assert_snapshot!(picture(&mut model, 80, 20));
}

#[test]
fn no_daemon() {
    let mut model = sample::started();
    insta::assert_snapshot!("connecting", picture(&mut model, 80, 16));
    let problem = Problem::new(
        ProblemKind::Unreachable,
        "cannot reach the daemon at /run/patterns/daemon.sock",
        "there is no such socket: no daemon runs, or it listens elsewhere",
        "start it:\n  systemctl start patterns-daemon\n  patterns-daemon --socket /run/patterns/daemon.sock\n\
         or start the whole system on this machine, without AWS:\n  cargo run --release",
    );
    update(
        &mut model,
        Message::Lost {
            problem: Box::new(problem),
            retry_in: Duration::from_secs(2),
        },
    );
    insta::assert_snapshot!("missing", picture(&mut model, 80, 20));
}

#[test]
fn every_screen_and_layer_at_every_size() {
    let mut layered = on_failed();
    press(&mut layered, "⏎");
    let id = "0b5e55ed0000".to_owned();
    let detail = Box::new(sample::hostile_detail());
    answer(
        &mut layered,
        Request::FailedShow { id },
        Ok(Reply::Event(detail)),
    );
    let mut confirm = sample::live();
    press(&mut confirm, "b⏎");
    let mut form = sample::live();
    press(&mut form, "3n");
    let mut help = sample::live();
    press(&mut help, "?");
    let mut groups = on_failed();
    press(&mut groups, "v");
    let mut search = on_failed();
    press(&mut search, "/漢字");
    let mut edited = sample::live();
    press(&mut edited, "r");
    let plan = Ok(Reply::Plan(Box::new(sample::edited_plan())));
    answer(&mut edited, plan_request(), plan);
    let mut options = edited.clone();
    press(&mut options, "o");
    let mut outcomes = sample::live();
    press(&mut outcomes, "4j⏎");
    let mut models = vec![
        edited,
        options,
        outcomes,
        sample::started(),
        layered,
        confirm,
        form,
        help,
        groups,
        search,
    ];
    for screen in Screen::ALL {
        models.push(Model {
            screen,
            ..on_failed()
        });
    }
    for model in &mut models {
        for (width, height) in [
            (1, 1),
            (2, 1),
            (1, 5),
            (40, 10),
            (59, 16),
            (60, 15),
            (60, 16),
            (80, 24),
            (200, 50),
            (300, 16),
            (60, 100),
        ] {
            sample::draw(model, width, height);
        }
    }
    let small = picture(&mut sample::live(), 40, 3);
    assert!(small.contains("40x3, needs 60x16"), "{small}");
}

#[test]
fn an_account_without_anything() {
    let mut model = sample::live();
    let mut empty = sample::snapshot();
    empty.queues.clear();
    empty.functions.clear();
    empty.operations.clear();
    update(&mut model, Message::Snapshot(Box::new(empty)));
    insta::assert_snapshot!(picture(&mut model, 100, 16));
}
