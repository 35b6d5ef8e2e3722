//! Wiring: the only place that knows every room. It constructs and holds, and decides nothing.

mod error;
mod first_license;
mod open;
mod reload;
mod server;

pub use self::error::AppError;
pub use self::first_license::register_first;
pub use self::open::{StoppedServer, init, make_delta, verify_log};
pub use self::server::{Pulls, Server, StartOptions};
