//! Enrollment without a code: this computer asks under a name of its own, and waits until an administrator admits its key.
//!
//! Invariants: what it needs to ask again is kept before it asks first, so a lost answer or a stop costs nothing; the key is made
//! once, and is no other computer's: a copy of one that waits makes its own. What it is told meanwhile, by whomever, makes it wait
//! and nothing else. Once it is admitted it is enrolled exactly as with a code: by the same checks, with the root that was pinned
//! before the first question.

use std::path::Path;

use sealpost_files::{escape, with_causes};
use sealpost_keys::{Fingerprint, PublicKey};
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::setup::SetupFile;

use crate::domain::cadence::{asks_again, next_question};
use crate::flows::context::{Context, Host, seed};
use crate::flows::start_again::Starts;
use crate::home::Home;
use crate::platform::machine;
use crate::records::root;
use crate::records::waiting::WaitingKnock;

use super::error::EnrollError;
use super::inputs::{client_key, forget_keys, pin_root};
use super::run::{As, EnrolledAs, OtherName, ask, ensure_same_name};

/// Asks for the first time, or once more because a person wants it. The caller holds the lock of the cycle.
///
/// # Errors
/// [`EnrollError::Waits`] if the computer has to be admitted first; it asks again by itself also after any other failure of its
/// servers.
pub(super) fn begin(
    context: &Context,
    setup: SetupFile,
    setup_path: &Path,
    root_path: Option<&Path>,
    given: Option<&ComputerName>,
    other_name: OtherName,
) -> Result<EnrolledAs, EnrollError> {
    let home = &context.host.home;
    let name = match given {
        Some(given) => plain(given),
        None => own_name()?,
    };
    if other_name == OtherName::Refuse {
        ensure_same_name(home, &setup, setup_path, &name)?;
    }
    pin_root(home, &setup, root_path)?;
    let client_key = key_to_admit(home, &setup)?;
    let waiting = WaitingKnock {
        computer_name: name,
        client_key,
        setup,
        name_is_given: given.is_some(),
        machine: machine::machine(),
        replaces_name: other_name == OtherName::Replace,
        asked_at: None,
        next_at: context.host.now(),
        said: None,
    };
    waiting.save(home)?;
    ask_once(context, waiting)
}

/// Asks again, if this computer waits and it is time for that. Answers what it waits for then, and `None` if it does not wait, or
/// is enrolled now. The caller holds the lock of the cycle.
///
/// # Errors
/// With a sentence, when it is not known whether it waits.
pub fn ask_again(context: &Context, starts: Starts) -> Result<Option<WaitingKnock>, String> {
    let home = &context.host.home;
    leave_the_copied(&context.host).map_err(|error| with_causes(&error))?;
    let waiting = WaitingKnock::load(home).map_err(|error| with_causes(&error))?;
    let Some(waiting) = waiting else { return Ok(None) };
    let now = context.host.now();
    if starts != Starts::All && !asks_again(&context.host.settings.cadence, waiting.next_at, now) {
        return Ok(Some(waiting));
    }
    match ask_once(context, waiting.clone()) {
        Ok(enrolled) => {
            let enrollment = &enrolled.enrollment;
            tracing::info!(
                "admitted and enrolled as {} (client {})",
                enrollment.computer_name,
                enrollment.client_id
            );
            enrolled.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            Ok(None)
        }
        Err(EnrollError::Waits(waiting)) => Ok(Some(*waiting)),
        Err(EnrollError::Interrupted(_)) => Ok(Some(waiting)),
        // As it was kept: with what went wrong.
        Err(error) => {
            let said = Some(with_causes(&error));
            Ok(Some(WaitingKnock::load(home).ok().flatten().unwrap_or(WaitingKnock { said, ..waiting })))
        }
    }
}

/// Makes this computer one of its own, if its home was copied from another one that waits: one admission would let in all that
/// show one key. What an enrollment names stays, and so does a name that a person gave. The caller holds the lock of the
/// cycle.
///
/// # Errors
/// [`EnrollError`] when the keys cannot be replaced; then it is tried again.
pub(super) fn leave_the_copied(host: &Host) -> Result<(), EnrollError> {
    let (home, own) = (&host.home, machine::machine());
    // A damaged record says nothing, and enrolling replaces it.
    let waiting = WaitingKnock::load(home).ok().flatten();
    let Some(waiting) = waiting.filter(|waiting| own.is_other_than(&waiting.machine)) else { return Ok(()) };
    forget_keys(home, &waiting.setup)?;
    let before = waiting.computer_name.clone();
    let computer_name = if waiting.name_is_given { before } else { own_name().unwrap_or(before) };
    let client_key = key_to_admit(home, &waiting.setup)?;
    tracing::warn!(
        "this home was copied from another computer that waits to be admitted; this one asks as {computer_name}, with a key of \
         its own"
    );
    WaitingKnock {
        computer_name,
        client_key,
        machine: own,
        asked_at: None,
        next_at: host.now(),
        said: None,
        ..waiting
    }
    .save(home)?;
    Ok(())
}

fn ask_once(context: &Context, waiting: WaitingKnock) -> Result<EnrolledAs, EnrollError> {
    let host = &context.host;
    let asked = || {
        if !waiting.replaces_name {
            let path = Path::new("the knock setup file");
            ensure_same_name(&host.home, &waiting.setup, path, &waiting.computer_name)?;
        }
        let pinned = root::read(&host.home)
            .map_err(|source| EnrollError::Unreadable { path: host.home.root(), source })?
            .ok_or_else(|| EnrollError::Missing {
                what: "root.json",
                path: host.home.root(),
                hint: "enroll again with --root",
            })?;
        ask(context, &waiting.setup, &waiting.computer_name, As::First { root: None }, &pinned, None)
    };
    // Another one was made if a person moved the old one away.
    let client_key = key_to_admit(&host.home, &waiting.setup)?;
    let error = match asked() {
        Ok(enrolled) => return Ok(enrolled),
        Err(error @ EnrollError::Interrupted(_)) => return Err(error),
        Err(error) => error,
    };
    let now = host.now();
    let said = match &error {
        EnrollError::NotAdmitted(problem) => escape(&problem.message),
        other => escape(&with_causes(other)),
    };
    let waiting = WaitingKnock {
        asked_at: Some(now),
        next_at: next_question(&host.settings.cadence, now, seed()),
        said: Some(said),
        client_key,
        machine: machine::machine().or(&waiting.machine),
        ..waiting
    };
    waiting.save(&host.home)?;
    Err(match error {
        EnrollError::NotAdmitted(_) => EnrollError::Waits(Box::new(waiting)),
        other => other,
    })
}

/// The key that the first server is shown; it is made now if there is none.
fn key_to_admit(home: &Home, setup: &SetupFile) -> Result<PublicKey, EnrollError> {
    let usable = setup.servers.iter().find(|listed| listed.server.problem().is_none());
    let server = usable
        .ok_or_else(|| EnrollError::AllFailed(vec!["it lists no server that can be used".to_owned()]))?;
    Ok(client_key(home, &server.server.server_id)?.key.public())
}

/// What this computer calls itself.
fn own_name() -> Result<ComputerName, EnrollError> {
    let found = machine::hostname().unwrap_or_default();
    let name = ComputerName::new(found.as_str())
        .map_err(|error| EnrollError::NoName { found: escape(&found), why: error.to_string() })?;
    Ok(plain(&name))
}

/// As a seat is held: without dots at its end.
fn plain(name: &ComputerName) -> ComputerName {
    ComputerName::new(name.as_str().trim_end_matches('.')).unwrap_or_else(|_| name.clone())
}

impl WaitingKnock {
    /// What an administrator has to type.
    #[must_use]
    pub fn command(&self) -> String {
        let Self { computer_name, client_key, .. } = self;
        format!("distributor clients admit {computer_name} --key {}", Fingerprint::of(client_key))
    }

    /// What this computer waits for, in a sentence.
    #[must_use]
    pub fn told(&self) -> String {
        let said = self.said.as_deref().map_or_else(String::new, |said| format!(" ({said})"));
        format!(
            "this computer waits to be admitted as {}{said}; its key is {}; on the server: `{}`",
            self.computer_name,
            Fingerprint::of(&self.client_key).grouped(),
            self.command()
        )
    }
}
