//! Selling and unlocking by the program as a process.

use std::collections::BTreeMap;
use std::fs;

use sealpost_files::FileLock;
use sealpost_keys::SigningKey;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, Registration, RegistrationReason};
use sealpost_manifests::ids::SerialNumber;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::text_code::{self, CodeFormat};

use crate::process::{Bench, strs};
use crate::support::{register_request, registration};

#[test]
fn a_registration_code_becomes_an_unlock_code() {
    let bench = Bench::ready();
    let serial = bench.ok(&["serial", "new", "--seats", "10", "--package", "acme-av"]);
    assert_eq!(serial.lines().count(), 1);
    let site = SigningKey::generate().unwrap();
    let sold = SerialNumber::new(serial.trim()).unwrap();
    let request = register_request(&registration(&sold, &site), &site);
    let code = text_code::encode(&request.registration);
    fs::write(bench.path("code.txt"), &code).unwrap();

    let unlock = bench.ok(&["serial", "unlock", "code.txt"]);
    let license = fs::read_to_string(bench.path("home/keys/license.pub")).unwrap();
    let license = sealpost_keys::PublicKey::from_file_text(&license).unwrap();
    let grant = text_code::decode(&unlock).unwrap().verify::<Grant>(std::slice::from_ref(&license)).unwrap();
    assert_eq!((grant.seats, grant.packages.len()), (10, 1));
    assert_eq!(bench.ok(&["serial", "unlock", &code]), unlock, "the same code gets the same answer");
    assert_eq!(text_code::format_of(&unlock), Some(CodeFormat::Groups));
    // A server from before the groups had checks reads what it writes.
    let older = text_code::encode_as(&request.registration, CodeFormat::Lines);
    let answer = bench.ok(&["serial", "unlock", &older]);
    assert_eq!(text_code::format_of(&answer), Some(CodeFormat::Lines));
    assert_eq!(text_code::encode(&text_code::decode(&answer).unwrap()), unlock, "the same grant");
    let answer = bench.ok(&["serial", "unlock", &serde_json::to_string(&request).unwrap()]);
    assert_eq!(answer, unlock, "JSON names no format");

    bench.ok(&["serial", "unlock", "code.txt", "--out", "grant.json"]);
    let file = fs::read_to_string(bench.path("grant.json")).unwrap();
    serde_json::from_str::<SignedDocument>(&file).unwrap().verify::<Grant>(&[license]).unwrap();

    let list: serde_json::Value = serde_json::from_str(&bench.ok(&["serial", "list", "--json"])).unwrap();
    assert_eq!((&list[0]["seats"], &list[0]["generation"]), (&10.into(), &1.into()));
    assert!(bench.ok(&["serial", "list"]).contains(serial.trim()));
    bench.fails(&["serial", "unlock", &code.replacen('0', "1", 1)], &["group 1 on line 1", "1C"]);
}

#[test]
fn grants_end_in_the_time_zone_that_was_given_at_the_beginning() {
    let bench = Bench::new();
    let init = ["init", "--vendor", "Acme", "--no-passphrase", "--time-zone"];
    let output = bench.run(&[init.as_slice(), &["Mars/Olympus"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("Europe/Berlin"));
    bench.ok(&[init.as_slice(), &["Pacific/Kiritimati"]].concat());
    let settings = fs::read_to_string(bench.path("home/vendor.toml")).unwrap();
    assert!(settings.contains("time_zone = \"Pacific/Kiritimati\""), "{settings}");
    let sold = SerialNumber::new(bench.ok(&["serial", "new", "--seats", "10"]).trim()).unwrap();
    let site = SigningKey::generate().unwrap();
    let request = register_request(&registration(&sold, &site), &site);
    bench.ok(&["serial", "unlock", &text_code::encode(&request.registration)]);
    // Kiritimati is 14 hours ahead all year.
    let shown = bench.ok(&["serial", "show", sold.as_str()]);
    assert!(shown.contains("T09:59:59Z"), "{shown}");
    fs::write(bench.path("home/vendor.toml"), settings.replace("Pacific/Kiritimati", "Mars/Olympus"))
        .unwrap();
    bench.fails(&["serial", "list"], &["vendor.toml", "Mars/Olympus", "Europe/Berlin"]);
}

#[test]
fn what_a_server_said_with_each_registration_is_shown_and_what_is_odd_stands_out() {
    let bench = Bench::ready();
    let sold = SerialNumber::new(bench.ok(&["serial", "new", "--seats", "10"]).trim()).unwrap();
    let site = SigningKey::generate().unwrap();
    let unlock = |reason, size, used| {
        let head = LogHead { size, ..LogHead::empty() };
        let used = BTreeMap::from([(sold.clone(), used)]);
        let registration = Registration { reason, ledger_head: head, used, ..registration(&sold, &site) };
        let code = text_code::encode(&register_request(&registration, &site).registration);
        let output = bench.run(&["serial", "unlock", &code]);
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let quiet = unlock(RegistrationReason::First, 9, 10);
    assert!(!quiet.contains("note:"), "{quiet}");
    assert!(
        quiet.contains("send this unlock code to the site") && quiet.contains("`distributor unlock FILE`"),
        "{quiet}"
    );
    let odd = unlock(RegistrationReason::Renew, 7, 11);
    assert!(
        odd.contains("fewer entries") && odd.contains("11 seats are in use, and 10 are granted"),
        "{odd}"
    );
    assert!(odd.contains(&format!("publisher serial show {sold}")), "{odd}");
    assert!(!unlock(RegistrationReason::Restored, 5, 9).contains("note:"));

    let shown = bench.ok(&["serial", "show", sold.as_str()]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 1 + 2 + 3 + 1, "{shown}");
    assert!(lines[2].contains("grant 2: 10 seats, epoch 2"), "{shown}");
    assert!(lines[4].contains("(renew)") && lines[4].contains("11 of 10 seats in use (more than granted)"));
    assert!(lines[5].contains("suspicious: the server's log has fewer entries"), "{shown}");
    assert!(lines[6].contains("(restored): answered with grant 2") && lines[6].contains("log of 5 entries"));
    let json = bench.ok(&["serial", "show", sold.as_str(), "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["registrations"][1]["remark"], "head_smaller");
    assert_eq!((&json["grants"][1]["epoch"], &json["used"]), (&2.into(), &9.into()));
    assert_eq!(json["registrations"][0]["epoch"], 0, "what the server had: {json}");
    let as_of: jiff::Timestamp = json["used_at"].as_str().unwrap_or_default().parse().unwrap();
    let listed = bench.ok(&["serial", "list"]);
    let as_of = as_of.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    assert!(listed.contains("AS OF") && listed.contains(" 9  ") && listed.contains(&as_of), "{listed}");

    // Fewer than are in use is a slip most of the time.
    bench.fails(&["serial", "seats", sold.as_str(), "8"], &["9 seats were in use", "--fewer"]);
    assert!(bench.ok(&["serial", "show", sold.as_str()]).contains("10 named seats"));
    assert!(bench.ok(&["serial", "seats", sold.as_str(), "8", "--fewer"]).contains("8 seats instead of 10"));

    let unsold = SerialNumber::from_random([1; 19]);
    bench.fails(&["serial", "show", unsold.as_str()], &["no such serial number", "publisher serial list"]);
}

#[test]
fn seats_are_changed_and_the_next_registration_is_told_of() {
    let bench = Bench::ready();
    let json: serde_json::Value =
        serde_json::from_str(&bench.ok(&["serial", "new", "--seats", "10", "--json"])).unwrap();
    let serial = json["serial"].as_str().unwrap();
    assert_eq!(json["seats"], 10);
    let said = bench.ok(&["serial", "seats", serial, "25"]);
    assert!(said.contains("25 seats instead of 10") && said.contains("first registration"), "{said}");
    let json: serde_json::Value =
        serde_json::from_str(&bench.ok(&["serial", "seats", serial, "30", "--json"])).unwrap();
    assert_eq!(json["seats"], 30);
    bench.fails(&["serial", "seats", serial, "0"], &["0 seats", "from 1 to"]);
    let unsold = SerialNumber::from_random([3; 19]);
    bench.fails(&["serial", "seats", unsold.as_str(), "5"], &["no such serial number"]);
    assert!(bench.ok(&["serial", "show", serial]).contains("30 named seats"));
}

#[test]
fn a_binding_is_cleared_only_when_somebody_says_so_and_the_next_registration_says_what_it_got() {
    let bench = Bench::ready();
    let serial = SerialNumber::new(bench.ok(&["serial", "new", "--seats", "10"]).trim()).unwrap();
    let site = SigningKey::generate().unwrap();
    let code = |site: &SigningKey| {
        text_code::encode(&register_request(&registration(&serial, site), site).registration)
    };
    bench.ok(&["serial", "unlock", &code(&site)]);
    let output = bench.run(&["serial", "unlock", &code(&site)]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("has already"), "{said}");

    let server = registration(&serial, &site).server_id.to_string();
    bench.fails(&["clear-key", &server], &["1 serial number", "--yes", "keeps its grant"]);
    let stolen = ["1 serial number", "whoever registers one next", "for good", "--yes"];
    bench.fails(&["clear-key", &server, "--stolen"], &stolen);
    let other = SigningKey::generate().unwrap();
    bench.fails(&["serial", "unlock", &code(&other)], &["bound to another server", "`publisher clear-key`"]);
    let cleared = bench.ok(&["clear-key", &server, "--yes"]);
    assert!(cleared.contains(serial.as_str()), "{cleared}");
    assert!(cleared.contains("whoever has the number") && cleared.contains("register at once"), "{cleared}");
    assert!(bench.ok(&["serial", "list"]).contains("cleared"));
    bench.ok(&["serial", "unlock", &code(&other)]);
    let shown = bench.ok(&["serial", "show", serial.as_str()]);
    assert!(shown.contains(&format!("taken from the server {server}")), "{shown}");
    bench.fails(&["clear-key", &server, "--yes"], &["no serial number is bound", "publisher serial list"]);

    // That it was stolen comes out later.
    bench.fails(
        &["clear-key", &server, "--stolen"],
        &["no serial number is bound to the server", "--yes", "for good"],
    );
    assert!(
        bench.ok(&["clear-key", &server, "--stolen", "--yes"]).contains("its key and its id are refused")
    );
    bench.fails(&["serial", "unlock", &code(&site)], &["was stolen", "`distributor init`"]);
    assert!(bench.ok(&["serial", "show", serial.as_str()]).contains("which was stolen"));
}

#[test]
fn nobody_is_asked_about_a_server_that_never_registered() {
    let bench = Bench::ready();
    for options in [&[][..], &["--stolen"]] {
        let unknown = "9c1f0e6a2b7d4c35a8e0f1d2c3b4a596";
        let arguments = [&["clear-key", unknown], options].concat();
        let output = bench.run(&arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("publisher serial list") && !said.contains("--yes"), "{said}");
    }
}

#[test]
fn while_somebody_is_asked_about_a_package_the_home_is_free() {
    let bench = Bench::ready();
    bench.ok(&strs(&bench.release("1.0")));
    let mut asked = bench.on_a_terminal(&["serial", "new", "--seats", "10", "--package", "nosuch"]);
    let question = asked.read_until("Type yes: ");
    assert!(question.contains("there is no package nosuch; released were acme-av"), "{question}");
    // Another publisher, or the renewal of the running server, goes on meanwhile.
    FileLock::try_take(&bench.path("home/.lock")).unwrap();
    asked.answer("yes");
    assert!(bench.ok(&["serial", "list"]).contains("10"));
}

#[test]
fn a_license_for_a_package_that_was_never_released_needs_a_word() {
    let bench = Bench::ready();
    bench.ok(&strs(&bench.release("1.0")));
    bench.ok(&["serial", "new", "--seats", "10", "--package", "acme-av"]);
    let sell = ["serial", "new", "--seats", "10", "--package", "nosuch"];
    bench.fails(&sell, &["no package nosuch", "acme-av", "--unreleased"]);
    let two = [
        "serial",
        "new",
        "--seats",
        "10",
        "--package",
        "nosuch",
        "--package",
        "acme-av",
        "--package",
        "other",
    ];
    bench.fails(&two, &["no package nosuch", "no package other", "--unreleased"]);
    assert_eq!(bench.ok(&["serial", "list"]).lines().count(), 2, "nothing was sold");
    bench.ok(&[sell.as_slice(), &["--unreleased"]].concat());
}

#[test]
fn a_serial_number_is_ended_after_a_question_and_the_end_is_shown_and_lifted() {
    let bench = Bench::ready();
    let serial = SerialNumber::new(bench.ok(&["serial", "new", "--seats", "10"]).trim()).unwrap();
    let (site, id) = (SigningKey::generate().unwrap(), serial.as_str());
    let code = || text_code::encode(&register_request(&registration(&serial, &site), &site).registration);
    bench.fails(&["serial", "end", id], &["no server can register it after that", "--yes"]);
    bench.ok(&["serial", "unlock", &code()]);
    let asked =
        ["keep their seats and run on", "nobody gets a new seat", "updates end with their leases", "--yes"];
    bench.fails(&["serial", "end", id, "--at", "2099-06-30"], &asked);
    bench.fails(&["serial", "end", id, "--at", "2020-06-30", "--yes"], &["which is over", "leave --at away"]);
    for typed in ["tomorrow", "2099-06-30T10:00:00", "30.6.2099", "2099-02-30"] {
        let output = bench.run(&["serial", "end", id, "--at", typed, "--yes"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && said.contains("year-month-day, such as 2027-12-31"),
            "{typed}: {said}"
        );
    }
    assert!(!bench.ok(&["serial", "show", id]).contains("ends"), "nothing was done");

    let said = bench.ok(&["serial", "end", id, "--at", "2099-06-30", "--yes"]);
    assert!(said.contains("ends 2099-06-30T23:59:59Z") && said.contains("distributor register"), "{said}");
    assert!(bench.ok(&["serial", "show", id]).contains("its server was not told yet"));
    bench.ok(&["serial", "unlock", &code()]);
    assert!(bench.ok(&["serial", "show", id]).contains("its server was told with the newest grant"));
    let said = bench.ok(&["serial", "end", id, "--lift"]);
    assert!(said.contains("does not end any more"), "{said}");

    let json = bench.ok(&["serial", "end", id, "--yes", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["ends_at"].as_str().unwrap().ends_with('Z') && json["seats"] == 10, "{json}");
    let output = bench.run(&["serial", "unlock", &code()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains(&format!("publisher serial end {id} --lift")), "{said}");
    assert!(bench.ok(&["serial", "list"]).contains("ended 20"));
    let other = SerialNumber::new(bench.ok(&["serial", "new", "--seats", "10"]).trim()).unwrap();
    bench.ok(&["serial", "end", other.as_str(), "--yes"]);
    assert!(bench.ok(&["serial", "show", other.as_str()]).contains("no server can register it after that"));
    let code = text_code::encode(&register_request(&registration(&other, &site), &site).registration);
    bench.fails(&["serial", "unlock", &code], &["the vendor ended the serial number at", "another one"]);
}
