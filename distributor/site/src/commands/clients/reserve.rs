//! Reservations: a seat for a name, for good, one by one or many in one transaction.
//!
//! Invariant: one rule, [`place`], decides of each name, whether it comes alone or in a batch, and each sees what the names before
//! it took. What is refused of a batch leaves the rest of it alone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sealpost_manifests::ids::{ChannelName, ComputerName, SerialNumber};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use crate::changes::{Actor, Change};
use crate::commands::decision::{Command, Context, Decision, missing};
use crate::queries::{Query, query};
use crate::rules::names::{MixedScripts, asked_back, canonical, unknown_channel};
use crate::rules::restore::{RestoreState, unconfirmed_problem};
use crate::rules::seats::{self, GrantedSeats};
use crate::rules::text::counted;

/// Most names of one batch.
pub const MAX_RESERVED: usize = 500;

query! {
    /// What reservations are decided from.
    LoadSeats {
        /// The names that want a seat, in each spelling that may hold one.
        pub names: BTreeSet<ComputerName>,
    } -> SeatFacts, "read the seats"
}

/// As [`LoadSeats`] says.
#[derive(Debug, Clone)]
pub struct SeatFacts {
    /// Those of the names that hold a seat.
    pub held: BTreeMap<ComputerName, Held>,
    /// The channels that releases are known of.
    pub channels: BTreeSet<ChannelName>,
    /// Every grant with its seats, in the order in which the serial numbers came.
    pub grants: Vec<GrantedSeats>,
    /// Where the ledger stands after restores.
    pub restore: RestoreState,
}

/// What a name holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The channel that it follows.
    pub channel: ChannelName,
    /// The serial numbers whose seats it holds.
    pub serials: BTreeSet<SerialNumber>,
}

/// Takes a seat for a name, for good. A name holds one seat of each serial number at the most; without a serial number
/// one seat of any is enough. Answers the name that holds the seat, as it is spelled.
#[derive(Debug, Clone)]
pub struct Reserve {
    /// Who reserves.
    pub actor: Actor,
    /// The name; the seat is that of its [`canonical`] spelling.
    pub name: ComputerName,
    /// The channel that it follows; when absent, the one that it follows already, or [`DEFAULT_CHANNEL`].
    pub channel: Option<ChannelName>,
    /// What to do about a name of several scripts.
    pub mixed: MixedScripts,
    /// The serial number whose seat it is to be; the first with a free seat when absent.
    pub serial: Option<SerialNumber>,
}

/// The channel of a reservation that names none.
pub const DEFAULT_CHANNEL: &str = "stable";

impl Command for Reserve {
    type Facts = LoadSeats;
    type Answer = ComputerName;
    const ATTEMPTED: &'static str = "reserve a seat";

    fn facts(&self) -> LoadSeats {
        LoadSeats { names: spellings([&self.name]) }
    }

    fn decide(self, facts: SeatFacts, context: &Context<'_>) -> Decision<ComputerName> {
        let Self { actor, name, channel, mixed, serial } = self;
        match place(&Wanted { name, channel, serial }, mixed, &facts, context.now) {
            Err(problem) => Decision::refuse(problem),
            Ok(Place::Held { name }) => Decision::answer(name),
            Ok(Place::Takes { name, channel, serial }) => {
                Decision::answer(name.clone()).change(actor, Change::SeatReserved { name, channel, serial })
            }
        }
    }
}

/// Takes seats for many names, in one transaction. Each is judged as by [`Reserve`], after those before it; what is refused is
/// answered with why, and the rest is done. The same again changes nothing.
#[derive(Debug, Clone)]
pub struct ReserveMany {
    /// Who reserves.
    pub actor: Actor,
    /// The names, at most [`MAX_RESERVED`].
    pub wanted: Vec<Wanted>,
    /// What to do about names of several scripts.
    pub mixed: MixedScripts,
}

/// A seat that is wanted: as the fields of [`Reserve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The name.
    pub name: ComputerName,
    /// The channel that it is to follow.
    pub channel: Option<ChannelName>,
    /// The serial number whose seat it is to be.
    pub serial: Option<SerialNumber>,
}

/// What became of one name of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seat {
    /// It took one.
    Taken {
        /// As it is spelled.
        name: ComputerName,
        /// The channel that it follows.
        channel: ChannelName,
        /// Whose seat that is.
        serial: SerialNumber,
    },
    /// It held one already.
    Held {
        /// As it is spelled.
        name: ComputerName,
    },
    /// It got none.
    Refused {
        /// As it was typed.
        name: ComputerName,
        /// Why.
        problem: Problem,
    },
}

impl Command for ReserveMany {
    type Facts = LoadSeats;
    type Answer = Vec<Seat>;
    const ATTEMPTED: &'static str = "reserve seats";

    fn facts(&self) -> LoadSeats {
        LoadSeats { names: spellings(self.wanted.iter().take(MAX_RESERVED).map(|wanted| &wanted.name)) }
    }

    fn decide(self, mut facts: SeatFacts, context: &Context<'_>) -> Decision<Vec<Seat>> {
        let Self { actor, wanted, mixed } = self;
        if wanted.len() > MAX_RESERVED {
            return Decision::refuse(Problem::new(
                ProblemCode::BadRequest,
                format!(
                    "no seat was reserved: {} came at once, and one request may have {MAX_RESERVED}",
                    counted(wanted.len() as u64, "name", "names")
                ),
                "send them in several requests, as `distributor clients reserve --from FILE` does",
            ));
        }
        let mut seats = Vec::with_capacity(wanted.len());
        let mut changes = Vec::new();
        for wanted in wanted {
            seats.push(match place(&wanted, mixed, &facts, context.now) {
                Err(problem) => Seat::Refused { name: wanted.name, problem },
                Ok(Place::Held { name }) => Seat::Held { name },
                Ok(Place::Takes { name, channel, serial }) => {
                    facts.take(&name, &channel, &serial);
                    let change = Change::SeatReserved {
                        name: name.clone(),
                        channel: channel.clone(),
                        serial: serial.clone(),
                    };
                    changes.push((actor.clone(), change));
                    Seat::Taken { name, channel, serial }
                }
            });
        }
        changes
            .into_iter()
            .fold(Decision::answer(seats), |decision, (actor, change)| decision.change(actor, change))
    }
}

impl SeatFacts {
    /// The facts once this seat is taken.
    fn take(&mut self, name: &ComputerName, channel: &ChannelName, serial: &SerialNumber) {
        let none = || Held { channel: channel.clone(), serials: BTreeSet::new() };
        self.held.entry(name.clone()).or_insert_with(none).serials.insert(serial.clone());
        for grant in self.grants.iter_mut().filter(|grant| grant.serial == *serial) {
            grant.used = grant.used.saturating_add(1);
        }
    }
}

/// Where one name stands.
pub(super) enum Place {
    /// It holds what it wants.
    Held { name: ComputerName },
    /// It takes this seat.
    Takes { name: ComputerName, channel: ChannelName, serial: SerialNumber },
}

/// The seat that one name takes or holds, or why it gets none.
pub(super) fn place(
    wanted: &Wanted,
    mixed: MixedScripts,
    facts: &SeatFacts,
    now: Timestamp,
) -> Result<Place, Problem> {
    let name = canonical(&wanted.name);
    if name != wanted.name
        && let Some(held) = facts.held.get(&wanted.name)
    {
        return held_as_before(wanted, held, &name);
    }
    let held = facts.held.get(&name);
    if let (Some(Held { channel: follows, .. }), Some(channel)) = (held, &wanted.channel)
        && follows != channel
    {
        return Err(Problem::new(
            ProblemCode::WrongState,
            format!("{name} holds a seat already and follows the channel {follows}, not {channel}"),
            format!("move it with `distributor clients channel {name} {channel}`"),
        ));
    }
    let has = held.is_some_and(|held| match &wanted.serial {
        Some(serial) => held.serials.contains(serial),
        None => !held.serials.is_empty(),
    });
    if has {
        return match held.and_then(|held| only_of_ended(&name, held, wanted, facts, now)) {
            Some(problem) => Err(problem),
            None => Ok(Place::Held { name }),
        };
    }
    let channel = match held.map(|held| &held.channel).or(wanted.channel.as_ref()) {
        Some(channel) => channel.clone(),
        None => ChannelName::new(DEFAULT_CHANNEL).map_err(|_| missing("default channel"))?,
    };
    if let Some(problem) = asked_back(&name, mixed).or_else(|| unknown_channel(&channel, &facts.channels)) {
        return Err(problem);
    }
    if let Some(restored) = facts.restore.unconfirmed() {
        return Err(unconfirmed_problem("no seat can be reserved", restored.at));
    }
    let serial =
        seats::take(&facts.grants, wanted.serial.as_ref(), now).map_err(|refusal| refusal.problem())?;
    Ok(Place::Takes { name, channel, serial: serial.clone() })
}

/// Of a name that wants any seat, and holds those of ended serial numbers alone: they give it no license, and which other one it
/// is to have is for a person to say.
fn only_of_ended(
    name: &ComputerName,
    held: &Held,
    wanted: &Wanted,
    facts: &SeatFacts,
    now: Timestamp,
) -> Option<Problem> {
    if wanted.serial.is_some() {
        return None;
    }
    let grant = |serial: &SerialNumber| facts.grants.iter().find(|grant| grant.serial == *serial);
    let at = seats::all_ended(&held.serials, |serial| grant(serial)?.ended(now))?;
    let serials: Vec<&str> = held.serials.iter().map(SerialNumber::as_str).collect();
    let of = if serials.len() == 1 { "serial number" } else { "serial numbers" };
    Some(Problem::new(
        ProblemCode::SerialEnded,
        format!(
            "{name} holds a seat of the {of} {} alone, which the vendor ended at {at}",
            serials.join(", ")
        ),
        format!(
            "give it a seat of another one: `distributor clients reserve {name} --serial SERIAL`; without it it gets no \
             license any more, and what is installed runs on"
        ),
    ))
}

/// Of a name that holds a seat in a spelling of an older server: it takes no second one by its plain spelling without a word.
fn held_as_before(wanted: &Wanted, held: &Held, plain: &ComputerName) -> Result<Place, Problem> {
    let Wanted { name, channel, serial } = wanted;
    if serial.is_none() && channel.as_ref().is_none_or(|channel| *channel == held.channel) {
        return Ok(Place::Held { name: name.clone() });
    }
    Err(Problem::new(
        ProblemCode::WrongState,
        format!("{name} holds a seat already, in this spelling of an older server"),
        format!("move it with `distributor clients channel {name} CHANNEL`; {plain} would be another seat"),
    ))
}

/// Each name as it was typed and as it would hold a seat.
pub(super) fn spellings<'n>(names: impl IntoIterator<Item = &'n ComputerName>) -> BTreeSet<ComputerName> {
    names.into_iter().flat_map(|name| [name.clone(), canonical(name)]).collect()
}
