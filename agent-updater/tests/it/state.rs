//! Every state file damaged in turn: the message is read, what it says is done, and it works again.

use std::fs;
use std::path::PathBuf;

use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::control::ToUnwanted;
use sealpost_agent_updater::flows::enroll::OtherName;
use sealpost_agent_updater::flows::repair::repair;
use sealpost_agent_updater::flows::status::ProblemKind;
use sealpost_agent_updater::platform::store;
use sealpost_files::with_causes;

use crate::site::{Site, package};

type Place = fn(&Site) -> PathBuf;

fn home(site: &Site) -> PathBuf {
    site.computer.path().join("home")
}

/// What a person sees: what a contact and the status say.
fn shown(agent: &Agent) -> String {
    format!("{} {}", agent.cycle().problems.join(" "), agent.status().to_text())
}

/// Does what the text advises, as a person would.
fn follow(site: &Site, agent: &Agent, text: &str) {
    if text.contains("`agent-updater repair") {
        let only = text.contains("`agent-updater repair acme`").then(package);
        let answer = repair(&agent.context, only.as_ref()).1;
        assert!(answer.ok, "{answer:?}");
    } else if text.contains("`agent-updater enroll --setup FILE`") {
        if text.contains("`distributor clients setup NAME`") {
            site.server.lock().unwrap().replace_client();
        }
        let root = text.contains("--root").then(|| site.vendor.root_file());
        agent.enroll(&site.setup_file(), root.as_deref(), OtherName::Refuse).unwrap();
    }
}

/// A name, the record, and whether a person has to do something.
type Damaged = (&'static str, Place, bool);

fn damage_and_follow(records: &[Damaged]) {
    for &(name, path, needs_a_person) in records {
        let site = Site::new();
        site.server.lock().unwrap().is_strict = true;
        let agent = site.enrolled();
        for (version, counter, text) in [("1", 1, "one"), ("2", 2, "two")] {
            site.release(version, counter, text);
            assert!(agent.cycle().problems.is_empty(), "{name}");
        }
        fs::write(path(&site), "sealpost-record 3 2 00\n{}").unwrap();
        site.release("3", 3, "three");
        let path = path(&site);
        // A gate file is no record that is read back.
        let holds_up = path.extension().is_some() && {
            let error = store::load::<()>(&path).unwrap_err().to_string();
            error.contains("is installed until it is repaired")
        };
        assert_eq!(holds_up, needs_a_person, "{name}");
        let text = shown(&agent);
        let installs = site.installed().as_deref() == Some("three");
        assert_eq!(installs, !holds_up, "{name}: {text}");
        assert_eq!(
            text.contains("`agent-updater repair") || text.contains("enroll --setup"),
            needs_a_person,
            "{name}: {text}"
        );
        follow(&site, &agent, &text);
        // A release that waits is installed by the next contact, and everything goes on.
        let cycle = agent.cycle();
        assert!(cycle.problems.is_empty(), "{name}: {:?}", cycle.problems);
        assert_eq!(site.installed().as_deref(), Some("three"), "{name}");
        assert!(site.gate().run, "{name}");
        assert!(agent.roll_back(&package(), ToUnwanted::Refuse).is_ok(), "{name}");
        assert_eq!(site.installed().as_deref(), Some("two"), "{name}");
    }
}

#[test]
fn whichever_record_of_this_computer_is_damaged_following_the_message_leads_all_the_way_back() {
    damage_and_follow(&[
        ("journal", |site| home(site).join("state/journal.json"), true),
        ("computer", |site| home(site).join("state/computer.json"), true),
        ("vendor", |site| home(site).join("state/vendor.json"), true),
        ("servers", |site| home(site).join("state/servers.json"), true),
        ("reports", |site| home(site).join("state/reports.json"), false),
        ("package", |site| home(site).join("state/packages/acme.json"), true),
        ("footprints", |site| home(site).join("state/footprints/acme.json"), false),
        ("withdrawn", |site| home(site).join("state/withdrawn.json"), false),
        ("install_root", |site| home(site).join("state/install_root.json"), false),
        ("gate", |site| home(site).join("gate/acme"), false),
    ]);
}

#[test]
fn whichever_record_of_a_server_is_damaged_following_the_message_leads_all_the_way_back() {
    damage_and_follow(&[
        ("enrollment", |site| site.server_record("enrollment"), true),
        ("contact", |site| site.server_record("contact"), true),
        ("standing", |site| site.server_record("standing"), true),
        ("lease", |site| site.server_record("lease"), false),
        ("assignment", |site| site.server_record("assignment"), false),
        ("acknowledgement", |site| site.server_record("acknowledgement"), false),
        ("server_list", |site| site.server_record("server_list"), false),
    ]);
}

#[test]
fn the_status_states_nothing_that_a_damaged_record_cannot_tell() {
    let records: [(&str, Place, &[&str]); 5] = [
        (
            "servers",
            |site| home(site).join("state/servers.json"),
            &["should run something that is not known"],
        ),
        (
            "computer",
            |site| home(site).join("state/computer.json"),
            &["should run something that is not known"],
        ),
        ("vendor", |site| home(site).join("state/vendor.json"), &["should run something that is not known"]),
        (
            "package",
            |site| home(site).join("state/packages/acme.json"),
            &["runs something that is not known"],
        ),
        ("assignment", |site| site.server_record("assignment"), &["what the server assigns is not known"]),
    ];
    for (name, path, expected) in records {
        let site = Site::new();
        let agent = site.enrolled();
        site.release("1", 1, "one");
        assert!(agent.cycle().problems.is_empty(), "{name}");
        fs::write(path(&site), "sealpost-record 3 2 00\n{}").unwrap();
        let status = agent.status();
        let text = status.to_text();
        let body = text.split("\nNote:").next().unwrap();
        for wrong in
            ["not enrolled", "runs nothing", "up to date", "assigns nothing", "never", "none", "V 0.0"]
        {
            assert!(!body.contains(wrong), "{name}: {text}");
        }
        for right in expected {
            assert!(body.contains(right), "{name}: {text}");
        }
        let shown = &status.packages[0];
        assert_eq!(shown.runs_known, name != "package", "{name}");
        assert_eq!(shown.should_run_known, name == "package", "{name}");
    }
}

#[test]
fn a_record_that_is_made_again_keeps_old_releases_out() {
    let site = Site::new();
    let agent = site.enrolled();
    for (version, counter, text) in [("5", 5, "five"), ("6", 6, "six")] {
        site.release(version, counter, text);
        agent.cycle();
    }
    fs::write(home(&site).join("state/packages/acme.json"), "damaged").unwrap();
    follow(&site, &agent, &shown(&agent));
    site.release("4", 4, "four");
    assert!(!agent.cycle().problems.is_empty());
    assert_eq!(
        site.installed().as_deref(),
        Some("six"),
        "a damaged record is no way below what was installed"
    );
}

#[test]
fn a_journal_of_a_stopped_product_is_put_aside_and_every_product_started() {
    let site = Site::new();
    let started = site.computer.path().join("started");
    let hook = site.computer.path().join("start");
    let script = format!("#!/bin/sh\necho start >> {}\n", started.display());
    sealpost_test_support::folders::write_executable(&hook, script).unwrap();
    fs::create_dir_all(home(&site)).unwrap();
    sealpost_test_support::folders::set_mode(&home(&site), 0o755).unwrap();
    let config = format!("[packages.acme]\nstart = [{:?}]\n", hook.display().to_string());
    sealpost_test_support::folders::write_file(&home(&site).join("agent.toml"), config).unwrap();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    agent.cycle();
    fs::write(home(&site).join("state/journal.json"), "damaged").unwrap();
    let text = shown(&agent);
    assert!(text.contains("`agent-updater repair`"), "{text}");
    assert!(repair(&agent.context, None).1.ok);
    assert_eq!(fs::read_to_string(&started).unwrap().lines().count(), 2);
    assert!(home(&site).join("state/journal.ended.damaged.json").exists(), "for people to look at");
    assert!(agent.cycle().problems.is_empty());
    assert!(repair(&agent.context, None).1.ok);
    assert_eq!(fs::read_to_string(&started).unwrap().lines().count(), 2, "nothing is started without need");
    // A repair that was killed after it put the journal aside starts every product all the same.
    fs::write(home(&site).join("state/journal.damaged.json"), "damaged").unwrap();
    assert!(repair(&agent.context, None).1.ok);
    assert_eq!(fs::read_to_string(&started).unwrap().lines().count(), 3);
}

#[test]
fn a_damaged_metadata_store_or_root_is_repaired_as_its_message_says() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    assert!(agent.cycle().problems.is_empty());
    let (store, root) = (home(&site).join("tuf"), home(&site).join("root.json"));
    fs::write(store.join("timestamp.blob"), "damaged").unwrap();
    site.release("2", 2, "two");
    let text = shown(&agent);
    assert!(text.contains("timestamp.blob") && text.contains("or removed after checking the disk"), "{text}");
    fs::remove_dir_all(&store).unwrap();
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("two"));
    fs::write(&root, "damaged").unwrap();
    site.release("3", 3, "three");
    let text = shown(&agent);
    assert!(text.contains("restore root.json from the vendor's package"), "{text}");
    fs::copy(site.vendor.root_file(), &root).unwrap();
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("three"));
}

#[test]
fn a_damaged_key_is_explained_and_a_new_setup_file_leads_on() {
    let site = Site::new();
    let agent = site.enrolled();
    let key = home(&site).join("keys/client.key");
    fs::write(&key, "damaged").unwrap();
    let text = shown(&agent);
    assert!(text.contains("enroll this computer again"), "{text}");
    let problem = || agent.status().problems.remove(0);
    assert_eq!(problem().code, ProblemKind::KeyUnreadable);
    assert!(problem().text.contains("move it away") && problem().text.contains("enroll --setup FILE"));
    let why = with_causes(&agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap_err());
    assert!(why.contains("move it away") && why.contains("new setup file"), "{why}");
    fs::rename(&key, key.with_extension("away")).unwrap();
    assert_eq!(problem().code, ProblemKind::KeyUnreadable);
    assert!(problem().text.contains("is gone") && problem().text.contains("enroll --setup FILE"));
    agent.enroll(&site.setup_file(), None, OtherName::Refuse).unwrap();
    site.server.lock().unwrap().sequence += 10;
    assert!(agent.cycle().problems.is_empty());
    assert!(agent.status().problems.is_empty());
}
