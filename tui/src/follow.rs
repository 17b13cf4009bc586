//! Follows the daemon: hello, then snapshots, and again after every interruption.

use std::time::Duration;

use futures::StreamExt;
use patterns_core::problem::{Problem, ProblemKind};
use tokio::sync::mpsc::Sender;
use tokio::time::sleep;

use crate::client::Client;
use crate::message::Message;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// One client on one socket: there is no herd to spread, so no jitter.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Sends what happens on the link into `messages` until their receiver is gone. Runs as a task of its own, so nothing the
/// operator does restarts its pauses.
pub async fn follow(client: Client, messages: Sender<Message>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(problem) = connected(&client, &messages, &mut pause).await else {
            return;
        };
        let lost = Message::Lost {
            problem: Box::new(problem),
            retry_in: pause,
        };
        if messages.send(lost).await.is_err() {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// One connection from its beginning to its end; `None` when nobody listens any more.
async fn connected(
    client: &Client,
    messages: &Sender<Message>,
    pause: &mut Duration,
) -> Option<Problem> {
    let hello = match client.hello().await {
        Ok(hello) => hello,
        Err(problem) => return Some(problem),
    };
    let mut snapshots = match client.watch().await {
        Ok(snapshots) => Box::pin(snapshots),
        Err(problem) => return Some(problem),
    };
    messages
        .send(Message::Connected(Box::new(hello)))
        .await
        .ok()?;
    while let Some(next) = snapshots.next().await {
        match next {
            Ok(snapshot) => messages
                .send(Message::Snapshot(Box::new(snapshot)))
                .await
                .ok()?,
            Err(problem) => return Some(problem),
        }
        *pause = FIRST_PAUSE;
    }
    Some(Problem::new(
        ProblemKind::Unreachable,
        format!(
            "the daemon at {} closed the connection",
            client.socket().display()
        ),
        "it ended or is restarting",
        "wait, or see why with\n  systemctl status patterns-daemon",
    ))
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::sample::{self, daemon::Daemon};

    /// A daemon that says hello, streams one snapshot and closes the connection.
    fn short_lived(request: &str) -> (u16, String) {
        if request.starts_with("GET /v1/hello") {
            (200, serde_json::to_string(&sample::hello()).unwrap())
        } else {
            (
                200,
                serde_json::to_string(&sample::snapshot()).unwrap() + "\n",
            )
        }
    }

    #[tokio::test]
    async fn after_an_interruption_snapshots_arrive_again() {
        let daemon = Daemon::answer(short_lived);
        let (sender, mut messages) = mpsc::channel(4);
        let following = tokio::spawn(follow(daemon.client(), sender));
        for _ in 0..2 {
            assert!(matches!(messages.recv().await, Some(Message::Connected(_))));
            let Some(Message::Snapshot(snapshot)) = messages.recv().await else {
                panic!("no snapshot")
            };
            assert_eq!(*snapshot, sample::snapshot());
            let Some(Message::Lost { retry_in, .. }) = messages.recv().await else {
                panic!("not lost")
            };
            assert_eq!(
                retry_in, FIRST_PAUSE,
                "a connection that worked starts the pauses anew"
            );
        }
        drop(messages);
        following.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_their_limit() {
        let client = crate::client::Client::new(
            "/nonexistent/socket".into(),
            crate::client::Strings::Visible,
        )
        .unwrap();
        let (sender, mut messages) = mpsc::channel(4);
        let following = tokio::spawn(follow(client, sender));
        let mut pauses = Vec::new();
        for _ in 0..7 {
            let Some(Message::Lost { retry_in, .. }) = messages.recv().await else {
                panic!("not lost")
            };
            pauses.push(retry_in.as_millis());
        }
        assert_eq!(pauses, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        drop(messages);
        following.await.unwrap();
    }
}
