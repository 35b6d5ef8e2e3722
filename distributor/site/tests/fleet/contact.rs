//! How a computer gets its answer: by the whole command, or by the rules that the command asks.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sealpost_keys::{KeyId, Minisig, PublicKey};
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, LicenseModel};
use sealpost_manifests::ids::{Nonce, Platform, SerialNumber};
use sealpost_manifests::order::{Epoch, HighestOrders};
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};
use sealpost_manifests::word::Word;
use sealpost_site::changes::{Change, DeliveryStep, Note};
use sealpost_site::commands::Command;
use sealpost_site::commands::contact::{
    AnswerContact, ContactClient, ContactFacts, HeldGrantText, LastContact, SeenClient, assigned,
};
use sealpost_site::rules::assignment::{self, Licensed, Rolling, Told, Undoing};
use sealpost_site::rules::contact::NoncePair;
use sealpost_site::rules::copies::Kept;
use sealpost_site::rules::release::{KnownRelease, ReleaseState};
use sealpost_site::rules::restore::{NamedHead, RestoreState};
use sealpost_site::rules::rollouts::cadence::Cadence;
use sealpost_site::rules::rollouts::plan::{Asker, LiveRings};
use sealpost_site::rules::rollouts::progress::DeliveryState;

use crate::computer::Computer;
use crate::site::{Site, stable};

const PLATFORM: &str = "linux-x86_64";

/// What a computer is told at one contact.
pub(crate) struct Answer {
    /// What stands in its assignment from now on; absent when that stays as it is.
    pub(crate) packages: Option<Vec<PackageAssignment>>,
}

/// Releases that a computer runs and is to leave, and approved ones that it ran before.
fn undoing(site: &Site, computer: &Computer) -> (Vec<KnownRelease>, Vec<KnownRelease>) {
    let known =
        |runs: &sealpost_manifests::wire::contact::InstalledPackage| site.releases.get(&runs.manifest);
    let left = computer.installed.iter().filter_map(known);
    let left = left.filter(|known| known.state == ReleaseState::Halted && known.rollback);
    let kept = computer.before.iter().filter_map(known).filter(|known| known.state.is_or_was_approved());
    (left.cloned().collect(), kept.cloned().collect())
}

/// The rules alone, as they are asked by the command.
pub(crate) fn by_rules(site: &mut Site, computer: &mut Computer, cadence: Cadence) -> Answer {
    for report in std::mem::take(&mut computer.reports) {
        let told = computer.deliveries.iter().find(|told| told.manifest == report.manifest);
        let Some(told) = told.filter(|_| report.reason != ReasonCode::AskedBySite).cloned() else { continue };
        let kept = report.step == InstallStep::Keep && report.outcome == Outcome::Ok;
        let after = if kept { DeliveryState::Succeeded } else { DeliveryState::Failed };
        let step = DeliveryStep {
            rollout: told.rollout,
            package: told.package,
            ring: told.ring,
            before: Some(told.state),
            after,
            attempt: told.attempt,
            silence_secs: None,
            waits_since: None,
        };
        site.deliver(computer, &step);
    }
    let (plan, approved) = (site.plan.clone(), &site.approved);
    let runs_newest = approved.iter().all(|newest| {
        let older = |runs: &sealpost_manifests::wire::contact::InstalledPackage| {
            *runs.package() == newest.release.package && runs.counter < newest.counter
        };
        let runs_one = computer.installed.iter().any(|runs| *runs.package() == newest.release.package);
        runs_one && !computer.installed.iter().any(older)
    });
    let (left, kept) = undoing(site, computer);
    let under_way = computer.deliveries.iter().any(|told| told.state.is_under_way());
    if runs_newest && left.is_empty() && !under_way {
        return Answer { packages: Some(Vec::new()) };
    }
    let (platform, channel) = (Platform::new(PLATFORM).unwrap(), stable());
    let none = BTreeMap::new();
    let asked = assignment::Computer {
        channel: &channel,
        platform: &platform,
        licensed: &Licensed::Everything,
        installed: &computer.installed,
        before: &computer.before,
        voided: &BTreeSet::new(),
    };
    let asker = Asker {
        name: &computer.name,
        position: computer.position,
        groups: &computer.groups,
        channel: &channel,
        deliveries: &computer.deliveries,
        attempts: &none,
    };
    let rolling = Rolling { plan: &plan, counts: &site.counts, asker, now: site.now };
    let undoing = Undoing { left: &left, kept: &kept, attempts: &none, back: &none };
    let wanted = assignment::told(&site.approved, &undoing, &asked, &rolling);
    let steps = assigned(&wanted, &computer.deliveries, cadence.silence());
    let packages = wanted.iter().map(Told::assignment).collect();
    for step in steps {
        site.deliver(computer, &step);
    }
    Answer { packages: Some(packages) }
}

/// The license of every computer.
pub(crate) fn grant(site: &Site) -> Grant {
    Grant {
        vendor: "Acme".to_owned(),
        serial: SerialNumber::from_random([1; 19]),
        server_id: site.server.server_id.clone(),
        site_key: site.server.site_key.clone(),
        key_epoch: 1,
        epoch: Epoch::of(1, 0),
        packages: Vec::new(),
        model: LicenseModel::Named,
        seats: 100_000,
        generation: 1,
        not_after: site.now + SignedDuration::from_hours(24 * 366),
        vendor_time: site.now,
        ends_at: None,
        request_id: None,
    }
}

/// A client as the ledger knows it after its enrollment.
pub(crate) fn enrolled(site: &Site, computer: &Computer) -> Box<ContactClient> {
    let grant = grant(site);
    // Nobody verifies it here.
    let (signature, global) = ("A".repeat(95), "A".repeat(86));
    let minisig = format!("untrusted comment: c\nRUQA{signature}=\ntrusted comment: c\n{global}==\n");
    let document =
        SignedDocument { document: "grant".to_owned(), minisig: Minisig::parse(&minisig).unwrap() };
    let seat = HeldGrantText { digest: document.digest(), grant, document, leased: false, used: None };
    Box::new(ContactClient {
        name: computer.name.clone(),
        channel: stable(),
        client_key: PublicKey::new(KeyId::from_bytes([2; 8]), [2; 32]),
        forked: false,
        copies: Vec::new(),
        kept_copy: Kept::Undecided,
        seats: vec![seat],
        lease_order: None,
        assignment_order: None,
        acknowledged_report: 0,
        last: None,
        lease: None,
        assignment: None,
        seen: None,
        reported: BTreeSet::new(),
        not_reserved: false,
        resumed: false,
        log_fork: None,
        drift: Vec::new(),
        attempts: BTreeMap::new(),
        listed: BTreeSet::new(),
        deliveries: Vec::new(),
        left_locally: BTreeMap::new(),
    })
}

/// The whole command.
pub(crate) fn by_command(site: &mut Site, computer: &mut Computer) -> Answer {
    let mut client = computer.client.take().unwrap();
    client.deliveries.clone_from(&computer.deliveries);
    client.deliveries.sort_by(|one, other| one.package.cmp(&other.package));
    client.listed.clone_from(&computer.groups);
    let reports = std::mem::take(&mut computer.reports);
    let command = AnswerContact {
        contact: request(site, computer, &client, reports),
        shown: None,
        head: NamedHead::OfThisLog,
        came_by: None,
    };
    let (left, kept) = undoing(site, computer);
    let day = site.now.as_second() / 86_400 * 86_400;
    let facts = ContactFacts {
        client: Some((*client).clone()),
        approved: site.approved.clone().into(),
        voided: BTreeSet::new(),
        left,
        kept,
        metadata_as_of: Some(Timestamp::from_second(day).unwrap()),
        has_trust: true,
        epoch: Epoch::of(1, 0),
        raised: None,
        restore: RestoreState::default(),
        server_list: None,
        lost: None,
        plan: site.plan.clone(),
        live: LiveRings::new(site.counts.clone(), Default::default()).into(),
    };
    let decision = command.decide(facts, &site.context());
    let outcome = decision.answer.unwrap();
    for (_, change) in decision.changes {
        match change {
            Change::StepReported { delivery, report, .. } => {
                client.reported.insert(report.release.package);
                delivery.iter().for_each(|step| site.deliver(computer, step));
            }
            Change::AssignmentChanged { deliveries, order, .. } => {
                client.assignment_order = Some(order);
                deliveries.iter().for_each(|step| site.deliver(computer, step));
            }
            Change::DeliveriesChanged { computers, .. } => {
                computers.iter().for_each(|of| site.deliver(computer, &of.step));
            }
            Change::LeaseIssued { order, .. } => client.lease_order = Some(order),
            other => panic!("{other:?}"),
        }
    }
    for note in decision.notes {
        match note {
            Note::ContactAnswered { previous, next, at, answer, progress, cadence, .. } => {
                let nonces = NoncePair { previous, next };
                client.acknowledged_report = answer.acknowledged_report;
                client.last = Some(LastContact { at, nonces, answer, progress, cadence });
            }
            Note::LeaseSent { lease } => client.lease = Some(lease),
            Note::AssignmentSent { assignment } => client.assignment = Some(assignment),
            Note::ClientSeen {
                platform,
                agent_version,
                instance,
                hostname,
                installed,
                before,
                tags,
                postponed,
                came_by,
                ..
            } => {
                computer.before.clone_from(&before);
                client.seen = Some(SeenClient {
                    platform,
                    agent_version,
                    instance,
                    hostname,
                    installed,
                    before,
                    tags,
                    postponed,
                    came_by,
                });
            }
            other => panic!("{other:?}"),
        }
    }
    computer.client = Some(client);
    Answer { packages: outcome.assignment.map(|assignment| assignment.packages) }
}

fn request(
    site: &Site,
    computer: &Computer,
    client: &ContactClient,
    reports: Vec<sealpost_manifests::wire::report::Report>,
) -> Contact {
    let number = client.last.as_ref().map_or(0, |last| last.progress.last.contacts) + 1;
    let nonce = |number: u64| {
        let mut random = [0; 16];
        random[..8].copy_from_slice(&number.to_be_bytes());
        random[8..].copy_from_slice(&computer.position.to_be_bytes());
        Nonce::from_random(random)
    };
    let mut highest = HighestOrders::new();
    let orders = [("lease", client.lease_order), ("assignment", client.assignment_order)];
    for (of, order) in orders {
        highest.extend(order.map(|order| (Word::new(of).unwrap(), order)));
    }
    Contact {
        client_id: computer.id.clone(),
        server_id: site.server.server_id.clone(),
        previous: client.last.as_ref().map(|last| last.nonces.next.clone()),
        next: nonce(number),
        receipt: None,
        sent_at: site.now,
        agent_version: "1.0".to_owned(),
        platform: Platform::new(PLATFORM).unwrap(),
        highest,
        held_head: None,
        forked_head: None,
        grants: client.seats.iter().map(|seat| seat.digest).collect(),
        instance: None,
        hostname: None,
        packages: computer.installed.clone(),
        reports,
        drift: Vec::new(),
        tags: Vec::new(),
        postponed: Vec::new(),
        new_key: None,
    }
}
