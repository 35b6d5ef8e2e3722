//! The rules of the house, checked: which crate may know which, and which module inside a program may know which.
//!
//! - **Floors.** `keys`, `deltas` (0) ← `manifests` (1) ← `publisher`, `distributor`, `agent-updater` (2) ← `tests` (3).
//!   A crate knows only lower floors: never its own, so the three programs never import each other.
//! - **Rooms.** Inside `distributor` and `agent-updater`: `domain` ← `ports` ← adapters ← `app`, `cli`, `main`. An
//!   adapter never imports another adapter.
//! - **Domain.** Code under a `domain/` folder has no clock, disk, socket, process, randomness or async.
//!
//! Every breach is reported at once, with its file. Left out on purpose: what test modules import.

mod rules;
mod source;
mod walk;

pub use rules::{Breach, House};
pub use source::Source;
pub use walk::{WalkError, check_workspace};
