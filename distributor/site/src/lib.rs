//! What a Primary Server decides, pure: no clock, disk, socket, randomness or async. `now`, random values and the facts
//! that a decision needs come in as arguments; answers carry their reason.
//!
//! - [`rules`]: one rule per file, over plain values.
//! - [`changes`]: what happened ([`changes::Change`], chained in the activity log) and what is only remembered
//!   ([`changes::Note`]): the two ways in which the state of a server changes.
//! - [`commands`]: one file per noun. A command names the facts that it needs, and decides from them: changes, notes,
//!   and an answer or a refusal.
//! - [`queries`] and [`rows`]: what may be asked of a ledger, and what it answers.
//!
//! Left out on purpose: how facts are stored and loaded (`distributor/ledger`), and how answers are worded over HTTP
//! (`distributor/admin-api`).

#![warn(missing_docs)]

pub mod changes;
pub mod commands;
pub mod queries;
pub mod rows;
pub mod rules;
