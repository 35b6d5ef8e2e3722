//! The admin API (`/api/v1`) as types: the CLI, and later the console, read with them what the server writes with them.
//!
//! Invariant: an answer is a type of this crate, made from what the ledger holds and never the ledger's row itself, so
//! that a table can change without the API. Additive changes only: an older client talks to a newer server.
//! Values that mean the same everywhere (ids, digests, actors, reports, explanations) are shared.
//! Left out on purpose: HTTP itself. The server binds [`endpoints::Endpoint`]s to handlers; clients send requests.

#![warn(missing_docs)]

pub mod addresses;
pub mod approvals;
pub mod certificates;
pub mod client_lines;
pub mod clients;
pub mod content;
pub mod copies;
pub mod endpoints;
pub mod folder;
pub mod groups;
pub mod licenses;
pub mod links;
pub mod log;
pub mod pending;
pub mod pulls;
pub mod rollouts;
pub mod schedules;
pub mod settings;
pub mod setup_info;
pub mod setups;
pub mod status;
pub mod storage;
pub mod tokens;
pub mod updates;
pub mod verifying;
