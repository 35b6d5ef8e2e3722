//! The changes of the golden log: one of every kind, with every optional field filled, in an order in which they can
//! happen. They are only used to write the log; what is read is the file.

use sealpost_keys::{KeyId, PublicKey, SealingPublicKey, Token};
use sealpost_manifests::assignment::{Action, PackageAssignment, Postpone, Start, Urgency, Why};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::RegistrationReason;
use sealpost_manifests::ids::{ClientId, ComputerName, PackageName, RequestId};
use sealpost_manifests::lease::Entitlement;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::{Epoch, HighestOrders, Order};
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::wire::contact::{Drift, DriftKind};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report, TransferredBytes, Way};
use sealpost_manifests::word::Word;
use sealpost_site::changes::{
    Actor, Approval, Change, DisplacedComputer, EnrolledBy, NextAttempt, Recreated, ReleaseRetry,
    ServerOperation, TokenRevoked, TokenUsed,
};
use sealpost_site::rules::account::{Account, AccountKind, TokenId};
use sealpost_site::rules::release::Supersession;
use sealpost_site::rules::reports::ReportEffect;
use sealpost_site::rules::restore::RestoreCause;
use sealpost_test_support::world::{
    DAY, World, admin, channel, computer_name, era, platform, serial, setup_id,
};

fn key(id: u8) -> PublicKey {
    PublicKey::new(KeyId::from_bytes([id; 8]), [id; 32])
}

pub(super) fn client(id: u8) -> ClientId {
    ClientId::from_random([id; 16])
}

fn digest(text: &str) -> Sha256Digest {
    Sha256Digest::of(text.as_bytes())
}

fn head(size: u64) -> LogHead {
    LogHead { size, root: digest("the root of a log") }
}

pub(super) fn order(sequence: u64) -> Order {
    Order { epoch: Epoch::of(1, 2), sequence }
}

pub(super) fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

pub(super) fn release(counter: u64) -> ReleaseId {
    ReleaseId {
        package: PackageName::new("acme-av").unwrap(),
        version: Version::new(format!("{counter}.0")).unwrap(),
        platform: platform(),
    }
}

pub(super) fn manifest(counter: u64) -> Sha256Digest {
    digest(&release(counter).to_string())
}

pub(super) fn of(name: &ComputerName, id: u8) -> Actor {
    Actor::Client { client_id: client(id), name: name.clone() }
}

/// Every kind of change, and who made it: every kind of actor is among them.
pub(super) fn every_change(world: &World) -> Vec<(Actor, Change)> {
    let name = computer_name("pc-1");
    let mut changes = vec![(
        Actor::Server,
        Change::ServerInitialized { server_id: world.server_id.clone(), site_key: world.site.public() },
    )];
    changes.extend(of_licenses(world, &name));
    changes.extend(of_releases());
    changes.extend(of_computers(world, &name));
    changes.extend(of_restores(world, &name));
    changes.push((
        Actor::Server,
        Change::Refused {
            code: ProblemCode::NoLease,
            source: "192.0.2.9".to_owned(),
            minute: world.at(60),
            count: 12,
            computer: None,
        },
    ));
    changes
}

/// Kinds that came after the first ones: server lists, what is undone, and what computers say of themselves.
pub(super) fn later_changes(world: &World) -> Vec<(Actor, Change)> {
    let ways = vec![world.way("new.example", 443), world.way("192.0.2.7", 16770)];
    let name = computer_name("pc-1");
    let changed = |kind| Drift { package: release(1).package, kind };
    let drift = vec![changed(DriftKind::Changed)];
    vec![
        (admin(), Change::ServerListChanged { sequence: 1, ways }),
        (
            admin(),
            Change::ReleaseHalted {
                release: release(2),
                manifest: manifest(2),
                reason: "it crashes".to_owned(),
                rollback: true,
                withdrawn: true,
                aborted: false,
                supersession: Supersession { superseded: vec![manifest(9)], restored: vec![manifest(1)] },
            },
        ),
        (
            admin(),
            Change::ReleaseReconsidered {
                release: release(3),
                manifest: manifest(3),
                attempt: 2,
                comment: String::new(),
            },
        ),
        (
            admin(),
            Change::ReleaseRetried(ReleaseRetry {
                release: release(1),
                manifest: manifest(1),
                computers: vec![NextAttempt { client_id: client(3), name: name.clone(), attempt: 4 }],
                comment: String::new(),
            }),
        ),
        (admin(), Change::ChannelChanged { name: name.clone(), channel: channel("beta") }),
        (of(&name, 3), Change::DriftReported { client_id: client(3), drift }),
        (
            Actor::Server,
            Change::Refused {
                code: ProblemCode::ContactForked,
                source: "192.0.2.9".to_owned(),
                minute: world.at(120),
                count: 2,
                computer: Some(name),
            },
        ),
    ]
}

/// What came after those.
pub(super) fn token_changes(world: &World) -> Vec<(Actor, Change)> {
    let token: Token = "A".repeat(43).parse().unwrap();
    let (digest, name) = (token.digest(), "anna".to_owned());
    let id = TokenId::of(&digest);
    let anna = Actor::Admin { account: Account::token("anna", id.clone()) };
    let source = "192.0.2.9".to_owned();
    vec![
        (
            admin(),
            Change::AdminTokenMade {
                token: id.clone(),
                digest,
                name: name.clone(),
                ends_at: Some(world.at(366 * DAY)),
                found: true,
                owner: None,
            },
        ),
        (anna.clone(), Change::AdminTokenUsed(TokenUsed { token: id.clone(), name: name.clone(), source })),
        (anna, Change::ServerOperated { operation: ServerOperation::RenewCertificate }),
        (admin(), Change::AdminTokenRevoked(TokenRevoked { token: id, name })),
    ]
}

/// Kinds that came after those.
pub(super) fn latest_changes() -> Vec<(Actor, Change)> {
    let comment = "restored from Monday's backup; \"ticket\" 4711 ü".to_owned();
    vec![(Actor::token("bob"), Change::RestoreAcknowledged { era: era(2), comment })]
}

/// A server starts again after two days.
pub(super) fn started_changes(world: &World) -> Vec<(Actor, Change)> {
    vec![(Actor::Server, Change::ServerStarted { last_sign: world.at(26 * DAY) })]
}

/// Fields of assignments and reports that came with rollouts.
pub(super) fn rollout_fields(world: &World) -> Vec<(Actor, Change)> {
    let name = computer_name("pc-1");
    // Of a release that nothing was said about, as those of the log before are decided by now; and client 2 is replaced.
    let told =
        PackageAssignment { release: release(70), manifest: manifest(70), ..told(world, Action::Install) };
    let postpone = Some(Postpone { times: 3, until: world.at(35) });
    let report = Report {
        id: 8,
        at: world.at(200),
        release: told.release.clone(),
        manifest: told.manifest,
        rollout: 2,
        attempt: 3,
        step: InstallStep::Download,
        outcome: Outcome::Ok,
        reason: ReasonCode::ByDelta,
        detail: "5% of the payload".to_owned(),
        ring: Some("pilots".to_owned()),
        way: Some(Way::Delta),
        bytes: Some(TransferredBytes { metadata: 5_120, manifest: 2_048, payload: 104_857_600 }),
        duration_ms: Some(42_000),
    };
    vec![
        (
            of(&name, 3),
            Change::AssignmentChanged {
                client_id: client(3),
                order: order(9),
                expires_at: world.at(30 * DAY),
                metadata_as_of: world.at(0),
                packages: vec![PackageAssignment { postpone, ..told }],
                deliveries: Vec::new(),
            },
        ),
        (
            of(&name, 3),
            Change::StepReported {
                client_id: client(3),
                report,
                effect: ReportEffect::Progress,
                delivery: None,
            },
        ),
    ]
}

fn of_licenses(world: &World, name: &ComputerName) -> Vec<(Actor, Change)> {
    let grant = world.confirming(1, 1, 10);
    let bob = Actor::token("bob");
    vec![
        (
            admin(),
            Change::SerialRegistered {
                serial: serial(1),
                reason: RegistrationReason::First,
                request_id: RequestId::from_random([3; 16]),
            },
        ),
        (
            admin(),
            Change::GrantAccepted {
                serial: serial(1),
                generation: grant.generation,
                epoch: grant.epoch,
                seats: grant.seats,
                model: grant.model,
                not_after: grant.not_after,
                grant: SignedDocument::sign(&grant, &world.vendor).unwrap(),
                confirms: true,
            },
        ),
        (
            Actor::Stranger { source: "192.0.2.7".to_owned() },
            Change::UnknownComputerSeen {
                name: computer_name("stranger"),
                source: "192.0.2.7".to_owned(),
                drops: Some(computer_name("forgotten")),
            },
        ),
        (admin(), Change::SeatReserved { name: name.clone(), channel: channel("stable"), serial: serial(1) }),
        (
            bob,
            Change::SetupIssued {
                name: name.clone(),
                setup: setup_id(name, 1),
                expires_at: world.at(30 * DAY),
            },
        ),
        (of(name, 1), enrolled(name, 1, None)),
        (of(name, 2), enrolled(name, 2, Some(client(1)))),
    ]
}

fn enrolled(name: &ComputerName, id: u8, replaces: Option<ClientId>) -> Change {
    Change::ClientEnrolled {
        client_id: client(id),
        name: name.clone(),
        client_key: key(id),
        sealing_key: SealingPublicKey::from_bytes([id; 32]),
        platform: platform(),
        agent_version: "0.1.0".to_owned(),
        setup: setup_id(name, u64::from(id)),
        replaces,
        last_contact: None,
        by: EnrolledBy::Code,
    }
}

fn of_releases() -> Vec<(Actor, Change)> {
    let mut changes: Vec<(Actor, Change)> = (1..=6).map(|counter| (Actor::Server, staged(counter))).collect();
    let server = |change| (Actor::Server, change);
    changes.extend([
        server(Change::MetadataPulled { timestamp_version: 9, snapshot_version: 8, root_version: 2 }),
        server(Change::PullFailed { reason: "no route to the vendor".to_owned() }),
        server(Change::ReleaseRefused {
            release: release(7),
            manifest: manifest(7),
            problems: vec!["file a is missing".to_owned(), "file b is longer than signed".to_owned()],
        }),
        server(Change::DeltaMade { base: manifest(1), target: manifest(2), bytes: 4_711 }),
        (admin(), approved(1, Supersession::default())),
        (admin(), approved(2, Supersession { superseded: vec![manifest(1)], restored: vec![manifest(1)] })),
        (
            admin(),
            approved(3, Supersession { superseded: vec![manifest(2), manifest(1)], restored: Vec::new() }),
        ),
        (
            admin(),
            Change::ReleaseRejected {
                release: release(4),
                manifest: manifest(4),
                reason: "too big for the machines in hall 3".to_owned(),
            },
        ),
        server(Change::ReleaseChannelsChanged {
            manifest: manifest(3),
            channels: vec![channel("beta"), channel("stable")],
            supersession: Supersession { superseded: vec![manifest(1)], restored: vec![manifest(1)] },
        }),
        server(Change::ReleaseWithdrawn {
            release: release(3),
            manifest: manifest(3),
            reason: "crashes at start".to_owned(),
            supersession: Supersession { superseded: vec![manifest(1)], restored: vec![manifest(2)] },
        }),
        server(Change::CounterReset {
            package: release(6).package,
            counter: ReleaseCounter(5),
            number: 1,
            voided: vec![manifest(6)],
        }),
    ]);
    changes
}

pub(super) fn staged(counter: u64) -> Change {
    Change::ReleaseStaged {
        release: release(counter),
        manifest: manifest(counter),
        kind: PackageKind::Program,
        counter: ReleaseCounter(counter),
        severity: Severity::Critical,
        channels: vec![channel("stable")],
        signer: key(9),
        payload_bytes: 1_000_000,
        mandatory: false,
    }
}

pub(super) fn approved(counter: u64, supersession: Supersession) -> Change {
    let account = |id: &str| Account { kind: AccountKind::Token, id: id.to_owned(), token: None };
    Change::ReleaseApproved {
        release: release(counter),
        manifest: manifest(counter),
        approval: Approval {
            channels: vec![channel("stable")],
            approvals: vec![account("bob"), account("carol")],
            comment: "tried on three machines".to_owned(),
        },
        rollout: counter,
        staged: None,
        supersession,
    }
}

fn of_computers(world: &World, name: &ComputerName) -> Vec<(Actor, Change)> {
    let client_id = client(2);
    let changes = [
        Change::LeaseIssued {
            client_id: client_id.clone(),
            order: order(1),
            entitlements: vec![Entitlement {
                serial: serial(1),
                model: sealpost_manifests::grant::LicenseModel::Named,
                packages: vec![release(1).package],
                grant: digest("the text of a grant"),
                not_after: world.at(30 * DAY),
            }],
        },
        Change::AssignmentChanged {
            client_id: client_id.clone(),
            order: order(1),
            expires_at: world.at(30 * DAY),
            metadata_as_of: world.at(0),
            packages: vec![told(world, Action::Install), told(world, Action::Rollback)],
            deliveries: Vec::new(),
        },
        Change::StepReported {
            client_id: client_id.clone(),
            report: Report {
                id: 7,
                at: world.at(100),
                release: release(2),
                manifest: manifest(2),
                rollout: 2,
                attempt: 1,
                step: InstallStep::TestLoad,
                outcome: Outcome::Refused,
                reason: ReasonCode::HookRefused,
                detail: "exit status 3: \"not on Fridays\"".to_owned(),
                ring: None,
                way: None,
                bytes: None,
                duration_ms: None,
            },
            effect: ReportEffect::Failure,
            delivery: None,
        },
        Change::LogForkReported { client_id: client_id.clone(), held: head(5), seen: head(9) },
        Change::ForkDetected { client_id },
    ];
    changes.map(|change| (of(name, 2), change)).into()
}

/// An assignment with every field.
fn told(world: &World, action: Action) -> PackageAssignment {
    let counter = if action == Action::Install { 2 } else { 1 };
    let mut release = release(counter);
    if action == Action::Rollback {
        release.package = PackageName::new("acme-cad").unwrap();
    }
    PackageAssignment {
        action,
        download_from: Some(world.at(10)),
        install_from: Some(world.at(20)),
        install_until: Some(world.at(30)),
        deadline: Some(world.at(40)),
        start: Start::ByPerson,
        urgency: Urgency::Emergency,
        why: Some(Why { code: word("ring_failed"), text: "2 of 5 computers went back".to_owned() }),
        ring: Some("pilots".to_owned()),
        ..PackageAssignment::install(release, manifest(counter), 2, 3)
    }
}

fn of_restores(world: &World, name: &ComputerName) -> Vec<(Actor, Change)> {
    let causes = [
        RestoreCause::MarkerDiffers { marker: head(40) },
        RestoreCause::BackupRestored { head: head(30) },
        RestoreCause::Rebuilt { head: head(31) },
        RestoreCause::ClientKnowsMore { client_id: client(3), lease: order(8), head: head(60), contacts: 90 },
    ];
    let mut changes: Vec<(Actor, Change)> = (1..)
        .zip(causes)
        .map(|(number, cause)| {
            let change = Change::LedgerRestored {
                era: era(number),
                cause,
                epoch: Epoch::of(1, 0),
                resumes_until: world.at(60 * DAY),
                lost_era: Some(era(100 + number)),
            };
            (Actor::Server, change)
        })
        .collect();
    changes.push((
        admin(),
        Change::SerialRegistered {
            serial: serial(1),
            reason: RegistrationReason::Restored,
            request_id: RequestId::from_random([9; 16]),
        },
    ));
    changes.push((
        of(name, 3),
        Change::ClientResumed {
            client_id: client(3),
            name: name.clone(),
            era: era(4),
            contacts: 90,
            shown: HighestOrders::from([
                (word("assignment"), order(4)),
                (word("lease"), order(8)),
                (word("settings"), order(2)),
            ]),
            instance: Some(digest("a machine and its boot")),
            provisional_until: world.at(40 * DAY),
            recreated: Some(Recreated {
                client_key: key(3),
                platform: platform(),
                agent_version: "0.1.1".to_owned(),
                channel: channel("stable"),
                serials: vec![serial(2)],
                head: 60,
                replaces: Some(client(2)),
            }),
            displaces: Some(DisplacedComputer {
                contacts: 42,
                instance: Some(digest("another machine and its boot")),
            }),
        },
    ));
    // Of what the client before it had, nothing is left; so the one that is here now gets some of everything again.
    let again = of_computers(world, name).into_iter().filter_map(|(_, mut change)| {
        match &mut change {
            Change::LeaseIssued { client_id, order, .. }
            | Change::AssignmentChanged { client_id, order, .. } => {
                *client_id = client(3);
                order.sequence = 9;
            }
            Change::StepReported { client_id, .. } | Change::LogForkReported { client_id, .. } => {
                *client_id = client(3);
            }
            _ => return None,
        }
        Some((of(name, 3), change))
    });
    changes.extend(again);
    changes
}
