//! The programs as services of a Debian: their units, their packages, and what runs on while they are replaced.

mod built;
mod image;
mod install_file;
mod line;
mod over_ssh;
mod purge;
mod units;
mod users;
