//! The changes of computers that knock, of copies, and of installs at a time, and a command that makes changes as they are.

use sealpost_keys::{KeyId, PublicKey, SealingPublicKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName, PackageName};
use sealpost_manifests::release::{PackageKind, ReleaseId};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_site::changes::{
    Actor, Change, ComputerAdmitted, ComputerKnocked, CopyResolved, CopySeen, Dropped, EnrolledBy,
    InstallTried, ScheduleChanged,
};
use sealpost_site::commands::{Command, Context, Decision, NoFacts};
use sealpost_site::rules::schedule::{InstallOutcome, Schedule, SshAccess};

use crate::world::{DAY, World, admin, channel, computer_name, platform, serial, setup_id};

/// Makes changes as they are, whatever was decided: they need not be possible.
#[derive(Debug, Clone)]
pub struct Happens(pub Vec<(Actor, Change)>);

impl Command for Happens {
    type Facts = NoFacts;
    type Answer = ();
    const ATTEMPTED: &'static str = "let something happen";

    fn facts(&self) -> NoFacts {
        NoFacts
    }

    fn decide(self, (): (), _: &Context<'_>) -> Decision<()> {
        self.0
            .into_iter()
            .fold(Decision::answer(()), |decision, (actor, change)| decision.change(actor, change))
    }
}

/// Computers without a seat, as a server of before noted them: by their names alone.
#[must_use]
pub fn noted_by_name(names: &[&str]) -> Happens {
    let seen = names.iter().map(|name| {
        let (name, source) = (computer_name(name), "192.0.2.46".to_owned());
        let actor = Actor::Stranger { source: source.clone() };
        (actor, Change::UnknownComputerSeen { name, source, drops: None })
    });
    Happens(seen.collect())
}

fn client(id: u8) -> ClientId {
    ClientId::from_random([id; 16])
}

fn of(name: &ComputerName, id: u8) -> Actor {
    Actor::Client { client_id: client(id), name: name.clone() }
}

fn key(id: u8) -> PublicKey {
    PublicKey::new(KeyId::from_bytes([id; 8]), [id; 32])
}

fn branch(id: u8) -> Sha256Digest {
    Sha256Digest::of(&[id])
}

fn stranger() -> Actor {
    Actor::Stranger { source: "192.0.2.44".to_owned() }
}

/// Every kind, with each optional field filled once, in an order in which they can happen. Names begin as it is said, and end
/// with numbers from 7 to 12.
///
/// # Panics
/// When the beginning is none of a name.
#[must_use]
pub fn seat_changes(world: &World, begin: &str) -> Vec<(Actor, Change)> {
    let name = |number: u8| computer_name(&format!("{begin}{number}"));
    let mut changes = knocks(world, [&name(7), &name(8), &name(9)]);
    changes.extend(copies(world, &name(9)));
    changes.extend(installs(world, [name(10), name(11), name(12)]));
    changes
}

fn knocked(name: &ComputerName, id: u8, drops: Option<Dropped>) -> (Actor, Change) {
    let knocked = ComputerKnocked {
        name: name.clone(),
        client_key: key(id),
        source: "192.0.2.44".to_owned(),
        platform: platform(),
        agent_version: "0.3.0".to_owned(),
        drops,
    };
    (stranger(), Change::ComputerKnocked(knocked))
}

fn knocks(world: &World, [gone_by_name, first, second]: [&ComputerName; 3]) -> Vec<(Actor, Change)> {
    let gone = Dropped { name: first.clone(), client_key: Some(key(80)) };
    let enrolled = |id: u8, setup: u64, replaces, last_contact, by| Change::ClientEnrolled {
        client_id: client(id),
        name: second.clone(),
        client_key: key(id),
        sealing_key: SealingPublicKey::from_bytes([id; 32]),
        platform: platform(),
        agent_version: "0.3.0".to_owned(),
        setup: setup_id(second, setup),
        replaces,
        last_contact,
        by,
    };
    let admitted = ComputerAdmitted {
        name: second.clone(),
        client_key: key(90),
        setup: setup_id(second, 90),
        expires_at: world.at(90 * DAY),
    };
    vec![
        knocked(first, 80, None),
        knocked(second, 91, Some(gone)),
        knocked(second, 90, Some(Dropped { name: gone_by_name.clone(), client_key: None })),
        knocked(first, 81, None),
        (
            admin(),
            Change::SeatReserved { name: second.clone(), channel: channel("stable"), serial: serial(1) },
        ),
        (admin(), Change::ComputerAdmitted(admitted)),
        (of(second, 90), enrolled(90, 90, None, None, EnrolledBy::Admission)),
    ]
}

fn copies(world: &World, name: &ComputerName) -> Vec<(Actor, Change)> {
    let release = ReleaseId {
        package: PackageName::new("acme-av").unwrap(),
        version: Version::new("1.0").unwrap(),
        platform: platform(),
    };
    let manifest = Sha256Digest::of(release.to_string().as_bytes());
    let (kind, counter) = (PackageKind::Program, ReleaseCounter(1));
    let runs = InstalledPackage { release, kind, counter, manifest };
    let seen = |id: u8, days: i64| CopySeen {
        client_id: client(90),
        branch: branch(id),
        seen_at: world.at(days * DAY),
        came_by: "192.0.2.45".parse().ok(),
        hostname: Some("PC-9".to_owned()),
        instance: Some(branch(id + 100)),
        agent_version: "0.3.0".to_owned(),
        packages: vec![runs.clone()],
    };
    let resolved = CopyResolved {
        client_id: client(90),
        name: name.clone(),
        keep: branch(2),
        comment: "the one in the cellar".to_owned(),
    };
    let again = Change::ClientEnrolled {
        client_id: client(92),
        name: name.clone(),
        client_key: key(92),
        sealing_key: SealingPublicKey::from_bytes([92; 32]),
        platform: platform(),
        agent_version: "0.3.0".to_owned(),
        setup: setup_id(name, 92),
        replaces: Some(client(90)),
        last_contact: Some(world.at(30 * DAY)),
        by: EnrolledBy::Copy,
    };
    let second = CopySeen { client_id: client(92), ..seen(3, 33) };
    let other = CopyResolved { client_id: client(92), keep: branch(3), ..resolved.clone() };
    vec![
        (of(name, 90), Change::ForkDetected { client_id: client(90) }),
        (of(name, 90), Change::CopySeen(seen(1, 30))),
        (of(name, 90), Change::CopySeen(seen(2, 31))),
        (admin(), Change::CopyResolved(resolved)),
        (of(name, 92), again),
        // What is left at the end is in the tables.
        (of(name, 92), Change::ForkDetected { client_id: client(92) }),
        (of(name, 92), Change::CopySeen(second)),
        (admin(), Change::CopyResolved(other)),
    ]
}

fn installs(world: &World, [over_ssh, by_file, called_off]: [ComputerName; 3]) -> Vec<(Actor, Change)> {
    let ssh = SshAccess {
        target: "root@pc-10.example:2222".parse().unwrap(),
        host_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
            .parse()
            .unwrap(),
        sudo: true,
    };
    let planned = |name: &ComputerName, ssh: Option<SshAccess>| {
        let schedule = Some(Schedule { at: world.at(100 * DAY), ssh });
        Change::ScheduleChanged(ScheduleChanged { name: name.clone(), schedule })
    };
    let tried = |attempt, outcome, reason: &str| {
        let (name, reason) = (over_ssh.clone(), reason.to_owned());
        Change::InstallTried(InstallTried { name, attempt, outcome, reason })
    };
    let changes = vec![
        planned(&over_ssh, Some(ssh)),
        planned(&by_file, None),
        planned(&called_off, None),
        tried(1, InstallOutcome::Started, ""),
        tried(1, InstallOutcome::Unreachable, "no route to the host"),
        tried(2, InstallOutcome::Started, ""),
        tried(2, InstallOutcome::HostKeyChanged, "the host has another key"),
        tried(3, InstallOutcome::Started, ""),
        tried(3, InstallOutcome::Failed, "the disk is full"),
        tried(4, InstallOutcome::Started, ""),
        tried(4, InstallOutcome::Installed, ""),
        Change::ScheduleChanged(ScheduleChanged { name: called_off, schedule: None }),
    ];
    changes.into_iter().map(|change| (admin(), change)).collect()
}
