//! The vendor's home: which keys and files lie where.
//!
//! Invariants: `vendor.toml` is written last at `init`, so a folder that has one is a whole home; secret keys are
//! private files; everything that changes the repository happens under the home's lock ([`Vendor::lock`]), so that two
//! publishers never sign the same version twice.
//!
//! Each key's place can be set by itself, because keys belong apart: root keys offline, release keys and
//! package-role keys on different machines or tokens.
//! Left out on purpose: moving and replacing keys (a later version).

mod error;
mod exposed;
mod key_files;
mod keyring;
mod settings;
mod vendor;
mod zone;

pub use error::HomeError;
pub use exposed::{Exposed, exposed_secrets};
pub use key_files::{KeyNeeded, KeyState};
pub use keyring::{Keyring, KeyringError, PackageKeys, VendorKeys};
pub use settings::{DEFAULT_ROOT_DIR, KeyPlaces, LifetimeDays, ServeSettings, Settings};
pub use vendor::{SETTINGS_FILE, Vendor};
pub use zone::{Zone, ZoneError};
