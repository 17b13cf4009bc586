//! A model as it looks in the middle of a day, for tests.

pub mod daemon;

use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::{SignedDuration, Timestamp};
use patterns_core::audit::Outcome;
use patterns_core::failed::{
    FailedDetail, FailedEvent, FailedGroups, FailedList, Group, HistoryEntry, LogLine, Origin,
    OriginKind,
};
use patterns_core::function::Function;
use patterns_core::operation::{
    Burst, Edit, Edited, LatencyMs, Level, Lint, Manner, Operation, OperationState, Outlook, Plan,
    Redrive, Selection, Step, Verification,
};
use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::protocol::{Hello, PROTOCOL, Reply, Request};
use patterns_core::queue::{Queue, QueueRole};
use patterns_core::snapshot::Snapshot;
use patterns_core::task::Task;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

use crate::effect::Effect;
use crate::message::Message;
use crate::model::Model;
use crate::theme::Theme;
use crate::update::update;
use crate::view;

/// The moment all pictures are taken at.
pub fn now() -> Timestamp {
    "2027-01-31T12:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

fn queue(name: &str, role: QueueRole, visible: u64, in_flight: u64) -> Queue {
    Queue {
        name: name.to_owned(),
        arn: format!("arn:aws:sqs:us-east-1:000000000000:{name}"),
        role,
        visible,
        in_flight,
        delayed: 0,
        oldest_age_seconds: (visible > 0).then_some(42),
        dead_letter_queue: None,
        origins: Vec::new(),
        mirrored: (role == QueueRole::DeadLetter).then_some(visible),
        as_of: ago(2),
    }
}

fn function(name: &str, pattern: &str, invocations: u64) -> Function {
    Function {
        name: name.to_owned(),
        arn: format!("arn:aws:lambda:us-east-1:000000000000:function:{name}"),
        invocations,
        errors: 0,
        throttles: 0,
        duration_p95_ms: (invocations > 0).then_some(12.3),
        concurrent: u64::from(invocations > 0),
        window_seconds: 300,
        pattern: Some(pattern.to_owned()),
        delivery_fail_rate: None,
        dead_letter_queue: None,
        as_of: Some(ago(12)),
    }
}

/// Where the failed events of the internal handoff come from.
pub fn handoff_origin() -> Origin {
    Origin {
        kind: OriginKind::Function,
        name: "internal-handoff-send-notification".to_owned(),
    }
}

/// Two stacks; 14 and 3 failed events; a burst at work, and a redrive that ended.
pub fn snapshot() -> Snapshot {
    let mut handoff = queue("internal-handoff-failures", QueueRole::DeadLetter, 14, 0);
    handoff.origins = vec![handoff_origin()];
    let mut notifications = queue("queue-leveling-notifications", QueueRole::Source, 212, 50);
    notifications.dead_letter_queue = Some("queue-leveling-notifications-dlq".to_owned());
    let mut leveling = queue(
        "queue-leveling-notifications-dlq",
        QueueRole::DeadLetter,
        3,
        0,
    );
    leveling.origins = vec![Origin {
        kind: OriginKind::Queue,
        name: "queue-leveling-notifications".to_owned(),
    }];
    let mut functions: Vec<Function> = Vec::new();
    for (pattern, invocations) in [("internal-handoff", 42), ("queue-leveling", 290)] {
        for task in ["create-task", "delete-task", "get-task", "list-tasks"] {
            let invocations = if task == "create-task" {
                invocations
            } else {
                0
            };
            functions.push(function(&format!("{pattern}-{task}"), pattern, invocations));
        }
        let mut send = function(
            &format!("{pattern}-send-notification"),
            pattern,
            invocations * 3,
        );
        send.delivery_fail_rate = Some("0".to_owned());
        if pattern == "internal-handoff" {
            send.delivery_fail_rate = Some("1".to_owned());
            send.errors = invocations * 3;
        }
        functions.push(send);
        functions.push(function(&format!("{pattern}-update-task"), pattern, 0));
    }
    Snapshot {
        as_of: ago(2),
        account_id: "000000000000".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint_url: Some("http://127.0.0.1:4566".to_owned()),
        read_only: false,
        patterns: vec!["internal-handoff".to_owned(), "queue-leveling".to_owned()],
        queues: vec![handoff, notifications, leveling],
        functions,
        operations: vec![Operation::Burst(burst()), Operation::Redrive(redrive())],
        problems: Vec::new(),
        notes: Vec::new(),
    }
}

/// A burst at work.
pub fn burst() -> Burst {
    Burst {
        operation_id: "burst-7c1f".to_owned(),
        state: OperationState::Running,
        pattern: "queue-leveling".to_owned(),
        count: 500,
        requested_rate: 100.0,
        achieved_rate: 99.2,
        sent: 290,
        failed: 0,
        shortfall: 0,
        latency_ms: LatencyMs {
            p50: 3.1,
            p90: 6.4,
            p99: 18.0,
            p999: 44.0,
            max: 51.2,
        },
        errors: std::collections::BTreeMap::new(),
        started_at: ago(3),
        ended_at: None,
    }
}

/// A redrive that ended with one event in doubt.
pub fn redrive() -> Redrive {
    Redrive {
        operation_id: "redrive-51aa".to_owned(),
        plan_id: "plan-51aa".to_owned(),
        state: OperationState::Completed,
        dead_letter_queue: "queue-leveling-notifications-dlq".to_owned(),
        target: Origin {
            kind: OriginKind::Queue,
            name: "queue-leveling-notifications".to_owned(),
        },
        planned: 20,
        sent: 18,
        deleted: 18,
        failed: 1,
        skipped: 1,
        settled: 15,
        returned: 3,
        returned_alike: 3,
        taken_back: 0,
        moved: None,
        unverified: None,
        step: None,
        reason: None,
        requested_by: None,
        in_doubt: vec!["c0ffee000001".to_owned()],
        in_doubt_count: 1,
        error: Some("1 event is larger than SQS accepts".to_owned()),
        started_at: Some(ago(3_700)),
        ended_at: Some(ago(3_695)),
    }
}

/// A plan for everything in the handoff's failure queue.
pub fn plan() -> Plan {
    Plan {
        plan_id: "plan-1".to_owned(),
        dead_letter_queue: "internal-handoff-failures".to_owned(),
        target: handoff_origin(),
        elsewhere: false,
        manner: Manner::default(),
        selection: Selection::Everything,
        edit: None,
        edits: Vec::new(),
        takes_back: None,
        planned: 14,
        steps: Vec::new(),
        verification: Verification::default(),
        account_id: "000000000000".to_owned(),
        region: "us-east-1".to_owned(),
        expires_at: now() + SignedDuration::from_mins(5),
        outlook: Outlook {
            expected_seconds: 1,
            expected_calls: 18,
            lint: Vec::new(),
        },
    }
}

/// One that something speaks against.
pub fn hindered_plan() -> Plan {
    let lint = |level, what: &str, why: &str, fix: &str| Lint {
        level,
        what: what.to_owned(),
        why: why.to_owned(),
        fix: fix.to_owned(),
        forcible: true,
    };
    let name = handoff_origin().name;
    let mut plan = plan();
    plan.outlook.lint = vec![
        lint(
            Level::Stop,
            &format!("the function {name} may not run: its reserved concurrency is 0"),
            "Lambda sends the events straight back without a try",
            &format!("aws lambda delete-function-concurrency --function-name {name}"),
        ),
        lint(
            Level::Warning,
            "SQS deletes some of the events before the redrive would end",
            "the oldest is deleted at 2027-01-31T12:00:00Z",
            "redrive the oldest first, with --until",
        ),
    ];
    plan
}

/// One that edits the first event, in steps.
pub fn edited_plan() -> Plan {
    let before = serde_json::json!({
        "type": "task_created",
        "task": {"id": "5b0e", "title": "Buy coffee", "assignee": "nobody@example.com", "isComplete": false},
    });
    let mut after = before.clone();
    after["task"]["assignee"] = "ann@example.com".into();
    let text = |value| serde_json::to_string_pretty(value).unwrap();
    Plan {
        edit: Some(Edit::Patch(serde_json::json!([
            {"op": "replace", "path": "/task/assignee", "value": "ann@example.com"}
        ]))),
        edits: vec![Edited {
            id: event(0).id,
            before: text(&before),
            after: text(&after),
        }],
        planned: 30,
        steps: vec![5, 25],
        verification: Verification {
            window_seconds: Some(90),
            returns_to: vec!["internal-handoff-failures".to_owned()],
            ..Verification::default()
        },
        ..plan()
    }
}

/// One that takes back what a redrive sent.
pub fn take_back_plan() -> Plan {
    Plan {
        plan_id: "plan-2".to_owned(),
        dead_letter_queue: "queue-leveling-notifications".to_owned(),
        target: Origin {
            kind: OriginKind::Queue,
            name: "queue-leveling-notifications-dlq".to_owned(),
        },
        takes_back: Some("redrive-51aa".to_owned()),
        planned: 12,
        ..plan()
    }
}

/// A redrive in its third step.
pub fn ramping() -> Redrive {
    Redrive {
        operation_id: "redrive-62bb".to_owned(),
        state: OperationState::Running,
        planned: 412,
        sent: 31,
        deleted: 31,
        failed: 0,
        skipped: 0,
        settled: 6,
        returned: 0,
        returned_alike: 0,
        step: Some(Step {
            number: 3,
            size: 25,
            waits: Some(
                "the 90 s window has passed or queue-leveling-notifications is proven empty"
                    .to_owned(),
            ),
        }),
        reason: Some("the mail server is back".to_owned()),
        requested_by: Some(1000),
        in_doubt: Vec::new(),
        in_doubt_count: 0,
        error: None,
        ended_at: None,
        ..redrive()
    }
}

/// What became of four events of the redrive.
pub fn outcomes() -> Vec<Outcome> {
    let outcome = |number: u32, state: &str| Outcome {
        message_id: format!("5fea7756-0ea4-451a-a703-a558b934{number:04x}"),
        id: format!("0b5e55ed{number:04x}"),
        state: state.to_owned(),
        in_doubt: false,
        new_id: Some(format!("9d1c2f3a-1111-4222-8333-a558b935{number:04x}")),
        returned_as: None,
        reason: None,
        sent_at: Some(ago(3_698)),
    };
    vec![
        outcome(1, "settled"),
        Outcome {
            returned_as: Some("c0ffee000002".to_owned()),
            reason: Some("DeliveryFailed: the mail server refused the notification".to_owned()),
            ..outcome(2, "returned")
        },
        Outcome {
            in_doubt: true,
            ..outcome(3, "deleted")
        },
        Outcome {
            new_id: None,
            sent_at: None,
            reason: Some("it is larger than SQS accepts".to_owned()),
            ..outcome(4, "failed")
        },
    ]
}

/// One failed event of the handoff.
pub fn event(number: u32) -> FailedEvent {
    FailedEvent {
        id: format!("a1b2c3d4{number:04x}"),
        message_id: format!("5fea7756-0ea4-451a-a703-a558b933{number:04x}"),
        dead_letter_queue: "internal-handoff-failures".to_owned(),
        origin: Some(handoff_origin()),
        correlation_id: Some(format!("task_created-{number}")),
        error_type: Some("DeliveryFailed".to_owned()),
        error_message: Some("the mail server refused the notification".to_owned()),
        signature: "DeliveryFailed: the mail server refused the notification".to_owned(),
        sent_at: ago(60 + i64::from(number)),
        expires_at: Some(now() + SignedDuration::from_hours(24 * 14)),
        receive_count: 3,
        redrive_count: 0,
        seen_at: ago(30),
    }
}

/// All failed events: three that a redrive policy moved, then those of the handoff.
pub fn failed() -> FailedList {
    let mut events: Vec<FailedEvent> = (0..3)
        .map(|number| FailedEvent {
            id: format!("0b5e55ed{number:04x}"),
            dead_letter_queue: "queue-leveling-notifications-dlq".to_owned(),
            origin: Some(Origin {
                kind: OriginKind::Queue,
                name: "queue-leveling-notifications".to_owned(),
            }),
            error_type: None,
            error_message: None,
            signature: "no error recorded".to_owned(),
            sent_at: ago(20 + i64::from(number)),
            ..event(number)
        })
        .collect();
    events.extend((0..14).map(event));
    FailedList {
        dead_letter_queue: None,
        origin: None,
        mirrored: 17,
        approximate_total: 17,
        events,
    }
}

/// The same by signature.
pub fn groups() -> FailedGroups {
    let groups = [event(0), failed().events.remove(0)].map(|event| Group {
        signature: event.signature,
        error_type: event.error_type,
        sample_message: event.error_message,
        count: if event.dead_letter_queue == "internal-handoff-failures" {
            14
        } else {
            3
        },
        first_seen: ago(73),
        last_seen: event.sent_at,
        origin: event.origin,
        dead_letter_queue: event.dead_letter_queue,
    });
    FailedGroups {
        dead_letter_queue: None,
        mirrored: 17,
        approximate_total: 17,
        groups: groups.into(),
    }
}

/// A failed event whose text would take over a terminal, as it leaves the client.
pub fn hostile_detail() -> FailedDetail {
    let mut value = serde_json::to_value(FailedDetail {
        event: FailedEvent {
            error_message: Some("\u{1b}]0;owned\u{7} refused".to_owned()),
            ..event(0)
        },
        text: None,
        original: None,
        payload: serde_json::json!({
            "type": "task_created",
            "task": {"id": "5b0e", "title": "\u{1b}[2J\u{1b}[1;1Hgone", "\u{202e}detail": "a\nb"},
        }),
        attributes: [
            ("ApproximateReceiveCount".to_owned(), "1".to_owned()),
            ("SentTimestamp".to_owned(), "1801396740000".to_owned()),
        ]
        .into(),
        logs: vec![LogLine {
            at: ago(61),
            message: "ERROR delivery failed \u{9b}31m".to_owned(),
        }],
        history: vec![HistoryEntry {
            at: ago(10),
            operation_id: "redrive-51aa".to_owned(),
            state: "failed".to_owned(),
            note: Some("TooManyRequestsException".to_owned()),
        }],
    })
    .unwrap();
    patterns_core::text::make_visible(&mut value);
    serde_json::from_value(value).unwrap()
}

/// Two tasks.
pub fn tasks() -> Vec<Task> {
    let task = |number: u32, title: &str, done| Task {
        id: format!("3f0c9a54-6f35-4a0e-9d39-1b8ad2c4{number:04}"),
        title: title.to_owned(),
        detail: (number == 1).then(|| "with milk".to_owned()),
        due_at: (number == 1).then(|| now() + SignedDuration::from_hours(1)),
        is_complete: done,
        created_at: ago(i64::from(number) * 90),
        updated_at: ago(1),
    };
    vec![task(1, "Buy coffee", false), task(2, "漢字の件名", true)]
}

/// A refusal with every part.
pub fn problem() -> Problem {
    Problem::new(
        ProblemKind::Upstream,
        "cannot start the burst",
        "the API of queue-leveling answered 503",
        "check that the stack is deployed",
    )
}

/// What the daemon says of itself.
pub fn hello() -> Hello {
    Hello {
        protocol: PROTOCOL,
        version: "0.1.0".to_owned(),
        pid: 4242,
        started_at: ago(100),
        state_dir: "/var/lib/patterns".to_owned(),
        account_id: Some("000000000000".to_owned()),
        region: Some("us-east-1".to_owned()),
        endpoint_url: None,
        read_only: false,
    }
}

/// A dashboard that nobody has answered yet.
pub fn started() -> Model {
    Model::new(PathBuf::from("/run/patterns/daemon.sock"), now())
}

/// A dashboard that is connected and has seen a backlog grow for half a minute.
pub fn live() -> Model {
    let mut model = started();
    model.now = ago(33);
    update(&mut model, Message::Connected(Box::new(hello())));
    for second in 0..32 {
        let mut earlier = snapshot();
        earlier.queues[1].visible = second * 7;
        update(&mut model, Message::Snapshot(Box::new(earlier)));
        update(
            &mut model,
            Message::Tick(ago(32 - i64::try_from(second).unwrap())),
        );
    }
    update(&mut model, Message::Snapshot(Box::new(snapshot())));
    update(&mut model, Message::Tick(now()));
    model
}

/// Presses keys one after another; what they led to. `⏎`, `⎋`, `⇥` and `↓` stand for the keys they show.
pub fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    keys.chars()
        .flat_map(|c| {
            let code = match c {
                '⏎' => KeyCode::Enter,
                '⎋' => KeyCode::Esc,
                '⇥' => KeyCode::Tab,
                '↓' => KeyCode::Down,
                '⌫' => KeyCode::Backspace,
                c => KeyCode::Char(c),
            };
            update(model, Message::Key(KeyEvent::new(code, KeyModifiers::NONE)))
        })
        .collect()
}

/// The daemon's answer.
pub fn answer(model: &mut Model, request: Request, answer: Result<Reply, Problem>) -> Vec<Effect> {
    update(model, Message::Replied(request, Box::new(answer)))
}

/// What is on a screen of that size.
pub fn draw(model: &mut Model, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let mut extent = model.extent;
    terminal
        .draw(|frame| extent = view::draw(frame, model, Theme::new(true)))
        .unwrap();
    update(model, Message::Drawn(extent));
    terminal.backend().buffer().clone()
}

/// The same as text, one line a row.
pub fn picture(model: &mut Model, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| {
            view::draw(frame, model, Theme::new(false));
        })
        .unwrap();
    terminal.backend().to_string()
}
