//! The dashboard as a child: on our terminal and in our process group, so that the shell's job control reaches both.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Runs the dashboard until the operator leaves it.
pub async fn run(program: &Path, socket: &Path) -> Result<()> {
    // Asked to end when we are killed, not killed itself: it must give the terminal back.
    let mut child = Command::new(program)
        .args(["exec", "--terminate", &std::process::id().to_string(), "--"])
        .arg(program)
        .arg("tui")
        .arg("--socket")
        .arg(socket)
        .spawn()
        .context("cannot open the dashboard")?;
    child
        .wait()
        .await
        .context("cannot wait for the dashboard")?;
    Ok(())
}

/// Asks whether to stop the local stack. No answer, or a terminal that is gone, means yes.
pub async fn ask_to_stop() -> bool {
    // `eprint!` would panic where the terminal is gone.
    let asked = std::io::stderr().write_all(b"Stop the local stack too? [Y/n] ");
    if asked.is_err() {
        return true;
    }
    let mut answer = String::new();
    let read = BufReader::new(tokio::io::stdin())
        .read_line(&mut answer)
        .await;
    read.is_err() || !matches!(answer.trim().to_lowercase().as_str(), "n" | "no")
}
