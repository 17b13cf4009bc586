//! The daemon's memory while it looks through a very deep dead-letter queue, and while it brings everything back.

use anyhow::Result;

use super::{daemon::Daemon, speed::seconds, stack::Stack};

/// What a daemon may need for a queue of a million messages.
const AIM_MIB: u64 = 96;

const MIB: u64 = 1 << 20;

pub async fn measure(messages: usize) -> Result<()> {
    let mut stack = Stack::start().await?;
    stack.fill(messages).await?;
    let daemon = Daemon::start(&stack, messages).await?;
    let looking = daemon.peak_memory()? / MIB;
    let answer = daemon.ended(&stack, &daemon.begin()?).await?;
    let seconds = seconds(&answer)?;
    let peak = daemon.peak_memory()? / MIB;
    println!(
        "{messages} messages: at most {looking} MiB after the first look and {peak} MiB after {seconds:.0} s of redrive (aim {AIM_MIB})"
    );
    Ok(())
}
