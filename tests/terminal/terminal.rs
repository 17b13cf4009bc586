//! The dashboard gives the terminal back whatever ends it, and draws in whatever space it gets.

use portable_pty::CommandBuilder;
use rustix::process::Signal;

use serde_json::json;

use crate::dashboard::Dashboard;
use crate::world::{PROGRAM, World, eventually, signal};

/// What a newcomer types, with a free port and a place for temporary files of its own.
fn one_command() -> (tempfile::TempDir, Dashboard) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = CommandBuilder::new(PROGRAM);
    command.args(["--port", "0"]);
    command.env("TMPDIR", dir.path());
    (dir, Dashboard::run(command, 120, 36))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_opens_the_dashboard_and_asks_before_it_stops() {
    let (dir, mut dashboard) = one_command();
    dashboard.wait_for("queue-leveling-notifications-dlq").await;
    dashboard.press("q");
    dashboard.wait_for("Stop the local stack too?").await;
    assert!(!dashboard.in_alternate_screen());
    dashboard.press("n\r");
    dashboard.wait_for("keeps running").await;
    dashboard.press("\x03");
    assert!(dashboard.ended().await.success());
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_is_an_answer_to_the_question() {
    let (dir, mut dashboard) = one_command();
    dashboard.wait_for("queue-leveling-notifications-dlq").await;
    dashboard.press("q");
    dashboard.wait_for("Stop the local stack too?").await;
    dashboard.press("\x03");
    assert!(dashboard.ended().await.success());
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A dashboard whose daemon is not there, which is how most first starts look.
async fn lonely(columns: u16, rows: u16) -> (tempfile::TempDir, Dashboard) {
    let dir = tempfile::tempdir().unwrap();
    let dashboard = Dashboard::open(&dir.path().join("nobody.sock"), columns, rows);
    dashboard
        .wait_until("the alternate screen", |_| dashboard.in_alternate_screen())
        .await;
    (dir, dashboard)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_daemon_is_explained_with_the_command_that_starts_it() {
    let (_dir, mut dashboard) = lonely(100, 30).await;
    let text = dashboard.wait_for("cargo run --release").await;
    assert!(
        text.contains("nobody.sock") && text.contains("patterns-daemon"),
        "{text}"
    );
    dashboard.press("q");
    assert!(dashboard.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_is_given_back() {
    for end in ["ctrl-c", "sigterm", "sighup"] {
        let (_dir, mut dashboard) = lonely(100, 30).await;
        match end {
            "ctrl-c" => dashboard.press("\x03"),
            "sigterm" => signal(dashboard.pid(), Signal::TERM),
            _ => signal(dashboard.pid(), Signal::HUP),
        }
        dashboard.ended().await;
        dashboard
            .wait_until(end, |_| !dashboard.in_alternate_screen())
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_size_is_drawn() {
    let (_dir, mut dashboard) = lonely(1, 1).await;
    dashboard.resize(300, 100);
    dashboard.wait_for("nobody.sock").await;
    dashboard.resize(1, 1);
    dashboard.resize(40, 10);
    dashboard.wait_for("40x10").await;
    dashboard.press("q");
    assert!(dashboard.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_editor_gets_the_terminal_and_gives_it_back() {
    let world = World::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.jsonl");
    let queue = "internal-handoff-failures";
    let message = json!({
        "dead_letter_queue": queue,
        "id": "a",
        "message_id": "m",
        "body": json!({"colour": "wrong"}).to_string(),
        "attributes": {},
        "system_attributes": {},
    });
    std::fs::write(&file, format!("{message}\n")).unwrap();
    eventually("the queue is known", async || world.depth(queue)).await;
    let path = file.to_str().unwrap();
    let imported = world.command(&["failed", "import", path, "--to", queue]);
    assert_eq!(imported.code, 0, "{}", imported.json);
    let mut command = CommandBuilder::new(PROGRAM);
    command.args(["tui", "--socket"]);
    command.arg(&world.socket);
    command.env("VISUAL", "sed -i s/wrong/right/");
    let mut dashboard = Dashboard::run(command, 120, 40);
    dashboard.press("2");
    dashboard.wait_for("1 read of").await;
    dashboard.press("e");
    dashboard.wait_for("as it will be sent").await;
    dashboard.wait_for("+  \"colour\": \"right\"").await;
    dashboard.press("\x1b");
    dashboard
        .wait_until("the question answered", |text| {
            !text.contains("as it will be sent")
        })
        .await;
    dashboard.press("\x03");
    assert!(dashboard.ended().await.success());
}
