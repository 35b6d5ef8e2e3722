//! How the state of a server changes, and only so: by a [`Change`], which is chained in the activity log, or by a
//! [`Note`], which is not.

pub mod activity;
mod approvals;
pub mod chain;
mod entry;
pub mod export;
pub mod installs;
pub mod note;
pub mod outages;
pub mod parts;
pub mod past;
mod rollouts;
pub mod seat_history;
pub mod seats;
pub mod summary;
pub mod tables;
pub mod tries;
mod waiting;

pub use activity::Change;
pub use entry::ActivityEntry;
pub use note::{ContactAnswer, Note, NoteKey};
pub use parts::{
    AccountChanged, Approval, DeliveryOf, DeliveryStep, DisplacedComputer, NextAttempt, ProposalEnded,
    ProposalMade, Recreated, ReleaseDeferred, ReleaseRetry, ReleaseTest, ServerOperation, StagedRollout,
    TokenConfirmed, TokenOwner, TokenRevoked, TokenUsed,
};
pub use seats::{
    ComputerAdmitted, ComputerKnocked, CopyResolved, CopySeen, Dropped, EnrolledBy, InstallTried,
    ScheduleChanged,
};

pub use crate::rules::account::Actor;
