//! Enrollment: from a setup file to a client id, with every pin checked.
//!
//! Order: the client key is on disk before anything is sent, so that a lost answer can be asked for again with the same
//! key; the vendor's metadata is verified before the server's answer is; the enrollment is written last, whole.
//! Invariants: the pinned root is never replaced; a server is accepted only if the vendor's grant names its id and its
//! site key, and both are the ones that the setup file pins.

mod answer;
mod error;
mod inputs;
mod run;

pub use error::EnrollError;
pub use run::{EnrolledAs, enroll};
