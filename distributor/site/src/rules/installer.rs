//! Which release of the agent an install file brings.
//!
//! Invariant: one that the site approved for the computer's channel; and if there is any, one that it holds back from nobody in it:
//! a computer does not begin its life as the canary of a rollout. The first release of a new site rolls out to computers that are
//! not there yet, so as long as there is no other, it is brought.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::ids::{ChannelName, Platform};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::release::KnownRelease;

/// Most hooks of one install file.
pub const MAX_HOOKS: usize = 32;
/// How long the code has to be good when a file that waited begins: the server may not answer at once.
const TIME_TO_ENROLL: SignedDuration = SignedDuration::from_hours(1);

/// The newest release of the agent for a channel and a platform. Without a platform there must be one for a single platform only.
///
/// # Errors
/// What is missing, or what has to be said.
pub fn agent_for<'r>(
    approved: &'r [KnownRelease],
    channel: &ChannelName,
    platform: Option<&Platform>,
) -> Result<&'r KnownRelease, Problem> {
    let agents: Vec<&KnownRelease> = approved
        .iter()
        .filter(|release| release.release.package.is_agent() && release.goes_to().contains(channel))
        .collect();
    let mut platforms: Vec<&str> = agents.iter().map(|agent| agent.release.platform.as_str()).collect();
    platforms.sort_unstable();
    platforms.dedup();
    let fits = |agent: &&&KnownRelease| platform.is_none_or(|platform| agent.release.platform.fits(platform));
    let rank = |agent: &&&KnownRelease| (!agent.rolling_out.contains(channel), agent.counter);
    match (agents.iter().filter(fits).max_by_key(rank), platform) {
        (None, _) if platforms.is_empty() => Err(Problem::new(
            ProblemCode::WrongState,
            format!(
                "no install file can be made: no release of agent-updater is approved for the channel {channel}"
            ),
            "approve one: `distributor updates list` names those that wait",
        )),
        (None, wanted) => Err(Problem::new(
            ProblemCode::WrongState,
            format!(
                "no install file can be made for {}: releases of agent-updater are approved for {} in the channel {channel}",
                wanted.map_or("any platform", Platform::as_str),
                platforms.join(", ")
            ),
            "name one of these with --platform, or approve a release for it",
        )),
        (Some(_), None) if platforms.len() > 1 => Err(Problem::new(
            ProblemCode::BadRequest,
            format!("an install file is for one platform, and there are agents for {}", platforms.join(", ")),
            "name one of these with --platform",
        )),
        (Some(agent), _) => Ok(agent),
    }
}

/// Why hooks of these names cannot come with an install file, if so.
#[must_use]
pub fn hooks_problem<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> Option<Problem> {
    let problem = |message: String| {
        Problem::new(
            ProblemCode::BadRequest,
            message,
            format!("use at most {MAX_HOOKS} names of letters, digits, '-', '_' and '.', each once"),
        )
    };
    if names.len() > MAX_HOOKS {
        return Some(problem(format!("an install file cannot bring {} hooks", names.len())));
    }
    let mut seen = BTreeSet::new();
    names.into_iter().find_map(|name| {
        let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_name =
            !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.bytes().all(is_sign);
        (!is_name || !seen.insert(name))
            .then(|| problem(format!("an install file cannot bring a hook named {name:?}")))
    })
}

/// Why an install file cannot wait until then, if so: its code is good until `expires_at`.
#[must_use]
pub fn waits_too_long(not_before: Option<Timestamp>, expires_at: Timestamp) -> Option<Problem> {
    let latest = expires_at.checked_sub(TIME_TO_ENROLL).unwrap_or(Timestamp::MIN);
    not_before.filter(|not_before| *not_before > latest).map(|not_before| {
        Problem::new(
            ProblemCode::BadRequest,
            format!("an install file cannot wait until {not_before:.0}: its code is good until {expires_at:.0} only"),
            "make the code good for longer with --valid-days, or have it wait for less long",
        )
    })
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::ids::PackageName;
    use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
    use sealpost_manifests::version::{ReleaseCounter, Version};

    use super::*;
    use crate::rules::release::ReleaseState;

    fn channel(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    fn platform(name: &str) -> Platform {
        Platform::new(name).unwrap()
    }

    fn agent(counter: u64, on: &str, rolling_out: &[&str]) -> KnownRelease {
        KnownRelease {
            release: ReleaseId {
                package: PackageName::agent(),
                version: Version::new(format!("{counter}.0")).unwrap(),
                platform: platform(on),
            },
            manifest: Sha256Digest::of(&counter.to_be_bytes()),
            state: ReleaseState::Approved,
            counter: ReleaseCounter(counter),
            channels: vec![channel("stable")],
            rollout: None,
            signer: None,
            reason: None,
            approved_for: vec![channel("stable")],
            rollback: false,
            attempt: 1,
            kind: PackageKind::Agent,
            severity: Severity::Normal,
            mandatory: false,
            rolling_out: rolling_out.iter().map(|name| channel(name)).collect(),
        }
    }

    #[test]
    fn the_newest_agent_that_everybody_of_the_channel_gets_is_brought() {
        let (x86, arm) = ("linux-x86_64", "linux-aarch64");
        let mut product = agent(9, x86, &[]);
        product.release.package = PackageName::new("scanner").unwrap();
        let all = [product, agent(1, x86, &[]), agent(2, x86, &["beta"]), agent(3, x86, &["stable"])];
        let of = |approved: &[KnownRelease], on: Option<&str>, to: &str| {
            let on = on.map(platform);
            agent_for(approved, &channel(to), on.as_ref())
                .map(|agent| agent.counter.0)
                .map_err(|problem| (problem.code, problem.message))
        };
        assert_eq!(of(&all, None, "stable"), Ok(2), "the third one is a canary's as yet");
        assert_eq!(of(&[agent(3, x86, &["stable"]), agent(4, x86, &["stable"])], None, "stable"), Ok(4));
        assert_eq!(of(&all, Some(x86), "stable"), Ok(2));
        let (code, message) = of(&all, Some(arm), "stable").unwrap_err();
        assert!(
            code == ProblemCode::WrongState && message.contains(x86) && message.contains(arm),
            "{message}"
        );
        let (code, message) = of(&all, None, "beta").unwrap_err();
        assert!(code == ProblemCode::WrongState && message.contains("the channel beta"), "{message}");
        let both = [agent(1, x86, &[]), agent(4, arm, &[])];
        let (code, message) = of(&both, None, "stable").unwrap_err();
        assert!(code == ProblemCode::BadRequest && message.contains(arm), "{message}");
        assert_eq!(of(&both, Some(x86), "stable"), Ok(1));
        assert_eq!(of(&[agent(5, "any", &[])], Some(arm), "stable"), Ok(5));
    }

    #[test]
    fn a_file_waits_only_while_its_code_is_good() {
        let end: Timestamp = "2026-12-01T22:00:00.25Z".parse().unwrap();
        let latest = end - TIME_TO_ENROLL;
        assert!(waits_too_long(None, end).is_none() && waits_too_long(Some(latest), end).is_none());
        let problem = waits_too_long(Some(latest + SignedDuration::from_millis(1)), end).unwrap();
        assert!(problem.message.contains("until 2026-12-01T22:00:00Z only"), "{}", problem.message);
    }

    #[test]
    fn a_hook_has_a_plain_name() {
        let many: Vec<String> = (0..=MAX_HOOKS).map(|number| format!("hook-{number}")).collect();
        assert!(hooks_problem(many.iter().map(String::as_str)).is_some());
        assert!(hooks_problem(many[..MAX_HOOKS].iter().map(String::as_str)).is_none());
        for bad in ["", ".", "..", "../x", "a/b", "a b", "b\u{fc}ro", ".hidden", "a\n"] {
            assert!(hooks_problem([bad].into_iter()).is_some(), "{bad:?}");
        }
        assert!(hooks_problem(["start", "stop", "start"].into_iter()).is_some());
        assert!(hooks_problem(["start", "stop.sh", "x_1"].into_iter()).is_none());
    }
}
