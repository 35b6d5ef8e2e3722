//! Keeping the repository fresh: which roles are to be signed again, and signing them.
//!
//! A reconciler: it reads when each role expires, signs what is due, and stops; a second run finds nothing to do.
//! Timestamp and snapshot are renewed when they are a day old, or were signed by a clock that was ahead; target lists
//! when a quarter of their life is left. A key that is not at hand (kept elsewhere, as it should be) is a warning and not
//! an error, so that the others are renewed.
//! Left out on purpose: the root, which only its keys can renew.

use jiff::{SignedDuration, Timestamp};
use sealpost_files::with_causes;
use sealpost_keys::SigningKey;
use sealpost_repository::RoleName;

use crate::home::{Keyring, KeyringError, Vendor};
use crate::publication::{Publication, PublicationError, lifetimes};

/// Age at which timestamp and snapshot are renewed, unless half their life is shorter.
const ONLINE_AGE: SignedDuration = SignedDuration::from_hours(24);

/// Whether timestamp and snapshot are renewed before they are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    Now,
    WhenDue,
}

/// What was signed again.
#[derive(Debug, Default)]
pub struct Renewed {
    /// Each role, and when it expires now.
    pub roles: Vec<(RoleName, Timestamp)>,
    /// What needs a person.
    pub warnings: Vec<String>,
}

/// Why nothing was renewed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    #[error("cannot renew the repository")]
    Keys(#[from] KeyringError),
    #[error("cannot renew the repository")]
    Publication(#[from] PublicationError),
}

/// Signs again what is due, and with [`Urgency::Now`] timestamp and snapshot in any case.
///
/// # Errors
/// [`RenewError`]; the repository is as it was then.
pub fn renew(
    vendor: &Vendor,
    keyring: &Keyring,
    urgency: Urgency,
    now: Timestamp,
    waiting: impl FnOnce(),
) -> Result<Renewed, RenewError> {
    let mut publication = Publication::open(vendor, waiting)?;
    let mut renewed = Renewed::default();
    let mut keys: Vec<SigningKey> = Vec::new();
    let mut roles = Vec::new();
    for (role, expires) in publication.editor().expiries() {
        let left = now.duration_until(expires);
        if !is_due(&role, left, vendor, urgency) {
            continue;
        }
        let key = match &role {
            RoleName::Root => {
                renewed
                    .warnings
                    .push(format!("{}; sign a new one with the root keys", expiry("the root", left)));
                continue;
            }
            RoleName::Timestamp | RoleName::Snapshot => {
                roles.push(role);
                continue;
            }
            RoleName::Targets => keyring.targets(),
            RoleName::Package(package) => keyring.role(package),
        };
        match key {
            Ok(key) => {
                keys.push(key);
                roles.push(role);
            }
            Err(error) => renewed.warnings.push(format!(
                "{}; bring its key and run `publisher refresh` ({})",
                expiry(&format!("role {role}"), left),
                with_causes(&error)
            )),
        }
    }
    if roles.is_empty() {
        return Ok(renewed);
    }
    // Snapshot and timestamp pin what is signed again, so they are signed again too.
    if roles.iter().any(|role| *role != RoleName::Timestamp) {
        keys.push(keyring.snapshot()?);
        push_new(&mut roles, RoleName::Snapshot);
    }
    keys.push(keyring.timestamp()?);
    push_new(&mut roles, RoleName::Timestamp);
    for role in &roles {
        publication.editor_mut().renew(role);
    }
    publication.publish(&keys.iter().collect::<Vec<_>>(), now)?;
    let after = Publication::open(vendor, || {})?;
    renewed.roles = after.editor().expiries().into_iter().filter(|(role, _)| roles.contains(role)).collect();
    Ok(renewed)
}

fn push_new(roles: &mut Vec<RoleName>, role: RoleName) {
    if !roles.contains(&role) {
        roles.push(role);
    }
}

fn is_due(role: &RoleName, left: SignedDuration, vendor: &Vendor, urgency: Urgency) -> bool {
    let lifetimes = lifetimes(&vendor.settings().lifetime_days);
    // More than a whole life is left of what was signed while this clock was ahead: the correction must not wait until
    // then.
    let online = |life: SignedDuration| {
        urgency == Urgency::Now || left <= life - ONLINE_AGE.min(life / 2) || left > life
    };
    match role {
        RoleName::Timestamp => online(lifetimes.timestamp),
        RoleName::Snapshot => online(lifetimes.snapshot),
        RoleName::Root => left <= lifetimes.root / 4,
        RoleName::Targets => left <= lifetimes.targets / 4,
        RoleName::Package(_) => left <= lifetimes.package / 4,
    }
}

fn expiry(what: &str, left: SignedDuration) -> String {
    match left.as_hours() / 24 {
        days if days < 0 || left.is_negative() => format!("{what} has expired"),
        0 => format!("{what} expires today"),
        days => format!("{what} expires in {days} days"),
    }
}
