//! The records of one server, in a folder of its own: the enrollment with it, the nonces of the contacts, the lease and
//! assignment that it signed, which reports it has, the list of its ways, and how this computer
//! stands with it.
//!
//! Invariant: what belongs to one server is never written into the folder of another, so enrolling with a second one
//! loses nothing of the first. No enrollment code is kept.
//! Left out on purpose: whether a signed document counts ([`super::holdings`]).

use jiff::Timestamp;
use sealpost_files::{PRIVATE, PUBLIC, make_folder, with_causes};
use sealpost_keys::{PublicKey, SealingPublicKey};
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::{ClientId, ComputerName, Nonce, ServerId};
use sealpost_manifests::setup::ServerEntry;
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::platform::store::{self, StoreError};

use super::standing::ServerStanding;

const ENROLLMENT: &str = "enrollment";
const CONTACT: &str = "contact";
const LEASE: &str = "lease";
const WITNESS: &str = "witness";
const ASSIGNMENT: &str = "assignment";
const SERVER_LIST: &str = "server_list";
const ACKNOWLEDGEMENT: &str = "acknowledgement";
const STANDING: &str = "standing";

/// Who this computer is to a server, and what it knows of that server: written whole at enrollment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrollment {
    /// The name that holds the seats.
    pub computer_name: ComputerName,
    /// The key that this computer made.
    pub client_key: PublicKey,
    /// The public half of the key in `keys/sealing.key`.
    pub sealing_key: SealingPublicKey,
    /// The id that the server gave.
    pub client_id: ClientId,
    /// The addresses and pins of the server, as the setup file named them.
    pub server: ServerEntry,
    /// When the setup file was issued, by the server's clock: the server's certificate is never judged as of an earlier
    /// time.
    pub setup_issued_at: Timestamp,
    /// The grants that tie the site key to the vendor.
    pub grants: Vec<SignedDocument>,
    /// The certificate of the key that signs the heads of the server's log.
    pub log_key: SignedDocument,
}

/// The nonce pair of the contacts: on disk before a contact is sent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ContactState {
    /// The `next` of the last answered contact.
    #[serde(default)]
    pub previous: Option<Nonce>,
    /// What the server gave with that answer, to be sent back with the next contact.
    #[serde(default)]
    pub receipt: Option<String>,
    /// The contact that was not answered yet: to be sent again, byte by byte.
    #[serde(default)]
    pub outstanding: Option<OutstandingContact>,
}

/// A contact that was sent, or is about to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OutstandingContact {
    pub next: Nonce,
    /// The signed contact; what is shown beside it may differ from try to try.
    pub contact: SignedDocument,
}

/// Up to where the server has this computer's reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Acknowledgement {
    report: u64,
}

/// The records of one server. What is saved is durable at return.
#[derive(Debug, Clone, Copy)]
pub struct ServerRecords<'h> {
    home: &'h Home,
    server: &'h ServerId,
}

impl<'h> ServerRecords<'h> {
    #[must_use]
    pub const fn of(home: &'h Home, server: &'h ServerId) -> Self {
        Self { home, server }
    }

    /// Makes the folder that the records are kept in.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn prepare(self) -> Result<(), StoreError> {
        let path = self.home.server(self.server);
        make_folder(&path, 0o755).map_err(|source| StoreError::Io {
            action: "make the folder of",
            path,
            source,
        })
    }

    /// The enrollment; `None` before the first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn enrollment(self) -> Result<Option<Enrollment>, StoreError> {
        self.load(ENROLLMENT)
    }

    /// # Errors
    /// [`StoreError`].
    pub fn save_enrollment(self, enrollment: &Enrollment) -> Result<(), StoreError> {
        self.save(ENROLLMENT, enrollment, PUBLIC)
    }

    /// The state of the contacts; the default before the first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn contact_state(self) -> Result<ContactState, StoreError> {
        Ok(self.load(CONTACT)?.unwrap_or_default())
    }

    /// # Errors
    /// [`StoreError`].
    pub fn save_contact_state(self, state: &ContactState) -> Result<(), StoreError> {
        self.save(CONTACT, state, PRIVATE)
    }

    /// The signed lease, not verified.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn lease(self) -> Result<Option<SignedDocument>, StoreError> {
        self.load(LEASE)
    }

    /// # Errors
    /// [`StoreError`].
    pub fn save_lease(self, lease: &SignedDocument) -> Result<(), StoreError> {
        self.save(LEASE, lease, PUBLIC)
    }

    /// The signed lease that carries the head which is held of the server's log, not verified; `None` while that is the
    /// newest lease, or of an older program.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn witness(self) -> Result<Option<SignedDocument>, StoreError> {
        self.load(WITNESS)
    }

    /// # Errors
    /// [`StoreError`].
    pub fn save_witness(self, lease: &SignedDocument) -> Result<(), StoreError> {
        self.save(WITNESS, lease, PUBLIC)
    }

    /// # Errors
    /// [`StoreError`].
    pub fn remove_witness(self) -> Result<(), StoreError> {
        store::remove(&self.home.server_record(self.server, WITNESS))
    }

    /// The signed assignment, not verified.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn assignment(self) -> Result<Option<SignedDocument>, StoreError> {
        self.load(ASSIGNMENT)
    }

    /// # Errors
    /// [`StoreError`].
    pub fn save_assignment(self, assignment: &SignedDocument) -> Result<(), StoreError> {
        self.save(ASSIGNMENT, assignment, PUBLIC)
    }

    /// The signed server list, not verified; `None` until the server gives one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn server_list(self) -> Result<Option<SignedDocument>, StoreError> {
        self.load(SERVER_LIST)
    }

    /// # Errors
    /// [`StoreError`].
    pub fn save_server_list(self, list: &SignedDocument) -> Result<(), StoreError> {
        self.save(SERVER_LIST, list, PUBLIC)
    }

    /// Forgets the server list: a setup file that was issued later knows better, and the server sends its list again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove_server_list(self) -> Result<(), StoreError> {
        store::remove(&self.home.server_record(self.server, SERVER_LIST))
    }

    /// The id of the last report that the server has; 0 before the first. Nothing is decided by it, so a record that
    /// cannot be read counts as none: the server passes over what it has.
    #[must_use]
    pub fn acknowledged_report(self) -> u64 {
        match self.load::<Acknowledgement>(ACKNOWLEDGEMENT) {
            Ok(record) => record.unwrap_or_default().report,
            Err(error) => {
                tracing::warn!("{}; reports that wait are sent again", with_causes(&error));
                0
            }
        }
    }

    /// # Errors
    /// [`StoreError`].
    pub fn save_acknowledged_report(self, report: u64) -> Result<(), StoreError> {
        self.save(ACKNOWLEDGEMENT, &Acknowledgement { report }, PUBLIC)
    }

    /// How this computer stands with the server; the default before the first contact.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn standing(self) -> Result<ServerStanding, StoreError> {
        Ok(self.load(STANDING)?.unwrap_or_default())
    }

    /// # Errors
    /// [`StoreError`].
    pub fn save_standing(self, standing: &ServerStanding) -> Result<(), StoreError> {
        self.save(STANDING, standing, PUBLIC)
    }

    /// Removes what belongs to an earlier client id: lease, assignment, nonces, and which reports the server has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn reset_for_new_client(self) -> Result<(), StoreError> {
        for name in [LEASE, ASSIGNMENT, ACKNOWLEDGEMENT, CONTACT] {
            store::remove(&self.home.server_record(self.server, name))?;
        }
        Ok(())
    }

    fn load<T: serde::de::DeserializeOwned>(self, name: &str) -> Result<Option<T>, StoreError> {
        store::load(&self.home.server_record(self.server, name))
    }

    fn save<T: Serialize>(self, name: &str, value: &T, mode: u32) -> Result<(), StoreError> {
        store::save(&self.home.server_record(self.server, name), value, mode)
    }
}

#[cfg(test)]
mod tests;
