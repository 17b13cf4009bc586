//! Lines that fit: cut, wrapped, or with something at either end.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// Columns that one character takes.
fn width_of(c: char) -> usize {
    Span::raw(c.encode_utf8(&mut [0; 4]) as &str).width()
}

/// `text` in at most `width` columns, with an ellipsis where something is missing.
pub fn cut(text: &str, width: usize) -> String {
    if Span::raw(text).width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += width_of(c);
        // The ellipsis takes one column.
        if used >= width.max(1) {
            break;
        }
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// `line` as many lines of at most `width` columns; words are broken where the line ends, so that nothing is lost.
pub fn wrap(line: &Line<'_>, width: usize) -> Vec<Line<'static>> {
    let width = width.max(1);
    let mut lines = Vec::new();
    let mut spans: Vec<Span<'static>> = Vec::new();
    let mut used = 0;
    for span in &line.spans {
        let mut text = String::new();
        for c in span.content.chars() {
            let wide = width_of(c);
            if used + wide > width && used > 0 {
                spans.push(Span::styled(std::mem::take(&mut text), span.style));
                lines.push(Line::from(std::mem::take(&mut spans)));
                used = 0;
            }
            text.push(c);
            used += wide;
        }
        spans.push(Span::styled(text, span.style));
    }
    lines.push(Line::from(spans));
    lines
}

/// `text` in lines of at most `width` columns, broken between words; a word longer than a line is broken itself.
pub fn fill(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let indent: String = paragraph.chars().take_while(|c| *c == ' ').collect();
        let mut line = indent.clone();
        for word in paragraph.split_whitespace() {
            let pause = usize::from(line.len() > indent.len());
            if Span::raw(&line).width() + pause + Span::raw(word).width() > width && pause > 0 {
                lines.push(std::mem::replace(&mut line, indent.clone()));
            }
            if line.len() > indent.len() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.extend(
            wrap(&Line::raw(line), width)
                .iter()
                .map(ToString::to_string),
        );
    }
    lines
}

/// Draws `left` and `right` on the first line of `area`; where both do not fit, `left` is cut.
pub fn ends(left: &Line<'_>, right: &Line<'_>, area: Rect, buffer: &mut Buffer) {
    let at = area
        .width
        .saturating_sub(u16::try_from(right.width()).unwrap_or(u16::MAX));
    buffer.set_line(area.x + at, area.y, right, area.width - at);
    buffer.set_line(area.x, area.y, left, at.saturating_sub(1));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_so_and_fits() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("漢字", 2), "…");
        assert_eq!(cut("abc", 1), "…");
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn wrapping_loses_nothing() {
        let line = Line::from(vec![Span::raw("漢字"), Span::raw("abcdef")]);
        let lines: Vec<String> = wrap(&line, 3).iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["漢", "字a", "bcd", "ef"]);
        assert_eq!(
            fill("one two three\n  four", 7),
            ["one two", "three", "  four"]
        );
        assert_eq!(fill("abcdefghij", 4), ["abcd", "efgh", "ij"]);
    }
}
