//! Random commands against a model that fits on a page: the invariants hold whatever the order.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{ComputerName, SerialNumber};
use sealpost_manifests::order::Epoch;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Change;
use sealpost_site::commands::clients::{
    Admit, CallOff, ClaimInstall, LoadSeats, NoteInstall, PlanInstall, Reserve, ReserveMany, Seat, SeatFacts,
    Wanted,
};
use sealpost_site::commands::decision::{Command, Context, Decision};
use sealpost_site::commands::restores::DeclareRestore;
use sealpost_site::rules::contact::ClientState;
use sealpost_site::rules::names::MixedScripts;
use sealpost_site::rules::restore::RestoreCause;
use sealpost_site::rules::schedule::{InstallOutcome, Schedule};
use sealpost_test_support::world::{
    Computer, World, admin, channel, computer_name, era, reserve, reserve_for, serial,
};

use crate::bench::Bench;
use crate::fixture::{WorldExt, clients, entries_of, licenses, refused, sound};
use crate::random::Random;

/// The model: a name holds seats of serial numbers or none, and its computer enrolled or not; the seats that were
/// granted over all serial numbers bound what is held.
#[derive(Default, Clone)]
struct Model {
    grants: BTreeMap<u8, Granted>,
    held: BTreeSet<(ComputerName, SerialNumber)>,
    computers: BTreeMap<ComputerName, Computer>,
    setups: u64,
    /// The vendor's part of the epoch of all grants.
    epoch: u32,
    /// Restored, and not confirmed by the vendor: no new license.
    unconfirmed: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Granted {
    generation: u64,
    seats: u32,
    ended: bool,
}

/// By which command single names are reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reserving {
    ByTheRules,
    /// The one that forgets to count: what the invariant is there for.
    WithoutTheCheck,
}

/// Reserves as [`Reserve`] does, but takes a seat without asking whether one is free.
#[derive(Debug, Clone)]
struct ReserveUnchecked {
    name: ComputerName,
    serial: SerialNumber,
}

impl Command for ReserveUnchecked {
    type Facts = LoadSeats;
    type Answer = ();
    const ATTEMPTED: &'static str = "reserve a seat";

    fn facts(&self) -> LoadSeats {
        LoadSeats { names: [self.name.clone()].into() }
    }

    fn decide(self, facts: SeatFacts, _: &Context<'_>) -> Decision<()> {
        let Self { name, serial } = self;
        let has = facts.held.get(&name).is_some_and(|held| held.serials.contains(&serial));
        let is_granted = facts.grants.iter().any(|grant| grant.serial == serial);
        if has || !is_granted {
            return Decision::answer(());
        }
        let channel = facts.held.get(&name).map_or_else(|| channel("stable"), |held| held.channel.clone());
        Decision::answer(()).change(admin(), Change::SeatReserved { name, channel, serial })
    }
}

impl Model {
    /// What a ledger holds that was used before.
    async fn of(ledger: &Ledger) -> Self {
        let licenses = licenses(ledger).await;
        let granted = |id: u8| {
            let row = licenses.iter().find(|row| row.serial == serial(id))?;
            let ended = row.ends_at.is_some();
            Some((id, Granted { generation: row.generation, seats: row.licenses, ended }))
        };
        let epoch = licenses.iter().map(|row| row.epoch.vendor()).max().unwrap_or(1);
        Self {
            epoch,
            grants: [1, 2].into_iter().filter_map(granted).collect(),
            held: logged_seats(ledger).await,
            ..Self::default()
        }
    }

    /// Seats over all serial numbers, and over those that have not ended.
    fn seats(&self) -> [u32; 2] {
        let of = |lasting: bool| {
            self.grants.values().filter(|grant| !(lasting && grant.ended)).map(|grant| grant.seats).sum()
        };
        [of(false), of(true)]
    }

    /// Seats that are held of one serial number.
    fn used(&self, id: u8) -> u32 {
        let of_it = self.held.iter().filter(|(_, of)| *of == serial(id));
        u32::try_from(of_it.count()).unwrap()
    }

    /// Held of those that have not ended.
    fn held_of_lasting(&self) -> u32 {
        let lasting = self.grants.iter().filter(|(_, granted)| !granted.ended);
        lasting.map(|(id, _)| self.used(*id)).sum()
    }

    fn held(&self) -> u32 {
        u32::try_from(self.held.len()).unwrap()
    }

    /// Whether it holds seats, and none of a serial number that goes on.
    fn holds_ended_alone(&self, name: &ComputerName) -> bool {
        let lasting = |id: &u8| !self.grants.get(id).is_some_and(|granted| granted.ended);
        self.holds(name)
            && !self.held.iter().any(|(holder, of)| {
                holder == name && [1, 2].iter().any(|id| serial(*id) == *of && lasting(id))
            })
    }

    fn holds(&self, name: &ComputerName) -> bool {
        self.held.iter().any(|(holder, _)| holder == name)
    }

    /// Whether a name may take one more seat of a serial number, or of any.
    fn has_room(&self, wanted: Option<u8>) -> bool {
        let free = |id: &u8| {
            self.grants.get(id).is_some_and(|granted| !granted.ended && self.used(*id) < granted.seats)
        };
        let of_wanted = match wanted {
            Some(id) => free(&id),
            None => self.grants.keys().any(free),
        };
        let [all, lasting] = self.seats();
        !self.unconfirmed && self.held() < all && self.held_of_lasting() < lasting && of_wanted
    }

    /// The invariant of seats: none is taken away, and where one more is held than before, there are as many as were granted,
    /// of its serial number and over all.
    fn judge(&self, before: &BTreeSet<(ComputerName, SerialNumber)>) -> Result<(), String> {
        if let Some((name, serial)) = before.difference(&self.held).next() {
            return Err(format!("the seat of {serial} was taken from {name}"));
        }
        for (name, of) in self.held.difference(before) {
            let Some((id, granted)) = self.grants.iter().find(|(id, _)| serial(**id) == *of) else {
                return Err(format!("{name} got a seat of {of}, of which there is no grant"));
            };
            let used = self.used(*id);
            if used > granted.seats || granted.ended || self.unconfirmed {
                return Err(format!("{name} got a seat of {of}: {used} of {granted:?}"));
            }
            let ([all, lasting], held, of_lasting) = (self.seats(), self.held(), self.held_of_lasting());
            if held > all || of_lasting > lasting {
                return Err(format!("{name} got a seat: {held} of {all}, lasting {of_lasting} of {lasting}"));
            }
        }
        Ok(())
    }
}

pub(super) async fn seats_hold_under_any_interleaving(world: &World, bench: &dyn Bench) {
    for seed in 0..6 {
        let disk = bench.copy();
        interleave(world, disk, seed, Reserving::ByTheRules).await.unwrap();
    }
}

pub(super) async fn a_seat_that_is_given_without_the_check_is_caught(world: &World, bench: &dyn Bench) {
    for seed in 0..3 {
        let caught = interleave(world, bench.copy(), seed, Reserving::WithoutTheCheck).await.unwrap_err();
        assert!(caught.contains("got a seat"), "seed {seed}: {caught}");
    }
}

/// Random steps on a disk of their own.
///
/// # Errors
/// What broke the invariant of seats, and at which step.
async fn interleave(
    world: &World,
    mut disk: Box<dyn Bench>,
    seed: u64,
    reserving: Reserving,
) -> Result<(), String> {
    let mut random = Random(seed + 1);
    let mut ledger = disk.open();
    let mut model = Model::of(&ledger).await;
    let mut backup = None;
    for step in 0..160 {
        let place = format!("seed {seed} step {step}");
        let name = computer_name(&format!("pc-{}", random.below(25)));
        let mut before = model.held.clone();
        match random.below(20) {
            0 => grants_anew(world, &ledger, &mut model, &mut random).await,
            1 => {
                // An old grant, also one with many seats, changes nothing.
                if let Some(granted) = model.grants.get(&1).filter(|granted| granted.generation > 0) {
                    let old = world.grant(granted.generation - 1, 1_000);
                    let _ = world.accept(&ledger, old).await;
                }
            }
            2 => at_once(world, &ledger, &mut model, &name, &place).await,
            3 => {
                // Killed, or closed in order: both leave what was answered.
                if random.below(2) == 0 {
                    ledger.close().await.unwrap();
                }
                drop(ledger);
                ledger = disk.open();
            }
            4 | 5 => enrolls(world, &ledger, &mut model, &name, &place).await,
            6 => {
                if let Some(computer) = model.computers.get_mut(&name) {
                    world.contacts(&ledger, computer, 10 + i64::from(step)).await;
                }
            }
            7 | 8 => reserves_many(world, &ledger, &mut model, &mut random, &place).await,
            9 => backup = Some((disk.copy(), model.clone())),
            10 => {
                if let Some((copy, older)) = backup.take() {
                    ledger.close().await.unwrap();
                    drop(ledger);
                    (disk, model) = (copy, older);
                    ledger = disk.open();
                    before.clone_from(&model.held);
                    is_restored(world, &ledger, &mut model, step).await;
                }
            }
            14 => plans(world, &ledger, &mut model, &mut random, &name, &place).await,
            13 => admits(world, &ledger, &mut model, &mut random, &name, &place).await,
            11 | 12 => confirms(world, &ledger, &mut model, &mut random).await,
            _ if reserving == Reserving::WithoutTheCheck => {
                let serial = serial(u8::try_from(1 + random.below(2)).unwrap());
                ledger.execute(world.at(2), ReserveUnchecked { name, serial }).await.unwrap();
                model.held = logged_seats(&ledger).await;
            }
            _ => {
                let wanted = one_of_three(&mut random);
                reserves(world, &ledger, &mut model, &name, wanted, &place).await;
            }
        }
        let held = logged_seats(&ledger).await;
        assert_eq!(held, model.held, "{place}: what is logged is what was answered");
        model.judge(&before).map_err(|broken| format!("{place}: {broken}"))?;
        let names: BTreeSet<_> = held.into_iter().map(|(name, _)| name).collect();
        let listed: BTreeSet<_> = clients(&ledger).await.into_iter().map(|row| row.name).collect();
        assert_eq!(listed, names, "{place}");
        counts_are_a_recount(&ledger, &place).await;
    }
    sound(&ledger).await;
    ledger.close().await.unwrap();
    Ok(())
}

/// Two admins reserve at the same time.
async fn at_once(world: &World, ledger: &Ledger, model: &mut Model, name: &ComputerName, place: &str) {
    let twin = computer_name("twin");
    let (one, two) = tokio::join!(
        ledger.execute(world.at(2), reserve(name.as_str())),
        ledger.execute(world.at(2), reserve_for("twin", "beta")),
    );
    let new = [(name, one), (&twin, two)].into_iter();
    let new = new.filter(|(name, answer)| answer.is_ok() && !model.holds(name)).count();
    model.held = logged_seats(ledger).await;
    assert!(model.holds(name) || model.holds(&twin) || new == 0, "{place}");
}

/// The ledger is an older one, and the admin who put it back says so.
async fn is_restored(world: &World, ledger: &Ledger, model: &mut Model, step: u8) {
    let cause = RestoreCause::Rebuilt { head: ledger.head() };
    let declared = DeclareRestore { actor: admin(), cause, new_era: era(step + 1) };
    ledger.execute(world.at(2), declared).await.unwrap();
    // Without a grant there is no epoch that the vendor could raise.
    model.unconfirmed = true;
    // They went on after the copy, and show nothing of it here.
    model.computers.clear();
}

/// The vendor hears of the restore, and answers with a higher epoch.
async fn confirms(world: &World, ledger: &Ledger, model: &mut Model, random: &mut Random) {
    if !model.unconfirmed {
        return;
    }
    model.epoch += 1;
    ledger.execute(world.at(2), world.asks_to_confirm(model.epoch)).await.unwrap();
    let granted = model.grants.entry(1).or_default();
    granted.generation += 1;
    granted.seats = u32::try_from(random.below(20)).unwrap();
    granted.ended = false;
    world.accept(ledger, world.confirming(model.epoch, granted.generation, granted.seats)).await.unwrap();
    model.unconfirmed = false;
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
    // It is told so, and which other one it is to have is asked.
    let stays = wanted.is_none() && model.holds_ended_alone(name);
    let command = Reserve { serial: wanted.map(serial), ..reserve(name.as_str()) };
    match ledger.execute(world.at(2), command).await {
        Ok(_) => {
            assert!((room || known) && !stays, "{place}: a seat too many for {name}");
            let before = model.held.len();
            model.held = logged_seats(ledger).await;
            assert_eq!(model.held.len(), before + usize::from(!known), "{place}");
            let of_wanted = wanted.is_none_or(|id| model.held.contains(&(name.clone(), serial(id))));
            assert!(of_wanted && model.holds(name), "{place}");
        }
        Err(LedgerError::Refused(problem)) => assert!(stays || (!room && !known), "{place}: {problem}"),
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
        let stays = id.is_none() && model.holds_ended_alone(&name);
        match answer {
            Seat::Taken { serial, .. } => {
                assert!(room && !known, "{place}: a seat too many for {name}");
                model.held.insert((name, serial));
            }
            Seat::Held { name: held } => {
                assert!(known && !stays && held == name, "{place}: {name} holds none");
            }
            Seat::Refused { name: refused, problem } => {
                assert!((stays || (!room && !known)) && refused == name, "{place}: {name}: {problem}");
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

/// One of the two serial numbers gets a new grant: with more seats or fewer, ended or not any more.
async fn grants_anew(world: &World, ledger: &Ledger, model: &mut Model, random: &mut Random) {
    let id = if random.below(3) == 0 { 2 } else { 1 };
    let granted = model.grants.entry(id).or_default();
    granted.generation += 1;
    granted.seats = u32::try_from(random.below(20)).unwrap();
    granted.ended = random.below(4) == 0;
    let grant = world.grant_of(id, granted.generation, granted.seats);
    let grant = Grant { epoch: Epoch::of(model.epoch, 0), ..grant };
    let last = Grant { ends_at: Some(world.start), not_after: world.start, ..grant.clone() };
    world.accept(ledger, if granted.ended { last } else { grant }).await.unwrap();
}

/// A computer enrolls, or enrolls again after the admin issued another setup file; without a seat it is refused.
async fn enrolls(world: &World, ledger: &Ledger, model: &mut Model, name: &ComputerName, place: &str) {
    model.setups += 1;
    let mut computer = world.computer(name.as_str()).with_setup(ledger.head().size * 100 + model.setups);
    let issued = ledger.execute(world.at(2), computer.issue_setup()).await;
    assert_eq!(issued.is_ok(), model.holds(name), "{place}: {issued:?}");
    let enrolled = world.enrolls(ledger, &computer).await;
    let enrolls = model.holds(name) && !model.unconfirmed;
    assert_eq!(enrolled.is_ok(), enrolls, "{place}: {enrolled:?}");
    if let Ok(outcome) = enrolled {
        computer.enrolled(&outcome);
        model.computers.insert(name.clone(), computer);
    }
}

/// A computer asks without a code, is admitted by its key, with a seat if its name holds none, and enrolls; a stranger that asks
/// under the same name gets nothing.
/// A seat is taken and an install planned, begun, said to have failed or called off, whichever of it is possible: only the
/// reservation changes who holds seats.
async fn plans(
    world: &World,
    ledger: &Ledger,
    model: &mut Model,
    random: &mut Random,
    name: &ComputerName,
    place: &str,
) {
    reserves(world, ledger, model, name, None, place).await;
    let actor = admin;
    let schedule = Schedule { at: world.at(1), ssh: None };
    let plan = PlanInstall { actor: actor(), name: name.clone(), schedule };
    let planned = ledger.execute(world.at(2), plan).await;
    assert!(planned.is_err() || model.holds(name), "{place}: {name} has a plan and no seat");
    for _ in 0..3 {
        let attempt = u32::try_from(1 + random.below(2)).unwrap();
        let (name, outcome, reason) = (name.clone(), InstallOutcome::Failed, String::new());
        match random.below(3) {
            0 => drop(ledger.execute(world.at(2), ClaimInstall { actor: actor(), name }).await),
            1 => {
                let note = NoteInstall { actor: actor(), name, attempt, outcome, reason };
                drop(ledger.execute(world.at(2), note).await);
            }
            _ => drop(ledger.execute(world.at(2), CallOff { actor: actor(), name }).await),
        }
    }
}

async fn admits(
    world: &World,
    ledger: &Ledger,
    model: &mut Model,
    random: &mut Random,
    name: &ComputerName,
    place: &str,
) {
    model.setups += 1;
    let (mut computer, stranger) = (world.computer(name.as_str()), world.computer(name.as_str()));
    let number = ledger.head().size * 100 + model.setups;
    let wanted = one_of_three(random);
    let (room, known) = (
        model.has_room(wanted),
        match wanted {
            Some(id) => model.held.contains(&(name.clone(), serial(id))),
            None => model.holds(name),
        },
    );
    let knock = ledger.execute(world.at(2), world.knock(&computer)).await;
    assert_eq!(refused(knock), ProblemCode::WaitsForAdmission, "{place}");
    let command = Admit { serial: wanted.map(serial), ..computer.admit(number) };
    match ledger.execute(world.at(2), command).await {
        Ok(admitted) => {
            assert!(room || known, "{place}: a seat too many for {name}");
            assert_eq!(admitted.took.is_some(), !known, "{place}");
            model.held.extend(admitted.took.map(|serial| (name.clone(), serial)));
        }
        // There is no room, or three others wait as this name.
        Err(LedgerError::Refused(problem)) => {
            let code = problem.code;
            assert!((!room && !known) || code == ProblemCode::NotFound, "{place}: {problem}");
            return;
        }
        Err(error) => panic!("{place}: {error}"),
    }
    let other = ledger.execute(world.at(2), world.knock(&stranger)).await;
    assert_eq!(refused(other), ProblemCode::WaitsForAdmission, "{place}");
    if random.below(2) == 0 {
        let enrolled = ledger.execute(world.at(2), world.knock(&computer)).await;
        assert_eq!(enrolled.is_ok(), !model.unconfirmed, "{place}: {enrolled:?}");
        if let Ok(outcome) = enrolled {
            computer.enrolled(&outcome);
            model.computers.insert(name.clone(), computer);
        }
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
