//! What the one-shot commands print: an aligned table, facts, or one JSON document.

use std::io::{self, Write};

use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::text::{escape_json, visible_lines};
use ratatui::text::Span;
use serde::Serialize;

/// Prints to stdout. A reader that has seen enough (`| head`) is no failure.
fn text(text: &str) -> Result<(), Problem> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Problem::new(
            ProblemKind::Internal,
            "cannot write to standard output",
            error.to_string(),
            "check where it is redirected to",
        )),
        _ => Ok(()),
    }
}

/// Prints one JSON document in which no character can deceive a terminal.
fn json(document: &impl Serialize) -> Result<(), Problem> {
    let json = serde_json::to_string_pretty(document).map_err(|error| {
        Problem::new(
            ProblemKind::Internal,
            "cannot write the answer as JSON",
            error.to_string(),
            "",
        )
    })?;
    text(&format!("{}\n", escape_json(&json)))
}

/// Prints an answer, as JSON or for people.
pub fn answer(
    document: &impl Serialize,
    as_json: bool,
    as_text: impl FnOnce() -> String,
) -> Result<(), Problem> {
    if as_json {
        json(document)
    } else {
        text(&as_text())
    }
}

/// Prints a problem: as the one document on stdout, or for people on stderr. The exit code that goes with it.
pub fn problem(problem: &Problem, as_json: bool) -> u8 {
    if as_json {
        // Nobody is left to be told that this failed too.
        let _ = json(problem);
    } else {
        let mut said = format!("patterns-tui: {}\n  {}\n", problem.what, problem.why);
        if !problem.fix.is_empty() {
            said.push_str(&problem.fix);
            said.push('\n');
        }
        let _ = io::stderr().write_all(visible_lines(&said).as_bytes());
    }
    problem.exit_code()
}

/// Rows under their headings, aligned; a heading that ends in `>` is of a column of figures.
pub fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let titles = headings.map(|heading| heading.trim_end_matches('>').to_uppercase());
    let widths: Vec<usize> = (0..N)
        .map(|at| {
            let cells = rows.iter().chain([&titles]).filter_map(|row| row.get(at));
            cells.map(|cell| Span::raw(cell).width()).max().unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for row in std::iter::once(&titles).chain(rows) {
        let mut line = String::new();
        for ((cell, width), heading) in row.iter().zip(&widths).zip(headings) {
            let gap = " ".repeat(width.saturating_sub(Span::raw(cell).width()));
            if heading.ends_with('>') {
                line.push_str(&gap);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&gap);
            }
            line.push_str("  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Labels with their values, aligned.
pub fn facts(facts: &[(&str, String)]) -> String {
    let widest = facts
        .iter()
        .map(|(label, _)| label.len())
        .max()
        .unwrap_or(0);
    let lines: Vec<String> = facts
        .iter()
        .map(|(label, value)| format!("{label:<widest$}  {value}\n"))
        .collect();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let rows = [
            ["漢字".to_owned(), "1".to_owned()],
            ["a".to_owned(), "100".to_owned()],
        ];
        assert_eq!(
            table(["queue", "depth>"], &rows),
            "QUEUE  DEPTH\n漢字       1\na        100\n"
        );
    }
}
