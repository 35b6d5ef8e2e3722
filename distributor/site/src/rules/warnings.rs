//! What is wrong, as it is said: a sentence for people, and beside it what programs need: a code and a level, how many it
//! concerns, the first of them, since when, and the command to type next. And the warnings about licenses and pulls.
//!
//! Invariant: whatever shows a warning reads it from here and adds nothing. What ends is `expiries`' and says so itself.
//! Left out on purpose: which warnings there are at a time, which `problems` says, and who is told.

use jiff::Timestamp;

use crate::rows::{LicenseRow, LogForkRow, PullRow, RefusedGrantRow};
use crate::rules::account::Actor;
use crate::rules::expiries::{Expiry, Level};
use crate::rules::grants::GrantFlaw;
use crate::rules::restore::{Acknowledged, RestoreState};
use crate::rules::text::{counted, escape, first_names};

/// Warn when the last pull is older than this many days, even if the metadata has not expired.
const STALE_PULL_DAYS: i64 = 3;
const DAY_SECS: i64 = 24 * 60 * 60;
/// Fetches what the vendor has, or says why it cannot.
const PULL: &str = "distributor pull";

/// Declares the codes of warnings: each with its word, which stays, and its usual level.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $level:ident;)*) => {
        /// What a warning is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum WarningCode { $($(#[$doc])* $name,)* }

        impl WarningCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word for it, in the API; `docs/operations.md` lists them.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            const fn level(self) -> Level {
                match self { $(Self::$name => Level::$level,)* }
            }
        }
    };
}

codes! {
    /// No serial number is registered.
    NoLicense = "no_license", Notice;
    /// A stored grant does not count, or was edited.
    GrantRefused = "grant_refused", Urgent;
    /// More seats are used than were granted.
    SeatsOverused = "seats_overused", Warning;
    /// Something ends soon.
    Ends = "ends", Notice;
    /// Something has ended.
    Ended = "ended", Urgent;
    /// The last pull failed.
    PullFailed = "pull_failed", Warning;
    /// Nothing was pulled yet.
    NeverPulled = "never_pulled", Notice;
    /// The vendor's metadata was not found fresh for days.
    MetadataStale = "metadata_stale", Warning;
    /// The mirrored metadata is damaged.
    MetadataDamaged = "metadata_damaged", Urgent;
    /// The ledger was restored.
    LedgerRestored = "ledger_restored", Urgent;
    /// Computers hold heads of another log.
    LogForked = "log_forked", Warning;
    /// Installed packages are not as they were signed.
    ClientsDrifted = "clients_drifted", Warning;
    /// Products were stopped for an update and could not be started.
    ProductsStopped = "products_stopped", Urgent;
    /// A release was stopped and still runs, or waits for another approval.
    ReleaseAttention = "release_attention", Warning;
    /// A release was not loaded on the server.
    TestLoadFailed = "test_load_failed", Warning;
    /// A rollout halted by itself, and nobody has decided since.
    RolloutHalted = "rollout_halted", Urgent;
    /// A rollout waits in one ring for longer than is usual.
    RolloutWaits = "rollout_waits", Warning;
    /// Computers follow a channel that the vendor does not have.
    ChannelLeft = "channel_left", Warning;
    /// The pinned root of the vendor is damaged, or another one.
    RootRefused = "root_refused", Urgent;
    /// Stored files are damaged or missing.
    FilesDamaged = "files_damaged", Warning;
    /// The disk has no room for payloads.
    DiskFull = "disk_full", Urgent;
    /// The vendor offers a newer version of the server.
    ServerNewer = "server_newer", Notice;
    /// The certificate could not be issued, read or presented.
    CertificateFailed = "certificate_failed", Urgent;
    /// The certificate does not name an address that computers are told.
    CertificateNames = "certificate_names", Urgent;
    /// The configuration cannot be used; the one before stays in force.
    ConfigurationRefused = "configuration_refused", Warning;
    /// A changed key counts from the next start.
    RestartNeeded = "restart_needed", Notice;
    /// The server cannot listen where it should.
    ListenFailed = "listen_failed", Urgent;
    /// `listen` and `addresses` lead to different places; both are served.
    ListenDiffers = "listen_differs", Warning;
    /// The socket unit holds another address than `listen` says.
    SocketUnitDiffers = "socket_unit_differs", Warning;
    /// Computers are told to come where nothing listens.
    AddressUnserved = "address_unserved", Urgent;
    /// Computers have not learned another address or port yet.
    AddressNotLearned = "address_not_learned", Notice;
    /// Computers have not learned the next CA yet.
    CaNotLearned = "ca_not_learned", Notice;
    /// The log is not sent to its syslog receiver.
    SyslogBehind = "syslog_behind", Warning;
    /// The syslog receiver was sent a log that this one does not extend.
    SyslogOtherLog = "syslog_other_log", Urgent;
    /// Admin tokens of an earlier version work, and nobody has looked at them.
    TokensTakenOver = "tokens_taken_over", Warning;
    /// Something waits for a second person.
    ApprovalWaits = "approval_waits", Notice;
    /// A rule needs two people, and fewer than two accounts count as second eyes.
    FourEyesStuck = "four_eyes_stuck", Warning;
    /// No admin token is admitted, since the log is damaged.
    TokensRefused = "tokens_refused", Urgent;
    /// Computers refuse the server since its CA was replaced.
    ComputersLeftBehind = "computers_left_behind", Warning;
    /// Computers are refused because two of them use one identity.
    ClientsForked = "clients_forked", Urgent;
    /// Computers have given an approved release up.
    InstallsFailed = "installs_failed", Warning;
    /// The server could not find out what wants attention.
    Internal = "internal", Urgent;
    /// Installs of an approved release fail, and the computers try them again by themselves.
    InstallsFailing = "installs_failing", Warning;
    /// Computers were refused, and have not been answered since.
    ClientsRefused = "clients_refused", Warning;
    /// Enrolled computers were not heard for days.
    ClientsOffline = "clients_offline", Warning;
    /// Computers have not installed for a day what they were told to run.
    ClientsOutdated = "clients_outdated", Warning;
    /// No computer contacts the server although some are enrolled.
    NobodyContacts = "nobody_contacts", Urgent;
    /// Computers without a seat asked to be enrolled.
    ComputersPending = "computers_pending", Notice;
    /// Many more requests are refused than before.
    RefusalsRise = "refusals_rise", Warning;
    /// Tables or log are not what was written.
    LedgerEdited = "ledger_edited", Urgent;
    /// The server could not compare its tables with its log.
    LedgerUnchecked = "ledger_unchecked", Warning;
    /// More seats are used than any grant ever had.
    SeatsUnexplained = "seats_unexplained", Urgent;
}

/// Names that a warning carries at the most; its count is always whole.
pub const MAX_NAMES: usize = 20;

/// What a warning counts. The words stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Computers of this site.
    Computers,
    /// Stored files.
    Files,
    /// Requests of one hour.
    Requests,
    /// Seats that are used and were not granted.
    Seats,
}

impl Unit {
    /// The word for it, in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Computers => "computers",
            Self::Files => "files",
            Self::Requests => "requests",
            Self::Seats => "seats",
        }
    }
}

/// How many something concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// The number.
    pub number: u64,
    /// What is counted.
    pub unit: Unit,
}

/// What needs somebody's attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What it is about.
    pub code: WarningCode,
    /// How much it wants somebody.
    pub level: Level,
    /// For people, with what to do.
    pub message: String,
    /// How many it concerns; `None` where it is one thing.
    pub count: Option<Counted>,
    /// The first of them, at most [`MAX_NAMES`].
    pub names: Vec<String>,
    /// Since when it is so, where that is known.
    pub since: Option<Timestamp>,
    /// The command to type next.
    pub next: Option<String>,
}

impl Warning {
    /// With the usual level of its code. The next command is the first one that the message names.
    #[must_use]
    pub fn new(code: WarningCode, message: impl Into<String>) -> Self {
        let message = message.into();
        let next = first_command(&message).map(str::to_owned);
        Self { code, level: code.level(), message, count: None, names: Vec::new(), since: None, next }
    }

    /// About something that ends, if it is time for it.
    #[must_use]
    pub fn of_end(expiry: &Expiry, now: Timestamp) -> Option<Self> {
        let has_ended = expiry.seconds_left(now) <= 0;
        let code = if has_ended { WarningCode::Ended } else { WarningCode::Ends };
        let warning = Self { level: expiry.level(now)?, ..Self::new(code, expiry.warning(now)?) };
        Some(warning.since(has_ended.then_some(expiry.at)))
    }

    /// The same, about so many of them; `names` are the first. The first takes the place of `NAME` in the next command.
    #[must_use]
    pub fn of<N: AsRef<str>>(self, number: u64, unit: Unit, names: &[N]) -> Self {
        let names: Vec<String> = names.iter().take(MAX_NAMES).map(|name| name.as_ref().to_owned()).collect();
        let next = match names.first().filter(|_| unit == Unit::Computers) {
            Some(first) => self.next.map(|next| with_name(&next, first)),
            None => self.next,
        };
        Self { count: Some(Counted { number, unit }), names, next, ..self }
    }

    /// The same, since then.
    #[must_use]
    pub fn since(self, since: Option<Timestamp>) -> Self {
        Self { since, ..self }
    }

    /// The same, with another command to type next than the first of the message.
    #[must_use]
    pub fn next(self, command: impl Into<String>) -> Self {
        Self { next: Some(command.into()), ..self }
    }
}

/// The first command of the server's program that stands in a sentence; where there is none, the first of another program.
fn first_command(message: &str) -> Option<&str> {
    let quoted = || message.split('`').skip(1).step_by(2);
    let of = |program: &str| {
        quoted().find(|text| text.strip_prefix(program).is_some_and(|rest| rest.starts_with(' ')))
    };
    ["distributor", "agent-updater", "publisher", "systemctl"].into_iter().find_map(of)
}

fn with_name(command: &str, name: &str) -> String {
    let words = command.split(' ').map(|word| if word == "NAME" { name } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Warnings about licenses, what ends, and pulls, in the order in which they are shown.
#[must_use]
pub fn warnings(
    expiries: &[Expiry],
    licenses: &[LicenseRow],
    pull: &PullRow,
    now: Timestamp,
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if licenses.is_empty() {
        let said = "no license yet: `distributor register SERIAL` unlocks seats";
        warnings.push(Warning::new(WarningCode::NoLicense, said));
    }
    for license in licenses {
        if license.used > license.licenses {
            let said = format!(
                "serial {} has {}, of which {} are used: nothing is taken away, nothing new is given",
                license.serial,
                counted(u64::from(license.licenses), "seat", "seats"),
                license.used
            );
            let over = u64::from(license.used - license.licenses);
            warnings.push(Warning::new(WarningCode::SeatsOverused, said).of::<&str>(over, Unit::Seats, &[]));
        }
    }
    warnings.extend(expiries.iter().filter_map(|expiry| Warning::of_end(expiry, now)));
    if let Some(failure) = &pull.failure {
        let said = Warning::new(WarningCode::PullFailed, format!("the last pull failed: {failure}"));
        let next = said.next.clone().unwrap_or_else(|| PULL.to_owned());
        warnings.push(said.next(next).since(pull.metadata_as_of));
    }
    match pull.metadata_as_of {
        None => {
            let said = "nothing was pulled yet: `distributor pull`";
            warnings.push(Warning::new(WarningCode::NeverPulled, said));
        }
        Some(as_of) if now.as_second() - as_of.as_second() > STALE_PULL_DAYS * DAY_SECS => {
            let said = format!("the vendor's metadata was last found fresh at {as_of}: check the connection");
            warnings.push(Warning::new(WarningCode::MetadataStale, said).next(PULL).since(Some(as_of)));
        }
        Some(_) => {}
    }
    warnings
}

/// What is said of stored grants that do not count, or that were edited.
#[must_use]
pub fn refused_grants(refused: &[RefusedGrantRow]) -> Vec<Warning> {
    let said = |RefusedGrantRow { serial, flaw }: &RefusedGrantRow| {
        let what = match flaw {
            GrantFlaw::NoTrust => {
                "no seat, package or lease comes of it until `distributor pull` fetches them"
            }
            GrantFlaw::Edited { .. } => {
                "somebody edited the ledger: run `distributor log verify`, then enter the unlock code again or run \
                 `distributor ledger rebuild`"
            }
            GrantFlaw::Unsigned { .. } => {
                "no seat, package or lease comes of it: run `distributor register SERIAL` for a new one; if the vendor \
                 did not renew its keys, somebody edited the ledger: run `distributor log verify`"
            }
            _ => {
                "no seat, package or lease comes of it: run `distributor log verify`, then `distributor ledger rebuild`, or \
                 enter the unlock code again"
            }
        };
        Warning::new(WarningCode::GrantRefused, format!("the grant of serial {serial}: {flaw}; {what}"))
    };
    refused.iter().map(said).collect()
}

/// What else a restore ended, as `RestoreState::end_of_setup` and `RestoreState::kept` say.
const VOID_SINCE: &str = "setup files and admissions from before that nobody had used are void: `distributor clients setups --expired` \
                          lists the files, `distributor clients setup NAME` makes another one, `distributor clients admit NAME --key \
                          KEY` admits again";

/// What is said of a restored ledger while it gives no new license, or computers still go on.
#[must_use]
pub fn restored(state: &RestoreState, licenses: &[LicenseRow], now: Timestamp) -> Option<Warning> {
    let restored = state.restored.as_ref()?;
    let at = restored.at;
    if !restored.confirmed {
        let rest = "no new license is given before the vendor confirms; run `distributor register SERIAL`";
        if let Some(Acknowledged { at: seen, by, comment }) = &restored.acknowledged {
            let said = format!(
                "the ledger was restored, cut or rewritten (found at {at}); {} acknowledged it at {seen}: {}; {rest}; \
                 {VOID_SINCE}",
                name_of(by),
                escape(comment)
            );
            return Some(Warning { level: Level::Notice, ..Warning::new(WarningCode::LedgerRestored, said) });
        }
        let said = format!(
            "the ledger was restored to an older state, cut or rewritten (found at {at}): {rest}; {VOID_SINCE}; who has looked into \
             it says so with `distributor ledger acknowledge --comment TEXT`"
        );
        let said = Warning::new(WarningCode::LedgerRestored, said).since(Some(at));
        return Some(match licenses.first() {
            Some(license) => said.next(format!("distributor register {}", license.serial)),
            None => said,
        });
    }
    (now <= restored.resumes_until).then(|| {
        let said = format!(
            "the ledger was restored (found at {at}), and the vendor confirmed it; computers that it lost go on until {}; \
             {VOID_SINCE}",
            restored.resumes_until
        );
        let said = Warning::new(WarningCode::LedgerRestored, said).since(Some(at));
        Warning { level: Level::Notice, ..said }
    })
}

fn name_of(actor: &Actor) -> String {
    match actor {
        Actor::Admin { account } => escape(&account.id),
        Actor::Client { name, .. } => name.to_string(),
        Actor::Stranger { .. } | Actor::Server => "somebody".to_owned(),
    }
}

/// What is said of computers whose witnessed heads of the log do not fit each other.
#[must_use]
pub fn log_forks(forks: &[LogForkRow]) -> Option<Warning> {
    if forks.is_empty() {
        return None;
    }
    let count = u64::try_from(forks.len()).unwrap_or(u64::MAX);
    let named: Vec<_> = forks.iter().map(|fork| &fork.name).collect();
    let said = format!(
        "{} of another log than this one ({}): the log was replaced, or the server restored; run \
         `distributor log verify`, and `distributor clients show NAME` for the heads",
        counted(count, "computer holds a head", "computers hold heads"),
        first_names(&named, count)
    );
    let since = forks.iter().map(|fork| fork.at).min();
    Some(Warning::new(WarningCode::LogForked, said).of(count, Unit::Computers, &named).since(since))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpost_manifests::grant::LicenseModel;
    use sealpost_manifests::ids::{ComputerName, SerialNumber};
    use sealpost_manifests::log::LogHead;
    use sealpost_manifests::order::Epoch;

    use crate::rules::restore::Restored;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_warning_carries_the_command_that_its_sentence_names_with_the_first_computer_in_it() {
        let said = Warning::new(
            WarningCode::ClientsDrifted,
            "see `x`, `agent-updater repair P`, `distributor clients show NAME`",
        );
        assert_eq!(said.next.as_deref(), Some("distributor clients show NAME"));
        let said = said.of(3, Unit::Computers, &["pc-1", "pc-2"]).since(Some(at(7)));
        assert_eq!(said.next.as_deref(), Some("distributor clients show pc-1"));
        assert_eq!((said.count.unwrap().number, said.names.len(), said.since), (3, 2, Some(at(7))));
        let other = Warning::new(WarningCode::Ends, "run `agent-updater check` on the computer");
        assert_eq!(other.next.as_deref(), Some("agent-updater check"));
        assert_eq!(Warning::new(WarningCode::DiskFull, "the disk is full").next, None);
        let many: Vec<String> = (0..99).map(|number| format!("pc-{number}")).collect();
        assert_eq!(said.of(99, Unit::Computers, &many).names.len(), MAX_NAMES);
    }

    #[test]
    fn after_a_restore_it_is_said_that_setup_files_and_admissions_are_void_and_how_they_are_issued_again() {
        let found = Restored {
            at: at(50),
            epoch: Epoch::of(1, 0),
            resumes_until: at(90),
            confirmed: false,
            acknowledged: None,
        };
        let by = Actor::socket("alice");
        let seen = Acknowledged { at: at(51), by, comment: "Monday's backup".to_owned() };
        let acknowledged = Restored { acknowledged: Some(seen), ..found.clone() };
        let confirmed = Restored { confirmed: true, ..found.clone() };
        let said = |restored: Restored, second| {
            let state = RestoreState { restored: Some(restored), ..RestoreState::default() };
            super::restored(&state, &[], at(second))
        };
        assert_eq!(
            said(confirmed.clone(), 91),
            None,
            "whoever is set up with a code of before was told so by then"
        );
        for (restored, next) in [
            (found, "distributor register SERIAL"),
            (acknowledged, "distributor register SERIAL"),
            (confirmed, "distributor clients setups --expired"),
        ] {
            let warning = said(restored, 60).unwrap();
            for part in
                ["void", "`distributor clients setup NAME`", "`distributor clients admit NAME --key KEY`"]
            {
                assert!(warning.message.contains(part), "{warning:?}");
            }
            assert_eq!(warning.next.as_deref(), Some(next));
        }
    }

    #[test]
    fn reported_forks_are_counted_and_the_first_computers_named() {
        let head = |size| LogHead { size, ..LogHead::empty() };
        let fork = |number: u32| LogForkRow {
            name: ComputerName::new(format!("pc-{number}")).unwrap(),
            held: head(7),
            seen: head(9),
            at: at(0),
        };
        let forks: Vec<LogForkRow> = (1..=7).map(fork).collect();
        assert_eq!(log_forks(&[]), None);
        let one = log_forks(&forks[..1]).unwrap().message;
        assert!(one.starts_with("1 computer holds a head") && one.contains("(pc-1)"), "{one}");
        let many = log_forks(&forks).unwrap().message;
        assert!(
            many.starts_with("7 computers hold heads")
                && many.contains("(pc-1, pc-2, pc-3, pc-4, pc-5 and 2 more)"),
            "{many}"
        );
    }

    #[test]
    fn a_new_server_says_what_to_do_first_and_a_used_up_one_what_is_wrong() {
        let fresh = warnings(&[], &[], &PullRow::default(), at(0));
        assert_eq!(fresh.len(), 2, "{fresh:?}");
        assert!(
            fresh[0].message.contains("register SERIAL") && fresh[1].message.contains("distributor pull")
        );
        let license = LicenseRow {
            serial: SerialNumber::from_random([1; 19]),
            licenses: 1,
            used: 3,
            active: 0,
            reserved: 3,
            model: LicenseModel::Named,
            generation: 1,
            epoch: Epoch::of(1, 0),
            granted_at: at(0),
            not_after: at(400 * DAY_SECS),
            ends_at: None,
            packages: Vec::new(),
        };
        let pulled = |day: i64, failure: Option<&str>| PullRow {
            metadata_as_of: Some(at(day * DAY_SECS)),
            timestamp_version: None,
            tried_at: None,
            failure: failure.map(str::to_owned),
        };
        let said = warnings(&[], std::slice::from_ref(&license), &pulled(100, None), at(103 * DAY_SECS));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].message.contains("has 1 seat, of which 3 are used"));
        let good = LicenseRow { licenses: 3, ..license };
        let said = warnings(&[], &[good], &pulled(100, Some("no route")), at(104 * DAY_SECS));
        assert!(
            said[0].message.contains("no route") && said[1].message.contains("last found fresh"),
            "{said:?}"
        );
    }
}
