//! Decisions of the agent, without side effects: what to install, how to recover from a crash, what the gate says, when
//! to contact the server.
//!
//! Invariant: nothing here has a clock, a disk, a socket, randomness or async; time and seeds come in as arguments.
//! A decision carries its reason and, where there is one, the time at which it changes.

pub mod boot;
pub mod cadence;
pub mod failing;
pub mod floors;
pub mod gate;
pub mod gate_file;
pub mod grants;
pub mod install;
pub mod install_root;
pub mod license;
pub mod machine;
pub mod not_started;
pub mod policy;
pub mod put_off;
pub mod reaction;
pub mod record;
pub mod release;
pub mod rollback;
pub mod self_update;
pub mod server_list;
pub mod serving;
pub mod time;
pub mod timing;
pub mod way;
pub mod witness;
