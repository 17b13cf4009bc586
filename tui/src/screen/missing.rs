//! No daemon has answered yet: where it was looked for, why it failed, and what starts it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use crate::figure;
use crate::model::{Link, Model};
use crate::theme::Theme;
use crate::widget::line::fill;

/// Draws the explanation; the dashboard tries again behind it.
pub fn draw(model: &Model, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let width = usize::from(area.width).saturating_sub(4);
    let mut lines: Vec<Line<'static>> = Vec::new();
    let mut say = |text: &str, style| {
        lines.extend(
            fill(text, width)
                .into_iter()
                .map(|row| Line::styled(row, style)),
        );
    };
    let plain = ratatui::style::Style::new();
    match &model.link {
        Link::Connecting | Link::Live => {
            let path = patterns_core::text::visible(&model.socket.to_string_lossy());
            let what = if model.link == Link::Live {
                "Waiting for the first snapshot of"
            } else {
                "Connecting to"
            };
            say(&format!("{what} the daemon at {path} …"), plain);
        }
        Link::Lost { problem, retry_at } => {
            let wait = figure::seconds_since(model.now, *retry_at);
            say(&format!("✗ {}", problem.what), theme.bad());
            say("", plain);
            say(&problem.why, plain);
            say("", plain);
            say(&problem.fix, theme.watch());
            say("", plain);
            let next = if wait == 0 {
                "Trying again now".to_owned()
            } else {
                format!("Trying again in {wait} s")
            };
            say(
                &format!("{next}; this goes on by itself. q quits."),
                theme.muted(),
            );
        }
    }
    let top = area
        .height
        .saturating_sub(u16::try_from(lines.len()).unwrap_or(u16::MAX))
        / 3;
    for (row, line) in area.rows().skip(usize::from(top)).zip(&lines) {
        buffer.set_line(row.x + 2, row.y, line, row.width.saturating_sub(2));
    }
}
