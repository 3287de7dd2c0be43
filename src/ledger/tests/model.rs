//! The whole queue against a model: whatever is done, and however often it is reopened, the same comes out.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Add(u8, WaitReason, u8),
    LeaseDue(u8, usize),
    LeaseOne(u8),
    /// Ends the oldest lease: moved to a new state, or as it was.
    Finish(Option<State>),
    ReleaseHeld(usize),
    Reopen,
}

fn reason() -> impl Strategy<Value = WaitReason> {
    proptest::sample::select(WaitReason::ALL)
}
fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        3 => (reason(), any::<u8>()).prop_map(|(reason, due)| waiting(reason, due.into())),
        1 => Just(attempting()),
        1 => Just(sent()),
    ]
}
fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<u8>(), reason(), any::<u8>()).prop_map(|(n, reason, due)| Step::Add(n, reason, due)),
        4 => (any::<u8>(), 1..5_usize).prop_map(|(now, max)| Step::LeaseDue(now, max)),
        2 => any::<u8>().prop_map(Step::LeaseOne),
        6 => proptest::option::of(state()).prop_map(Step::Finish),
        1 => (1..4_usize).prop_map(Step::ReleaseHeld),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Default)]
struct Model {
    all: BTreeMap<NotificationId, State>,
    leased: BTreeSet<NotificationId>,
}

impl Model {
    /// Places not in hand, in order.
    fn places(&self) -> Vec<(Time, NotificationId)> {
        let mut places: Vec<_> = self
            .all
            .iter()
            .filter(|(id, _)| !self.leased.contains(*id))
            .filter_map(|(id, state)| match state {
                State::Waiting { due_at, .. } => Some((*due_at, *id)),
                _ => None,
            })
            .collect();
        places.sort();
        places
    }
    fn with_reason(&self, wanted: WaitReason) -> Vec<NotificationId> {
        let mut held: Vec<_> = self
            .all
            .iter()
            .filter_map(|(id, state)| match state {
                State::Waiting { reason, due_at } if *reason == wanted => Some((*due_at, *id)),
                _ => None,
            })
            .collect();
        held.sort();
        held.into_iter().map(|(_, id)| id).collect()
    }
}

fn check(ledger: &Ledger, model: &Model) {
    let counts = ledger.waiting_counts();
    for reason in WaitReason::ALL {
        assert_eq!(counts[reason.as_str()], model.with_reason(*reason).len() as u64, "{reason}");
    }
    let holds = [
        (Hold::Paused, WaitReason::Paused),
        (Hold::Brake("points".parse().unwrap()), WaitReason::Brake),
        (Hold::Ambiguous, WaitReason::AmbiguousHold),
        (Hold::Misconfigured(None), WaitReason::Misconfigured),
    ];
    for (hold, reason) in holds {
        assert_eq!(ledger.held(&hold, 1000).unwrap(), model.with_reason(reason), "{hold:?}");
    }
    let waits: BTreeSet<_> =
        model.with_reason(WaitReason::ContactUnknown).iter().map(|id| KeyedHash([id.0[15] ^ 0x80; 16])).collect();
    assert_eq!(ledger.waited_aliases(None, 1000).unwrap(), waits.into_iter().collect::<Vec<_>>());
    let open = model.all.iter().filter(|(id, state)| **state == attempting() && !model.leased.contains(*id));
    assert_eq!(ledger.open_attempts().unwrap(), open.map(|(id, _)| *id).collect::<Vec<_>>());
    assert_eq!(ledger.next_due(), model.places().first().map(|(due, _)| *due));
    assert!(ledger.0.shared.places.lock().window.is_within_bounds());
}

async fn run(steps: Vec<Step>, places_in_memory: usize) {
    let mut house = House::new();
    house.options.places_in_memory = places_in_memory;
    let mut ledger = house.open();
    let mut model = Model::default();
    let mut hands: Vec<Leased> = Vec::new();
    for step in steps {
        match step {
            Step::Add(n, reason, due) => {
                let state = waiting(reason, due.into());
                add(&ledger, notification(n, state.clone())).await;
                model.all.entry(id(n)).or_insert(state);
            }
            Step::LeaseDue(now, max) => {
                let leased = ledger.lease_due(at(now.into()), max).unwrap();
                let got: Vec<_> = leased.iter().map(|l| l.notification.id).collect();
                let due = model.places().into_iter().filter(|(due, _)| *due <= at(now.into()));
                assert_eq!(got, due.map(|(_, id)| id).take(max).collect::<Vec<_>>());
                model.leased.extend(got);
                hands.extend(leased);
            }
            Step::LeaseOne(n) => {
                let leased = ledger.lease(id(n)).unwrap();
                let free = model.all.contains_key(&id(n)) && !model.leased.contains(&id(n));
                assert_eq!(leased.is_some(), free);
                model.leased.extend(leased.as_ref().map(|l| l.notification.id));
                hands.extend(leased);
            }
            Step::Finish(state) => {
                if hands.is_empty() {
                    continue;
                }
                let leased = hands.remove(0);
                let id = leased.notification.id;
                assert_eq!(leased.notification.state, model.all[&id]);
                if let Some(state) = state {
                    update(&ledger, &leased, state.clone()).await;
                    model.all.insert(id, state);
                }
                model.leased.remove(&id);
            }
            Step::ReleaseHeld(max) => {
                for id in ledger.held(&Hold::Brake("points".parse().unwrap()), max).unwrap() {
                    let Some(leased) = ledger.lease(id).unwrap() else { continue };
                    let state = waiting(WaitReason::DueLater, 0);
                    update(&ledger, &leased, state.clone()).await;
                    model.all.insert(id, state);
                }
            }
            Step::Reopen => {
                hands.clear();
                model.leased.clear();
                ledger.close();
                ledger = house.open();
            }
        }
        check(&ledger, &model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_queue_does_what_its_model_does(steps in proptest::collection::vec(step(), 1..60), places in 2..12_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(run(steps, places));
    }
}
