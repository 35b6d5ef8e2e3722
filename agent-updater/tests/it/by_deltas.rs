//! Releases that come by deltas of which the server told, with the manifest in them.

use std::fs;

use jiff::SignedDuration;
use sealpost_agent_updater::app::Agent;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::wire::refresh::{DeltaWay, Hop, RefreshRequest, Route};
use sealpost_manifests::wire::report::Way;
use sealpost_test_support::clock::ManualClock;
use sealpost_test_support::web::{Fault, Times};

use crate::site::Site;
use crate::update::delta;

fn digest(manifest: &ReleaseManifest) -> Sha256Digest {
    Sha256Digest::of(document::write(manifest).unwrap().as_bytes())
}

/// A computer that runs "one", to which "two" is assigned; the server tells of a delta between them, and has these bytes for it.
fn told(bytes: impl FnOnce(Vec<u8>) -> Vec<u8>) -> (Site, Agent, ManualClock, [Sha256Digest; 2]) {
    let site = Site::new();
    site.server.lock().unwrap().is_new = true;
    drop(site.enrolled());
    let clock = ManualClock::running();
    let agent = site.agent_with(clock.clone());
    let one = site.release("1", 1, "one");
    assert_eq!(agent.cycle().problems, Vec::<String>::new());
    let two = site.release("2", 2, "two");
    let ends = [digest(&one), digest(&two)];
    let bytes = bytes(delta([(&one, "one"), (&two, "two")]));
    let hops = vec![Hop { to: ends[1], bytes: u64::try_from(bytes.len()).unwrap() }];
    let mut server = site.server.lock().unwrap();
    server.ways = vec![DeltaWay { from: Some(ends[0]), hops }];
    server.delta = Some(bytes);
    server.refreshes.clear();
    drop(server);
    site.web.forget_asked();
    (site, agent, clock, ends)
}

/// How often deltas, manifests by themselves, and payloads were asked for.
fn asked(site: &Site) -> [usize; 3] {
    let manifest = |request: &&RefreshRequest| {
        request.documents.iter().any(|name| name.to_string().ends_with(".manifest"))
    };
    let manifests = site.server.lock().unwrap().refreshes.iter().filter(manifest).count();
    [site.web.asked("deltas/").len(), manifests, site.web.asked(".tar.gz").len()]
}

#[test]
fn the_manifest_comes_with_the_delta_of_which_the_server_told() {
    let (site, agent, _, [one, two]) = told(|delta| delta);
    assert_eq!(agent.cycle().problems, Vec::<String>::new());
    assert_eq!(site.installed().as_deref(), Some("two"));
    assert_eq!(asked(&site), [1, 0, 0]);
    let server = site.server.lock().unwrap();
    assert!(
        server.refreshes[0].routes.contains(&Route { from: Some(one), to: two }),
        "{:?}",
        server.refreshes
    );
    let report = server.reports.iter().rfind(|report| report.way.is_some()).unwrap();
    let length = u64::try_from(server.delta.as_ref().unwrap().len()).unwrap();
    assert_eq!((report.way, report.bytes.unwrap().payload), (Some(Way::Delta), length), "{report:?}");
    assert_eq!(fs::read_dir(site.computer.path().join("home/downloads")).unwrap().count(), 0);
}

#[test]
fn a_delta_out_of_which_no_manifest_comes_is_fetched_once_and_replaced_by_manifest_and_payload() {
    let (site, agent, _, _) = told(|delta| vec![7; delta.len()]);
    assert_eq!(agent.cycle().problems, Vec::<String>::new());
    assert_eq!(site.installed().as_deref(), Some("two"));
    assert_eq!(asked(&site), [1, 1, 1]);
    assert_eq!(fs::read_dir(site.computer.path().join("home/downloads")).unwrap().count(), 0);
}

#[test]
fn a_delta_that_has_to_wait_is_replaced_by_nothing_and_no_manifest_is_asked_for() {
    let (site, agent, _, _) = told(|delta| delta);
    site.web.fail("/deltas/", Fault::Later(900), Times::Always);
    agent.cycle();
    assert_eq!(site.installed().as_deref(), Some("one"));
    assert_eq!(asked(&site)[1..], [0, 0]);
    assert_eq!(agent.status().packages.remove(0).decision, Some("waits_for_link"));
}

#[test]
fn what_was_made_ready_by_a_delta_is_not_fetched_again_when_its_window_opens() {
    let (site, agent, clock, _) = told(|delta| delta);
    let hour = SignedDuration::from_hours(1);
    let mut server = site.server.lock().unwrap();
    server.assigned[0].install_from = Some(clock.now() + hour * 2);
    server.assigned[0].install_until = Some(clock.now() + hour * 6);
    drop(server);
    agent.cycle();
    assert_eq!(agent.status().packages.remove(0).prepared.as_deref(), Some("2"));
    assert_eq!(site.installed().as_deref(), Some("one"));
    assert_eq!(asked(&site)[0], 1);
    clock.forward(hour * 3);
    assert_eq!(agent.cycle().problems, Vec::<String>::new());
    assert_eq!(site.installed().as_deref(), Some("two"));
    let [deltas, _, payloads] = asked(&site);
    assert_eq!((deltas, payloads), (1, 0), "nothing is fetched again");
}
