//! A computer, as its agent knows itself: what it holds of the server's answers, and what it says next.

use std::collections::BTreeSet;

use sealpost_keys::{Fingerprint, PublicKey, SealingPublicKey, SigningKey};
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{Document, SignedDocument};
use sealpost_manifests::ids::{ClientId, ComputerName, Nonce, SetupId, Tag};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::{HighestOrders, Order, Ordered};
use sealpost_manifests::server_list::ServerList;
use sealpost_manifests::wire::contact::{Drift, InstalledPackage, Postponed};
use sealpost_manifests::wire::report::Report;
use sealpost_manifests::word::Word;
use sealpost_site::commands::clients::{Admit, EnrollOutcome, IssueSetup};
use sealpost_site::commands::contact::{ContactOutcome, Shown};
use sealpost_site::rules::names::MixedScripts;
use sealpost_site::rules::restore::Receipt;

use super::values::{admin, computer_name, era, setup_id};
use crate::license::sealing_key;

/// Days for which the codes of setup files are good here.
pub const SETUP_DAYS: u16 = 7;

/// A computer. A clone is a copy of its disk.
#[derive(Debug, Clone)]
pub struct Computer {
    /// The name that its setup file is for.
    pub name: ComputerName,
    /// The public half of its key: the tests sign nothing as a computer.
    pub key: PublicKey,
    /// The key to which the server seals what it sends by file.
    pub sealing_key: SealingPublicKey,
    /// The setup of its setup file, whose code it proves to know.
    pub setup: SetupId,
    /// Its id, once enrolled.
    pub client_id: Option<ClientId>,
    /// The last nonce that was answered.
    pub nonce: Option<Nonce>,
    /// How many contacts were answered.
    pub contacts: u8,
    /// What its last receipt says.
    pub receipt: Option<Receipt>,
    /// The newest lease.
    pub lease: Option<Lease>,
    /// The newest assignment.
    pub assignment: Option<Assignment>,
    /// The newest server list.
    pub server_list: Option<ServerList>,
    /// Digests of the grants that it holds.
    pub grants: BTreeSet<Sha256Digest>,
    /// The head of the server's log that it witnesses.
    pub held_head: Option<LogHead>,
    /// A later head that was not shown to extend it.
    pub forked_head: Option<LogHead>,
    /// Digest of its machine's and boot's ids.
    pub instance: Option<Sha256Digest>,
    /// The name that it gives itself.
    pub hostname: Option<String>,
    /// What it says at its next contact that it runs.
    pub packages: Vec<InstalledPackage>,
    /// What it says at its next contact is not as it was signed.
    pub drift: Vec<Drift>,
    /// What it reports at its next contact.
    pub reports: Vec<Report>,
    /// The tags of its configuration.
    pub tags: Vec<Tag>,
    /// What it says at its next contact is put off.
    pub postponed: Vec<Postponed>,
}

impl Computer {
    /// A computer with a new key and the first setup file of its name.
    pub(super) fn new(name: &str) -> Self {
        let (key, name) = (SigningKey::generate().unwrap().public(), computer_name(name));
        Self {
            sealing_key: sealing_key(&key.ed25519_bytes()).public(),
            setup: setup_id(&name, 1),
            instance: Some(Sha256Digest::of(name.as_str().as_bytes())),
            hostname: Some(name.as_str().to_uppercase()),
            name,
            key,
            client_id: None,
            nonce: None,
            contacts: 0,
            receipt: None,
            lease: None,
            assignment: None,
            server_list: None,
            grants: BTreeSet::new(),
            held_head: None,
            forked_head: None,
            packages: Vec::new(),
            drift: Vec::new(),
            reports: Vec::new(),
            tags: Vec::new(),
            postponed: Vec::new(),
        }
    }

    /// The same computer with another setup file.
    #[must_use]
    pub fn with_setup(mut self, number: u64) -> Self {
        self.setup = setup_id(&self.name, number);
        self
    }

    /// An admin issues its setup file.
    #[must_use]
    pub fn issue_setup(&self) -> IssueSetup {
        IssueSetup {
            actor: admin(),
            name: self.name.clone(),
            setup: self.setup.clone(),
            valid_days: SETUP_DAYS,
        }
    }

    /// An admin admits it by its key; the number tells its admissions apart.
    #[must_use]
    pub fn admit(&self, number: u64) -> Admit {
        Admit {
            actor: admin(),
            name: self.name.clone(),
            key: Fingerprint::of(&self.key),
            whole: None,
            channel: None,
            mixed: MixedScripts::AskBack,
            serial: None,
            setup: setup_id(&self.name, number),
        }
    }

    /// The highest order that it holds of each type of document.
    pub(super) fn highest(&self) -> HighestOrders {
        let lease = self.lease.as_ref().map(Ordered::order);
        let assignment = self.assignment.as_ref().map(Ordered::order);
        let list = self.server_list.as_ref().map(ServerList::order);
        let held = [(Lease::TYPE, lease), (Assignment::TYPE, assignment), (ServerList::TYPE, list)];
        let held = held.into_iter().filter_map(|(kind, order): (_, Option<Order>)| Some((kind, order?)));
        held.map(|(kind, order)| (Word::new(kind).unwrap(), order)).collect()
    }

    /// What it shows of what the server signed for it; `None` without a lease. `new_era` begins if that shows a loss.
    #[must_use]
    pub fn shown(&self, new_era: u8) -> Option<Shown> {
        Some(Shown {
            lease: self.lease.clone()?,
            assignment: self.assignment.clone(),
            witness: None,
            receipt: self.receipt.clone(),
            new_era: era(new_era),
        })
    }

    /// Its enrollment was answered. What it held before is another client's.
    pub fn enrolled(&mut self, outcome: &EnrollOutcome) {
        self.client_id = Some(outcome.enrolled.client_id.clone());
        self.grants = outcome.grants.iter().map(SignedDocument::digest).collect();
        (self.nonce, self.receipt, self.lease, self.assignment) = (None, None, None, None);
        (self.held_head, self.forked_head, self.server_list) = (None, None, None);
    }

    /// Its contact with the nonce `next` was answered.
    pub fn answered(&mut self, next: Nonce, outcome: &ContactOutcome) {
        self.nonce = Some(next);
        self.contacts += 1;
        self.receipt = Some(outcome.receipt.clone());
        self.grants.extend(outcome.grants.iter().map(SignedDocument::digest));
        if let Some(lease) = &outcome.lease {
            self.held_head = Some(lease.ledger_head);
            self.lease = Some(lease.clone());
        }
        if let Some(list) = &outcome.server_list {
            self.server_list = Some(list.clone());
        }
        if let Some(assignment) = &outcome.assignment {
            self.assignment = Some(assignment.clone());
        }
    }
}
