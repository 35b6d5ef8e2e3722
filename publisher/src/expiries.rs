//! Everything of a vendor's that ends: one list, from which `publisher status`, warnings and refusals are made.
//!
//! Invariant: each entry names the command that renews it, as it is typed, and where the key that it needs is looked for.
//! Left out on purpose: what sites do about their own ends; a site's list has the same shape.

use std::fmt;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use sealpost_repository::{RepositoryEditor, RoleName};
use serde::Serialize;

use crate::authority::SerialEntry;
use crate::home::{KeyNeeded, KeyState, Keyring, Vendor};
use crate::notice::{self, WARN_DAYS};
use crate::publication::lifetimes;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiryKind {
    Root,
    /// The top-level targets, or the role of a package.
    Role,
    Snapshot,
    Timestamp,
    /// The TLS certificate of `publisher serve`.
    Certificate,
    /// The newest grant of a serial number that is bound to a server.
    Grant,
}

/// Something that ends, and what is done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expiry {
    pub kind: ExpiryKind,
    /// Which one: a role, a file, a serial number.
    pub what: String,
    pub at: Timestamp,
    /// Whether `publisher serve` or a daily `publisher refresh` renews it with keys that stay online.
    pub renewed_by_itself: bool,
    /// What to do, with the exact command.
    pub remedy: String,
    /// The key that the command needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyNeeded>,
    /// The role, if it is one.
    #[serde(skip)]
    pub role: Option<RoleName>,
    /// What is left of it is so little that somebody should look.
    #[serde(skip)]
    warn_below: SignedDuration,
}

/// How near an end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Nearness {
    Ended,
    /// Less than seven days, or what is renewed daily was not renewed for days.
    Urgent,
    /// Less than thirty days.
    Soon,
    /// Less than ninety days.
    Near,
    Far,
}

/// How much a warning wants somebody. The words stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// To be done some day.
    Notice,
    /// To be done within weeks.
    Warning,
    /// To be done now: something ended or ends within days, or does not work.
    Urgent,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Urgent => "urgent",
        })
    }
}

impl Expiry {
    #[must_use]
    pub fn nearness(&self, now: Timestamp) -> Nearness {
        let left = now.duration_until(self.at);
        let below = |days: i64| left < SignedDuration::from_hours(24 * days);
        match () {
            () if left <= SignedDuration::ZERO => Nearness::Ended,
            () if left >= self.warn_below => Nearness::Far,
            () if self.renewed_by_itself || below(WARN_DAYS[0]) => Nearness::Urgent,
            () if below(WARN_DAYS[1]) => Nearness::Soon,
            () => Nearness::Near,
        }
    }

    /// The warning about it; `None` while nobody has to do anything.
    #[must_use]
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let left = Left::of(self.at, now);
        match self.nearness(now) {
            Nearness::Far => None,
            Nearness::Ended => Some(format!("{self} expired {left}; {}", self.remedy)),
            _ => Some(format!("{self} expires {left}; {}", self.remedy)),
        }
    }

    /// How much the warning wants somebody; a site says it in the same words.
    #[must_use]
    pub fn level(&self, now: Timestamp) -> Level {
        match self.nearness(now) {
            Nearness::Ended | Nearness::Urgent => Level::Urgent,
            Nearness::Soon => Level::Warning,
            Nearness::Near | Nearness::Far => Level::Notice,
        }
    }

    /// A certificate of `publisher serve`.
    #[must_use]
    pub fn of_certificate(path: &Path, at: Timestamp) -> Self {
        let shown = path.display();
        Self {
            kind: ExpiryKind::Certificate,
            what: shown.to_string(),
            at,
            renewed_by_itself: false,
            remedy: format!(
                "put a new certificate and its key in place of {shown}; a running server takes them over by itself"
            ),
            key: None,
            role: None,
            warn_below: notice::before_end(None),
        }
    }

    /// The newest grant of a serial number; `None` before the first, and once its server was cleared: nobody renews that
    /// grant, and whoever registers next gets another.
    #[must_use]
    pub fn of_grant(serial: &SerialEntry) -> Option<Self> {
        serial.server_id.as_ref()?;
        let (at, renewable_from) = serial.not_after.zip(serial.renewable_from)?;
        Some(Self {
            kind: ExpiryKind::Grant,
            what: serial.serial.to_string(),
            at,
            renewed_by_itself: false,
            remedy: format!(
                "its server renews it with `distributor register {}`, and with a code by hand if it cannot reach you",
                serial.serial
            ),
            key: None,
            role: None,
            // Before, a registration would bring the same grant again.
            warn_below: renewable_from.duration_until(at),
        })
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ExpiryKind::Root => f.write_str("the root"),
            ExpiryKind::Role | ExpiryKind::Snapshot | ExpiryKind::Timestamp => {
                write!(f, "role {}", self.what)
            }
            ExpiryKind::Certificate => write!(f, "the certificate {}", self.what),
            ExpiryKind::Grant => write!(f, "the grant of {}", self.what),
        }
    }
}

/// When each role of the repository ends, in the order root, targets, packages, snapshot, timestamp.
#[must_use]
pub fn of_repository(vendor: &Vendor, keyring: &Keyring, editor: &RepositoryEditor) -> Vec<Expiry> {
    let lifetimes = lifetimes(&vendor.settings().lifetime_days);
    let each = editor.expiries().into_iter().map(|(role, at)| {
        let key = KeyNeeded::of(editor, &role, keyring.place(&role));
        let remedy = remedy(&role, &key);
        let online = |life: SignedDuration| notice::before_end_of_daily(Some(life));
        let list = |life: SignedDuration| notice::before_end(Some(life));
        let (kind, warn_below) = match &role {
            RoleName::Root => (ExpiryKind::Root, list(lifetimes.root)),
            RoleName::Targets => (ExpiryKind::Role, list(lifetimes.targets)),
            RoleName::Package(_) => (ExpiryKind::Role, list(lifetimes.package)),
            RoleName::Snapshot => (ExpiryKind::Snapshot, online(lifetimes.snapshot)),
            RoleName::Timestamp => (ExpiryKind::Timestamp, online(lifetimes.timestamp)),
        };
        let renewed_by_itself = matches!(role, RoleName::Snapshot | RoleName::Timestamp);
        let (what, key) = (role.to_string(), Some(key));
        Expiry { kind, what, at, renewed_by_itself, remedy, key, role: Some(role), warn_below }
    });
    each.collect()
}

/// What has ended of the repository, although it is not about to be signed again, and what to do: with it, readers would
/// refuse everything that is published.
#[must_use]
pub fn ended(
    vendor: &Vendor,
    keyring: &Keyring,
    editor: &RepositoryEditor,
    signing: &[RoleName],
    now: Timestamp,
) -> Vec<String> {
    let is_signed = |end: &Expiry| {
        end.renewed_by_itself
            || end.role.as_ref().is_some_and(|role| signing.contains(role) && *role != RoleName::Root)
    };
    of_repository(vendor, keyring, editor)
        .iter()
        .filter(|end| end.nearness(now) == Nearness::Ended && !is_signed(end))
        .filter_map(|end| end.warning(now))
        .collect()
}

/// What renews a role, as it is typed.
fn remedy(role: &RoleName, key: &KeyNeeded) -> String {
    let place = as_typed(&key.place);
    let command = match role {
        RoleName::Root => format!("`publisher root renew --root-keys {place}`"),
        RoleName::Targets | RoleName::Package(_) => format!("`publisher role renew {role}`"),
        RoleName::Snapshot | RoleName::Timestamp => {
            return "run `publisher refresh`, and look why the running server did not do it".to_owned();
        }
    };
    match (key.state, role) {
        (KeyState::Here, _) => format!("run {command}"),
        (KeyState::Absent, RoleName::Root) => format!(
            "bring {} of the root keys to {place}, or name another folder, and run {command}",
            key.needed
        ),
        (KeyState::Absent, _) => format!("bring its key to {place} and run {command}"),
        (KeyState::Other, _) => {
            format!(
                "{place} is another key than the one that signs it; bring the right one and run {command}"
            )
        }
    }
}

/// A path as a shell takes it.
fn as_typed(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+-=:,@".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// How long it is until a time, or since, as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left(SignedDuration);

impl Left {
    #[must_use]
    pub fn of(at: Timestamp, now: Timestamp) -> Self {
        Self(now.duration_until(at))
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.0.abs().as_hours();
        if self.0.abs().as_mins() == 0 {
            return f.write_str(if self.0 > SignedDuration::ZERO {
                "in less than a minute"
            } else {
                "just now"
            });
        }
        let text = match hours {
            0 => counted(self.0.abs().as_mins(), "minute"),
            hours @ 1..48 => counted(hours, "hour"),
            hours => counted(hours / 24, "day"),
        };
        if self.0 > SignedDuration::ZERO { write!(f, "in {text}") } else { write!(f, "{text} ago") }
    }
}

fn counted(number: i64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_the_unit_that_people_use_and_one_is_singular() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let left = |hours: i64| Left::of(now + SignedDuration::from_hours(hours), now).to_string();
        assert_eq!(left(24 * 90), "in 90 days");
        assert_eq!(left(30), "in 30 hours");
        assert_eq!(left(1), "in 1 hour");
        assert_eq!(left(-24 * 3), "3 days ago");
        assert_eq!(Left::of(now + SignedDuration::from_mins(1), now).to_string(), "in 1 minute");
        assert_eq!(left(0), "just now");
        assert_eq!(Left::of(now + SignedDuration::from_secs(9), now).to_string(), "in less than a minute");
    }

    #[test]
    fn a_path_in_a_command_can_be_typed_as_it_stands() {
        assert_eq!(as_typed(Path::new("/media/safe-1")), "/media/safe-1");
        assert_eq!(as_typed(Path::new("/media/my safe")), "'/media/my safe'");
        assert_eq!(as_typed(Path::new("/a'b")), r"'/a'\''b'");
    }
}
