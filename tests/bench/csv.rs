//! How long a file of 10 000 tasks takes to be read and checked: `cargo bench -p patterns-lambdas --bench csv`.

use std::fmt::Write as _;
use std::time::Instant;

use patterns_lambdas::batch::rows;

fn main() {
    let mut file = "title,detail,dueAt,isComplete\n".to_owned();
    for row in 0..10_000 {
        let _ = writeln!(
            file,
            "Task number {row},\"With a detail, some 60 characters long, as people write them\",2026-01-31T09:00:00Z,true"
        );
    }
    let mut times: Vec<_> = (0..100)
        .map(|_| {
            let started = Instant::now();
            let read = rows::read(file.as_bytes());
            let took = started.elapsed();
            assert!(read.is_ok_and(|rows| rows.len() == 10_000));
            took
        })
        .collect();
    times.sort();
    if let (Some(middle), Some(longest)) = (times.get(50), times.last()) {
        println!(
            "10 000 rows, {} KB: p50 {middle:.1?}, longest {longest:.1?}",
            file.len() / 1000
        );
    }
}
