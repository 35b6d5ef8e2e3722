//! Enrollment: from a setup file to a client id, with every pin checked.
//!
//! Order: the client key is on disk before anything is sent, so that a lost answer can be asked for again with the same
//! key; the vendor's metadata is verified before the server's answer is; the enrollment is written last, whole.
//! Invariants: the pinned root is never replaced; a server is accepted only if the vendor's grant names its id and its
//! site key, and both are the ones that the setup file pins. The enrollment code is neither sent nor kept: it only proves
//! the request. Before the answer is accepted, its access token reads metadata, and is used for nothing else.
//! The setup file's time is the floor of this computer's: a dead clock battery stops nobody from enrolling.
//! With a knock setup file there is no code: the computer asks, and asks again, until its key is admitted ([`ask_again`]).
//! A further server ([`add`]) resets nothing of that: neither the floors nor the reports nor what is known of the vendor.

mod answer;
mod before;
mod by_file;
mod copy;
mod error;
mod first;
mod inputs;
mod keep;
mod knock;
mod known;
mod run;

pub use by_file::{WaitingEnrollment, enrollment_file, take_enrollment};
pub(super) use copy::{go_on, goes_on};
pub use error::EnrollError;
pub use first::enroll;
pub use knock::ask_again;
pub use known::{Known, known_as};
pub use run::{EnrolledAs, OtherName, add};
