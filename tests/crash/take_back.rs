//! Taking back what a redrive sent: what is still in the queue comes back, what a consumer has does not, and what was
//! there before stays.

use patterns_core::operation::{OperationState, Redrive};
use patterns_core::protocol::{Reply, Request};

use super::account::{Account, Route};
use super::daemon::{Answer, Daemon};
use super::events;

const EVENTS: usize = 30;
const OTHERS: usize = 5;

/// More than there are others.
const PROCESSED: usize = 6;
const IN_HAND: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_processed_comes_back() {
    let route = Route::Queue;
    let mut account = Account::start(route).await;
    let mut daemon = Daemon::of(&account);
    let (dead_letters, target) = (route.dead_letters(), route.target());
    account.fail(target, &events::make(route, 1, OTHERS)).await;
    account
        .fail(dead_letters, &events::make(route, 2, EVENTS))
        .await;
    daemon.start(None);
    let redriven = daemon.redrive(dead_letters, EVENTS).await;
    let sent = ended(&mut account, &daemon, &redriven).await;
    assert_eq!(sent.sent, EVENTS as u64);
    let missed = consume(&account, target).await;
    assert!(missed > 0);

    let plan = match daemon
        .ask(Request::TakeBack {
            id: redriven.clone(),
        })
        .await
    {
        Answer::Reply(reply) => match *reply {
            Reply::Plan(plan) => plan,
            other => panic!("{other:?}"),
        },
        Answer::Problem(problem) => panic!("{problem}"),
        Answer::Nothing => panic!("{}", daemon.log()),
    };
    assert_eq!(plan.planned, EVENTS as u64);
    assert_eq!(plan.dead_letter_queue, target);
    let taking = daemon.carry_out(*plan).await.unwrap();
    let taken = ended(&mut account, &daemon, &taking).await;
    assert_eq!(taken.state, OperationState::Completed);
    // The consumer has what it has.
    assert_eq!(
        (taken.sent, taken.skipped),
        (EVENTS as u64 - missed, missed)
    );
    let sent = daemon.operation(&redriven).await.unwrap();
    assert_eq!(sent.taken_back, taken.sent);
    account.uncover();
    assert_eq!(account.depth(dead_letters).await, taken.sent);
    let left = OTHERS + EVENTS - PROCESSED;
    assert_eq!(account.depth(target).await, left as u64 - taken.sent);
    daemon.stop().await;
    account.local.stop().await;
}

async fn ended(account: &mut Account, daemon: &Daemon, id: &str) -> Redrive {
    account
        .until("it has ended", async || daemon.ended(id).await)
        .await
}

/// Processes some messages and keeps others in hand; answers how many of all these were redriven.
async fn consume(account: &Account, queue: &str) -> u64 {
    let url = account.url(queue);
    let mut redriven = 0;
    for number in 0..PROCESSED + IN_HAND {
        let receive = account.sqs.receive_message().queue_url(&url);
        let received = receive.visibility_timeout(43_200).send().await.unwrap();
        let message = &received.messages()[0];
        redriven += u64::from(message.body().unwrap().contains(r#""seed" :2"#));
        if number < PROCESSED {
            let delete = account.sqs.delete_message().queue_url(&url);
            let handle = message.receipt_handle().unwrap();
            delete.receipt_handle(handle).send().await.unwrap();
        }
    }
    redriven
}
