//! A release: folder → payload → manifest → signed → repository; and the channels that point at it.
//!
//! Invariants: a published version never changes (the same content again is no error and changes nothing, other
//! content is refused); the release counter is one above the highest that the vendor ever signed for the package, read
//! from the verified manifests themselves, so no second record of it can be wrong; a revision only rises; a manifest
//! is signed only with a key that the trust document lists as active.
//!
//! Left out on purpose: withdrawing a release, mandatory releases, several release keys (later versions).

mod channel;
mod error;
mod order;
mod publish;

pub use channel::{ChannelSet, set_channel};
pub use error::ReleaseError;
pub use order::Order;
pub use publish::{Outcome, Released, release};
