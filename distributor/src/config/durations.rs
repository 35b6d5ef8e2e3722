//! Durations in the configuration.

use std::time::Duration;

use jiff::SignedDuration;

/// A duration as people write it (`90s`, `15m`, `1h 30m`, `7 days`), within bounds.
pub(super) fn within(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let parsed: SignedDuration = text
        .parse()
        .map_err(|_| format!("{text:?} is not a duration; write for example \"90s\", \"15m\" or \"1h\""))?;
    match Duration::try_from(parsed) {
        Ok(duration) if (least..=most).contains(&duration) => Ok(duration),
        _ => Err(format!("{text:?} is not between {} and {} seconds", least.as_secs(), most.as_secs())),
    }
}
