//! What a program on trial does after each of its cycles: it says that a contact was answered, or contacts again soon.
//!
//! A later version of the agent keeps this: whoever finds the trial of its own program in the record contacts at least
//! every [`RETRY`], whatever its cadence says, and writes the file once a contact was answered and its state is on disk.

use std::time::Duration;

use sealpost_files::with_causes;

use crate::flows::context::Host;
use crate::platform::program::is_own;
use crate::records::self_state::{self, Contacted};

/// Longest pause between contacts of a program that has not been confirmed: the time that counts against it runs while
/// the server can be reached.
pub const RETRY: Duration = Duration::from_secs(30);

/// After a cycle; `answered` says whether its contact was answered. The pause before the next cycle, if this program is
/// on trial and must contact again soon.
#[must_use]
pub fn after_cycle(host: &Host, answered: bool) -> Option<Duration> {
    let trial = self_state::load(&host.home).ok()?.trial.filter(|trial| is_own(&trial.to.path))?;
    if !answered {
        return Some(RETRY.min(host.settings.self_update.confirm_within / 4));
    }
    let contacted = Contacted { manifest: *trial.to.manifest(), pid: std::process::id() };
    if self_state::contacted(&host.home).as_ref() == Some(&contacted) {
        return None;
    }
    match self_state::save_contacted(&host.home, &contacted) {
        Ok(()) => None,
        Err(error) => {
            tracing::error!("the watchdog cannot be told of the contact: {}", with_causes(&error));
            Some(RETRY)
        }
    }
}
