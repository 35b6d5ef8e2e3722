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
const REQUESTS: [&str; 4] = ["contact", "what is newer", DELTA, "contact with reports"];
const DELTA: &str = "delta, with the manifest";
/// Most bytes of a whole exchange, both ways, with its handshake, for a delta of 2 KB.
const MAX_EXCHANGE: u64 = 12_000;
/// Least and most bytes of what is taken for such a delta, with the heads of its request and answer.
const OF_DELTA: std::ops::Range<u64> = 2_000..4_000;
/// Revisions that the vendor's list of the package has: months of signatures that change many times a day.
const LISTED: u32 = 300;

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
            for line in 0..400 * number {
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
fn an_update_of_a_revision_moves_less_than_twelve_kilobytes_in_all() -> Result<()> {
    exchange(1)
}

#[test]
fn it_does_so_too_when_the_vendors_list_has_hundreds_of_revisions() -> Result<()> {
    exchange(LISTED)
}

/// An update from one revision to the next, when so many are listed.
#[expect(clippy::print_stdout, reason = "what moved is shown with a failure")]
fn exchange(listed: u32) -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(1)?;
    let small = lab.path("small");
    for number in 1..listed {
        write_folder(&small, &[("REVISION", &number.to_string())])?;
        vendor.release_signatures(&small, "sigs", &number.to_string())?;
    }
    let [now, next] = [listed, listed + 1].map(|number| number.to_string());
    vendor.release_signatures(&revision(&lab, 1)?, "sigs", &now)?;
    site.pull_and_approve(&format!("sigs:{now}"))?;
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

    vendor.release_signatures(&revision(&lab, 2)?, "sigs", &next)?;
    site.pull_and_approve(&format!("sigs:{next}"))?;
    let _ = relay.take();
    computer.check()?.ok()?;
    let moved = relay.take();
    ensure!(computer.installed("sigs", "REVISION").as_deref() == Some("2"), "revision 2 is installed");
    println!("an update of a revision:\n{}", table(&moved));
    let [exchange] = moved.as_slice() else { bail!("{} connections, and one is enough", moved.len()) };
    ensure!(
        exchange.requests.len() >= REQUESTS.len(),
        "{} requests, and {} are known",
        exchange.requests.len(),
        REQUESTS.len()
    );
    let at = REQUESTS.iter().position(|known| *known == DELTA);
    let delta = at.and_then(|at| exchange.requests.get(at)).map_or(0, |moved| moved.total());
    println!("{listed} revisions listed: {} bytes in all, of which {delta} for the delta", exchange.total());
    ensure!(OF_DELTA.contains(&delta), "{delta} bytes for a delta of some 2 KB");
    ensure!(exchange.total() < MAX_EXCHANGE, "{} bytes in all", exchange.total());
    let reported = site.wait_for_activity("step_reported", &["\"by_delta\"", "\"way\":\"delta\"", "sigs"])?;
    ensure!(
        reported.contains(" came: ") && reported.contains(" of metadata"),
        "the log says how much: {reported}"
    );
    site.verify_log()
}
