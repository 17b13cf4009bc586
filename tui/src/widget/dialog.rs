//! A box in the middle, over everything else.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Padding, Widget};

use crate::theme::Theme;

/// The most columns a dialog has: longer lines are hard to read.
const WIDTH: u16 = 76;

/// Draws an empty box for `height` lines; the area inside its border, smaller where the window is.
pub fn open(title: &str, height: usize, theme: Theme, area: Rect, buffer: &mut Buffer) -> Rect {
    open_wide(title, WIDTH, height, theme, area, buffer)
}

/// As [`open`], for lines that are wider on purpose.
pub fn open_wide(
    title: &str,
    width: u16,
    height: usize,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) -> Rect {
    let height = u16::try_from(height.saturating_add(2)).unwrap_or(u16::MAX);
    let outer = area.centered(
        ratatui::layout::Constraint::Length(width.min(area.width)),
        ratatui::layout::Constraint::Length(height.min(area.height)),
    );
    Clear.render(outer, buffer);
    let block = Block::bordered()
        .title(Line::styled(format!(" {title} "), theme.accent()))
        .padding(Padding::horizontal(1));
    let inner = block.inner(outer);
    block.render(outer, buffer);
    inner
}

/// The columns inside a dialog's border in a window of `area`.
pub fn inner_width(area: Rect) -> usize {
    usize::from(WIDTH.min(area.width).saturating_sub(4))
}

/// Draws `lines` in a box of their size.
pub fn lines(title: &str, lines: &[Line<'_>], theme: Theme, area: Rect, buffer: &mut Buffer) {
    let inner = open(title, lines.len(), theme, area, buffer);
    for (row, line) in inner.rows().zip(lines) {
        buffer.set_line(row.x, row.y, line, row.width);
    }
}
