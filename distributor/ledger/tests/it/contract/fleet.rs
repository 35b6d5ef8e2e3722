//! Contracts of how computers stand: silent, outdated, failing; refused, and knocking without a seat.

use sealpost_ledger::Ledger;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};
use sealpost_site::commands::settings::{ChangeMembers, ChangeSettings};
use sealpost_site::queries::{ClientLineByName, ClientLines, Clients, Failing, Fleet, Refusals};
use sealpost_site::rows::{ComputersRow, FleetRow};
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};
use sealpost_site::rules::standing::ComputerState;
use sealpost_site::rules::troubles::{Bounds, Trouble};
use sealpost_test_support::world::{DAY, World, admin, computer_name, installed, report};

use crate::bench::Bench;
use crate::fixture::{WorldExt, release};

fn names(who: &ComputersRow) -> Vec<&str> {
    assert_eq!(who.count, who.names.len() as u64);
    who.names.iter().map(ComputerName::as_str).collect()
}

async fn fleet(world: &World, ledger: &Ledger, seconds: i64) -> FleetRow {
    ledger.query(Fleet { bounds: Bounds::at(world.at(seconds)) }).await.unwrap()
}

/// The names of the list, in pages of one.
async fn listed(world: &World, ledger: &Ledger, seconds: i64, with: &[Trouble]) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let bounds = Bounds::at(world.at(seconds));
        let page = Clients { after, with: with.to_vec(), bounds, limit: 1 };
        let Some(row) = ledger.query(page).await.unwrap().pop() else { return found };
        found.push(row.name.to_string());
        after = Some(row.name);
    }
}

async fn approve(world: &World, ledger: &Ledger, counter: u64, channel: &str, seconds: i64) -> Sha256Digest {
    let staged = world.staged("acme-av", counter, &[channel]);
    let manifest = staged.manifest;
    ledger.execute(world.at(seconds), staged).await.unwrap();
    ledger.execute(world.at(seconds), world.approve(manifest)).await.unwrap();
    manifest
}

pub(super) async fn silent_outdated_and_failing_computers_are_counted_and_listed_alike(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 9).await;
    world.pull(&ledger, 4).await;
    world.reserved(&ledger, "never-came").await;
    let mut again = world.enrolled(&ledger, "again").await;
    let mut current = world.enrolled(&ledger, "current").await;
    let mut fails = world.enrolled(&ledger, "fails").await;
    let mut off = world.enrolled(&ledger, "off").await;
    let one = approve(world, &ledger, 1, "stable", 10).await;
    for computer in [&mut again, &mut current, &mut fails, &mut off] {
        world.contacts(&ledger, computer, 20).await;
    }
    let row = release(&ledger, one).await;
    current.packages = vec![installed(&row)];
    fails.reports = vec![report(1, &row, InstallStep::RollBack, Outcome::Ok)];
    let full = report(1, &row, InstallStep::Download, Outcome::Failed);
    again.reports = vec![Report { reason: ReasonCode::DiskFull, ..full }];
    for computer in [&mut again, &mut current, &mut fails] {
        world.contacts(&ledger, computer, 30).await;
    }

    let failing = ledger.query(Failing {}).await.unwrap();
    assert_eq!(names(&failing.gave_up[&one]), ["fails"]);
    assert_eq!(names(&failing.again[&one]), ["again"], "it tries again by itself");
    let soon = fleet(world, &ledger, DAY + 9).await;
    assert_eq!((soon.enrolled, soon.heard), (4, Some(world.at(30))));
    assert_eq!((soon.offline, soon.outdated), Default::default());
    let later = fleet(world, &ledger, DAY + 10).await;
    assert_eq!(names(&later.outdated), ["again", "fails", "off"]);
    assert_eq!(later.outdated.since, Some(world.at(10)));
    world.contacts(&ledger, &mut current, 11 * DAY - 1).await;
    let later = fleet(world, &ledger, 11 * DAY).await;
    assert_eq!(names(&later.offline), ["again", "fails", "off"]);
    assert_eq!((later.offline.since, later.heard), (Some(world.at(20)), Some(world.at(11 * DAY - 1))));

    let list = |with: &'static [Trouble]| listed(world, &ledger, 11 * DAY, with);
    assert_eq!(list(&[]).await, ["again", "current", "fails", "never-came", "off"]);
    assert_eq!(list(&[Trouble::Failing]).await, ["again", "fails"]);
    assert_eq!(list(&[Trouble::Offline]).await, ["again", "fails", "off"]);
    assert_eq!(list(&[Trouble::Outdated]).await, ["again", "fails", "off"]);
    assert_eq!(list(&Trouble::ALL).await, ["again", "fails"]);

    // What is replaced by something newer before it was installed is passed over; what another channel has is not.
    approve(world, &ledger, 2, "beta", 11 * DAY).await;
    approve(world, &ledger, 3, "stable", 11 * DAY + 10).await;
    approve(world, &ledger, 4, "stable", 12 * DAY).await;
    world.contacts(&ledger, &mut current, 12 * DAY + 1).await;
    let is_outdated = async |seconds| {
        listed(world, &ledger, seconds, &[Trouble::Outdated]).await.contains(&"current".to_owned())
    };
    assert!(!is_outdated(12 * DAY + 9).await && is_outdated(12 * DAY + 10).await);
    ledger.close().await.unwrap();
}

pub(super) async fn the_list_says_of_each_computer_how_it_stands_and_what_it_runs(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 9).await;
    world.pull(&ledger, 4).await;
    world.reserved(&ledger, "never-came").await;
    let mut active = world.enrolled(&ledger, "active").await;
    let mut copied = world.enrolled(&ledger, "copied").await;
    let mut lost = world.enrolled(&ledger, "lost").await;
    world.enrolled(&ledger, "no-contact").await;
    let one = approve(world, &ledger, 1, "stable", 10).await;
    for computer in [&mut active, &mut copied, &mut lost] {
        world.contacts(&ledger, computer, 20).await;
    }
    // A copy of its disk goes on with another nonce.
    let mut copy = copied.clone();
    world.contacts(&ledger, &mut copied, 30).await;
    copy.contacts = 100;
    world.tries(&ledger, &copy, 40).await.unwrap_err();
    let group = GroupName::new("lab").unwrap();
    let value = Some(serde_json::json!({ "rule": { "names": ["x-*"] } }));
    let key = SettingKey { kind: SettingKind::Group, name: "lab".to_owned() };
    let changes = vec![SettingChange { key, value }];
    let change =
        ChangeSettings { actor: admin(), changes, comment: String::new(), expected: None, confirms: None };
    ledger.execute(world.at(50), change).await.unwrap();
    let add = vec![computer_name("lost")];
    let listed = ChangeMembers {
        actor: admin(),
        group: group.clone(),
        add,
        remove: Vec::new(),
        comment: String::new(),
    };
    ledger.execute(world.at(50), listed).await.unwrap();
    active.packages = vec![installed(&release(&ledger, one).await)];
    world.contacts(&ledger, &mut active, 4 * 3600).await;

    let at = world.at(20 + 4 * 3600 + 67 * 60);
    let lines = ledger.query(ClientLines { after: None, limit: 9 }).await.unwrap();
    let found: Vec<_> = lines
        .iter()
        .map(|row| (row.name.as_str(), row.state(ledger.outages(), at), row.last_contact, row.heard))
        .collect();
    use ComputerState::{Active, ContactLost, Reserved, TwoComputers};
    let contact = |seconds| Some(world.at(seconds));
    let enrolled = world.at(3);
    let wanted = [
        ("active", Active, contact(4 * 3600), contact(4 * 3600)),
        ("copied", TwoComputers, contact(30), contact(30)),
        ("lost", ContactLost, contact(20), contact(20)),
        ("never-came", Reserved, None, None),
        ("no-contact", ContactLost, None, Some(enrolled)),
    ];
    assert_eq!(found, wanted);
    let versions: Vec<String> = lines.iter().map(|row| row.display_version().to_string()).collect();
    assert!(versions[0] != versions[1] && versions[1..].iter().all(|shown| shown == "V 0.0 (0000)"));
    let serial = world.grant(1, 9).serial;
    assert!(lines.iter().all(|row| row.serials == [serial.clone()]), "{lines:?}");
    let groups: Vec<usize> = lines.iter().map(|row| row.listed.len()).collect();
    assert_eq!((groups, lines[2].listed.contains(&group)), (vec![0, 0, 1, 0, 0], true));
    assert!(lines[0].lease_until.is_some() && lines[3].lease_until.is_none());
    // The others come after the one of which a page ends.
    let after = Some(computer_name("lost"));
    let rest = ledger.query(ClientLines { after, limit: 1 }).await.unwrap();
    assert_eq!(rest, lines[3..4]);
    let one = ledger.query(ClientLineByName { name: computer_name("copied") }).await.unwrap();
    assert_eq!(one.as_ref(), Some(&lines[1]));
    assert_eq!(ledger.query(ClientLineByName { name: computer_name("unknown") }).await.unwrap(), None);
    ledger.close().await.unwrap();
}

pub(super) async fn refusals_are_listed_with_who_was_answered_since_and_who_knocks_is_counted(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 1).await;
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    world.enrolls(&ledger, &world.computer("stranger")).await.unwrap_err();
    let named = computer_name("pc-1");
    ledger.count_refusal_of(world.at(60), ProblemCode::Displaced, "192.0.2.1", Some(&named));
    world.contacts(&ledger, &mut computer, 70).await;
    ledger.count_refusal(world.at(120), ProblemCode::UnknownComputer, "192.0.2.2");
    ledger.close().await.unwrap();
    let ledger = bench.open();
    let refusals = ledger.query(Refusals {}).await.unwrap();
    let found: Vec<_> =
        refusals.iter().map(|row| (row.code, row.count, row.computer.clone(), row.answered)).collect();
    assert_eq!(
        found,
        [
            (ProblemCode::UnknownComputer, 1, None, None),
            (ProblemCode::Displaced, 1, Some(named), Some(world.at(70)))
        ]
    );
    let fleet = fleet(world, &ledger, 200).await;
    assert_eq!((names(&fleet.pending), fleet.pending.since), (vec!["stranger"], Some(world.at(3))));
    ledger.close().await.unwrap();
}
