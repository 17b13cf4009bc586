//! `task create` and `task list`.

use jiff::Timestamp;
use patterns_core::problem::{Problem, ProblemKind, exit};
use patterns_core::protocol::{Reply, Request};
use patterns_core::task::{self, NewTask};

use super::unexpected;
use crate::cli::Task;
use crate::client::Client;
use crate::{figure, print};

/// What is wrong with the command line itself.
pub fn check(task: &Task) -> Result<(), Problem> {
    let Task::Create { title, detail, .. } = task else {
        return Ok(());
    };
    let invalid: Vec<String> = task::invalid_fields(title, detail.as_deref())
        .iter()
        .map(ToString::to_string)
        .collect();
    if invalid.is_empty() {
        return Ok(());
    }
    Err(Problem::new(
        ProblemKind::Usage,
        "the task is not valid",
        invalid.join("; "),
        "correct --title or --detail",
    ))
}

pub async fn run(client: &Client, task: Task, json: bool) -> Result<u8, Problem> {
    match task {
        Task::Create {
            title,
            detail,
            due_at,
            pattern,
        } => {
            let task = NewTask {
                title,
                detail,
                due_at,
                is_complete: false,
            };
            let Reply::Task(task) = client.send(Request::TaskCreate { pattern, task }).await?
            else {
                return Err(unexpected());
            };
            print::answer(&task, json, || format!("{}\n", task.id))?;
        }
        Task::List { pattern } => {
            let Reply::Tasks(tasks) = client.send(Request::TaskList { pattern }).await? else {
                return Err(unexpected());
            };
            print::answer(&tasks, json, || table(&tasks))?;
        }
    }
    Ok(exit::OK)
}

fn table(tasks: &[task::Task]) -> String {
    let now = Timestamp::now();
    let rows: Vec<_> = tasks
        .iter()
        .map(|task| {
            [
                task.id.clone(),
                figure::age(task.created_at, now),
                if task.is_complete { "done" } else { "open" }.to_owned(),
                task.due_at.map(figure::time).unwrap_or_default(),
                task.title.clone(),
            ]
        })
        .collect();
    print::table(["id", "created>", "state", "due", "title"], &rows)
}
