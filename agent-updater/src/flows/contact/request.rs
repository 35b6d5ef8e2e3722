//! The contact of this computer, as it is signed and sent.

use sealpost_keys::token::random_bytes;
use sealpost_manifests::document::{DocumentError, SignedDocument};
use sealpost_manifests::ids::{ClientId, Nonce, PackageName, Platform};
use sealpost_manifests::wire::contact::{
    Contact, ContactRequest, Evidence, InstalledPackage, MAX_PACKAGES, MAX_POSTPONED, Postponed, PostponedBy,
};
use sealpost_manifests::wire::report::{ReasonCode, Report};

use crate::domain::record::Installed;
use crate::domain::timing::{Timing, Wait, timing};
use crate::flows::context::Host;
use crate::flows::drift::{Found, reported as reported_drift};
use crate::flows::{linked, start_again};
use crate::platform::machine;
use crate::platform::store::StoreError;
use crate::records::holdings::Holdings;
use crate::records::keys::key_of;
use crate::records::progress::Progress;
use crate::records::server::{ContactState, OutstandingContact};

use super::error::ContactError;

/// A contact that follows the last answered one, signed. `reports` is `None` for a server that does not decide about
/// updates: what is put off here is none of its business either.
pub(super) fn new_contact(
    host: &Host,
    holdings: &Holdings,
    progress: &Progress,
    state: &ContactState,
    reports: Option<Vec<Report>>,
    found: &[Found],
) -> Result<OutstandingContact, ContactError> {
    let identity = &holdings.identity;
    let key = key_of(&host.home, &identity.server_id, &identity.client_key)?;
    let standing = progress.of(&identity.server_id);
    let down: Vec<PackageName> = start_again::down(host)?.into_iter().map(|(package, _)| package).collect();
    let next = Nonce::from_random(random_bytes::<16>()?);
    let contact = Contact {
        client_id: identity.client_id.clone(),
        server_id: identity.server_id.clone(),
        previous: state.previous.clone(),
        next: next.clone(),
        receipt: state.receipt.clone(),
        sent_at: host.now(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        platform: Platform::current(),
        highest: holdings.highest(),
        held_head: standing.log.held.as_ref().map(|held| held.head),
        forked_head: standing.log.forked,
        grants: holdings.grants.iter().map(|held| held.digest).collect(),
        instance: machine::instance(),
        hostname: machine::hostname(),
        packages: installed_packages(host)?,
        postponed: reports.as_ref().map(|_| postponed(host, holdings, progress)).unwrap_or_default(),
        reports: reports.unwrap_or_default(),
        drift: reported_drift(found, &down),
        tags: host.settings.tags.clone(),
        new_key: None,
    };
    Ok(OutstandingContact { next, contact: SignedDocument::sign(&contact, &key)? })
}

/// The exact body of a request. Without evidence it is the same for every try of a contact.
pub(super) fn body(
    client_id: &ClientId,
    outstanding: &OutstandingContact,
    evidence: Option<Evidence>,
) -> Result<String, DocumentError> {
    let request =
        ContactRequest { client_id: client_id.clone(), contact: outstanding.contact.clone(), evidence };
    serde_json::to_string(&request).map_err(|source| DocumentError::Malformed { document: "contact", source })
}

/// What waits here because a person, the product or the link puts it off, or because its last try failed.
fn postponed(host: &Host, holdings: &Holdings, progress: &Progress) -> Vec<Postponed> {
    let Some(assignment) = holdings.assignment.good() else { return Vec::new() };
    let now = progress.license_time(host.now());
    let put_off = assignment.packages.iter().filter_map(|wanted| {
        let package = &wanted.release.package;
        // Whose record is damaged puts nothing off: nothing of it is installed anyway.
        let record = linked::load(host, package).ok()?;
        if record.current.is_some_and(|current| current.manifest == wanted.manifest) {
            return None;
        }
        let put_off = progress.computer.put_off(wanted, now);
        let failing = progress.computer.failing.get(package).filter(|failing| failing.is_about(wanted));
        let (by, until, times) = match timing(wanted, &put_off, now) {
            Timing::Waits(Wait::Hold { until }) => (PostponedBy::Person, until, put_off.holds()),
            Timing::Waits(Wait::Product { again_at }) => {
                (PostponedBy::Product, again_at, put_off.times_declined())
            }
            // What is made ready ahead of its time pauses too.
            Timing::Now | Timing::Waits(Wait::Window { .. } | Wait::Person { .. }) => {
                let pause = failing.filter(|failing| failing.again_at > now)?;
                match pause.reason {
                    ReasonCode::LinkBusy => (PostponedBy::Link, pause.again_at, 0),
                    _ => (PostponedBy::BackOff, pause.again_at, pause.tries()),
                }
            }
            Timing::NotBefore(_) | Timing::Closed { .. } => return None,
        };
        Some(Postponed { package: package.clone(), manifest: wanted.manifest, by, until, times })
    });
    put_off.take(MAX_POSTPONED).collect()
}

fn installed_packages(host: &Host) -> Result<Vec<InstalledPackage>, StoreError> {
    let records = linked::load_all(host)?;
    let current = records.into_values().filter_map(Result::ok).filter_map(|record| record.current);
    Ok(current.map(reported).take(MAX_PACKAGES).collect())
}

fn reported(installed: Installed) -> InstalledPackage {
    InstalledPackage {
        release: installed.release,
        kind: installed.kind,
        counter: installed.counter,
        manifest: installed.manifest,
    }
}
