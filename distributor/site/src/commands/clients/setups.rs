//! Setup files: a code for a name that holds a seat, one by one or for many computers in one transaction.
//!
//! Invariant: a new code makes the ones before it void, so a batch issues one only where it is of use: not for a name whose
//! file the caller has and which is good, and not, unless it is said, for a computer that is enrolled.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sealpost_manifests::ids::{ComputerName, ServerId, SetupId};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use crate::changes::{Actor, Change};
use crate::commands::decision::{Command, Context, Decision};
use crate::queries::{Query, query};
use crate::rules::names::canonical;
use crate::rules::setups::CodeState;
use crate::rules::text::counted;

use super::reserve::spellings;

/// Most setup files that are issued at once: their texts are one answer.
pub const MAX_SETUPS: usize = 100;

query! {
    /// What setup files are decided from.
    LoadSetups {
        /// The names that they are for, in each spelling that may hold a seat.
        pub names: BTreeSet<ComputerName>,
    } -> SetupFacts, "read the setups"
}

/// As [`LoadSetups`] says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetupFacts {
    /// Those of the names that hold a seat.
    pub held: BTreeMap<ComputerName, SetupsOf>,
}

/// What was issued for a name that holds a seat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetupsOf {
    /// The newest setup.
    pub newest: Option<NewestSetup>,
    /// Whether a computer of this name is enrolled.
    pub enrolled: bool,
}

/// The newest setup of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewestSetup {
    /// Its id.
    pub setup: SetupId,
    /// After it the code is accepted no more; the restore, if one ended it.
    pub expires_at: Timestamp,
    /// Whether a computer used it.
    pub used: bool,
}

/// Notes that a setup file was issued; codes that were issued for the name before are void. Answers the end of the code.
#[derive(Debug, Clone)]
pub struct IssueSetup {
    /// Who issued it.
    pub actor: Actor,
    /// The reserved name.
    pub name: ComputerName,
    /// Its id, from which its enrollment code is derived.
    pub setup: SetupId,
    /// Days for which its code is good.
    pub valid_days: u16,
}

impl Command for IssueSetup {
    type Facts = LoadSetups;
    type Answer = Timestamp;
    const ATTEMPTED: &'static str = "note a setup file";

    fn facts(&self) -> LoadSetups {
        LoadSetups { names: BTreeSet::from([self.name.clone()]) }
    }

    fn decide(self, facts: SetupFacts, context: &Context<'_>) -> Decision<Timestamp> {
        let Self { actor, name, setup, valid_days } = self;
        let Some(held) = facts.held.get(&name) else { return Decision::refuse(not_reserved(&name)) };
        let expires_at = context.after_days(valid_days);
        if held.newest.as_ref().is_some_and(|newest| newest.setup == setup) {
            return Decision::answer(expires_at);
        }
        Decision::answer(expires_at).change(actor, Change::SetupIssued { name, setup, expires_at })
    }
}

/// Notes that setup files were issued for many names, in one transaction; what is refused leaves the rest alone.
#[derive(Debug, Clone)]
pub struct IssueSetups {
    /// Who issues them.
    pub actor: Actor,
    /// For whom, at most [`MAX_SETUPS`].
    pub wanted: Vec<SetupWanted>,
    /// Days for which the codes are good.
    pub valid_days: u16,
    /// Whether computers that are enrolled get one too.
    pub again: bool,
}

/// A setup file that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupWanted {
    /// For which name.
    pub name: ComputerName,
    /// The id that it gets, from which its enrollment code is derived.
    pub setup: SetupId,
    /// What the caller has of this name already.
    pub has: Option<HasSetup>,
}

/// A setup file that the caller has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HasSetup {
    /// Whose it is. One of another server is not replaced: its code may be good there.
    pub server: ServerId,
    /// The end of its code: no new one is issued if it is good.
    pub expires_at: Option<Timestamp>,
}

/// What became of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Issued {
    /// A setup file is issued.
    New {
        /// As the name holds its seat.
        name: ComputerName,
        /// Its id.
        setup: SetupId,
        /// After it the code is accepted no more.
        expires_at: Timestamp,
        /// Whether one of before that nobody had used is void now.
        voids: bool,
    },
    /// The one that the caller has is good.
    Good {
        /// As the name holds its seat.
        name: ComputerName,
        /// After it the code is accepted no more.
        expires_at: Timestamp,
    },
    /// None was issued, since a computer of this name is enrolled.
    Enrolled {
        /// As the name holds its seat.
        name: ComputerName,
    },
    /// None was issued.
    Refused {
        /// As it was typed.
        name: ComputerName,
        /// Why.
        problem: Problem,
    },
}

impl Command for IssueSetups {
    type Facts = LoadSetups;
    type Answer = Vec<Issued>;
    const ATTEMPTED: &'static str = "note setup files";

    fn facts(&self) -> LoadSetups {
        LoadSetups { names: spellings(self.wanted.iter().take(MAX_SETUPS).map(|wanted| &wanted.name)) }
    }

    fn decide(self, facts: SetupFacts, context: &Context<'_>) -> Decision<Vec<Issued>> {
        let Self { actor, wanted, valid_days, again } = self;
        if wanted.len() > MAX_SETUPS {
            return Decision::refuse(Problem::new(
                ProblemCode::BadRequest,
                format!(
                    "no setup file was issued: {} came at once, and one request may have {MAX_SETUPS}",
                    counted(wanted.len() as u64, "name", "names")
                ),
                "send them in several requests, as `distributor clients setup --from FILE --folder FOLDER` does",
            ));
        }
        let expires_at = context.after_days(valid_days);
        let mut done = BTreeSet::new();
        let mut changes = Vec::new();
        let mut answers = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            let issued = one(wanted, &facts, again, expires_at, context);
            let issued = match issued {
                // A second code would make the first one void before anybody has carried it anywhere.
                Issued::New { name, .. } if !done.insert(name.clone()) => {
                    Issued::Refused { problem: twice(&name), name }
                }
                issued => issued,
            };
            if let Issued::New { name, setup, expires_at, .. } = &issued {
                let (name, setup, expires_at) = (name.clone(), setup.clone(), *expires_at);
                changes.push((actor.clone(), Change::SetupIssued { name, setup, expires_at }));
            }
            answers.push(issued);
        }
        Decision { changes, notes: Vec::new(), answer: Ok(answers) }
    }
}

fn one(
    wanted: SetupWanted,
    facts: &SetupFacts,
    again: bool,
    expires_at: Timestamp,
    context: &Context<'_>,
) -> Issued {
    let SetupWanted { name, setup, has } = wanted;
    if let Some(other) = has.as_ref().filter(|has| has.server != context.server.server_id) {
        return Issued::Refused { problem: of_another_server(&name, &other.server), name };
    }
    let has = has.and_then(|has| has.expires_at);
    // In the spelling that holds the seat: an older ledger may hold a name with a dot at its end.
    let plain = canonical(&name);
    let found = [&name, &plain].into_iter().find_map(|name| facts.held.get_key_value(name));
    let Some((name, held)) = found else {
        return Issued::Refused { problem: not_reserved(&name), name };
    };
    let name = name.clone();
    if held.enrolled && !again {
        return Issued::Enrolled { name };
    }
    let is_out =
        |newest: &&NewestSetup| CodeState::of(newest.used, newest.expires_at, context.now) == CodeState::Out;
    match held.newest.as_ref().filter(is_out) {
        Some(newest) if has == Some(newest.expires_at) => {
            Issued::Good { name, expires_at: newest.expires_at }
        }
        out => Issued::New { name, setup, expires_at, voids: out.is_some() },
    }
}

fn not_reserved(name: &ComputerName) -> Problem {
    Problem::new(
        ProblemCode::NotReserved,
        format!("no setup file can be issued: no seat is reserved for {name}"),
        format!("run `distributor clients reserve {name}` first"),
    )
}

fn of_another_server(name: &ComputerName, server: &ServerId) -> Problem {
    Problem::new(
        ProblemCode::WrongServer,
        format!("the file of {name} that is there is one of the server {server}, where its code may be good"),
        "name another folder or file for those of this server",
    )
}

fn twice(name: &ComputerName) -> Problem {
    Problem::new(
        ProblemCode::BadRequest,
        format!("{name} came twice, and one setup file was issued for it"),
        "name each computer once",
    )
}
