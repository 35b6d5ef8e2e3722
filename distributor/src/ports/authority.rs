//! The vendor's license authority, online. A port because the HTTP tests run without a vendor.

use futures_util::future::BoxFuture;
use sealpost_manifests::wire::problem::Problem;
use sealpost_manifests::wire::sync::{RegisterAnswer, RegisterRequest};

/// Why a vendor gave no grant.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthorityError {
    /// It could not be reached: the registration code can go by hand.
    #[error("cannot reach the vendor: {reason}")]
    Unreachable {
        /// Why, as far as it can be told.
        reason: String,
    },
    #[error(transparent)]
    Refused(#[from] Problem),
}

pub trait LicenseAuthority: Send + Sync {
    /// Asks for a grant. The answer is unverified.
    fn register(&self, request: RegisterRequest) -> BoxFuture<'_, Result<RegisterAnswer, AuthorityError>>;

    /// The address of the vendor's registration page, if a code may be typed into it: it holds a serial number.
    fn page(&self) -> Option<String>;
}
