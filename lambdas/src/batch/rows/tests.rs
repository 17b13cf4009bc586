#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fmt::Write as _;

use super::*;

fn titles(content: &str) -> Vec<(u32, String)> {
    read(content.as_bytes())
        .unwrap()
        .into_iter()
        .map(|row| (row.row, row.task.title))
        .collect()
}

fn refusal(content: impl AsRef<[u8]>) -> String {
    read(content.as_ref()).unwrap_err().to_string()
}

#[test]
fn a_row_is_a_task() {
    let content = "detail, Title ,isComplete,owner,dueAt\r\n  more ,  Buy milk , 1,me,2026-01-31T09:00:00Z\r\n,Sell it,,,\r\n";
    let rows = read(content.as_bytes()).unwrap();
    assert_eq!(
        rows,
        [
            Row {
                row: 2,
                task: NewTask {
                    title: "Buy milk".to_owned(),
                    detail: Some("more".to_owned()),
                    due_at: Some("2026-01-31T09:00:00Z".parse().unwrap()),
                    is_complete: true,
                },
            },
            Row {
                row: 3,
                task: NewTask {
                    title: "Sell it".to_owned(),
                    ..NewTask::default()
                },
            },
        ]
    );
}

#[test]
fn a_header_alone_has_no_tasks() {
    for content in ["title", "title,detail\n", "\u{feff}title\r\n\r\n  \n"] {
        assert_eq!(titles(content), [], "{content:?}");
    }
}

#[test]
fn blank_lines_do_not_count_and_need_no_columns() {
    let content = "title,detail\n\n   \na,x\n\r\nb,y\n\n";
    assert_eq!(titles(content), [(2, "a".to_owned()), (3, "b".to_owned())]);
}

#[test]
fn quotes_hold_commas_quotes_and_line_breaks() {
    let content = "title,detail\n\"a, \"\"b\"\"\",\"one\ntwo\n\nthree\"\nc,d\n";
    let rows = read(content.as_bytes()).unwrap();
    assert_eq!(rows[0].task.title, "a, \"b\"");
    assert_eq!(rows[0].task.detail.as_deref(), Some("one\ntwo\n\nthree"));
    assert_eq!((rows[1].row, rows[1].task.title.as_str()), (3, "c"));
}

#[test]
fn a_quote_that_is_not_closed_does_not_swallow_rows() {
    let said = refusal("title,detail\na,b\nc,\"d\ne,f\n");
    assert_eq!(said, "CSV validation failed: Row 3: a quote is not closed");
}

#[test]
fn booleans_are_not_guessed() {
    let column = |value: &str| read(format!("title,isComplete\na,{value}\n").as_bytes());
    for (value, is_complete) in [
        ("true", true),
        ("TRUE", true),
        ("1", true),
        ("false", false),
        ("0", false),
        ("", false),
    ] {
        assert_eq!(
            column(value).unwrap()[0].task.is_complete,
            is_complete,
            "{value}"
        );
    }
    for value in ["yes", "2", "wahr", "truee"] {
        let said = column(value).unwrap_err().to_string();
        assert!(said.contains("Row 2: isComplete: must be"), "{said}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_by_its_row() {
    let long = "x".repeat(101);
    let content = format!(
        "title,detail,dueAt\nfine,,\n,no title,\n{long},,2025-12-31\ntoo,many,,values\nfew\n"
    );
    assert_eq!(
        refusal(content),
        "CSV validation failed: Row 3: title: Title is required; \
         Row 4: title: Title must not exceed 100 characters, dueAt: Due date must be a time such as 2026-01-31T09:00:00Z; \
         Row 5: it has 4 values, and the header has 3 columns; Row 6: it has 1 values, and the header has 3 columns"
    );
}

#[test]
fn one_bad_row_of_ten_thousand_refuses_all() {
    let mut content = "title\n".to_owned();
    for row in 2..=10_001 {
        let title = if row == 9_999 {
            &"x".repeat(101)
        } else {
            "fine"
        };
        writeln!(content, "{title}").unwrap();
    }
    assert_eq!(
        refusal(content),
        "CSV validation failed: Row 9999: title: Title must not exceed 100 characters"
    );
}

#[test]
fn a_refusal_names_twenty_rows_at_most() {
    let content = format!("title,detail\n{}", ",x\n".repeat(5000));
    let said = refusal(content);
    assert!(
        said.ends_with("; Row 21: title: Title is required; and 4980 more rows"),
        "{said}"
    );
}

#[test]
fn what_is_not_such_a_file_is_refused() {
    assert_eq!(
        refusal(b"title\n\xff\xfe\n"),
        "Failed to decode file content: it is not UTF-8"
    );
    for empty in ["", " \n\t\n", "\u{feff}"] {
        assert_eq!(refusal(empty), "CSV content is empty", "{empty:?}");
    }
    assert_eq!(
        refusal("Buy milk\nSell it\n"),
        "CSV validation failed: Row 1: the header has no column title"
    );
    assert!(refusal("title,Title\na,b\n").contains("two columns title"));
    let too_long = format!("title\n{}", "a\n".repeat(ROWS_MAX + 1));
    assert_eq!(read(too_long.as_bytes()), Err(FileError::TooLong));
    assert_eq!(titles(&too_long[..too_long.len() - 2]).len(), ROWS_MAX);
}
