//! Random commands against a model that fits on a page: the invariants hold whatever the order.

use std::collections::BTreeSet;

use sealpost_manifests::ids::ComputerName;

use super::Bench;
use super::fixture::{World, admin, channel, sound};
use crate::ports::ledger::LedgerError;

/// A small generator (splitmix64): the seed stands in the failure, so that a run can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// The model: a name holds a seat or not; the most seats that were ever granted bound what is held.
#[derive(Default)]
struct Model {
    seats: u32,
    generation: u64,
    held: BTreeSet<ComputerName>,
}

pub(in crate::ledger) async fn seats_hold_under_any_interleaving(world: &World, bench: &dyn Bench) {
    for seed in 0..4 {
        let mut random = Random(seed + 1);
        let mut ledger = bench.open();
        let mut model = Model::default();
        let (licenses, clients) =
            (ledger.licenses().await.unwrap(), ledger.clients(None, 1_000).await.unwrap());
        model.seats = licenses.first().map_or(0, |row| row.licenses);
        model.generation = licenses.first().map_or(0, |row| row.generation);
        model.held = clients.into_iter().map(|row| row.name).collect();
        for step in 0..120 {
            let name = ComputerName::new(format!("pc-{}", random.below(25))).unwrap();
            match random.below(12) {
                0 => {
                    model.generation += 1;
                    model.seats = u32::try_from(random.below(20)).unwrap();
                    world.accept(&*ledger, world.grant(model.generation, model.seats)).await.unwrap();
                }
                1 => {
                    // An old grant, also one with many seats, changes nothing.
                    if model.generation > 0 {
                        let old = world.grant(model.generation - 1, 1_000);
                        let _ = world.accept(&*ledger, old).await;
                    }
                }
                2 => {
                    let (first, second) = (name.clone(), ComputerName::new("twin").unwrap());
                    let (one, two) = tokio::join!(
                        ledger.reserve(admin(), world.at(2), first.clone(), channel("stable")),
                        ledger.reserve(admin(), world.at(2), second.clone(), channel("beta")),
                    );
                    let mut taken = false;
                    for (name, answer) in [(first, one), (second, two)] {
                        taken |= answer.is_ok() && model.held.insert(name);
                    }
                    let held = u32::try_from(model.held.len()).unwrap();
                    assert!(
                        !taken || held <= model.seats,
                        "seed {seed} step {step}: {held} of {}",
                        model.seats
                    );
                }
                3 => {
                    // Killed, or closed in order: both leave what was answered.
                    if random.below(2) == 0 {
                        ledger.close().await.unwrap();
                    }
                    drop(ledger);
                    ledger = bench.open();
                }
                _ => {
                    let free = u32::try_from(model.held.len()).unwrap() < model.seats;
                    let known = model.held.contains(&name);
                    match ledger.reserve(admin(), world.at(2), name.clone(), channel("stable")).await {
                        Ok(_) => {
                            assert!(free || known, "seed {seed} step {step}: a seat too many for {name}");
                            model.held.insert(name);
                        }
                        Err(LedgerError::Refused(problem)) => {
                            assert!(!free && !known, "seed {seed} step {step}: {problem}");
                        }
                        Err(error) => panic!("seed {seed} step {step}: {error}"),
                    }
                }
            }
            let held: BTreeSet<_> =
                ledger.clients(None, 1_000).await.unwrap().into_iter().map(|row| row.name).collect();
            assert_eq!(
                held, model.held,
                "seed {seed} step {step}: a named reservation is never moved or freed"
            );
        }
        sound(&ledger).await;
        ledger.close().await.unwrap();
    }
}
