//! Packed bodies, and what is newer in one answer: with servers of now and of before, and with one that lies.

use sealpost_manifests::wire::coding::{self, GZIP};
use sealpost_manifests::wire::refresh::{MAX_REFRESH_BYTES, RefreshAnswer};
use sealpost_test_support::web::{Fault, Reply, Times};

use crate::server::packed;
use crate::site::Site;

fn new_site() -> Site {
    let site = Site::new();
    site.server.lock().unwrap().is_new = true;
    site
}

/// Files that were asked for by themselves.
fn asked_alone(site: &Site) -> usize {
    site.web.asked("tuf/metadata/").len() + site.web.asked("tuf/targets/").len()
}

#[test]
fn an_update_asks_a_server_of_now_for_all_at_once_and_for_nothing_by_itself_but_the_payload() {
    let site = new_site();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    assert!(agent.cycle().problems.is_empty());
    site.release("2", 2, "two");
    site.web.forget_asked();
    site.server.lock().unwrap().refreshes.clear();
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("two"));
    assert_eq!((asked_alone(&site), site.web.asked(".tar.gz").len()), (1, 1), "the payload");
    let server = site.server.lock().unwrap();
    // Once more at the end: the assignment of the last contact is another one.
    let [metadata, manifest, _look] = server.refreshes.as_slice() else { panic!("{:?}", server.refreshes) };
    let held = metadata.metadata.as_ref().unwrap();
    assert!(held.timestamp.is_some() && held.roles.contains_key("acme") && metadata.held.len() == 1);
    assert!(manifest.metadata.is_none() && manifest.documents.len() == 1);
    let fetched = server.reports.iter().filter_map(|report| report.bytes).next_back().unwrap();
    assert!((1..3_000).contains(&fetched.metadata), "what traveled is counted as it traveled: {fetched:?}");
    assert!((1..2_000).contains(&fetched.manifest), "{fetched:?}");
}

#[test]
fn contacts_are_packed_once_the_server_said_that_it_takes_them_and_not_for_one_of_before() {
    let site = new_site();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    assert!(agent.cycle().problems.is_empty());
    let codings = || std::mem::take(&mut site.server.lock().unwrap().codings);
    let gzip = Some(GZIP.to_owned());
    assert_eq!(codings(), [None, gzip.clone()]);
    // It is remembered, and forgotten when another version serves.
    assert!(site.agent().cycle().problems.is_empty());
    assert_eq!(codings(), std::slice::from_ref(&gzip));
    site.server.lock().unwrap().is_new = false;
    let cycle = site.agent().cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(codings(), [gzip, None]);
    assert!(site.agent().cycle().problems.is_empty());
    assert_eq!(codings(), [None]);
}

/// With a server that answers so, a release comes all the same: file by file.
fn comes_file_by_file(answer: fn(RefreshAnswer) -> Reply) {
    let site = new_site();
    let agent = site.enrolled();
    site.server.lock().unwrap().answer_newer = answer;
    site.release("1", 1, "one");
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("one"));
    assert!(asked_alone(&site) > 1);
}

#[test]
fn an_answer_that_is_a_bomb_lies_about_its_coding_or_is_cut_is_given_up_and_the_files_are_asked_for() {
    comes_file_by_file(|_| {
        let bomb = coding::pack(&vec![b' '; MAX_REFRESH_BYTES + 1]).unwrap();
        assert!(bomb.len() < 100_000);
        Reply::content(bomb).saying("content-encoding", GZIP)
    });
    comes_file_by_file(|answer| {
        Reply::content(serde_json::to_vec(&answer).unwrap()).saying("content-encoding", GZIP)
    });
    comes_file_by_file(|answer| {
        Reply::content(serde_json::to_vec(&answer).unwrap()).saying("content-encoding", "br")
    });
    comes_file_by_file(|answer| packed(answer).saying("content-encoding", GZIP));
    comes_file_by_file(|answer| {
        let packed = coding::pack(&serde_json::to_vec(&answer).unwrap()).unwrap();
        Reply::content([packed.as_slice(), &packed].concat()).saying("content-encoding", GZIP)
    });
    comes_file_by_file(|_| Reply::with_status(304, Vec::new()));
    comes_file_by_file(|_| Reply::content(b"<html>log in</html>".to_vec()));
}

#[test]
fn unchanged_to_a_computer_that_holds_nothing_is_not_believed() {
    comes_file_by_file(|mut answer| {
        if let Some(new) = &mut answer.metadata {
            new.files.clear();
        }
        answer.documents.clear();
        packed(answer)
    });
    comes_file_by_file(|mut answer| {
        // Roots that there are not.
        if let Some(new) = &mut answer.metadata {
            (new.root, new.timestamp) = (u64::MAX, u64::MAX);
        }
        packed(answer)
    });
}

#[test]
fn a_document_under_a_false_digest_is_refused_and_nothing_is_installed() {
    let site = new_site();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    assert!(agent.cycle().problems.is_empty());
    for (number, lie) in [
        // Longer, and as long as it should be.
        (|mut answer: RefreshAnswer| {
            answer.documents.values_mut().for_each(|text| text.push(' '));
            packed(answer)
        }) as fn(RefreshAnswer) -> Reply,
        |mut answer| {
            answer.documents.values_mut().for_each(|text| *text = text.replace('a', "b"));
            packed(answer)
        },
    ]
    .into_iter()
    .enumerate()
    {
        let number = u64::try_from(number).unwrap() + 2;
        site.server.lock().unwrap().answer_newer = lie;
        site.release(&number.to_string(), number, "not good");
        assert!(!agent.cycle().problems.is_empty());
        assert_eq!(site.installed().as_deref(), Some("one"));
    }
    site.server.lock().unwrap().answer_newer = packed;
    site.release("4", 4, "four");
    let cycle = agent.cycle();
    assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    assert_eq!(site.installed().as_deref(), Some("four"));
}

#[test]
fn a_contact_whose_answer_is_a_bomb_or_packed_otherwise_changes_nothing() {
    let site = new_site();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    for (bytes, said) in
        [(coding::pack(&vec![b'{'; 64 * 1024 * 1024]).unwrap(), "bytes"), (b"{}".to_vec(), "unpacked")]
    {
        let answer = Fault::Packed(bytes);
        site.web.fail("contact", answer, Times::Always);
        let problems = agent.cycle().problems;
        assert!(problems.iter().any(|problem| problem.contains(said)), "{problems:?}");
        assert_eq!(site.installed(), None);
        site.web.make_no_faults();
    }
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("one"));
}

#[test]
fn an_exchange_needs_one_connection() {
    let site = new_site();
    let agent = site.enrolled();
    site.release("1", 1, "one");
    let before = site.web.connections();
    assert!(agent.cycle().problems.is_empty());
    assert_eq!(site.web.connections() - before, 0, "the one that enrolled is still there");
    let before = site.web.connections();
    site.release("2", 2, "two");
    assert!(site.agent().cycle().problems.is_empty());
    assert_eq!(site.installed().as_deref(), Some("two"));
    assert_eq!(site.web.connections() - before, 1);
}
