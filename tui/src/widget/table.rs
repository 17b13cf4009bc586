//! A table that drops columns before it cuts text, and scrolls so that the selected row is seen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use crate::theme::Theme;
use crate::widget::line::cut;

/// Between two columns.
const GAP: usize = 2;
/// Left of the first column: the mark of the selected row.
const GUTTER: usize = 2;

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// Whether its cells stand at the right, as figures do.
    pub right: bool,
    /// How far it may shrink before columns are dropped for it; 0: not at all.
    pub min: usize,
    /// The highest goes first when there is no room; 0 stays.
    pub drop: u8,
}

impl Column {
    /// A column of text.
    pub const fn text(title: &'static str, drop: u8) -> Self {
        Self {
            title,
            right: false,
            min: 0,
            drop,
        }
    }

    /// A column of text of any length.
    pub const fn long(title: &'static str, min: usize, drop: u8) -> Self {
        Self {
            title,
            right: false,
            min,
            drop,
        }
    }

    /// A column of figures.
    pub const fn figure(title: &'static str, drop: u8) -> Self {
        Self {
            title,
            right: true,
            min: 0,
            drop,
        }
    }
}

/// A table ready to be drawn.
#[derive(Debug)]
pub struct Table<'a> {
    /// Its columns, left to right.
    pub columns: &'a [Column],
    /// Its rows, each with one cell a column.
    pub rows: Vec<Vec<Span<'static>>>,
    /// The position of the selected row.
    pub selected: Option<usize>,
}

impl Table<'_> {
    /// Draws it with a heading; the number of rows that one page has.
    pub fn draw(&self, theme: Theme, area: Rect, buffer: &mut Buffer) -> usize {
        let page = usize::from(area.height.saturating_sub(1));
        if area.height == 0 || area.width == 0 {
            return page;
        }
        let widths = self.widths(usize::from(area.width).saturating_sub(GUTTER));
        let titles: Vec<Span<'_>> = self
            .columns
            .iter()
            .map(|column| Span::styled(column.title, theme.muted()))
            .collect();
        self.draw_row(&titles, &widths, Rect { height: 1, ..area }, buffer);
        // The selected row stands in the middle as soon as there are more rows than fit.
        let last_first = self.rows.len().saturating_sub(page);
        let first = self
            .selected
            .unwrap_or(0)
            .saturating_sub(page / 2)
            .min(last_first);
        for (y, (index, row)) in
            (area.y + 1..area.bottom()).zip(self.rows.iter().enumerate().skip(first))
        {
            let line = Rect {
                y,
                height: 1,
                ..area
            };
            self.draw_row(row, &widths, line, buffer);
            // More rows than are seen: arrows beside the first and the last one.
            let above = y == area.y + 1 && first > 0;
            let below = y + 1 == area.bottom() && index + 1 < self.rows.len();
            if above || below {
                let arrow = if above { "↑" } else { "↓" };
                let room = usize::from(area.width) - 1;
                buffer.set_stringn(area.x + 1, y, arrow, room, theme.muted());
            }
            if self.selected == Some(index) {
                buffer.set_stringn(area.x, y, "▸", usize::from(area.width), Style::new());
                buffer.set_style(line, theme.selected());
            }
        }
        page
    }

    fn draw_row(&self, row: &[Span<'_>], widths: &[usize], area: Rect, buffer: &mut Buffer) {
        let mut x = GUTTER;
        for ((column, cell), width) in self.columns.iter().zip(row).zip(widths) {
            if *width == 0 {
                continue;
            }
            let text = cut(&cell.content, *width);
            let indent = if column.right {
                width.saturating_sub(Span::raw(&text).width())
            } else {
                0
            };
            let room = usize::from(area.width).saturating_sub(x + indent);
            let at = area
                .x
                .saturating_add(u16::try_from(x + indent).unwrap_or(u16::MAX));
            if room > 0 {
                buffer.set_stringn(at, area.y, text, room.min(*width), cell.style);
            }
            x += width + GAP;
        }
    }

    /// The width of each column in `room` columns; 0 for those that were dropped.
    fn widths(&self, room: usize) -> Vec<usize> {
        let natural: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                let cells = self
                    .rows
                    .iter()
                    .filter_map(|row| row.get(at))
                    .map(Span::width)
                    .max();
                cells.unwrap_or(0).max(Span::raw(column.title).width())
            })
            .collect();
        let mut widths: Vec<usize> = natural
            .iter()
            .zip(self.columns)
            .map(|(natural, column)| {
                if column.min == 0 {
                    *natural
                } else {
                    column.min.min(*natural)
                }
            })
            .collect();
        while total(&widths) > room {
            let dropped = self
                .columns
                .iter()
                .zip(&mut widths)
                .filter(|(column, width)| column.drop > 0 && **width > 0);
            match dropped.max_by_key(|(column, _)| column.drop) {
                Some((_, width)) => *width = 0,
                None => break,
            }
        }
        // Text is cut only when nothing is left to drop: the widest column pays.
        let excess = total(&widths).saturating_sub(room);
        if let Some(widest) = widths.iter_mut().max() {
            *widest = widest.saturating_sub(excess);
        }
        let mut spare = room.saturating_sub(total(&widths));
        for (width, natural) in widths.iter_mut().zip(natural) {
            if *width > 0 {
                let more = spare.min(natural.saturating_sub(*width));
                *width += more;
                spare -= more;
            }
        }
        widths
    }
}

/// The columns that `widths` take together with their gaps.
fn total(widths: &[usize]) -> usize {
    let shown = widths.iter().filter(|width| **width > 0).count();
    widths.iter().sum::<usize>() + GAP * shown.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column::text("name", 0),
        Column::figure("depth", 1),
        Column::long("note", 6, 2),
    ];

    fn widths(room: usize) -> Vec<usize> {
        let cells = ["a-queue-name", "12", "something long to say"];
        let rows = vec![cells.map(Span::raw).to_vec()];
        Table {
            columns: &COLUMNS,
            rows,
            selected: None,
        }
        .widths(room)
    }

    #[test]
    fn columns_go_before_text_is_cut() {
        assert_eq!(widths(100), [12, 5, 21]);
        assert_eq!(widths(30), [12, 5, 9]);
        assert_eq!(widths(27), [12, 5, 6]);
        assert_eq!(widths(26), [12, 5, 0]);
        assert_eq!(widths(18), [12, 0, 0]);
        assert_eq!(widths(8), [8, 0, 0]);
        assert_eq!(widths(0), [0, 0, 0]);
    }
}
