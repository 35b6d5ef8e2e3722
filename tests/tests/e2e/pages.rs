//! The commands of the pages for vendors and admins, typed in an order in which they make sense, on a real vendor, site
//! and computer; and a look that no page has a command that is not typed.
//!
//! What a command brings about has its own tests. This one says that the page is no fiction: the command, with its
//! options as they stand there, does what a reader expects of it, or fails as it says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{
    Computer, Daemon, Lab, Output, Site, Vendor, run, workspace, write_executable, write_file,
};

use crate::licensing::code_in;

const PAGES: [&str; 2] = ["docs/operations.md", "docs/vendor.md"];
const PROGRAMS: [&str; 3] = ["publisher ", "distributor ", "agent-updater "];

/// Commands of the pages that this test does not type, and why.
const LEFT: [(&str, &str); 17] = [
    (
        "distributor clients schedule run",
        "the server's own tests and those of packages run it over a real ssh",
    ),
    (
        "distributor clients setup NAME --installer FILE",
        "the scenario of the install file types it on a computer with systemd",
    ),
    (
        "distributor clients resolve NAME --keep CONTACT",
        "the scenario of a cloned disk types it with its contact",
    ),
    ("distributor firewall show", "the scenario of the firewall types it, in a network of its own"),
    ("distributor firewall open", "the scenario of the firewall types it, in a network of its own"),
    ("distributor firewall close", "the scenario of the firewall types it, in a network of its own"),
    ("distributor register", "a sentence names it; it is typed with its serial number"),
    ("distributor register --offline", "a sentence names it; it is typed with its serial number"),
    ("agent-updater run-hook", "no person types it; the agent starts its hooks below it"),
    ("distributor updates test-load REF", "the scenario of clamscan types it with its release"),
    ("distributor updates halt", "a sentence names it; it is typed with its release"),
    ("publisher channel set", "a sentence names it; it is typed with its package"),
    ("publisher channel mandatory PACKAGE VERSION", "the walk through a mandatory release types it"),
    ("publisher serial new", "a sentence names it; it is typed with its seats"),
    ("publisher role renew", "a sentence names it; it is typed with its roles"),
    (
        "publisher serve --public --certificate FILE --key FILE",
        "it needs a certificate; the publisher's own tests make one",
    ),
    (
        "publisher release … --category security --fixes CVE-2026-1234 --advisory-url URL --supported-until 2028-12-31 --attach cyclonedx=sbom.cdx.json",
        "typed with the folder and the package that the dots stand for",
    ),
];

/// A computer with a file for any computer.
fn knocking(typing: &mut Typing) -> Result<()> {
    let knock = typing.path("knock.json");
    typing.types("distributor clients setup --knock FILE", &["clients", "setup", "--knock", &knock])?;
    let root = typing.vendor.root();
    let computer = Computer::knocking(&typing.lab, Path::new(&knock), "knocks", &root)?;
    typing.was_typed("agent-updater enroll --setup FILE --name NAME");
    computer.knock("knocks")?.refused()?;
    typing.was_typed("distributor clients pending");
    let pending = typing.site.json(&["clients", "pending"])?;
    let key = pending["pending"][0]["key"].as_str().context("a key")?.to_owned();
    typing
        .types("distributor clients admit NAME --key KEY", &["clients", "admit", "knocks", "--key", &key])?;
    computer.check()?.ok().map(drop)
}

/// The commands of ours in a page: between backticks, and at the beginning of a line of a block.
fn documented(page: &str) -> BTreeSet<String> {
    let is_ours = |text: &str| PROGRAMS.iter().any(|program| text.starts_with(program));
    let (mut found, mut is_fenced, mut prose) = (BTreeSet::new(), false, String::new());
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if is_fenced {
            found.extend(is_ours(line).then(|| line.to_owned()));
        } else {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    for paragraph in prose.split("\n\n") {
        let spans = paragraph.split('`').skip(1).step_by(2);
        let spans = spans.map(|span| span.split_whitespace().collect::<Vec<_>>().join(" "));
        found.extend(spans.filter(|span| is_ours(span)));
    }
    found
}

/// Types commands, and remembers which of the pages' they were.
struct Typing {
    lab: Lab,
    vendor: Vendor,
    site: Site,
    typed: BTreeSet<String>,
}

impl Typing {
    /// Carries a command of a page out as these words.
    fn carry_out(&mut self, documented: &str, words: &[&str]) -> Result<Output> {
        self.typed.insert(documented.to_owned());
        match documented.split(' ').next() {
            Some("publisher") => self.vendor.publisher(words),
            _ => self.site.distributor(words),
        }
        .with_context(|| documented.to_owned())
    }

    /// As [`Typing::carry_out`], for one that succeeds.
    fn types(&mut self, documented: &str, words: &[&str]) -> Result<String> {
        self.carry_out(documented, words)?.ok().with_context(|| documented.to_owned())
    }

    /// As [`Typing::types`], for a command of the Primary Server that reads a file on standard input.
    fn types_with_input(&mut self, documented: &str, words: &[&str], input: &str) -> Result<String> {
        self.typed.insert(documented.to_owned());
        let file = self.lab.path("input");
        write_file(&file, input)?;
        self.site.distributor_reading(words, &file)?.ok().with_context(|| documented.to_owned())
    }

    /// A command of a page that stands there as it is typed.
    fn types_as_it_is(&mut self, documented: &str) -> Result<String> {
        let words: Vec<&str> = documented.split(' ').skip(1).collect();
        self.types(documented, &words)
    }

    fn on(&mut self, computer: &Computer, documented: &str, words: &[&str]) -> Result<String> {
        self.typed.insert(documented.to_owned());
        computer.agent(words)?.ok().with_context(|| documented.to_owned())
    }

    fn on_as_it_is(&mut self, computer: &Computer, documented: &str) -> Result<String> {
        let words: Vec<&str> = documented.split(' ').skip(1).collect();
        self.on(computer, documented, &words)
    }

    /// What a helper of the harness typed.
    fn was_typed(&mut self, documented: &str) {
        self.typed.insert(documented.to_owned());
    }

    fn path(&self, name: &str) -> String {
        self.lab.path(name).to_string_lossy().into_owned()
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

#[test]
fn every_command_of_the_pages_is_typed() -> Result<()> {
    let lab = Lab::new()?;
    let vendor = Vendor::new(&lab, "vendor")?;
    let site = Site::new(&lab, "site", "http://127.0.0.1:1", &vendor.root())?;
    let mut typing = Typing { lab, vendor, site, typed: BTreeSet::new() };
    typing.was_typed("publisher init");
    typing.was_typed("distributor init");
    services(&mut typing)?;
    the_vendor_begins(&mut typing)?;
    let second = the_site_begins(&mut typing)?;
    let computer = a_computer(&mut typing)?;
    undoing(&mut typing, &computer)?;
    a_second_server(&mut typing, &computer)?;
    looking(&mut typing, &computer, &second)?;
    customers(&mut typing)?;
    moving_and_restoring(&mut typing, &computer)?;

    let mut named = BTreeSet::new();
    for page in PAGES {
        named.extend(documented(&fs::read_to_string(workspace().join(page))?));
    }
    let left: BTreeSet<String> = LEFT.iter().map(|(command, _)| (*command).to_owned()).collect();
    let known: BTreeSet<String> = typing.typed.union(&left).cloned().collect();
    let missing: Vec<&String> = named.difference(&known).collect();
    ensure!(
        missing.is_empty(),
        "pages have commands that nobody typed; type them here, or say why not: {missing:#?}"
    );
    let gone: Vec<&String> = known.difference(&named).collect();
    ensure!(gone.is_empty(), "no page has these any more; leave them out here too: {gone:#?}");
    Ok(())
}

fn services(typing: &mut Typing) -> Result<()> {
    let root = typing.path("computer");
    let into = ["install-service", "--root", &root, "--program", "/bin/true"];
    for documented in [
        "distributor install-service",
        "publisher install-service",
        "agent-updater install-service",
        "agent-updater install-service --strict",
    ] {
        let (program, options) = documented.split_once(' ').context("a command")?;
        // Of the home that a service has.
        let mut install = typing.lab.programs().command(program);
        install.args(into).args(options.split(' ').skip(1));
        run(install)?.ok()?;
        typing.was_typed(documented);
    }
    Ok(())
}

fn the_vendor_begins(typing: &mut Typing) -> Result<()> {
    typing
        .types("publisher trust contact", &["trust", "contact", "--contact-mail", "licenses@acme.example"])?;
    let folder = typing.path("scanner");
    for version in ["1.0", "1.1", "1.2", "1.3"] {
        write_file(&typing.lab.path("scanner/VERSION"), version)?;
        if version == "1.2" {
            break;
        }
        typing.types(
            "publisher release DIR --package PACKAGE --version V --kind program --channel stable",
            &[
                "release",
                &folder,
                "--package",
                "scanner",
                "--version",
                version,
                "--kind",
                "program",
                "--channel",
                "stable",
            ],
        )?;
    }
    write_file(&typing.lab.path("sigs/set"), "a signature\n".repeat(2_000))?;
    let sigs = typing.path("sigs");
    for revision in ["1", "2"] {
        let of = ["--package", "sigs", "--version", revision, "--kind", "signatures", "--channel", "stable"];
        let more = ["--new-package", "--deltas-from", "3"];
        let words = [&["release", &sigs], &of[..], &more].concat();
        typing.types("publisher release … --deltas-from 3", &words)?;
    }
    let bill = typing.path("sbom.cdx.json");
    write_file(Path::new(&bill), "{\"bomFormat\":\"CycloneDX\"}")?;
    let attached = format!("cyclonedx={bill}");
    typing
        .vendor
        .publisher(&[
            "release",
            &folder,
            "--package",
            "scanner",
            "--version",
            "1.2",
            "--kind",
            "program",
            "--channel",
            "stable",
            "--category",
            "security",
            "--fixes",
            "CVE-2026-1234",
            "--advisory-url",
            "https://acme.example/1",
            "--supported-until",
            "2028-12-31",
            "--attach",
            &attached,
        ])?
        .ok()?;
    let (old, new) = (typing.path("old.tar"), typing.path("new.tar"));
    write_file(Path::new(&old), "a line of text\n".repeat(200))?;
    write_file(Path::new(&new), "a line of another text\n".repeat(200))?;
    let (delta, made) = (typing.path("delta"), typing.path("made.tar"));
    typing.types("publisher delta make BASE TARGET OUT", &["delta", "make", &old, &new, &delta])?;
    typing.types("publisher delta apply BASE DELTA OUT", &["delta", "apply", &old, &delta, &made])?;
    ensure!(fs::read(&made)? == fs::read(&new)?, "the target comes back");
    typing.types("publisher delta show DELTA", &["delta", "show", &delta])?;
    let (own, program) = (typing.path("own"), typing.lab.path("own/agent-updater"));
    write_executable(&program, "#!/bin/sh\n")?;
    let documented = "publisher release FOLDER --package agent-updater --version 1.1 --kind agent --channel stable --new-package";
    let words: Vec<&str> =
        documented.split(' ').skip(1).map(|word| if word == "FOLDER" { &own } else { word }).collect();
    typing.types(documented, &words)?;
    typing.types_as_it_is("publisher status")?;
    typing.types_as_it_is("publisher role renew targets")?;
    typing.types("publisher role renew PACKAGE", &["role", "renew", "scanner"])?;
    typing.types_as_it_is("publisher root renew")?;
    let safe = typing.path("safe");
    fs::rename(typing.vendor.home().join("root-keys"), &safe)?;
    typing.types("publisher root renew --root-keys /media/safe", &["root", "renew", "--root-keys", &safe])?;
    typing.types_as_it_is("publisher refresh")?;
    typing.types_as_it_is("publisher lint")?;
    typing.types_as_it_is("publisher releases list")?;
    typing.types("publisher releases show PACKAGE VERSION", &["releases", "show", "scanner", "1.2"])?;
    typing.types_as_it_is("publisher channel list")?;
    typing.types(
        "publisher channel set PACKAGE CHANNEL VERSION",
        &["channel", "set", "scanner", "stable", "1.2"],
    )?;
    typing.vendor.publisher(&["channel", "set", "scanner", "beta", "1.2", "--new-channel"])?.ok()?;
    typing.types("publisher channel remove PACKAGE CHANNEL", &["channel", "remove", "scanner", "beta"])?;
    typing.types(
        "publisher channel minimum PACKAGE --version V",
        &["channel", "minimum", "scanner", "--version", "1.0"],
    )?;
    typing.types_as_it_is("publisher channel show")?;
    typing.types_as_it_is("publisher trust show")?;
    let url = typing.vendor.serve()?;
    typing.was_typed("publisher serve");
    typing.site.configure(&format!("vendor_url = {url:?}\n"))
}

/// Gives the second serial number.
fn the_site_begins(typing: &mut Typing) -> Result<String> {
    typing.site.serve()?;
    typing.was_typed("distributor serve");
    let printed = typing.types("publisher serial new --seats N", &["serial", "new", "--seats", "2"])?;
    let serial = printed.lines().next().context("a serial number")?.to_owned();
    typing.types("distributor register SERIAL", &["register", &serial])?;
    typing.types_with_input("distributor register -", &["register", "-"], &serial)?;
    a_site_that_is_registered_at_once(typing)?;
    typing.types("publisher serial seats SERIAL N", &["serial", "seats", &serial, "4"])?;
    typing.types("distributor register SERIAL --more-seats", &["register", &serial, "--more-seats"])?;
    let printed = typing.types(
        "publisher serial new --seats N --unreleased",
        &["serial", "new", "--seats", "1", "--package", "other", "--unreleased"],
    )?;
    let second = printed.lines().next().context("a serial number")?.to_owned();
    let printed =
        typing.types("distributor register SERIAL --offline", &["register", &second, "--offline"])?;
    let (request, answer) = (typing.path("request"), typing.path("answer"));
    write_file(Path::new(&request), code_in(&printed)?)?;
    let unlock = typing.types("publisher serial unlock FILE", &["serial", "unlock", &request])?;
    write_file(Path::new(&answer), unlock)?;
    typing.types("distributor unlock CODE", &["unlock", &answer])?;
    let end = ["serial", "end", &second, "--at", "2099-12-31", "--yes"];
    typing.types("publisher serial end SERIAL --at DATE", &end)?;
    typing.vendor.publisher(&["serial", "end", &second, "--lift"])?.ok()?;
    typing.types_as_it_is("distributor status")?;
    typing.types("distributor token new NAME", &["token", "new", "ada"])?;
    typing.types_as_it_is("distributor token list")?;
    typing.types("distributor token revoke NAME", &["token", "revoke", "ada"])?;
    typing.types_as_it_is("distributor certificate show")?;
    typing.types_as_it_is("distributor certificate renew")?;
    typing.types_as_it_is("distributor pull")?;
    typing.types_as_it_is("distributor updates list")?;
    typing.types("distributor updates show REF", &["updates", "show", "scanner:1.2"])?;
    typing.types("distributor updates approve REF", &["updates", "approve", "scanner:1.2", "--yes"])?;
    Ok(second)
}

/// With a serial number of its own, which it gets from the real vendor's program as often as it asks.
fn a_site_that_is_registered_at_once(typing: &mut Typing) -> Result<()> {
    let printed = typing.vendor.publisher(&["serial", "new", "--seats", "5"])?.ok()?;
    let serial = printed.lines().next().context("a serial number")?;
    let (home, input) = (typing.path("at-once"), typing.lab.path("serial"));
    write_file(&input, serial)?;
    let root = typing.vendor.root();
    let made = ["--vendor-url", typing.vendor.url()?, "--root", text(&root)?, "--address", "127.0.0.1"];
    // Any CA is one; the vendor's server here needs none.
    let ca = typing.site.home().join("tls/ca.crt");
    let mut init = typing.lab.programs().command("distributor");
    init.args(["--home", &home, "init", "--vendor-ca", text(&ca)?])
        .args(made)
        .args(["--serial", "-"])
        .stdin(fs::File::open(&input)?);
    let said = run(init)?.ok()?;
    ensure!(said.contains("5 seats"), "{said}");
    typing.was_typed("distributor init … --serial -");
    typing.was_typed("distributor init … --vendor-ca FILE");
    let mut later = typing.lab.programs().command("distributor");
    later.args(["--home", &home, "serve", "--listen", "127.0.0.1:0"]);
    let log = typing.lab.path("at-once.log");
    let (server, _) = Daemon::start(later, "distributor", &log, "listening on")?;
    let mut again = typing.lab.programs().command("distributor");
    again.args(["--home", &home, "register", serial]);
    let said = run(again)?.ok()?;
    ensure!(said.contains("5 seats"), "the vendor answers with the same grant: {said}");
    server.stop()
}

fn a_computer(typing: &mut Typing) -> Result<Computer> {
    let root = typing.vendor.root();
    let mut computer = Computer::reserved(&typing.lab, &typing.site, "pc-2", &root)?;
    let (setup, root) = (text(computer.setup())?.to_owned(), text(&root)?.to_owned());
    typing.on(
        &computer,
        "agent-updater enroll --setup FILE --root root.json",
        &["enroll", "--setup", &setup, "--root", &root],
    )?;
    typing.on(&computer, "agent-updater enroll --setup FILE", &["enroll", "--setup", &setup])?;
    typing.on_as_it_is(&computer, "agent-updater check")?;
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.2"));
    for documented in [
        "agent-updater status",
        "agent-updater status --json",
        "agent-updater status --hooks",
        "agent-updater audit",
    ] {
        typing.on_as_it_is(&computer, documented)?;
    }
    fs::remove_file(computer.current("scanner"))?;
    typing.on(&computer, "agent-updater repair PACKAGE", &["repair", "scanner"])?;
    typing.on_as_it_is(&computer, "agent-updater repair")?;
    typing.on_as_it_is(&computer, "agent-updater repair --new-install-root")?;
    computer.run()?;
    typing.types("distributor updates watch REF", &["updates", "watch", "scanner:1.2", "--timeout", "1"])?;
    computer.stop()?;
    Ok(computer)
}

fn undoing(typing: &mut Typing, computer: &Computer) -> Result<()> {
    write_file(&typing.lab.path("scanner/VERSION"), "1.3")?;
    let folder = typing.path("scanner");
    typing.vendor.release_program(Path::new(&folder), "scanner", "1.3")?;
    typing.site.pull_and_approve("scanner:1.3")?;
    computer.check()?.ok()?;
    typing.on(computer, "agent-updater rollback PACKAGE", &["rollback", "scanner"])?;
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.2"));
    typing.on(computer, "agent-updater retry PACKAGE", &["retry", "scanner"])?;
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.3"));
    computer.agent(&["rollback", "scanner"])?.ok()?;
    // Tells the server, and ends with 1 because of what the person gave up.
    computer.check()?.refused()?;
    typing.types(
        "distributor updates retry REF --why TEXT",
        &["updates", "retry", "scanner:1.3", "--client", "pc-2", "--why", "it is back"],
    )?;
    computer.check()?.ok()?;
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.3"));
    typing.types(
        "distributor updates halt REF --reason TEXT",
        &["updates", "halt", "scanner:1.3", "--reason", "hangs"],
    )?;
    typing.types(
        "distributor updates reconsider REF --why TEXT",
        &["updates", "reconsider", "scanner:1.3", "--why", "it was mended"],
    )?;
    typing.site.approve("scanner:1.3")?;
    typing.types(
        "distributor updates halt REF --rollback --reason TEXT",
        &["updates", "halt", "scanner:1.3", "--rollback", "--reason", "hangs"],
    )?;
    typing.types("distributor clients channel NAME CHANNEL", &["clients", "channel", "pc-2", "stable"])?;
    typing.types(
        "publisher withdraw PACKAGE VERSION --reason TEXT",
        &["withdraw", "scanner", "1.3", "--reason", "hangs"],
    )?;
    typing.site.pull()?;
    computer.check()?.ok()?;
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.2"));
    let said = computer.agent(&["rollback", "scanner"])?.refused()?;
    ensure!(said.contains("the vendor withdrew scanner 1.3") && said.contains("--anyway"), "{said}");
    typing.on(computer, "agent-updater rollback PACKAGE --anyway", &["rollback", "scanner", "--anyway"])?;
    ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.3"));
    // No release of the agent was ever installed: the packaged program is what there is to go back to.
    typing.was_typed("agent-updater rollback agent-updater");
    let said = computer.agent(&["rollback", "agent-updater"])?.refused()?;
    ensure!(said.contains("agent-updater"), "{said}");
    Ok(())
}

fn a_second_server(typing: &mut Typing, computer: &Computer) -> Result<()> {
    let mut backup = typing.lab.site(&typing.vendor, "further", 1)?;
    computer.add_server(&typing.lab, &backup)?.ok()?;
    typing.was_typed("agent-updater servers add --setup FILE");
    computer.check()?.ok()?;
    let (main, further) =
        (format!("127.0.0.1:{}", typing.site.port()?), format!("127.0.0.1:{}", backup.port()?));
    let listed = typing.on_as_it_is(computer, "agent-updater servers list")?;
    ensure!(listed.contains(&main) && listed.contains(&further), "{listed}");
    for server in [&further, &main] {
        typing.on(computer, "agent-updater servers prefer SERVER", &["servers", "prefer", server])?;
    }
    typing.on(computer, "agent-updater servers remove SERVER", &["servers", "remove", &further])?;
    backup.stop()
}

fn looking(typing: &mut Typing, computer: &Computer, second: &str) -> Result<()> {
    for documented in [
        "distributor status --ends",
        "distributor clients list",
        "distributor clients list --failing",
        "distributor clients list --runs",
        "distributor clients list --state contact-lost --sort last-contact",
        "distributor storage show",
        "distributor storage clean",
        "distributor storage check",
        "distributor address show",
        "distributor log",
        "distributor log --kind server_started",
        "distributor log verify",
    ] {
        typing.types_as_it_is(documented)?;
    }
    let checked = typing.carry_out("distributor status --check", &["status", "--check"])?;
    ensure!(["ok: ", "warning: "].iter().any(|begin| checked.stdout.starts_with(begin)), "{checked:?}");
    // Where something is moved, the scenarios of moving type it.
    let said =
        typing.carry_out("distributor address finish --now", &["address", "finish", "--now"])?.refused()?;
    ensure!(said.contains("no address or port is being changed"), "{said}");
    let root = format!("1:{}", "0".repeat(64));
    let said = typing
        .carry_out("distributor log verify --head SIZE:ROOT", &["log", "verify", "--head", &root])?
        .refused()?;
    drop(said);
    let comment = ["ledger", "acknowledge", "--comment", "looked into"];
    let said = typing.carry_out("distributor ledger acknowledge --comment TEXT", &comment)?.refused()?;
    ensure!(said.contains("nothing to acknowledge"), "{said}");
    let (checkpoint, proof) = (typing.path("checkpoint"), typing.path("proof"));
    typing.types("distributor log checkpoint --out FILE", &["log", "checkpoint", "--out", &checkpoint])?;
    typing.types("distributor log prove 1042 --out FILE", &["log", "prove", "2", "--out", &proof])?;
    let site_key = text(&typing.site.home().join("keys/site.pub"))?.to_owned();
    typing.types(
        "distributor log check-proof FILE --site-key site.pub",
        &["log", "check-proof", &proof, "--site-key", &site_key],
    )?;
    let export = typing.path("export");
    typing.types("distributor log export FILE", &["log", "export", &export])?;
    typing.types(
        "distributor log verify --export FILE --site-key site.pub --checkpoint FILE",
        &["log", "verify", "--export", &export, "--site-key", &site_key, "--checkpoint", &checkpoint],
    )?;
    typing.types("distributor clients reserve NAME", &["clients", "reserve", "pc-1"])?;
    typing.types("distributor clients show NAME", &["clients", "show", "pc-1"])?;
    // That one which runs comes when it is called has a test of its own.
    let verified = typing.carry_out("distributor clients verify NAME", &["clients", "verify", "pc-1"])?;
    ensure!(verified.stdout.starts_with("pc-1: not enrolled yet"), "{verified:?}");
    typing.types(
        "distributor clients reserve NAME --serial SERIAL",
        &["clients", "reserve", "pc-1", "--serial", second],
    )?;
    let computers = typing.path("computers.csv");
    fs::write(&computers, "name\npc-1\n")?;
    typing.types("distributor clients reserve --from FILE", &["clients", "reserve", "--from", &computers])?;
    typing.types(
        "distributor clients schedule NAME --at TIME",
        &["clients", "schedule", "pc-1", "--at", "12h", "--yes"],
    )?;
    let planned = typing.types_as_it_is("distributor clients schedules")?;
    ensure!(planned.contains("Scheduled") && planned.contains("install file"), "{planned}");
    let folder = typing.path("setups");
    typing.types(
        "distributor clients setup --from FILE --folder FOLDER",
        &["clients", "setup", "--from", &computers, "--folder", &folder],
    )?;
    // It makes the one before void, so it comes last.
    let setup = typing.path("pc-1.setup.json");
    typing.types("distributor clients setup NAME", &["clients", "setup", "pc-1", "--out", &setup])?;
    typing.types_as_it_is("distributor clients setups")?;
    knocking(typing)?;
    typing.types("distributor clients group NAME", &["clients", "group", "pc-1"])?;
    typing.on(
        computer,
        "agent-updater enroll --setup FILE --replace",
        &["enroll", "--setup", &setup, "--replace"],
    )?;
    Ok(())
}

fn customers(typing: &mut Typing) -> Result<()> {
    typing.types_as_it_is("publisher serial list")?;
    let serial = typing.vendor.serial(1)?;
    typing.types("publisher serial show SERIAL", &["serial", "show", &serial])?;
    typing.types(
        "publisher trust reset-counter PACKAGE --to N",
        &["trust", "reset-counter", "scanner", "--to", "4"],
    )?;
    Ok(())
}

fn moving_and_restoring(typing: &mut Typing, computer: &Computer) -> Result<()> {
    let backup = typing.path("backup");
    typing.types("distributor backup FILE", &["backup", &backup])?;
    typing.site.distributor(&["certificate", "renew", "--site-ca"])?.ok()?;
    typing.types_as_it_is("distributor certificate switch --now")?;
    drop(computer.check()?);
    typing.site.stop()?;
    typing.types_as_it_is("distributor ledger rebuild")?;
    let restored = typing.site.restored(&typing.lab, "restored", Path::new(&backup))?;
    typing.was_typed("distributor --home NEW-HOME restore FILE");
    let server_id = {
        let setup: serde_json::Value = serde_json::from_slice(&fs::read(computer.setup())?)?;
        let text = setup.to_string();
        server_id(&text).context("a setup file without a server id")?
    };
    drop(restored);
    typing.types("publisher clear-key SERVER_ID", &["clear-key", &server_id, "--yes"])?;
    typing
        .types("publisher clear-key SERVER_ID --stolen", &["clear-key", &server_id, "--stolen", "--yes"])?;
    Ok(())
}

/// The id of the server in the text of a setup file.
fn server_id(setup: &str) -> Option<String> {
    let after = setup.split("server_id").nth(1)?;
    let id = after.trim_start_matches(['\\', '"', ':']);
    Some(id.split(['\\', '"']).next()?.to_owned())
}
