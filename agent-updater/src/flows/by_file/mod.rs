//! Contact by file, for a computer without a network: what it writes, and the answer that it takes.
//!
//! The contact is the same as over the network, with the same nonces: it is on disk before it leaves, and until it is
//! answered it is written again as it is, so a file that is lost or carried twice forks nothing. The answer is sealed for
//! this computer, signed whole by the site, and names the contact that it answers.
//! Invariants: only the answer to the contact that waits is taken, once; any other file changes nothing. What is signed inside
//! is judged as over the network ([`super::contact`]). A folder is hostile: reads are bounded, follow no link, and what
//! they give is verified after it was copied.
//! Left out on purpose: enrollment by file ([`super::enroll`]).

mod carrier;
mod enroll;
mod file;
mod folder;

pub(super) use carrier::{Carrier, exchange};
pub(super) use enroll::{enroll_by_folder, told};
pub use file::{ByFileError, contact_file};
pub(super) use folder::{News, watched};
