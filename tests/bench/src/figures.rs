//! How figures are taken: so many rounds, and their median.

/// What is measured, and how it is printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rounds {
    /// Alternating rounds.
    pub(crate) rounds: usize,
    /// Contacts in each.
    pub(crate) contacts: usize,
    /// Requests at once.
    pub(crate) connections: usize,
    /// One JSON object per line.
    pub(crate) json: bool,
}

/// Milliseconds of each of so many requests.
pub(crate) fn per_request_ms(seconds: f64, requests: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count of requests is far below 2^52")]
    let requests = requests as f64;
    seconds * 1_000.0 / requests
}

/// The one in the middle; sorts them.
pub(crate) fn median(rounds: &mut [f64]) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds.get(rounds.len() / 2).copied().unwrap_or(f64::NAN)
}
