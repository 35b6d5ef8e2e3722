//! Starts the real programs as separate processes in a temporary folder, waits for states, and kills.
//!
//! Invariants: loopback only, on ports that nobody else gets; every process that was started is ended, also when a test fails; every wait
//! has an end and says what it waited for. Left out on purpose: knowledge of the programs' insides. What a test may
//! look at is what a person could: exit codes, printed text, `--json`, and files that the documentation names.

mod computer;
mod forger;
mod lab;
mod line;
mod machine;
mod program;
mod proxy;
mod relay;
mod site;
mod tools;
mod vendor;
mod wait;
mod workspace;

pub use computer::Computer;
pub use forger::{Forgery, ManifestSigner};
pub use lab::Lab;
pub use machine::{Machine, Root};
pub use program::{Daemon, Output, Programs, run};
pub use proxy::{Cut, Proxy};
pub use relay::{Connection, Moved, Relay};
pub use sealpost_test_support::folders::{
    copy_tree, files_beneath, flip_a_bit, replace_tree, snapshot, write_executable, write_file,
};
pub use site::Site;
pub use tools::{Tool, fetched_program, python_with_tuf};
pub use vendor::Vendor;
pub use wait::wait_until;
pub use workspace::workspace;
