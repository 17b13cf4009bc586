use patterns_core::problem::ProblemKind;

use super::*;

fn to(kind: OriginKind) -> Facts {
    Facts {
        now: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24),
        target: Origin {
            kind,
            name: "target".to_owned(),
        },
        planned: 100,
        held: 1000,
        selection: Selection::Everything,
        retention_seconds: 86_400 * 14,
        load: Load {
            mirrored: 100,
            oldest: Some(Timestamp::UNIX_EPOCH),
            ..Load::default()
        },
        largest: Some(1024),
        visibility_seconds: (kind == OriginKind::Queue).then_some(60),
        consumers: vec![Consumer {
            function: "consumer".to_owned(),
            mapping: (kind == OriginKind::Queue)
                .then(|| ("uuid-1".to_owned(), "Enabled".to_owned())),
            batch: 10,
            timeout_seconds: Some(10),
            reserved: None,
            revision: None,
        }],
        moving: false,
        denied: None,
        unknown: Vec::new(),
        verification: Verification::default(),
        looping: Looping::default(),
    }
}

fn expected(facts: &Facts) -> Outlook {
    outlook(facts, &Manner::default(), 0)
}

fn said(facts: &Facts) -> Vec<(Level, bool, String)> {
    let lint = expected(facts).lint;
    for one in &lint {
        assert!(!one.what.is_empty() && !one.why.is_empty(), "{one:?}");
    }
    lint.into_iter()
        .map(|lint| {
            (
                lint.level,
                lint.forcible,
                format!("{} {} {}", lint.what, lint.why, lint.fix),
            )
        })
        .collect()
}

#[test]
fn nothing_speaks_against_a_sound_redrive() {
    for kind in [OriginKind::Queue, OriginKind::Function] {
        assert_eq!(said(&to(kind)), []);
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "one row for each danger")]
fn each_danger_is_named_with_what_to_do() {
    use OriginKind::{Function, Queue};
    type Change = fn(&mut Facts);
    let denied = || {
        Problem::new(
            ProblemKind::Upstream,
            "may not invoke",
            "AccessDenied",
            "allow lambda:InvokeFunction",
        )
    };
    let cases: [(OriginKind, Change, Level, bool, &str); 12] = [
        (
            Queue,
            |facts| facts.moving = true,
            Level::Stop,
            false,
            "cancel-message-move-task",
        ),
        (
            Queue,
            |facts| facts.consumers[0].mapping = Some(("uuid-1".to_owned(), "Disabled".to_owned())),
            Level::Stop,
            true,
            "--uuid uuid-1 --enabled",
        ),
        (
            Function,
            |facts| {
                facts.looping = Looping {
                    events: 4,
                    one: Some(("0123456789ab".to_owned(), "Boom at line #".to_owned())),
                };
            },
            Level::Stop,
            true,
            "4 of the events came back 3 times",
        ),
        (
            Queue,
            |facts| facts.consumers.clear(),
            Level::Note,
            false,
            "no function consumes target",
        ),
        (
            Queue,
            |facts| facts.consumers[0].reserved = Some(0),
            Level::Stop,
            true,
            "untried",
        ),
        (
            Function,
            |facts| facts.consumers[0].reserved = Some(0),
            Level::Stop,
            true,
            "delete-function-concurrency --function-name consumer",
        ),
        (
            Queue,
            |facts| facts.load.too_large = 3,
            Level::Warning,
            false,
            "MaximumMessageSize of target",
        ),
        (
            Function,
            |facts| facts.load.too_large = 100,
            Level::Stop,
            false,
            "at most 1024 bytes",
        ),
        (
            Queue,
            |facts| facts.retention_seconds = 86_400,
            Level::Warning,
            false,
            "1970-01-02T00:00:00Z",
        ),
        (
            Queue,
            |facts| facts.load.traced = 7,
            Level::Warning,
            false,
            "7 of the events",
        ),
        (
            Queue,
            |facts| facts.visibility_seconds = Some(9),
            Level::Warning,
            false,
            "at least 60 s",
        ),
        (
            Queue,
            |facts| {
                facts.unknown.push(Problem::new(
                    ProblemKind::Upstream,
                    "cannot ask",
                    "denied",
                    "allow it",
                ));
            },
            Level::Note,
            false,
            "cannot ask",
        ),
    ];
    for (kind, change, level, forcible, part) in cases {
        let mut facts = to(kind);
        change(&mut facts);
        let said = said(&facts);
        let [(a, b, text)] = said.as_slice() else {
            panic!("{part}: {said:?}")
        };
        assert!(
            *a == level && *b == forcible && text.contains(part),
            "{part}: {said:?}"
        );
    }
    let mut facts = to(Function);
    facts.denied = Some(denied());
    facts.unknown.push(denied());
    let levels: Vec<_> = said(&facts).into_iter().map(|(level, ..)| level).collect();
    assert_eq!(levels, [Level::Stop, Level::Note], "the worst first");
}

#[test]
fn one_consumer_that_listens_is_enough() {
    let mut facts = to(OriginKind::Queue);
    let mut other = facts.consumers[0].clone();
    other.mapping = Some(("uuid-2".to_owned(), "Disabled".to_owned()));
    facts.consumers.push(other);
    assert_eq!(said(&facts), []);
}

#[test]
fn what_is_reserved_limits_how_much_goes_at_once() {
    let mut facts = to(OriginKind::Queue);
    assert_eq!(facts.at_once(), None);
    let mut other = facts.consumers[0].clone();
    other.reserved = Some(3);
    facts.consumers.push(other);
    assert_eq!(facts.at_once(), Some(30));
    facts.consumers[0].reserved = Some(1);
    assert_eq!(facts.at_once(), Some(10));
    facts.consumers[0].mapping = None;
    assert_eq!(
        facts.at_once(),
        Some(30),
        "an invoked function waits for its turn"
    );
}

#[test]
fn calls_and_time_are_estimated() {
    let calls = |facts: &Facts| expected(facts).expected_calls;
    let mut facts = to(OriginKind::Queue);
    assert_eq!(calls(&facts), 10 + 10 + 10);
    facts.selection = Selection::Chosen(Vec::new());
    assert_eq!(calls(&facts), 100 + 10 + 10, "the others are received, too");
    let mut facts = to(OriginKind::Function);
    assert_eq!(calls(&facts), 10 + 100 + 10);
    facts.planned = 1_000_000;
    assert_eq!(expected(&facts).expected_seconds, 1500);
}

#[test]
fn rate_and_steps_take_their_time_and_retention_has_to_last_twice_as_long() {
    let mut facts = to(OriginKind::Queue);
    let seconds =
        |facts: &Facts, manner: &Manner, steps| outlook(facts, manner, steps).expected_seconds;
    let as_fast = Manner::default();
    assert_eq!(seconds(&facts, &as_fast, 0), 1);
    let slow = Manner {
        rate: Some(0.5),
        ..Manner::default()
    };
    assert_eq!(seconds(&facts, &slow, 0), 200);
    facts.verification.window_seconds = Some(90);
    assert_eq!(seconds(&facts, &slow, 4), 200 + 3 * 90);
    facts.verification.window_seconds = None;
    assert_eq!(seconds(&facts, &as_fast, 2), 1 + 300, "nobody can see them");
    let lowest = Manner {
        rate: Some(f64::MIN_POSITIVE),
        ..Manner::default()
    };
    assert_eq!(seconds(&facts, &lowest, 2), u64::MAX);

    // The oldest has been there for a day.
    let warned = |facts: &Facts| !outlook(facts, &slow, 0).lint.is_empty();
    facts.retention_seconds = 86_400 + 2 * 200;
    assert!(!warned(&facts));
    facts.retention_seconds -= 1;
    assert!(warned(&facts));
}

#[test]
fn a_loop_without_a_recorded_error_is_none_with_the_same_error() {
    let mut facts = to(OriginKind::Queue);
    facts.looping = Looping {
        events: 4,
        one: Some(("0123456789ab".to_owned(), NO_ERROR.to_owned())),
    };
    let said = said(&facts);
    assert!(
        said[0]
            .2
            .starts_with("4 of the events came back 3 times or more, and no error is recorded")
    );
}
