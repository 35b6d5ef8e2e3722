//! Random commands against a model that fits on a page: the invariants hold whatever the order.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::ids::{ComputerName, SerialNumber};
use sealpost_site::changes::Change;
use sealpost_site::commands::clients::{Reserve, ReserveMany, Seat, Wanted};
use sealpost_site::rules::contact::ClientState;
use sealpost_site::rules::names::MixedScripts;
use sealpost_test_support::world::{Computer, World, admin, computer_name, reserve, reserve_for, serial};

use crate::bench::Bench;
use crate::fixture::{WorldExt, clients, entries_of, licenses, sound};
use crate::random::Random;

/// The model: a name holds seats of serial numbers or none, and its computer enrolled or not; the seats that were
/// granted over all serial numbers bound what is held.
#[derive(Default)]
struct Model {
    grants: BTreeMap<u8, Granted>,
    held: BTreeSet<(ComputerName, SerialNumber)>,
    computers: BTreeMap<ComputerName, Computer>,
    setups: u64,
}

#[derive(Default, Clone, Copy)]
struct Granted {
    generation: u64,
    seats: u32,
}

impl Model {
    /// What a ledger holds that was used before.
    async fn of(ledger: &Ledger) -> Self {
        let licenses = licenses(ledger).await;
        let granted = |id: u8| {
            let row = licenses.iter().find(|row| row.serial == serial(id))?;
            Some((id, Granted { generation: row.generation, seats: row.licenses }))
        };
        Self {
            grants: [1, 2].into_iter().filter_map(granted).collect(),
            held: logged_seats(ledger).await,
            ..Self::default()
        }
    }

    fn seats(&self) -> u32 {
        self.grants.values().map(|granted| granted.seats).sum()
    }

    fn held(&self) -> u32 {
        u32::try_from(self.held.len()).unwrap()
    }

    fn holds(&self, name: &ComputerName) -> bool {
        self.held.iter().any(|(holder, _)| holder == name)
    }

    /// Whether a name may take one more seat of a serial number, or of any.
    fn has_room(&self, wanted: Option<u8>) -> bool {
        let free = |id: &u8| {
            let used = self.held.iter().filter(|(_, of)| *of == serial(*id)).count();
            self.grants.get(id).is_some_and(|granted| used < granted.seats as usize)
        };
        let of_wanted = match wanted {
            Some(id) => free(&id),
            None => self.grants.keys().any(free),
        };
        self.held() < self.seats() && of_wanted
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
            match random.below(16) {
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
                    let new = [(&name, one), (&twin, two)].into_iter();
                    let new = new.filter(|(name, answer)| answer.is_ok() && !model.holds(name)).count();
                    model.held = logged_seats(&ledger).await;
                    assert!(model.holds(&name) || model.holds(&twin) || new == 0, "{place}");
                    let (held, seats) = (model.held(), model.seats());
                    assert!(new == 0 || held <= seats, "{place}: {held} of {seats}");
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
                7 | 8 => reserves_many(world, &ledger, &mut model, &mut random, &place).await,
                _ => {
                    let wanted = one_of_three(&mut random);
                    reserves(world, &ledger, &mut model, &name, wanted, &place).await;
                }
            }
            let held = logged_seats(&ledger).await;
            assert_eq!(held, model.held, "{place}: a named reservation is never moved or freed");
            let names: BTreeSet<_> = held.into_iter().map(|(name, _)| name).collect();
            let listed: BTreeSet<_> = clients(&ledger).await.into_iter().map(|row| row.name).collect();
            assert_eq!(listed, names, "{place}");
            counts_are_a_recount(&ledger, &place).await;
        }
        sound(&ledger).await;
        ledger.close().await.unwrap();
    }
}

/// A name takes a seat of a serial number or of any, or has one, or is refused because there is none.
async fn reserves(
    world: &World,
    ledger: &Ledger,
    model: &mut Model,
    name: &ComputerName,
    wanted: Option<u8>,
    place: &str,
) {
    let room = model.has_room(wanted);
    let known = match wanted {
        Some(id) => model.held.contains(&(name.clone(), serial(id))),
        None => model.holds(name),
    };
    let command = Reserve { serial: wanted.map(serial), ..reserve(name.as_str()) };
    match ledger.execute(world.at(2), command).await {
        Ok(_) => {
            assert!(room || known, "{place}: a seat too many for {name}");
            let before = model.held.len();
            model.held = logged_seats(ledger).await;
            assert_eq!(model.held.len(), before + usize::from(!known), "{place}");
            let of_wanted = wanted.is_none_or(|id| model.held.contains(&(name.clone(), serial(id))));
            assert!(of_wanted && model.holds(name), "{place}");
        }
        Err(LedgerError::Refused(problem)) => assert!(!room && !known, "{place}: {problem}"),
        Err(error) => panic!("{place}: {error}"),
    }
}

fn one_of_three(random: &mut Random) -> Option<u8> {
    [None, Some(1), Some(2)][usize::try_from(random.below(3)).unwrap()]
}

/// Names in one batch, some of them twice: each as if it came alone, after those before it.
async fn reserves_many(world: &World, ledger: &Ledger, model: &mut Model, random: &mut Random, place: &str) {
    let asked = (0..=random.below(11)).map(|_| {
        let name = computer_name(&format!("pc-{}", random.below(30)));
        (name, one_of_three(random))
    });
    let asked: Vec<(ComputerName, Option<u8>)> = asked.collect();
    let wanted =
        asked.iter().map(|(name, id)| Wanted { name: name.clone(), channel: None, serial: id.map(serial) });
    let command = ReserveMany { actor: admin(), wanted: wanted.collect(), mixed: MixedScripts::AskBack };
    let answers = ledger.execute(world.at(2), command).await.unwrap();
    assert_eq!(answers.len(), asked.len(), "{place}");
    for ((name, id), answer) in asked.into_iter().zip(answers) {
        let room = model.has_room(id);
        let known = match id {
            Some(id) => model.held.contains(&(name.clone(), serial(id))),
            None => model.holds(&name),
        };
        match answer {
            Seat::Taken { serial, .. } => {
                assert!(room && !known, "{place}: a seat too many for {name}");
                model.held.insert((name, serial));
            }
            Seat::Held { name: held } => assert!(known && held == name, "{place}: {name} holds none"),
            Seat::Refused { name: refused, problem } => {
                assert!(!room && !known && refused == name, "{place}: {name}: {problem}");
            }
        }
    }
    assert_eq!(logged_seats(ledger).await, model.held, "{place}: what was answered is what is logged");
}

/// Who holds which seats, by the log.
async fn logged_seats(ledger: &Ledger) -> BTreeSet<(ComputerName, SerialNumber)> {
    let mut held = BTreeSet::new();
    for logged in entries_of(ledger, "seat_reserved").await {
        if let Some(Change::SeatReserved { name, serial, .. }) = logged.entry.change() {
            assert!(held.insert((name.clone(), serial.clone())), "{name} took one seat twice");
        }
    }
    held
}

/// One of the two serial numbers gets a new grant.
async fn grants_anew(world: &World, ledger: &Ledger, model: &mut Model, random: &mut Random) {
    let id = if random.below(3) == 0 { 2 } else { 1 };
    let granted = model.grants.entry(id).or_default();
    granted.generation += 1;
    granted.seats = u32::try_from(random.below(20)).unwrap();
    world.accept(ledger, world.grant_of(id, granted.generation, granted.seats)).await.unwrap();
}

/// A computer enrolls, or enrolls again after the admin issued another setup file; without a seat it is refused.
async fn enrolls(world: &World, ledger: &Ledger, model: &mut Model, name: &ComputerName, place: &str) {
    model.setups += 1;
    let mut computer = world.computer(name.as_str()).with_setup(ledger.head().size * 100 + model.setups);
    let issued = ledger.execute(world.at(2), computer.issue_setup()).await;
    assert_eq!(issued.is_ok(), model.holds(name), "{place}: {issued:?}");
    let enrolled = world.enrolls(ledger, &computer).await;
    assert_eq!(enrolled.is_ok(), model.holds(name), "{place}: {enrolled:?}");
    if let Ok(outcome) = enrolled {
        computer.enrolled(&outcome);
        model.computers.insert(name.clone(), computer);
    }
}

/// The seats that are counted with each change are what a count of all computers gives, for each serial number.
async fn counts_are_a_recount(ledger: &Ledger, place: &str) {
    let rows = clients(ledger).await;
    let enrolled =
        |name: &ComputerName| rows.iter().any(|row| row.name == *name && row.state != ClientState::Reserved);
    let mut counted: BTreeMap<SerialNumber, (u32, u32)> = BTreeMap::new();
    for (name, serial) in logged_seats(ledger).await {
        let (used, active) = counted.entry(serial).or_default();
        *used += 1;
        *active += u32::from(enrolled(&name));
    }
    for row in licenses(ledger).await {
        let (used, active) = counted.remove(&row.serial).unwrap_or_default();
        assert_eq!((row.used, row.active, row.reserved), (used, active, used - active), "{place}");
    }
    assert!(counted.is_empty(), "{place}: seats of no license");
}
