//! The users that `install-service` makes where no package did: with systemd's tool, with useradd, and with neither.

use std::fs;

use anyhow::{Result, ensure};
use sealpost_tests::harness::{Lab, Output, Root, Tool};

const SYSUSERS: &str = "/usr/bin/systemd-sysusers";
const USERADD: &str = "/usr/sbin/useradd";

/// A computer onto which somebody copied the programs.
struct Copied {
    root: Root,
}

impl Copied {
    fn new(lab: &Lab) -> Result<Self> {
        let root = Root::new(lab, "computer")?;
        for program in ["distributor", "publisher", "agent-updater"] {
            fs::copy(lab.programs().path(program), root.path(&format!("/usr/local/bin/{program}")))?;
        }
        Ok(Self { root })
    }

    fn install(&self, program: &str, options: &[&str]) -> Result<Output> {
        let path = format!("/usr/local/bin/{program}");
        // There is no /proc, by which a program finds itself.
        self.root.run(&[&[path.as_str(), "install-service", "--program", &path], options].concat())
    }

    fn knows(&self, user: &str) -> Result<bool> {
        Ok(self.root.run(&["getent", "passwd", user])?.status.success())
    }

    fn of(&self, path: &str) -> Result<String> {
        Ok(self.root.run(&["stat", "-c", "%U %G %a", path])?.ok()?.trim().to_owned())
    }

    fn hide(&self, tool: &str) -> Result<()> {
        Ok(fs::rename(self.root.path(tool), self.root.path(&format!("{tool}.away")))?)
    }

    fn lay_back(&self, tool: &str) -> Result<()> {
        Ok(fs::rename(self.root.path(&format!("{tool}.away")), self.root.path(tool))?)
    }
}

#[test]
fn install_service_makes_its_user_and_home_on_the_computer_itself_and_says_so() -> Result<()> {
    Tool::Mmdebstrap.require("users of services")?;
    Tool::require_root("users of services")?;
    let lab = Lab::new()?;
    let computer = Copied::new(&lab)?;
    let by_hand = ["systemd-sysusers /etc/sysusers.d/sealpost-distributor.conf", "install -d -o sealpost"];

    // For an image, and where it is not wanted, it says what to type.
    for options in [["--root", "/image"].as_slice(), &["--no-user"]] {
        let said = computer.install("distributor", options)?.ok()?;
        ensure!(by_hand.iter().all(|line| said.contains(line)) && !said.contains("made:"), "{said}");
        ensure!(!computer.knows("sealpost")?, "{options:?} made a user");
    }
    let said = computer.install("distributor", &[])?.ok()?;
    ensure!(said.contains("made: the user sealpost, by /usr/bin/systemd-sysusers"), "{said}");
    ensure!(said.contains("made: /var/lib/sealpost, for that user alone"), "{said}");
    ensure!(!by_hand.iter().any(|line| said.contains(line)), "{said}");
    ensure!(computer.of("/var/lib/sealpost")? == "sealpost sealpost 700");
    let said = computer.install("distributor", &[])?.ok()?;
    ensure!(
        said.contains("kept: the user sealpost\n") && said.contains("kept: /var/lib/sealpost\n"),
        "{said}"
    );

    // Without systemd's tool useradd does it; with neither nothing is made, and the rest is done.
    computer.hide(SYSUSERS)?;
    computer.hide(USERADD)?;
    let said = computer.install("publisher", &[])?.ok()?;
    ensure!(said.contains("not made: the user sealpost-publisher"), "{said}");
    ensure!(said.contains("written: /etc/systemd/system/sealpost-publisher.service"), "{said}");
    ensure!(said.contains("install -d -o sealpost-publisher"), "{said}");
    computer.lay_back(USERADD)?;
    let said = computer.install("publisher", &[])?.ok()?;
    ensure!(said.contains("made: the user sealpost-publisher, by /usr/sbin/useradd"), "{said}");
    ensure!(computer.of("/var/lib/sealpost-publisher")? == "sealpost-publisher sealpost-publisher 700");
    let entry = computer.root.run(&["getent", "passwd", "sealpost-publisher"])?.ok()?;
    ensure!(entry.trim_end().ends_with(":/var/lib/sealpost-publisher:/usr/sbin/nologin"), "{entry}");

    // A tool that refuses is told, with what is to be typed.
    computer.root.run(&["userdel", "sealpost-publisher"])?.ok()?;
    computer.hide(USERADD)?;
    fs::copy(computer.root.path("/bin/false"), computer.root.path(USERADD))?;
    let said = computer.install("publisher", &[])?.refused()?;
    ensure!(
        said.contains("/usr/sbin/useradd says") && said.contains("install -d -o sealpost-publisher"),
        "{said}"
    );

    let said = computer.install("agent-updater", &[])?.ok()?;
    ensure!(said.contains("the agent runs as root: no user is needed"), "{said}");
    Ok(())
}
