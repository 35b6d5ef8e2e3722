//! Everything that ends, in one list: certificates, the vendor's roles, grants, leases and setup codes. `status`, the
//! metrics and the warnings are made from it, so that none of them knows of an end that the others do not.
//!
//! Invariant: each line names the exact command that moves its end, also where somebody else types it. What is renewed
//! by itself is warned of only when that did not happen: its renewal is due long before the first warning. The level rises
//! as the end comes nearer.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_manifests::ids::{ComputerName, SerialNumber};

use crate::rows::{ComputersRow, EndingsRow, LicenseRow};
use crate::rules::setups::EndingSetup;
use crate::rules::text::{counted, first_names};

/// Days before an end at which it is warned of, most urgent first.
const WARN_DAYS: [i64; 3] = [7, 30, 90];
/// The vendor renews these each day and lets them live for days, so a long warning would always stand there.
const RENEWED_DAILY: [&str; 2] = ["timestamp", "snapshot"];
/// Days before the end of those.
const WARN_DAYS_RENEWED: [i64; 1] = [3];
/// Days for which a serial number that ended wants to be looked at.
const SERIAL_ENDED_DAYS: i64 = 90;
const DAY_SECS: i64 = 24 * 60 * 60;

/// How much something wants somebody. The words stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Good to know, or to be done some day.
    Notice,
    /// To be done within weeks.
    Warning,
    /// To be done now: something ends within days, or does not work.
    Urgent,
}

impl Level {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Urgent => "urgent",
        }
    }
}

/// What kind of thing ends. The words are labels of metrics and stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExpiryKind {
    /// The certificate that the server presents, issued by the site CA.
    Certificate,
    /// The certificate that the server presents, which the admin brought.
    OwnCertificate,
    /// The site CA.
    SiteCa,
    /// The vendor's TUF root.
    Root,
    /// Another role of the vendor's metadata.
    Role,
    /// The grant of a serial number.
    Grant,
    /// A serial number that the vendor ends: no registration renews it.
    Serial,
    /// The same, where each of its computers holds a seat that stands in for it (see [`crate::rules::ending_serials`]).
    ReplacedSerial,
    /// Leases of computers; the one that ends first.
    Lease,
    /// Codes of setup files that were not used; the one that ends first.
    SetupCode,
    /// A certificate of the CA by which the vendor's server is checked (`vendor_ca`).
    VendorCa,
    /// The token of an admin who comes over the network.
    AdminToken,
}

/// Something that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// What kind of thing it is.
    pub kind: ExpiryKind,
    /// What it is, for people: begins a sentence.
    pub what: String,
    /// The same for monitors, which is read by more people: without serial numbers and names of computers.
    pub label: String,
    /// Its end.
    pub at: Timestamp,
    /// Since when it is good, where that is known.
    pub since: Option<Timestamp>,
    /// Whether nobody has to do anything as long as all works.
    pub renewed_by_itself: bool,
    /// What to do about it, with the exact command.
    pub remedy: String,
}

impl ExpiryKind {
    /// The word for it, in the API and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::OwnCertificate => "own_certificate",
            Self::SiteCa => "site_ca",
            Self::Root => "root",
            Self::Role => "role",
            Self::Grant => "grant",
            Self::Serial | Self::ReplacedSerial => "serial",
            Self::Lease => "lease",
            Self::SetupCode => "setup_code",
            Self::VendorCa => "vendor_ca",
            Self::AdminToken => "admin_token",
        }
    }
}

impl Expiry {
    /// A role of the mirrored metadata.
    #[must_use]
    pub fn of_role(role: &str, at: Timestamp) -> Self {
        let (kind, command) = match role {
            "root" => (ExpiryKind::Root, "publisher root renew".to_owned()),
            online if RENEWED_DAILY.contains(&online) => (ExpiryKind::Role, "publisher refresh".to_owned()),
            other => (ExpiryKind::Role, format!("publisher role renew {other}")),
        };
        Self {
            kind,
            what: format!("the vendor's metadata of {role}"),
            label: role.to_owned(),
            at,
            since: None,
            renewed_by_itself: RENEWED_DAILY.contains(&role),
            remedy: format!("ask the vendor to run `{command}`, then run `distributor pull`"),
        }
    }

    /// The grant of a serial number.
    #[must_use]
    pub fn of_grant(serial: &SerialNumber, since: Timestamp, at: Timestamp) -> Self {
        Self {
            kind: ExpiryKind::Grant,
            what: format!("the grant for serial {serial}"),
            label: last_group(serial.as_str()).to_owned(),
            at,
            since: Some(since),
            renewed_by_itself: false,
            remedy: format!("run `distributor register {serial}`"),
        }
    }

    /// A serial number that the vendor ends. `alone` are the names that hold a seat of it and none that stands in for that, if
    /// there is such a serial number at all.
    #[must_use]
    pub fn of_serial(serial: &SerialNumber, at: Timestamp, alone: Option<&ComputersRow>) -> Self {
        let whom = match alone {
            Some(ComputersRow { count: 0, .. }) => return Self::of_replaced_serial(serial, at),
            Some(ComputersRow { count, names, .. }) => format!(
                "{} no seat of another one that covers the same for longer ({})",
                counted(*count, "of its computers holds", "of its computers hold"),
                first_names(names, *count)
            ),
            None => "the vendor said so".to_owned(),
        };
        Self {
            kind: ExpiryKind::Serial,
            what: format!("the serial number {serial}"),
            label: last_group(serial.as_str()).to_owned(),
            at,
            since: None,
            renewed_by_itself: false,
            remedy: format!(
                "{whom}: ask the vendor for another one, run `distributor register SERIAL` with it, and give the computers seats \
                     of that one: `distributor clients reserve --from FILE --serial SERIAL`; without one nobody gets a new seat, updates \
                 end with the leases of those computers, and products go on running"
            ),
        }
    }

    /// One whose computers all hold a seat that stands in for theirs.
    fn of_replaced_serial(serial: &SerialNumber, at: Timestamp) -> Self {
        Self {
            kind: ExpiryKind::ReplacedSerial,
            what: format!("the serial number {serial}"),
            label: last_group(serial.as_str()).to_owned(),
            at,
            since: None,
            renewed_by_itself: false,
            remedy: "nothing has to be done: each of its computers holds a seat of another serial number too, which covers the same for \
                     longer; no new seats come of this one then"
                .to_owned(),
        }
    }

    /// The leases of computers: the one that ends first stands for all. `ended` of them have ended.
    #[must_use]
    pub fn of_leases(name: &ComputerName, at: Timestamp, ended: u64) -> Self {
        let what = match ended {
            0 | 1 => format!("the lease of the computer {name}"),
            more => format!("the leases of {more} computers (first {name})"),
        };
        Self {
            kind: ExpiryKind::Lease,
            what,
            label: "first".to_owned(),
            at,
            since: None,
            renewed_by_itself: true,
            remedy: "run `agent-updater check` on the computer".to_owned(),
        }
    }

    /// Setup files with which no computer enrolled yet: the one that ends first stands for all.
    #[must_use]
    pub fn of_setups(first: &EndingSetup) -> Self {
        let EndingSetup { name, issued_at, expires_at, count } = first;
        let (what, remedy) = match count {
            0 | 1 => (
                format!("the unused setup file of the computer {name}"),
                format!("use it, or make another with `distributor clients setup {name}`"),
            ),
            more => (
                format!("the first of {more} unused setup files (that of the computer {name})"),
                "`distributor clients setups --unused` lists them: use them, or make others with `distributor clients setup NAME`"
                    .to_owned(),
            ),
        };
        Self {
            kind: ExpiryKind::SetupCode,
            what,
            label: "first".to_owned(),
            at: *expires_at,
            since: Some(*issued_at),
            renewed_by_itself: false,
            remedy,
        }
    }

    /// A certificate of the file that `vendor_ca` names; `subject` is its name in there.
    #[must_use]
    pub fn of_vendor_ca(subject: &str, at: Timestamp) -> Self {
        Self {
            kind: ExpiryKind::VendorCa,
            what: format!("the certificate {subject:?} in `vendor_ca`"),
            label: "first".to_owned(),
            at,
            since: None,
            renewed_by_itself: false,
            remedy: "ask the vendor for its new CA, put it into the file, then restart the server".to_owned(),
        }
    }

    /// The token of an admin.
    #[must_use]
    pub fn of_admin_token(name: &str, since: Timestamp, at: Timestamp) -> Self {
        Self {
            kind: ExpiryKind::AdminToken,
            what: format!("the admin token {name}"),
            label: "first".to_owned(),
            at,
            since: Some(since),
            renewed_by_itself: false,
            remedy: format!(
                "run `distributor token revoke {name}`, and `distributor token new {name}` if another is needed"
            ),
        }
    }

    /// Seconds until the end; below 0 after it.
    #[must_use]
    pub fn seconds_left(&self, now: Timestamp) -> i64 {
        self.at.as_second().saturating_sub(now.as_second())
    }

    /// How much it wants somebody now; `None` while nobody has to do anything.
    #[must_use]
    pub fn level(&self, now: Timestamp) -> Option<Level> {
        let left = self.seconds_left(now);
        let days = if left <= 0 { 0 } else { self.days_warned_of(left)? };
        Some(match self.kind {
            // A computer that is switched off, or a file that is made again when somebody needs it.
            ExpiryKind::Lease => Level::Warning,
            ExpiryKind::SetupCode | ExpiryKind::ReplacedSerial => Level::Notice,
            // It does not come back, and a server is not urgent for ever.
            ExpiryKind::Serial if -left > SERIAL_ENDED_DAYS * DAY_SECS => Level::Notice,
            ExpiryKind::Serial if left <= 0 => Level::Warning,
            _ if left <= 0 || days <= WARN_DAYS[0] => Level::Urgent,
            _ if days <= WARN_DAYS[1] => Level::Warning,
            _ => Level::Notice,
        })
    }

    /// The warning, if it is time for one.
    #[must_use]
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let Self { what, at, remedy, .. } = self;
        let left = self.seconds_left(now);
        let said = if left <= 0 {
            format!("{what} ended at {at}")
        } else {
            let within = self.days_warned_of(left)?;
            format!("{what} ends at {at}, in less than {within} days")
        };
        Some(if self.renewed_by_itself {
            format!("{said}; the renewal goes by itself, and did not happen: {remedy}")
        } else {
            format!("{said}; {remedy}")
        })
    }

    /// Within how many days it ends, if it is time to warn of that: not in the first half of its life, in which the vendor
    /// issues no grant again either (`publisher/src/notice.rs` has the same rule).
    fn days_warned_of(&self, left: i64) -> Option<i64> {
        let life = self.since.map(|since| self.at.as_second().saturating_sub(since.as_second()));
        if life.is_some_and(|life| left > life / 2) {
            return None;
        }
        self.warn_days().iter().copied().find(|days| left <= days * DAY_SECS)
    }

    fn warn_days(&self) -> &'static [i64] {
        match self.kind {
            ExpiryKind::Role if self.renewed_by_itself => &WARN_DAYS_RENEWED,
            // A lease lives for some days or weeks, and each contact renews it: its end alone is news.
            ExpiryKind::Lease => &[],
            // It lives for days.
            ExpiryKind::SetupCode => &WARN_DAYS[..1],
            _ => &WARN_DAYS,
        }
    }
}

/// The end of a serial number: tells two apart, and is no use to anybody else.
fn last_group(serial: &str) -> &str {
    serial.rsplit('-').next().unwrap_or_default()
}

/// The ends that the ledger knows: grants by serial number, the first lease, the first setup code. A serial number that ended
/// and of which nobody holds a seat, or everybody another one that stands in for it, wants nothing of anybody. `alone` has the
/// names that hold no such seat, of the serial numbers that [`crate::rules::ending_serials::to_ask`] asks about.
#[must_use]
pub fn in_the_ledger(
    licenses: &[LicenseRow],
    endings: &EndingsRow,
    alone: &BTreeMap<SerialNumber, ComputersRow>,
    now: Timestamp,
) -> Vec<Expiry> {
    let hurts_nobody = |license: &LicenseRow| {
        license.used == 0 || alone.get(&license.serial).is_some_and(|alone| alone.count == 0)
    };
    let is_over =
        |license: &&LicenseRow| hurts_nobody(license) && license.ends_at.is_some_and(|end| end < now);
    let grants = licenses.iter().filter(|license| !is_over(license)).map(|license| match license.ends_at {
        Some(end) if end <= license.not_after => {
            Expiry::of_serial(&license.serial, end, alone.get(&license.serial))
        }
        _ => Expiry::of_grant(&license.serial, license.granted_at, license.not_after),
    });
    let lease = endings.lease.iter().map(|(name, at)| Expiry::of_leases(name, *at, endings.leases_ended));
    let setup = endings.setup.iter().map(Expiry::of_setups);
    grants.chain(lease).chain(setup).collect()
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::grant::LicenseModel;
    use sealpost_manifests::order::Epoch;

    use super::*;

    const NOW: i64 = 100 * DAY_SECS;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn of(kind: ExpiryKind, left_secs: i64) -> Expiry {
        let (what, label, remedy) = ("it".to_owned(), String::new(), "run `x`".to_owned());
        Expiry { kind, what, label, at: at(NOW + left_secs), since: None, renewed_by_itself: false, remedy }
    }

    #[test]
    fn what_lives_shortly_is_warned_of_in_the_second_half_of_its_life_only() {
        let serial = SerialNumber::from_random([1; 19]);
        let grant = |life: i64, left: i64| {
            let end = NOW + left * DAY_SECS;
            Expiry::of_grant(&serial, at(end - life * DAY_SECS), at(end)).level(at(NOW))
        };
        assert_eq!([366, 91, 90].map(|left| grant(366, left)), [None, None, Some(Level::Notice)]);
        assert_eq!([60, 31, 30].map(|left| grant(60, left)), [None, None, Some(Level::Warning)]);
        assert_eq!(
            [10, 6, 5, 0].map(|left| grant(10, left)),
            [None, None, Some(Level::Urgent), Some(Level::Urgent)]
        );
        let token = |left: i64| {
            let end = NOW + left * DAY_SECS;
            Expiry::of_admin_token("ci", at(end - 30 * DAY_SECS), at(end)).warning(at(NOW))
        };
        assert_eq!(token(30), None, "not as soon as it is made");
        assert!(token(15).is_some_and(|said| said.contains("less than 30 days")));
    }

    #[test]
    fn an_end_is_warned_of_at_90_30_and_7_days_and_after_it_with_the_command_to_type() {
        let warn = |left_secs| of(ExpiryKind::Grant, left_secs).warning(at(NOW));
        assert_eq!(warn(90 * DAY_SECS + 1), None);
        for (days, within) in [(90, 90), (31, 90), (30, 30), (8, 30), (7, 7), (1, 7)] {
            let said = warn(days * DAY_SECS).unwrap();
            assert!(
                said.contains(&format!("less than {within} days")) && said.ends_with("run `x`"),
                "{said}"
            );
        }
        let said = warn(0).unwrap();
        assert!(said.contains("ended at") && said.ends_with("run `x`"), "{said}");
    }

    #[test]
    fn metadata_that_is_renewed_each_day_is_warned_of_only_when_it_was_not() {
        let warn = |role, days: i64| Expiry::of_role(role, at(NOW + days * DAY_SECS)).warning(at(NOW));
        assert_eq!(warn("timestamp", 6), None);
        assert!(warn("timestamp", 3).unwrap().contains("metadata of timestamp ends at"));
        assert!(warn("snapshot", -1).unwrap().contains("ended at"));
        let root = warn("root", 90).unwrap();
        assert!(root.contains("less than 90 days") && root.contains("`publisher root renew`"), "{root}");
        let role = warn("acme-av", 30).unwrap();
        assert!(
            role.contains("less than 30 days") && role.contains("`publisher role renew acme-av`"),
            "{role}"
        );
    }

    #[test]
    fn a_lease_is_warned_of_when_it_ended_and_a_setup_code_in_its_last_week() {
        let name = ComputerName::new("pc-1").unwrap();
        let lease =
            |days: i64, ended| Expiry::of_leases(&name, at(NOW + days * DAY_SECS), ended).warning(at(NOW));
        assert_eq!(lease(1, 0), None);
        assert!(lease(-1, 1).unwrap().starts_with("the lease of the computer pc-1 ended"));
        assert!(lease(-1, 3).unwrap().starts_with("the leases of 3 computers (first pc-1) ended"));
        // Issued so many days ago, and good for so many more.
        let setup = |ago: i64, days: i64, count| {
            let (issued_at, expires_at) = (at(NOW - ago * DAY_SECS), at(NOW + days * DAY_SECS));
            let name = name.clone();
            Expiry::of_setups(&EndingSetup { name, issued_at, expires_at, count }).warning(at(NOW))
        };
        assert_eq!(setup(0, 7, 1), None, "not as soon as it is issued");
        assert_eq!(setup(3, 4, 1), None);
        assert!(setup(4, 3, 1).unwrap().contains("`distributor clients setup pc-1`"));
        assert_eq!((setup(30, 8, 1), setup(30, 7, 1).is_some()), (None, true));
        let many = setup(4, 3, 40).unwrap();
        assert!(
            many.starts_with("the first of 40 unused setup files (that of the computer pc-1) ends at"),
            "{many}"
        );
        assert!(many.contains("`distributor clients setups --unused`"), "{many}");
    }

    #[test]
    fn an_ended_serial_number_is_warned_of_as_long_as_somebody_holds_a_seat_of_it() {
        let serial = |used, end: i64| LicenseRow {
            serial: SerialNumber::from_random([1; 19]),
            licenses: 5,
            used,
            active: 0,
            reserved: used,
            model: LicenseModel::Named,
            generation: 1,
            epoch: Epoch::of(1, 0),
            granted_at: at(0),
            not_after: at(end),
            ends_at: Some(at(end)),
            packages: Vec::new(),
        };
        let none = EndingsRow { lease: None, leases_ended: 0, setup: None };
        let ends = |row, alone: &BTreeMap<_, _>| in_the_ledger(&[row], &none, alone, at(NOW));
        let kinds = |row| ends(row, &BTreeMap::new()).into_iter().map(|end| end.kind).collect::<Vec<_>>();
        // Of its computers so many hold no seat that stands in for it.
        let alone = |count| {
            let names = vec![ComputerName::new("pc-1").unwrap()];
            let names = if count == 0 { Vec::new() } else { names };
            BTreeMap::from([(serial(0, 0).serial, ComputersRow { count, names, since: None })])
        };
        assert_eq!(ends(serial(5, NOW - 1), &alone(0)), [], "nobody is hurt");
        let calm = ends(serial(5, NOW + DAY_SECS), &alone(0)).remove(0);
        assert_eq!(calm.level(at(NOW)), Some(Level::Notice));
        assert!(calm.warning(at(NOW)).unwrap().contains("nothing has to be done"), "{calm:?}");
        for end in [NOW - 1, NOW + DAY_SECS] {
            let said = ends(serial(5, end), &alone(1)).remove(0);
            assert!(said.level(at(NOW)).unwrap() >= Level::Warning);
            let said = said.warning(at(NOW)).unwrap();
            assert!(said.contains("1 of its computers holds no seat") && said.contains("(pc-1)"), "{said}");
        }
        assert_eq!(kinds(serial(1, NOW - 1)), [ExpiryKind::Serial]);
        assert_eq!(kinds(serial(0, NOW - 1)), []);
        assert_eq!(kinds(serial(0, NOW)), [ExpiryKind::Serial], "it gives seats until then");
    }

    #[test]
    fn the_words_of_the_kinds_stay() {
        let kinds = [
            ExpiryKind::Certificate,
            ExpiryKind::OwnCertificate,
            ExpiryKind::SiteCa,
            ExpiryKind::Root,
            ExpiryKind::Role,
            ExpiryKind::Grant,
            ExpiryKind::Serial,
            ExpiryKind::Lease,
            ExpiryKind::SetupCode,
            ExpiryKind::VendorCa,
            ExpiryKind::AdminToken,
        ];
        let words = kinds.map(ExpiryKind::as_str).join(" ");
        assert_eq!(
            words,
            "certificate own_certificate site_ca root role grant serial lease setup_code vendor_ca admin_token"
        );
        assert_eq!(
            [Level::Notice, Level::Warning, Level::Urgent].map(Level::as_str),
            ["notice", "warning", "urgent"]
        );
    }

    #[test]
    fn the_level_rises_at_30_and_7_days_and_an_end_of_what_is_made_again_at_need_is_never_urgent() {
        let level = |kind, days: i64| of(kind, days * DAY_SECS).level(at(NOW));
        let grant = [91, 90, 30, 7, 0].map(|days| level(ExpiryKind::Grant, days));
        assert_eq!(
            grant,
            [None, Some(Level::Notice), Some(Level::Warning), Some(Level::Urgent), Some(Level::Urgent)]
        );
        let serial = [91, 90, 30, 7, 0, -90, -91].map(|days| level(ExpiryKind::Serial, days));
        let (notice, warning) = (Some(Level::Notice), Some(Level::Warning));
        assert_eq!(serial, [None, notice, warning, Some(Level::Urgent), warning, warning, notice]);
        assert_eq!([1, 0].map(|days| level(ExpiryKind::Lease, days)), [None, Some(Level::Warning)]);
        assert_eq!(
            [8, 7, -1].map(|days| level(ExpiryKind::SetupCode, days)),
            [None, Some(Level::Notice), Some(Level::Notice)]
        );
        let renewed = |days: i64| Expiry::of_role("timestamp", at(NOW + days * DAY_SECS)).level(at(NOW));
        assert_eq!([4, 3].map(renewed), [None, Some(Level::Urgent)]);
        for days in -3..100 {
            let end = of(ExpiryKind::Root, days * DAY_SECS);
            assert_eq!(end.level(at(NOW)).is_some(), end.warning(at(NOW)).is_some(), "{days}");
        }
    }
}
