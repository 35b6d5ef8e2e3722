//! A release: folder → payload → manifest → signed → repository; and the channels that point at it.
//!
//! Invariants: a published version never changes (the same content again is no error and changes nothing, other
//! content is refused); the release counter is above the highest that the vendor ever signed for the package, read from
//! the verified manifests themselves, so no second record of it can be wrong, and after a reset it is the first above
//! the reset that no manifest has; a revision only rises; a manifest is signed only with a key that the trust document
//! lists as active.
//!
//! Left out on purpose: several release keys (a later version).

mod attachments;
mod channel;
mod deltas;
mod error;
mod leaks;
mod listing;
mod live;
mod mandatory;
mod minimum;
mod order;
mod permit;
mod permits;
mod publish;
mod secrets;
mod withdraw;

pub use channel::{ChannelOf, ChannelRemoved, ChannelSet, read_channels, remove_channel, set_channel};
pub use deltas::{DeltaMade, DeltaOrder, ReleaseDelta};
pub use error::ReleaseError;
pub use listing::{ReleaseEntry, list_releases, show_release};
pub use mandatory::{Mandatory, MandatorySet, set_mandatory};
pub use minimum::{Minimum, MinimumSet, set_minimum};
pub(crate) use order::next_counter;
pub use order::{AttachmentOrder, Order};
pub use permit::{Permit, Question};
pub use publish::{Outcome, Progress, Released, release};
pub use withdraw::{Withdrawal, WithdrawnNow, withdraw};
