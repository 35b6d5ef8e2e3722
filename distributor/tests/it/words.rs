//! What an admin is told of one computer: the last words of its hook, and that it was refused after a restore.

use jiff::{SignedDuration, Timestamp};
use sealpost_admin_api::status::{Status, WarningView};
use sealpost_distributor::backup;
use sealpost_distributor::home::Home;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};

use crate::agent::Agent;
use crate::problems::in_time;
use crate::program::{parts, refused as refused_by, run, stdout, typed};
use crate::restored::confirm;
use crate::site::Site;
use crate::vendor::start_vendor;

/// What the hook said last, with what must not reach a terminal as it is.
const LAST_WORDS: &str = "health: port 9443 does not answer\u{1b}[2J";

#[tokio::test(flavor = "multi_thread")]
async fn the_last_words_of_a_hook_are_shown_for_its_computer() {
    let vendor = start_vendor(3).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    site.pull().await;
    site.approve(manifest).await;
    let release = site.updates().await.updates.remove(0).release;
    agent.contact(&site).await;
    let mut contact = agent.next_contact();
    contact.reports = vec![Report {
        id: 1,
        at: site.clock.now(),
        release,
        manifest,
        rollout: 1,
        attempt: 1,
        step: InstallStep::RollBack,
        outcome: Outcome::Ok,
        reason: ReasonCode::HookFailed,
        detail: LAST_WORDS.to_owned(),
        ring: None,
        way: None,
        bytes: None,
        duration_ms: None,
    }];
    agent.send_contact(&site, &contact).await;

    let home = site.home();
    let shown =
        tokio::task::spawn_blocking(move || stdout(&home, &["clients", "show", "pc-1"])).await.unwrap();
    let line = shown.lines().find(|line| line.trim_start().starts_with("reported")).unwrap();
    assert!(line.contains("roll_back") && line.contains("health: port 9443 does not answer"), "{shown}");
    let why = shown.lines().find(|line| line.contains("hook_failed: health: port 9443")).unwrap();
    assert!(
        why.contains("acme-av and should run 1.0"),
        "the sentence about the release says it too: {shown}"
    );
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

async fn refused(site: &Site) -> Option<WarningView> {
    let status: Status = site.get("/status").await;
    status.warnings.into_iter().find(|warning| warning.code == "clients_refused")
}

#[tokio::test]
async fn who_cannot_go_on_after_a_real_restore_is_named_until_it_was_set_up_again() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut known = Agent::licensed(&site, "pc-1").await;
    let file = site.folder.path().join("site.backup");
    backup::make(&Home::at(site.home()), &file, Timestamp::now(), &mut |_, _| {}).unwrap();
    // Seats that the backup does not have: one goes on with its lease, one was only set up.
    let mut later = Agent::licensed(&site, "pc-2").await;
    site.reserve("pc-3").await;
    let mut without_lease = Agent::new(site.setup("pc-3").await);
    without_lease.enroll(&site).await;
    let site = site
        .between(async |home| {
            std::fs::remove_dir_all(home).unwrap();
            backup::restore(&Home::at(home), &file, Timestamp::now(), &mut |_, _| {}).await.unwrap();
        })
        .await;

    known.goes_on(&site).await.unwrap();
    assert!(refused(&site).await.is_none());
    later.goes_on(&site).await.unwrap();
    // Once is how one comes back that shows more; again and again is one that cannot.
    for _ in 0..3 {
        assert_eq!(without_lease.goes_on(&site).await.unwrap_err(), ProblemCode::UnknownComputer);
        site.clock.forward(SignedDuration::from_mins(2));
    }
    known.contact(&site).await;
    let said = in_time(async || refused(&site).await).await;
    assert_eq!(said.count, Some(1), "{said:?}");
    assert!(said.message.contains("127.0.0.1; unknown_computer"), "{said:?}");
    assert!(said.message.contains("distributor clients setup NAME"), "{said:?}");

    // What it says to type is what helps, once the vendor has confirmed.
    confirm(&site).await;
    site.reserve("pc-3").await;
    let mut again = Agent::new(site.setup("pc-3").await);
    again.enroll(&site).await;
    again.contact(&site).await;
    site.clock.forward(SignedDuration::from_hours(48));
    assert!(refused(&site).await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_mistyped_ends_with_2_whoever_finds_it_and_what_is_refused_with_1() {
    let vendor = start_vendor(3).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("pc-1").await;
    typed(&site, |home| {
        let mistyped: [(&[&str], &str); 10] = [
            (&["clients", "list", "--state", "lost"], "contact_lost"),
            (&["clients", "list", "--silent-for", "long"], "90m, 8h or 10d"),
            (&["clients", "verify", "pc-1", "--wait", "31s"], "give 0s to 30s"),
            (&["clients", "verify", "pc-1", "--wait", "soon"], "give 0s to 30s"),
            (&["clients", "verify", "a b"], "computer name"),
            (&["clients", "show", "a b"], "computer name"),
            (&["clients", "reserve", "a b"], "computer name"),
            (&["clients", "setup", "a b"], "computer name"),
            (&["clients", "admit", "pc-9", "--key", "3f2a"], "fingerprint"),
            (&["log", "--since", "tomorrow-ish"], "yesterday"),
        ];
        for (command, why) in mistyped {
            let (code, said, told) = parts(&run(home, command));
            assert_eq!((code, said.as_str()), (Some(2), ""), "{command:?}: {told}");
            assert!(told.contains(why), "{command:?}: {told}");
        }
        let refused: [&[&str]; 3] = [
            &["clients", "show", "pc-9"],
            &["clients", "setup", "pc-9"],
            &["clients", "resolve", "pc-1", "--keep", "0123456789ab", "--yes"],
        ];
        for command in refused {
            assert_eq!(parts(&run(home, command)).0, Some(1), "{command:?}");
        }
    })
    .await;
}

#[test]
fn a_list_of_a_server_that_is_down_prints_nothing() {
    let home = tempfile::tempdir().unwrap();
    for form in ["--json", "--csv", "--sort=-state"] {
        let (code, said, told) = parts(&run(home.path(), &["clients", "list", form]));
        assert_eq!((code, said.as_str()), (Some(1), ""), "{form}: {told}");
        assert!(!told.is_empty(), "{form}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hints_of_a_setup_file_are_those_of_its_role_and_of_what_is_missing() {
    let vendor = start_vendor(3).await;
    let site = Site::licensed(&vendor).await;
    site.reserve("pc-1").await;
    typed(&site, |home| {
        let (out, folder) = (home.join("one.setup.json"), home.join("setups"));
        let (out, folder) = (out.to_str().unwrap(), folder.to_str().unwrap());
        for (role, wanted, other) in [
            ("secondary", "`agent-updater servers add --setup FILE`", "agent-updater enroll"),
            ("primary", "`agent-updater enroll --setup FILE`", "servers add"),
        ] {
            let one = ["clients", "setup", "pc-1", "--role", role, "--out", out];
            let many = ["clients", "setup", "pc-1", "--role", role, "--folder", folder];
            for command in [one, many] {
                let (code, _, told) = parts(&run(home, &command));
                assert!(code == Some(0) && told.contains(wanted) && !told.contains(other), "{role}: {told}");
            }
        }
        let out = home.join("pc-1.sh");
        let told = refused_by(home, &["clients", "setup", "pc-1", "--installer", out.to_str().unwrap()]);
        for step in [
            "`distributor pull`",
            "`distributor updates list`",
            "`distributor updates approve REF`",
            "ask the vendor",
        ] {
            assert!(told.contains(step), "{step}: {told}");
        }
    })
    .await;
}

#[test]
fn the_help_of_long_commands_has_groups_and_ends_with_its_examples() {
    let home = tempfile::tempdir().unwrap();
    for (command, groups) in [
        ("reserve", &["Which computers:", "What they get:", "What is meant:"][..]),
        ("setup", &["Which computers:", "The files:", "An install file:", "Other ways:"]),
        ("list", &["Which computers:", "What they run:", "How it is printed:"]),
    ] {
        let help = stdout(home.path(), &["clients", command, "--help"]);
        let examples = help.find("Examples:").unwrap();
        for group in groups {
            assert!(help.find(group).is_some_and(|at| at < examples), "{command} {group}: {help}");
        }
    }
}
