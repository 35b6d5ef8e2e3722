//! The release manifest: what one release of a package is, file by file, and the names of its targets.
//!
//! A manifest says *what*; who may sign it stands in the trust document, where it may go in the channels document.

mod check;
mod delta;
mod id;
mod manifest;
mod payload;

pub use check::{
    AGENT_PROGRAM, MAX_ATTACHMENT_BYTES, MAX_ATTACHMENTS, MAX_FILES, MAX_NOTES_BYTES, MAX_REQUIREMENTS,
    link_stays_inside, notes_problem,
};
pub use delta::{DeltaTarget, spares_enough};
pub use id::ReleaseId;
pub use manifest::{
    Attachment, AttachmentKind, FileEntry, FileKind, PackageKind, ReleaseManifest, Requirement, Security,
    Severity, release_comment,
};
pub use payload::{Blob, Encoding, Payload};
