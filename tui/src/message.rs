//! What can happen to the dashboard.

use std::time::Duration;

use crossterm::event::KeyEvent;
use jiff::Timestamp;
use patterns_core::problem::Problem;
use patterns_core::protocol::{Hello, Reply, Request};
use patterns_core::snapshot::Snapshot;

use crate::editing::Editing;
use crate::model::Extent;

/// One thing that happened. Time itself happens too: a [`Message::Tick`] goes before every other message.
#[derive(Clone, Debug)]
pub enum Message {
    /// It is this late now.
    Tick(Timestamp),
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted; it is never taken for keys.
    Paste(String),
    /// The window has another size, or another program had it: draw all of it.
    Redraw,
    /// The daemon answered.
    Connected(Box<Hello>),
    /// The daemon knows something new.
    Snapshot(Box<Snapshot>),
    /// The daemon cannot be reached, and will be tried again.
    Lost {
        /// Why.
        problem: Box<Problem>,
        /// The pause before the next try.
        retry_in: Duration,
    },
    /// The answer to a request.
    Replied(Request, Box<Result<Reply, Problem>>),
    /// The failed event of that id, exactly as it is.
    Read(String, Box<Result<Reply, Problem>>),
    /// What the editor left.
    Written(Editing, Result<String, Problem>),
    /// How much of what can be scrolled was drawn.
    Drawn(Extent),
}
