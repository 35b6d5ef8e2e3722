//! What an auditor keeps of a server's log, and checks with the real program: proofs and checkpoints; and what an admin
//! is shown of computers that keep another log.

use std::path::Path;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::wire::contact::Contact;
use sealpost_test_support::folders::copy_tree;
use sealpost_test_support::license::serial;

use crate::agent::Agent;
use crate::program::{json, refused, run, serve, stdout, stop};
use crate::site::Site;
use crate::vendor::start_vendor;

#[tokio::test(flavor = "multi_thread")]
async fn a_computer_that_was_shown_another_log_is_named_by_status_and_its_heads_by_clients_show() {
    let vendor = start_vendor(9).await;
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    Agent::licensed(&site, "pc-2").await;
    let seen = LogHead { size: 4_711, root: Sha256Digest::of(b"another log") };
    let held = agent.holds.head.unwrap();
    let contact = Contact {
        forked_head: Some(seen),
        instance: Some(Sha256Digest::of(b"this computer")),
        ..agent.next_contact()
    };
    agent.send_contact(&site, &contact).await;

    let home = site.home();
    let told = move || {
        ["pc-1", "pc-2"].map(|name| {
            (stdout(&home, &["clients", "show", name]), json(&home, &["clients", "show", name, "--json"]))
        })
    };
    let [(forked, as_json), (other, other_as_json)] = tokio::task::spawn_blocking(told).await.unwrap();
    assert!(forked.contains("log forked") && forked.contains(&format!("{} entries", held.size)), "{forked}");
    assert!(forked.contains(&format!("4711 entries sha256:{}", seen.root)), "{forked}");
    assert!(forked.contains(&format!("instance      {}", Sha256Digest::of(b"this computer"))), "{forked}");
    assert_eq!(as_json["log_fork"]["seen"]["size"], 4_711);
    assert_eq!(as_json["log_fork"]["held"], serde_json::to_value(held).unwrap());
    assert_eq!(as_json["instance"], Sha256Digest::of(b"this computer").to_string());
    assert!(!other.contains("log forked") && other_as_json["log_fork"].is_null(), "{other}");
    let home = site.home();
    let status = tokio::task::spawn_blocking(move || stdout(&home, &["status"])).await.unwrap();
    assert!(
        status.contains("warning: 1 computer holds a head of another log than this one (pc-1)"),
        "{status}"
    );
}

/// How a check ends that found what it was to look for.
const DAMAGE: i32 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_checks_a_proof_without_the_log_and_the_log_with_a_checkpoint() {
    let vendor = start_vendor(9).await;
    let (url, root) = (vendor.url(), vendor.root_file());
    tokio::task::spawn_blocking(move || audit(&url, &root)).await.unwrap();
}

fn audit(vendor_url: &str, root: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let home = folder.path().join("home");
    let init =
        ["init", "--vendor-url", vendor_url, "--root", root.to_str().unwrap(), "--address", "127.0.0.1"];
    stdout(&home, &init);
    let server = serve(&home);
    stdout(&home, &["register", serial().as_str()]);
    stdout(&home, &["clients", "reserve", "pc-1"]);
    let log = stdout(&home, &["log", "--kind", "seat_reserved"]);
    let sequence = log.split_whitespace().next().unwrap();
    stdout(&home, &["clients", "reserve", "pc-2"]);

    let (proof, key) = (file("pc-1.proof.json"), home.join("keys/site.pub"));
    stdout(&home, &["log", "prove", sequence, "--out", &proof]);
    let check = |proof: &str| {
        // The auditor's computer has no home of a server.
        let elsewhere = folder.path().join("elsewhere");
        run(&elsewhere, &["log", "check-proof", proof, "--site-key", key.to_str().unwrap()])
    };
    let good = check(&proof);
    let said = String::from_utf8(good.stdout).unwrap();
    assert!(good.status.success() && said.contains("holds entry") && said.contains("pc-1"), "{said}");
    let changed = file("changed.proof.json");
    let text = std::fs::read_to_string(&proof).unwrap();
    assert!(text.contains("pc-1"), "{text}");
    std::fs::write(&changed, text.replace("pc-1", "pc-7")).unwrap();
    let refused_proof = check(&changed);
    assert_eq!(refused_proof.status.code(), Some(DAMAGE));
    assert!(String::from_utf8(refused_proof.stdout).unwrap().contains("does not hold"));

    let kept = file("kept.checkpoint");
    stdout(&home, &["log", "checkpoint", "--out", &kept]);
    assert!(stdout(&home, &["log", "checkpoint"]).starts_with("sealpost.log/"));
    stdout(&home, &["clients", "reserve", "pc-3"]);
    assert!(stdout(&home, &["log", "verify", "--checkpoint", &kept]).contains("the log is whole"));
    stop(server);
    assert!(stdout(&home, &["log", "verify", "--checkpoint", &kept]).contains("the log is whole"));

    // From here on the log is written twice, with the same keys.
    let copy = folder.path().join("copy");
    copy_tree(&home, &copy).unwrap();
    let (forked, longer) = (file("forked.checkpoint"), file("longer.checkpoint"));
    let server = serve(&copy);
    stdout(&copy, &["clients", "reserve", "pc-4"]);
    stdout(&copy, &["log", "checkpoint", "--out", &forked]);
    stdout(&copy, &["clients", "reserve", "pc-5"]);
    stdout(&copy, &["clients", "reserve", "pc-6"]);
    stdout(&copy, &["log", "checkpoint", "--out", &longer]);
    stop(server);
    let server = serve(&home);
    stdout(&home, &["clients", "reserve", "pc-7"]);
    let altered = file("altered.checkpoint");
    let note = std::fs::read_to_string(&kept).unwrap();
    let size = note.lines().nth(1).unwrap();
    std::fs::write(&altered, note.replacen(&format!("\n{size}\n"), "\n1\n", 1)).unwrap();
    let verify_all = || {
        stdout(&home, &["log", "verify", "--checkpoint", &kept]);
        for other in [&forked, &longer] {
            let found = run(&home, &["log", "verify", "--checkpoint", &kept, "--checkpoint", other]);
            let said = String::from_utf8(found.stdout).unwrap();
            assert!(found.status.code() == Some(DAMAGE) && said.contains("the log is damaged"), "{said}");
        }
        let said = refused(&home, &["log", "verify", "--checkpoint", &altered]);
        assert!(said.contains("not one of this server's log"), "{said}");
    };
    verify_all();
    stop(server);
    verify_all();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_log_is_checked_without_the_server_and_every_change_of_it_is_found() {
    let vendor = start_vendor(9).await;
    let (url, root) = (vendor.url(), vendor.root_file());
    tokio::task::spawn_blocking(move || export(&url, &root)).await.unwrap();
}

fn export(vendor_url: &str, root: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let home = folder.path().join("home");
    let init =
        ["init", "--vendor-url", vendor_url, "--root", root.to_str().unwrap(), "--address", "127.0.0.1"];
    stdout(&home, &init);
    let server = serve(&home);
    stdout(&home, &["register", serial().as_str()]);
    stdout(&home, &["clients", "reserve", "pc-1"]);
    let (online, offline, early) = (file("online.log"), file("offline.log"), file("early.checkpoint"));
    stdout(&home, &["log", "checkpoint", "--out", &early]);
    for number in 0..3 {
        stdout(&home, &["clients", "setup", "pc-1", "--out", &file(&format!("{number}.setup.json"))]);
    }
    let said = stdout(&home, &["log", "export", &online]);
    assert!(said.contains("exported") && said.contains("of the log of server"), "{said}");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&online).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(refused(&home, &["log", "export", &online]).contains("--force"));
    let said = json(&home, &["log", "export", &online, "--force", "--json"]);
    let entries = said["entries"].as_u64().unwrap();
    // What is no file keeps its place, also with --force.
    let pipe = file("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, pipe.as_str(), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for out in [pipe, file("null")] {
        if out.ends_with("null") {
            std::os::unix::fs::symlink("/dev/null", &out).unwrap();
        }
        let before = Path::new(&out).symlink_metadata().unwrap().file_type();
        for more in [&[][..], &["--force"]] {
            let said = refused(&home, &[&["log", "export", &out], more].concat());
            assert!(said.contains("is not replaced") && said.contains("`-` is standard output"), "{said}");
        }
        assert_eq!(Path::new(&out).symlink_metadata().unwrap().file_type(), before);
        // Neither replaced nor written into: these never replace anything.
        for command in [&["log", "checkpoint", "--out", &out][..], &["log", "prove", "1", "--out", &out]] {
            assert!(refused(&home, command).contains("cannot write the"), "{command:?}");
        }
        let said = refused(&home, &["clients", "setup", "pc-1", "--out", &out]);
        assert!(said.contains("it is there already and is no setup file"), "{said}");
        assert_eq!(Path::new(&out).symlink_metadata().unwrap().file_type(), before);
    }
    stdout(&home, &["clients", "reserve", "pc-2"]);
    stop(server);
    stdout(&home, &["log", "export", &offline]);
    assert_eq!(stdout(&home, &["log", "export", "-"]).lines().count() as u64, entries + 2);

    let key = home.join("keys/site.pub");
    // The auditor's computer has no home of a server.
    let elsewhere = folder.path().join("elsewhere");
    let verify = |file: &str, more: &[&str]| {
        let key = ["--site-key", key.to_str().unwrap()];
        run(&elsewhere, &[&["log", "verify", "--export", file], &key[..], more].concat())
    };
    let text = |output: &std::process::Output| String::from_utf8(output.stdout.clone()).unwrap();
    for whole in [&online, &offline] {
        let good = verify(whole, &["--checkpoint", &early]);
        assert!(good.status.success() && text(&good).contains("the export is whole"), "{good:?}");
        assert!(!String::from_utf8(good.stderr).unwrap().contains("not proven"), "nothing is left open");
    }
    let trusting = run(&elsewhere, &["log", "verify", "--export", &online]);
    let left_open = String::from_utf8(trusting.stderr).unwrap();
    assert!(trusting.status.success() && left_open.contains("not proven: whose it is"), "{left_open}");
    assert!(left_open.contains("not cut at its end"), "{left_open}");
    let as_json = json(&elsewhere, &["log", "verify", "--export", &online, "--json"]);
    assert_eq!((&as_json["holds"], &as_json["site_key_given"]), (&true.into(), &false.into()), "{as_json}");

    // A later checkpoint shows that the export is older than what somebody saw.
    let server = serve(&home);
    let late = file("late.checkpoint");
    stdout(&home, &["log", "checkpoint", "--out", &late]);
    stop(server);
    let older = verify(&online, &["--checkpoint", &late]);
    assert_eq!(older.status.code(), Some(DAMAGE));
    assert!(text(&older).contains("the export is older, or the rest was cut off"), "{older:?}");
    let whole = std::fs::read_to_string(&online).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let changes = [
        ("changed", whole.replacen("pc-1", "pc-7", 1)),
        ("cut", lines[..lines.len() - 1].join("\n") + "\n"),
        ("torn", whole[..whole.len() - 3].to_owned()),
        ("removed", [&lines[..3], &lines[4..]].concat().join("\n") + "\n"),
        ("added", format!("{whole}{}\n", lines[3])),
        ("other", format!("{}\n{}\n", lines[0], lines[1])),
    ];
    for (name, changed) in changes {
        let path = file(name);
        assert_ne!(changed, whole, "{name}");
        std::fs::write(&path, changed).unwrap();
        let found = verify(&path, &[]);
        assert_eq!(found.status.code(), Some(DAMAGE), "{name}");
        assert!(text(&found).contains("does not hold"), "{name}: {found:?}");
    }
    let other = file("other.pub");
    let other_home = folder.path().join("other-home");
    stdout(&other_home, &init);
    std::fs::copy(other_home.join("keys/site.pub"), &other).unwrap();
    let of_another = run(&elsewhere, &["log", "verify", "--export", &online, "--site-key", &other]);
    assert_eq!(of_another.status.code(), Some(DAMAGE));
    assert!(text(&of_another).contains("the export is of the site key"), "{of_another:?}");
}
