//! Children end with their parent, whatever ends it.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::bench::wait_until;
use super::synchronous::is_running;

const EXE: &str = env!("CARGO_BIN_EXE_patterns-local");

#[tokio::test(flavor = "multi_thread")]
async fn a_child_dies_with_a_parent_that_is_killed() {
    // The shell is the parent: it starts a child through the exec step, names it, and waits.
    let script = format!("'{EXE}' exec --parent $$ -- /bin/sh -c 'echo $$; exec sleep 600' & wait");
    let mut parent = Command::new("/bin/sh")
        .args(["-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let child: u64 = line.trim().parse().unwrap();
    assert!(is_running(child));
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_until("the child has ended", || async move { !is_running(child) }).await;
}

#[test]
fn a_child_whose_parent_is_gone_does_not_start() {
    // Process 1 is certainly not our parent.
    let output = Command::new(EXE)
        .args(["exec", "--parent", "1", "--", "/bin/echo", "started"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("has ended"));
}
