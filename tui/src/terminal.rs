//! The terminal: borrowed, and given back however the program ends.

use std::io::{self, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::Show;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use rustix::process::{Signal, kill_current_process_group};

use backend::Backend;

mod backend;

/// Whether the terminal is ours now. Static, because the panic hook must know it in every thread.
static BORROWED: AtomicBool = AtomicBool::new(false);

static HOOK: Once = Once::new();

/// The terminal while it is ours; dropping it gives it back.
#[derive(Debug)]
pub struct Terminal {
    screen: ratatui::Terminal<Backend>,
}

impl Terminal {
    /// Takes the terminal. From now on a panic in any thread or task gives it back before its message is printed.
    pub fn enter() -> io::Result<Self> {
        HOOK.call_once(|| {
            let print = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                give_back();
                print(panic);
            }));
        });
        borrow()?;
        // From here on the guard gives it back, also when the next line fails.
        let guard = GiveBack;
        let screen = ratatui::Terminal::new(Backend::default())?;
        std::mem::forget(guard);
        Ok(Self { screen })
    }

    /// Draws one frame.
    pub fn draw(&mut self, draw: impl FnOnce(&mut ratatui::Frame<'_>)) -> io::Result<()> {
        self.screen.draw(draw).map(|_| ())
    }

    /// Forgets what is on the screen, so that the next frame is drawn whole.
    pub fn clear(&mut self) -> io::Result<()> {
        self.screen.clear()
    }

    /// Gives the terminal back and stops the program, as Ctrl-Z does with any other. The shell's `fg` sends SIGCONT, after
    /// which [`Terminal::resume`] is to be called.
    pub fn suspend() -> io::Result<()> {
        give_back();
        // The whole group, as the terminal would: a program that started this one stops too.
        kill_current_process_group(Signal::TSTP)?;
        Ok(())
    }

    /// Gives the terminal to another program, until [`Terminal::resume`].
    pub fn lend() {
        give_back();
    }

    /// Takes the terminal again after a stop, whoever caused it, or from another program.
    pub fn resume(&mut self) -> io::Result<()> {
        borrow()?;
        self.screen.clear()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

struct GiveBack;

impl Drop for GiveBack {
    fn drop(&mut self) {
        give_back();
    }
}

fn borrow() -> io::Result<()> {
    enable_raw_mode()?;
    BORROWED.store(true, Ordering::SeqCst);
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)
}

/// Once is enough, however many ways lead here. Errors are of no use any more: after SIGHUP there is no terminal.
fn give_back() {
    if BORROWED.swap(false, Ordering::SeqCst) {
        let _ = execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}
