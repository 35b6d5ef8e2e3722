//! Who a halt concerns besides those that run the release; and what a site's rollback is made of.

use sealpost_admin_api::clients::Client;
use sealpost_admin_api::status::Status;
use sealpost_admin_api::updates::{Review, Update, UpdatesPage};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};

use crate::agent::Agent;
use crate::program::run;
use crate::site::Site;
use crate::vendor::start_vendor;
use sealpost_test_support::vendor_server::ServedVendor;

/// What a command ends with and prints, asked of the server in this process.
async fn says(site: &Site, arguments: &'static [&'static str]) -> (i32, String) {
    let home = site.home();
    let output = tokio::task::spawn_blocking(move || run(&home, arguments)).await.unwrap();
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), format!("{out}{error}"))
}

async fn row_of(site: &Site, manifest: Sha256Digest) -> Update {
    let rows = site.updates().await.updates;
    rows.into_iter().find(|row| row.manifest == manifest).unwrap()
}

fn installed(row: &Update) -> InstalledPackage {
    InstalledPackage {
        release: row.release.clone(),
        kind: row.kind,
        counter: row.counter,
        manifest: row.manifest,
    }
}

/// A step of an install of a release.
fn report(site: &Site, row: &Update, step: InstallStep) -> Report {
    Report {
        id: 1,
        at: site.clock.now(),
        release: row.release.clone(),
        manifest: row.manifest,
        rollout: 1,
        attempt: 1,
        step,
        outcome: Outcome::Ok,
        reason: ReasonCode::Done,
        detail: String::new(),
        ring: None,
        way: None,
        bytes: None,
        duration_ms: None,
    }
}

async fn attention(site: &Site) -> Vec<String> {
    let status: Status = site.get("/status").await;
    let wanted = status.warnings.into_iter().filter(|warning| warning.code == "release_attention");
    wanted.map(|warning| warning.message).collect()
}

/// Two releases, approved one after the other.
async fn two_releases(vendor: &ServedVendor, site: &Site) -> [Update; 2] {
    let mut manifests = Vec::new();
    for version in ["1.0", "1.1"] {
        let manifest = vendor.release(version, &[("engine", version.as_bytes())]);
        site.pull().await;
        site.approve(manifest).await;
        manifests.push(manifest);
    }
    [row_of(site, manifests[0]).await, row_of(site, manifests[1]).await]
}

/// The computer says that it runs a release.
async fn runs(site: &Site, agent: &mut Agent, row: &Update) {
    let mut contact = agent.next_contact();
    contact.packages = vec![installed(row)];
    agent.send_contact(site, &contact).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_told_a_halted_release_and_did_not_say_how_that_ended_is_counted_and_named() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    let mut told = Agent::licensed(&site, "pc-1").await;
    let mut tries = Agent::licensed(&site, "pc-2").await;
    let mut failed = Agent::licensed(&site, "pc-3").await;
    site.pull().await;
    site.approve(manifest).await;
    let row = row_of(&site, manifest).await;
    told.contact(&site).await;
    for (agent, step, outcome) in [
        (&mut tries, InstallStep::Health, Outcome::Ok),
        (&mut failed, InstallStep::TestLoad, Outcome::Refused),
    ] {
        agent.contact(&site).await;
        let mut contact = agent.next_contact();
        contact.reports = vec![Report { outcome, ..report(&site, &row, step) }];
        agent.send_contact(&site, &contact).await;
    }
    let (code, said) =
        says(&site, &["updates", "halt", "acme-av:1.0", "--reason", "it hangs", "--rollback"]).await;
    let line = "2 computers were told to install it and did not say how that ended: pc-1, pc-2";
    assert!(code == 0 && said.contains(line), "{said}");
    let shown = says(&site, &["updates", "show", "acme-av:1.0"]).await.1;
    assert!(shown.contains(line), "{shown}");
    let warned = attention(&site).await.remove(0);
    assert!(
        warned.starts_with("2 computers may try acme-av 1.0") && warned.contains("(pc-1, pc-2)"),
        "{warned}"
    );
    // Who heard of it and had begun nothing is done with it; who had begun is waited for.
    told.contact(&site).await;
    tries.contact(&site).await;
    let warned = attention(&site).await.remove(0);
    assert!(warned.starts_with("1 computer may try acme-av 1.0") && warned.contains("(pc-2)"), "{warned}");
    let client: Client = site.get("/clients/pc-2").await;
    let sentence = &client.explanations[0].sentence;
    assert!(sentence.contains("; it was told to install 1.0, which was halted by "), "{sentence}");
    assert!(sentence.ends_with(" (it hangs), and did not say how that ended"), "{sentence}");
    let mut ended = tries.next_contact();
    let asked =
        Report { id: 2, reason: ReasonCode::AskedBySite, ..report(&site, &row, InstallStep::RollBack) };
    ended.reports = vec![asked];
    tries.send_contact(&site, &ended).await;
    assert_eq!(attention(&site).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reports_that_the_release_before_is_not_kept_is_told_to_go_back_no_more() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let [old, new] = two_releases(&vendor, &site).await;
    runs(&site, &mut agent, &old).await;
    runs(&site, &mut agent, &new).await;
    let halt = &["updates", "halt", "acme-av:1.1", "--reason", "r", "--rollback"];
    let (code, said) = says(&site, halt).await;
    assert!(code == 0 && said.contains("is told to go back: pc-1"), "{said}");
    let mut contact = agent.next_contact();
    contact.packages = vec![installed(&new)];
    let refused = (Outcome::Refused, ReasonCode::NotKept);
    let report = Report { outcome: refused.0, reason: refused.1, ..report(&site, &old, InstallStep::Check) };
    contact.reports = vec![report];
    let answer = agent.send_contact(&site, &contact).await;
    assert!(agent.assignment(&answer).packages.is_empty(), "nothing leads it away");
    // The retry of what it does not keep would be refused for ever.
    let status: Status = site.get("/status").await;
    let warned = status.warnings.iter().find(|warning| warning.message.contains("retry"));
    assert_eq!(warned.map(|warning| &warning.message), None);
    let warned = attention(&site).await.remove(0);
    assert!(
        warned.ends_with("1 has nothing to go back to and runs on (pc-1): approve a newer release for it"),
        "{warned}"
    );
    let (code, said) = says(&site, halt).await;
    assert!(
        code == 1
            && said
                .contains("has nothing to go back to and keeps it until a newer release is approved: pc-1"),
        "{said}"
    );
    let shown = says(&site, &["updates", "show", "acme-av:1.0"]).await.1;
    assert!(shown.contains("not kept   by 1 computer") && !shown.contains("updates retry"), "{shown}");
    // Also at a later contact, whose report is acknowledged by then.
    runs(&site, &mut agent, &new).await;
    assert!(says(&site, halt).await.1.contains("has nothing to go back to"));
    let client: Client = site.get("/clients/pc-1").await;
    assert!(client.explanations[0].sentence.contains("not kept there"), "{:?}", client.explanations);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_the_release_that_a_halt_leads_back_to_waits_for_who_was_told_to_go_back() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agents = Vec::new();
    for name in ["pc-1", "pc-2", "pc-3"] {
        agents.push(Agent::licensed(&site, name).await);
    }
    let [old, new] = two_releases(&vendor, &site).await;
    for agent in &mut agents {
        runs(&site, agent, &old).await;
        runs(&site, agent, &new).await;
    }
    says(&site, &["updates", "halt", "acme-av:1.1", "--reason", "r", "--rollback"]).await;
    let [first, second, without] = agents.as_mut_slice() else { unreachable!("there are three") };
    runs(&site, first, &old).await;
    // Who does not keep it is neither waited for nor in the place of one that is.
    let mut contact = without.next_contact();
    contact.packages = vec![installed(&new)];
    let (outcome, reason) = (Outcome::Refused, ReasonCode::NotKept);
    contact.reports = vec![Report { outcome, reason, ..report(&site, &old, InstallStep::Check) }];
    without.send_contact(&site, &contact).await;
    let watch = &["updates", "watch", "acme-av:1.0", "--timeout", "0"];
    let (code, said) = says(&site, watch).await;
    assert!(code == 1 && said.contains("on 1 of 2 computers") && said.contains("the time is over"), "{said}");
    let review: Review = site.get(&format!("/updates/{}", old.manifest)).await;
    assert_eq!((review.recipient_count, review.pending_count), (2, Some(1)));
    runs(&site, second, &old).await;
    let (code, said) = says(&site, watch).await;
    let ended = said.contains("on 2 of 2 computers") && !said.contains("the time is over");
    assert!(code == 1 && ended, "who does not keep it needs a person: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_of_what_the_vendor_withdrew_keeps_both_reasons_each_with_its_author() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    let [old, new] = two_releases(&vendor, &site).await;
    runs(&site, &mut agent, &old).await;
    runs(&site, &mut agent, &new).await;
    vendor.withdraw("1.1", "it loses data");
    site.pull().await;
    let (code, said) =
        says(&site, &["updates", "halt", "acme-av:1.1", "--reason", "go back", "--rollback"]).await;
    assert_eq!(code, 0, "{said}");
    let row = row_of(&site, new.manifest).await;
    let decided = row.decided.unwrap();
    assert_eq!((row.reason.as_deref(), decided.comment.as_deref()), (Some("it loses data"), Some("go back")));
    let warned = attention(&site).await.remove(0);
    assert!(warned.contains("which the vendor withdrew (it loses data) and "), "{warned}");
    assert!(warned.contains(" halted (go back): 1 is told to go back"), "{warned}");
    let shown = says(&site, &["updates", "show", "acme-av:1.1"]).await.1;
    assert!(
        shown.contains("comment    go back") && shown.contains("reason     it loses data (the vendor's)"),
        "{shown}"
    );
    let client: Client = site.get("/clients/pc-1").await;
    let sentence = &client.explanations[0].sentence;
    for part in
        ["which the vendor withdrew (it loses data), as is known here since ", ", and should go back to 1.0"]
    {
        assert!(sentence.contains(part), "{sentence}");
    }
    let mut contact = agent.next_contact();
    contact.packages = vec![installed(&new)];
    let answer = agent.send_contact(&site, &contact).await;
    let why = agent.assignment(&answer).packages[0].why.clone().unwrap();
    assert_eq!(why.text, "the vendor withdrew acme-av 1.1 (any): it loses data");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_says_how_many_run_a_release_and_how_many_are_to_come_whoever_was_told_so_far() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let mut agents = Vec::new();
    for name in ["pc-1", "pc-2", "pc-3"] {
        agents.push(Agent::licensed(&site, name).await);
    }
    let [old, new] = two_releases(&vendor, &site).await;
    // One runs what it is assigned no more, one runs the new release, and one was not in contact since.
    runs(&site, &mut agents[0], &old).await;
    runs(&site, &mut agents[1], &new).await;
    let page: UpdatesPage = site.get("/updates?to_come=true").await;
    let of = |manifest| page.updates.iter().find(|update| update.manifest == manifest).unwrap();
    assert_eq!((of(new.manifest).installed, of(new.manifest).to_come), (1, Some(2)));
    assert_eq!((of(old.manifest).installed, of(old.manifest).to_come), (1, None), "it is superseded");
    let listed = says(&site, &["updates", "list"]).await.1;
    assert!(listed.contains("RUN BY") && listed.contains("TO COME"), "{listed}");
    let shown = says(&site, &["updates", "show", "acme-av:1.1"]).await.1;
    assert!(shown.contains("to come    2 computers are to run it and do not say so yet"), "{shown}");
}
