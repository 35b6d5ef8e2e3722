//! What an install file does below a root of its own: each step once, and what others brought is kept.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use jiff::SignedDuration;
use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::flows::first_install::{FirstInstallError, Mode, Order, Outcome, Step};
use sealpost_agent_updater::home::Home;
use sealpost_files::with_causes;
use sealpost_manifests::document;
use sealpost_manifests::ids::ComputerName;
use sealpost_test_support::folders::{files_beneath, write_executable, write_file};
use tempfile::TempDir;

use crate::site::Site;

/// An agent that says its version.
const PROGRAM: &str = "#!/bin/sh\n[ \"$1\" = --version ] && echo 'agent-updater 9.9'\n";

/// Installs, or takes back.
type Work = fn(&Agent, Order<'_>, &mut dyn FnMut(Step)) -> Result<(), FirstInstallError>;

/// A computer, and what an install file unpacked on it.
struct Lab {
    site: Site,
    folder: TempDir,
}

impl Lab {
    fn new() -> Self {
        let lab = Self { site: Site::new(), folder: tempfile::tempdir().unwrap() };
        write_executable(&lab.from().join("agent-updater"), PROGRAM).unwrap();
        fs::copy(lab.site.vendor.root_file(), lab.from().join("root.json")).unwrap();
        lab.bring_setup();
        fs::create_dir(lab.system()).unwrap();
        lab
    }

    fn bring_setup(&self) {
        fs::copy(self.site.setup_file(), self.from().join("setup.json")).unwrap();
    }

    fn from(&self) -> PathBuf {
        self.folder.path().join("from")
    }

    fn system(&self) -> PathBuf {
        self.folder.path().join("system")
    }

    fn home(&self) -> PathBuf {
        self.site.computer.path().join("home")
    }

    fn run(&self, mode: Mode, what: Work) -> Result<Vec<String>, FirstInstallError> {
        let (from, system) = (self.from(), self.system());
        let mut steps = Vec::new();
        let mut tell = |step: Step| {
            let how = match step.outcome {
                Outcome::Done => "done",
                Outcome::WasSo => "was so",
                Outcome::Would => "would",
                Outcome::ByHand => "by hand",
            };
            steps.push(format!("{} {how}", step.what));
        };
        let runtime = self.site.runtime.handle().clone();
        let agent = Agent::of_install_file(Home::at(&self.home()).unwrap(), runtime);
        what(&agent, Order { from: &from, system: &system, mode }, &mut tell)?;
        Ok(steps)
    }

    fn install(&self) -> Result<Vec<String>, FirstInstallError> {
        self.run(Mode::Do, Agent::first_install)
    }

    /// Every file of the system with its bytes and mode.
    fn tree(&self) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
        let about = |path: PathBuf| {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            (path.clone(), (fs::read(&path).unwrap(), mode))
        };
        files_beneath(&self.system()).unwrap().into_iter().map(about).collect()
    }

    fn program(&self) -> PathBuf {
        self.system().join("usr/local/bin/agent-updater")
    }
}

#[test]
fn each_step_is_done_once_and_a_dry_run_does_none() {
    let lab = Lab::new();
    write_file(&lab.from().join("agent.toml"), "[packages.acme-av]\n").unwrap();
    write_executable(&lab.from().join("hooks/start"), "#!/bin/sh\n").unwrap();
    let dry = lab.run(Mode::DryRun, Agent::first_install).unwrap();
    assert_eq!(
        dry,
        [
            "program would",
            "configuration would",
            "hooks would",
            "enrollment would",
            "service would",
            "start by hand"
        ]
    );
    assert!(lab.tree().is_empty() && !lab.home().exists(), "nothing was changed");
    assert_eq!(
        lab.install().unwrap(),
        [
            "program done",
            "configuration done",
            "hooks done",
            "enrollment done",
            "service done",
            "start by hand"
        ]
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(fs::read(lab.program()).unwrap(), PROGRAM.as_bytes());
    let hook = lab.system().join("usr/local/lib/sealpost-hooks/start");
    assert_eq!((mode(&lab.program()), mode(&hook)), (0o755, 0o755));
    let unit = lab.system().join("etc/systemd/system/sealpost-agent.service");
    assert!(fs::read_to_string(unit).unwrap().contains("ExecStart=/usr/local/bin/agent-updater --home"));
    assert_eq!(lab.site.agent().status().computer_name.as_deref(), Some("pc-1"));
    let before = lab.tree();
    assert_eq!(
        lab.install().unwrap(),
        [
            "program was so",
            "configuration was so",
            "hooks was so",
            "enrollment was so",
            "service was so",
            "start by hand"
        ]
    );
    assert_eq!((lab.tree(), lab.site.server.lock().unwrap().enrollments.len()), (before, 1));
}

#[test]
fn what_a_package_or_an_admin_brought_is_kept() {
    let lab = Lab::new();
    write_file(&lab.from().join("agent.toml"), "[packages.acme-av]\n").unwrap();
    write_file(&lab.home().join("agent.toml"), "# mine\n").unwrap();
    write_executable(&lab.system().join("usr/bin/agent-updater"), PROGRAM).unwrap();
    let steps = lab.install().unwrap();
    assert_eq!(steps[..2], ["program was so", "configuration was so"]);
    assert!(!lab.program().exists());
    assert_eq!(fs::read_to_string(lab.home().join("agent.toml")).unwrap(), "# mine\n");
    let removed = lab.run(Mode::Do, Agent::remove_first_install).unwrap();
    assert_eq!(removed, ["program by hand"]);
    assert!(lab.system().join("usr/bin/agent-updater").exists());
}

#[test]
fn a_program_that_does_not_run_is_replaced_and_one_that_does_is_not() {
    let lab = Lab::new();
    write_executable(&lab.program(), "broken").unwrap();
    assert_eq!(lab.install().unwrap()[0], "program done");
    let newer = PROGRAM.replace("9.9", "10.0");
    write_executable(&lab.program(), &newer).unwrap();
    assert_eq!(lab.install().unwrap()[0], "program was so");
    assert_eq!(fs::read_to_string(lab.program()).unwrap(), newer, "it updated itself since");
}

#[test]
fn the_file_of_another_computer_changes_nothing_and_a_newer_one_of_this_computer_enrolls_it_again() {
    let mut lab = Lab::new();
    lab.install().unwrap();
    let before = lab.tree();
    let first = lab.site.setup.clone();
    lab.site.setup.computer_name = Some(ComputerName::new("pc-2").unwrap());
    lab.bring_setup();
    let refused = lab.install().unwrap_err();
    assert!(matches!(refused, FirstInstallError::OtherName { .. }), "{refused}");
    assert_eq!((lab.tree(), lab.site.server.lock().unwrap().enrollments.len()), (before, 1));
    lab.site.setup = first;
    lab.site.setup.issued_at += SignedDuration::from_hours(1);
    lab.bring_setup();
    assert!(lab.install().unwrap().contains(&"enrollment done".to_owned()));
    assert_eq!(lab.site.server.lock().unwrap().enrollments.len(), 2);
}

#[test]
fn what_is_missing_or_damaged_in_it_is_said_before_anything_is_done() {
    for (file, wanted) in [
        ("agent-updater", "the program"),
        ("root.json", "the vendor's root"),
        ("setup.json", "the setup file"),
    ] {
        let lab = Lab::new();
        fs::remove_file(lab.from().join(file)).unwrap();
        let refused = lab.install().unwrap_err().to_string();
        assert!(refused.contains(wanted) && refused.contains("clients setup NAME --installer"), "{refused}");
        assert!(lab.tree().is_empty() && !lab.home().exists());
    }
    let lab = Lab::new();
    let mut setup = lab.site.setup.clone();
    setup.computer_name = None;
    fs::write(lab.from().join("setup.json"), document::write(&setup).unwrap()).unwrap();
    assert!(lab.install().is_err() && lab.tree().is_empty());
}

#[test]
fn taking_it_back_removes_its_own_and_keeps_the_home_and_what_was_changed() {
    let lab = Lab::new();
    write_executable(&lab.from().join("hooks/start"), "#!/bin/sh\n").unwrap();
    write_executable(&lab.from().join("hooks/stop"), "#!/bin/sh\n").unwrap();
    lab.install().unwrap();
    let hooks = lab.system().join("usr/local/lib/sealpost-hooks");
    write_executable(&hooks.join("stop"), "#!/bin/sh\n# mine\n").unwrap();
    let settings = lab.system().join("etc/default/sealpost-agent");
    fs::write(&settings, "SEALPOST_LOG=debug\n").unwrap();
    let product = lab.home().join("products/acme-av/file");
    write_file(&product, "x").unwrap();
    let before = lab.tree();
    let dry = lab.run(Mode::DryRun, Agent::remove_first_install).unwrap();
    assert_eq!(dry, ["service would", "program would", "hooks would", "home was so"]);
    assert_eq!(lab.tree(), before);
    let done = lab.run(Mode::Do, Agent::remove_first_install).unwrap();
    assert_eq!(done, ["service done", "program done", "hooks done", "home was so"]);
    let left: Vec<PathBuf> = lab.tree().into_keys().collect();
    assert_eq!(left, [settings, hooks.join("stop")], "what an admin changed stays");
    assert!(product.exists() && lab.home().join("keys/client.key").exists());
    let again = lab.run(Mode::Do, Agent::remove_first_install).unwrap();
    assert_eq!(again, ["service was so", "program was so", "home was so"]);
    assert_eq!(lab.install().unwrap()[1], "hooks done", "it comes back");
}

#[test]
fn a_run_that_is_broken_off_after_any_step_is_simply_repeated() {
    const STEPS: usize = 6;
    for broken_off_after in 1..=STEPS {
        let lab = Lab::new();
        write_file(&lab.from().join("agent.toml"), "[packages.acme-av]\n").unwrap();
        write_executable(&lab.from().join("hooks/start"), "#!/bin/sh\n").unwrap();
        let (from, system, mut steps) = (lab.from(), lab.system(), 0);
        let agent = lab.site.agent();
        let mut tell = |_: Step| {
            steps += 1;
            assert!(steps < broken_off_after, "broken off");
        };
        let order = Order { from: &from, system: &system, mode: Mode::Do };
        let broken_off = catch_unwind(AssertUnwindSafe(|| agent.first_install(order, &mut tell)));
        assert!(broken_off.is_err());
        let steps = lab.install().unwrap();
        let (was_so, done) = steps.split_at(broken_off_after.min(STEPS - 1));
        assert!(was_so.iter().all(|step| step.ends_with(" was so")), "{broken_off_after}: {steps:?}");
        assert!(
            done.iter().all(|step| step.ends_with(" done") || step == "start by hand"),
            "{broken_off_after}: {steps:?}"
        );
        assert_eq!(lab.site.server.lock().unwrap().enrollments.len(), 1, "the code was used once");
        assert_eq!(lab.site.agent().status().computer_name.as_deref(), Some("pc-1"));
    }
}

#[test]
fn of_two_at_the_same_time_the_second_waits_and_finds_all_done() {
    let lab = Lab::new();
    let (from, system, home) = (lab.from(), lab.system(), Home::at(&lab.home()).unwrap());
    let first = home.wait_for_install().unwrap();
    let (agent, (told, hears)) = (lab.site.agent(), mpsc::channel());
    let second = thread::spawn(move || {
        let order = Order { from: &from, system: &system, mode: Mode::Do };
        agent.first_install(order, &mut |step: Step| told.send(step.what).unwrap()).unwrap();
    });
    let early = hears.recv_timeout(Duration::from_millis(300));
    assert_eq!(early, Err(mpsc::RecvTimeoutError::Timeout), "it does not wait");
    drop(first);
    second.join().unwrap();
    assert_eq!(hears.iter().count(), 4);
    assert_eq!(lab.install().unwrap()[0], "program was so");
}

#[test]
fn nothing_is_laid_from_behind_a_link_and_no_link_is_written_through() {
    let lab = Lab::new();
    let precious = lab.folder.path().join("precious");
    write_file(&precious.join("key"), "secret").unwrap();
    symlink(&precious, lab.from().join("hooks")).unwrap();
    let refused = lab.install().unwrap_err().to_string();
    assert!(refused.contains("the folder of hooks"), "{refused}");
    assert!(!lab.system().join("usr/local/lib/sealpost-hooks").exists());
    fs::remove_file(lab.from().join("hooks")).unwrap();
    write_executable(&lab.from().join("hooks/start"), "#!/bin/sh\n").unwrap();
    // Where files are to lie there are links to others: the links are replaced.
    for place in ["usr/local/bin/agent-updater", "usr/local/lib/sealpost-hooks/start"] {
        let place = lab.system().join(place);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&place);
        symlink(precious.join("key"), &place).unwrap();
    }
    lab.install().unwrap();
    assert_eq!(fs::read_to_string(precious.join("key")).unwrap(), "secret");
    assert!(fs::symlink_metadata(lab.program()).unwrap().is_file());
}

#[test]
fn a_foreign_program_in_the_place_of_the_agents_stays_when_it_is_taken_back() {
    let lab = Lab::new();
    write_executable(&lab.program(), "#!/bin/sh\necho other 1.0\n").unwrap();
    let removed = lab.run(Mode::Do, Agent::remove_first_install).unwrap();
    assert_eq!(removed, ["service was so", "program by hand", "home was so"]);
    assert!(lab.program().exists() && !lab.home().exists());
}

#[test]
fn a_program_that_others_could_have_written_is_neither_run_nor_made_a_service() {
    let lab = Lab::new();
    let mark = lab.folder.path().join("ran");
    write_executable(&lab.program(), format!("{PROGRAM}\ntouch {}\n", mark.display())).unwrap();
    for mode in [0o757, 0o775] {
        fs::set_permissions(lab.program(), fs::Permissions::from_mode(mode)).unwrap();
        let refused = with_causes(&lab.install().unwrap_err());
        assert!(
            refused.contains("can be changed by others") && refused.contains("agent-updater"),
            "{refused}"
        );
        let removed = lab.run(Mode::Do, Agent::remove_first_install).unwrap();
        assert!(removed.contains(&"program by hand".to_owned()), "{removed:?}");
        assert!(lab.program().exists() && !mark.exists(), "{mode:o}");
    }
    fs::set_permissions(lab.program(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(lab.install().unwrap()[0], "program was so");
    assert!(mark.exists());
    let packaged = lab.system().join("usr/bin/agent-updater");
    write_executable(&packaged, PROGRAM).unwrap();
    fs::set_permissions(&packaged, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(lab.install().unwrap_err().to_string().contains("make it root's"));
}

#[test]
fn a_configuration_that_is_not_good_is_refused_before_anything_is_done_and_blocks_nothing_where_it_is() {
    const BAD: &str = "[packages.acme-av]\nstrat = []\n";
    let lab = Lab::new();
    write_file(&lab.from().join("agent.toml"), BAD).unwrap();
    for mode in [Mode::DryRun, Mode::Do] {
        let refused = lab.run(mode, Agent::first_install).unwrap_err();
        assert!(refused.to_string().contains("--agent-config FILE"), "{refused}");
        assert!(with_causes(&refused).contains("strat"), "{}", with_causes(&refused));
        assert!(lab.tree().is_empty());
    }
    // One that an admin wrote is kept, and said.
    write_file(&lab.home().join("agent.toml"), BAD).unwrap();
    let steps = lab.install().unwrap();
    assert!(steps.contains(&"configuration by hand".to_owned()), "{steps:?}");
    assert_eq!(fs::read_to_string(lab.home().join("agent.toml")).unwrap(), BAD);
}

#[test]
fn the_hooks_of_a_later_install_file_are_not_replaced_by_those_of_an_older_one() {
    let mut lab = Lab::new();
    let (brought, installed) =
        (lab.from().join("hooks/start"), lab.system().join("usr/local/lib/sealpost-hooks/start"));
    write_executable(&brought, "#!/bin/sh\n# first\n").unwrap();
    lab.install().unwrap();
    let first = lab.site.setup.clone();
    lab.site.setup.issued_at += SignedDuration::from_hours(1);
    lab.bring_setup();
    write_executable(&brought, "#!/bin/sh\n# second\n").unwrap();
    assert!(lab.install().unwrap().contains(&"hooks done".to_owned()));
    lab.site.setup = first;
    lab.bring_setup();
    write_executable(&brought, "#!/bin/sh\n# first\n").unwrap();
    assert!(lab.install().unwrap().contains(&"hooks was so".to_owned()));
    assert_eq!(fs::read_to_string(installed).unwrap(), "#!/bin/sh\n# second\n");
}

#[test]
fn nothing_is_laid_in_a_folder_that_others_can_write() {
    for (folder, mode) in [
        ("usr/local/bin", 0o2777),
        ("usr/local/bin", 0o2775),
        ("usr/local", 0o775),
        ("usr/local/lib/sealpost-hooks", 0o777),
        ("usr/local/lib", 0o2775),
    ] {
        let lab = Lab::new();
        write_executable(&lab.from().join("hooks/start"), "#!/bin/sh\n").unwrap();
        let folder = lab.system().join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        for how in [Mode::DryRun, Mode::Do] {
            let refused = with_causes(&lab.run(how, Agent::first_install).unwrap_err());
            let shown = folder.display().to_string();
            assert!(refused.contains(&format!("{shown} can be changed by others")), "{refused}");
            assert!(refused.contains("chmod go-w") && refused.contains("nothing was changed"), "{refused}");
            assert!(lab.tree().is_empty(), "{mode:o} {shown}");
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(lab.install().unwrap()[0], "program done");
    }
}
