//! Questions about computers that wait, copies of one computer, and installs at a time.

use sealpost_manifests::ids::{ClientId, ComputerName};

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
    /// The name of a client that was replaced by the copy of it which an admin kept; `None` of any other.
    GivenUpCopy {
        /// Its id.
        pub client_id: ClientId,
    } -> Option<ComputerName>, "look whether a copy was given up"
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
