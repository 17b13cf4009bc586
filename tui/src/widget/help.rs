//! The keys and what they do, made from the action table.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::action::{Context, Entry, active};
use crate::model::Extent;
use crate::theme::Theme;
use crate::widget::dialog;

/// Room for keys, name and summary of every entry.
const WIDTH: u16 = 104;

/// Draws the entries that are active in `contexts`.
pub fn draw(
    contexts: &[Context],
    scroll: usize,
    theme: Theme,
    area: Rect,
    buffer: &mut Buffer,
) -> Extent {
    let lines: Vec<Line<'static>> = active(contexts).map(|entry| line(entry, theme)).collect();
    let inner = dialog::open_wide(
        "Keys on this screen",
        WIDTH,
        lines.len(),
        theme,
        area,
        buffer,
    );
    let page = usize::from(inner.height);
    let scroll_max = lines.len().saturating_sub(page);
    for (row, line) in inner.rows().zip(lines.iter().skip(scroll.min(scroll_max))) {
        buffer.set_line(row.x, row.y, line, row.width);
    }
    Extent { page, scroll_max }
}

fn line(entry: &Entry, theme: Theme) -> Line<'static> {
    let keys: Vec<String> = entry.keys.iter().map(ToString::to_string).collect();
    let mut spans = vec![
        Span::styled(format!("{:<14}", keys.join(" ")), theme.accent()),
        Span::raw(format!(" {:<17}", entry.name)),
        Span::raw(entry.summary),
    ];
    if entry.danger {
        spans.push(Span::styled(" (asks first)", theme.muted()));
    }
    Line::from(spans)
}
