//! The rules of the house, checked: which crate may know which, which module inside a crate may know which, and what
//! code may not do in some places. `plan` holds the tables: crates, floors, rooms and borders.
//!
//! - **Floors.** A crate knows lower floors only; the three programs never import each other. Only test code names the
//!   test-support crate.
//! - **Rooms.** Inside a crate with rooms, a module knows lower rows only, and an adapter never another adapter.
//! - **Circles.** Files of one crate do not use each other in a ring.
//! - **Purity and borders.** What decides has no clock, disk, socket, process, randomness or async; some libraries are
//!   named in one place only.
//! - **Wiring.** `app` has no branches, and `main.rs` is short.
//! - **Text.** No file is longer than 600 lines, and in the programs a doc comment says more than the name.
//! - **Pages.** Each attack and each invariant that the pages name has a test.
//!
//! Every breach is reported at once, with its file. Left out on purpose: what test modules import.

mod attribute;
mod breach;
mod circles;
mod crates;
mod floors;
mod house;
mod lexer;
mod manifest;
mod modules;
mod pages;
mod plan;
mod purity;
mod rooms;
mod source;
mod text;
mod walk;
mod wiring;

pub use breach::{Breach, Rule};
pub use walk::{WalkError, check_workspace};
