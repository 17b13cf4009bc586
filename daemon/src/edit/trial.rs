//! An edit, tried on the events of a plan as far as the mirror holds them.

use std::time::{Duration, Instant};

use patterns_core::json::indented;
use patterns_core::operation::{EDITS_BYTES, EDITS_SHOWN, Edited, Level, Lint};

use super::Editor;
use crate::database::DatabaseError;
use crate::letter::{Letter, event_id};
use crate::mirror::decode::original;
use crate::mirror::store::Store;

/// Whoever asks for a plan waits for no longer.
const LONGEST: Duration = Duration::from_secs(5);

/// A page of everything, in messages and bytes.
const PAGE: usize = 500;
const PAGE_BYTES: usize = 4 << 20;

/// Chosen messages that are read at once; each may have 1 MiB.
const CHUNK: usize = 10;

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// What it makes of the first events.
    pub edits: Vec<Edited>,
    checked: u64,
    unchanged: u64,
    unfit: u64,
    /// The first event that it does not fit, and why.
    first_unfit: Option<(String, String)>,
}

/// Tries it on those messages of the queue, or on all when none are named.
pub async fn trial(
    store: &Store,
    editor: &Editor,
    queue_arn: &str,
    message_ids: &[String],
) -> Result<Trial, DatabaseError> {
    let started = Instant::now();
    let mut trial = Trial::default();
    for ids in message_ids.chunks(CHUNK) {
        if started.elapsed() > LONGEST {
            return Ok(trial);
        }
        for letter in store.whole(queue_arn, ids.to_vec()).await? {
            trial.take(editor, queue_arn, &letter);
        }
    }
    let mut after = message_ids.is_empty().then(String::new);
    while let Some(id) = after.take_if(|_| started.elapsed() <= LONGEST) {
        let queue = vec![queue_arn.to_owned()];
        for (row, letter) in store.page(queue, id, PAGE, PAGE_BYTES).await? {
            trial.take(editor, queue_arn, &letter);
            after = Some(row.id);
        }
    }
    Ok(trial)
}

impl Trial {
    fn take(&mut self, editor: &Editor, queue_arn: &str, letter: &Letter) {
        self.checked += 1;
        let id = event_id(queue_arn, &letter.message_id);
        match editor.edit(letter) {
            Ok(Some(after)) => {
                let before = original(letter, editor.kind).unwrap_or_default();
                self.show(id, shown(before), shown(&after));
            }
            Ok(None) => self.unchanged += 1,
            Err(why) => {
                self.unfit += 1;
                self.first_unfit.get_or_insert((id, why));
            }
        }
    }

    fn show(&mut self, id: String, before: String, after: String) {
        let size = |edited: &Edited| edited.before.len() + edited.after.len();
        let edited = Edited { id, before, after };
        let shown: usize = self.edits.iter().map(size).sum();
        if self.edits.len() < EDITS_SHOWN && shown + size(&edited) <= EDITS_BYTES {
            self.edits.push(edited);
        }
    }

    /// What it says against a redrive of so many events.
    pub fn lint(&self, planned: u64) -> Vec<Lint> {
        let Self {
            checked,
            unchanged,
            unfit,
            ..
        } = self;
        let unfit = self.first_unfit.as_ref().map(|(id, why)| Lint {
            level: Level::Stop,
            what: format!("the edit does not fit {unfit} of {checked} events"),
            why: format!(
                "the first is {id}: {why}; what it does not fit fails and stays in the dead-letter queue"
            ),
            fix: "change the edit, or choose the events that it fits".to_owned(),
            forcible: unfit < checked,
        });
        let unchanged = (*unchanged > 0).then(|| Lint {
            level: Level::Note,
            what: format!("the edit changes nothing in {unchanged} of {checked} events"),
            why: "they are sent as they are".to_owned(),
            fix: String::new(),
            forcible: false,
        });
        let unchecked = (*checked < planned).then(|| Lint {
            level: Level::Note,
            what: format!("the edit was tried on {checked} of {planned} events"),
            why: "the mirror holds no more of them, or there was no time for more; what it does not fit fails and stays in the dead-letter queue".to_owned(),
            fix: String::new(),
            forcible: false,
        });
        unfit
            .into_iter()
            .chain(unchanged)
            .chain(unchecked)
            .collect()
    }
}

/// JSON with a line for each member, anything else as it is.
fn shown(text: &str) -> String {
    indented(text).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use patterns_core::operation::{Edit, Plan};
    use serde_json::json;

    use super::*;
    use crate::letter::tests::letter;
    use crate::redrive::tests::plan;
    use crate::topology::tests::{queue, topology};

    const QUEUE: &str = "arn:aws:sqs:eu-west-1:123456789012:dlq";

    fn editor(edit: Edit) -> Editor {
        let plan = Plan {
            edit: Some(edit),
            ..plan("plan")
        };
        Editor::of(&plan, &topology([queue("orders", None)], []))
            .unwrap()
            .unwrap()
    }

    async fn tried(bodies: &[String], chosen: &[&str]) -> Trial {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "world".to_owned()).await.unwrap();
        let letters = bodies
            .iter()
            .enumerate()
            .map(|(index, body)| letter(&format!("m-{index}"), body))
            .collect();
        store.met(QUEUE, 1, letters).await.unwrap();
        let editor = editor(Edit::Patch(
            json!([{"op": "replace", "path": "/channel", "value": "mail"}]),
        ));
        let chosen: Vec<_> = chosen.iter().map(|&id| id.to_owned()).collect();
        trial(&store, &editor, QUEUE, &chosen).await.unwrap()
    }

    #[tokio::test]
    async fn a_patch_that_fits_some_says_which_not_and_why() {
        let fax = r#"{"channel":"fax"}"#.to_owned();
        let mail = r#"{"channel":"mail"}"#.to_owned();
        let bodies = [fax, "no json".to_owned(), "{}".to_owned(), mail];
        let all = tried(&bodies, &[]).await;
        assert_eq!((all.checked, all.unchanged, all.unfit), (4, 1, 2));
        assert_eq!(all.edits.len(), 1);
        assert_eq!(all.edits[0].before, "{\n  \"channel\": \"fax\"\n}");
        assert_eq!(all.edits[0].after, "{\n  \"channel\": \"mail\"\n}");
        let lint = all.lint(4);
        let [stop, note] = lint.as_slice() else {
            panic!("{lint:?}");
        };
        assert_eq!((stop.level, stop.forcible), (Level::Stop, true));
        assert!(stop.what.contains("2 of 4"), "{stop:?}");
        assert_eq!(note.level, Level::Note);
        let chosen = tried(&bodies, &["m-2", "m-9"]).await;
        let lint = chosen.lint(2);
        assert_eq!((lint[0].level, lint[0].forcible), (Level::Stop, false));
        assert!(lint[0].why.contains(&event_id(QUEUE, "m-2")), "{lint:?}");
        assert!(lint[1].what.contains("1 of 2"), "{lint:?}");
    }

    #[tokio::test]
    async fn a_plan_shows_few_edits() {
        let small = vec![r#"{"channel":"fax"}"#.to_owned(); 30];
        let many = tried(&small, &[]).await;
        assert_eq!((many.checked, many.edits.len()), (30, EDITS_SHOWN));
        let text = "x".repeat(EDITS_BYTES / 3);
        let large = vec![format!(r#"{{"channel":"fax","text":"{text}"}}"#); 2];
        let few = tried(&large, &[]).await;
        assert_eq!((few.checked, few.edits.len(), few.unfit), (2, 1, 0));
    }

    #[test]
    fn what_is_shown_of_an_edit_is_not_rounded() {
        let before = r#"{"n":12345678901234567890123,"a":1}"#;
        let after = before.replace("0123,", "0124,");
        let mut trial = Trial::default();
        let letter = letter("m", before);
        trial.take(&editor(Edit::Payload(after)), QUEUE, &letter);
        let shown = &trial.edits[0];
        assert!(shown.before.contains("\"n\": 12345678901234567890123,\n"));
        assert!(shown.after.contains("\"n\": 12345678901234567890124,\n"));
    }

    #[test]
    fn a_record_that_goes_to_a_queue_is_not_edited() {
        let record = r#"{"requestContext":{"functionArn":"f","condition":"RetriesExhausted"},"requestPayload":{"channel":"fax"}}"#;
        let patch = json!([{"op": "replace", "path": "/requestPayload/channel", "value": "mail"}]);
        for edit in [Edit::Payload("{}".to_owned()), Edit::Patch(patch)] {
            let why = editor(edit).edit(&letter("m", record)).unwrap_err();
            assert!(why.contains("the whole record"), "{why}");
        }
    }

    #[test]
    fn an_edited_event_is_no_larger_than_its_target_takes() {
        let large = Edit::Payload("x".repeat(1_048_577));
        let why = editor(large).edit(&letter("m", "{}")).unwrap_err();
        assert!(why.contains("1048576"), "{why}");
        assert!(
            editor(Edit::Payload(String::new()))
                .edit(&letter("m", "{}"))
                .is_err()
        );
    }
}
