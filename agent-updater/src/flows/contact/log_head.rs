//! The head of the server's log in an accepted lease, held against the one that this computer witnesses.

use sealpost_files::{escape, with_causes};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::log::{Checkpoint, LogHead, LogKeyCertificate, origin};
use sealpost_manifests::wire::contact::ContactAnswer;

use crate::domain::witness::ShownExtension;
use crate::records::holdings::Holdings;
use crate::records::standing::ServerStanding;

/// Takes the head of a lease, or keeps both heads if it is not shown to extend the held one.
pub(super) fn take_head(
    standing: &mut ServerStanding,
    holdings: &Holdings,
    lease: &Lease,
    answer: &ContactAnswer,
) {
    let checkpoint = verified_checkpoint(holdings, answer);
    let shown = ShownExtension {
        checkpoint: checkpoint.as_ref().map_err(String::as_str),
        proof: answer.consistency.as_ref(),
    };
    let log = std::mem::take(&mut standing.log);
    let (log, problem) = log.after_lease(lease.ledger_head, lease.epoch, shown);
    standing.log = log;
    if let Some(why) = problem {
        tracing::error!(
            size = lease.ledger_head.size,
            why = escape(&why),
            "the server's log is not shown to go on from what was seen of it"
        );
    }
}

/// The head in the answer's checkpoint. The log key is certified by the site key that the setup file pinned.
fn verified_checkpoint(holdings: &Holdings, answer: &ContactAnswer) -> Result<LogHead, String> {
    let enrollment = &holdings.enrollment;
    let server = &enrollment.server;
    let note = answer.checkpoint.as_ref().ok_or("the server showed no checkpoint of its log")?;
    let certificate = LogKeyCertificate::verify(&enrollment.log_key, &server.site_key)
        .map_err(|error| with_causes(&error))?;
    let checkpoint = Checkpoint::verify(note, &certificate.log_key, &origin(&server.server_id))
        .map_err(|error| with_causes(&error))?;
    Ok(checkpoint.head)
}
