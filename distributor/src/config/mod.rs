//! Configuration: fragments → merged inputs → [`Settings`].
//!
//! `HOME/distributor.toml` is read first, then `HOME/distributor.d/*.toml` in the order of their names; a later
//! fragment replaces single keys of an earlier one. Every mistake is reported, with its file and key, all at once.
//! Invariant: a [`Settings`] exists only after every value was checked.
//! Left out on purpose: secrets. They have files of their own, so that this one may be shown to a colleague.

mod changed;
mod durations;
mod fragments;
mod inputs;
mod port_hint;
mod sample;
mod settings;
mod syslog;
mod test_load;
mod vendor;

pub use self::changed::needs_a_restart;
pub use self::port_hint::port_hint;
pub use self::sample::sample;
pub use self::settings::{
    ConfigError, DEFAULT_PORT, Folder, Limits, OwnTls, Settings, Storage, parse_addresses, parse_vendor_url,
};
pub use self::syslog::{SyslogTarget, parse_syslog};
pub use self::test_load::{TestLoad, TestLoads, test_load_digests};
pub use self::vendor::{VendorCaError, may_carry_a_serial, vendor_ca_ends, vendor_client};

#[cfg(test)]
mod tests;
