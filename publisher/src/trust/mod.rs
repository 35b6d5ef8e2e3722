//! Changing the trust document: which keys of the vendor are good for what, counters that were reset, whom customers ask.
//!
//! Invariants: each change is one publication, signed with the key of the top-level targets; an entry of a key is never
//! taken away, because a key that is not listed verifies nothing, and one that was revoked has to stay revoked.
//!
//! Left out on purpose: commands that retire, revoke and replace keys (a later version; [`retire_release_key`] and
//! [`retire_license_key`] are what they will do to the document).

mod contact;
mod error;
mod live;
mod reset;
mod retire;

pub use contact::{check_contact, set_contact};
pub use error::TrustError;
pub use reset::{CounterWasReset, reset_counter};
pub use retire::{RetireError, retire_license_key, retire_release_key};
