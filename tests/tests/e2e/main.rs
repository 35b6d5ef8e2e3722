//! The real programs, end to end: what people do with them, and what goes wrong.

mod by_file;
mod clamav;
mod clocks;
mod downloads;
mod faces;
mod faults;
mod hooks;
mod installs;
mod licensing;
mod line;
mod lost_replies;
mod moving;
mod other_tools;
mod pages;
mod panics;
mod real_program;
mod repairs;
mod repository;
mod restored;
mod self_update;
mod server;
mod trust;
mod undoing;
mod voices;
mod witness;
mod years;
