//! Numbers as people read them.

use jiff::Timestamp;
use patterns_core::failed::FailedDetail;
use patterns_core::json::indented;
use patterns_core::operation::{Manner, Plan};

/// What stands where nothing is known.
pub const UNKNOWN: &str = "–";

/// Seconds as one short word: `8s`, `3m`, `2h`, `4d`.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Seconds from `then` to `now`, none when the clocks disagree.
pub fn seconds_since(then: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.as_second() - then.as_second()).unwrap_or(0)
}

/// How long ago, as one short word.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    duration(seconds_since(then, now))
}

/// A point in time in UTC to the second, as AWS's own consoles and logs write it.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Milliseconds as a short word: `0.8ms`, `12ms`, `3.4s`.
pub fn millis(ms: f64) -> String {
    if ms >= 1_000.0 {
        format!("{:.1}s", ms / 1_000.0)
    } else if ms >= 10.0 {
        format!("{ms:.0}ms")
    } else {
        format!("{ms:.1}ms")
    }
}

/// A rate per second without needless digits.
pub fn rate(per_second: f64) -> String {
    let text = format!("{per_second:.1}");
    format!("{}/s", text.strip_suffix(".0").unwrap_or(&text))
}

/// A count with its noun.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// An event's payload over several lines, with every digit it has.
pub fn payload(detail: &FailedDetail) -> String {
    let exact = detail.text.as_deref().and_then(indented);
    exact.unwrap_or_else(|| serde_json::to_string_pretty(&detail.payload).unwrap_or_default())
}

/// Who asked for something.
pub fn user(uid: u32) -> String {
    format!("user {uid}")
}

/// Where a plan's events go, and whether that is where they failed.
pub fn target(plan: &Plan) -> String {
    if plan.elsewhere {
        format!("{}, where they did not fail", plan.target)
    } else {
        plan.target.to_string()
    }
}

/// How fast and how carefully, in words.
pub fn manner(manner: &Manner) -> String {
    let unpaced = if manner.native {
        "as fast as SQS likes"
    } else {
        "as fast as it can"
    };
    let pace = manner.rate.map_or_else(
        || unpaced.to_owned(),
        |cap| format!("at most {}", rate(cap)),
    );
    if manner.careful {
        format!("{pace}, one by one, asking where one may have been sent")
    } else {
        pace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!(
            [0, 59, 60, 3_599, 7_200, 172_800].map(duration),
            ["0s", "59s", "1m", "59m", "2h", "2d"]
        );
        assert_eq!([0.84, 12.4, 3_421.0].map(millis), ["0.8ms", "12ms", "3.4s"]);
        assert_eq!([100.0, 99.96, 49.5].map(rate), ["100/s", "100/s", "49.5/s"]);
        assert_eq!(
            [count(1, "event"), count(0, "event")],
            ["1 event", "0 events"]
        );
    }

    #[test]
    fn a_payload_is_shown_as_it_is() {
        let mut detail = crate::sample::hostile_detail();
        detail.payload = serde_json::json!({"n": 0.5});
        assert_eq!(payload(&detail), "{\n  \"n\": 0.5\n}");
        detail.text = Some(r#"{"n":10000000000000000000001}"#.to_owned());
        assert_eq!(payload(&detail), "{\n  \"n\": 10000000000000000000001\n}");
    }

    #[test]
    fn a_clock_ahead_is_no_age() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(age(now + jiff::SignedDuration::from_secs(9), now), "0s");
    }
}
