//! The dashboard gives the terminal back whatever ends it, and draws in whatever space it gets.

use rustix::process::Signal;

use crate::dashboard::Dashboard;
use crate::world::signal;

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
