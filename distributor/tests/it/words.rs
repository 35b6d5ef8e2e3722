//! What an admin is told of one computer: the last words of its hook, and that it was refused after a restore.

use jiff::{SignedDuration, Timestamp};
use sealpost_admin_api::status::{Status, WarningView};
use sealpost_distributor::backup;
use sealpost_distributor::home::Home;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};

use crate::agent::Agent;
use crate::problems::in_time;
use crate::program::stdout;
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
