//! What to do about one package of an assignment, and the sentence that explains it.

use std::fmt;

use jiff::Timestamp;
use sealpost_files::escape;
use sealpost_manifests::assignment::{Action, PackageAssignment, Start};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::Platform;
use sealpost_manifests::wire::report::ReasonCode;
use sealpost_manifests::word::Word;
use serde::{Deserialize, Serialize};

use super::failing::Failing;
use super::put_off::PutOff;
use super::timing::{Timing, Wait, timing};

/// A release that this computer gave up: not retried until an admin raises the attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// Digest of its manifest.
    pub manifest: Sha256Digest,
    /// The attempt that failed.
    pub attempt: u32,
    pub reason: ReasonCode,
    pub at: Timestamp,
    /// What failed, in words: with the last lines that a hook printed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Whether the license lets this computer install a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entitlement {
    /// No lease is held that counts.
    NoLease,
    /// There is a lease, and no seat of it covers the package.
    NotCovered,
    Until(Timestamp),
}

/// Whether a grant of the vendor covers a package, whatever the lease says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    Granted,
    NotGranted,
}

/// What an assignment of a package is compared with. The assignment itself was judged before.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Digest of the manifest of what is installed.
    pub installed: Option<&'a Sha256Digest>,
    pub given_up: &'a [GivenUp],
    /// What was put off here, of the release that is assigned.
    pub put_off: &'a PutOff,
    /// That the last try did not succeed.
    pub failing: Option<&'a Failing>,
    /// Digest of the manifest of the release that is made ready.
    pub prepared: Option<&'a Sha256Digest>,
    pub entitlement: Entitlement,
    pub coverage: Coverage,
    /// The platform of this computer.
    pub platform: &'a Platform,
    pub now: Timestamp,
}

/// What to do about one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    UpToDate,
    Install,
    /// Go back to the named release, if its bounds let it.
    RollBack,
    /// To be made ready now; then it waits.
    Prepare(Wait),
    /// Nothing is left to be done before this wait ends.
    Waits(Wait),
    /// It was fetched, and the product said "not now" before anything was unpacked; it is asked again then.
    Fetched {
        asked_again_at: Timestamp,
    },
    /// Nothing of it before this time.
    NotBefore(Timestamp),
    /// The window closed at `closed_at`.
    WindowClosed {
        closed_at: Timestamp,
        deadline: Option<Timestamp>,
    },
    /// The last try failed for this reason; the next is made at this time.
    TriesAgain {
        at: Timestamp,
        reason: ReasonCode,
    },
    /// Somebody else starts it.
    StartedOtherwise(Word),
    ActionUnknown(Word),
    NoLease,
    NotEntitled,
    OtherPlatform,
    /// Given up before, in this attempt or a later one.
    GivenUpBefore(GivenUp),
    /// A new program of the agent is on trial; until its end nothing else is done about the agent's package.
    OnTrial,
}

/// Decides about one package. A rollback asks for no live lease, because it brings nothing that was not there before; but the
/// server has no say over a package that the vendor did not grant it.
#[must_use]
pub fn decide(wanted: &PackageAssignment, situation: &Situation<'_>) -> Decision {
    if situation.installed == Some(&wanted.manifest) {
        return Decision::UpToDate;
    }
    let goal = match wanted.action {
        Action::Install => Decision::Install,
        Action::Rollback => Decision::RollBack,
        Action::Other(action) => return Decision::ActionUnknown(action),
    };
    match (&goal, situation.entitlement) {
        (Decision::Install, Entitlement::NoLease) => return Decision::NoLease,
        (Decision::Install, Entitlement::NotCovered) => return Decision::NotEntitled,
        _ => {}
    }
    if situation.coverage == Coverage::NotGranted {
        return Decision::NotEntitled;
    }
    if !wanted.release.platform.fits(situation.platform) {
        return Decision::OtherPlatform;
    }
    // An admin raises the attempt to have the same release tried again.
    let same = |past: &&GivenUp| past.manifest == wanted.manifest && past.attempt >= wanted.attempt;
    if let Some(before) = situation.given_up.iter().find(same) {
        return Decision::GivenUpBefore(before.clone());
    }
    if let Start::Other(start) = wanted.start {
        return Decision::StartedOtherwise(start);
    }
    let decided = match timing(wanted, situation.put_off, situation.now) {
        Timing::Now => goal,
        Timing::NotBefore(at) => return Decision::NotBefore(at),
        Timing::Closed { closed_at, deadline } => return Decision::WindowClosed { closed_at, deadline },
        // What is gone back to was kept, so there is nothing to make ready.
        Timing::Waits(wait) if goal == Decision::RollBack => return Decision::Waits(wait),
        Timing::Waits(wait) if situation.prepared == Some(&wanted.manifest) => return Decision::Waits(wait),
        Timing::Waits(wait) => match situation.put_off.asks_nothing_before(wanted, situation.now) {
            Some(asked_again_at) => return Decision::Fetched { asked_again_at },
            None => Decision::Prepare(wait),
        },
    };
    let failing = situation.failing.filter(|failing| failing.is_about(wanted));
    match failing.filter(|failing| failing.again_at > situation.now) {
        Some(failing) => Decision::TriesAgain { at: failing.again_at, reason: failing.reason },
        None => decided,
    }
}

impl Decision {
    /// A stable name, for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UpToDate => "up_to_date",
            Self::Install => "to_install",
            Self::RollBack => "to_roll_back",
            Self::Prepare(wait) | Self::Waits(wait) => wait.code(),
            Self::Fetched { asked_again_at } => Wait::Product { again_at: *asked_again_at }.code(),
            Self::NotBefore(_) => "not_before",
            Self::WindowClosed { .. } => "window_closed",
            Self::TriesAgain { reason: ReasonCode::LinkBusy, .. } => "waits_for_link",
            Self::TriesAgain { .. } => "tries_again",
            Self::StartedOtherwise(_) => "started_otherwise",
            Self::ActionUnknown(_) => "action_unknown",
            Self::NoLease => "no_lease",
            Self::NotEntitled => "not_entitled",
            Self::OtherPlatform => "other_platform",
            Self::GivenUpBefore(_) => "given_up",
            Self::OnTrial => "on_trial",
        }
    }

    /// When the decision changes without a new contact, if it does.
    #[must_use]
    pub const fn changes_at(&self) -> Option<Timestamp> {
        match self {
            Self::Prepare(wait) | Self::Waits(wait) => wait.ends_at(),
            Self::NotBefore(at) | Self::TriesAgain { at, .. } | Self::Fetched { asked_again_at: at } => {
                Some(*at)
            }
            Self::WindowClosed { deadline, .. } => *deadline,
            _ => None,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpToDate => f.write_str("up to date"),
            Self::Install => f.write_str("to be installed now"),
            Self::RollBack => f.write_str("to be rolled back to now, as the site's administrator asks"),
            Self::Prepare(wait) => write!(f, "to be made ready now; then {wait}"),
            Self::Waits(wait) => write!(f, "ready; {wait}"),
            Self::Fetched { asked_again_at } => {
                write!(f, "not unpacked yet: {}", Wait::Product { again_at: *asked_again_at })
            }
            Self::NotBefore(at) => write!(f, "to be downloaded after {at}"),
            Self::WindowClosed { closed_at, deadline: None } => write!(
                f,
                "not installed: its window closed at {closed_at}; it waits for the next assignment of the server"
            ),
            Self::WindowClosed { closed_at, deadline: Some(deadline) } => write!(
                f,
                "not installed: its window closed at {closed_at}; it waits for the next assignment of the server, until its \
                 deadline at {deadline}"
            ),
            Self::TriesAgain { at, reason: ReasonCode::LinkBusy } => write!(
                f,
                "not downloaded yet: other computers use the link to the server; this one keeps its place in the line, and \
                 asks again at {at}"
            ),
            Self::TriesAgain { at, reason } => write!(
                f,
                "not installed yet: the last try failed ({reason}); it is tried again at {at}, and by `agent-updater check`"
            ),
            Self::StartedOtherwise(start) => write!(
                f,
                "not installed: the assignment says that it is started by `{start}`, which this version of the agent \
                 does not do; update the agent, or ask the administrator"
            ),
            Self::ActionUnknown(action) => write!(
                f,
                "skipped: the assignment asks for the action `{action}`, which this version of the agent does not \
                 know; update the agent"
            ),
            Self::NoLease => f.write_str("nothing new is installed without a live lease"),
            Self::NotEntitled => {
                f.write_str("the license does not cover this package; ask the administrator")
            }
            Self::OtherPlatform => f.write_str("the release is for another platform; ask the administrator"),
            Self::GivenUpBefore(past) => {
                let words = match past.detail.as_str() {
                    "" => String::new(),
                    words => format!(": {}", escape(words)),
                };
                write!(
                    f,
                    "given up at {} ({}{words}); it is not retried automatically: repair the cause and run \
                     `agent-updater retry PACKAGE`, or wait for the next release",
                    past.at, past.reason
                )
            }
            Self::OnTrial => f.write_str(
                "on trial: it is kept once it completed a contact with the server and ran on after it, see \
                 `agent-updater status`",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::ids::PackageName;
    use sealpost_manifests::release::ReleaseId;
    use sealpost_manifests::version::Version;

    use super::*;

    fn wanted(attempt: u32) -> PackageAssignment {
        let release = ReleaseId {
            package: PackageName::new("acme").unwrap(),
            version: Version::new("2").unwrap(),
            platform: Platform::any(),
        };
        PackageAssignment::install(release, Sha256Digest::of(b"two"), 4, attempt)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const NOW: &str = "2026-01-15T12:00:00Z";

    fn decide_at(wanted: &PackageAssignment, now: &str) -> Decision {
        let (platform, put_off) = (Platform::current(), PutOff::of(None, wanted, at(now)));
        let situation = Situation {
            installed: None,
            given_up: &[],
            put_off: &put_off,
            failing: None,
            prepared: None,
            entitlement: Entitlement::Until(Timestamp::MAX),
            coverage: Coverage::Granted,
            platform: &platform,
            now: at(now),
        };
        decide(wanted, &situation)
    }

    fn decide_with(
        wanted: &PackageAssignment,
        change: impl for<'a> FnOnce(&mut Situation<'a>, &'a Sha256Digest, &'a [GivenUp]),
    ) -> Decision {
        let (platform, installed) = (Platform::current(), Sha256Digest::of(b"two"));
        let past = [GivenUp {
            manifest: installed,
            attempt: 1,
            reason: ReasonCode::HookFailed,
            at: at(NOW),
            detail: String::new(),
        }];
        let put_off = PutOff::of(None, wanted, at(NOW));
        let mut situation = Situation {
            installed: None,
            given_up: &[],
            put_off: &put_off,
            failing: None,
            prepared: None,
            entitlement: Entitlement::Until(Timestamp::MAX),
            coverage: Coverage::Granted,
            platform: &platform,
            now: at(NOW),
        };
        change(&mut situation, &installed, &past);
        decide(wanted, &situation)
    }

    #[test]
    fn the_server_has_no_say_over_a_package_that_the_vendor_did_not_grant_also_not_to_go_back() {
        for action in [Action::Install, Action::Rollback] {
            let told = PackageAssignment { action, ..wanted(1) };
            let decided = decide_with(&told, |situation, _, _| situation.coverage = Coverage::NotGranted);
            assert_eq!(decided, Decision::NotEntitled, "{action:?}");
        }
    }

    #[test]
    fn what_was_given_up_is_told_with_the_last_words_of_its_hook() {
        let past = GivenUp {
            manifest: Sha256Digest::of(b"two"),
            attempt: 1,
            reason: ReasonCode::HookFailed,
            at: at(NOW),
            detail: "it printed: the port is taken".to_owned(),
        };
        let said = Decision::GivenUpBefore(past).to_string();
        assert!(said.contains("(hook_failed: it printed: the port is taken)"), "{said}");
    }

    #[test]
    fn what_was_rolled_back_is_not_tried_again_until_the_attempt_rises() {
        for action in [Action::Install, Action::Rollback] {
            let wanted = |attempt| PackageAssignment { action, ..wanted(attempt) };
            let decided =
                |attempt| decide_with(&wanted(attempt), |situation, _, past| situation.given_up = past);
            assert!(matches!(decided(2), Decision::Install | Decision::RollBack));
            assert!(matches!(decided(1), Decision::GivenUpBefore(_)));
            assert!(matches!(decided(0), Decision::GivenUpBefore(_)));
        }
    }

    #[test]
    fn a_release_waits_for_its_window_and_says_when_it_opens() {
        let (from, until) = (at("2026-01-15T02:00:00Z"), at("2026-01-15T04:00:00Z"));
        let windowed =
            PackageAssignment { install_from: Some(from), install_until: Some(until), ..wanted(0) };
        let early = decide_at(&windowed, "2026-01-15T01:59:59Z");
        let window = Wait::Window { opens_at: from };
        assert_eq!((early.clone(), early.changes_at()), (Decision::Prepare(window), Some(from)));
        assert_eq!(decide_at(&windowed, "2026-01-15T02:00:00Z"), Decision::Install);
        assert_eq!(decide_at(&windowed, "2026-01-15T04:00:00Z"), Decision::Install);
        let closed = Decision::WindowClosed { closed_at: until, deadline: None };
        let late = decide_at(&windowed, "2026-01-15T04:00:01Z");
        assert_eq!((late.clone(), late.changes_at()), (closed, None));
        assert!(late.to_string().contains("next assignment"), "{late}");
        let later_download =
            PackageAssignment { download_from: Some(at("2026-01-15T03:00:00Z")), ..windowed };
        let decided = decide_at(&later_download, "2026-01-15T02:30:00Z");
        assert_eq!(decided.changes_at(), Some(at("2026-01-15T03:00:00Z")), "nothing is fetched before");
    }

    #[test]
    fn what_is_ready_waits_and_what_is_not_is_made_ready_first() {
        let windowed = PackageAssignment { install_from: Some(at("2026-01-16T02:00:00Z")), ..wanted(0) };
        let wait = Wait::Window { opens_at: at("2026-01-16T02:00:00Z") };
        assert_eq!(decide_at(&windowed, NOW), Decision::Prepare(wait));
        let ready = decide_with(&windowed, |situation, two, _| situation.prepared = Some(two));
        assert_eq!(ready, Decision::Waits(wait));
        assert!(ready.to_string().starts_with("ready; it waits"), "{ready}");
        let other = Sha256Digest::of(b"one");
        let (platform, put_off) = (Platform::current(), PutOff::of(None, &windowed, at(NOW)));
        let situation = Situation {
            installed: None,
            given_up: &[],
            put_off: &put_off,
            failing: None,
            prepared: Some(&other),
            entitlement: Entitlement::Until(Timestamp::MAX),
            coverage: Coverage::Granted,
            platform: &platform,
            now: at(NOW),
        };
        assert_eq!(decide(&windowed, &situation), Decision::Prepare(wait), "another release is ready");
        let back = PackageAssignment { action: Action::Rollback, ..windowed };
        assert_eq!(decide_at(&back, NOW), Decision::Waits(wait), "what was kept is ready");
    }

    #[test]
    fn what_failed_is_tried_again_later_and_nothing_of_another_attempt_is_held_up() {
        let failing = Failing::after(None, &wanted(0), ReasonCode::NetworkFailed, at(NOW)).unwrap();
        let decided = |attempt| {
            let (platform, put_off) = (Platform::current(), PutOff::of(None, &wanted(attempt), at(NOW)));
            let situation = Situation {
                installed: None,
                given_up: &[],
                put_off: &put_off,
                failing: Some(&failing),
                prepared: None,
                entitlement: Entitlement::Until(Timestamp::MAX),
                coverage: Coverage::Granted,
                platform: &platform,
                now: at(NOW),
            };
            decide(&wanted(attempt), &situation)
        };
        let later = Decision::TriesAgain { at: failing.again_at, reason: ReasonCode::NetworkFailed };
        assert_eq!((decided(0), later.changes_at()), (later, Some(failing.again_at)));
        assert_eq!(decided(1), Decision::Install);
    }

    #[test]
    fn what_runs_is_up_to_date_and_what_the_license_or_platform_excludes_is_not_installed() {
        let runs = decide_with(&wanted(0), |situation, installed, past| {
            situation.installed = Some(installed);
            situation.given_up = past;
        });
        assert_eq!(runs, Decision::UpToDate);
        for (entitlement, expected) in
            [(Entitlement::NoLease, Decision::NoLease), (Entitlement::NotCovered, Decision::NotEntitled)]
        {
            let decided = |wanted: &PackageAssignment| {
                decide_with(wanted, |situation, _, _| situation.entitlement = entitlement)
            };
            assert_eq!(decided(&wanted(0)), expected);
            let back = PackageAssignment { action: Action::Rollback, ..wanted(0) };
            assert_eq!(decided(&back), Decision::RollBack, "the license never blocks a rollback");
        }
        let mut foreign = wanted(0);
        foreign.release.platform = Platform::new("plan9-mips").unwrap();
        assert_eq!(decide_at(&foreign, NOW), Decision::OtherPlatform);
    }

    #[test]
    fn an_action_or_a_start_that_is_not_known_is_skipped_and_says_what_to_do() {
        let word = |text| Word::new(text).unwrap();
        let unknown = PackageAssignment { action: Action::Other(word("remove")), ..wanted(0) };
        let decided = decide_at(&unknown, NOW);
        assert_eq!(decided, Decision::ActionUnknown(word("remove")));
        assert!(decided.to_string().contains("`remove`") && decided.to_string().contains("update the agent"));
        let by_person = PackageAssignment { start: Start::Other(word("by_nobody")), ..wanted(0) };
        let decided = decide_at(&by_person, NOW);
        assert_eq!(decided, Decision::StartedOtherwise(word("by_nobody")));
        assert!(decided.to_string().starts_with("not installed"), "{decided}");
    }
}
