//! Waiting for a state that another thread or process brings about: with a bound, and without guessing how long it
//! takes.

use std::thread;
use std::time::{Duration, Instant};

/// Longest wait for any state: far more than anything takes, so that a slow machine fails no test.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Looks again and again, with a pause between two looks, until there is something or [`PATIENCE`] has ended.
///
/// # Errors
/// The first error of `look`.
pub fn until_some<T, E>(
    pause: Duration,
    mut look: impl FnMut() -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = look()?;
        if found.is_some() || Instant::now() > end {
            return Ok(found);
        }
        thread::sleep(pause);
    }
}

/// Waits until `is_so` says yes.
///
/// # Panics
/// When it says no for too long.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let look = || Ok::<_, std::convert::Infallible>(is_so().then_some(()));
    let Ok(found) = until_some(Duration::from_millis(1), look);
    assert!(found.is_some(), "waited {} s in vain: {what}", PATIENCE.as_secs());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_what_was_found_or_with_the_first_error() {
        let mut looks = 0;
        let found = until_some(Duration::ZERO, || {
            looks += 1;
            Ok::<_, ()>((looks == 3).then_some(looks))
        });
        assert_eq!(found, Ok(Some(3)));
        assert_eq!(until_some::<(), _>(Duration::ZERO, || Err("gone")), Err("gone"));
        until("nothing", || true);
    }
}
