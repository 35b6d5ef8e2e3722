//! The systemd units of the three programs, and how they come onto a computer without a package.
//!
//! Invariants: a unit's text is the file in `units/`, with the program's and the home's own paths; nothing that somebody
//! else wrote is replaced; users are made on this computer itself only; nothing is enabled or started.
//! Left out on purpose: every service manager but systemd, and packages (they bring the same files by themselves).

mod beneath;
mod files;
mod install;
mod ours;
mod users;

pub use self::files::{Layout, LayoutError, Program, Strict, UnitFile};
pub use self::install::{InstallError, Installed, install};
pub use self::ours::ours;
pub use self::users::{UserError, Users};
