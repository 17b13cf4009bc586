//! What an update wants done outside the model.

use patterns_core::protocol::Request;

use crate::editing::Editing;

/// One wish; `app` carries it out, and waits only for the editor.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the daemon; the answer comes back as a message.
    Send(Request),
    /// Ask for the failed event of that id with every character as it is, because it is to be edited.
    Read(String),
    /// Open the operator's editor with this text; what is written comes back as a message.
    Edit(Editing, String),
    /// Put text on the terminal's clipboard (OSC 52, which also works over SSH).
    Copy(String),
    /// Draw everything again, because something else wrote to the terminal.
    Redraw,
    /// Stop as Ctrl-Z stops any program, and continue with `fg`.
    Suspend,
    /// Leave.
    Quit,
}
