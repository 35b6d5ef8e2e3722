//! Waiting for what other processes bring about.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use sealpost_test_support::wait::{PATIENCE, until_some};

/// Between two looks at a state that a process brings about.
const GLANCE: Duration = Duration::from_millis(50);

/// Looks until `state` says yes.
///
/// # Errors
/// When it says no for too long, or fails.
pub fn wait_until(what: &str, mut state: impl FnMut() -> Result<bool>) -> Result<()> {
    let found = until_some(GLANCE, || state().map(|is_so| is_so.then_some(())));
    match found.with_context(|| format!("while waiting: {what}"))? {
        Some(()) => Ok(()),
        None => bail!("waited {} s in vain: {what}", PATIENCE.as_secs()),
    }
}
