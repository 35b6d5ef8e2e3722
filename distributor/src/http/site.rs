//! What every handler works with: the rooms of the server, and what the HTTP floor counts itself.

use std::fmt;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use sealpost_keys::note::LogKey;
use sealpost_keys::{SealingPublicKey, SigningKey};
use sealpost_ledger::Ledger;
use sealpost_manifests::document::SignedDocument;
use sealpost_service::supervision::Supervision;
use sealpost_serving::{FailedAttempts, Shares};
use tokio::sync::Semaphore;

use super::coding::PackedAnswers;
use super::content::ContentLook;
use super::heard::Heard;
use super::limits::{
    ContactBudgets, EnrollmentBudgets, RequestLimits, contact_budgets, enrollment_budgets, failed_attempts,
    knocks, large_bodies,
};
use super::links::LinkDesk;
use super::metrics::Metrics;
use super::patches::Patches;
use super::refused_seats::SeatRefusals;
use super::secret::{EnrollmentCodes, Receipts};
use super::third_computers::ThirdComputers;
use super::token::AccessTokens;
use super::token_desk::TokenDesk;
use crate::licenses::{Learning, Registrar};
use crate::ports::authority::LicenseAuthority;
use crate::ports::blobs::BlobStore;
use crate::ports::clock::Clock;
use crate::ports::disks::Disks;
use crate::ports::folder::FolderDesk;
use crate::ports::installers::Installers;
use crate::ports::presence::Presence;
use crate::ports::staging::Staging;
use crate::ports::syslog::SyslogProgress;
use crate::ports::test_load::TestDesk;
use crate::ports::upstream::Upstream;
use crate::ports::wakes::Wakes;

/// Calls of computers that are waited for at once.
const MAX_VERIFYING: usize = 8;
/// Lists in another order than by name that are made at once: each looks at all computers.
const MAX_SORTED_LISTS: usize = 2;

/// What the site is made of: everything that [`Site::new`] needs.
pub struct SiteParts {
    pub ledger: Arc<Ledger>,
    pub upstream: Arc<dyn Upstream>,
    pub blobs: Arc<dyn BlobStore>,
    pub staging: Arc<dyn Staging>,
    /// The vendor's license authority.
    pub authority: Arc<dyn LicenseAuthority>,
    pub clock: Arc<dyn Clock>,
    pub push: Arc<dyn Wakes>,
    /// Signs leases, assignments, enrollments and registrations.
    pub site_key: Arc<SigningKey>,
    /// Signs checkpoints of the log.
    pub log_key: Arc<LogKey>,
    /// The site key's certificate of the log key.
    pub log_certificate: SignedDocument,
    /// The key to which the vendor seals what it sends to this server.
    pub sealing_key: SealingPublicKey,
    /// Access tokens of clients.
    pub access_tokens: AccessTokens,
    /// Receipts of answered contacts.
    pub receipts: Receipts,
    /// Enrollment codes of setup files.
    pub enrollment_codes: EnrollmentCodes,
    /// Tokens of admins who come over the network.
    pub admin_tokens: Arc<TokenDesk>,
    pub presence: Arc<dyn Presence>,
    /// Whether what the server does by itself runs.
    pub supervision: Supervision,
    pub disks: Arc<dyn Disks>,
    /// How far the log has come on its way to syslog.
    pub syslog: Arc<SyslogProgress>,
    /// Has folders for computers without a network brought up to date.
    pub folders: FolderDesk,
    /// Puts install files together, one after the other.
    pub installers: Arc<dyn Installers>,
    /// Has releases loaded on the server.
    pub tests: TestDesk,
    pub limits: RequestLimits,
}

/// The state behind every handler.
pub struct Site {
    pub(crate) parts: SiteParts,
    /// When it was put together: the server listens since then.
    pub(crate) started: Timestamp,
    pub(crate) registrar: Registrar,
    pub(crate) metrics: Metrics,
    /// Why the server was not ready when somebody asked last.
    pub(crate) not_ready: Mutex<Option<String>>,
    /// Enrollments that were wrong; they hold up nothing else.
    pub(crate) failed_enrollments: FailedAttempts,
    /// Enrollments that prove nothing; they hold up nothing else.
    pub(crate) knocks: FailedAttempts,
    /// Requests to the admin API without a token that is known.
    pub(crate) failed_admins: FailedAttempts,
    pub(crate) contact_budgets: ContactBudgets,
    pub(crate) enrollment_budgets: EnrollmentBudgets,
    /// Requests that are worked on.
    pub(crate) work: Shares,
    pub(crate) large_bodies: Shares,
    /// One replay at a time: each holds what became of many computers in memory.
    pub(crate) replays: Arc<Semaphore>,
    /// Lists in another order than by name.
    pub(crate) sorted_lists: Semaphore,
    /// Contacts, for those who wait for somebody.
    pub(crate) heard: Heard,
    /// Those who wait for computers that they called.
    pub(crate) verifying: Arc<Semaphore>,
    /// What a look at all computers found of their signature files.
    pub(crate) content: ContentLook,
    /// Who downloads over which link.
    pub(crate) links: Arc<LinkDesk>,
    /// Seats that were asked for and refused.
    pub(crate) seat_refusals: SeatRefusals,
    /// Contacts of neither of two computers.
    pub(crate) third_computers: ThirdComputers,
    /// Metadata as deltas from what computers hold.
    pub(crate) patches: Patches,
    /// Answers that many computers get.
    pub(crate) packed_answers: PackedAnswers,
}

impl Site {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: SiteParts) -> Arc<Self> {
        let work = parts.limits.work();
        let links = LinkDesk::new(Arc::clone(&parts.ledger), parts.limits.link_window);
        let started = parts.clock.now();
        let registrar = Registrar {
            ledger: Arc::clone(&parts.ledger),
            upstream: Arc::clone(&parts.upstream),
            authority: Arc::clone(&parts.authority),
            clock: Arc::clone(&parts.clock),
            site_key: Arc::clone(&parts.site_key),
            sealing_key: parts.sealing_key,
            learning: Learning::Pull,
        };
        Arc::new(Self {
            parts,
            started,
            registrar,
            metrics: Metrics::new(),
            not_ready: Mutex::default(),
            failed_enrollments: failed_attempts(),
            knocks: knocks(),
            failed_admins: failed_attempts(),
            contact_budgets: contact_budgets(),
            enrollment_budgets: enrollment_budgets(),
            work,
            large_bodies: large_bodies(),
            replays: Arc::new(Semaphore::new(1)),
            sorted_lists: Semaphore::new(MAX_SORTED_LISTS),
            heard: Heard::new(),
            verifying: Arc::new(Semaphore::new(MAX_VERIFYING)),
            content: ContentLook::default(),
            links,
            seat_refusals: SeatRefusals::default(),
            third_computers: ThirdComputers::default(),
            patches: Patches::new(),
            packed_answers: PackedAnswers::default(),
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("addresses", &self.parts.presence.addresses()).finish_non_exhaustive()
    }
}
