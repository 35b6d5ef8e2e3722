//! State that is kept on disk, beside the installed releases: what this computer holds from each server, how far it got
//! with it and by itself, what is installed, the manifests that audits and rollbacks need, the gate files, and the
//! pinned root with the vendor's trust document.
//!
//! Invariant: signed documents are verified again each time they are read; a damaged record, or a document that no
//! longer verifies, is refused with a reason, and is neither taken for absent nor for good.
//! What belongs to one server goes through [`server::ServerRecords`]; [`servers`] says which server is preferred.
//! Left out on purpose: the journal and the waiting reports, which are adapters of their own.

pub mod computer;
pub mod footprints;
pub mod gate;
pub mod holdings;
pub mod install_root;
pub mod keys;
pub mod manifests;
pub mod packages;
pub mod progress;
pub mod root;
pub mod self_state;
pub mod server;
pub mod servers;
pub mod serving;
pub mod standing;
pub mod tries;
pub mod vendor;
pub mod waiting;
pub mod withdrawn;
