//! One cycle: bring an interrupted install to its end, contact the server, install what is assigned, say what
//! happened. A reconciler: it reads the state, converges and stops; twice is as good as once.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::assignment::{Assignment, PackageAssignment};
use sealpost_manifests::ids::{PackageName, Platform};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};
use sealpost_repository::MAX_ROOT_BYTES;

use crate::domain::cadence::{Contacted, Standing, after, next};
use crate::domain::policy::{Decision, decide};
use crate::domain::release::{Expectation, Refusal, judge_freshness};
use crate::download::{Chain, NetworkSource, Origin, gave_way};
use crate::platform::files::{PUBLIC, read_bounded};
use crate::platform::store::{self, StoreError};
use crate::server::{Credential, Endpoint};
use crate::spool::{Spool, Subject};

use super::agent::{Access, Agent, seed};
use super::contact::ContactError;
use super::engine::{Ended, Engine};
use super::enroll::base_of;
use super::state::{HeldDocument, Holdings, HoldingsError, LastContact, Progress, package_records};
use super::vetted::Vetted;
use super::{gate_file, one_line, with_causes};

/// Contacts in one cycle: the first, one after each round of installs to report them, and retries.
const MOST_ROUNDS: usize = 4;
/// Tries of one package in one cycle.
const MOST_TRIES: u32 = 2;
/// Seconds until the next try when another process holds the lock.
const BUSY_SECS: i64 = 5;

/// What a cycle led to.
#[derive(Debug)]
pub struct Cycle {
    /// When the next one is due.
    pub next_contact: Timestamp,
    /// The right to listen for wake events, if the contact was answered.
    pub access: Option<Access>,
    /// One line for everything that is not as it should be; empty when up to date.
    pub problems: Vec<String>,
}

impl Agent {
    /// Runs one cycle.
    pub fn cycle(&self) -> Cycle {
        let busy = |problem: String| Cycle {
            next_contact: self
                .now()
                .saturating_add(SignedDuration::from_secs(BUSY_SECS))
                .unwrap_or(Timestamp::MAX),
            access: None,
            problems: vec![problem],
        };
        let _lock = match self.home.prepare().and_then(|()| self.home.lock_cycle()) {
            Ok(lock) => lock,
            Err(error) => return busy(with_causes(&error)),
        };
        let mut problems = Vec::new();
        let mut spool = match Spool::open_or_begin_anew(&self.home, self.now()) {
            Ok(spool) => spool,
            Err(error) => return self.failed(with_causes(&error)),
        };
        if let Err(error) = Engine::new(self.ground(), &mut spool).recover() {
            problems.push(format!(
                "an interrupted install could not be brought to its end: {}",
                with_causes(&error)
            ));
        }
        let mut progress = match Progress::load(&self.home) {
            Ok(progress) => progress,
            Err(error) => return self.failed(with_causes(&error)),
        };
        let access = self.rounds(&mut progress, &mut spool, &mut problems);
        progress.next_contact = Some(next(&self.settings.cadence, progress.standing, self.now(), seed()));
        if let Err(error) = progress.save(&self.home) {
            problems.push(with_causes(&error));
        }
        let holdings = Holdings::load(&self.home, &progress, self.now()).ok();
        if let Err(error) = gate_file::update(&self.home, &progress, holdings.as_ref()) {
            problems.push(format!("the gate file cannot be written: {error}"));
        }
        for problem in &problems {
            tracing::warn!("{problem}");
        }
        let next_contact = progress.next_contact.unwrap_or_else(|| self.now());
        Cycle { next_contact, access, problems }
    }

    /// A cycle that could not even begin: nothing is installed, and the gate stays as it is.
    fn failed(&self, problem: String) -> Cycle {
        tracing::error!("{problem}");
        let next_contact = next(&self.settings.cadence, Standing::LostContact, self.now(), seed());
        Cycle { next_contact, access: None, problems: vec![problem] }
    }

    fn rounds(
        &self,
        progress: &mut Progress,
        spool: &mut Spool,
        problems: &mut Vec<String>,
    ) -> Option<Access> {
        let mut access = None;
        let mut tried = BTreeMap::new();
        for _ in 0..MOST_ROUNDS {
            let mut holdings = match Holdings::load(&self.home, progress, self.now()) {
                Ok(holdings) => holdings,
                Err(error) => {
                    note(problems, with_causes(&error));
                    if !matches!(error, HoldingsError::NotEnrolled) {
                        self.note_contact(progress, Contacted::AllFailed, Some(with_causes(&error)));
                    }
                    return access;
                }
            };
            let answered = match self.contact(&mut holdings, progress, spool) {
                Ok(answered) => answered,
                // Nothing is known of the server: contact is neither good nor lost.
                Err(ContactError::GaveWay(error)) => {
                    note(problems, error.to_string());
                    return access;
                }
                Err(error) => {
                    let text = with_causes(&error);
                    self.note_contact(progress, Contacted::AllFailed, Some(text.clone()));
                    note(problems, text);
                    return access;
                }
            };
            // Read again what was kept: only what verifies from disk counts.
            let holdings = match Holdings::load(&self.home, progress, self.now()) {
                Ok(holdings) => holdings,
                Err(error) => {
                    note(problems, with_causes(&error));
                    return access;
                }
            };
            let contacted = match holdings.lease.good() {
                Some(_) => Contacted::AnsweredWithLease,
                None => Contacted::AnsweredWithoutLease,
            };
            self.note_contact(progress, contacted, None);
            progress.notices = answered.notices;
            for notice in &progress.notices {
                note(problems, notice.clone());
            }
            // The gate opens before an install begins that may take long.
            if let Err(error) = gate_file::update(&self.home, progress, Some(&holdings)) {
                note(problems, format!("the gate file cannot be written: {error}"));
            }
            let was_retry = answered.was_retry;
            access = Some(answered.access.clone());
            let acted = self.converge(holdings, progress, spool, &answered.access, &mut tried);
            if let Err(error) = progress.save(&self.home) {
                note(problems, with_causes(&error));
            }
            if self.network.gives_way() || (!acted && spool.is_empty() && !was_retry) {
                break;
            }
        }
        self.note_what_is_open(progress, problems);
        access
    }

    fn note_contact(&self, progress: &mut Progress, contacted: Contacted, problem: Option<String>) {
        progress.standing = after(progress.standing, contacted);
        if problem.is_none() {
            progress.answered_at = Some(self.now());
        }
        progress.last_contact = Some(LastContact { at: self.now(), problem });
    }

    /// Installs what is to be installed; `true` if anything was tried.
    fn converge(
        &self,
        mut holdings: Holdings,
        progress: &mut Progress,
        spool: &mut Spool,
        access: &Access,
        tried: &mut BTreeMap<PackageName, u32>,
    ) -> bool {
        let (Some(lease), Some(assignment)) =
            (holdings.lease.good().cloned(), holdings.assignment.good().cloned())
        else {
            return false;
        };
        self.sweep_downloads(&assignment);
        let mut chain = None;
        let mut acted = false;
        for wanted in &assignment.packages {
            let package = &wanted.release.package;
            if tried.get(package).is_some_and(|tries| *tries >= MOST_TRIES) || self.network.gives_way() {
                continue;
            }
            let ended = match self.decision(wanted, &lease, progress) {
                Err(error) => Err(Refusal::new(ReasonCode::LocalFault, with_causes(&error))),
                Ok(Decision::Install) => {
                    acted = true;
                    self.vet_and_install(
                        wanted,
                        &assignment,
                        &mut holdings,
                        progress,
                        spool,
                        access,
                        &mut chain,
                    )
                }
                Ok(_) => continue,
            };
            let refusal = match ended {
                Ok(Ended::Kept) => None,
                Ok(Ended::Refused(refusal)) | Err(refusal) => Some(refusal),
                Ok(Ended::RolledBack(reason)) => {
                    Some(Refusal::new(reason, format!("{} was rolled back ({reason})", wanted.release)))
                }
            };
            // These two may be different after the next contact of this same cycle; all else is for the next cycle.
            let again = refusal.as_ref().is_some_and(|refusal| {
                matches!(refusal.reason, ReasonCode::NetworkFailed | ReasonCode::RequirementMissing)
            });
            *tried.entry(package.clone()).or_insert(0) += if again { 1 } else { MOST_TRIES };
            match refusal {
                Some(refusal) => {
                    drop(
                        progress
                            .refusals
                            .insert(package.clone(), one_line(&format!("{refusal} [{}]", refusal.reason))),
                    );
                }
                None => drop(progress.refusals.remove(package)),
            }
        }
        acted
    }

    /// Removes what was fetched in part for releases that nobody wants any more, so that downloads that are cut again
    /// and again cannot fill the disk.
    fn sweep_downloads(&self, assignment: &Assignment) {
        let Ok(entries) = std::fs::read_dir(self.home.downloads()) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let is_wanted =
                assignment.packages.iter().any(|wanted| name.contains(&wanted.manifest.to_string()));
            if !is_wanted && let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "an old download could not be removed");
            }
        }
    }

    fn decision(
        &self,
        wanted: &PackageAssignment,
        lease: &Lease,
        progress: &Progress,
    ) -> Result<Decision, StoreError> {
        let record: crate::domain::record::PackageRecord =
            store::load(&self.home.package_record(&wanted.release.package))?.unwrap_or_default();
        let installed = record.current.as_ref().map(|installed| &installed.manifest);
        let now = progress.time(self.now());
        Ok(decide(wanted, installed, &record.given_up, lease, &Platform::current(), now))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one call, and each is a different thing that it changes or needs"
    )]
    fn vet_and_install(
        &self,
        wanted: &PackageAssignment,
        assignment: &Assignment,
        holdings: &mut Holdings,
        progress: &mut Progress,
        spool: &mut Spool,
        access: &Access,
        chain: &mut Option<Chain>,
    ) -> Result<Ended, Refusal> {
        tracing::info!(release = %wanted.release, "to be installed");
        let vetted = self
            .chain_for(assignment, holdings, progress, access, chain)
            .and_then(|chain| self.vet(wanted, holdings, chain));
        let (vetted, source) = match vetted {
            Ok(vetted) => vetted,
            Err(refusal) => {
                self.report_refusal(wanted, &refusal, spool);
                return Err(refusal);
            }
        };
        let Some(chain) = chain.as_ref() else {
            return Err(Refusal::new(ReasonCode::LocalFault, "the vendor's chain was closed"));
        };
        let mut source = NetworkSource::new(chain, source, &self.network);
        let mut engine = Engine::new(self.ground(), spool);
        match engine.install(&vetted, wanted, &mut source) {
            Ok(ended) => Ok(ended),
            Err(error) => {
                let refusal = Refusal::new(ReasonCode::LocalFault, with_causes(&error));
                tracing::error!(release = %wanted.release, "{refusal}");
                // The product may be stopped: bring it to an end now, not at the next start.
                if let Err(error) = engine.recover() {
                    tracing::error!("the install could not be brought to its end: {}", with_causes(&error));
                }
                Err(refusal)
            }
        }
    }

    /// The refreshed chain, opened once per round.
    fn chain_for<'c>(
        &self,
        assignment: &Assignment,
        holdings: &mut Holdings,
        progress: &mut Progress,
        access: &Access,
        chain: &'c mut Option<Chain>,
    ) -> Result<&'c Chain, Refusal> {
        let as_of = assignment.metadata_as_of;
        let days = self.settings.metadata_max_age_days;
        judge_freshness(as_of, progress.metadata_floor, progress.time(self.now()), days)?;
        if chain.is_none() {
            let opened = self.open_chain(holdings, progress, access, as_of)?;
            progress.metadata_floor = Some(as_of);
            *chain = Some(opened);
        }
        chain
            .as_ref()
            .ok_or_else(|| Refusal::new(ReasonCode::LocalFault, "the vendor's chain was not opened"))
    }

    fn open_chain(
        &self,
        holdings: &mut Holdings,
        progress: &Progress,
        access: &Access,
        as_of: Timestamp,
    ) -> Result<Chain, Refusal> {
        let local = |text: String| Refusal::new(ReasonCode::LocalFault, text);
        let root = read_bounded(&self.home.root(), MAX_ROOT_BYTES)
            .map_err(|error| local(format!("the pinned root cannot be read: {error}")))?
            .ok_or_else(|| {
                local("the pinned root is gone; enroll this computer again with --root".to_owned())
            })?;
        if sealpost_manifests::digest::Sha256Digest::of(&root) != holdings.enrollment.root_sha256 {
            let detail =
                "the pinned root was changed on this computer; restore root.json from the vendor's package";
            return Err(Refusal::new(ReasonCode::MetadataInvalid, detail));
        }
        // A client of its own, because the chain is read on another thread.
        let endpoint = holdings
            .enrollment
            .servers
            .iter()
            .filter_map(|server| Endpoint::of_server(server, progress.time_floor, &Credential::None).ok())
            .flatten()
            .find(|endpoint| endpoint.address() == access.endpoint.address())
            .ok_or_else(|| local("the server's address is gone".to_owned()))?;
        let origin = Origin {
            client: endpoint.client().clone(),
            base: base_of(&endpoint),
            token: Some(access.token.clone()),
        };
        let chain =
            self.network.wait(Chain::open(root, self.home.tuf(), origin, as_of)).map_err(gave_way)??;
        let (text, trust) = self.network.wait(chain.trust()).map_err(gave_way)??;
        if text != holdings.enrollment.trust {
            // The grant must hold under the new document too, or the site has lost the vendor's word.
            holdings
                .enrollment
                .grant
                .verify::<sealpost_manifests::grant::Grant>(&trust.license_keys())
                .map_err(|error| {
                    let detail =
                        format!("the vendor took back the key of this site's grant: {}", with_causes(&error));
                    Refusal::new(ReasonCode::LeaseInvalid, detail)
                })?;
            holdings.enrollment.trust = text;
            holdings.trust = trust;
            store::save(&self.home.state("enrollment"), &holdings.enrollment, PUBLIC)
                .map_err(|error| local(with_causes(&error)))?;
        }
        Ok(chain)
    }

    fn vet(
        &self,
        wanted: &PackageAssignment,
        holdings: &Holdings,
        chain: &Chain,
    ) -> Result<(Vetted, sealpost_repository::TargetInfo), Refusal> {
        let local = |error: &StoreError| Refusal::new(ReasonCode::LocalFault, with_causes(error));
        let package = &wanted.release.package;
        let channels = self.network.wait(chain.channels(package)).map_err(gave_way)??;
        let (bytes, minisig) = self.network.wait(chain.manifest(&wanted.release)).map_err(gave_way)??;
        let mut installed: BTreeMap<PackageName, ReleaseCounter> = BTreeMap::new();
        let mut counter_floor = None;
        for (name, record) in package_records(&self.home).map_err(|error| local(&error))? {
            let record = match record {
                Ok(record) => record,
                Err(error) if name == *package => return Err(local(&error)),
                Err(_) => continue,
            };
            if name == *package {
                counter_floor = record.counter_floor;
            }
            installed.extend(record.current.map(|current| (name, current.counter)));
        }
        let expected = Expectation {
            wanted,
            platform: &Platform::current(),
            counter_floor,
            installed: &installed,
            channels: &channels,
        };
        let vetted = Vetted::verify(bytes, minisig, &holdings.trust, &expected)?;
        let target = self.network.wait(chain.payload(&wanted.release)).map_err(gave_way)??;
        let listed = vetted
            .manifest()
            .payload
            .encoding(sealpost_manifests::release::Encoding::Gzip)
            .is_some_and(|blob| blob.sha256 == target.sha256() && blob.length == target.length());
        if !listed {
            let detail = format!(
                "manifest and metadata name different payloads of {}; ask the vendor",
                wanted.release
            );
            return Err(Refusal::new(ReasonCode::ManifestInvalid, detail));
        }
        Ok((vetted, target))
    }

    fn report_refusal(&self, wanted: &PackageAssignment, refusal: &Refusal, spool: &mut Spool) {
        let about = Subject {
            release: wanted.release.clone(),
            manifest: wanted.manifest,
            rollout: wanted.rollout,
            attempt: wanted.attempt,
        };
        let what = (InstallStep::Check, Outcome::Refused, refusal.reason);
        if let Err(error) = spool.add(self.now(), &about, what, &refusal.detail) {
            tracing::error!("a report could not be kept: {}", with_causes(&error));
        }
    }

    /// One line for each package that does not run what it should.
    fn note_what_is_open(&self, progress: &Progress, problems: &mut Vec<String>) {
        let Ok(holdings) = Holdings::load(&self.home, progress, self.now()) else { return };
        problems.extend(holdings.lease.problem("lease"));
        // No assignment at all means that nothing is approved for this computer: it is up to date.
        if !matches!(holdings.assignment, HeldDocument::None) {
            problems.extend(holdings.assignment.problem("assignment"));
        }
        let (Some(lease), Some(assignment)) = (holdings.lease.good(), holdings.assignment.good()) else {
            return;
        };
        for wanted in &assignment.packages {
            let open = match self.decision(wanted, lease, progress) {
                Ok(Decision::UpToDate) => continue,
                Ok(Decision::Install) => progress
                    .refusals
                    .get(&wanted.release.package)
                    .cloned()
                    .unwrap_or_else(|| Decision::Install.to_string()),
                Ok(decision) => decision.to_string(),
                Err(error) => with_causes(&error),
            };
            note(problems, format!("{}: {open}", wanted.release));
        }
    }
}

fn note(problems: &mut Vec<String>, problem: String) {
    if !problems.contains(&problem) {
        problems.push(problem);
    }
}
