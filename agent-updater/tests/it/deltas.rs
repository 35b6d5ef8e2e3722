//! Ways by deltas as a server tells them, with the manifest in the deltas; and metadata that come as patches.

use std::fs::{self, File};
use std::io::Write;
use std::sync::Mutex;
use std::thread;

use jiff::SignedDuration;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::flows::repair::repair;
use sealpost_agent_updater::home::Home;
use sealpost_agent_updater::records::tries::{self, Tries};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::wire::refresh::{DELTA_CONTAINER, DeltaWay, Hop, RefreshRequest, Route};
use sealpost_manifests::wire::report::Way;
use sealpost_test_support::clock::ManualClock;
use sealpost_test_support::folders::make_writable;
use sealpost_test_support::web::{Fault, Times};

use crate::server::packed;
use crate::site::{Site, package};
use crate::update::delta;

/// A site whose server says at once what is newer.
fn new_site() -> Site {
    let site = Site::new();
    site.server.lock().unwrap().is_new = true;
    site
}

fn digest(release: &ReleaseManifest) -> Sha256Digest {
    Sha256Digest::of(document::write(release).unwrap().as_bytes())
}

/// Tells of a way, and has its deltas.
fn tell(site: &Site, from: Option<Sha256Digest>, hops: &[(Sha256Digest, Vec<u8>)]) {
    let mut server = site.server.lock().unwrap();
    let mut last = from.map_or_else(|| "nothing".to_owned(), |from| from.to_string());
    for (to, bytes) in hops {
        server.deltas.insert(format!("{last}/{to}"), bytes.clone());
        last = to.to_string();
    }
    let hops = hops.iter().map(|(to, bytes)| Hop { to: *to, bytes: bytes.len() as u64 }).collect();
    server.ways = vec![DeltaWay { from, hops }];
}

/// A computer that runs "one", to which "two" is assigned; the server tells of a delta between them, and has these bytes for it.
fn told(bytes: impl FnOnce(Vec<u8>) -> Vec<u8>) -> (Site, Agent, ManualClock, [Sha256Digest; 2]) {
    let site = new_site();
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
    assert_eq!(server.refreshes.last().unwrap().routes, [], "what runs is what is assigned");
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

fn way_of(site: &Site) -> Option<Way> {
    site.server.lock().unwrap().reports.iter().rev().find_map(|report| report.way)
}

/// Requests for the manifest itself, alone or in a request for what is newer.
fn manifests_asked(site: &Site) -> usize {
    let server = site.server.lock().unwrap();
    let refreshed = server.refreshes.iter().flat_map(|asked| &asked.documents);
    let refreshed = refreshed.filter(|name| name.as_str().ends_with(".manifest")).count();
    refreshed + site.web.asked(".manifest").len() - site.web.asked(".minisig").len()
}

fn downloads(site: &Site) -> usize {
    fs::read_dir(site.computer.path().join("home/downloads")).unwrap().count()
}

#[test]
fn the_manifest_comes_with_the_delta_of_which_the_server_told() {
    let (site, agent, _, [one, two]) = told(|delta| delta);
    assert_eq!(agent.cycle().problems, Vec::<String>::new());
    assert_eq!(site.installed().as_deref(), Some("two"));
    assert_eq!(asked(&site), [1, 0, 0]);
    let server = site.server.lock().unwrap();
    let asked = server.refreshes.iter().find(|asked| !asked.routes.is_empty()).unwrap();
    assert_eq!(asked.routes, [Route { from: Some(one), to: two }]);
    assert_eq!(asked.container, Some(DELTA_CONTAINER));
    let report = server.reports.iter().rfind(|report| report.way.is_some()).unwrap();
    let length = u64::try_from(server.delta.as_ref().unwrap().len()).unwrap();
    assert_eq!((report.way, report.bytes.unwrap().payload), (Some(Way::Delta), length), "{report:?}");
    assert_eq!(downloads(&site), 0);
}

#[test]
fn a_delta_out_of_which_no_manifest_comes_is_fetched_once_and_replaced_by_manifest_and_payload() {
    let (site, agent, _, _) = told(|delta| vec![7; delta.len()]);
    assert_eq!(agent.cycle().problems, Vec::<String>::new());
    assert_eq!(site.installed().as_deref(), Some("two"));
    assert_eq!(asked(&site), [1, 1, 1]);
    assert_eq!(downloads(&site), 0);
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

#[test]
fn a_chain_leads_through_what_the_vendor_lists() {
    let site = new_site();
    let agent = site.enrolled();
    let one = site.release("1", 1, "one");
    agent.cycle();
    let two = site.release("2", 2, "two");
    let three = site.release("3", 3, "three");
    let hops = [
        (digest(&two), delta([(&one, "one"), (&two, "two")])),
        (digest(&three), delta([(&two, "two"), (&three, "three")])),
    ];
    tell(&site, Some(digest(&one)), &hops);
    let payloads = site.web.asked(".tar.gz").len();
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!((site.installed().as_deref(), way_of(&site)), (Some("three"), Some(Way::Chain)));
    assert_eq!((site.web.asked(".tar.gz").len(), downloads(&site)), (payloads, 0));
}

#[test]
fn whatever_is_wrong_with_a_way_the_manifest_and_the_payload_come_by_themselves() {
    let faults: [(&str, Fault); 4] = [
        ("absent", Fault::Answer(404, Vec::new())),
        ("no delta", Fault::Content(vec![7; 200])),
        ("longer than told", Fault::Content(vec![7; 60_000])),
        ("no answer", Fault::LoseTheAnswer),
    ];
    for (what, fault) in faults {
        let site = new_site();
        let agent = site.enrolled();
        let one = site.release("1", 1, "one");
        agent.cycle();
        let two = site.release("2", 2, "two");
        tell(&site, Some(digest(&one)), &[(digest(&two), delta([(&one, "one"), (&two, "two")]))]);
        site.web.fail("deltas/", fault, Times::Always);
        let before = manifests_asked(&site);
        let cycle = agent.cycle();
        assert!(cycle.problems.is_empty(), "{what}: {:?}", cycle.problems);
        assert_eq!((site.installed().as_deref(), way_of(&site)), (Some("two"), Some(Way::Gzip)), "{what}");
        assert!(manifests_asked(&site) > before, "{what}");
        assert_eq!(downloads(&site), 0, "{what}");
    }
}

#[test]
fn a_delta_to_another_release_gives_no_manifest() {
    let site = new_site();
    let agent = site.enrolled();
    let one = site.release("1", 1, "one");
    agent.cycle();
    let other = site.release("9", 9, "other");
    let two = site.release("2", 2, "two");
    tell(&site, Some(digest(&one)), &[(digest(&two), delta([(&one, "one"), (&other, "other")]))]);
    let before = manifests_asked(&site);
    assert!(agent.cycle().problems.is_empty());
    assert_eq!((site.installed().as_deref(), way_of(&site)), (Some("two"), Some(Way::Gzip)));
    assert!(manifests_asked(&site) > before);
}

#[test]
fn a_link_that_is_busy_is_waited_for_also_before_the_manifest_is_there() {
    let site = new_site();
    let agent = site.enrolled();
    let one = site.release("1", 1, "one");
    agent.cycle();
    let two = site.release("2", 2, "two");
    tell(&site, Some(digest(&one)), &[(digest(&two), delta([(&one, "one"), (&two, "two")]))]);
    site.web.fail("/deltas/", Fault::Later(900), Times::Always);
    let before = (manifests_asked(&site), site.web.asked(".tar.gz").len());
    let cycle = agent.cycle();
    assert!(cycle.problems.join(" ").contains("not downloaded yet"), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("one"));
    assert_eq!((manifests_asked(&site), site.web.asked(".tar.gz").len()), before, "it did not fall back");
}

/// Tells of a way from "one" through this release to "two", whose second delta is not to be had for now. Its first one is there.
fn tell_of_a_way_that_waits(site: &Site, [one, two]: [Sha256Digest; 2], middle: Sha256Digest) {
    tell(site, Some(one), &[(middle, vec![7; 20_000]), (two, vec![7; 10])]);
    site.web.fail(&format!("/deltas/{middle}/"), Fault::Later(3600), Times::Always);
}

#[test]
fn a_delta_is_noted_as_tried_before_the_manifest_is_read_out_of_it() {
    let (site, agent, _, [one, two]) = told(|delta| delta);
    let downloads_folder = site.computer.path().join("home/downloads");
    // A pipe in the place of the whole delta: whoever opens it to write waits for the reader.
    let pipe = downloads_folder.join(format!("{}.{two}.whole-delta", one.short()));
    mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let record = downloads_folder.join(format!("{two}.tries.json"));
    let reader = thread::spawn(move || {
        let mut written = File::options().write(true).open(&pipe).unwrap();
        let noted = fs::read_to_string(record).unwrap_or_default();
        fs::remove_file(pipe).unwrap();
        written.write_all(b"no delta").unwrap();
        noted
    });
    assert_eq!(agent.cycle().problems, Vec::<String>::new());
    let noted = reader.join().unwrap();
    assert!(noted.contains("\"unended\":1"), "{noted}");
    assert_eq!(site.installed().as_deref(), Some("two"));
    assert_eq!((asked(&site), downloads(&site)), ([1, 1, 0], 0));
}

#[test]
fn no_delta_is_fetched_once_the_agent_ended_over_them_twice() {
    let (site, agent, _, [_, two]) = told(|delta| delta);
    let home = Home::at(&site.computer.path().join("home")).unwrap();
    tries::save(&home, &two, &Tries { unended: 2, ..Tries::default() }).unwrap();
    assert_eq!(agent.cycle().problems, Vec::<String>::new());
    assert_eq!((site.installed().as_deref(), asked(&site), downloads(&site)), (Some("two"), [0, 1, 1], 0));
}

#[test]
fn no_delta_is_fetched_that_leads_through_what_the_vendor_does_not_list() {
    let (site, agent, clock, ends) = told(|delta| delta);
    site.server.lock().unwrap().delta = None;
    for round in 0..3u8 {
        tell_of_a_way_that_waits(&site, ends, Sha256Digest::of(&[round]));
        site.web.fail(".tar.gz", Fault::Later(3600), Times::Always);
        agent.cycle();
        let fetched: Vec<_> = site.web.asked(&format!("/{}", Sha256Digest::of(&[round])));
        assert_eq!((fetched.len(), site.installed().as_deref()), (0, Some("one")), "{round}");
        clock.forward(SignedDuration::from_hours(9));
    }
    site.web.make_no_faults();
    agent.cycle();
    assert_eq!((site.installed().as_deref(), downloads(&site)), (Some("two"), 0));
}

#[test]
fn deltas_of_a_way_that_is_told_no_more_make_way_for_those_of_the_next_one() {
    let site = new_site();
    drop(site.enrolled());
    let clock = ManualClock::running();
    let agent = site.agent_with(clock.clone());
    let one = digest(&site.release("1", 1, "one"));
    agent.cycle();
    let passed =
        [("1.1", 2), ("1.2", 3), ("1.3", 4)].map(|(name, counter)| site.release(name, counter, name));
    let two = digest(&site.release("2", 5, "two"));
    for middle in passed {
        tell_of_a_way_that_waits(&site, [one, two], digest(&middle));
        agent.cycle();
        let asked = site.web.asked("/deltas/").len();
        assert!(asked > 0 && site.installed().as_deref() == Some("one"));
        // The first delta, what there is of the second one, and what reading them took.
        assert!((1..=3).contains(&downloads(&site)), "{}", downloads(&site));
        clock.forward(SignedDuration::from_hours(2));
    }
    site.server.lock().unwrap().ways.clear();
    agent.cycle();
    assert_eq!((site.installed().as_deref(), downloads(&site)), (Some("two"), 0));
}

#[test]
fn a_repair_fetches_no_delta_also_where_its_slot_is_gone() {
    let site = new_site();
    let agent = site.enrolled();
    let one = digest(&site.release("1", 1, "one"));
    agent.cycle();
    for slot in fs::read_dir(site.computer.path().join("home/products/acme/slots")).unwrap() {
        make_writable(&slot.as_ref().unwrap().path());
        fs::remove_dir_all(slot.unwrap().path()).unwrap();
    }
    // Of whatever it is asked for.
    site.server.lock().unwrap().answer_newer = |mut answer| {
        answer.ways = TOLD.lock().unwrap().clone();
        packed(answer)
    };
    *TOLD.lock().unwrap() = vec![DeltaWay { from: None, hops: vec![Hop { to: one, bytes: 300 }] }];
    site.server.lock().unwrap().deltas.insert(format!("nothing/{one}"), vec![7; 300]);
    let (_, answer) = repair(&agent.context, Some(&package()));
    assert!(answer.ok, "{answer:?}");
    assert_eq!((site.installed().as_deref(), site.web.asked("/deltas/").len()), (Some("one"), 0));
    assert_eq!(downloads(&site), 0);
}

/// The ways that a server tells of whatever it was asked.
static TOLD: Mutex<Vec<DeltaWay>> = Mutex::new(Vec::new());

#[test]
fn metadata_that_come_as_patches_are_taken_and_those_that_do_not_fit_are_asked_for() {
    for spoilt in [false, true] {
        let site = new_site();
        let agent = site.enrolled();
        site.release("1", 1, "one");
        agent.cycle();
        site.release("2", 2, "two");
        let asked = site.web.asked("tuf/metadata/").len();
        site.server.lock().unwrap().patches = Some(match spoilt {
            false => |delta| delta,
            true => |delta| vec![7; delta.len()],
        });
        let cycle = agent.cycle();
        assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
        assert_eq!(site.installed().as_deref(), Some("two"));
        let more = site.web.asked("tuf/metadata/").len() - asked;
        assert_eq!(more > 0, spoilt, "{more} files were asked for");
    }
}
