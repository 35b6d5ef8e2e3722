//! What the agent does, step by step: contact, enrollment, install, cycle, rollback, repair, retry, audit, status, and the
//! daemon that runs cycles.
//!
//! A flow may know the domain, the ports, the ground (`config`, `home`, `platform`) and every adapter; it gets them in a
//! [`context::Context`] and constructs none that a test would want to replace.
//! Left out on purpose: decisions without side effects (`domain`), and choosing the real clock and disk (`app`).

pub mod answers;
pub mod audit;
pub mod by_file;
pub mod contact;
pub mod context;
pub mod cycle;
pub mod daemon;
pub mod drift;
pub mod enroll;
pub mod first_install;
mod gate;
pub mod hold;
pub mod install;
pub mod install_root;
pub mod lease;
mod linked;
mod origin;
mod patience;
pub mod repair;
mod reports;
pub mod retention;
pub mod retry;
pub mod rollback;
pub mod self_update;
pub mod servers;
mod start_again;
pub mod status;
mod ways;
