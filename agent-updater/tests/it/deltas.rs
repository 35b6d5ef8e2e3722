//! Ways by deltas as a server tells them, with the manifest in the deltas; and metadata that come as patches.

use std::fs;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::wire::refresh::{DELTA_CONTAINER, DeltaWay, Hop, Route};
use sealpost_manifests::wire::report::Way;
use sealpost_test_support::delta;
use sealpost_test_support::folders::write_folder;
use sealpost_test_support::web::{Fault, Times};

use crate::site::{Site, files, large};

/// A site whose server says at once what is newer.
fn new_site() -> Site {
    let site = Site::new();
    site.server.lock().unwrap().is_new = true;
    site
}

fn digest(release: &ReleaseManifest) -> Sha256Digest {
    Sha256Digest::of(document::write(release).unwrap().as_bytes())
}

fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path(), &files(text, &large())).unwrap();
    folder
}

fn between((base, old): (&ReleaseManifest, &str), (target, new): (&ReleaseManifest, &str)) -> Vec<u8> {
    let (from, to) = (folder(old), folder(new));
    delta::between((from.path(), base), (to.path(), target))
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
fn the_manifest_comes_with_the_delta_that_the_server_told_of() {
    let site = new_site();
    let agent = site.enrolled();
    let one = site.release("1", 1, "one");
    agent.cycle();
    let routes = site.server.lock().unwrap().refreshes.last().unwrap().routes.clone();
    assert_eq!(routes, [], "it was told before it asked");
    let two = site.release("2", 2, "two");
    tell(&site, Some(digest(&one)), &[(digest(&two), between((&one, "one"), (&two, "two")))]);
    let before = manifests_asked(&site);
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("two"));
    assert_eq!(manifests_asked(&site), before, "nobody asked for the manifest itself");
    assert_eq!((way_of(&site), site.web.asked("deltas/").len(), downloads(&site)), (Some(Way::Delta), 1, 0));
    let server = site.server.lock().unwrap();
    let asked = server.refreshes.iter().rev().find(|asked| !asked.routes.is_empty()).unwrap();
    assert_eq!(asked.container, Some(DELTA_CONTAINER));
    assert_eq!(asked.routes, [Route { from: Some(digest(&one)), to: digest(&two) }]);
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
        (digest(&two), between((&one, "one"), (&two, "two"))),
        (digest(&three), between((&two, "two"), (&three, "three"))),
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
        tell(&site, Some(digest(&one)), &[(digest(&two), between((&one, "one"), (&two, "two")))]);
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
    tell(&site, Some(digest(&one)), &[(digest(&two), between((&one, "one"), (&other, "other")))]);
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
    tell(&site, Some(digest(&one)), &[(digest(&two), between((&one, "one"), (&two, "two")))]);
    site.web.fail("/deltas/", Fault::Later(900), Times::Always);
    let before = (manifests_asked(&site), site.web.asked(".tar.gz").len());
    let cycle = agent.cycle();
    assert!(cycle.problems.join(" ").contains("not downloaded yet"), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("one"));
    assert_eq!((manifests_asked(&site), site.web.asked(".tar.gz").len()), before, "it did not fall back");
}

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
