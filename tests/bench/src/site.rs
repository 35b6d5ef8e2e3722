//! A site of the wanted size: made by `distributor init`, then filled through the ledger's own commands while no server
//! runs, as thousands of computers and releases would have filled it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, bail};
use futures_util::StreamExt;
use futures_util::stream::iter;
use jiff::{SignedDuration, Timestamp};
use sealpost_keys::token::random_bytes;
use sealpost_keys::{PublicKey, SealingKey, SigningKey};
use sealpost_ledger::sqlite::SqliteStore;
use sealpost_ledger::{Ledger, LedgerSettings};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, LicenseModel};
use sealpost_manifests::ids::{
    ChannelName, ClientId, ComputerName, PackageName, Platform, SerialNumber, ServerId, SetupId,
};
use sealpost_manifests::license_time::VendorStatement;
use sealpost_manifests::order::Epoch;
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::trust::{KeyStatus, KeyUse, TrustDocument, TrustedKey};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::wire::enroll::Enrollment;
use sealpost_manifests::word::Word;
use sealpost_site::changes::Actor;
use sealpost_site::commands::clients::{Enroll, IssueSetup, Reserve};
use sealpost_site::commands::licenses::AcceptGrant;
use sealpost_site::commands::pulls::{PullSucceeded, PulledVersions};
use sealpost_site::commands::releases::{ApproveRelease, StageRelease};
use sealpost_site::commands::rollouts::AdvanceRollouts;
use sealpost_site::commands::settings::{ChangeSettings, LoadPlan};
use sealpost_site::queries::{MAX_PAGE, Rollouts as OpenRollouts};
use sealpost_site::rules::enrollment::Proof;
use sealpost_site::rules::names::MixedScripts;
use sealpost_site::rules::rollouts::progress::Population;
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};
use sealpost_site::rules::rollouts::strategy::everyone_now;
use sealpost_site::rules::test_load::Wanted;

use crate::kept_trust;

/// Computers that contact, spread over all reservations: more would only lengthen the preparation.
const MAX_COMPUTERS: u32 = 2_000;
/// Packages that the releases belong to; the newest release of each is the one that computers get.
const PACKAGES: u32 = 10;
/// Seats that nobody holds.
pub(crate) const SPARE_SEATS: u32 = 10_000;
/// Commands that wait for the ledger at once, so that they share transactions.
const AT_ONCE: usize = 256;

/// What clients need to know of it.
pub(crate) struct Site {
    pub(crate) server_id: ServerId,
    pub(crate) platform: Platform,
    pub(crate) computers: Vec<(ClientId, SigningKey)>,
    pub(crate) trust: Arc<TrustDocument>,
}

/// How releases go out there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rollouts {
    /// To everybody at once; there are no groups and no windows.
    EveryoneNow,
    /// The newest of each package ring by ring; a third of the computers has a window.
    Rings,
}

pub(crate) async fn make(
    programs: &Path,
    folder: &Path,
    reservations: u32,
    releases: u32,
    rollouts: Rollouts,
) -> anyhow::Result<Site> {
    let home = folder.join("server");
    init(programs, folder, &home)?;
    let store = SqliteStore::open(&home.join("ledger.db"))?;
    let ledger = Arc::new(Ledger::start(Box::new(store), LedgerSettings::default())?);
    let platform = Platform::new("linux-x86_64")?;
    let vendor = SigningKey::generate()?;
    let trust = Arc::new(trust(&vendor.public(), PACKAGES.min(releases))?);
    kept_trust::keep(&home, &trust)?;
    ledger.adopt_trust(Arc::clone(&trust));
    unlock(&ledger, &vendor, reservations.saturating_add(SPARE_SEATS)).await?;
    let versions = PulledVersions { root: 1, timestamp: 1, snapshot: 1 };
    let now = Timestamp::now();
    let statement = VendorStatement::new(now, now.checked_add(SignedDuration::from_hours(24))?);
    ledger.execute(now, PullSucceeded { versions, statement, corrected_to: None }).await?;
    if rollouts == Rollouts::Rings {
        settle(&ledger).await?;
    }
    publish(&ledger, &trust, &vendor.public(), releases, &platform, rollouts).await?;
    let computers = enroll(&ledger, reservations, &platform).await?;
    // The first rings are open when the server starts: no contact that is measured brings their documents.
    let populations = look(&ledger).await?;
    advance(&ledger, populations).await?;
    ledger.close().await?;
    Ok(Site { server_id: ledger.server_id(), platform, computers, trust })
}

/// A look at all computers.
pub(crate) async fn look(ledger: &Ledger) -> anyhow::Result<BTreeMap<u64, Vec<Population>>> {
    let plan = ledger.query(LoadPlan {}).await?;
    let open = ledger.query(OpenRollouts { before: None, open: true, limit: MAX_PAGE }).await?;
    Ok(ledger.survey(&plan, &open, Timestamp::now()).await?)
}

/// Answers how many rollouts are live.
pub(crate) async fn advance(
    ledger: &Ledger,
    populations: BTreeMap<u64, Vec<Population>>,
) -> anyhow::Result<usize> {
    let (now, elapsed) = (Timestamp::now(), SignedDuration::from_secs(1));
    let command =
        AdvanceRollouts { now, elapsed, populations, watched: BTreeMap::new(), after: BTreeMap::new() };
    Ok(ledger.execute(now, command).await?.waiting.len())
}

fn init(programs: &Path, folder: &Path, home: &Path) -> anyhow::Result<()> {
    let root = folder.join("root.json");
    // Nothing is pulled here, so nothing is verified with it.
    std::fs::write(&root, br#"{"signed":{"_type":"root"}}"#).context("cannot write a root")?;
    let status = Command::new(programs.join("distributor"))
        .arg("--home")
        .arg(home)
        .args(["init", "--vendor-url", "http://127.0.0.1:9/", "--address", "127.0.0.1", "--root"])
        .arg(&root)
        .output()?;
    if !status.status.success() {
        bail!("distributor init failed: {}", String::from_utf8_lossy(&status.stderr));
    }
    Ok(())
}

fn admin() -> Actor {
    Actor::socket("bench")
}

async fn unlock(ledger: &Ledger, vendor: &SigningKey, seats: u32) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let grant = Grant {
        vendor: "Acme".to_owned(),
        serial: SerialNumber::from_random([1; 19]),
        server_id: ledger.server_id(),
        site_key: ledger.site_key().clone(),
        key_epoch: 1,
        epoch: Epoch::of(1, 0),
        packages: Vec::new(),
        model: LicenseModel::Named,
        seats,
        generation: 1,
        not_after: now.checked_add(SignedDuration::from_hours(24 * 366))?,
        vendor_time: now,
        ends_at: None,
        request_id: None,
    };
    let document = SignedDocument::sign(&grant, vendor)?;
    ledger.execute(now, AcceptGrant { actor: admin(), grant, document, asked_for: None }).await?;
    Ok(())
}

async fn publish(
    ledger: &Ledger,
    trust: &Arc<TrustDocument>,
    signer: &PublicKey,
    releases: u32,
    platform: &Platform,
    rollouts: Rollouts,
) -> anyhow::Result<()> {
    let packages = PACKAGES.min(releases);
    for number in 0..releases {
        let package = package(number % packages)?;
        let counter = u64::from(number / packages) + 1;
        let in_rings = rollouts == Rollouts::Rings && number + packages >= releases;
        let release =
            ReleaseId { package, version: Version::new(format!("{counter}.0"))?, platform: platform.clone() };
        let manifest = Sha256Digest::of(release.to_string().as_bytes());
        let staged = StageRelease {
            release,
            manifest,
            kind: PackageKind::Program,
            counter: ReleaseCounter(counter),
            severity: Severity::Normal,
            channels: vec![ChannelName::new("stable")?],
            signer: signer.clone(),
            payload_bytes: 1_000_000,
            mandatory: false,
        };
        ledger.execute(Timestamp::now(), staged).await?;
        let approve = ApproveRelease {
            actor: admin(),
            manifest,
            channels: None,
            trust: Some(Arc::clone(trust)),
            comment: String::new(),
            strategy: Some(if in_rings { Word::new(STRATEGY)? } else { everyone_now() }),
            emergency: false,
            test_load: Wanted::Nothing,
            despite_deferral: false,
            confirms: None,
        };
        ledger.execute(Timestamp::now(), approve).await?;
    }
    Ok(())
}

/// The strategy of [`Rollouts::Rings`].
const STRATEGY: &str = "bench";
/// Groups of [`Rollouts::Rings`], each by a pattern of names.
const GROUPS: u32 = 20;

/// Groups, a window, and a strategy with rings and caps.
async fn settle(ledger: &Ledger) -> anyhow::Result<()> {
    let setting =
        |kind, name: String, value| SettingChange { key: SettingKey { kind, name }, value: Some(value) };
    let window = serde_json::json!({
        "days": ["monday", "wednesday", "friday"], "from": "22:00", "length_minutes": 300, "zone": "Europe/Berlin",
    });
    let rings = serde_json::json!([
        { "name": "canary", "takes": { "first": 10 }, "soak_minutes": 600, "errors": { "count": 5, "percent": 5 } },
        { "name": "pilots", "takes": { "group": "group-00" }, "soak_minutes": 600, "concurrent": 500 },
        { "name": "tenth", "takes": { "share": "10 %" }, "soak_minutes": 600, "per_hour": 2000 },
        { "name": "everyone", "takes": "everyone", "soak_minutes": 600, "concurrent": 5000, "per_hour": 10000 },
    ]);
    let mut changes = vec![
        setting(SettingKind::Window, "nights".to_owned(), window),
        setting(SettingKind::Strategy, STRATEGY.to_owned(), serde_json::json!({ "rings": rings })),
    ];
    for number in 0..GROUPS {
        let delivery = if number % 3 == 0 { "window:nights" } else { "push" };
        let value =
            serde_json::json!({ "rule": { "names": [format!("*{number:02}")] }, "delivery": delivery });
        changes.push(setting(SettingKind::Group, format!("group-{number:02}"), value));
    }
    let change = ChangeSettings {
        actor: admin(),
        changes,
        comment: "for a figure".to_owned(),
        expected: None,
        confirms: None,
    };
    ledger.execute(Timestamp::now(), change).await?;
    Ok(())
}

fn package(number: u32) -> anyhow::Result<PackageName> {
    Ok(PackageName::new(format!("package-{number}"))?)
}

/// One key signs releases and grants here.
fn trust(signer: &PublicKey, packages: u32) -> anyhow::Result<TrustDocument> {
    let license = TrustedKey {
        key_use: KeyUse::License,
        package: None,
        key: signer.to_base64(),
        status: KeyStatus::Active,
        digests: BTreeSet::new(),
    };
    let listed = |number| {
        Ok(TrustedKey {
            key_use: KeyUse::Release,
            package: Some(package(number)?),
            key: signer.to_string(),
            status: KeyStatus::Active,
            digests: BTreeSet::new(),
        })
    };
    Ok(TrustDocument {
        vendor: "Acme".to_owned(),
        keys: std::iter::once(Ok(license)).chain((0..packages).map(listed)).collect::<anyhow::Result<_>>()?,
        counter_resets: Vec::new(),
        licensing_contact: None,
        signed_at: Timestamp::now(),
    })
}

async fn enroll(
    ledger: &Ledger,
    reservations: u32,
    platform: &Platform,
) -> anyhow::Result<Vec<(ClientId, SigningKey)>> {
    let every = reservations.div_ceil(MAX_COMPUTERS);
    let enrolled = iter(0..reservations).map(|number| async move {
        let name = ComputerName::new(format!("pc-{number:06}"))?;
        let now = Timestamp::now();
        let (channel, mixed) = (None, MixedScripts::AskBack);
        let reserve = Reserve { actor: admin(), name: name.clone(), channel, mixed, serial: None };
        ledger.execute(now, reserve).await?;
        let setup = SetupId::from_random(random_bytes()?);
        let issue = IssueSetup { actor: admin(), name: name.clone(), setup: setup.clone(), valid_days: 30 };
        ledger.execute(now, issue).await?;
        let key = SigningKey::generate()?;
        let enrollment = Enrollment {
            computer_name: name,
            client_key: key.public(),
            sealing_key: SealingKey::generate()?.public(),
            server_id: ledger.server_id(),
            platform: platform.clone(),
            agent_version: "0.1.0".to_owned(),
        };
        let new_id = ClientId::from_random(random_bytes()?);
        let command = Enroll {
            source: "127.0.0.1".to_owned(),
            enrollment,
            proof: Proof::Setup(setup),
            copy: None,
            new_id: new_id.clone(),
        };
        ledger.execute(now, command).await?;
        anyhow::Ok((number % every == 0).then_some((new_id, key)))
    });
    let mut computers = Vec::new();
    let mut enrolled = std::pin::pin!(enrolled.buffer_unordered(AT_ONCE));
    while let Some(one) = enrolled.next().await {
        computers.extend(one?);
    }
    Ok(computers)
}
