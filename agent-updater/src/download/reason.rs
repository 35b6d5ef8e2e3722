//! Failures of downloads as refusals with a reason code.

use std::error::Error;
use std::io;
use std::time::Duration;

use sealpost_files::with_causes;
use sealpost_manifests::wire::report::ReasonCode;
use sealpost_repository::{DownloadError, RefreshError, Refusal as TufRefusal, TargetError, TransportError};

use crate::domain::release::Refusal;
use crate::platform::disk;
use crate::platform::network::WaitInterrupted;

/// A refusal whose detail is an error with its causes.
pub(super) fn refusal(reason: ReasonCode, error: &(dyn Error + 'static)) -> Refusal {
    Refusal::new(reason, with_causes(error))
}

/// The refusal for a wait that was interrupted.
#[must_use]
pub fn interrupted(error: WaitInterrupted) -> Refusal {
    refusal(ReasonCode::Interrupted, &error)
}

/// The refusal for a file that cannot be read or written.
pub(super) fn file_refusal(error: &io::Error) -> Refusal {
    Refusal::new(of_file(error), with_causes(error))
}

fn of_file(error: &io::Error) -> ReasonCode {
    if disk::is_full(error) { ReasonCode::DiskFull } else { ReasonCode::LocalFault }
}

pub(super) fn of_refresh(error: &RefreshError) -> ReasonCode {
    error.refusal().map_or(ReasonCode::LocalFault, of_tuf)
}

pub(super) fn of_target(error: &TargetError) -> ReasonCode {
    match error {
        TargetError::Refused { refusal, .. } => of_tuf(*refusal),
        TargetError::Download { source, .. } => of_download(source),
        TargetError::Gone(_) => ReasonCode::LocalFault,
        _ => ReasonCode::MetadataInvalid,
    }
}

/// Whether the server answered, and hands the file out to nobody here: asking again soon changes nothing.
pub(super) fn is_not_handed_out(error: &TargetError) -> bool {
    let TargetError::Download { source, .. } = error else { return false };
    match source {
        DownloadError::Absent { .. } => true,
        DownloadError::Transport { source: TransportError::Status { status, .. }, .. } => {
            // What a proxy or a busy server says for now is no answer.
            matches!(*status, 400..=499) && !matches!(*status, 401 | 407 | 408 | 425 | 429)
        }
        _ => false,
    }
}

/// When the server wants to be asked again, if it has no place for this download now.
pub(super) const fn later(error: &DownloadError) -> Option<Duration> {
    match error {
        DownloadError::Transport { source: TransportError::Later { after, .. }, .. } => Some(*after),
        _ => None,
    }
}

pub(super) fn of_download(error: &DownloadError) -> ReasonCode {
    match error {
        DownloadError::Transport { source: TransportError::Later { .. }, .. } => ReasonCode::LinkBusy,
        DownloadError::Interrupted { .. }
        | DownloadError::Transport { .. }
        | DownloadError::Absent { .. } => ReasonCode::NetworkFailed,
        DownloadError::TooLong { .. } | DownloadError::Mismatch { .. } => ReasonCode::PayloadInvalid,
        DownloadError::File { source, .. } => of_file(source),
        DownloadError::Store { .. } => ReasonCode::MetadataInvalid,
        _ => ReasonCode::LocalFault,
    }
}

const fn of_tuf(refusal: TufRefusal) -> ReasonCode {
    match refusal {
        TufRefusal::Unreachable => ReasonCode::NetworkFailed,
        _ => ReasonCode::MetadataInvalid,
    }
}
