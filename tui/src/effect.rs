//! What an update wants done outside the model.

use patterns_core::protocol::Request;

/// One wish; `app` carries it out and never waits for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the daemon; the answer comes back as a message.
    Send(Request),
    /// Put text on the terminal's clipboard (OSC 52, which also works over SSH).
    Copy(String),
    /// Draw everything again, because something else wrote to the terminal.
    Redraw,
    /// Stop as Ctrl-Z stops any program, and continue with `fg`.
    Suspend,
    /// Leave.
    Quit,
}
