//! The four screens, and what stands there while there is no daemon. Each draws the model into an area.

pub mod detail;
pub mod failed;
pub mod groups;
pub mod missing;
pub mod operations;
pub mod outcomes;
pub mod overview;
pub mod tasks;

use jiff::Timestamp;
use patterns_core::problem::Problem;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::figure;
use crate::model::{Fetched, Model};
use crate::theme::Theme;
use crate::widget::line::{ends, fill};

/// Figures older than this many seconds are dimmed and show their age: several readings were missed.
const STALE_SECONDS: u64 = 30;

/// Whether something read at `as_of` is too old to be relied on.
fn stale(as_of: Timestamp, now: Timestamp) -> bool {
    figure::seconds_since(as_of, now) > STALE_SECONDS
}

/// A heading with a remark at the right.
fn heading(title: &str, remark: &str, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let left = Line::from(vec![
        Span::raw(" "),
        Span::styled(title.to_owned(), theme.accent()),
    ]);
    ends(
        &left,
        &Line::styled(format!("{remark} "), theme.muted()),
        area,
        buffer,
    );
}

/// How fresh something is that was asked for.
fn freshness<T>(fetched: &Fetched<T>, model: &Model) -> String {
    match (fetched.at, fetched.asking) {
        (_, true) => "asking …".to_owned(),
        (Some(at), false) => format!("{} ago", figure::age(at, model.now)),
        (None, false) => String::new(),
    }
}

/// Why there is nothing, or nothing newer, in the words of the problem.
fn draw_problem(problem: &Problem, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let width = usize::from(area.width).saturating_sub(2);
    let mut lines: Vec<Line<'static>> = fill(&format!("✗ {problem}"), width)
        .into_iter()
        .map(|row| Line::styled(row, theme.bad()))
        .collect();
    lines.extend(fill(&problem.fix, width).into_iter().map(Line::raw));
    draw_lines(&lines, area, buffer);
}

/// Lines from the top of the area, one column in.
fn draw_lines(lines: &[Line<'_>], area: Rect, buffer: &mut Buffer) {
    for (row, line) in area.rows().zip(lines) {
        buffer.set_line(row.x + 1, row.y, line, row.width.saturating_sub(1));
    }
}
