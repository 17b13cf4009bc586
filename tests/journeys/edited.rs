//! Changing events on their way, taking them back, and what is told of both afterwards: by one-shot commands alone.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::story::{HANDOFF_FAILURES, QUEUE, QUEUE_FAILURES, drain, pause_consumer};
use crate::world::{Answer, World, eventually, find, must_say};

/// A world whose queue has no consumer, and the files that commands get.
struct Desk {
    world: World,
    sqs: aws_sdk_sqs::Client,
    files: tempfile::TempDir,
}

impl Desk {
    async fn start() -> Self {
        let world = World::start_with(&["--admin"]);
        pause_consumer(&world).await;
        Self {
            sqs: aws_sdk_sqs::Client::new(&world.sdk()),
            world,
            files: tempfile::tempdir().unwrap(),
        }
    }

    /// Puts a failed event into a dead-letter queue; its id, as soon as it is known.
    async fn fail(&self, queue: &str, body: &str, query: &str) -> String {
        let url = self.sqs.get_queue_url().queue_name(queue).send().await;
        let url = url.unwrap().queue_url.unwrap();
        let send = self.sqs.send_message().queue_url(url).message_body(body);
        send.send().await.unwrap();
        self.id(queue, query).await
    }

    /// The id of the one event that matches.
    async fn id(&self, queue: &str, query: &str) -> String {
        eventually("the event is known", async || {
            let args = ["failed", "list", queue, "--query", query];
            let list = self.world.command(&args).json;
            list["events"][0]["id"].as_str().map(str::to_owned)
        })
        .await
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.files.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A redrive out of the queue's failures with a change, and more words.
    fn redrive(&self, option: &str, file: &Path, words: &[&str]) -> Answer {
        let file = file.to_str().unwrap();
        let args = [&["redrive", QUEUE_FAILURES, option, file], words].concat();
        self.world.command(&args)
    }

    /// The operation that was started, when it has ended in that state.
    async fn ended(&self, started: &Answer, state: &str) -> Value {
        assert_eq!(started.code, 0, "{}", started.json);
        let id = started.json["operation_id"].as_str().unwrap();
        eventually("the redrive ends", async || {
            let shown = self.world.command(&["operations", "show", id]).json;
            (shown["state"] == state).then_some(shown)
        })
        .await
    }

    /// What became of the events of an operation, by their ids.
    fn outcome(&self, operation: &str, event: &str) -> Value {
        let answer = self.world.command(&["operations", "outcomes", operation]);
        assert_eq!(
            (answer.code, &answer.json["operation_id"]),
            (0, &json!(operation))
        );
        let outcome = find(&answer.json["outcomes"], "id", event);
        outcome.unwrap_or_else(|| panic!("{}", answer.json)).clone()
    }

    /// That command is refused: the exit code, the kind and a part of what is said.
    fn refused(&self, args: &[&str], code: i32, kind: &str, part: &str) {
        let answer = self.world.command(args);
        must_say(args, &answer, code, kind, &[part]);
    }
}

const COMPLETED: &str = "completed";

const FAX: [&str; 2] = [
    r#"{"order":{"id":70},"channel":"fax"}"#,
    r#"{"order":{"id":71},"channel":"fax"}"#,
];
const OTHER: &str = r#"{"order":{"id":72}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn events_are_edited_and_taken_back_and_all_of_it_is_told() {
    let desk = Desk::start().await;
    let first = desk.fail(QUEUE_FAILURES, FAX[0], "body.order.id:70").await;
    let second = desk.fail(QUEUE_FAILURES, FAX[1], "body.order.id:71").await;
    let other = desk.fail(QUEUE_FAILURES, OTHER, "body.order.id:72").await;
    let patch = desk.file(
        "patch.json",
        r#"[{"op":"replace","path":"/channel","value":"mail"}]"#,
    );

    let redriven = fitting_two_of_three(&desk, &patch, &first, &other).await;
    let taken_back = taken_back(&desk, &redriven, [&first, &second]).await;
    not_taken_back(&desk, &patch, &other).await;
    one_text(&desk, &other).await;
    audited(&desk, &redriven, &taken_back);
}

/// A patch that does not fit all events is shown, refused, and forced; the id of the redrive.
async fn fitting_two_of_three(desk: &Desk, patch: &Path, first: &str, other: &str) -> String {
    let plan = desk.redrive("--patch", patch, &["--dry-run"]);
    assert_eq!(
        (plan.code, &plan.json["planned"]),
        (0, &json!(3)),
        "{}",
        plan.json
    );
    let edits = plan.json["edits"].as_array().unwrap();
    assert_eq!(edits.len(), 2, "{}", plan.json);
    assert!(
        edits[0]["after"].as_str().unwrap().contains("mail"),
        "{}",
        plan.json
    );
    let lint = plan.json["lint"].as_array().unwrap();
    let misfit = lint
        .iter()
        .find(|lint| lint["what"].as_str().unwrap().contains("1 of 3"));
    assert_eq!(misfit.unwrap()["level"], "stop", "{}", plan.json);
    let refused = desk.redrive("--patch", patch, &["--yes"]);
    must_say(&["redrive"], &refused, 1, "conflict", &["not started"]);
    let forced = desk.redrive(
        "--patch",
        patch,
        &["--yes", "--force", "--reason", "no fax any more"],
    );
    let redriven = desk.ended(&forced, COMPLETED).await;
    assert_eq!(
        (&redriven["sent"], &redriven["failed"]),
        (&json!(2), &json!(1)),
        "{redriven}"
    );
    let redriven = redriven["operation_id"].as_str().unwrap();
    assert_eq!(desk.outcome(redriven, first)["state"], "deleted");
    let misfit = desk.outcome(redriven, other);
    assert_eq!(misfit["state"], "failed", "{misfit}");
    assert!(
        misfit["reason"].as_str().unwrap().contains("/channel"),
        "{misfit}"
    );
    let kept = desk.world.command(&["failed", "show", first]).json;
    assert_eq!(
        kept["payload"]["channel"], "fax",
        "the original is kept: {kept}"
    );
    redriven.to_owned()
}

/// What was sent comes back, once; the id of what took it back.
async fn taken_back(desk: &Desk, redriven: &str, events: [&str; 2]) -> String {
    desk.refused(&["operations", "return", redriven], 2, "usage", "--yes");
    let give_back = [
        "operations",
        "return",
        redriven,
        "--yes",
        "--reason",
        "wrong channel",
    ];
    let back = desk.world.command(&give_back);
    assert_eq!(
        (back.code, &back.json["sent"]),
        (0, &json!(2)),
        "{}",
        back.json
    );
    let taken_back = back.json["operation_id"].as_str().unwrap();
    for event in events {
        let outcome = desk.outcome(redriven, event);
        assert_eq!(outcome["state"], "taken_back", "{outcome}");
        let returned_as = outcome["returned_as"].as_str().unwrap().to_owned();
        let shown = eventually("it is in the dead-letter queue", async || {
            let shown = desk.world.command(&["failed", "show", &returned_as]);
            (shown.code == 0).then_some(shown.json)
        })
        .await;
        assert_eq!(
            shown["payload"]["channel"], "mail",
            "as it was sent: {shown}"
        );
    }
    assert_eq!(drain(&desk.sqs, QUEUE).await, Vec::<String>::new());
    desk.refused(&give_back, 1, "conflict", "nothing to take back");
    desk.refused(
        &["operations", "return", taken_back, "--yes"],
        1,
        "conflict",
        "took events back itself",
    );
    desk.refused(
        &["operations", "return", "0123456789ab", "--yes"],
        1,
        "not_found",
        "no operation 0123456789ab",
    );
    taken_back.to_owned()
}

/// What fits no event cannot even be forced; where nothing was sent, nothing can be taken back; and a function has what it
/// got.
async fn not_taken_back(desk: &Desk, patch: &Path, other: &str) {
    let words = ["--ids", other, "--yes", "--force"];
    let misfit = desk.redrive("--patch", patch, &words);
    must_say(&["--ids"], &misfit, 1, "conflict", &["does not fit 1 of 1"]);
    let denied = json!([{"operation": "SendMessageBatch", "times": 1,
        "fault": {"kind": "error", "error": "access_denied"}}]);
    desk.world.faults(denied).await;
    let words = [
        "redrive",
        QUEUE_FAILURES,
        "--ids",
        other,
        "--yes",
        "--force",
    ];
    let nothing = desk.ended(&desk.world.command(&words), "failed").await;
    assert_eq!(nothing["sent"], 0, "{nothing}");
    let nothing = nothing["operation_id"].as_str().unwrap();
    desk.refused(
        &["operations", "return", nothing, "--yes"],
        1,
        "conflict",
        "nothing to take back",
    );
    // A function has what it got.
    desk.fail(
        HANDOFF_FAILURES,
        r#"{"order":{"id":73}}"#,
        "body.order.id:73",
    )
    .await;
    let invoked = desk.world.command(&["redrive", HANDOFF_FAILURES, "--yes"]);
    let invoked = desk.ended(&invoked, COMPLETED).await;
    assert_eq!(invoked["target"]["kind"], "function", "{invoked}");
    let invoked = invoked["operation_id"].as_str().unwrap();
    desk.refused(
        &["operations", "return", invoked, "--yes"],
        1,
        "conflict",
        "Lambda has the events",
    );
}

/// Instead of one event's payload another text goes, as it is in the file.
async fn one_text(desk: &Desk, event: &str) {
    const TEXT: &str = "{\"order\": {\"id\": 1e2}, \"note\": \"ä\"}";
    let text = desk.file("text", TEXT);
    let both = desk.id(QUEUE_FAILURES, "body.order.id:70").await;
    let both = format!("{event},{both}");
    let many = desk.redrive("--body", &text, &["--ids", &both, "--yes"]);
    must_say(
        &["--body"],
        &many,
        2,
        "usage",
        &["exactly one chosen event"],
    );
    for (option, content, part) in [
        ("--patch", "replace /channel", "not JSON"),
        ("--patch", "{}", "list of operations"),
        ("--patch", r#"[{"op":"fly","path":"/channel"}]"#, "fly"),
        ("--body", "", "empty"),
    ] {
        let file = desk.file("wrong", content);
        let answer = desk.redrive(option, &file, &["--yes"]);
        must_say(&[option, content], &answer, 2, "usage", &[part]);
    }
    let absent = desk.redrive("--patch", Path::new("/nonexistent/patch"), &["--yes"]);
    must_say(&["--patch"], &absent, 2, "usage", &["/nonexistent/patch"]);
    let sent = desk.redrive("--body", &text, &["--ids", event, "--yes", "--force"]);
    let sent = desk.ended(&sent, COMPLETED).await;
    assert_eq!(
        (&sent["sent"], &sent["failed"]),
        (&json!(1), &json!(0)),
        "{sent}"
    );
    assert_eq!(drain(&desk.sqs, QUEUE).await, [TEXT]);
}

/// Who did what and why is told, of everything or of one operation.
fn audited(desk: &Desk, redriven: &str, taken_back: &str) {
    let audit = |args: &[&str]| {
        let answer = desk.world.command(&[&["audit"], args].concat());
        assert_eq!(answer.code, 0, "{}", answer.json);
        answer.json["entries"].as_array().unwrap().clone()
    };
    let uid = rustix::process::getuid().as_raw();
    let of_one = audit(&[redriven]);
    let told = |entry: &Value| {
        (
            entry["verb"].clone(),
            entry["reason"].clone(),
            entry["uid"].clone(),
        )
    };
    assert_eq!(
        told(&of_one[0]),
        (json!("start"), json!("no fax any more"), json!(uid))
    );
    assert_eq!(of_one[0]["detail"]["edited"], true);
    assert_eq!(told(&of_one[1]), (json!("ended"), Value::Null, Value::Null));
    assert_eq!(
        of_one[1]["detail"]["events"],
        json!({"deleted": 2, "failed": 1})
    );
    assert_eq!(of_one.len(), 2);
    let back = audit(&[taken_back]);
    assert_eq!(
        told(&back[0]),
        (json!("start"), json!("wrong channel"), json!(uid))
    );
    assert_eq!(back[0]["detail"]["takes_back"], redriven);
    let all = audit(&[]);
    let numbers = all.iter().map(|entry| entry["number"].as_u64().unwrap());
    assert!(numbers.eq(1..=all.len() as u64), "{all:?}");
    assert!(all.len() >= 10 && audit(&["0123456789ab"]).is_empty());
    desk.refused(
        &["operations", "outcomes", "0123456789ab"],
        1,
        "not_found",
        "no operation 0123456789ab",
    );
}
