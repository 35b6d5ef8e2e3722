//! How far a download is, for a person who waits at a terminal. In a log there is none of it.

use std::time::{Duration, Instant};

use sealpost_service::output::{is_told_to_a_terminal, tell_part};

/// Shorter downloads are over before anybody asks.
const MIN_BYTES: u64 = 4 * 1024 * 1024;
/// Time between two updates of the line.
const INTERVAL: Duration = Duration::from_millis(500);

/// A function that shows how many bytes are there, if standard error is a terminal.
pub(super) fn on_terminal(what: String, length: u64) -> impl FnMut(u64) + Send + 'static {
    let is_shown = is_told_to_a_terminal() && length >= MIN_BYTES;
    let mut shown_at: Option<Instant> = None;
    move |received| {
        let is_due = shown_at.is_none_or(|at| at.elapsed() >= INTERVAL) || received >= length;
        if is_shown && is_due {
            shown_at = Some(Instant::now());
            let end = if received >= length { "\n" } else { "" };
            tell_part(format_args!("\r{}{end}", line(&what, received, length)));
        }
    }
}

fn line(what: &str, received: u64, length: u64) -> String {
    let percent = received.min(length).saturating_mul(100).checked_div(length).unwrap_or(100);
    let tenths = |bytes: u64| format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10);
    format!("{what}: {percent} % of {} MB", tenths(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_much_is_there() {
        assert_eq!(line("acme", 90_000_000, 180_500_000), "acme: 49 % of 180.5 MB");
        assert_eq!(line("acme", 7, 0), "acme: 100 % of 0.0 MB");
    }
}
