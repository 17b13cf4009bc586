//! The real dashboard in a pseudo-terminal, driven by keys and read like a person reads it.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

use crate::world::{PROGRAM, eventually, in_time};

/// A running `patterns-local tui`.
pub struct Dashboard {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    screen: Arc<Mutex<vt100::Parser>>,
    terminal: Box<dyn MasterPty + Send>,
}

impl Dashboard {
    /// Opens the dashboard of the daemon at `socket` in a terminal of this size.
    pub fn open(socket: &Path, columns: u16, rows: u16) -> Self {
        let mut command = CommandBuilder::new(PROGRAM);
        command.args(["tui", "--socket"]);
        command.arg(socket);
        Self::run(command, columns, rows)
    }

    /// Runs a program that shows a dashboard.
    pub fn run(mut command: CommandBuilder, columns: u16, rows: u16) -> Self {
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pty = native_pty_system().openpty(size).unwrap();
        command.env("TERM", "xterm-256color");
        let child = pty.slave.spawn_command(command).unwrap();
        let screen = Arc::new(Mutex::new(parser(columns, rows)));
        let mut output = pty.master.try_clone_reader().unwrap();
        let drawn = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 8192];
            // The reader ends with an error when the dashboard has closed the terminal.
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                drawn.lock().unwrap().process(&bytes[..length]);
            }
        });
        Self {
            child,
            keys: pty.master.take_writer().unwrap(),
            screen,
            terminal: pty.master,
        }
    }

    /// Types `keys`; `\r` is Enter and `\x1b` is Escape.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// What is on the screen now, line by line.
    pub fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits until the screen satisfies `seen`; `what` names it when it does not.
    pub async fn wait_until(&self, what: &str, seen: impl Fn(&str) -> bool) -> String {
        let found = in_time(async || {
            let text = self.text();
            seen(&text).then_some(text)
        });
        found
            .await
            .unwrap_or_else(|| panic!("{what} is not on the screen:\n{}", self.text()))
    }

    /// Waits until `wanted` is somewhere on the screen.
    pub async fn wait_for(&self, wanted: &str) -> String {
        self.wait_until(&format!("{wanted:?}"), |text| text.contains(wanted))
            .await
    }

    /// Whether the program is in the alternate screen, which it must leave at its end.
    pub fn in_alternate_screen(&self) -> bool {
        self.screen.lock().unwrap().screen().alternate_screen()
    }

    /// Gives the terminal another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        *self.screen.lock().unwrap() = parser(columns, rows);
        let size = PtySize {
            rows,
            cols: columns,
            pixel_width: 0,
            pixel_height: 0,
        };
        self.terminal.resize(size).unwrap();
    }

    /// The dashboard's process id.
    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// How it ended, once it has.
    pub async fn ended(&mut self) -> ExitStatus {
        eventually("the dashboard's end", async || {
            self.child.try_wait().unwrap()
        })
        .await
    }
}

fn parser(columns: u16, rows: u16) -> vt100::Parser {
    vt100::Parser::new(rows.try_into().unwrap(), columns.try_into().unwrap(), 0)
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}
