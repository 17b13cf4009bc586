//! What happened, above the footer.

use ratatui::text::{Line, Span};

use crate::model::Notice;
use crate::theme::Theme;
use crate::widget::line::fill;

/// The most lines of notices at once.
const LINES_MAX: usize = 4;

/// The newest notices that fit, the newest last.
pub fn lines(notices: &[Notice], theme: Theme, width: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (hidden, notice) in notices.iter().rev().enumerate() {
        let drawn = draw(notice, theme, width);
        if !lines.is_empty() && lines.len() + drawn.len() > LINES_MAX {
            let more = notices.len() - hidden;
            lines.insert(
                0,
                Line::styled(format!("  … {more} earlier"), theme.muted()),
            );
            break;
        }
        lines.splice(0..0, drawn);
    }
    lines
}

fn draw(notice: &Notice, theme: Theme, width: usize) -> Vec<Line<'static>> {
    let (mark, style) = if notice.error {
        ("✗", theme.bad())
    } else {
        ("·", theme.good())
    };
    let hint = if notice.error { " (Esc dismisses)" } else { "" };
    let mut rows = fill(&format!("{}{hint}", notice.text), width.saturating_sub(3));
    rows.truncate(LINES_MAX);
    rows.into_iter()
        .enumerate()
        .map(|(at, row)| {
            let lead = if at == 0 {
                Span::styled(format!(" {mark} "), style)
            } else {
                Span::raw("   ")
            };
            Line::from(vec![
                lead,
                Span::styled(
                    row,
                    if notice.error {
                        style
                    } else {
                        ratatui::style::Style::new()
                    },
                ),
            ])
        })
        .collect()
}
