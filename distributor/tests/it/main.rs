//! The whole server, in this process: real TLS, real ledger, a real vendor's repository, on port 0 and loopback.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where it stopped")]

mod admin;
mod agent;
mod approvals;
mod auditor;
mod backups;
mod by_file;
mod command_line;
mod connections;
mod edited;
mod enrollment;
mod file_faults;
mod first_license;
mod halts;
mod links;
mod listening;
mod manage;
mod one_address;
mod operations;
mod owner;
mod presence;
mod problems;
mod program;
mod refusals;
mod replays;
mod reports;
mod reserving;
mod restored;
mod rollout;
mod rollouts;
mod roots;
mod settings;
mod site;
mod starts;
mod strangers;
mod switching;
mod terminal;
mod test_loads;
mod two_hundred;
mod undoing;
mod vendor;
mod vendor_lies;
mod waking;
mod witness;
mod words;
