//! Manage Computers, with real agents: one that runs is verified when it is called, one that was killed is silent.

use anyhow::{Result, ensure};
use sealpost_tests::harness::{Lab, wait_until};

#[test]
fn an_agent_that_runs_is_verified_when_it_is_called_and_a_killed_one_is_silent() -> Result<()> {
    let lab = Lab::new()?;
    let (_vendor, site, mut computer) = lab.vendor_site_and_computer()?;
    computer.run()?;
    let name = computer.name().to_owned();
    let verify = |wait: &str| site.distributor(&["clients", "verify", &name, "--wait", wait]);
    // Its stream opens after its first contact.
    wait_until("the agent is verified", || {
        let verified = verify("10s")?;
        let says = format!("{name}: verified; its lease is good until ");
        Ok(verified.status.success() && verified.stdout.starts_with(&says))
    })?;
    let listed = site.distributor(&["clients", "list", "--state", "active", "--silent-for", "0s"])?.ok()?;
    ensure!(listed.contains(&name) && listed.contains("run, upload, remote"), "{listed}");
    let shown = site.distributor(&["clients", "show", &name])?.ok()?;
    ensure!(shown.contains(", used 20") && shown.contains("; the next is due by "), "{shown}");

    computer.kill_9()?;
    wait_until("its stream is gone, or it does not come", || {
        let silent = verify("1s")?;
        Ok(silent.status.code() == Some(1) && silent.stdout.starts_with(&format!("{name}: silent since 20")))
    })
}
