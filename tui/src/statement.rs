//! A plan in words: what is about to happen, as the dashboard's question and the commands state it.

use patterns_core::failed::OriginKind;
use patterns_core::operation::{Plan, Selection, Verification};

use crate::{diff, figure};

/// So many steps of the same size are shown one by one.
const FEW_ALIKE: usize = 3;

/// Verb and count.
pub fn title(plan: &Plan) -> String {
    let verb = if plan.takes_back.is_some() {
        "Take back"
    } else {
        "Redrive"
    };
    format!("{verb} {}", figure::count(plan.planned, "event"))
}

/// Label and value, line by line.
pub fn facts(plan: &Plan) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Events", which(plan)),
        ("From", format!("queue {}", plan.dead_letter_queue)),
        ("To", figure::target(plan)),
        ("Pace", figure::manner(&plan.manner)),
    ];
    if plan.takes_back.is_none() {
        facts.push(("Steps", steps(&plan.steps)));
    }
    facts.push(("How", how(plan).to_owned()));
    facts.extend(diff::extent(plan).map(|extent| ("Edit", extent)));
    if plan.takes_back.is_none() {
        facts.extend(window(&plan.verification).map(|window| ("Window", window)));
    }
    facts.push(("Takes", expected(plan)));
    facts.push(("Account", plan.account_id.clone()));
    facts.push(("Region", plan.region.clone()));
    facts
}

/// What else should be known.
pub fn note(plan: &Plan) -> Option<&'static str> {
    if plan.takes_back.is_some() {
        return Some(
            "What a consumer has received already cannot be taken back: it is processed, or fails again.",
        );
    }
    matches!(plan.selection, Selection::Everything).then_some(
        "Events that arrive while it runs cannot be told apart and may be taken instead of some of these.",
    )
}

fn which(plan: &Plan) -> String {
    if let Some(operation) = &plan.takes_back {
        return format!("what {operation} sent and nobody has received");
    }
    match &plan.selection {
        Selection::Everything => "everything in the queue".to_owned(),
        Selection::Chosen(ids) => match ids.as_slice() {
            [id] => format!("only event {id}"),
            _ => "only the chosen events".to_owned(),
        },
        Selection::Matching(filter) => format!("only those {filter}"),
    }
}

fn how(plan: &Plan) -> &'static str {
    if plan.manner.native {
        return "moved by SQS itself, as they are";
    }
    match (&plan.takes_back, plan.target.kind, &plan.edit) {
        (Some(_), _, _) => "moved back as they are",
        (None, OriginKind::Queue, None) => "sent again as they are",
        (None, OriginKind::Queue, Some(_)) => "sent again with the edited payload",
        (None, OriginKind::Function, None) => "invoked again with the original payload",
        (None, OriginKind::Function, Some(_)) => "invoked again with the edited payload",
    }
}

fn steps(steps: &[u64]) -> String {
    if steps.is_empty() {
        return "none, all at once".to_owned();
    }
    let mut sizes = String::new();
    for run in steps.chunk_by(|one, next| one == next) {
        let (size, times) = (run.first().copied().unwrap_or_default(), run.len());
        let shown = if times > FEW_ALIKE {
            format!("{times} of {size}")
        } else {
            vec![size.to_string(); times].join(", ")
        };
        let joint = match (sizes.is_empty(), times > FEW_ALIKE) {
            (true, true) => "",
            (true, false) => "of ",
            (false, true) => ", then ",
            (false, false) => ", ",
        };
        sizes = sizes + joint + &shown;
    }
    format!("{sizes}, each when those before it are processed")
}

/// When an event counts as processed, or why that cannot be known; `None` when nothing is said about it.
fn window(verification: &Verification) -> Option<String> {
    if let Some(why) = &verification.unverified {
        return Some(format!(
            "none: whether they are processed cannot be known, {why}"
        ));
    }
    let seconds = verification.window_seconds?;
    // Whole minutes would hide that a window is half as long again.
    let long = if seconds < 600 {
        format!("{seconds} s")
    } else {
        figure::duration(seconds)
    };
    Some(format!("settled when not back within {long}"))
}

/// How long and how many calls, roughly.
fn expected(plan: &Plan) -> String {
    let pauses = if plan.steps.is_empty() {
        "without pauses"
    } else {
        "with the waits between steps"
    };
    format!(
        "about {} {pauses}, {}",
        figure::duration(plan.outlook.expected_seconds),
        figure::count(plan.outlook.expected_calls, "call")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn value(plan: &Plan, label: &str) -> Option<String> {
        let mut facts = facts(plan).into_iter();
        facts
            .find(|(name, _)| *name == label)
            .map(|(_, value)| value)
    }

    #[test]
    fn the_window_is_stated_or_why_there_is_none() {
        let mut plan = sample::plan();
        assert_eq!(value(&plan, "Window"), None);
        plan.verification.window_seconds = Some(90);
        assert_eq!(
            value(&plan, "Window").unwrap(),
            "settled when not back within 90 s"
        );
        plan.verification.unverified = Some("nobody consumes the queue".to_owned());
        assert!(
            value(&plan, "Window")
                .unwrap()
                .ends_with("nobody consumes the queue")
        );
    }

    #[test]
    fn what_sqs_moves_is_said_to_be_moved_by_it() {
        let mut plan = sample::plan();
        plan.manner.native = true;
        assert_eq!(
            value(&plan, "How").unwrap(),
            "moved by SQS itself, as they are"
        );
        assert_eq!(value(&plan, "Pace").unwrap(), "as fast as SQS likes");
    }

    #[test]
    fn steps_are_listed() {
        assert_eq!(steps(&[]), "none, all at once");
        assert!(steps(&[5, 25]).starts_with("of 5, 25, each"));
        let mut many = vec![1, 5];
        many.extend([10; 898]);
        many.push(7);
        assert!(steps(&many).starts_with("of 1, 5, then 898 of 10, 7, each"));
        assert!(steps(&[1; 30]).starts_with("30 of 1, each"));
    }
}
