//! The client: verifies, installs, gates and reports.
//!
//! `domain` (decisions, pure) ← `ports` (where a fault can be injected) ← `server`, `download`, `slots`, `hooks`,
//! `journal`, `spool` (each knows none of the others) ← `app` (wires them) ← `cli`. `platform`, `home`, `store` and
//! `config` are the ground: files, folders, sealed records, settings.
//!
//! Invariants: nothing becomes `current` that is not covered by the vendor's TUF metadata, a listed release key's
//! signature, the site's approval of that digest and a live lease; whatever ends the process, the old or the new
//! release is whole and started; the gate never blocks a rollback.

pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod download;
pub mod home;
pub mod hooks;
pub mod journal;
pub mod platform;
pub mod ports;
pub mod server;
pub mod slots;
pub mod spool;
