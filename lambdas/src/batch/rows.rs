//! A CSV file with a header and a task in each row. It is right as a whole, or refused with all the rows that are not.
//!
//! Columns, in any order: `title`, and if wanted `detail`, `dueAt` and `isComplete` (`true`, `1`, `false`, `0` or nothing).
//! Other columns are ignored. Blank lines do not count, and values are trimmed.

use csv::{ReaderBuilder, StringRecord, Trim};
use jiff::Timestamp;
use patterns_core::task::{NewTask, invalid_fields};

use super::{FIRST_ROW, Row};

/// More would not be handed over within the 30 s that an HTTP API waits.
const ROWS_MAX: usize = 100_000;

/// Rows that a refusal names; whoever has more of them knows by then.
const NAMED_MAX: usize = 20;

/// Why a file is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It is not text.
    #[error("Failed to decode file content: it is not UTF-8")]
    NotUtf8,
    /// It holds nothing.
    #[error("CSV content is empty")]
    Empty,
    /// It is not what CSV is.
    #[error("Failed to parse CSV: {0}")]
    NotCsv(String),
    /// It holds more rows than an upload may.
    #[error("CSV content must not exceed {ROWS_MAX} rows; upload it in parts")]
    TooLong,
    /// Rows are wrong; the text names them.
    #[error("CSV validation failed: {0}")]
    Invalid(String),
}

/// The rows of a file.
pub fn read(content: &[u8]) -> Result<Vec<Row>, FileError> {
    let text = std::str::from_utf8(content).map_err(|_| FileError::NotUtf8)?;
    // Spreadsheets begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(FileError::Empty);
    }
    let mut reader = ReaderBuilder::new()
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let not_csv = |error: csv::Error| FileError::NotCsv(error.to_string());
    let columns = Columns::find(reader.headers().map_err(not_csv)?)
        .map_err(|wrong| FileError::Invalid(format!("Row 1: {wrong}")))?;
    let mut rows = Vec::new();
    let mut wrong = Vec::new();
    let mut record = StringRecord::new();
    let mut from = reader.position().byte();
    let mut numbers = FIRST_ROW..;
    while reader.read_record(&mut record).map_err(not_csv)? {
        let to = reader.position().byte();
        let written = between(text, from, to);
        from = to;
        if written.trim().is_empty() {
            continue;
        }
        if rows.len() + wrong.len() == ROWS_MAX {
            return Err(FileError::TooLong);
        }
        let Some(row) = numbers.next() else {
            return Err(FileError::TooLong);
        };
        match columns.task(&record, written) {
            Ok(task) => rows.push(Row { row, task }),
            Err(problem) => wrong.push(format!("Row {row}: {problem}")),
        }
    }
    if wrong.is_empty() {
        return Ok(rows);
    }
    let more = wrong.len().saturating_sub(NAMED_MAX);
    wrong.truncate(NAMED_MAX);
    if more > 0 {
        wrong.push(format!("and {more} more rows"));
    }
    Err(FileError::Invalid(wrong.join("; ")))
}

/// A record as it stands in the file, with its line break.
fn between(text: &str, from: u64, to: u64) -> &str {
    let place = |byte| usize::try_from(byte).unwrap_or(usize::MAX);
    text.get(place(from)..place(to)).unwrap_or_default()
}

/// Where in a record the fields of a task are.
struct Columns {
    count: usize,
    title: usize,
    detail: Option<usize>,
    due_at: Option<usize>,
    is_complete: Option<usize>,
}

impl Columns {
    fn find(header: &StringRecord) -> Result<Self, String> {
        let find = |name: &str| {
            let mut places = header
                .iter()
                .enumerate()
                .filter(|(_, column)| column.eq_ignore_ascii_case(name))
                .map(|(place, _)| place);
            let first = places.next();
            match places.next() {
                Some(_) => Err(format!("the header has two columns {name}")),
                None => Ok(first),
            }
        };
        Ok(Self {
            count: header.len(),
            title: find("title")?.ok_or("the header has no column title")?,
            detail: find("detail")?,
            due_at: find("dueAt")?,
            is_complete: find("isComplete")?,
        })
    }

    /// The task of a record, or all that is wrong with it. `written` is the record as it stands in the file.
    fn task(&self, record: &StringRecord, written: &str) -> Result<NewTask, String> {
        // The parser takes a quote that is never closed as closed by the end of the file, with all rows before that in one.
        if written.bytes().filter(|byte| *byte == b'"').count() % 2 == 1 {
            return Err("a quote is not closed".to_owned());
        }
        if record.len() != self.count {
            return Err(format!(
                "it has {} values, and the header has {} columns",
                record.len(),
                self.count
            ));
        }
        let given = |place: Option<usize>| {
            place
                .and_then(|place| record.get(place))
                .filter(|value| !value.is_empty())
        };
        let title = given(Some(self.title)).unwrap_or_default();
        let detail = given(self.detail);
        let mut wrong: Vec<_> = invalid_fields(title, detail)
            .iter()
            .map(ToString::to_string)
            .collect();
        let due_at = given(self.due_at).map(str::parse::<Timestamp>).transpose();
        let due_at = due_at.unwrap_or_else(|_| {
            wrong.push("dueAt: Due date must be a time such as 2026-01-31T09:00:00Z".to_owned());
            None
        });
        let is_complete = match given(self.is_complete) {
            None | Some("0") => false,
            Some("1") => true,
            Some(value) if value.eq_ignore_ascii_case("true") => true,
            Some(value) if value.eq_ignore_ascii_case("false") => false,
            Some(_) => {
                wrong.push("isComplete: must be true, false, 1 or 0".to_owned());
                false
            }
        };
        if !wrong.is_empty() {
            return Err(wrong.join(", "));
        }
        Ok(NewTask {
            title: title.to_owned(),
            detail: detail.map(str::to_owned),
            due_at,
            is_complete,
        })
    }
}

#[cfg(test)]
mod tests;
