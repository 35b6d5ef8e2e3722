//! Questions about computers that wait, copies of one computer, and installs at a time.

use sealpost_manifests::ids::ComputerName;

use super::{Query, query};
use crate::rows::{CopiesRow, ScheduleRow, WaitingRow};

query! {
    /// Computers that asked to be enrolled and wait, the first first.
    Waiting {
        /// Only those that came after the one of this entry.
        pub after: Option<u64>,
        /// Most rows.
        pub limit: u32,
    } -> Vec<WaitingRow>, "list the computers that wait"
}

query! {
    /// The computers that use the identity of a name's client, the first first; `None` if nobody enrolled under the name.
    CopiesOf {
        /// The name.
        pub name: ComputerName,
    } -> Option<CopiesRow>, "read the copies of a computer"
}

query! {
    /// Installs that are planned, by name.
    Schedules {
        /// Only after this name.
        pub after: Option<ComputerName>,
        /// Most rows.
        pub limit: u32,
    } -> Vec<ScheduleRow>, "list the installs that are planned"
}
