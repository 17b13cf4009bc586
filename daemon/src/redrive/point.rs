//! Fail points: labelled places in a redrive at which a crash test lets the process end.
//!
//! `PATTERNS_DIE_AT=after_send:3` in the daemon's environment aborts it when it has come to `after_send` for the third time.
//! It is for crash tests alone; without it a point costs one atomic load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The variable that says where the daemon dies: `LABEL:TIME`, `TIME` from 1.
pub const DIE_AT: &str = "PATTERNS_DIE_AT";

/// All labels: each side of every commit, send, invocation, delete, release and move.
pub const POINTS: [&str; 22] = [
    // The operation itself is written down.
    "before_begin",
    "after_begin",
    // The intents of a batch.
    "before_intent",
    "after_intent",
    // The originals of what is edited are kept.
    "before_keep",
    "after_keep",
    "before_send",
    "after_send",
    "before_invoke",
    "after_invoke",
    // What became of a batch.
    "before_sent",
    "after_sent",
    "before_delete",
    "after_delete",
    // The last deletions; earlier ones share the commit of intents.
    "before_deleted",
    "after_deleted",
    // Messages that are left alone become visible.
    "before_release",
    "after_release",
    // A message move task of SQS is started.
    "before_move",
    "after_move",
    // The operation's end.
    "before_end",
    "after_end",
];

static DEATH: OnceLock<Option<Death>> = OnceLock::new();

#[derive(Debug)]
struct Death {
    label: &'static str,
    /// Aborts when this many times are left, counting this one: 1.
    left: AtomicU32,
}

/// Ends the process here, if that is what the environment says.
pub fn reach(label: &str) {
    let Some(death) = DEATH.get_or_init(from_environment) else {
        return;
    };
    if death.label == label && death.left.fetch_sub(1, Ordering::SeqCst) == 1 {
        tracing::warn!(label, "ending here, as {DIE_AT} says");
        std::process::abort();
    }
}

fn from_environment() -> Option<Death> {
    let text = std::env::var(DIE_AT).ok()?;
    let death = parse(&text);
    if death.is_none() {
        tracing::error!(
            "{DIE_AT}={text} is not LABEL:TIME with a known label and a time from 1; it is ignored"
        );
    }
    death
}

fn parse(text: &str) -> Option<Death> {
    let (label, time) = text.split_once(':')?;
    let time: u32 = time.parse().ok()?;
    Some(Death {
        label: POINTS.iter().find(|point| **point == label)?,
        left: AtomicU32::new((time > 0).then_some(time)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_label_and_a_time_is_a_death() {
        let death = parse("after_send:3").unwrap();
        assert_eq!(death.label, "after_send");
        assert_eq!(death.left.into_inner(), 3);
        for text in ["", "after_send", "after_send:0", "after_send:x", "sent:1"] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
