//! What goes wrong before anything works, and what people send by mistake: each gets a clear answer and costs nothing.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::dashboard::Dashboard;
use crate::world::{PROGRAM, World, eventually, one_shot};

#[test]
fn a_missing_daemon_is_exit_code_3_within_a_second() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("nobody.sock");
    for args in [
        vec!["status"],
        vec!["failed", "list"],
        vec!["redrive", "some-dlq", "--yes"],
        vec!["task", "list"],
        vec!["burst", "--rate", "1", "--count", "1", "--yes"],
    ] {
        let started = Instant::now();
        let answer = one_shot(&socket, &args);
        assert_eq!(answer.code, 3, "{args:?}: {}", answer.json);
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{args:?} does not wait for a daemon that is not there"
        );
        assert!(
            answer.json["fix"]
                .as_str()
                .unwrap()
                .contains("patterns-daemon"),
            "{args:?} says what to do: {}",
            answer.json
        );
    }
}

#[test]
fn a_taken_port_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = Command::new(PROGRAM)
        .args(["--headless", "--port", &port])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains(&port) && error.contains("--port 0"),
        "{error}"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn a_state_directory_that_cannot_be_written_starts_nothing() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // A directory inside a file cannot be made, whoever tries.
    let inside = file.path().join("state");
    let output = Command::new(PROGRAM)
        .args(["--headless", "--port", "0", "--state-dir"])
        .arg(&inside)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains(&inside.display().to_string()) && error.contains("nothing was started"),
        "{error}"
    );

    let output = Command::new(PROGRAM)
        .args([
            "daemon",
            "--region",
            "us-east-1",
            "--endpoint-url",
            "http://127.0.0.1:9",
            "--state-dir",
        ])
        .arg(&inside)
        .arg("--socket")
        .arg(file.path().with_extension("sock"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(&inside.display().to_string()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_a_web_page_could_send_are_refused() {
    let world = World::start();
    let client = reqwest::Client::new();
    let call = || {
        client
            .post(&world.endpoint_url)
            .header("x-amz-target", "AmazonSQS.ListQueues")
            .header("content-type", "application/x-amz-json-1.0")
            .body("{}")
    };
    let signed = || {
        call().header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0",
        )
    };
    assert_eq!(signed().send().await.unwrap().status(), 200);
    let unsigned = call().send().await.unwrap();
    assert_eq!(unsigned.status(), 403);
    assert!(
        unsigned
            .text()
            .await
            .unwrap()
            .contains("MissingAuthenticationToken")
    );
    for (header, value) in [
        ("origin", "https://example.com"),
        ("origin", "null"),
        ("host", "evil.example"),
    ] {
        let answer = signed().header(header, value).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{header}: {value}");
    }
    // The HTTP APIs are public as on AWS, but not to web pages.
    let tasks = format!("{}/tasks", world.api("internal-handoff"));
    assert_eq!(client.get(&tasks).send().await.unwrap().status(), 200);
    assert_eq!(
        client
            .get(&tasks)
            .header("origin", "https://example.com")
            .send()
            .await
            .unwrap()
            .status(),
        403
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_not_valid_is_refused_with_its_field() {
    let world = World::start();
    for pattern in ["internal-handoff", "queue-leveling"] {
        for title in [String::new(), "x".repeat(101)] {
            let (status, answer) = world.post_task(pattern, &json!({"title": title})).await;
            assert_eq!(status, 400, "{answer}");
            assert_eq!(answer["fields"][0]["field"], "title", "{answer}");
        }
        let (status, answer) = world
            .post_task(pattern, &json!({"title": "x", "isComplete": "true"}))
            .await;
        assert_eq!(status, 400);
        assert_eq!(answer["fields"][0]["field"], "isComplete", "{answer}");
        assert!(
            answer["message"].as_str().unwrap().contains("isComplete"),
            "{answer}"
        );
    }
    let refused = world.command(&[
        "task",
        "create",
        "--pattern",
        "queue-leveling",
        "--title",
        "",
    ]);
    assert_eq!(refused.code, 2, "{}", refused.json);
    assert!(
        refused.json.to_string().contains("title"),
        "{}",
        refused.json
    );
    assert_eq!(
        world
            .command(&["task", "list", "--pattern", "queue-leveling"])
            .json,
        json!([]),
        "nothing was stored"
    );
}

/// A message full of escape codes is shown as marks and leaves the terminal alone.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_shown_as_visible_marks() {
    const DLQ: &str = "queue-leveling-notifications-dlq";
    let world = World::start();
    let sqs = aws_sdk_sqs::Client::new(&world.sdk());
    let url = sqs
        .get_queue_url()
        .queue_name(DLQ)
        .send()
        .await
        .unwrap()
        .queue_url
        .unwrap();
    // SQS refuses most control characters in a body itself; inside JSON they arrive escaped.
    let body = r#"{"note":"\u001b[2J\u001b]0;owned\u0007 \u202egnp.exe\u200b end-of-note"}"#;
    sqs.send_message()
        .queue_url(&url)
        .message_body(body)
        .send()
        .await
        .unwrap();
    let id = eventually("the event is mirrored", async || {
        world.command(&["failed", "list", DLQ]).json["events"][0]["id"]
            .as_str()
            .map(str::to_owned)
    })
    .await;

    let shown = world.command(&["failed", "show", &id]).json;
    assert_eq!(
        shown["payload"]["note"],
        "\u{1b}[2J\u{1b}]0;owned\u{7} \u{202e}gnp.exe\u{200b} end-of-note",
        "a script gets the text as it is"
    );

    let mut dashboard = Dashboard::open(&world.socket, 140, 45);
    dashboard.wait_for("Overview").await;
    dashboard.press("2");
    dashboard.wait_for(id.get(..8).unwrap()).await;
    dashboard.press("\r");
    let text = dashboard.wait_for("end-of-note").await;
    assert!(text.contains("␛[2J") && text.contains("⟨202E⟩"), "{text}");
}

#[test]
fn nothing_outlives_a_parent_that_was_killed() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let world = World::start();
        // A function environment, warm and idle.
        assert_eq!(
            world
                .post_task("internal-handoff", &json!({"title": "x"}))
                .await
                .0,
            201
        );
        let family = descendants(world.pid());
        assert!(family.len() >= 2, "a daemon and a function: {family:?}");
        crate::world::signal(world.pid(), rustix::process::Signal::KILL);
        eventually("every child has ended", async || {
            family.iter().all(|pid| !is_running(*pid)).then_some(())
        })
        .await;
    });
}

/// All processes below `pid`.
pub fn descendants(pid: u32) -> Vec<u32> {
    let children: Vec<u32> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|child| stat(*child).is_some_and(|(_, parent)| parent == pid))
        .collect();
    children
        .iter()
        .flat_map(|child| std::iter::once(*child).chain(descendants(*child)))
        .collect()
}

fn is_running(pid: u32) -> bool {
    // A zombie has ended; only its parent has not looked yet.
    stat(pid).is_some_and(|(state, _)| state != 'Z')
}

/// State and parent of a process, from `/proc/PID/stat`: `pid (name) state parent …`.
fn stat(pid: u32) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Half a request on each of ten thousand connections: the others are answered as ever, and memory stays bounded.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_clients_that_never_finish_keep_nobody_waiting() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )
    .unwrap();
    let possible = limit
        .maximum
        .map_or(10_000, |most| most.saturating_sub(500));
    let world = World::start();
    let before = world.memory_mib();
    let address = world.endpoint_url.strip_prefix("http://").unwrap();
    let slow: Vec<_> = (0..possible.min(10_000))
        .map(|_| {
            let mut connection = TcpStream::connect(address).unwrap();
            let half = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ";
            connection.write_all(half).unwrap();
            connection
        })
        .collect();
    let sqs = aws_sdk_sqs::Client::new(&world.sdk());
    let created = sqs.create_queue().queue_name("still-here").send().await;
    created.unwrap();
    let grown = world.memory_mib().saturating_sub(before);
    assert!(grown < 400, "{} connections took {grown} MiB", slow.len());
}
