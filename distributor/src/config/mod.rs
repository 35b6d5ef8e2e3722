//! Configuration: fragments → merged inputs → [`Settings`].
//!
//! `HOME/distributor.toml` is read first, then `HOME/distributor.d/*.toml` in the order of their names; a later
//! fragment replaces single keys of an earlier one. Every mistake is reported, with its file and key, all at once.
//! Invariant: a [`Settings`] exists only after every value was checked.
//! Left out on purpose: secrets. They have files of their own, so that this one may be shown to a colleague.

mod fragments;
mod inputs;
mod sample;
mod settings;

pub use self::sample::sample;
pub use self::settings::{ConfigError, DEFAULT_PORT, Limits, Settings, parse_addresses, parse_vendor_url};

#[cfg(test)]
mod tests;
