//! The vendor's metadata as a Primary Server mirrors it, and the bytes that it lists: over the network, out of a folder, or
//! as they came with an answer.
//!
//! Invariant: everything that comes out of [`VendorMetadata`] was listed by metadata that leads back to the pinned root.
//! TUF's clock is the time at which the *server* last found the metadata fresh, so a computer with a dead clock battery,
//! or behind an air gap, can check everything.
//! Left out on purpose: minisign signatures and the content of a manifest, which the caller checks.

mod ahead;
mod delta;
mod documents;
mod folder;
mod metadata;
mod meter;
mod origin;
mod patch;
mod progress;
mod reason;
mod source;
mod turn;

pub use ahead::Expected;
pub use documents::Documents;
pub use metadata::VendorMetadata;
pub use origin::{Origin, Place};
pub use reason::interrupted;
pub use source::NetworkSource;
