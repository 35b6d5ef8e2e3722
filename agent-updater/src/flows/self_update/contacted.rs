//! What a program on trial does: it says that a contact was answered, or contacts again soon.
//!
//! A later version of the agent keeps this: whoever finds the trial of its own program in the record contacts at least
//! every [`RETRY`], whatever its cadence says, and writes the file once a contact was answered and its state is on disk.

use std::time::Duration;

use sealpost_files::with_causes;

use crate::domain::self_update::launch::Me;
use crate::flows::context::Host;
use crate::records::self_state::{self, Contacted};

use super::record::me;

/// Longest pause between contacts of a program that has not been confirmed: the time that counts against it runs while
/// the server can be reached.
pub const RETRY: Duration = Duration::from_secs(30);

/// A contact of this process was answered, and what came of it is on disk. Before whatever the answer asks for, which may
/// take hours.
pub fn answered(host: &Host) {
    let Some(said) = on_trial(host) else { return };
    if self_state::contacted(&host.home).as_ref() == Some(&said) {
        return;
    }
    if let Err(error) = self_state::save_contacted(&host.home, &said) {
        tracing::error!("the watchdog cannot be told of the contact: {}", with_causes(&error));
    }
}

/// The longest pause before the next cycle, while this process is on trial and its watchdog does not know of a contact.
#[must_use]
pub fn longest_pause(host: &Host) -> Option<Duration> {
    let said = on_trial(host)?;
    let is_known = self_state::contacted(&host.home).as_ref() == Some(&said);
    (!is_known).then(|| RETRY.min(host.settings.self_update.confirm_within / 4))
}

/// What this process has to say, if it is on trial.
fn on_trial(host: &Host) -> Option<Contacted> {
    let record = self_state::load(&host.home).ok()?;
    let manifest = *record.trial.as_ref()?.to.manifest();
    (me(&record) == Me::Slot(manifest)).then(|| Contacted { manifest, pid: std::process::id() })
}
