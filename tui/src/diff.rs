//! What an edit changes, as a unified diff.

use patterns_core::operation::{Edited, Plan};
use similar::TextDiff;

use crate::figure;

/// Unchanged lines around a change.
const CONTEXT: usize = 3;

/// The lines of the changes to one event: headers, then hunks, each line with its sign.
pub fn lines(edited: &Edited) -> Vec<String> {
    let diff = TextDiff::from_lines(&edited.before, &edited.after);
    let mut unified = diff.unified_diff();
    unified
        .context_radius(CONTEXT)
        .missing_newline_hint(false)
        .header(
            &format!("event {} as it is", edited.id),
            "as it will be sent",
        );
    let text = unified.to_string();
    if text.is_empty() {
        return vec![format!("event {}: nothing changes", edited.id)];
    }
    text.lines().map(str::to_owned).collect()
}

/// How many events of a plan are edited, and how many of them are shown.
pub fn extent(plan: &Plan) -> Option<String> {
    plan.edit.as_ref()?;
    let all = figure::count(plan.planned, "event");
    let shown = plan.edits.len() as u64;
    Some(if (1..plan.planned).contains(&shown) {
        format!("the payload of {all}, {shown} of them below")
    } else {
        format!("the payload of {all}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown_with_its_surroundings() {
        let before: Vec<String> = (1..=9).map(|number| format!("line {number}")).collect();
        let before = before.join("\n");
        let edited = Edited {
            id: "a1".to_owned(),
            after: before.replace("line 5", "five"),
            before,
        };
        assert_eq!(
            lines(&edited),
            [
                "--- event a1 as it is",
                "+++ as it will be sent",
                "@@ -2,7 +2,7 @@",
                " line 2",
                " line 3",
                " line 4",
                "-line 5",
                "+five",
                " line 6",
                " line 7",
                " line 8",
            ]
        );
        let same = Edited {
            after: edited.before.clone(),
            ..edited
        };
        assert_eq!(lines(&same), ["event a1: nothing changes"]);
    }
}
