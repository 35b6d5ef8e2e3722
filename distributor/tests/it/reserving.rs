//! Many seats with one command: from a file, from standard input, for a group.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::program::{distributor, json, parts, refused, run, stdout, typed};
use crate::site::Site;
use crate::terminal::answered;
use crate::vendor::start_vendor;

/// Who holds a seat.
fn holders(home: &Path) -> Vec<String> {
    let clients = json(home, &["clients", "list", "--json"]);
    clients["clients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_reserved_with_a_line_for_each_that_was_refused_and_again_it_changes_nothing() {
    let vendor = start_vendor(4).await;
    let site = Site::licensed(&vendor).await;
    typed(&site, |home| {
        stdout(home, &["groups", "add", "lab", "--why", "the laboratory"]);
        let file = home.join("computers.csv");
        let text = "\u{feff}Name;Group\r\npc-1;\r\nPC-2.;lab\r\nno name\r\npc-1;lab\r\npc-3;attic\r\n\r\nb\u{fc}ro-7;lab\r\npc-4\r\npc-5\r\n";
        std::fs::write(&file, text).unwrap();
        let reserve = ["clients", "reserve", "--from", file.to_str().unwrap()];
        let (code, said, told) = parts(&run(home, &reserve));
        assert_eq!((code, said.as_str()), (Some(1), "4 seats were reserved, 1 held one before, 3 refused\n"), "{told}");
        let refusals: Vec<&str> = told.lines().filter(|line| line.starts_with("line ")).collect();
        let [no_name, no_group, no_seat] = refusals.as_slice() else { panic!("{told}") };
        assert!(no_name.starts_with("line 4: ") && no_name.contains("no name"), "{no_name}");
        assert_eq!(
            *no_group,
            "line 6: there is no group named attic; make it with `distributor groups add attic --why TEXT`"
        );
        let wanted = "line 10: pc-5: no seat is free: 4 of 4 are used; ask the vendor for more seats";
        assert!(no_seat.starts_with(wanted), "{no_seat}");
        assert!(told.contains("a reservation is for good"), "{told}");
        assert_eq!(holders(home), ["b\u{fc}ro-7", "pc-1", "pc-2", "pc-4"]);
        assert_eq!(stdout(home, &["groups", "members", "lab"]), "b\u{fc}ro-7\npc-1\npc-2\n");

        let before = stdout(home, &["log", "--json"]);
        let (code, said, _) = parts(&run(home, &reserve));
        assert_eq!((code, said.as_str()), (Some(1), "0 seats were reserved, 5 held one before, 3 refused\n"));
        assert_eq!(stdout(home, &["log", "--json"]), before, "nothing was changed");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_names_than_one_request_has_come_from_standard_input_and_are_answered_in_their_order() {
    let vendor = start_vendor(1_100).await;
    let site = Site::licensed(&vendor).await;
    typed(&site, |home| {
        let names: String = (0..1_200).map(|number| format!("pc-{number:04}\n")).collect();
        let mut command = distributor(home);
        command.args(["clients", "reserve", "--from", "-", "--yes", "--json"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(names.as_bytes()).unwrap();
        let (code, said, told) = parts(&child.wait_with_output().unwrap());
        assert_eq!(code, Some(1), "{told}");
        let answers: serde_json::Value = serde_json::from_str(&said).unwrap();
        let answers = answers["answers"].as_array().unwrap();
        assert_eq!(answers.len(), 1_200);
        for (number, answer) in answers.iter().enumerate() {
            let outcome = if number < 1_100 { "taken" } else { "refused" };
            assert_eq!(
                (answer["name"].as_str(), answer["outcome"].as_str()),
                (Some(&*format!("pc-{number:04}")), Some(outcome))
            );
        }
        assert_eq!(answers[1_150]["problem"]["code"], "no_seat_free");
        assert_eq!(told.lines().filter(|line| line.starts_with("line ")).count(), 100, "{told}");
        assert_eq!(json(home, &["status", "--json"])["licenses"][0]["used"], 1_100);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_leave_half_is_refused_before_a_seat_is_taken() {
    let vendor = start_vendor(4).await;
    let site = Site::licensed(&vendor).await;
    typed(&site, |home| {
        let file = home.join("computers.csv");
        let from = file.to_str().unwrap();
        let no_group = refused(home, &["clients", "reserve", "pc-1", "--group", "attic"]);
        assert!(no_group.contains("distributor groups add attic"), "{no_group}");
        let several = refused(home, &["clients", "reserve", "pc-1", "pc-2", "--group", "attic"]);
        assert!(several.contains("distributor groups add attic"), "{several}");
        let missing = refused(home, &["clients", "reserve", "--from", from]);
        assert!(
            missing.contains("cannot read the names in ") && missing.contains("computers.csv"),
            "{missing}"
        );
        for (text, wanted) in [
            (&b"name,chanel\npc-1,beta\n"[..], "its column `chanel` is not known"),
            (b"# nobody\n", "it names no computer"),
            (b"\xff\xfep\0c\0-\x001\0", "CSV UTF-8"),
        ] {
            std::fs::write(&file, text).unwrap();
            let told = refused(home, &["clients", "reserve", "--from", from]);
            assert!(told.contains(wanted), "{told}");
        }
        assert!(holders(home).is_empty(), "no seat was taken");

        stdout(home, &["groups", "add", "lab", "--why", "the laboratory"]);
        let one = stdout(home, &["clients", "reserve", "pc-1", "--group", "lab"]);
        assert_eq!(one, "pc-1 holds a seat, channel stable\n");
        let two =
            stdout(home, &["clients", "reserve", "pc-1", "pc-2", "--group", "lab", "--channel", "stable"]);
        assert_eq!(two, "1 seat was reserved, 1 held one before, 0 refused\n");
        let (code, said, told) = parts(&run(home, &["clients", "reserve", "no name", "pc-3"]));
        assert_eq!(
            (code, said.as_str()),
            (Some(1), "1 seat was reserved, 0 held one before, 1 refused\n"),
            "{told}"
        );
        assert_eq!(stdout(home, &["groups", "members", "lab"]), "pc-1\npc-2\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_a_terminal_it_is_asked_before_a_seat_is_taken_for_good() {
    let vendor = start_vendor(4).await;
    let site = Site::licensed(&vendor).await;
    typed(&site, |home| {
        let one = ["clients", "reserve", "pc-1"];
        for no in ["n\n", "\n", "\u{4}"] {
            let (code, said, seen) = answered(home, &one, no);
            assert_eq!((code, said.as_str()), (Some(1), ""), "{seen}");
            assert!(seen.contains("for good") && seen.contains("Reserve it? [y/N]"), "{seen}");
            assert!(seen.contains("nothing was changed"), "{seen}");
        }
        let (code, said, seen) = answered(home, &["clients", "reserve", "pc-1", "no name", "pc-2"], "n\n");
        assert_eq!((code, said.as_str()), (Some(1), ""), "{seen}");
        assert!(seen.contains("2 names") && seen.contains("Reserve them? [y/N]"), "{seen}");
        let (mistakes, _) = seen.split_once("for good").unwrap();
        assert!(
            mistakes.contains("\"no name\" is not a valid computer name"),
            "told before it is asked: {seen}"
        );
        assert!(holders(home).is_empty(), "nobody agreed");
        let (code, said, seen) = answered(home, &one, "y\n");
        assert_eq!((code, said.as_str()), (Some(0), "pc-1 holds a seat, channel stable\n"), "{seen}");
        let (code, _, seen) = answered(home, &["clients", "reserve", "pc-2", "--yes"], "");
        assert!(code == Some(0) && !seen.contains("[y/N]"), "{seen}");
        assert_eq!(holders(home), ["pc-1", "pc-2"]);
        for (command, question) in [
            (&["clients", "schedule", "pc-3", "--at", "1h"][..], "[y/N]"),
            (&["clients", "admit", "pc-3", "--key", &"0".repeat(64)], "[y/N]"),
        ] {
            let (code, said, seen) = answered(home, command, "n\n");
            assert_eq!((code, said.as_str()), (Some(1), ""), "{seen}");
            assert!(seen.contains("for good") && seen.contains(question), "{seen}");
            assert!(seen.contains("nothing was changed"), "{seen}");
        }
        assert_eq!(holders(home), ["pc-1", "pc-2"], "nobody agreed");
    })
    .await;
}

/// A line that is refused takes no seat, and nobody is asked whether another name is meant that takes one. When the file is
/// mended, its name is compared like every other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_line_is_compared_with_the_others_when_it_wants_a_seat_again() {
    let vendor = start_vendor(9).await;
    let site = Site::licensed(&vendor).await;
    typed(&site, |home| {
        let file = home.join("computers.csv");
        std::fs::write(&file, "name,group\nreception-1,attic\nrecepton-1,\nreception-1,attic\n").unwrap();
        let reserve = ["clients", "reserve", "--from", file.to_str().unwrap()];
        let (code, said, told) = parts(&run(home, &reserve));
        assert_eq!(
            (code, said.as_str()),
            (Some(1), "1 seat was reserved, 0 held one before, 2 refused\n"),
            "{told}"
        );
        assert_eq!(told.matches("there is no group named attic").count(), 2, "{told}");
        assert_eq!(holders(home), ["recepton-1"]);
        stdout(home, &["groups", "add", "attic", "--why", "it is there"]);
        let (code, said, told) = parts(&run(home, &reserve));
        assert_eq!(
            (code, said.as_str()),
            (Some(1), "0 seats were reserved, 1 held one before, 2 refused\n"),
            "{told}"
        );
        assert_eq!(told.matches("reception-1 is spelled nearly as recepton-1").count(), 2, "{told}");
        assert_eq!(holders(home), ["recepton-1"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_says_whether_a_seat_was_taken_now_how_many_are_free_and_where_a_refusal_stands() {
    let vendor = start_vendor(4).await;
    let site = Site::licensed(&vendor).await;
    typed(&site, |home| {
        let one = ["clients", "reserve", "pc-1"];
        let (_, _, told) = parts(&run(home, &one));
        assert!(told.contains("it took the seat now, of ") && told.contains("; 3 seats are free"), "{told}");
        let (code, _, told) = parts(&run(home, &one));
        assert!(
            code == Some(0) && told.contains("it held the seat before: nothing was taken; 3 seats are free"),
            "{told}"
        );
        let held = json(home, &["clients", "reserve", "pc-1", "--json"]);
        assert_eq!((held["outcome"].as_str(), held["free"].as_u64()), (Some("held"), Some(3)), "{held}");
        assert_eq!(
            (held["name"].as_str(), held["channel"].as_str()),
            (Some("pc-1"), Some("stable")),
            "{held}"
        );
        let taken = json(home, &["clients", "reserve", "pc-2", "--json"]);
        assert_eq!((taken["outcome"].as_str(), taken["free"].as_u64()), (Some("taken"), Some(2)), "{taken}");

        let file = home.join("computers.csv");
        std::fs::write(&file, "name,group\npc-3,\nno name,\npc-4,attic\npc-5,\npc-6,\n").unwrap();
        let many = ["clients", "reserve", "also none", "--from", file.to_str().unwrap(), "--json"];
        let (code, said, told) = parts(&run(home, &many));
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        let answers: Vec<_> = said["answers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|answer| (answer["line"].as_u64(), answer["name"].as_str(), answer["outcome"].as_str()))
            .collect();
        let wanted = [(2, "pc-3", "taken"), (5, "pc-5", "taken"), (6, "pc-6", "refused")];
        assert_eq!(answers, wanted.map(|(line, name, outcome)| (Some(line), Some(name), Some(outcome))));
        let not_asked: Vec<_> = said["not_asked"]
            .as_array()
            .unwrap()
            .iter()
            .map(|answer| (answer["line"].as_u64(), answer["name"].as_str()))
            .collect();
        assert_eq!(
            not_asked,
            [(None, Some("also none")), (Some(3), None), (Some(4), Some("pc-4"))],
            "{told}"
        );
        assert_eq!((code, said["free"].as_u64()), (Some(1), Some(0)), "{said}");
        let (_, said, told) = parts(&run(home, &["clients", "reserve", "pc-1", "pc-2"]));
        assert!(said.contains("2 held one before") && told.contains("0 seats are free"), "{told}");
    })
    .await;
}
