//! Random commands against a model that fits on a page: the invariants hold whatever the order.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::ids::{ComputerName, EnrollmentCode, SerialNumber};
use sealpost_site::changes::Change;
use sealpost_site::rules::contact::ClientState;
use sealpost_test_support::world::{Computer, World, computer_name, reserve, reserve_for, serial};

use crate::bench::Bench;
use crate::fixture::{WorldExt, clients, entries_of, licenses, sound};
use crate::random::Random;

/// The model: a name holds a seat or not, and its computer enrolled or not; the seats that were granted over all serial
/// numbers bound what is held.
#[derive(Default)]
struct Model {
    grants: BTreeMap<u8, Granted>,
    held: BTreeSet<ComputerName>,
    computers: BTreeMap<ComputerName, Computer>,
    codes: u8,
}

#[derive(Default, Clone, Copy)]
struct Granted {
    generation: u64,
    seats: u32,
}

impl Model {
    /// What a ledger holds that was used before.
    async fn of(ledger: &Ledger) -> Self {
        let (licenses, clients) = (licenses(ledger).await, clients(ledger).await);
        let granted = |id: u8| {
            let row = licenses.iter().find(|row| row.serial == serial(id))?;
            Some((id, Granted { generation: row.generation, seats: row.licenses }))
        };
        Self {
            grants: [1, 2].into_iter().filter_map(granted).collect(),
            held: clients.into_iter().map(|row| row.name).collect(),
            ..Self::default()
        }
    }

    fn seats(&self) -> u32 {
        self.grants.values().map(|granted| granted.seats).sum()
    }

    fn held(&self) -> u32 {
        u32::try_from(self.held.len()).unwrap()
    }
}

pub(super) async fn seats_hold_under_any_interleaving(world: &World, bench: &dyn Bench) {
    for seed in 0..4 {
        let mut random = Random(seed + 1);
        let mut ledger = bench.open();
        let mut model = Model::of(&ledger).await;
        for step in 0..120 {
            let place = format!("seed {seed} step {step}");
            let name = computer_name(&format!("pc-{}", random.below(25)));
            match random.below(15) {
                0 => grants_anew(world, &ledger, &mut model, &mut random).await,
                1 => {
                    // An old grant, also one with many seats, changes nothing.
                    if let Some(granted) = model.grants.get(&1).filter(|granted| granted.generation > 0) {
                        let old = world.grant(granted.generation - 1, 1_000);
                        let _ = world.accept(&ledger, old).await;
                    }
                }
                2 => {
                    let twin = computer_name("twin");
                    let (one, two) = tokio::join!(
                        ledger.execute(world.at(2), reserve(name.as_str())),
                        ledger.execute(world.at(2), reserve_for("twin", "beta")),
                    );
                    let mut taken = false;
                    for (name, answer) in [(name, one), (twin, two)] {
                        taken |= answer.is_ok() && model.held.insert(name);
                    }
                    let (held, seats) = (model.held(), model.seats());
                    assert!(!taken || held <= seats, "{place}: {held} of {seats}");
                }
                3 => {
                    // Killed, or closed in order: both leave what was answered.
                    if random.below(2) == 0 {
                        ledger.close().await.unwrap();
                    }
                    drop(ledger);
                    ledger = bench.open();
                }
                4 | 5 => enrolls(world, &ledger, &mut model, &name, &place).await,
                6 => {
                    if let Some(computer) = model.computers.get_mut(&name) {
                        world.contacts(&ledger, computer, 10 + i64::from(step)).await;
                    }
                }
                _ => {
                    let free = model.held() < model.seats();
                    let known = model.held.contains(&name);
                    match ledger.execute(world.at(2), reserve(name.as_str())).await {
                        Ok(()) => {
                            assert!(free || known, "{place}: a seat too many for {name}");
                            model.held.insert(name);
                        }
                        Err(LedgerError::Refused(problem)) => {
                            assert!(!free && !known, "{place}: {problem}");
                        }
                        Err(error) => panic!("{place}: {error}"),
                    }
                }
            }
            let held: BTreeSet<_> = clients(&ledger).await.into_iter().map(|row| row.name).collect();
            assert_eq!(held, model.held, "{place}: a named reservation is never moved or freed");
            counts_are_a_recount(&ledger, &place).await;
        }
        sound(&ledger).await;
        ledger.close().await.unwrap();
    }
}

/// One of the two serial numbers gets a new grant.
async fn grants_anew(world: &World, ledger: &Ledger, model: &mut Model, random: &mut Random) {
    let id = if random.below(3) == 0 { 2 } else { 1 };
    let granted = model.grants.entry(id).or_default();
    granted.generation += 1;
    granted.seats = u32::try_from(random.below(20)).unwrap();
    let mut grant = world.grant(granted.generation, granted.seats);
    grant.serial = serial(id);
    world.accept(ledger, grant).await.unwrap();
}

/// A computer enrolls, or enrolls again after the admin issued another setup file; without a seat it is refused.
async fn enrolls(world: &World, ledger: &Ledger, model: &mut Model, name: &ComputerName, place: &str) {
    let mut computer = world.computer(name.as_str());
    model.codes += 1;
    let mut code = [model.codes; 24];
    code[..4].copy_from_slice(&ledger.head().sequence.to_le_bytes()[..4]);
    computer.code = EnrollmentCode::from_random(code);
    let issued = ledger.execute(world.at(2), computer.issue_setup()).await;
    assert_eq!(issued.is_ok(), model.held.contains(name), "{place}: {issued:?}");
    let enrolled = world.enrolls(ledger, &computer).await;
    assert_eq!(enrolled.is_ok(), model.held.contains(name), "{place}: {enrolled:?}");
    if let Ok(outcome) = enrolled {
        computer.enrolled(&outcome);
        model.computers.insert(name.clone(), computer);
    }
}

/// The seats that are counted with each change are what a count of all computers gives, for each serial number.
async fn counts_are_a_recount(ledger: &Ledger, place: &str) {
    let mut serial_of: BTreeMap<ComputerName, SerialNumber> = BTreeMap::new();
    for logged in entries_of(ledger, "seat_reserved").await {
        if let Change::SeatReserved { name, serial, .. } = logged.entry.change {
            serial_of.insert(name, serial);
        }
    }
    let mut counted: BTreeMap<SerialNumber, (u32, u32)> = BTreeMap::new();
    for row in clients(ledger).await {
        let (used, active) = counted.entry(serial_of[&row.name].clone()).or_default();
        *used += 1;
        *active += u32::from(row.state != ClientState::Reserved);
    }
    for row in licenses(ledger).await {
        let (used, active) = counted.remove(&row.serial).unwrap_or_default();
        assert_eq!((row.used, row.active, row.reserved), (used, active, used - active), "{place}");
    }
    assert!(counted.is_empty(), "{place}: seats of no license");
}
