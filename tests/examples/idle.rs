//! Prints what an idle server and an idle agent hold in memory.
//!
//!     SEALPOST_PROGRAMS=target/release cargo run --release -p sealpost-tests --example idle [--json]
//!
//! Nothing here is a test: the budgets are asserted by the scenario that installs on three computers.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use sealpost_tests::harness::Lab;

/// What was needed to begin is given back by then.
const IDLE: Duration = Duration::from_secs(20);

#[expect(clippy::print_stdout, reason = "the figures are this program's output")]
fn main() -> Result<()> {
    let json = std::env::args().any(|argument| argument == "--json");
    let lab = Lab::new()?;
    let (vendor, site, mut computer) = lab.vendor_site_and_computer()?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    site.pull_and_approve("scanner:1.0")?;
    computer.run()?;
    computer.wait_for_installed("scanner", "VERSION", "1.0")?;
    sleep(IDLE);
    let (server, agent) = (site.anonymous_kib()?, computer.anonymous_kib()?);
    if json {
        println!("{}", serde_json::json!({ "idle_server_kib": server, "idle_agent_kib": agent }));
    } else {
        println!(
            "idle, after an install: the agent holds {:.1} MiB (budget 20), the server {:.1} MiB (budget 64)",
            mib(agent),
            mib(server)
        );
    }
    computer.stop()
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
