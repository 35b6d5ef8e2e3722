//! Damage by somebody at the computer, seen by the next contact and repaired by the command that is named.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::control::Answer;
use sealpost_agent_updater::control::ToUnwanted;
use sealpost_agent_updater::flows::install::ChangeEnd;
use sealpost_agent_updater::flows::install_root::accept_new;
use sealpost_agent_updater::flows::repair::repair;
use sealpost_agent_updater::flows::retry::retry;
use sealpost_agent_updater::records::self_state;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::contact::DriftKind;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};
use sealpost_test_support::folders::{make_writable, set_mode, write_executable, write_file};

use crate::self_update::Lab;
use crate::site::{Site, package};

type Damage = fn(&Site);

fn product(site: &Site) -> PathBuf {
    site.computer.path().join("home/products/acme")
}

fn installed(site: &Site) -> Agent {
    let agent = site.enrolled();
    site.release("1", 1, "one");
    assert!(agent.cycle().problems.is_empty());
    agent
}

fn change(site: &Site) {
    let file = product(site).join("current/text");
    set_mode(&file, 0o644).unwrap();
    fs::write(&file, "changed").unwrap();
}

fn repaired(agent: &Agent) -> Answer {
    repair(&agent.context, Some(&package())).1
}

#[test]
fn damage_is_reported_by_the_next_contact_shown_and_repaired_by_the_command_that_is_named() {
    let damages: [(DriftKind, Damage); 5] = [
        (DriftKind::Missing, |site| fs::remove_dir_all(product(site)).unwrap()),
        (DriftKind::Missing, |site| {
            let slots = product(site).join("slots");
            for slot in fs::read_dir(slots).unwrap() {
                fs::remove_dir_all(slot.unwrap().path()).unwrap();
            }
        }),
        (DriftKind::Link, |site| fs::remove_file(product(site).join("current")).unwrap()),
        (DriftKind::Link, |site| {
            fs::remove_file(product(site).join("current")).unwrap();
            fs::create_dir(product(site).join("current")).unwrap();
        }),
        (DriftKind::Changed, change),
    ];
    for (kind, damage) in damages {
        let site = Site::new();
        let agent = installed(&site);
        damage(&site);
        let problems = agent.cycle().problems.join(" ");
        assert!(problems.contains("`agent-updater repair acme`"), "{kind}: {problems}");
        let contacts = site.contacts();
        let drift = &contacts.last().unwrap().drift;
        assert_eq!((drift[0].package.as_str(), drift[0].kind, drift.len()), ("acme", kind, 1));
        let status = agent.status();
        assert!(status.packages[0].drift.is_some(), "{kind}");
        assert!(status.to_text().contains("not as it was signed"), "{}", status.to_text());
        let answer = repaired(&agent);
        assert!(answer.ok, "{kind}: {answer:?}");
        assert_eq!(site.installed().as_deref(), Some("one"), "{kind}");
        assert!(agent.cycle().problems.is_empty(), "{kind}");
        assert!(site.contacts().last().unwrap().drift.is_empty(), "{kind}");
        assert!(agent.audit().unwrap().iter().all(|one| one.problems.is_empty()), "{kind}");
    }
}

#[test]
fn a_look_at_what_is_unchanged_reads_no_file() {
    let site = Site::new();
    let agent = installed(&site);
    assert!(agent.cycle().problems.is_empty());
    // What cannot be opened cannot have been read: only its owner and the record of the last look are compared.
    let kept = site.computer.path().join("home/manifests");
    fs::rename(&kept, site.computer.path().join("elsewhere")).unwrap();
    assert!(agent.cycle().problems.is_empty(), "without the manifest nothing could be digested");
}

#[test]
fn a_slot_that_was_put_back_from_a_backup_is_digested_once_and_no_damage() {
    let site = Site::new();
    let agent = installed(&site);
    let file = product(&site).join("current/text");
    let folder = fs::canonicalize(product(&site).join("current")).unwrap();
    set_mode(&folder, 0o755).unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, "one").unwrap();
    set_mode(&file, 0o444).unwrap();
    set_mode(&folder, 0o555).unwrap();
    assert!(agent.cycle().problems.is_empty());
}

#[test]
fn a_new_release_heals_a_package_whose_folder_is_gone() {
    let site = Site::new();
    let agent = installed(&site);
    fs::remove_dir_all(product(&site)).unwrap();
    site.release("2", 2, "two");
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("two"));
}

#[test]
fn a_link_is_repaired_without_a_server_and_bytes_are_not_invented() {
    let site = Site::new();
    let agent = installed(&site);
    let down = || site.refuse("contact", ProblemCode::Internal);
    fs::remove_file(product(&site).join("current")).unwrap();
    let before = site.contacts().len();
    assert!(repaired(&agent).ok);
    assert_eq!((site.installed().as_deref(), site.contacts().len()), (Some("one"), before));
    change(&site);
    down();
    let answer = repaired(&agent);
    assert!(!answer.ok && answer.lines.join(" ").contains("internal"), "{answer:?}");
    assert_eq!(site.installed().as_deref(), Some("changed"), "nothing was removed either");
    // Assigned is nothing any more: the server would hand nothing out.
    site.server.lock().unwrap().assigned.clear();
    let answer = repaired(&agent);
    assert!(!answer.ok && answer.lines.join(" ").contains("assign"), "{answer:?}");
    site.release("2", 2, "two");
    assert!(repaired(&agent).ok, "what is assigned now is installed");
    assert_eq!(site.installed().as_deref(), Some("two"));
}

#[test]
fn what_the_server_hands_out_no_more_is_no_case_for_a_repair_and_the_way_back_is_named() {
    let site = Site::new();
    let agent = installed(&site);
    site.release("2", 2, "two");
    assert!(agent.cycle().problems.is_empty());
    // The release is halted: it is assigned no more.
    site.server.lock().unwrap().assigned.clear();
    assert!(agent.cycle().problems.is_empty());
    change(&site);
    let way = "not assigned any more, so the server hands it out to nobody and it cannot be built again: \
               `agent-updater rollback acme` goes back to 1";
    for said in [agent.cycle().problems.join(" "), agent.status().to_text(), repaired(&agent).lines.join(" ")]
    {
        assert!(said.contains(way) && !said.contains("agent-updater repair"), "{said}");
    }
    assert!(!repaired(&agent).ok);
    assert_eq!(agent.roll_back(&package(), ToUnwanted::Refuse).unwrap(), ChangeEnd::Kept);
    assert_eq!(site.installed().as_deref(), Some("one"));
    // A link needs no bytes.
    fs::remove_file(product(&site).join("current")).unwrap();
    assert!(agent.cycle().problems.join(" ").contains("`agent-updater repair acme` puts it right"));
    assert!(repaired(&agent).ok);
}

#[test]
fn a_repair_says_what_it_did() {
    let site = Site::new();
    let agent = installed(&site);
    assert_eq!(repaired(&agent).lines, ["acme 1 (any) is as it was signed"]);
    change(&site);
    assert_eq!(
        repaired(&agent).lines,
        ["acme 1 (any) was built again from what the server assigns, and is as it was signed"]
    );
}

#[test]
fn a_repair_of_what_is_not_installed_is_refused() {
    let site = Site::new();
    let agent = site.enrolled();
    let answer = repaired(&agent);
    assert!(!answer.ok && answer.lines[0].contains("nothing of acme is installed"), "{answer:?}");
}

#[test]
fn a_damaged_release_that_a_rollback_goes_to_is_shown_and_not_offered_after_a_repair() {
    let site = Site::new();
    let agent = installed(&site);
    let old = fs::canonicalize(product(&site).join("current")).unwrap();
    site.release("2", 2, "two");
    assert!(agent.cycle().problems.is_empty());
    fs::remove_dir_all(&old).unwrap();
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    let said = cycle.notices.join(" ");
    assert!(said.contains("a rollback goes to") && said.contains("takes it out of what"), "{said}");
    assert!(!said.contains("puts it right"), "{said}");
    let text = agent.status().to_text();
    assert!(
        text.contains("no rollback: 1, to which it would go") && !text.contains("rollback goes to 1"),
        "{text}"
    );
    assert!(repaired(&agent).ok);
    assert_eq!(agent.status().packages[0].previous, None);
    assert!(agent.cycle().notices.is_empty());
}

#[test]
fn a_rollback_by_hand_wins_over_the_attempt_that_the_server_names_also_after_the_record_was_made_again() {
    for is_damaged in [true, false] {
        let site = Site::new();
        let agent = installed(&site);
        site.release("2", 2, "two");
        assert!(agent.cycle().problems.is_empty());
        // An administrator had it tried once more, and this computer ran it already.
        site.server.lock().unwrap().assigned[0].attempt = 3;
        assert!(agent.cycle().problems.is_empty());
        if is_damaged {
            fs::write(agent.home().package_record(&package()), "garbage").unwrap();
            assert!(repaired(&agent).ok);
        }
        assert_eq!(agent.roll_back(&package(), ToUnwanted::Refuse).unwrap(), ChangeEnd::Kept);
        let problems = agent.cycle().problems.join(" ");
        assert!(problems.contains("given up"), "{problems}");
        assert_eq!(site.installed().as_deref(), Some("one"), "damaged: {is_damaged}");
        let last = site.server.lock().unwrap().reports.last().unwrap().clone();
        assert_eq!(
            (last.step, last.reason, last.attempt),
            (InstallStep::RollBack, ReasonCode::AskedLocally, 3)
        );
        // A further attempt is what the administrator asks for since.
        site.server.lock().unwrap().assigned[0].attempt = 4;
        assert!(agent.cycle().problems.is_empty());
        assert_eq!(site.installed().as_deref(), Some("two"));
    }
}

#[test]
fn a_release_that_a_rollback_goes_to_is_kept_by_a_repair_that_cannot_look_at_it() {
    let site = Site::new();
    let agent = installed(&site);
    site.release("2", 2, "two");
    assert!(agent.cycle().problems.is_empty());
    let previous = agent.status().packages[0].previous.clone();
    assert!(previous.is_some());
    // Nobody looks into a folder that others can change.
    set_mode(&product(&site), 0o775).unwrap();
    let answer = repaired(&agent);
    let said = answer.lines.join(" ");
    assert!(!answer.ok && said.contains("could not be looked at, and is kept as it is"), "{said}");
    set_mode(&product(&site), 0o755).unwrap();
    assert!(repaired(&agent).ok);
    assert_eq!(agent.status().packages[0].previous, previous);
    assert!(agent.cycle().notices.is_empty());
}

#[test]
fn what_was_given_up_is_tried_again_by_the_person_who_repaired_the_cause() {
    let site = Site::new();
    let home = site.computer.path().join("home");
    let hook = site.computer.path().join("test_load");
    write_executable(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    fs::create_dir_all(&home).unwrap();
    set_mode(&home, 0o755).unwrap();
    let config = format!(
        "[packages.acme]\ntest_load = [{:?}]\ntest_load_user = \"0:0\"\n",
        hook.display().to_string()
    );
    fs::write(home.join("agent.toml"), config).unwrap();
    set_mode(&home.join("agent.toml"), 0o644).unwrap();
    let agent = site.enrolled();
    let nothing = retry(&agent.context, &package()).1;
    assert!(!nothing.ok && nothing.lines[0].contains("nothing of acme was given up"), "{nothing:?}");
    site.release("1", 1, "one");
    let problems = agent.cycle().problems.join(" ");
    assert!(problems.contains("`agent-updater retry PACKAGE`"), "{problems}");
    let payloads = site.web.asked(".tar.gz").len();
    agent.cycle();
    assert_eq!(site.web.asked(".tar.gz").len(), payloads, "it is not tried by itself");
    // Tried again before the cause is repaired, it is given up again.
    assert!(!retry(&agent.context, &package()).1.ok);
    write_executable(&hook, "#!/bin/sh\nexit 0\n").unwrap();
    let answer = retry(&agent.context, &package()).1;
    assert!(answer.ok, "{answer:?}");
    assert_eq!(site.installed().as_deref(), Some("one"));
    let server = site.server.lock().unwrap();
    let asked = |report: &&sealpost_manifests::wire::report::Report| {
        (report.step, report.outcome, report.reason)
            == (InstallStep::Check, Outcome::Ok, ReasonCode::AskedLocally)
    };
    assert_eq!(server.reports.iter().filter(asked).count(), 2);
}

/// What a disk leaves that is not mounted: an empty folder.
pub(crate) fn unmount(site: &Site) -> PathBuf {
    let (root, disk) = (site.computer.path().join("home/products"), site.computer.path().join("disk"));
    fs::rename(&root, &disk).unwrap();
    fs::create_dir(&root).unwrap();
    disk
}

pub(crate) fn mount(site: &Site, disk: PathBuf) {
    let root = site.computer.path().join("home/products");
    fs::remove_dir_all(&root).unwrap();
    fs::rename(disk, root).unwrap();
}

#[test]
fn while_the_disk_of_the_products_is_not_mounted_nothing_is_installed_repaired_or_forgotten() {
    let site = Site::new();
    let agent = installed(&site);
    site.release("2", 2, "two");
    assert!(agent.cycle().problems.is_empty());
    let disk = unmount(&site);
    site.release("3", 3, "three");
    let problems = agent.cycle().problems.join(" ");
    assert!(problems.contains("its disk may not be mounted"), "{problems}");
    assert!(!problems.contains("`agent-updater repair acme`"), "it would put nothing right: {problems}");
    let root = site.computer.path().join("home/products");
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "nothing is written beneath the mount point");
    let status = agent.status();
    assert!(status.problems.iter().any(|problem| problem.text.contains("may not be mounted")), "{status:?}");
    assert_eq!(status.packages[0].runs.as_deref(), Some("2"));
    let answer = repaired(&agent);
    assert!(!answer.ok && answer.lines.join(" ").contains("`agent-updater repair --new-install-root`"));
    assert!(agent.roll_back(&package(), ToUnwanted::Refuse).is_ok_and(|end| end != ChangeEnd::Kept));
    for audited in agent.audit().unwrap() {
        assert_eq!(audited.code, "not_as_signed");
        assert!(audited.problems.join(" ").contains("its disk may not be mounted"), "{audited:?}");
    }
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "nobody made a folder beneath the mount point");
    mount(&site, disk);
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("three"));
    assert_eq!(agent.roll_back(&package(), ToUnwanted::Refuse).unwrap(), ChangeEnd::Kept);
    assert_eq!(site.installed().as_deref(), Some("two"), "what is gone back to was not forgotten");
}

#[test]
fn the_agents_own_release_is_checked_its_link_put_right_and_what_is_damaged_built_again() {
    let lab = Lab::new();
    lab.on_trial("1.0", 1);
    let agent = lab.site.agent();
    let answer = repair(&agent.context, Some(&PackageName::agent())).1;
    let said = answer.lines.join(" ");
    assert!(answer.ok && said.contains("1.0 (any) is on trial") && !said.contains("packaged"), "{said}");
    self_state::save(&lab.home, &lab.state().confirmed(agent.context.host.now())).unwrap();
    agent.cycle();
    let repaired = || {
        let answer = repair(&agent.context, Some(&PackageName::agent())).1;
        assert!(answer.ok, "{answer:?}");
        answer.lines.join(" ")
    };
    let is_sound = || agent.audit().unwrap().iter().all(|one| one.problems.is_empty());
    assert!(is_sound());
    assert!(repaired().contains("is as it was signed"));
    let current = lab.home.path().join("products/agent-updater/current");
    let slot = fs::read_link(&current).unwrap();
    for damage in [None, Some("a folder in its place")] {
        fs::remove_file(&current).unwrap();
        if damage.is_some() {
            fs::create_dir(&current).unwrap();
        }
        assert!(!is_sound());
        assert!(repaired().contains("is in its place again"), "{damage:?}");
        assert_eq!(fs::read_link(&current).unwrap(), slot, "{damage:?}");
        assert!(is_sound(), "{damage:?}");
    }
    // A file that no launcher looks at.
    let folder = fs::canonicalize(&current).unwrap();
    make_writable(&folder);
    fs::write(folder.join("more"), "by hand").unwrap();
    assert!(repaired().contains("until the next contact has built it again"));
    agent.cycle();
    assert!(lab.state().trial.is_some(), "it is built again, and on trial as any new one");
    assert!(!folder.join("more").exists());
}

#[test]
fn products_that_moved_are_found_and_ones_that_are_lost_for_good_come_again_when_a_person_says_so() {
    let site = Site::new();
    let agent = installed(&site);
    // Moved together with their folder: a path is no mark.
    let (root, moved) = (site.computer.path().join("home/products"), site.computer.path().join("moved"));
    fs::rename(&root, &moved).unwrap();
    let config = format!("install_root = {:?}\n", moved.display().to_string());
    write_file(&site.computer.path().join("home/agent.toml"), config).unwrap();
    let agent_there = site.agent();
    site.release("2", 2, "two");
    assert!(agent_there.cycle().problems.is_empty());
    assert_eq!(fs::read_to_string(moved.join("acme/current/text")).unwrap(), "two");
    // Put back from a copy without the mark, as an agent of before left them.
    fs::rename(&moved, &root).unwrap();
    fs::remove_file(root.join(".sealpost-install-root")).unwrap();
    fs::remove_file(site.computer.path().join("home/agent.toml")).unwrap();
    site.release("3", 3, "three");
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("three"));
    // Lost for good.
    fs::remove_dir_all(&root).unwrap();
    assert!(!repaired(&agent).ok);
    accept_new(&agent.context.host).unwrap();
    let answer = repaired(&agent);
    assert!(answer.ok, "{answer:?}");
    assert_eq!(site.installed().as_deref(), Some("three"));
    assert!(agent.cycle().problems.is_empty());
}

/// Hooks that write down that they ran; before a stop, `also` is done.
fn with_hooks(site: &Site, also: &str) -> PathBuf {
    let (home, log) = (site.computer.path().join("home"), site.computer.path().join("log"));
    let mut config = "[packages.acme]\n".to_owned();
    for (name, also) in [("stop", also), ("start", "")] {
        let path = site.computer.path().join(name);
        write_executable(&path, format!("#!/bin/sh\necho {name} >> {}\n{also}\n", log.display())).unwrap();
        config.push_str(&format!("{name} = [{:?}]\n", path.display().to_string()));
    }
    fs::create_dir_all(&home).unwrap();
    set_mode(&home, 0o755).unwrap();
    write_file(&home.join("agent.toml"), config).unwrap();
    log
}

/// What a product can put into its slot so that nothing of ours could list it before.
fn add_what_is_no_text(site: &Site) {
    let slot = fs::canonicalize(product(site).join("current")).unwrap();
    set_mode(&slot, 0o755).unwrap();
    fs::write(slot.join(OsStr::from_bytes(b"bad\xffname")), "x").unwrap();
}

fn add_evil(site: &Site) {
    let slot = fs::canonicalize(product(site).join("current")).unwrap();
    set_mode(&slot, 0o755).unwrap();
    fs::write(slot.join("EVIL"), "x").unwrap();
}

/// Repairs more than once after damage; what cannot be removed of the slots before changes nothing of it.
fn repair_evil_for_good(site: &Site, agent: &Agent, log: &Path) {
    for number in 1..=3 {
        add_evil(site);
        let answer = repaired(agent);
        assert!(answer.ok && answer.lines[0].contains("was built again"), "{number}: {answer:?}");
        assert!(!product(site).join("current/EVIL").exists(), "{number}");
        assert_eq!(agent.cycle().problems, [""; 0], "{number}");
        assert!(!product(site).join("current/EVIL").exists(), "{number}");
        assert!(agent.audit().unwrap().iter().all(|one| one.problems.is_empty()), "{number}");
        let log = fs::read_to_string(log).unwrap();
        assert!(log.ends_with("stop\nstart\n") && log.matches("stop").count() >= number, "{log}");
    }
}

#[test]
fn a_name_that_is_no_text_keeps_no_damage_in_its_place_and_no_product_stopped() {
    let site = Site::new();
    let log = with_hooks(&site, "");
    let agent = installed(&site);
    add_what_is_no_text(&site);
    let audited = agent.audit().unwrap();
    assert!(audited[0].problems.contains(&r"bad\xffname was not signed".to_owned()), "{audited:?}");
    let problems = agent.cycle().problems.join(" ");
    assert!(problems.contains(r"bad\xffname was not signed"), "{problems}");
    repair_evil_for_good(&site, &agent, &log);
    let slots = fs::read_dir(product(&site).join("slots")).unwrap().count();
    assert_eq!(slots, 1, "everything was removed");
}

const IN_NAMESPACE: &str = "SEALPOST_TEST_REPAIR_WITH_A_MOUNT";

#[test]
fn a_mount_in_a_damaged_slot_keeps_no_damage_in_its_place_and_no_product_stopped() {
    if env::var_os(IN_NAMESPACE).is_some() {
        return repair_with_a_mount();
    }
    let may_mount = Command::new("unshare").args(["--mount", "--map-root-user", "true"]).status();
    if !may_mount.is_ok_and(|status| status.success()) {
        sealpost_test_support::skips::needs("a mount namespace").unwrap();
        return;
    }
    let name = "repair::a_mount_in_a_damaged_slot_keeps_no_damage_in_its_place_and_no_product_stopped";
    let ended = Command::new("unshare")
        .args(["--mount", "--map-root-user"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", name])
        .env(IN_NAMESPACE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
}

fn repair_with_a_mount() {
    let site = Site::new();
    let log = with_hooks(&site, "");
    let agent = installed(&site);
    let data = site.computer.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("kept"), "x").unwrap();
    let slot = fs::canonicalize(product(&site).join("current")).unwrap();
    set_mode(&slot, 0o755).unwrap();
    let cache = slot.join("cache");
    fs::create_dir(&cache).unwrap();
    let mounted = Command::new("mount").arg("--bind").args([&data, &cache]).status().unwrap();
    assert!(mounted.success());
    let answer = repaired(&agent);
    assert!(answer.ok, "{answer:?}");
    repair_evil_for_good(&site, &agent, &log);
    let left = slot.with_file_name(format!("{}.replaced", slot.file_name().unwrap().to_str().unwrap()));
    let text = agent.status().to_text();
    assert!(text.contains(&format!("{} could not be removed", left.display())), "{text}");
    assert!(data.join("kept").exists());
    // A new release is installed all the same; what is free again is removed by the next cycle.
    site.release("2", 2, "two");
    assert_eq!(agent.cycle().problems, [""; 0]);
    assert!(Command::new("umount").arg(left.join("cache")).status().unwrap().success());
    agent.cycle();
    assert!(!left.exists() && data.join("kept").exists());
    assert!(!agent.status().to_text().contains("could not be removed"));
}

#[test]
fn a_repair_whose_change_has_no_end_is_no_success() {
    let site = Site::new();
    let folder = product(&site);
    // From the stop on nobody works in this folder: others may change it.
    let log = with_hooks(&site, &format!("chmod 777 {}", folder.display()));
    let agent = installed(&site);
    add_evil(&site);
    let answer = repaired(&agent);
    let said = answer.lines.join(" ");
    assert!(!answer.ok && said.contains("is not finished, at step"), "{said}");
    assert!(!repaired(&agent).ok);
    set_mode(&folder, 0o755).unwrap();
    write_executable(&site.computer.path().join("stop"), "#!/bin/sh\n").unwrap();
    let answer = repaired(&agent);
    assert!(answer.ok, "{answer:?}");
    assert!(!folder.join("current/EVIL").exists());
    assert!(fs::read_to_string(log).unwrap().ends_with("start\n"));
}

#[test]
fn a_repair_whose_product_does_not_start_is_no_success() {
    let site = Site::new();
    let _log = with_hooks(&site, "");
    let agent = installed(&site);
    add_evil(&site);
    write_executable(&site.computer.path().join("start"), "#!/bin/sh\nexit 1\n").unwrap();
    let answer = repaired(&agent);
    let said = answer.lines.join(" ");
    assert!(
        !answer.ok
            && said.contains("is as it was signed, but: acme 1 (any) is in its place and does NOT run"),
        "{said}"
    );
}
