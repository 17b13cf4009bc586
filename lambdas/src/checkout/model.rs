//! Orders under every interleaving that can happen: requests and messages that come twice, environments that end between any two
//! steps, a provider that answers late or never, and writes that lose against others. The states and their steps are the real ones;
//! the tables, the queue and the provider are modelled by what they promise.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::state::{Event, Mail, State, Step, Work};

type Id = usize;

/// What the provider has on record under an order's id.
#[derive(Clone, Copy, Debug, Default)]
struct Money {
    charges: u32,
    refunds: u32,
    declined: bool,
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
    orders: BTreeMap<Id, State>,
    stock: i64,
    /// The orders that the provider declines.
    poor: BTreeSet<Id>,
    money: BTreeMap<Id, Money>,
    outbox: BTreeSet<(Id, Work)>,
    queue: Vec<(Id, Work)>,
    mails: Vec<(Id, Mail)>,
    actors: Vec<Actor>,
    late: Vec<(Id, Work)>,
}

impl World {
    /// The provider does what it is asked, once for each order.
    fn provide(&mut self, order: Id, work: Work) -> Event {
        let declines = self.poor.contains(&order);
        let money = self.money.entry(order).or_default();
        if work == Work::Refund {
            money.refunds = money.charges;
            return Event::Refunded;
        }
        if money.charges == 0 && declines {
            money.declined = true;
        } else {
            money.charges = 1;
        }
        if money.declined {
            Event::Declined
        } else {
            Event::Charged
        }
    }

    /// The write of [`super::saga`]: the state if it is still as seen, and all that goes along.
    fn write(&mut self, order: Id, seen: State, event: Event) -> Option<State> {
        let Step { to, mail } = seen.on(event)?;
        if self.orders.get(&order) != Some(&seen) {
            return None;
        }
        if event == Event::Reserved {
            if self.stock < 1 {
                return None;
            }
            self.stock -= 1;
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
            Next::Do(seen, work) => match answer {
                Answer::InTime => Some(Next::Write(seen, self.provide(order, work))),
                Answer::DoneAndNotHeard | Answer::DoneLater | Answer::Never => {
                    if answer == Answer::DoneAndNotHeard {
                        self.provide(order, work);
                    }
                    if answer == Answer::DoneLater {
                        self.late.push((order, work));
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
        let (order, work) = self.late.swap_remove(at);
        self.provide(order, work);
    }

    fn play(&mut self, orders: usize, one: &Move) {
        match one {
            Move::Request(which) => self.actors.push(Actor {
                order: which.index(orders),
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
        assert!(self.stock >= 0, "more was taken than there was");
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

    fn check(&self, stocked: i64) {
        for (order, state) in &self.orders {
            let money = self.money.get(order).copied().unwrap_or_default();
            let kept = i64::from(money.charges) - i64::from(money.refunds);
            let expected = i64::from(*state == State::Confirmed);
            assert_eq!(kept, expected, "order {order} is {state:?}: {money:?}");
            assert_eq!(state.work(), None, "order {order} is left in {state:?}");
            let mails = self.mails.iter().filter(|(of, _)| of == order).count();
            assert!(mails <= 1, "order {order} is told {mails} times");
            if *state != State::Declined {
                assert_eq!(mails, 1, "nobody is told of order {order}");
            }
        }
        let confirmed = self
            .orders
            .values()
            .filter(|state| **state == State::Confirmed);
        assert_eq!(
            self.stock,
            stocked - i64::try_from(confirmed.count()).unwrap_or(i64::MAX)
        );
        let unknown = self
            .money
            .keys()
            .find(|order| !self.orders.contains_key(order));
        assert_eq!(unknown, None, "charged without an order");
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
        orders in 1_usize..4,
        stock in 0_i64..4,
        poor in proptest::collection::btree_set(0_usize..4, 0..2),
        schedule in proptest::collection::vec(moves(), 0..150),
    ) {
        let mut world = World { stock, poor, ..World::default() };
        for one in &schedule {
            world.play(orders, one);
        }
        world.settle();
        world.check(stock);
    }
}
