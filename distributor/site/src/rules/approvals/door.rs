//! Whether something that somebody asks for is done, waits for a second person, or is refused.
//!
//! Invariants: what needs two is done only for an open proposal of other eyes that says exactly the same, by an actor who
//! counts as second eyes, while whoever asked first is still enabled. A proposal for something else about the same thing is
//! replaced only by who made it. Nothing here writes: the answer says which proposals end and how.
//!
//! **Nobody left.** Tokens end, and accounts are disabled alone. When no account can be second eyes any more, nobody could ever
//! change the rules again. Then, and only for rules and accounts, who sits at the server may go on alone with a proposal of
//! `local` that has waited for [`ALONE_AFTER`] since nobody was left; whoever still has an account sees it in every list during
//! that time.

use jiff::{SignedDuration, Timestamp};

use super::Approvals;
use super::people::{Eyes, NotSecond};
use super::proposal::{Ending, MAX_BYTES, MAX_OPEN, OPEN_FOR, Proposal, Proposed};
use super::rule::Needs;
use crate::rules::account::{Account, AccountKind, Actor};

/// How long a proposal waits before it can be carried out alone, when nobody is left to confirm it: longer than a weekend.
pub const ALONE_AFTER: SignedDuration = SignedDuration::from_hours(72);

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Accounts, tokens and what waits.
    pub approvals: &'a Approvals,
    /// Who asks.
    pub actor: &'a Actor,
    /// For what.
    pub what: &'a Proposed,
    /// Whose approval is enough.
    pub needs: Needs,
    /// The proposal that they mean to confirm, if they said so.
    pub confirms: Option<u64>,
    /// License time.
    pub now: Timestamp,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// It is done.
    Goes(Behind),
    /// It waits for a second person, as a new proposal.
    Waits {
        /// Whose eyes the first ones are.
        eyes: Eyes,
        /// When it ends by itself.
        expires_at: Timestamp,
        /// Proposals that end with it.
        ends: Vec<(u64, Ending)>,
    },
    /// It waits already: the same person asked for the same before.
    WaitsAlready {
        /// The number of the proposal.
        number: u64,
    },
    /// It is refused.
    Refused(Refusal),
}

/// Who stands behind something that is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behind {
    /// Who agreed, in this order.
    pub accounts: Vec<Account>,
    /// What the first of two said.
    pub comment: Option<String>,
    /// Proposals that end with it.
    pub ends: Vec<(u64, Ending)>,
}

/// Why it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Who asks is no admin.
    #[error("only a person can ask for what needs two people")]
    NobodyAsks,
    /// The token of who asks was revoked.
    #[error("the token of {0} was revoked")]
    Revoked(Eyes),
    /// Nobody knows whose eyes the first ones are.
    #[error("a token of no account cannot ask for what needs two people")]
    NoAccount,
    /// The account of who asks is disabled.
    #[error("the account {0} is disabled")]
    Disabled(Eyes),
    /// Who asks does not count as second eyes.
    #[error("proposal {number} of {first} waits for a second person: {why}")]
    NotSecond {
        /// The proposal.
        number: u64,
        /// Who made it.
        first: Eyes,
        /// Why.
        #[source]
        why: NotSecond,
    },
    /// Something else about the same thing waits.
    #[error("proposal {number} of {first} asks for something else: {what}")]
    OtherRequest {
        /// The proposal.
        number: u64,
        /// Who made it.
        first: Eyes,
        /// What it asks for.
        what: String,
    },
    /// The proposal that was to be confirmed is not there.
    #[error("no proposal {0} waits: it was confirmed, withdrawn, decided otherwise, or has expired")]
    NoSuchProposal(u64),
    /// What the proposal names is not as it was.
    #[error("proposal {0} cannot be confirmed: what it names was changed since it was made")]
    ChangedSince(u64),
    /// Too much waits.
    #[error("{MAX_OPEN} proposals wait already")]
    TooMany,
    /// It is too large to wait.
    #[error("what waits for a second person has at most {MAX_BYTES} bytes, and this has {0}")]
    TooLong(usize),
    /// The first person confirms what they proposed.
    #[error(
        "proposal {number} is one of {eyes}: a second person confirms it, whatever token the first one uses"
    )]
    SameEyes {
        /// The proposal.
        number: u64,
        /// Who made it.
        eyes: Eyes,
    },
}

impl Refusal {
    /// What helps.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NobodyAsks => "see `distributor approvals rules`".to_owned(),
            Self::Revoked(_) => "`distributor accounts list` shows the tokens that count".to_owned(),
            Self::NoAccount => {
                "ask with a token of an account, or at the server: `distributor token new NAME --account ACCOUNT`".to_owned()
            }
            Self::Disabled(_) => "`distributor accounts list` shows who disabled it and why".to_owned(),
            Self::NotSecond { why, .. } => why.hint().to_owned(),
            Self::OtherRequest { number, .. } => format!(
                "agree to it with `distributor approvals confirm {number}`, or end it with `distributor approvals withdraw {number} --why TEXT` and ask anew"
            ),
            Self::NoSuchProposal(_) => "`distributor approvals list` shows what waits".to_owned(),
            Self::ChangedSince(number) => format!(
                "end it with `distributor approvals withdraw {number} --why TEXT`, and ask anew for what holds now"
            ),
            Self::TooMany => "confirm or withdraw some: `distributor approvals list`".to_owned(),
            Self::TooLong(_) => "ask for less at once, the rules of approvals alone".to_owned(),
            Self::SameEyes { .. } => {
                "`distributor accounts list` shows whose token counts as second eyes".to_owned()
            }
        }
    }
}

impl Asked<'_> {
    /// Decides.
    #[must_use]
    pub fn decide(&self) -> Door {
        if let Some(number) = self.confirms {
            match self.open().find(|proposal| proposal.number == number) {
                None => return Door::Refused(Refusal::NoSuchProposal(number)),
                // What is asked for was read from it before: what it names says something else by now.
                Some(proposal) if proposal.what != *self.what => {
                    return Door::Refused(Refusal::ChangedSince(number));
                }
                Some(_) => {}
            }
        }
        let Some(eyes) = self.approvals.people.eyes(self.actor) else {
            return match self.needs {
                Needs::One => Door::Goes(Behind::default()),
                Needs::Two => Door::Refused(Refusal::NobodyAsks),
            };
        };
        if self.approvals.people.is_revoked(self.actor) {
            return Door::Refused(Refusal::Revoked(eyes));
        }
        if eyes.account().is_some_and(|account| !self.approvals.people.is_enabled(account)) {
            return Door::Refused(Refusal::Disabled(eyes));
        }
        let waits = self.open().find(|proposal| proposal.what.is_about_the_same(self.what));
        match (self.needs, waits) {
            (Needs::One, None) => Door::Goes(self.alone()),
            // The rule does not need two any more.
            (Needs::One, Some(proposal)) if proposal.what == *self.what && proposal.eyes != eyes => {
                self.second(proposal, Ending::Confirmed)
            }
            (Needs::One, Some(proposal)) => {
                Door::Goes(Behind { ends: vec![(proposal.number, Ending::Replaced)], ..self.alone() })
            }
            (Needs::Two, None) => self.first(eyes, None),
            (Needs::Two, Some(proposal)) => self.with(proposal, eyes),
        }
    }

    fn open(&self) -> impl Iterator<Item = &Proposal> {
        self.approvals.open(self.now)
    }

    /// Something about the same thing waits.
    fn with(&self, proposal: &Proposal, eyes: Eyes) -> Door {
        let (number, first) = (proposal.number, proposal.eyes.clone());
        let is_the_same = proposal.what == *self.what;
        let first_is_enabled =
            first.account().is_none_or(|account| self.approvals.people.is_enabled(account));
        match (first == eyes, is_the_same) {
            (true, true) if self.may_go_alone(proposal) => self.second(proposal, Ending::Unopposed),
            (true, true) if self.confirms.is_some() => Door::Refused(Refusal::SameEyes { number, eyes }),
            (true, true) => Door::WaitsAlready { number },
            (true, false) => self.first(eyes, Some((number, Ending::Replaced))),
            // Whoever asked first does not stand behind it any more: so this is the first.
            (false, _) if !first_is_enabled && self.confirms.is_some() => {
                Door::Refused(Refusal::NoSuchProposal(number))
            }
            (false, _) if !first_is_enabled => self.first(eyes, Some((number, Ending::Void))),
            (false, false) => {
                let mut what = proposal.what.to_string();
                if what == self.what.to_string() {
                    what.push_str(", as that was then");
                }
                Door::Refused(Refusal::OtherRequest { number, first, what })
            }
            (false, true) => match self.approvals.people.second(self.actor, self.now) {
                Ok(_) => self.second(proposal, Ending::Confirmed),
                Err(why) => Door::Refused(Refusal::NotSecond { number, first, why }),
            },
        }
    }

    fn sits_at_the_server(&self) -> bool {
        matches!(self.actor, Actor::Admin { account } if account.kind == AccountKind::Socket)
    }

    fn may_go_alone(&self, proposal: &Proposal) -> bool {
        let people = &self.approvals.people;
        let since = proposal.at.max(people.changed_last(self.now));
        let waited = self.now.duration_since(since) >= ALONE_AFTER;
        let nobody = people.who_can_be_second(self.now).is_empty();
        proposal.eyes == Eyes::Local
            && self.sits_at_the_server()
            && proposal.what.is_about_the_rules()
            && waited
            && nobody
    }

    fn alone(&self) -> Behind {
        let accounts = self.account().into_iter().collect();
        Behind { accounts, ..Behind::default() }
    }

    fn second(&self, proposal: &Proposal, ending: Ending) -> Door {
        let first = match &proposal.by {
            Actor::Admin { account } => Some(account.clone()),
            Actor::Client { .. } | Actor::Stranger { .. } | Actor::Server => None,
        };
        let comment = Some(proposal.comment.clone()).filter(|comment| !comment.is_empty());
        let accounts = first.into_iter().chain(self.account()).collect();
        Door::Goes(Behind { accounts, comment, ends: vec![(proposal.number, ending)] })
    }

    fn first(&self, eyes: Eyes, ends: Option<(u64, Ending)>) -> Door {
        // Whoever has an account too would be both persons.
        if eyes == Eyes::Local && !self.sits_at_the_server() {
            return Door::Refused(Refusal::NoAccount);
        }
        let expired = self.approvals.proposals.values().filter(|proposal| proposal.has_expired(self.now));
        let expired = expired.map(|proposal| (proposal.number, Ending::Expired));
        let ends: Vec<(u64, Ending)> = expired.chain(ends).collect();
        let left = self.approvals.proposals.len().saturating_sub(ends.len());
        if left >= MAX_OPEN {
            return Door::Refused(Refusal::TooMany);
        }
        // What has no JSON form is too long for an entry.
        let bytes = serde_json::to_vec(self.what).map_or(usize::MAX, |text| text.len());
        if bytes > MAX_BYTES {
            return Door::Refused(Refusal::TooLong(bytes));
        }
        let expires_at = self.now.checked_add(OPEN_FOR).unwrap_or(Timestamp::MAX);
        Door::Waits { eyes, expires_at, ends }
    }

    fn account(&self) -> Option<Account> {
        match self.actor {
            Actor::Admin { account } => Some(account.clone()),
            Actor::Client { .. } | Actor::Stranger { .. } | Actor::Server => None,
        }
    }
}

#[cfg(test)]
mod tests;
