//! Values that every test of a server needs: names, serial numbers, reports, and what an admin does.

use jiff::Timestamp;
use sealpost_keys::Token;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, ComputerName, EraId, Platform, SerialNumber, SetupId};
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};
use sealpost_site::changes::{Actor, ServerOperation};
use sealpost_site::commands::clients::Reserve;
use sealpost_site::commands::releases::{RejectRelease, WithdrawRelease};
use sealpost_site::commands::tokens::{MakeTokens, NewToken, OperateServer, Origin, RevokeToken, UseToken};
use sealpost_site::commands::undoing::ReconsiderRelease;
use sealpost_site::rows::ReleaseRow;
use sealpost_site::rules::account::TokenId;
use sealpost_site::rules::names::MixedScripts;

/// A day in seconds.
pub const DAY: i64 = 24 * 3600;

/// The admin of the tests.
#[must_use]
pub fn admin() -> Actor {
    Actor::socket("alice")
}

/// The admin takes a seat for a name on channel `stable`, of any serial number.
#[must_use]
pub fn reserve(name: &str) -> Reserve {
    Reserve {
        actor: admin(),
        name: computer_name(name),
        channel: None,
        mixed: MixedScripts::AskBack,
        serial: None,
    }
}

/// The admin takes a seat for a name on a channel, of any serial number.
#[must_use]
pub fn reserve_for(name: &str, channel_name: &str) -> Reserve {
    Reserve { channel: Some(channel(channel_name)), ..reserve(name) }
}

/// The admin takes a seat of one serial number for a name.
#[must_use]
pub fn reserve_of(name: &str, serial: SerialNumber) -> Reserve {
    Reserve { serial: Some(serial), ..reserve(name) }
}

/// The admin rejects a manifest.
#[must_use]
pub fn reject(manifest: Sha256Digest, reason: &str) -> RejectRelease {
    RejectRelease { actor: admin(), manifest, reason: reason.to_owned() }
}

/// The admin takes back a decision against a manifest.
#[must_use]
pub fn reconsider(manifest: Sha256Digest) -> ReconsiderRelease {
    ReconsiderRelease { actor: admin(), manifest, comment: "it was mended".to_owned() }
}

/// The vendor withdraws a manifest.
#[must_use]
pub fn withdraw(manifest: Sha256Digest, reason: &str) -> WithdrawRelease {
    WithdrawRelease { manifest, reason: reason.to_owned() }
}

/// The life of an admin token, and something that an admin does at the server: the commands that only write to the log.
#[must_use]
pub fn token_commands(name: &str) -> (MakeTokens, UseToken, RevokeToken, OperateServer) {
    let token: Token = "A".repeat(43).parse().unwrap();
    let (digest, name) = (token.digest(), name.to_owned());
    let id = TokenId::of(&digest);
    let tokens = vec![NewToken { name: name.clone(), digest, ends_at: None, account: None }];
    (
        MakeTokens { actor: admin(), tokens, origin: Origin::Made },
        UseToken { name: name.clone(), token: id.clone(), source: "192.0.2.7".to_owned() },
        RevokeToken { actor: admin(), name, token: id },
        OperateServer { actor: admin(), operation: ServerOperation::MakeBackup },
    )
}

/// One of the vendor's serial numbers.
#[must_use]
pub fn serial(id: u8) -> SerialNumber {
    SerialNumber::from_random([id; 19])
}

/// One of the setups of a name.
#[must_use]
pub fn setup_id(name: &ComputerName, number: u64) -> SetupId {
    let digest = Sha256Digest::of(format!("{name} {number}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    SetupId::from_random(bytes)
}

/// The time after a restore; 0 is the time before the first one.
#[must_use]
pub fn era(number: u8) -> EraId {
    if number == 0 { EraId::first() } else { EraId::from_random([number; 16]) }
}

/// A channel by its name.
#[must_use]
pub fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

/// A computer's name, spelled in any way.
#[must_use]
pub fn computer_name(name: &str) -> ComputerName {
    ComputerName::new(name).unwrap()
}

/// The platform of every computer and release here.
#[must_use]
pub fn platform() -> Platform {
    Platform::new("linux-x86_64").unwrap()
}

/// A report about a step of installing a release.
#[must_use]
pub fn report(id: u64, row: &ReleaseRow, step: InstallStep, outcome: Outcome) -> Report {
    Report {
        id,
        at: Timestamp::from_second(1_800_000_100).unwrap(),
        release: row.release.clone(),
        manifest: row.manifest,
        rollout: row.rollout.unwrap_or(0),
        attempt: 1,
        step,
        outcome,
        reason: ReasonCode::Done,
        detail: String::new(),
        ring: None,
        way: None,
        bytes: None,
        duration_ms: None,
    }
}

/// A release as the computer that runs it names it.
#[must_use]
pub fn installed(row: &ReleaseRow) -> InstalledPackage {
    InstalledPackage {
        release: row.release.clone(),
        kind: row.kind,
        counter: row.counter,
        manifest: row.manifest,
    }
}
