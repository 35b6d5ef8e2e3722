//! The start of a server: since when none ran, which the log says where it was long.
//!
//! Invariant: a start that is sent again writes nothing: the entry of the first one is the last sign of life.

use jiff::Timestamp;

use super::decision::{Command, Context, Decision};
use crate::changes::{Actor, Change};
use crate::queries::{Query, query};
use crate::rules::rollouts::outages::{Outages, Signs};

/// So many entries of each kind are looked at for one that is not later than now.
pub const LOOKED_BACK: u32 = 100;

query! {
    /// The signs of life of servers over this ledger, by license time. The last one is a contact, a pull, or an entry of the log that
    /// only a server writes which listens: of all contacts, and of the last [`LOOKED_BACK`] entries of each kind. It is asked once at a
    /// start.
    LoadStart {
        /// What is later is no sign: the clock was ahead.
        pub now: Timestamp,
    } -> Signs, "find the last sign of life"
}

/// A server listens from now on. Answers when none did.
#[derive(Debug, Clone)]
pub struct StartServer {
    /// License time.
    pub now: Timestamp,
}

impl Command for StartServer {
    type Facts = LoadStart;
    type Answer = Outages;
    const ATTEMPTED: &'static str = "note that a server listens again";

    fn facts(&self) -> LoadStart {
        LoadStart { now: self.now }
    }

    fn decide(self, signs: Signs, _: &Context<'_>) -> Decision<Outages> {
        let decision = Decision::answer(signs.outages(self.now));
        match signs.to_note(self.now) {
            Some(last_sign) => decision.change(Actor::Server, Change::ServerStarted { last_sign }),
            None => decision,
        }
    }
}
