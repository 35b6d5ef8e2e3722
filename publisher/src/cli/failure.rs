//! How a failure is told: as a line for people, or with `--json` as an object whose code programs can decide on.
//!
//! Codes are those of problems over HTTP where one fits; they never change their meaning.

use std::ffi::OsStr;

use sealpost_deltas::ApplyError;
use sealpost_service::output::tell;
use sealpost_service::text::{harmless_json, plain_lines};
use serde::Serialize;

use crate::authority::{AuthorityError, RegisterError};
use crate::delta::DeltaError;
use crate::home::{HomeError, KeyringError};
use crate::publication::PublicationError;
use crate::release::ReleaseError;
use crate::renewal::RenewError;
use crate::root::RootError;
use crate::trust::TrustError;

#[derive(Debug, Serialize)]
struct Failure {
    code: &'static str,
    message: String,
}

/// Tells on standard error why a command failed.
pub(super) fn tell_failure(error: &anyhow::Error) {
    let wants_json = std::env::args_os().any(|argument| argument == OsStr::new("--json"));
    let failure = Failure { code: code_of(error), message: format!("{error:#}") };
    let text = match serde_json::to_string(&failure) {
        Ok(json) if wants_json => harmless_json(&json),
        _ => format!("error: {}", plain_lines(&failure.message)),
    };
    tell(text);
}

/// The code of the first cause that has one.
fn code_of(error: &anyhow::Error) -> &'static str {
    error.chain().find_map(code_of_cause).unwrap_or("failed")
}

fn code_of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    if let Some(error) = cause.downcast_ref() {
        return match error {
            ReleaseError::Refused { .. } | ReleaseError::Minimum { .. } | ReleaseError::Channel { .. } => {
                Some("wrong_state")
            }
            ReleaseError::Withdraw { .. } => Some("wrong_state"),
            ReleaseError::Questions { .. } | ReleaseError::ChannelQuestions { .. } => {
                Some("confirmation_needed")
            }
            ReleaseError::InHome { .. } => Some("holds_secrets"),
            ReleaseError::Ended { .. } => Some("role_ended"),
            ReleaseError::NoSuchPackage { .. } | ReleaseError::NoSuchVersion { .. } => Some("not_found"),
            ReleaseError::Payload { .. } | ReleaseError::Attachment { .. } | ReleaseError::Look { .. } => {
                Some("content_refused")
            }
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            AuthorityError::UnknownSerial => Some("serial_unknown"),
            AuthorityError::UnknownServer { .. } => Some("not_found"),
            AuthorityError::Seats { .. } | AuthorityError::Model { .. } => Some("bad_request"),
            _ => Some("license_database_failed"),
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            RegisterError::UnknownSerial => Some("serial_unknown"),
            RegisterError::BoundToOtherServer | RegisterError::OtherSiteKey => Some("serial_bound"),
            RegisterError::SerialEnded { .. } => Some("serial_ended"),
            RegisterError::TooMany => Some("busy"),
            RegisterError::Sign(_) | RegisterError::Storage(_) => None,
            _ => Some("bad_request"),
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            RootError::TooFewKeys { .. } => Some("too_few_keys"),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            TrustError::Ended { .. } => Some("role_ended"),
            TrustError::Reset { .. } | TrustError::Contact { .. } => Some("wrong_state"),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            DeltaError::Exists { .. } | DeltaError::FolderExists { .. } => Some("exists"),
            DeltaError::Apply(ApplyError::AnotherBase { .. } | ApplyError::BaseDiffers { .. }) => {
                Some("another_base")
            }
            DeltaError::Apply(ApplyError::NotADelta | ApplyError::Damaged) => Some("delta_unusable"),
            _ => None,
        };
    }
    if let Some(RenewError::NoSuchRole { .. }) = cause.downcast_ref() {
        return Some("not_found");
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            KeyringError::PassphraseNeeded { .. } => Some("passphrase_needed"),
            _ => Some("key_unusable"),
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            HomeError::NotAHome { .. } => Some("no_home"),
            _ => Some("home_unusable"),
        };
    }
    match cause.downcast_ref() {
        // What it was caused by may say more.
        Some(PublicationError::Home(_)) | None => None,
        Some(_) => Some("repository_unusable"),
    }
}
