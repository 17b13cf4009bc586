use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn seen(step: u32, sent: u64, now: Instant) -> Seen {
    Seen {
        step,
        sent,
        sent_at: now,
        window: Some(SECOND * 90),
        returned: 0,
        returned_alike: 0,
        late: 0,
        looked: None,
        look_from: now,
        grown: Some(0),
        target: Some(backlog(0, 0, 0)),
        consumers: Vec::new(),
    }
}

fn backlog(before: u64, now: u64, empty: u32) -> Backlog {
    Backlog {
        queue: "orders".to_owned(),
        before,
        now,
        empty,
        age_seconds: None,
    }
}

fn rise(errors: u64, throttles: u64) -> Vec<Rise> {
    vec![Rise {
        function: "notify".to_owned(),
        errors,
        errors_before: 0,
        throttles,
    }]
}

proptest! {
    #[test]
    fn steps_grow_and_are_the_whole_plan(
        planned in prop_oneof![0_u64..5_000, 0_u64..3_000_000],
        at_once in proptest::option::of(1_u64..5_000),
    ) {
        let steps = steps(planned, &Manner::default(), false, at_once);
        if planned <= RAMPED_ABOVE {
            prop_assert!(steps.is_empty());
            return Ok(());
        }
        prop_assert_eq!(steps.iter().sum::<u64>(), planned);
        prop_assert_eq!(steps[0], 1);
        prop_assert!(steps[..steps.len() - 1].is_sorted(), "{:?}", steps);
        let most = at_once.unwrap_or(u64::MAX).max(planned.div_ceil(STEPS_MAX));
        prop_assert!(steps.iter().all(|step| *step <= most));
        prop_assert!(u64::try_from(steps.len()).unwrap() <= STEPS_MAX + 10);
    }

    #[test]
    fn wherever_a_run_ended_the_next_takes_no_more_than_the_step_there(
        planned in 21_u64..100_000,
        at_once in proptest::option::of(1_u64..500),
        thousandths in 0_u64..=1000,
    ) {
        let steps = steps(planned, &Manner::default(), false, at_once);
        let done = planned * thousandths / 1000;
        let place = Place::after(&steps, done);
        let step = steps[place.index];
        prop_assert_eq!(place.before + place.size, step);
        prop_assert_eq!(steps[..place.index].iter().sum::<u64>() + place.before, done);
        if place.size == 0 {
            let largest = steps[..=place.index].iter().max().copied();
            prop_assert_eq!(Some(place.next(&steps, false).size), largest, "the same again");
        }
        for slower in [false, true] {
            let next = place.next(&steps, slower);
            prop_assert!(next.size >= 1);
            prop_assert!(steps[..=next.index].iter().any(|step| next.size <= *step));
            prop_assert!(!slower || next.size <= (step / 2).max(1));
        }
    }

    #[test]
    fn nothing_advances_when_too_many_came_back(
        step in 1_u32..8,
        sent in 1_u64..1_000,
        returned in 0_u64..1_000,
        elapsed in 0_u32..1_000,
        looked in proptest::option::of((0_u32..1_000, any::<bool>())),
        grown in proptest::option::of(0_u64..1_000),
        depth in (0_u64..20, 0_u64..20, 0_u32..4),
        figures in (0_u64..20, 0_u64..20),
        window in proptest::option::of(1_u32..500),
    ) {
        let begin = Instant::now();
        let seen = Seen {
            window: window.map(|window| SECOND * window),
            returned,
            looked: looked.map(|(after, complete)| (begin + SECOND * after, complete)),
            grown,
            target: Some(backlog(depth.0, depth.1, depth.2)),
            consumers: rise(figures.0, figures.1),
            ..seen(step, sent, begin)
        };
        let verdict = decide(&seen, begin + SECOND * elapsed);
        if too_many(step, returned, sent) {
            prop_assert!(matches!(verdict, Verdict::Stop(_)), "{verdict:?}");
        }
        if matches!(verdict, Verdict::Advance | Verdict::Slower) {
            prop_assert!(seen.window.is_none() || seen.looked.is_some(), "nobody looked");
            prop_assert!(depth.1 <= depth.0 || depth.2 >= EMPTY_READINGS, "events may still wait");
            let complete = looked.is_some_and(|(_, complete)| complete);
            prop_assert!(seen.window.is_none() || complete || grown.is_some(), "nobody knows");
            prop_assert!(elapsed >= 60 || window.is_some_and(|window| elapsed >= window));
        }
        prop_assert!(figures.1 == 0 || verdict != Verdict::Advance, "throttled");
    }

    #[test]
    fn a_clean_step_advances_when_its_window_passed(
        step in 1_u32..8,
        sent in 1_u64..100_000,
        window in 1_u32..10_000,
        before in 0_u64..1_000,
        taken in 0_u64..1_000,
    ) {
        let begin = Instant::now();
        let now = begin + SECOND * window;
        let clean = Seen {
            window: Some(SECOND * window),
            target: Some(backlog(before, before.saturating_sub(taken), 0)),
            consumers: rise(0, 0),
            ..seen(step, sent, begin)
        };
        prop_assert_eq!(decide(&clean, now), Verdict::Look);
        let looked = Seen { looked: Some((now, true)), ..clean };
        prop_assert_eq!(decide(&looked, now), Verdict::Advance);
    }
}

#[test]
fn only_many_events_go_in_steps() {
    let manner = Manner::default();
    let none = Vec::<u64>::new();
    assert_eq!(steps(20, &manner, false, None), none);
    assert_eq!(steps(21, &manner, false, None), [1, 5, 15]);
    assert_eq!(
        steps(5000, &manner, false, None),
        [1, 5, 25, 125, 625, 4219]
    );
    assert_eq!(
        steps(60, &manner, false, Some(10)),
        [1, 5, 10, 10, 10, 10, 10, 4]
    );
    assert_eq!(steps(60, &manner, true, None), none);
    let all_at_once = Manner {
        all_at_once: true,
        ..Manner::default()
    };
    assert_eq!(steps(60, &all_at_once, false, None), none);
    let careful = Manner {
        careful: true,
        ..Manner::default()
    };
    assert_eq!(steps(60, &careful, false, None), none);
}

#[test]
fn a_slower_step_is_half_as_large_and_the_next_ones_grow_slowly() {
    let plan = [1, 5, 25, 125, 844];
    let mut place = Place::after(&plan, 0);
    let mut sizes = Vec::new();
    for slower in [false, false, false, true, false, false, true] {
        sizes.push(place.size);
        place = place.next(&plan, slower);
    }
    assert_eq!(sizes, [1, 5, 25, 125, 62, 124, 248]);
    assert_eq!(place.size, 124);
}

#[test]
fn an_empty_queue_proves_a_step_before_its_window_but_not_while_counts_may_be_wrong() {
    let begin = Instant::now();
    let empty = Seen {
        window: Some(Duration::from_mins(30)),
        target: Some(backlog(0, 0, 2)),
        looked: Some((begin + COUNTS_SETTLE, true)),
        ..seen(3, 25, begin)
    };
    assert_eq!(decide(&empty, begin + COUNTS_SETTLE), Verdict::Advance);
    let early = decide(&empty, begin + COUNTS_SETTLE / 2);
    let Verdict::Wait(until) = early else {
        panic!("{early:?}")
    };
    assert!(
        until.contains("1800 s") && until.contains("orders"),
        "{until}"
    );
    let once = Seen {
        target: Some(backlog(0, 0, 1)),
        ..empty
    };
    let verdict = decide(&once, begin + COUNTS_SETTLE);
    assert!(matches!(verdict, Verdict::Wait(_)), "{verdict:?}");
}

#[test]
fn throttles_wait_for_the_queue_to_be_empty_and_then_slow_down() {
    let begin = Instant::now();
    let now = begin + SECOND * 100;
    let throttled = Seen {
        target: Some(backlog(10, 4, 0)),
        looked: Some((now, true)),
        consumers: rise(0, 2),
        ..seen(3, 25, begin)
    };
    let verdict = decide(&throttled, now);
    assert!(
        matches!(&verdict, Verdict::Wait(until) if until.contains("notify was throttled")),
        "{verdict:?}"
    );
    let empty = Seen {
        target: Some(backlog(10, 0, 2)),
        ..throttled
    };
    assert_eq!(decide(&empty, now), Verdict::Slower);
}

#[test]
fn what_is_seen_is_said() {
    let begin = Instant::now();
    let said = |seen: &Seen, seconds: u32| match decide(seen, begin + SECOND * seconds) {
        Verdict::Stop(why) => why,
        other => panic!("{other:?}"),
    };
    let waits = |seen: &Seen, seconds: u32| {
        matches!(decide(seen, begin + SECOND * seconds), Verdict::Wait(_))
    };
    let returned = Seen {
        returned: 3,
        returned_alike: 2,
        ..seen(3, 25, begin)
    };
    let why = said(&returned, 0);
    assert!(
        why.contains("3 of 25 events came back, 2 of them")
            && why.contains("resume")
            && why.contains("failed list"),
        "{why}"
    );
    let all = Seen {
        returned_alike: 3,
        ..returned.clone()
    };
    let why = said(&all, 0);
    assert!(
        why.contains("3 of 25 events came back, with the error that they had before ("),
        "{why}"
    );
    let unlike = Seen {
        returned_alike: 0,
        ..returned.clone()
    };
    let why = said(&unlike, 0);
    assert!(why.contains("3 of 25 events came back (see"), "{why}");
    let few = Seen {
        returned: 2,
        ..returned
    };
    assert!(waits(&few, 0));

    let failing = Seen {
        consumers: rise(13, 0),
        ..seen(3, 25, begin)
    };
    assert!(said(&failing, 0).contains("notify ended in an error 13 times"));

    let stuck = Seen {
        target: Some(backlog(2, 27, 0)),
        ..seen(3, 25, begin)
    };
    assert!(waits(&stuck, 100));
    assert!(said(&stuck, 270).contains("orders holds 27 messages, 2 before"));
    let old = Seen {
        target: Some(Backlog {
            age_seconds: Some((500, 600)),
            ..backlog(2, 27, 0)
        }),
        ..stuck
    };
    assert!(said(&old, 100).contains("600 s old"));

    // Failures of others, and failures that could not be looked at.
    let strangers = Seen {
        grown: Some(26),
        looked: Some((begin, true)),
        ..seen(3, 25, begin)
    };
    assert!(waits(&strangers, 59));
    assert!(said(&strangers, 60).contains("26 other events"));
    let late = Seen {
        late: 20,
        ..strangers.clone()
    };
    assert!(waits(&late, 60), "the operator knows of these");
    let unseen = Seen {
        grown: Some(10),
        looked: Some((begin, false)),
        ..seen(3, 25, begin)
    };
    assert!(said(&unseen, 60).contains("10 events came to the dead-letter queues"));
    let few = Seen {
        grown: Some(9),
        ..unseen
    };
    assert!(waits(&few, 60), "they may be others'");
}

#[test]
fn what_cannot_be_verified_goes_by_the_consumers_alone() {
    let begin = Instant::now();
    let blind = Seen {
        window: None,
        ..seen(3, 25, begin)
    };
    let verdict = decide(&blind, begin + SECOND);
    assert!(matches!(verdict, Verdict::Wait(_)), "{verdict:?}");
    assert_eq!(decide(&blind, begin + UNVERIFIED_WAIT), Verdict::Advance);
    let processed = Seen {
        target: Some(backlog(0, 0, 2)),
        ..blind
    };
    assert_eq!(decide(&processed, begin + COUNTS_SETTLE), Verdict::Advance);
    assert_eq!(note(&[1, 5], None), None);
    assert_eq!(note(&[], Some("why")), None);
    let lint = note(&[1, 5], Some("it is a FIFO queue")).unwrap();
    assert!(lint.why.contains("FIFO"), "{}", lint.why);
}

#[test]
fn steps_that_became_smaller_are_not_as_small_as_the_remainder() {
    let plan = steps(782, &Manner::default(), false, None);
    assert_eq!(plan, [1, 5, 25, 125, 625, 1]);
    let (mut place, mut left, mut sizes) = (Place::after(&plan, 0), 782, Vec::new());
    while left > 0 {
        place.size = place.size.min(left);
        sizes.push(place.size);
        left -= place.size;
        place = place.next(&plan, sizes.len() == 4);
    }
    assert_eq!(sizes, [1, 5, 25, 125, 62, 124, 248, 192]);
}

#[test]
fn what_came_back_is_counted_or_waited_for() {
    let begin = Instant::now();
    let now = begin + SECOND * 90;
    let blind = Seen {
        grown: None,
        looked: Some((now, false)),
        look_from: now + SECOND,
        ..seen(3, 25, begin)
    };
    let verdict = decide(&blind, now);
    assert!(
        matches!(&verdict, Verdict::Wait(until) if until.contains("is not known")),
        "{verdict:?}"
    );
    assert_eq!(decide(&blind, now + SECOND), Verdict::Look);
    let counted = Seen {
        grown: Some(0),
        ..blind.clone()
    };
    assert_eq!(decide(&counted, now), Verdict::Advance);
    let met = Seen {
        looked: Some((now, true)),
        ..blind
    };
    assert_eq!(decide(&met, now), Verdict::Advance);
    let early = Seen {
        look_from: now + SECOND,
        ..seen(3, 25, begin)
    };
    let verdict = decide(&early, now);
    assert!(matches!(verdict, Verdict::Wait(_)), "{verdict:?}");
}

#[test]
fn throttling_that_never_ends_stops() {
    let begin = Instant::now();
    let throttled = Seen {
        target: Some(backlog(10, 4, 0)),
        consumers: rise(0, 2),
        ..seen(3, 25, begin)
    };
    let verdict = decide(&throttled, begin + SECOND * 299);
    assert!(matches!(verdict, Verdict::Wait(_)), "{verdict:?}");
    let verdict = decide(&throttled, begin + SECOND * 300);
    assert!(
        matches!(&verdict, Verdict::Stop(why) if why.contains("notify is still throttled")),
        "{verdict:?}"
    );
}

#[test]
fn errors_that_a_consumer_has_anyway_do_not_stop() {
    let begin = Instant::now();
    let failing = |errors, errors_before| Seen {
        consumers: vec![Rise {
            errors_before,
            ..rise(errors, 0).remove(0)
        }],
        ..seen(2, 5, begin)
    };
    let stops = |seen: &Seen, seconds: u32| {
        matches!(decide(seen, begin + SECOND * seconds), Verdict::Stop(_))
    };
    assert!(stops(&failing(4, 30), 10));
    assert!(!stops(&failing(4, 30), 60));
    assert!(!stops(&failing(30, 30), 1000));
    assert!(stops(&failing(31, 30), 1000));
}
