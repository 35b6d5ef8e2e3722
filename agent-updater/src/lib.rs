//! The client: verifies, installs, gates and reports.
//!
//! Floors: `domain` (decisions, pure) ← `ports` (traits with two implementations, or a fault to inject) ← `platform`,
//! `config`, `home` (the ground) ← `records`, `server`, `download`, `slots`, `hooks`, `journal`, `spool`, `control`,
//! `system` (adapters: none knows another) ← `flows` ← `app` (constructs and holds) ← `cli`.
//!
//! Invariants: nothing becomes `current` that is not covered by the vendor's TUF metadata, a listed release key's
//! signature, the site's approval of that digest and a live lease; whatever ends the process, the old or the new
//! release is whole and started; the gate never blocks a rollback.

pub mod app;
pub mod cli;
pub mod config;
pub mod control;
pub mod domain;
pub mod download;
pub mod flows;
pub mod home;
pub mod hooks;
pub mod journal;
pub mod platform;
pub mod ports;
pub mod records;
pub mod server;
pub mod slots;
pub mod spool;
pub mod system;
