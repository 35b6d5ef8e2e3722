//! Keeping the repository fresh: which roles are to be signed again, and signing them.
//!
//! A reconciler: it reads when each role expires, signs what is due, and stops; a second run finds nothing to do.
//! Timestamp and snapshot are renewed when they are a day old, or were signed by a clock that was ahead; target lists
//! when 90 days or a quarter of their life are left. A key that is not at hand (kept elsewhere, as it should be) is a
//! warning and not an error, so that the others are renewed.
//! Left out on purpose: the root, which only its keys can renew (see [`root`](crate::root)).

use jiff::{SignedDuration, Timestamp};
use sealpost_files::with_causes;
use sealpost_keys::SigningKey;
use sealpost_repository::RoleName;

use crate::expiries::{self, Nearness};
use crate::home::{Keyring, KeyringError, Vendor};
use crate::notice;
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
    /// Whether something of that has ended, so that nobody takes anything until then.
    pub has_ended: bool,
}

/// Why nothing was renewed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    #[error("there is no role {role}; `publisher status` lists those that there are")]
    NoSuchRole { role: RoleName },
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
    let publication = Publication::open(vendor, waiting)?;
    let mut renewed = Renewed::default();
    let mut keys: Vec<SigningKey> = Vec::new();
    let mut roles = Vec::new();
    for end in expiries::of_repository(vendor, keyring, publication.editor()) {
        let Some(role) = end.role.clone() else { continue };
        let left = now.duration_until(end.at);
        if role == RoleName::Root {
            renewed.warnings.extend(end.warning(now));
            renewed.has_ended |= end.nearness(now) == Nearness::Ended;
            continue;
        }
        if !is_due(&role, left, vendor, urgency) {
            continue;
        }
        match list_key(keyring, &role) {
            None => roles.push(role),
            Some(Ok(key)) => {
                keys.push(key);
                roles.push(role);
            }
            Some(Err(error)) => {
                let warning = end.warning(now).unwrap_or_else(|| format!("{end} is due; {}", end.remedy));
                renewed.warnings.push(format!("{warning} ({})", with_causes(&error)));
                renewed.has_ended |= end.nearness(now) == Nearness::Ended;
            }
        }
    }
    renewed.roles = sign_again(keyring, publication, roles, keys, now)?;
    Ok(renewed)
}

/// Signs these lists again, whether they are due or not, and what pins them.
///
/// # Errors
/// [`RenewError`]; the repository is as it was then.
pub fn renew_lists(
    vendor: &Vendor,
    keyring: &Keyring,
    lists: &[RoleName],
    now: Timestamp,
    waiting: impl FnOnce(),
) -> Result<Renewed, RenewError> {
    let publication = Publication::open(vendor, waiting)?;
    let known = publication.editor().expiries();
    if let Some(role) = lists.iter().find(|role| known.iter().all(|(known, _)| known != *role)) {
        return Err(RenewError::NoSuchRole { role: role.clone() });
    }
    let keys = lists.iter().filter_map(|role| list_key(keyring, role)).collect::<Result<Vec<_>, _>>()?;
    let roles = sign_again(keyring, publication, lists.to_vec(), keys, now)?;
    Ok(Renewed { roles, ..Renewed::default() })
}

/// The key of a list; `None` of what the online keys sign.
fn list_key(keyring: &Keyring, role: &RoleName) -> Option<Result<SigningKey, KeyringError>> {
    match role {
        RoleName::Root | RoleName::Timestamp | RoleName::Snapshot => None,
        RoleName::Targets => Some(keyring.targets()),
        RoleName::Package(package) => Some(keyring.role(package)),
    }
}

/// Each role that was signed, and when it expires now.
fn sign_again(
    keyring: &Keyring,
    mut publication: Publication,
    mut roles: Vec<RoleName>,
    mut keys: Vec<SigningKey>,
    now: Timestamp,
) -> Result<Vec<(RoleName, Timestamp)>, RenewError> {
    if roles.is_empty() {
        return Ok(Vec::new());
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
    let written = publication.publish(&keys.iter().collect::<Vec<_>>(), now)?;
    Ok(written.expiries.into_iter().filter(|(role, _)| roles.contains(role)).collect())
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
    // As soon as it is warned of, so that the warning's command does something; of a short life not at every run.
    let list = |life: SignedDuration| (life / 4).max(notice::before_end(Some(life)));
    match role {
        RoleName::Timestamp => online(lifetimes.timestamp),
        RoleName::Snapshot => online(lifetimes.snapshot),
        // Only its own keys renew it.
        RoleName::Root => false,
        RoleName::Targets => left <= list(lifetimes.targets),
        RoleName::Package(_) => left <= list(lifetimes.package),
    }
}
