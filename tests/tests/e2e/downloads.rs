//! Downloads that are cut are taken up where they stopped.

use anyhow::{Result, ensure};
use sealpost_test_support::release;
use sealpost_tests::harness::{Cut, Lab, Proxy, Site, Vendor};

/// Text that hardly compresses, and is the same in every run.
fn noise(bytes: usize) -> String {
    release::noise(bytes / 2).iter().map(|byte| format!("{byte:02x}")).collect()
}

const BULK_BYTES: usize = 6 * 1024 * 1024;

#[test]
fn a_pull_that_is_cut_resumes_where_it_stopped() -> Result<()> {
    let lab = Lab::new()?;
    let mut vendor = Vendor::new(&lab, "vendor")?;
    let url = vendor.serve()?;
    let (proxy, url) = Proxy::before_url(&url)?;
    let mut site = Site::new(&lab, "site", &url, &vendor.root())?;
    site.serve()?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0"), ("bulk", &noise(BULK_BYTES))])?;
    proxy.cut(Cut::After { bytes: 1_500_000, times: 1 });
    let mut tries = 0;
    while !site.distributor(&["pull"])?.status.success() {
        tries += 1;
        ensure!(tries < 5, "the pull never got through:\n{}", site.log_text()?);
    }
    ensure!(proxy.cuts_made() == 1, "the download was cut");
    let requests = proxy.requests().to_lowercase();
    ensure!(requests.contains("range: bytes="), "it asked for the rest");
    let offered = site.distributor(&["updates", "list"])?.ok()?;
    ensure!(offered.contains("scanner"), "{offered}");
    Ok(())
}

#[test]
fn an_install_whose_download_is_cut_resumes_where_it_stopped() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(1)?;
    let (proxy, computer) = lab.computer_behind_a_proxy(&vendor, &site)?;
    computer.enroll()?.ok()?;
    computer.check()?.ok()?;
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0"), ("bulk", &noise(BULK_BYTES))])?;
    site.pull_and_approve("scanner:1.0")?;
    let before = proxy.bytes_from_server();
    proxy.cut(Cut::After { bytes: 1_500_000, times: 2 });
    let mut tries = 0;
    while computer.installed("scanner", "VERSION").is_none() {
        computer.check()?;
        tries += 1;
        ensure!(tries < 6, "the install never got through");
    }
    ensure!(proxy.cuts_made() >= 1, "the download was cut");
    // Hexadecimal noise compresses to about a half; a start from scratch after each cut would cost far more.
    let fetched = proxy.bytes_from_server() - before;
    ensure!(fetched < 4_800_000, "{fetched} bytes were fetched");
    computer.audit()
}
