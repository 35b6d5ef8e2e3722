//! A product that could not be started: its stop hook ran, no start hook did, and there is no other release to switch to.
//!
//! Invariant: the state ends only by a start that succeeded. It is tried again with a pause that grows, and at every start of
//! the agent. Left out on purpose: whether the product works (its health hook judges new releases only).

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::wire::report::ReasonCode;
use serde::{Deserialize, Serialize};

/// The pause after the first try that failed; it doubles with each further one.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_mins(1);
/// The longest pause between two tries.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);
/// Longest text that is kept of why something failed, in bytes.
pub const MAX_KEPT_WORDS_BYTES: usize = 1024;

/// Why a start hook did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFault {
    pub reason: ReasonCode,
    /// For people, with the last lines that the hook printed.
    pub detail: String,
}

/// The state of a package whose product is stopped and could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotStarted {
    /// When the first start failed.
    pub since: Timestamp,
    /// What was to be started.
    pub release: ReleaseId,
    /// Why the last try failed.
    pub why: StartFault,
    /// How many tries failed.
    pub tries: u32,
    /// When it is tried again.
    pub next_try: Timestamp,
}

impl NotStarted {
    /// The state after one more start of `release` failed; `before` is the state that it was in.
    #[must_use]
    pub fn after_failure(
        before: Option<&Self>,
        release: &ReleaseId,
        why: &StartFault,
        now: Timestamp,
    ) -> Self {
        let before = before.filter(|before| before.release == *release);
        let tries = before.map_or(1, |before| before.tries.saturating_add(1));
        Self {
            since: before.map_or(now, |before| before.since),
            release: release.clone(),
            why: StartFault { detail: shortened(&why.detail, MAX_KEPT_WORDS_BYTES), reason: why.reason },
            tries,
            next_try: now.saturating_add(pause(tries)).unwrap_or(Timestamp::MAX),
        }
    }

    /// Whether it is to be tried again now. A clock that was set back delays no try for longer than the longest pause.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        now >= self.next_try || self.next_try.duration_since(now) > LONGEST_PAUSE
    }

    /// When a timer is to try it again, seen from `now`: not at once if its record could not be written.
    #[must_use]
    pub fn due_at(&self, now: Timestamp) -> Timestamp {
        let soonest = now.saturating_add(FIRST_PAUSE).unwrap_or(Timestamp::MAX);
        let latest = now.saturating_add(LONGEST_PAUSE).unwrap_or(Timestamp::MAX);
        self.next_try.clamp(soonest, latest)
    }

    /// The state in one sentence, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let times = if self.tries == 1 { "once".to_owned() } else { format!("{} times", self.tries) };
        format!(
            "{} does not run since {}: it was stopped and could not be started ({}, tried {times}): {}; it is tried again \
             after {}, at each start of the agent and by `agent-updater check`",
            self.release, self.since, self.why.reason, self.why.detail, self.next_try
        )
    }
}

/// How long to wait after so many tries.
fn pause(tries: u32) -> SignedDuration {
    let doublings = tries.saturating_sub(1).min(6);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

/// A text of at most so many bytes: its beginning, which says what failed, and its end, which has the last words of a hook.
#[must_use]
pub fn shortened(text: &str, max_bytes: usize) -> String {
    const GAP: &str = " … ";
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let mut head = max_bytes / 4;
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    let mut tail = text.len().saturating_sub(max_bytes.saturating_sub(head + GAP.len()));
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{}{GAP}{}", &text[..head], &text[tail..])
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::ids::{PackageName, Platform};
    use sealpost_manifests::version::Version;

    use super::*;

    fn release(version: &str) -> ReleaseId {
        ReleaseId {
            package: PackageName::new("acme").unwrap(),
            version: Version::new(version).unwrap(),
            platform: Platform::any(),
        }
    }

    fn fault() -> StartFault {
        StartFault { reason: ReasonCode::HookFailed, detail: "no".to_owned() }
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_second(secs).unwrap()
    }

    #[test]
    fn the_pause_between_two_tries_grows_from_a_minute_to_an_hour() {
        let mut state = NotStarted::after_failure(None, &release("1"), &fault(), at(0));
        let mut pauses = Vec::new();
        for number in 1..12 {
            let now = state.next_try;
            assert!(!state.is_due(now - SignedDuration::from_secs(1)) && state.is_due(now));
            state = NotStarted::after_failure(Some(&state), &release("1"), &fault(), now);
            assert_eq!((state.tries, state.since), (number + 1, at(0)));
            pauses.push(state.next_try.duration_since(now).as_mins());
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]);
    }

    #[test]
    fn another_release_begins_the_state_anew() {
        let one = NotStarted::after_failure(None, &release("1"), &fault(), at(0));
        let two = NotStarted::after_failure(Some(&one), &release("2"), &fault(), at(9));
        assert_eq!((two.tries, two.since), (1, at(9)));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_end_the_tries_and_a_lost_record_makes_no_hot_loop() {
        let state = NotStarted::after_failure(None, &release("1"), &fault(), at(1_000_000));
        assert!(state.is_due(at(0)));
        assert_eq!(state.due_at(at(0)), at(3600));
        assert_eq!(state.due_at(at(2_000_000)), at(2_000_060));
    }

    #[test]
    fn a_long_text_keeps_its_beginning_and_its_last_words() {
        let text = format!("the start hook failed; it printed: {}the last ü words", "ü".repeat(4_000));
        let short = shortened(&text, 1_000);
        assert!(short.len() <= 1_000 && short.starts_with("the start hook failed"), "{short}");
        assert!(short.ends_with("the last ü words"));
        assert_eq!(shortened("short", 1_000), "short");
    }

    #[test]
    fn the_state_keeps_its_form() {
        let golden = r#"{"since":"1970-01-01T00:00:00Z","release":{"package":"acme","version":"1","platform":"any"},"why":{"reason":"hook_failed","detail":"no"},"tries":1,"next_try":"1970-01-01T00:01:00Z"}"#;
        let state = NotStarted::after_failure(None, &release("1"), &fault(), at(0));
        assert_eq!(serde_json::to_string(&state).unwrap(), golden);
        assert_eq!(serde_json::from_str::<NotStarted>(golden).unwrap(), state);
    }
}
