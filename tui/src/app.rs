//! The loop: what happens becomes a message, messages change the model, effects are carried out, and the model is drawn.
//! Nothing else in the dashboard awaits but the editor, which has the terminal meanwhile.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{Event, EventStream, KeyEventKind};
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use patterns_core::problem::{Problem, ProblemKind, exit};
use patterns_core::protocol::Request;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use crate::client::{Client, Strings};
use crate::editor;
use crate::effect::Effect;
use crate::follow::follow;
use crate::message::Message;
use crate::model::Model;
use crate::terminal::Terminal;
use crate::theme::Theme;
use crate::update::update;
use crate::view;

/// About 30 frames a second: more is not seen, but costs.
const FRAME: Duration = Duration::from_millis(33);

/// Ages are shown in seconds.
const TICK: Duration = Duration::from_secs(1);

/// Snapshots that may wait for the loop. The daemon drops older ones on its side.
const LINK_MESSAGES: usize = 4;

/// A stop takes effect at once, or never: in an orphaned process group, which no shell could continue.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// Shows the dashboard until the operator or a signal ends it; the exit code.
pub async fn run(socket: PathBuf) -> Result<u8, Problem> {
    let client = Client::new(socket.clone(), Strings::Visible)?;
    let mut signals = Signals::new().map_err(|error| terminal_problem(&error))?;
    let mut terminal = Terminal::enter().map_err(|error| terminal_problem(&error))?;
    let ended = App::new(client, socket)
        .run(&mut terminal, &mut signals)
        .await;
    drop(terminal);
    ended.map_err(|error| terminal_problem(&error))?;
    Ok(exit::OK)
}

fn terminal_problem(error: &io::Error) -> Problem {
    Problem::new(
        ProblemKind::Internal,
        "the terminal failed",
        error.to_string(),
        "open the dashboard in another terminal, or use\n  patterns-tui status",
    )
}

/// Everything that ends or interrupts from outside.
struct Signals {
    terminate: Signal,
    hang_up: Signal,
    interrupt: Signal,
    resume: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            resume: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
        })
    }
}

/// What one turn of the loop found.
#[allow(
    clippy::large_enum_variant,
    reason = "one exists in each turn, and not for long"
)]
enum Turn {
    Message(Message),
    Draw,
    Resume,
    End,
}

struct App {
    client: Client,
    model: Model,
    theme: Theme,
    /// Requests on their way, each ending with its message. A panic in one ends the program.
    tasks: JoinSet<Message>,
    /// Whether something changed since the last frame.
    dirty: bool,
    drawn_at: Instant,
}

impl App {
    fn new(client: Client, socket: PathBuf) -> Self {
        Self {
            client,
            model: Model::new(socket, Timestamp::now()),
            theme: Theme::from_environment(),
            tasks: JoinSet::new(),
            dirty: true,
            drawn_at: Instant::now(),
        }
    }

    async fn run(mut self, terminal: &mut Terminal, signals: &mut Signals) -> io::Result<()> {
        // The first frame is there before anything is connected.
        self.draw(terminal)?;
        let mut keys = None;
        let (sender, mut link) = mpsc::channel(LINK_MESSAGES);
        let mut following = JoinSet::new();
        following.spawn(follow(self.client.clone(), sender));
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            // In this order, so that no flood of snapshots delays a key.
            let event = tokio::select! {
                biased;
                key = keys.get_or_insert_with(EventStream::new).next() => match key {
                    Some(key) => key.map(of_terminal)?.map_or(Turn::Draw, Turn::Message),
                    // The terminal is gone.
                    None => Turn::End,
                },
                _ = signals.terminate.recv() => Turn::End,
                _ = signals.hang_up.recv() => Turn::End,
                _ = signals.interrupt.recv() => Turn::End,
                _ = signals.resume.recv() => Turn::Resume,
                () = sleep_until(self.drawn_at + FRAME), if self.dirty => Turn::Draw,
                Some(message) = link.recv() => Turn::Message(message),
                Some(ended) = self.tasks.join_next() => Turn::Message(unless_panicked(ended)),
                Some(ended) = following.join_next() => {
                    unless_panicked(ended);
                    Turn::End
                }
                _ = tick.tick() => Turn::Message(Message::Tick(Timestamp::now())),
            };
            match event {
                Turn::End => return Ok(()),
                Turn::Draw => self.draw(terminal)?,
                Turn::Resume => self.resume(terminal)?,
                Turn::Message(message) => {
                    for effect in self.take(message) {
                        if effect == Effect::Quit {
                            return Ok(());
                        }
                        self.carry_out(effect, terminal, signals, &mut keys).await?;
                    }
                }
            }
        }
    }

    /// Time first, then what happened.
    fn take(&mut self, message: Message) -> Vec<Effect> {
        self.dirty = true;
        let mut effects = update(&mut self.model, Message::Tick(Timestamp::now()));
        effects.extend(update(&mut self.model, message));
        effects
    }

    async fn carry_out(
        &mut self,
        effect: Effect,
        terminal: &mut Terminal,
        signals: &mut Signals,
        keys: &mut Option<EventStream>,
    ) -> io::Result<()> {
        match effect {
            Effect::Send(request) => self.send(request),
            Effect::Read(id) => self.read(id),
            Effect::Edit(editing, text) => {
                // Whoever still reads keys would take them from the editor. A new stream waits for the old one to end, so
                // it is made only afterwards.
                *keys = None;
                Terminal::lend();
                let program = editor::program();
                let written = editor::edit(&program, &text, editing.suffix()).await;
                self.resume(terminal)?;
                // Ctrl-C was meant for the editor.
                while signals.interrupt.recv().now_or_never().is_some() {}
                self.tasks
                    .spawn(async move { Message::Written(editing, written) });
            }
            Effect::Copy(text) => {
                crossterm::execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text))?;
            }
            Effect::Redraw => terminal.clear()?,
            Effect::Suspend => {
                Terminal::suspend()?;
                // The stop may reach this process a moment after the call returned.
                let _ = timeout(STOP_GRACE, signals.resume.recv()).await;
                self.resume(terminal)?;
            }
            Effect::Quit => {}
        }
        Ok(())
    }

    fn send(&mut self, request: Request) {
        let client = self.client.clone();
        self.tasks.spawn(async move {
            let answer = client.send(request.clone()).await;
            Message::Replied(request, Box::new(answer))
        });
    }

    fn read(&mut self, id: String) {
        let client = self.client.exact();
        self.tasks.spawn(async move {
            let answer = client.send(Request::FailedShow { id: id.clone() }).await;
            Message::Read(id, Box::new(answer))
        });
    }

    fn resume(&mut self, terminal: &mut Terminal) -> io::Result<()> {
        terminal.resume()?;
        self.draw(terminal)
    }

    fn draw(&mut self, terminal: &mut Terminal) -> io::Result<()> {
        let mut extent = self.model.extent;
        terminal.draw(|frame| extent = view::draw(frame, &self.model, self.theme))?;
        update(&mut self.model, Message::Drawn(extent));
        self.dirty = false;
        self.drawn_at = Instant::now();
        Ok(())
    }
}

/// The message in an event of the terminal; focus, mouse and releases of keys are none.
fn of_terminal(event: Event) -> Option<Message> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(Message::Key(key)),
        Event::Paste(text) => Some(Message::Paste(text)),
        Event::Resize(..) => Some(Message::Redraw),
        Event::Key(_) | Event::FocusGained | Event::FocusLost | Event::Mouse(_) => None,
    }
}

/// What a task ended with. Its panic goes on here: the hook has given the terminal back and printed the message.
fn unless_panicked<T>(ended: Result<T, JoinError>) -> T {
    match ended {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "in a task")]
    async fn a_panic_in_a_task_ends_the_program() {
        let mut tasks: JoinSet<()> = JoinSet::new();
        tasks.spawn(async { panic!("in a task") });
        unless_panicked(tasks.join_next().await.unwrap());
    }
}
