//! The approved release is what an install file or a package laid: nothing is to be fetched, and nothing to be tried.

use super::*;

impl Lab {
    /// Publishes and assigns an agent that has the bytes of this program, and more files.
    fn release_what_is_there(&self, version: &str, program: &Path, more: &[&str]) {
        let folder = self.site.computer.path().join(format!("agent-{version}"));
        write_executable(&folder.join("agent-updater"), fs::read(program).unwrap()).unwrap();
        for name in more {
            write_file(&folder.join(name), format!("{name} of the agent")).unwrap();
        }
        let mut draft = Draft::of_folder(&folder, release_id(&PackageName::agent(), version), 1);
        draft.manifest.kind = PackageKind::Agent;
        self.site.assign(&draft);
    }

    /// The packaged program once more, without what a debugger needs, as an install file would lay it.
    fn laid_program(&self) -> PathBuf {
        let laid = self.site.computer.path().join("laid/agent-updater");
        write_executable(&laid, fs::read(PACKAGED).unwrap()).unwrap();
        drop(Command::new("strip").arg(&laid).stderr(Stdio::null()).status());
        laid
    }
}

/// The agent's steps that the server was told of, in their order.
fn steps(lab: &Lab) -> Vec<InstallStep> {
    lab.reports().into_iter().map(|(_, step, ..)| step).collect()
}

#[test]
fn a_release_that_is_the_packaged_program_is_in_force_at_once_and_its_payload_is_not_fetched() {
    let lab = Lab::new();
    let laid = lab.laid_program();
    lab.release_what_is_there("1.0", &laid, &[]);
    // The first look of all, without a daemon.
    let check = || {
        let mut command = Command::new(&laid);
        command.arg("--home").arg(lab.home.path()).arg("check").output().unwrap()
    };
    let said = check();
    assert!(said.status.success(), "{said:?}");
    assert_eq!(lab.site.web.asked(".tar.gz"), []);
    let state = lab.state();
    assert_eq!((state.trial, state.ended), (None, None), "nothing is on trial, and the end is noted");
    let installed = packages::load(&lab.home, &PackageName::agent()).unwrap();
    assert_eq!(installed.current, state.stable.map(|stable| stable.installed));
    assert_eq!(installed.previous, None);
    assert!(check().status.success());
    assert_eq!(steps(&lab), [InstallStep::Check, InstallStep::Build, InstallStep::Keep]);

    // It runs from its slot from now on, and a person can go back from it for good.
    let agent = lab.start_program(&laid, &[]);
    lab.wait_for(&agent, "1.0");
    let mut command = Command::new(&laid);
    let said =
        command.arg("--home").arg(lab.home.path()).args(["rollback", "agent-updater"]).output().unwrap();
    assert!(said.status.success(), "{said:?}");
    wait::until("the packaged program runs", || agent.program() == laid.canonicalize().unwrap());
    let contacts = lab.site.contacts().len();
    wait::until("further contacts", || lab.site.contacts().len() >= contacts + 2);
    assert_eq!(lab.state(), SelfRecord::default(), "it does not come back by itself");
    assert_eq!(packages::load(&lab.home, &PackageName::agent()).unwrap().current, None);
}

#[test]
fn of_a_release_with_more_than_the_packaged_program_the_rest_is_fetched_and_nothing_is_on_trial() {
    let lab = Lab::new();
    let laid = lab.laid_program();
    let agent = lab.start_program(&laid, &[]);
    wait::until("a contact", || !lab.site.contacts().is_empty());
    lab.release_what_is_there("1.0", &laid, &["LICENSE"]);
    lab.takes_over(&agent, "1.0");
    assert!(!lab.site.web.asked(".tar.gz").is_empty());
    assert!(!steps(&lab).contains(&InstallStep::Switch), "it was on trial: {:?}", lab.reports());
}

#[test]
fn a_program_that_differs_in_one_byte_from_the_packaged_one_goes_on_trial() {
    let lab = Lab::new();
    let laid = lab.laid_program();
    let other = lab.site.computer.path().join("other/agent-updater");
    let mut bytes = fs::read(&laid).unwrap();
    bytes.push(0);
    write_executable(&other, bytes).unwrap();
    lab.release_what_is_there("1.0", &other, &[]);
    let agent = lab.start_program(&laid, &[]);
    lab.takes_over(&agent, "1.0");
    assert!(!lab.site.web.asked(".tar.gz").is_empty());
    assert!(steps(&lab).contains(&InstallStep::Switch), "{:?}", lab.reports());
}
