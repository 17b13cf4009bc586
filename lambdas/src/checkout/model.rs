//! Orders under every interleaving that can happen: requests and messages that come twice, environments that end between any two
//! steps, a provider that answers late or never, and writes that lose against others. The states, their steps and what the provider is
//! asked are the real ones; the tables, the queue and the provider are modelled by what they promise. The provider promises no more
//! than that it does nothing twice under the same key: what it is asked under another, it does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use super::order::Order;
use super::payments::{charging, refunding};
use super::state::{Event, Mail, State, Step, Work};
use crate::http::read::IDEMPOTENCY_KEY;
use crate::target::Call;

type Id = usize;

/// The provider's books, with an entry for each key that it was asked under.
#[derive(Debug, Default)]
struct Provider {
    /// The orders that it declines.
    poor: BTreeSet<String>,
    charges: BTreeMap<String, Charge>,
    /// The order and how much of its money was paid back.
    refunds: BTreeMap<String, (String, u64)>,
}

#[derive(Debug)]
struct Charge {
    order: String,
    amount: u64,
    declined: bool,
}

impl Provider {
    fn take(&mut self, call: &Call) -> Event {
        let key = call.headers[IDEMPOTENCY_KEY].to_str().unwrap().to_owned();
        let refunded = call.path.strip_suffix("/refund");
        if let Some(order) = refunded.and_then(|path| path.strip_prefix("/payments/charges/")) {
            let paid = self.charged(order);
            let refund = (order.to_owned(), paid);
            self.refunds.entry(key).or_insert(refund);
            return Event::Refunded;
        }
        assert_eq!(call.path, "/payments/charges");
        let asked: Value = serde_json::from_slice(&call.body).unwrap();
        let order = asked["orderId"].as_str().unwrap().to_owned();
        let new = Charge {
            amount: asked["amount"].as_u64().unwrap(),
            declined: self.poor.contains(&order),
            order,
        };
        if self.charges.entry(key).or_insert(new).declined {
            Event::Declined
        } else {
            Event::Charged
        }
    }

    fn charged(&self, order: &str) -> u64 {
        let charges = self.charges.values();
        let paid = charges.filter(|charge| charge.order == order && !charge.declined);
        paid.map(|charge| charge.amount).sum()
    }

    fn refunded(&self, order: &str) -> u64 {
        let refunds = self.refunds.values().filter(|(of, _)| of == order);
        refunds.map(|(_, amount)| amount).sum()
    }
}

/// An order of so many pieces.
fn order(id: Id, quantity: u64, price: u64) -> Order {
    Order {
        id: format!("o-{id}"),
        user_id: "ada".to_owned(),
        email: "ada@example.com".to_owned(),
        sku: "lamp".to_owned(),
        quantity,
        amount: quantity * price,
        payment_method: "card-1".to_owned(),
        state: State::Pending,
        correlation_id: "c-1".to_owned(),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

/// A request or a message on its way through one environment; between two of its steps it may end.
#[derive(Clone, Copy, Debug)]
struct Actor {
    order: Id,
    next: Next,
    /// The message in its hands, which comes again if it is not deleted.
    message: Option<Work>,
}

/// One write, or one request to another.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// `POST /checkout` stores the order.
    Place,
    /// What the order waits for is looked up.
    Look,
    /// The provider is asked, or the stock.
    Do(State, Work),
    /// What it said is written, if the order is still in that state.
    Write(State, Event),
    /// The next work is handed over.
    HandOver(Work),
    /// The message is deleted.
    Delete,
}

/// What the random schedule chooses from.
#[derive(Clone, Debug)]
enum Move {
    /// A customer's request, also the same again.
    Request(Index),
    /// An environment does its next step.
    Go(Index, Answer),
    /// An environment ends.
    Crash(Index),
    /// The queue delivers a message, also one that another has in its hands.
    Deliver(Index),
    /// The sweep hands something over and does not always get to remove it.
    Sweep(Index, bool),
    /// A request to the provider that nobody waits for any more arrives after all.
    Arrive(Index),
}

/// What becomes of a request to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    InTime,
    DoneAndNotHeard,
    DoneLater,
    Never,
}

#[derive(Debug, Default)]
struct World {
    /// What customers ask for.
    wanted: Vec<Order>,
    orders: BTreeMap<Id, State>,
    stock: u64,
    provider: Provider,
    outbox: BTreeSet<(Id, Work)>,
    queue: Vec<(Id, Work)>,
    mails: Vec<(Id, Mail)>,
    actors: Vec<Actor>,
    late: Vec<Call>,
}

impl World {
    /// What the provider is asked by whoever does an order's work.
    fn ask(&self, order: Id, work: Work) -> Call {
        let order = &self.wanted[order];
        match work {
            Work::Refund => refunding(order),
            _ => charging(order),
        }
    }

    /// The write of [`super::saga`]: the state if it is still as seen, and all that goes along.
    fn write(&mut self, order: Id, seen: State, event: Event) -> Option<State> {
        let Step { to, mail } = seen.on(event)?;
        if self.orders.get(&order) != Some(&seen) {
            return None;
        }
        if event == Event::Reserved {
            self.stock = self.stock.checked_sub(self.wanted[order].quantity)?;
        }
        self.orders.insert(order, to);
        if seen.work() != to.work() {
            if let Some(done) = seen.work() {
                self.outbox.remove(&(order, done));
            }
            if let Some(next) = to.work() {
                self.outbox.insert((order, next));
            }
        }
        self.mails.extend(mail.map(|mail| (order, mail)));
        Some(to)
    }

    /// Does the next step of an actor; `None` when it has none after that.
    fn step(&mut self, actor: Actor, answer: Answer) -> Option<Actor> {
        let Actor { order, message, .. } = actor;
        let end = message.map(|_| Next::Delete);
        let next = match actor.next {
            Next::Place => {
                if let std::collections::btree_map::Entry::Vacant(new) = self.orders.entry(order) {
                    new.insert(State::Pending);
                    self.outbox.insert((order, Work::SettlePayment));
                }
                Some(Next::Look)
            }
            Next::Look => {
                let state = *self.orders.get(&order)?;
                match (state.work(), message) {
                    // A request charges and nothing else, and only what was not asked for before.
                    (Some(work), None) if state == State::Pending => Some(Next::Do(state, work)),
                    (Some(work), Some(told)) if work == told => Some(Next::Do(state, work)),
                    _ => end,
                }
            }
            Next::Do(seen, Work::ReserveStock) => Some(Next::Write(seen, Event::Reserved)),
            Next::Do(seen, work) => match (self.ask(order, work), answer) {
                (call, Answer::InTime) => Some(Next::Write(seen, self.provider.take(&call))),
                (call, Answer::DoneAndNotHeard | Answer::DoneLater | Answer::Never) => {
                    if answer == Answer::DoneAndNotHeard {
                        self.provider.take(&call);
                    }
                    if answer == Answer::DoneLater {
                        self.late.push(call);
                    }
                    match work {
                        Work::SettlePayment => Some(Next::Write(seen, Event::NoAnswer)),
                        // An error: the message comes again.
                        _ => None,
                    }
                }
            },
            Next::Write(seen, event) => match self.write(order, seen, event) {
                Some(to) => to.work().map(Next::HandOver).or(end),
                None if event == Event::Reserved => Some(Next::Write(seen, Event::OutOfStock)),
                // Not known to be settled: the message comes again.
                None if seen.work() == Some(Work::SettlePayment) => None,
                None => end,
            },
            Next::HandOver(work) => {
                self.queue.push((order, work));
                self.outbox.remove(&(order, work));
                end.filter(|_| work != Work::SettlePayment)
            }
            Next::Delete => {
                let held = message.map(|work| (order, work));
                if let Some(at) = self.queue.iter().position(|it| Some(*it) == held) {
                    self.queue.swap_remove(at);
                }
                None
            }
        };
        next.map(|next| Actor { next, ..actor })
    }

    fn go(&mut self, at: usize, answer: Answer) {
        let actor = self.actors.swap_remove(at);
        if let Some(actor) = self.step(actor, answer) {
            self.actors.push(actor);
        }
    }

    fn deliver(&mut self, at: usize) {
        if let Some((order, work)) = self.queue.get(at).copied() {
            self.actors.push(Actor {
                order,
                next: Next::Look,
                message: Some(work),
            });
        }
    }

    fn sweep(&mut self, at: usize, removed: bool) {
        if let Some(told) = self.outbox.iter().nth(at).copied() {
            self.queue.push(told);
            if removed {
                self.outbox.remove(&told);
            }
        }
    }

    fn arrive(&mut self, at: usize) {
        let call = self.late.swap_remove(at);
        self.provider.take(&call);
    }

    fn play(&mut self, one: &Move) {
        match one {
            Move::Request(which) => self.actors.push(Actor {
                order: which.index(self.wanted.len()),
                next: Next::Place,
                message: None,
            }),
            Move::Go(which, answer) if !self.actors.is_empty() => {
                self.go(which.index(self.actors.len()), *answer);
            }
            Move::Crash(which) if !self.actors.is_empty() => {
                self.actors.swap_remove(which.index(self.actors.len()));
            }
            Move::Deliver(which) if !self.queue.is_empty() => {
                self.deliver(which.index(self.queue.len()));
            }
            Move::Sweep(which, removed) if !self.outbox.is_empty() => {
                self.sweep(which.index(self.outbox.len()), *removed);
            }
            Move::Arrive(which) if !self.late.is_empty() => {
                self.arrive(which.index(self.late.len()));
            }
            _ => {}
        }
    }

    /// Nothing fails any more: what is on its way arrives, until nothing is.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            if !self.late.is_empty() {
                self.arrive(0);
            } else if !self.actors.is_empty() {
                self.go(0, Answer::InTime);
            } else if !self.outbox.is_empty() {
                self.sweep(0, true);
            } else if !self.queue.is_empty() {
                self.deliver(0);
            } else {
                return;
            }
        }
        panic!("it never settles: {self:?}");
    }

    fn check(&self, stocked: u64) {
        let mut taken = 0;
        for (order, state) in &self.orders {
            let Order {
                id,
                amount,
                quantity,
                ..
            } = &self.wanted[*order];
            let (charged, refunded) = (self.provider.charged(id), self.provider.refunded(id));
            let confirmed = *state == State::Confirmed;
            let expected = if confirmed { *amount } else { 0 };
            assert_eq!(
                charged.checked_sub(refunded),
                Some(expected),
                "{id} is {state:?}: {charged} - {refunded}"
            );
            assert!(charged <= *amount, "{id} is charged with {charged}");
            taken += if confirmed { *quantity } else { 0 };
            assert_eq!(state.work(), None, "{id} is left in {state:?}");
            let mails = self.mails.iter().filter(|(of, _)| of == order).count();
            assert!(mails <= 1, "{id} is told {mails} times");
            if *state != State::Declined {
                assert_eq!(mails, 1, "nobody is told of {id}");
            }
        }
        // It cannot be negative: what is not there is not taken.
        assert_eq!(self.stock, stocked - taken);
        for charge in self.provider.charges.values() {
            let known = |id: &Id| self.wanted[*id].id == charge.order;
            assert!(self.orders.keys().any(known), "charged without an order");
        }
    }
}

fn moves() -> impl Strategy<Value = Move> {
    let answer = prop_oneof![
        3 => Just(Answer::InTime),
        1 => Just(Answer::DoneAndNotHeard),
        1 => Just(Answer::DoneLater),
        1 => Just(Answer::Never),
    ];
    prop_oneof![
        2 => any::<Index>().prop_map(Move::Request),
        12 => (any::<Index>(), answer).prop_map(|(which, answer)| Move::Go(which, answer)),
        2 => any::<Index>().prop_map(Move::Crash),
        4 => any::<Index>().prop_map(Move::Deliver),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(which, removed)| Move::Sweep(which, removed)),
        1 => any::<Index>().prop_map(Move::Arrive),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn whatever_happens_only_confirmed_orders_are_paid_and_stock_lasts(
        quantities in proptest::collection::vec(1_u64..4, 1..4),
        price in 1_u64..3000,
        stock in 0_u64..8,
        poor in proptest::collection::btree_set(0_usize..4, 0..2),
        schedule in proptest::collection::vec(moves(), 0..150),
    ) {
        let wanted = quantities.iter().zip(0..).map(|(quantity, id)| order(id, *quantity, price));
        let mut world = World { stock, wanted: wanted.collect(), ..World::default() };
        world.provider.poor = poor.iter().map(|id| format!("o-{id}")).collect();
        for one in &schedule {
            world.play(one);
        }
        world.settle();
        world.check(stock);
    }
}
