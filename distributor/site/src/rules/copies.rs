//! Two computers with one identity, as after a disk was copied: which of them a contact comes from, and what becomes of each.
//!
//! A copied home has the same key, so only the nonces tell the two apart: each draws its own next one. The nonce from which a
//! computer goes on names its *branch*, by its digest: of the pairs (p, a), which was answered, and (p, b), which was not, the
//! branches are those of `a` and `b`. An agent sends a pair until it is answered, so while nobody is answered each computer
//! shows its branch with every contact: the answered one by `a` as the last nonce or by the very same pair again, the other by
//! its `b`.
//!
//! Invariant: two branches are noted at most, and once each; what belongs to neither is refused and changes nothing. Whoever
//! shows a branch holds its nonce *and* signed with the client's key; the caller checked the signature. Neither computer loses
//! `run`. Left out on purpose: the nonces themselves, which are in no log: who reads one must not be able to show it.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ComputerName, Nonce};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::contact::NoncePair;

/// Most branches of one client.
pub const MAX_COPIES: usize = 2;
/// Fewest digits by which a branch is named.
pub const MIN_DIGITS: usize = 8;
/// Digits of a whole branch.
const DIGITS: usize = 64;
/// Most packages that are noted of a copy.
pub const MAX_COPY_PACKAGES: usize = 16;

/// The branch of a nonce.
#[must_use]
pub fn branch_of(nonce: &Nonce) -> Sha256Digest {
    Sha256Digest::of(nonce.as_str().as_bytes())
}

/// Whether a pair shows a branch.
#[must_use]
pub fn shows(branch: &Sha256Digest, previous: Option<&Nonce>, next: &Nonce) -> bool {
    branch_of(next) == *branch || previous.is_some_and(|previous| branch_of(previous) == *branch)
}

/// Whether a contact comes from neither of two computers that are noted: a third one, or a message of before.
#[must_use]
pub fn is_of_neither(noted: &[Sha256Digest], previous: Option<&Nonce>, next: &Nonce) -> bool {
    noted.len() >= MAX_COPIES && !noted.iter().any(|branch| shows(branch, previous, next))
}

/// What a contact of a client with copies is judged from.
#[derive(Debug, Clone, Copy)]
pub struct CopyFacts<'a> {
    /// The pair of the last contact that was answered.
    pub last: Option<&'a NoncePair>,
    /// The branches that are noted.
    pub noted: &'a [Sha256Digest],
    /// What an admin decided.
    pub kept: &'a Kept,
}

/// Which of two an admin kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kept {
    /// None yet.
    #[default]
    Undecided,
    /// The one with this branch.
    Branch(Sha256Digest),
    /// The one with this branch, in a ledger that was restored since: it may have lost that the other one was kept, and went on.
    /// So it lets nobody go on (see [`crate::rules::restore::RestoreState::kept`]).
    BeforeRestore(Sha256Digest),
}

/// What becomes of a contact. Each is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyDecision {
    /// It comes from one of the two.
    Of {
        /// Which.
        branch: Sha256Digest,
        /// What is to be noted.
        notes: CopyNotes,
        /// Whether it goes on.
        standing: CopyStanding,
    },
    /// It comes from neither: a third copy, or a message of before.
    OfNeither,
}

/// What a contact makes known of copies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyNotes {
    /// The branch of the contact that was answered, which is described by what was noted of it.
    pub answered: Option<Sha256Digest>,
    /// The branch of this contact, which is described by what it says.
    pub this: Option<Sha256Digest>,
}

/// What becomes of one of two copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyStanding {
    /// Nobody decided yet.
    Undecided,
    /// What was decided does not count any more, since the ledger was restored.
    BeforeRestore,
    /// An admin kept it: it makes a key of its own.
    Kept,
    /// An admin kept the other one.
    GivenUp,
}

/// Judges a contact of a client of which there are two.
#[must_use]
pub fn decide(facts: &CopyFacts<'_>, previous: Option<&Nonce>, next: &Nonce) -> CopyDecision {
    let known = facts.noted.iter().find(|branch| shows(branch, previous, next));
    let (branch, notes) = match known {
        Some(branch) => (*branch, CopyNotes::default()),
        None => match not_noted(facts, previous, next) {
            Some(found) => found,
            None => return CopyDecision::OfNeither,
        },
    };
    let standing = match facts.kept {
        Kept::Undecided => CopyStanding::Undecided,
        Kept::BeforeRestore(_) => CopyStanding::BeforeRestore,
        Kept::Branch(kept) if *kept == branch => CopyStanding::Kept,
        Kept::Branch(_) => CopyStanding::GivenUp,
    };
    CopyDecision::Of { branch, notes, standing }
}

/// The branch of a contact that shows none which is noted, and what is noted for it.
fn not_noted(
    facts: &CopyFacts<'_>,
    previous: Option<&Nonce>,
    next: &Nonce,
) -> Option<(Sha256Digest, CopyNotes)> {
    let (last, noted) = (facts.last?, facts.noted);
    let answered = branch_of(&last.next);
    let is_past = previous == last.previous.as_ref();
    if previous == Some(&last.next) || (is_past && *next == last.next) {
        let this = Some(answered).filter(|_| noted.len() < MAX_COPIES);
        return this.map(|this| (this, CopyNotes { answered: None, this: Some(this) }));
    }
    is_past.then(|| with(noted, answered, branch_of(next))).flatten()
}

/// A fork that is found by something else than its pair: another computer went on from the state that this contact shows.
/// `None` if two are noted already.
#[must_use]
pub fn found(facts: &CopyFacts<'_>, next: &Nonce) -> Option<(Sha256Digest, CopyNotes)> {
    with(facts.noted, branch_of(&facts.last?.next), branch_of(next))
}

/// The branch of a contact beside the answered one.
fn with(
    noted: &[Sha256Digest],
    answered: Sha256Digest,
    this: Sha256Digest,
) -> Option<(Sha256Digest, CopyNotes)> {
    let is_new = |branch: &Sha256Digest| !noted.contains(branch);
    let notes = CopyNotes { answered: Some(answered).filter(is_new), this: Some(this).filter(is_new) };
    let new = usize::from(notes.answered.is_some()) + usize::from(notes.this.is_some());
    (noted.len().saturating_add(new) <= MAX_COPIES).then_some((this, notes))
}

/// Why no branch is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeepRefusal {
    /// It is no beginning of a branch.
    Malformed,
    /// None begins so.
    Unknown,
    /// Both begin so.
    Ambiguous,
}

/// The branch that somebody means by its first digits.
///
/// # Errors
/// [`KeepRefusal`].
pub fn meant(copies: &[Sha256Digest], text: &str) -> Result<Sha256Digest, KeepRefusal> {
    let text = text.trim().to_ascii_lowercase();
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || !(MIN_DIGITS..=DIGITS).contains(&text.len()) {
        return Err(KeepRefusal::Malformed);
    }
    let mut found = copies.iter().filter(|branch| branch.to_string().starts_with(&text));
    match (found.next(), found.next()) {
        (None, _) => Err(KeepRefusal::Unknown),
        (Some(branch), None) => Ok(*branch),
        (Some(_), Some(_)) => Err(KeepRefusal::Ambiguous),
    }
}

impl KeepRefusal {
    /// As it is answered; `copies` are those of the computer.
    #[must_use]
    pub fn problem(&self, name: &ComputerName, copies: &[Sha256Digest]) -> Problem {
        let (code, why) = match self {
            Self::Malformed => (
                ProblemCode::BadRequest,
                format!("a contact is named by its first {MIN_DIGITS} to {DIGITS} hexadecimal digits"),
            ),
            Self::Unknown => (ProblemCode::NotFound, "there is no such contact".to_owned()),
            Self::Ambiguous => {
                (ProblemCode::BadRequest, "both contacts begin so; give more digits".to_owned())
            }
        };
        let copies: Vec<String> = copies.iter().map(Sha256Digest::short).collect();
        let there =
            if copies.is_empty() { "none of them showed itself yet".to_owned() } else { copies.join(", ") };
        Problem::new(
            code,
            format!(
                "cannot say which of the computers with the identity of {name} goes on: {why}; known are: {there}"
            ),
            format!("`distributor clients show {name}` shows them"),
        )
    }
}

/// The refusal of a decision about a computer of which there is one.
#[must_use]
pub fn not_two(name: &ComputerName) -> Problem {
    Problem::new(
        ProblemCode::WrongState,
        format!("no two computers use the identity of {name}: there is nothing to decide"),
        format!("`distributor clients show {name}` shows how it stands"),
    )
}

/// Where a computer of which there are two stands, as an admin is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TwoComputers {
    /// How many of them showed themselves.
    pub shown: usize,
    /// What an admin said about which one goes on.
    pub decided: Decided,
    /// Whether a setup file of its name is out and good.
    pub setup_out: bool,
    /// Whether a contact of neither came, see [`is_of_neither`].
    pub third: bool,
}

impl TwoComputers {
    /// What is the case, and what an admin does about it: one sentence, the same wherever it is asked.
    #[must_use]
    pub fn advice(&self, name: &ComputerName) -> String {
        let next = match (self.decided, self.shown) {
            (Decided::No | Decided::BeforeRestore, _) if self.third => third_advice(name),
            (Decided::Yes, _) => "it is decided which one goes on: that one makes a key of its own with its next contact, and until then \
                                  it can be decided anew"
                .to_owned(),
            (Decided::BeforeRestore, _) => format!(
                "two computers use its identity, and both are refused and run on; which one goes on was {BEFORE_RESTORE}. One that \
                 went on since comes back by itself with its next contact; else say it again with `distributor clients resolve {name} \
                 --keep CONTACT`"
            ),
            (Decided::No, 0) => {
                "none of the two computers was told from the other yet: each shows itself with its next contact"
                    .to_owned()
            }
            (Decided::No, _) => format!(
                "two computers use its identity, and both are refused and run on: say which one goes on with `distributor clients \
                 resolve {name} --keep CONTACT`; the other one then needs a setup file of another name"
            ),
        };
        let next = match self.decided {
            Decided::Yes if self.third => format!("{next}; {}", third_advice(name)),
            Decided::No | Decided::Yes | Decided::BeforeRestore => next,
        };
        if !self.setup_out {
            return next;
        }
        // A copy that goes on uses up no setup file: it is there for whom it was issued.
        let still = match self.decided {
            Decided::Yes => format!("; a setup file of {name} is out and stays good when that one came"),
            Decided::No | Decided::BeforeRestore => String::new(),
        };
        format!("{next}{still}; {}", used_instead(name))
    }
}

/// What an admin said about which one goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// Nothing yet.
    No,
    /// One of them, before the ledger was restored: that does not count any more.
    BeforeRestore,
    /// One of them.
    Yes,
}

/// Why a decision of before a restore does not count.
const BEFORE_RESTORE: &str = "decided before this server's ledger was restored to an older state, which may have lost that the \
                              other one was kept since";

/// What the use of a setup file does to two computers with one identity.
fn used_instead(name: &ComputerName) -> String {
    format!(
        "the computer that enrolls with the setup file of {name} that is out holds the seat instead of both, whose key is dead \
         then"
    )
}

/// What an admin is told where a contact of neither of two computers came. Nothing tells which of the three is the right one, and
/// two copies of one disk may have come before it: so only what is carried there by hand gives it back for sure.
#[must_use]
pub fn third_advice(name: &ComputerName) -> String {
    format!(
        "a contact of neither of the two came: a third computer has this identity, or an old message was sent again. Keep none of \
         the two unless it is sure to be the right computer: issue a new setup file of the same name with `distributor clients \
         setup {name}`, and carry it to the right one; that one then holds the seat, and all others are refused"
    )
}

/// The refusal of a contact of neither; `noted` are the branches that are known. Where two are not known yet, it is none of a
/// third computer.
#[must_use]
pub fn of_neither_problem(name: &ComputerName, noted: &[Sha256Digest]) -> Problem {
    if noted.len() < MAX_COPIES {
        return undecided_problem(name, None);
    }
    Problem::new(
        ProblemCode::ContactForked,
        format!(
            "more than two computers use the identity of {name}, or an old message came: this contact is of neither of the two \
             that are known"
        ),
        format!(
            "if this is the right computer, the administrator keeps none of the two, but runs `distributor clients setup {name}` \
             for a new setup file of the same name; with it run `agent-updater enroll --setup FILE` on this computer"
        ),
    )
}

/// The refusal of a contact whose client was not decided about.
#[must_use]
pub fn undecided_problem(name: &ComputerName, branch: Option<&Sha256Digest>) -> Problem {
    let which =
        branch.map_or_else(String::new, |branch| format!("; this one is the contact {}", branch.short()));
    Problem::new(
        ProblemCode::ContactForked,
        format!("two computers use the identity of {name}, for example a cloned disk{which}"),
        format!(
            "the administrator sees both with `distributor clients show {name}`, and says which one goes on with \
             `distributor clients resolve {name} --keep CONTACT`"
        ),
    )
}

/// The same where an admin decided before the ledger was restored.
#[must_use]
pub fn decided_before_restore_problem(name: &ComputerName, branch: Option<&Sha256Digest>) -> Problem {
    let undecided = undecided_problem(name, branch);
    let message = format!("{}; which one goes on was {BEFORE_RESTORE}", undecided.message);
    Problem::new(undecided.code, message, undecided.hint)
}

/// The refusal of the contact of the copy that was kept: it is to make a key of its own, and to show this contact with it.
#[must_use]
pub fn kept_problem(name: &ComputerName) -> Problem {
    Problem::new(
        ProblemCode::CopyKept,
        format!(
            "the administrator decided that this computer goes on as {name}; first it makes a key of its own"
        ),
        format!(
            "its agent does so by itself over the network; one that cannot is to be updated, or enrolled with a new setup \
             file (`distributor clients setup {name}`), as is a computer that is reached by file"
        ),
    )
}

/// The refusal of the copy that was not kept.
#[must_use]
pub fn given_up_problem(name: Option<&ComputerName>) -> Problem {
    let name = name.map_or_else(String::new, |name| format!(" as {name}"));
    Problem::new(
        ProblemCode::CopyGivenUp,
        format!(
            "the administrator decided that another computer goes on{name}, and this one is a copy of it; what is \
             installed here goes on running"
        ),
        "for a seat of its own, the administrator runs `distributor clients reserve NEWNAME` and `distributor clients setup \
         NEWNAME`; then run `agent-updater enroll --setup FILE --replace` on this computer. If this is the right computer and the \
         other one is the copy, a new setup file of the same name gives it back (`distributor clients setup NAME`)",
    )
}

#[cfg(test)]
mod tests;
