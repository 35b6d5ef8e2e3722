//! What must not be published by a slip: a vendor's keys, and what was typed wrong.

use std::fs;

use sealpost_keys::{SealingKey, SigningKey, Token, key_file};
use sealpost_publisher::release::{Order, ReleaseError};

use crate::process::{Bench, strs};
use crate::support::Home;

/// What a release of another folder says, and that nothing was published by it.
#[track_caller]
fn refused(bench: &Bench, arguments: &[&str], words: &[&str]) {
    let timestamp = bench.path("home/repository/metadata/timestamp.json");
    let before = fs::read(&timestamp).unwrap();
    bench.fails(arguments, words);
    assert_eq!(fs::read(&timestamp).unwrap(), before, "{arguments:?}");
}

/// The arguments of a release, with one of them replaced.
fn with(bench: &Bench, from: &str, to: &str) -> Vec<String> {
    let arguments = bench.release("1.0");
    arguments.into_iter().map(|argument| if argument == from { to.to_owned() } else { argument }).collect()
}

#[test]
fn a_folder_that_holds_a_home_or_lies_in_one_is_never_released() {
    let bench = Bench::ready();
    refused(
        &bench,
        &strs(&with(&bench, "content", ".")),
        &["vendor's home", "secret keys", "folder of its own"],
    );
    for inside in ["home/keys", "home/repository/metadata", "home"] {
        refused(&bench, &strs(&with(&bench, "content", inside)), &["vendor's home"]);
    }
    std::os::unix::fs::symlink(bench.path("home"), bench.path("link")).unwrap();
    refused(&bench, &strs(&with(&bench, "content", "link")), &["vendor's home"]);
    for (mark, other, what) in [
        ("distributor.toml", "keys/site.key", "a Primary Server's home"),
        ("state/current.json", "keys/client.key", "an agent's home"),
    ] {
        for mark in [mark, other] {
            let path = bench.path("content/below").join(mark);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        refused(&bench, &strs(&bench.release("1.0")), &[what]);
        fs::remove_dir_all(bench.path("content/below")).unwrap();
    }
    bench.ok(&strs(&bench.release("1.0")));
}

#[test]
fn a_secret_key_of_ours_is_never_released_under_whatever_name() {
    let bench = Bench::ready();
    let innocent = bench.path("content/readme.txt");
    fs::copy(bench.path("home/keys/targets.key"), &innocent).unwrap();
    let said = ["readme.txt", "minisign secret key"];
    refused(&bench, &strs(&bench.release("1.0")), &said);
    fs::remove_file(&innocent).unwrap();
    SealingKey::generate().unwrap().write_file(&innocent).unwrap();
    refused(&bench, &strs(&bench.release("1.0")), &["readme.txt", "sealing key"]);
    fs::remove_file(&innocent).unwrap();

    let site_key = bench.path("site");
    key_file::write_secret(&site_key, &SigningKey::generate().unwrap(), None).unwrap();
    let release = bench.release("1.0");
    let attach = [strs(&release), vec!["--attach", "advisory=site"]].concat();
    refused(&bench, &attach, &["minisign secret key"]);
    let notes = [strs(&release), vec!["--notes", "site"]].concat();
    refused(&bench, &notes, &["the notes", "minisign secret key"]);

    fs::write(bench.path("content/demo.pem"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    refused(&bench, &strs(&bench.release("1.0")), &["demo.pem", "private key", "--with-private-keys"]);
    bench.ok(&[strs(&bench.release("1.0")), vec!["--with-private-keys"]].concat());
}

#[test]
fn what_holds_secrets_of_ours_is_never_released_under_whatever_name() {
    let bench = Bench::ready();
    let innocent = bench.path("content/readme.txt");
    // The database as it lies in the vendor's home, while its home is elsewhere.
    fs::copy(bench.path("home/license.db"), &innocent).unwrap();
    refused(&bench, &strs(&bench.release("1.0")), &["readme.txt", "license database"]);
    for (text, what) in [
        (include_str!("../../../manifests/tests/golden/setup.v2.json"), "a setup file"),
        (include_str!("../../../manifests/tests/golden/grant.unlock-code.txt"), "a grant"),
        (include_str!("../../../manifests/tests/golden/grant.signed.json"), "a grant"),
    ] {
        fs::write(&innocent, text).unwrap();
        refused(&bench, &strs(&bench.release("1.0")), &["readme.txt", what, "take it out"]);
    }
    fs::write(&innocent, format!("{}\n", Token::generate().unwrap().as_str())).unwrap();
    refused(&bench, &strs(&bench.release("1.0")), &["admin token", "--with-private-keys"]);
    bench.ok(&[strs(&bench.release("1.0")), vec!["--with-private-keys"]].concat());
}

#[test]
fn what_is_a_slip_most_of_the_time_needs_a_word_and_is_named_all_at_once() {
    let bench = Bench::ready();
    // The first package of a vendor cannot be another one misspelled.
    bench.ok(&strs(&bench.release("2.0")));
    let lower = bench.release("1.9");
    refused(&bench, &strs(&lower), &["channel stable points at 2.0", "--downgrade"]);
    bench.ok(&[strs(&lower), vec!["--downgrade"]].concat());

    let odd: Vec<String> = with(&bench, "acme-av", "acme-va");
    let odd = [strs(&odd), vec!["--platform", "linux-x86-64"]].concat();
    let said = ["acme-va", "--new-package", "linux-x86-64", "--new-platform", "linux-x86_64"];
    refused(&bench, &odd, &said);
    bench.ok(&[odd.clone(), vec!["--new-package", "--new-platform"]].concat());
    // What was meant once is known.
    let again: Vec<&str> = odd.iter().map(|word| if *word == "1.0" { "1.1" } else { word }).collect();
    bench.ok(&again);
}

#[test]
fn a_further_channel_and_a_lower_version_are_asked_back_and_a_channel_can_be_removed() {
    let bench = Bench::ready();
    // The first channel of a package cannot be another one misspelled.
    bench.ok(&strs(&bench.release("1.0")));
    bench.ok(&strs(&bench.release("1.1")));
    let typo = ["channel", "set", "acme-av", "stabel", "1.1"];
    refused(&bench, &typo, &["no channel stabel yet, only stable", "--new-channel"]);
    let typo = with(&bench, "stable", "stabel");
    refused(&bench, &strs(&typo), &["no channel stabel yet, only stable", "--new-channel"]);
    let lower = ["channel", "set", "acme-av", "stable", "1.0"];
    refused(&bench, &lower, &["channel stable points at 1.1", "--downgrade"]);
    bench.ok(&[&lower[..], &["--downgrade"]].concat());

    bench.ok(&["channel", "set", "acme-av", "beta", "1.1", "--new-channel"]);
    let said = bench.ok(&["channel", "remove", "acme-av", "beta"]);
    assert!(said.contains("removed channel beta, which pointed at 1.1"), "{said}");
    assert!(!bench.ok(&["channel", "list"]).contains("beta"));
    refused(&bench, &["channel", "remove", "acme-av", "beta"], &["no such channel; there are: stable"]);
    // What a withdrawal emptied is no new channel, and can be removed too.
    bench.ok(&["channel", "set", "acme-av", "beta", "1.1", "--new-channel"]);
    bench.ok(&["withdraw", "acme-av", "1.1", "--reason", "it hurts"]);
    assert!(bench.ok(&["channel", "show"]).contains("channel beta -> nothing"));
    bench.ok(&["channel", "set", "acme-av", "beta", "1.0"]);
    bench.ok(&["lint"]);
    bench.ok(&["withdraw", "acme-av", "1.0", "--reason", "it hurts too"]);
    bench.ok(&["channel", "remove", "acme-av", "beta"]);
    assert!(!bench.ok(&["channel", "show"]).contains("beta"));
}

#[test]
fn options_that_a_version_was_not_published_with_are_refused_and_named() {
    let bench = Bench::ready();
    fs::write(bench.path("notes"), "what is new").unwrap();
    fs::write(bench.path("sbom.json"), "{}").unwrap();
    let first = bench.release("1.0");
    let described = ["--severity=high", "--category=security", "--fixes=CVE-2026-1", "--fixes=CVE-2026-2"];
    let first = [strs(&first), described.to_vec(), vec!["--notes=notes"]].concat();
    bench.ok(&first);
    let plain = bench.release("1.0");
    for (option, more) in [
        ("--severity", "normal"),
        ("--category", "bugfix"),
        ("--fixes", "CVE-2026-1"),
        ("--advisory-url", "https://acme.example/7"),
        ("--supported-until", "2028-12-31"),
        ("--notes", "sbom.json"),
    ] {
        let words =
            [option, "a published version never changes", "release a new version", "`publisher channel set"];
        refused(&bench, &[strs(&plain), vec![option, more]].concat(), &words);
    }
    let all = ["--severity=low", "--supported-until=2028-12-31", "--attach=spdx=sbom.json"];
    refused(
        &bench,
        &[strs(&plain), all.to_vec()].concat(),
        &["--severity and --supported-until", "attachments"],
    );

    // The same again, in whatever order, and what says nothing of it.
    bench.ok(&first);
    bench.ok(&[strs(&plain), vec!["--fixes=CVE-2026-2", "--fixes=CVE-2026-1"]].concat());
    let beta = with(&bench, "stable", "beta");
    bench.ok(&[strs(&beta), vec!["--new-channel"]].concat());
    assert!(bench.ok(&["channel", "show"]).contains("channel beta -> 1.0"));
    assert!(bench.ok(&["releases", "show", "acme-av", "1.0"]).contains("severity high"));
}

#[test]
fn a_day_that_there_is_not_is_said_in_plain_words() {
    let bench = Bench::ready();
    let release = bench.release("1.0");
    for day in ["2028-13-01", "2028-02-31", "next year"] {
        let output = bench.run(&[strs(&release), vec!["--supported-until", day]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("is neither a day such as 2028-12-31"), "{said}");
        assert!(!said.contains("parse") && !said.contains("parameter"), "{said}");
    }
}

#[test]
fn a_higher_version_needs_no_word_although_it_sorts_before_as_text() {
    let home = Home::new();
    let publish = |version: &str| {
        home.publish(&Order { permits: [].into(), ..home.order("acme-av", version, version) })
    };
    publish("1.9").unwrap();
    publish("1.10").unwrap();
    let error = publish("1.10-rc1").unwrap_err();
    assert!(matches!(error, ReleaseError::Questions { .. }), "{error}");
}
