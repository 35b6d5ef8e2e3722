//! `GET /api/v1/addresses` and `POST …/addresses/finish`.

use serde::{Deserialize, Serialize};

use crate::certificates::Waiting;

/// The ways to the server that computers are told, the wanted one first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressesView {
    /// The way that the configuration wants, then those that are served until every computer has learned it.
    pub ways: Vec<WayView>,
    /// The sequence number of the server list that says so; absent before the first.
    pub sequence: Option<u64>,
    /// Computers that have not learned the list.
    pub waiting: Waiting,
    /// Computers that had not learned the wanted way when the others were given up, and that were not heard since; absent when
    /// there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_behind: Option<Waiting>,
}

/// How a change is finished.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishRequest {
    /// Also while computers have not learned the wanted way.
    #[serde(default)]
    pub now: bool,
}

/// One way to the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayView {
    /// Host names and IP addresses.
    pub addresses: Vec<String>,
    /// TCP port.
    pub port: u16,
    /// Whether the server listens at all of them.
    pub served: bool,
    /// The addresses at which it does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unserved: Vec<String>,
}
