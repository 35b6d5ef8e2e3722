//! An enrollment that waits until an administrator admits this computer by its key. Nothing in it is secret.
//!
//! It is there from the moment at which the computer asks first until it is enrolled, so that it goes on asking after any stop.

use jiff::Timestamp;
use sealpost_files::PRIVATE;
use sealpost_keys::PublicKey;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::setup::SetupFile;
use serde::{Deserialize, Serialize};

use crate::domain::machine::Machine;
use crate::home::Home;
use crate::platform::store::{self, StoreError};

const NAME: &str = "knock";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingKnock {
    pub computer_name: ComputerName,
    /// The key that is to be admitted.
    pub client_key: PublicKey,
    /// With which it asks; without a code.
    pub setup: SetupFile,
    /// Whether a person gave the name; else it is what the computer called itself.
    #[serde(default = "given")]
    pub name_is_given: bool,
    /// Of which machine name and key are: a copy of it has to make its own.
    #[serde(default)]
    pub machine: Machine,
    /// Whether a person said that this computer takes another name than it has with the server.
    pub replaces_name: bool,
    /// When it asked last; `None` before the first time.
    pub asked_at: Option<Timestamp>,
    /// When it asks next.
    pub next_at: Timestamp,
    /// Why it was not enrolled, as it was told last.
    pub said: Option<String>,
}

/// A record of before does not say it, and keeps its name.
const fn given() -> bool {
    true
}

impl WaitingKnock {
    /// Reads it; `None` if none waits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load(home: &Home) -> Result<Option<Self>, StoreError> {
        store::load(&home.state(NAME))
    }

    /// # Errors
    /// [`StoreError`].
    pub fn save(&self, home: &Home) -> Result<(), StoreError> {
        store::save(&home.state(NAME), self, PRIVATE)
    }
}

/// This computer waits no more: it is enrolled.
///
/// # Errors
/// [`StoreError`].
pub fn remove(home: &Home) -> Result<(), StoreError> {
    store::remove(&home.state(NAME))
}
