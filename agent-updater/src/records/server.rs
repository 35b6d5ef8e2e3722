//! The records of one server: the enrollment with it, the nonces of the contacts, and the lease and assignment that it
//! signed.
//!
//! Left out on purpose: whether a signed document counts ([`super::holdings`]).

use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::{ClientId, ComputerName, Nonce, ServerId};
use sealpost_manifests::setup::SetupServer;
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::platform::store::{self, StoreError};

use sealpost_files::{PRIVATE, PUBLIC};

/// Name of the record of an [`Enrollment`].
const ENROLLMENT: &str = "enrollment";
/// Name of the record of [`ContactState`].
const CONTACT: &str = "contact";
/// Name of the record of the signed lease.
const LEASE: &str = "lease";
/// Name of the record of the signed assignment.
const ASSIGNMENT: &str = "assignment";

/// Who this computer is to its server, and whom it trusts: written whole at enrollment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrollment {
    /// The name that holds the seat.
    pub computer_name: ComputerName,
    /// The key that this computer made.
    pub client_key: PublicKey,
    /// The id that the server gave.
    pub client_id: ClientId,
    pub server_id: ServerId,
    /// The addresses and pins of that server.
    pub servers: Vec<SetupServer>,
    /// SHA-256 of the pinned `root.json`.
    pub root_sha256: Sha256Digest,
    /// The vendor's trust document as it was last verified through the TUF metadata.
    pub trust: String,
    /// The grant that ties the site key to the vendor.
    pub grant: SignedDocument,
}

/// The nonce pair of the contacts: on disk before a contact is sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ContactState {
    /// The `next` of the last answered contact.
    pub previous: Option<Nonce>,
    /// The contact that was not answered yet: to be sent again, byte by byte.
    pub outstanding: Option<OutstandingContact>,
}

/// A contact that was sent, or is about to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OutstandingContact {
    pub next: Nonce,
    pub body: String,
}

/// The records of one server. What is saved is durable at return.
#[derive(Debug, Clone, Copy)]
pub struct ServerRecords<'h> {
    home: &'h Home,
}

impl<'h> ServerRecords<'h> {
    /// The records of the server that a home is enrolled with.
    #[must_use]
    pub const fn of(home: &'h Home) -> Self {
        Self { home }
    }

    /// The enrollment; `None` before the first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn enrollment(self) -> Result<Option<Enrollment>, StoreError> {
        store::load(&self.home.state(ENROLLMENT))
    }

    /// # Errors
    /// [`StoreError`].
    pub fn save_enrollment(self, enrollment: &Enrollment) -> Result<(), StoreError> {
        store::save(&self.home.state(ENROLLMENT), enrollment, PUBLIC)
    }

    /// The state of the contacts; the default before the first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn contact_state(self) -> Result<ContactState, StoreError> {
        Ok(store::load(&self.home.state(CONTACT))?.unwrap_or_default())
    }

    /// # Errors
    /// [`StoreError`].
    pub fn save_contact_state(self, state: &ContactState) -> Result<(), StoreError> {
        store::save(&self.home.state(CONTACT), state, PRIVATE)
    }

    /// The signed lease, not verified.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn lease(self) -> Result<Option<SignedDocument>, StoreError> {
        store::load(&self.home.state(LEASE))
    }

    /// # Errors
    /// [`StoreError`].
    pub fn save_lease(self, lease: &SignedDocument) -> Result<(), StoreError> {
        store::save(&self.home.state(LEASE), lease, PUBLIC)
    }

    /// The signed assignment, not verified.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn assignment(self) -> Result<Option<SignedDocument>, StoreError> {
        store::load(&self.home.state(ASSIGNMENT))
    }

    /// # Errors
    /// [`StoreError`].
    pub fn save_assignment(self, assignment: &SignedDocument) -> Result<(), StoreError> {
        store::save(&self.home.state(ASSIGNMENT), assignment, PUBLIC)
    }

    /// Removes what belongs to an earlier client id: lease, assignment and nonces.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reset_for_new_client(self) -> Result<(), StoreError> {
        store::remove(&self.home.state(LEASE))?;
        store::remove(&self.home.state(ASSIGNMENT))?;
        self.save_contact_state(&ContactState::default())
    }
}
