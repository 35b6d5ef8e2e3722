//! What becomes of a daemon in which a task panics: its service manager is to start it anew, so it ends, and not with 0.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Result, ensure};
use sealpost_tests::harness::{Lab, run};

#[test]
fn an_agent_in_which_a_task_panics_ends_with_1_and_says_what_failed() -> Result<()> {
    let lab = Lab::new()?;
    for (point, said) in [
        ("control-begins", "the control socket ended by a panic; restart the daemon"),
        ("cycle-begins", "a cycle ended by a fault of the program; restart the daemon"),
    ] {
        // Nobody enrolled it, so it goes on as it is until it fails.
        let home = lab.path(point);
        fs::create_dir(&home)?;
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755))?;
        let mut command = lab.programs().command("agent-updater-faults");
        command.arg("--home").arg(&home).arg("run").env("SEALPOST_FAULT_PANIC_AT", point);
        let ended = run(command)?;
        ensure!(ended.status.code() == Some(1), "{point}: {}\n{}", ended.status, ended.text());
        ensure!(ended.stderr.contains(said), "{point}: {}", ended.stderr);
        ensure!(!home.join("agent.sock").exists(), "{point}: it answers nobody any more");
    }
    Ok(())
}
