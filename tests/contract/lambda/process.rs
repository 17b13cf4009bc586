//! Children end with their parent, whatever ends it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, Stdio};

use super::bench::wait_until;
use super::cloud;
use super::synchronous::is_running;

const EXE: &str = env!("CARGO_BIN_EXE_patterns-local");

fn leaves_out() -> bool {
    cloud::leaves_out("the step that starts a process is ours alone")
}

/// AWS Lambda developer guide, "Understanding the Lambda execution environment lifecycle" (shutdown): nothing of an environment outlives
/// it. Here that includes the emulator's own sudden end.
#[tokio::test(flavor = "multi_thread")]
async fn a_child_dies_with_a_parent_that_is_killed() {
    if leaves_out() {
        return;
    }
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

/// The same page: between a start and the watch over the parent the parent may end.
#[test]
fn a_child_whose_parent_is_gone_does_not_start() {
    if leaves_out() {
        return;
    }
    // Process 1 is certainly not our parent.
    let output = Command::new(EXE)
        .args(["exec", "--parent", "1", "--", "/bin/echo", "started"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("has ended"));
}

/// The keeper of `/bin/sh -c SCRIPT`, held by its stdin.
fn kept(script: &str) -> Command {
    let mut command = Command::new(EXE);
    command
        .args(["exec", "--keep", "--", "/bin/sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_orphans_of_a_kept_program_end_when_its_keeper_is_let_go() {
    if leaves_out() {
        return;
    }
    let script = "trap '' TERM HUP\n(setsid /bin/sh -c 'echo $$; sleep 600 & echo $!') &\n\
                  setsid sleep 600 & echo $!\n(sleep 600 & echo $!)\nexec sleep 600";
    let mut keeper = kept(script).spawn().unwrap();
    let lines = BufReader::new(keeper.stdout.take().unwrap()).lines();
    let family: Vec<u64> = lines
        .take(4)
        .map(|line| line.unwrap().parse().unwrap())
        .collect();
    drop(keeper.stdin.take());
    let status = keeper.wait().unwrap();
    assert_eq!(status.signal(), Some(9), "as the program itself ended");
    let left: Vec<_> = family.into_iter().filter(|pid| is_running(*pid)).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_keeper_ends_as_its_program_did() {
    if leaves_out() {
        return;
    }
    for (script, code, signal) in [
        ("exit 0", Some(0), None),
        ("exit 3", Some(3), None),
        ("kill -KILL $$", None, Some(9)),
        ("kill -SEGV $$", None, Some(11)),
        ("kill -PIPE $$", None, Some(13)),
        // The whole group, of which the keeper is.
        ("kill -TERM 0", None, Some(15)),
    ] {
        let mut command = kept(script);
        // A group of its own: not that of the tests.
        let mut keeper = command.process_group(0).spawn().unwrap();
        let hold = keeper.stdin.take();
        let status = keeper.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (code, signal), "{script}");
        drop(hold);
    }
}
