//! What one update moves on the wire between an agent and its server, both ways, TLS included.

use std::fmt::Write as _;

use anyhow::{Result, bail, ensure};
use sealpost_test_support::folders::write_folder;
use sealpost_tests::harness::{Computer, Connection, Lab, Relay};

/// Files of the tree, so that its manifest is one of usual size.
const FILES: usize = 200;
/// Most bytes of a contact without news, with its handshake.
const MAX_QUIET: u64 = 3_600;
/// The requests of an update, in their order.
const REQUESTS: [&str; 5] = ["contact", "what is newer", MANIFEST, DELTA, "contact with reports"];
/// The manifest travels whole as long as it does not come with the delta.
const MANIFEST: &str = "manifest";
const DELTA: &str = "delta";
/// Most bytes of an exchange, both ways and with its handshake, beside the manifest and the delta. With a delta of 2 KB and the
/// heads of its request and answer the whole stays below 12 KB.
const MAX_BESIDE: u64 = 9_000;

/// A signature tree of so many files, of which each revision changes one a little.
fn revision(lab: &Lab, number: u32) -> Result<std::path::PathBuf> {
    let folder = lab.path(&format!("signatures-{number}"));
    let mut files = Vec::new();
    for file in 0..FILES {
        let mut text = String::new();
        for line in 0..60 {
            writeln!(
                text,
                "{:08x} rule-{file}-{line}",
                (file * 7919 + line * 104_729) * 2_654_435_761 % 4_294_967_291
            )?;
        }
        if file == 17 {
            for line in 0..40 * number {
                writeln!(text, "{:08x} added-{line}", u64::from(line + 1) * 2_654_435_761 % 4_294_967_291)?;
            }
        }
        files.push((format!("rules/{:02}/set-{file:03}.sig", file % 20), text));
    }
    files.push(("REVISION".to_owned(), number.to_string()));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    write_folder(&folder, &files)?;
    Ok(folder)
}

fn table(connections: &[Connection]) -> String {
    let mut text = String::new();
    for (number, connection) in connections.iter().enumerate() {
        let _ = writeln!(text, "connection {number}: {} bytes", connection.total());
        let _ = writeln!(
            text,
            "  {:>7} up {:>7} down  handshake",
            connection.handshake.up, connection.handshake.down
        );
        for (number, moved) in connection.requests.iter().enumerate() {
            let name = REQUESTS.get(number).copied().unwrap_or("the end of the connection");
            let _ = writeln!(text, "  {:>7} up {:>7} down  {name}", moved.up, moved.down);
        }
    }
    text
}

#[test]
fn an_update_of_a_revision_moves_little_beside_its_manifest_and_its_delta() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(1)?;
    vendor.release_signatures(&revision(&lab, 1)?, "sigs", "1")?;
    site.pull_and_approve("sigs:1")?;
    let relay = Relay::before(site.port()?)?;
    let computer = Computer::reserved(&lab, &site, "pc", &vendor.root())?;
    computer.lead_through(relay.port())?;
    computer.enroll()?.ok()?;
    computer.check()?.ok()?;
    ensure!(computer.installed("sigs", "REVISION").as_deref() == Some("1"), "revision 1 is installed");
    computer.check()?.ok()?;
    let _ = relay.take();
    computer.check()?.ok()?;
    let quiet = relay.take();
    println!("a contact without news:\n{}", table(&quiet));
    let quiet = quiet.iter().map(Connection::total).sum::<u64>();
    ensure!(quiet < MAX_QUIET, "{quiet} bytes for a contact without news");

    vendor.release_signatures(&revision(&lab, 2)?, "sigs", "2")?;
    site.pull_and_approve("sigs:2")?;
    let _ = relay.take();
    computer.check()?.ok()?;
    let moved = relay.take();
    ensure!(computer.installed("sigs", "REVISION").as_deref() == Some("2"), "revision 2 is installed");
    println!("an update of a revision:\n{}", table(&moved));
    let [exchange] = moved.as_slice() else { bail!("{} connections, and one is enough", moved.len()) };
    ensure!(exchange.requests.len() >= REQUESTS.len(), "fewer requests than are known");
    let of = |name: &str| {
        let at = REQUESTS.iter().position(|known| *known == name);
        at.and_then(|at| exchange.requests.get(at)).map_or(0, |moved| moved.total())
    };
    let beside = exchange.total() - of(MANIFEST) - of(DELTA);
    println!("{} bytes in all, {beside} beside the manifest and the delta", exchange.total());
    ensure!(beside < MAX_BESIDE, "{beside} bytes beside the manifest and the delta");
    let reported = site.wait_for_activity("step_reported", &["\"by_delta\"", "\"way\":\"delta\"", "sigs"])?;
    ensure!(
        reported.contains(" came: ") && reported.contains(" of metadata"),
        "the log says how much: {reported}"
    );
    site.verify_log()
}
