//! What ratatui draws on: crossterm's backend, but for one question.

use std::io::{self, Stdout, stdout};

use ratatui::backend::{Backend as Draw, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};

/// The terminal on stdout, which is never asked where its cursor is. ratatui asks before it clears the screen, so at every
/// change of size, to put the cursor back; we hide it and place it anew with every frame. A terminal that does not answer
/// would end the dashboard two seconds later.
#[derive(Debug)]
pub struct Backend(CrosstermBackend<Stdout>);

impl Default for Backend {
    fn default() -> Self {
        Self(CrosstermBackend::new(stdout()))
    }
}

impl Draw for Backend {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        self.0.draw(content)
    }

    fn append_lines(&mut self, lines: u16) -> io::Result<()> {
        self.0.append_lines(lines)
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.0.hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.0.show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.0.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        Draw::clear(&mut self.0)
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        self.0.clear_region(clear_type)
    }

    fn size(&self) -> io::Result<Size> {
        self.0.size()
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.0.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        Draw::flush(&mut self.0)
    }
}
