//! Contact by file: what the agent writes, which files it takes as an answer, and what it installs from a folder.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::config::FolderSettings;
use sealpost_agent_updater::control::Answer;
use sealpost_keys::{SealingPublicKey, SigningKey};
use sealpost_manifests::contact_answer::{ContactFileAnswer, seal};
use sealpost_manifests::document;
use sealpost_manifests::ids::{ClientId, Nonce, ServerId};
use sealpost_manifests::wire::by_file::{ANSWER_FILE, CONTACT_FILE, FileRequest};
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::enroll::{EnrollRequest, Enrollment};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_test_support::folders::{copy_tree, flip_a_bit};

use crate::site::Site;

/// The contact inside a file.
fn read(file: &[u8]) -> (Contact, String) {
    let FileRequest::Contact(request) = serde_json::from_slice(file).unwrap() else { panic!("no contact") };
    let contact = document::read(request.contact.document.as_bytes()).unwrap();
    (contact, serde_json::to_string(&request).unwrap())
}

/// The key that the computer enrolled with for answers by file.
fn recipient(site: &Site) -> SealingPublicKey {
    let request: EnrollRequest =
        serde_json::from_str(site.server.lock().unwrap().enrollments.last().unwrap()).unwrap();
    document::read::<Enrollment>(request.enrollment.document.as_bytes()).unwrap().sealing_key
}

/// What the server answers to a file, before it is signed.
fn answer(site: &Site, file: &[u8]) -> ContactFileAnswer {
    let (contact, body) = read(file);
    let mut server = site.server.lock().unwrap();
    let answer = server.by_file(body);
    ContactFileAnswer::of(&contact, answer, server.now())
}

fn sealed(site: &Site, answer: &ContactFileAnswer) -> Vec<u8> {
    let recipient = recipient(site);
    seal(answer, &site.server.lock().unwrap().site_key, &recipient).unwrap()
}

fn take(agent: &Agent, file: Vec<u8>, releases: Option<PathBuf>) -> Answer {
    agent.take_answer(file, releases).unwrap()
}

#[test]
fn a_contact_by_file_is_answered_once_and_installs_from_a_folder_without_the_network() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1.0", 1, "one");
    let releases = site.computer.path().join("releases");
    copy_tree(&site.vendor.repository(), &releases).unwrap();
    let file = agent.contact_file().unwrap();
    assert_eq!(agent.contact_file().unwrap(), file, "a contact that waits was made anew");
    let answered = sealed(&site, &answer(&site, &file));
    let requests = site.web.asked("/").len();

    let said = take(&agent, answered.clone(), Some(releases.clone()));
    assert_eq!(site.installed().as_deref(), Some("one"), "{said:?}");
    assert!(said.ok, "{said:?}");
    assert_eq!(site.web.asked("/").len(), requests, "the network was used");
    // A second time it is no answer to anything.
    let again = take(&agent, answered, Some(releases));
    assert!(!again.ok && again.lines.join(" ").contains("not to the contact that waits"), "{again:?}");

    let next = agent.contact_file().unwrap();
    let (contact, _) = read(&next);
    assert_eq!(contact.previous, Some(read(&file).0.next));
    assert!(!contact.reports.is_empty() && contact.packages.len() == 1);
    let FileRequest::Contact(request) = serde_json::from_slice(&next).unwrap() else { panic!() };
    assert!(request.evidence.is_some(), "a file has no second try");
}

#[test]
fn only_the_answer_to_the_contact_that_waits_is_taken() {
    let site = Site::new();
    let agent = site.enrolled();
    site.release("1.0", 1, "one");
    let file = agent.contact_file().unwrap();
    let good = answer(&site, &file);
    let refused = |file: Vec<u8>, why: &str| {
        let said = take(&agent, file, None);
        assert!(!said.ok && said.lines.join(" ").contains(why), "{why}: {said:?}");
        assert!(!site.server_record("lease").exists(), "{why}: a lease was taken");
        assert_eq!(agent.contact_file().unwrap(), read_again(&site), "{why}: the contact that waits changed");
    };
    let other_nonce = || Nonce::from_random([9; 16]);
    let not_waited_for = "not to the contact that waits";
    refused(sealed(&site, &ContactFileAnswer { next: other_nonce(), ..good.clone() }), not_waited_for);
    refused(
        sealed(&site, &ContactFileAnswer { previous: Some(other_nonce()), ..good.clone() }),
        not_waited_for,
    );
    let other_server = ServerId::from_random([9; 16]);
    refused(sealed(&site, &ContactFileAnswer { server_id: other_server, ..good.clone() }), not_waited_for);
    // Sealed as that of another client.
    let other_client = ClientId::from_random([9; 16]);
    refused(
        sealed(&site, &ContactFileAnswer { client_id: other_client, ..good.clone() }),
        "no answer for this computer",
    );
    // Everybody can seal: another key signed it.
    let forged = seal(&good, &SigningKey::generate().unwrap(), &recipient(&site)).unwrap();
    refused(forged, "signature");
    let whole = sealed(&site, &good);
    for length in [0, 8, 60, whole.len() / 2, whole.len() - 1] {
        refused(whole[..length].to_vec(), "no answer for this computer");
    }
    // A refusal is told, and the contact still waits.
    let (contact, _) = read(&file);
    let problem = Problem::new(ProblemCode::ContactForked, "two computers", "look at both");
    refused(sealed(&site, &ContactFileAnswer::refusal(&contact, problem, good.issued_at)), "contact_forked");
    take(&agent, whole, None);
    assert!(site.server_record("lease").exists());
}

/// The contact that waits, as a fresh agent writes it.
fn read_again(site: &Site) -> Vec<u8> {
    site.agent().contact_file().unwrap()
}

#[test]
fn a_cycle_with_a_folder_exchanges_files_and_what_is_hostile_there_installs_nothing() {
    let site = Site::new();
    let mut agent = site.enrolled();
    site.release("1.0", 1, "one");
    let share = site.computer.path().join("share");
    fs::create_dir(&share).unwrap();
    agent.context.host.settings.folder =
        Some(FolderSettings { path: share.clone(), poll: Duration::from_secs(60) });
    let mine = share.join("computers/pc-1");
    let requests = site.web.asked("/").len();
    agent.cycle();
    let contact = fs::read(mine.join(CONTACT_FILE)).unwrap();
    agent.cycle();
    assert_eq!(fs::read(mine.join(CONTACT_FILE)).unwrap(), contact);

    // Links and other things in the place of the answer and of the releases.
    let answered = sealed(&site, &answer(&site, &contact));
    let elsewhere = site.computer.path().join("elsewhere");
    fs::write(&elsewhere, &answered).unwrap();
    symlink(&elsewhere, mine.join(ANSWER_FILE)).unwrap();
    let said = agent.cycle();
    assert!(said.problems.iter().any(|problem| problem.contains("cannot be used")), "{said:?}");
    assert!(!site.server_record("lease").exists());
    fs::remove_file(mine.join(ANSWER_FILE)).unwrap();
    let releases = site.computer.path().join("real releases");
    copy_tree(&site.vendor.repository(), &releases).unwrap();
    symlink(&releases, share.join("releases")).unwrap();
    fs::write(mine.join(ANSWER_FILE), &answered).unwrap();
    let said = agent.cycle();
    assert!(site.server_record("lease").exists());
    assert_eq!(site.installed(), None, "{said:?}");

    // A payload that somebody changed is not installed, and the right one is.
    fs::remove_file(share.join("releases")).unwrap();
    copy_tree(&site.vendor.repository(), &share.join("releases")).unwrap();
    let targets = fs::read_dir(share.join("releases/targets")).unwrap();
    let mut targets = targets.map(|entry| entry.unwrap().path());
    let payload = targets.find(|path| path.to_str().unwrap().ends_with(".tar.gz")).unwrap();
    flip_a_bit(&payload).unwrap();
    exchange(&site, &agent);
    assert_eq!(site.installed(), None);
    flip_a_bit(&payload).unwrap();
    exchange(&site, &agent);
    assert_eq!(site.installed().as_deref(), Some("one"));
    assert_eq!(site.web.asked("/").len(), requests, "the network was used");

    // A folder that is gone counts as a server that does not answer, and takes nothing away.
    fs::rename(&share, site.computer.path().join("away")).unwrap();
    let said = agent.cycle();
    assert!(said.problems.iter().any(|problem| problem.contains("check that it is mounted")), "{said:?}");
    assert_eq!(site.installed().as_deref(), Some("one"));
}

#[test]
fn a_payload_that_is_swapped_again_and_again_while_it_is_read_is_verified_all_the_same() {
    let site = Site::new();
    let agent = site.enrolled();
    let good = "one".repeat(300_000);
    site.release("1.0", 1, &good);
    let releases = site.computer.path().join("releases");
    copy_tree(&site.vendor.repository(), &releases).unwrap();
    let targets = fs::read_dir(releases.join("targets")).unwrap();
    let mut targets = targets.map(|entry| entry.unwrap().path());
    let payload = targets.find(|path| path.to_str().unwrap().ends_with(".tar.gz")).unwrap();
    let signed = fs::read(&payload).unwrap();
    let mut hostile = signed.clone();
    let middle = hostile.len() / 2;
    hostile[middle..].fill(7);

    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let swapped = payload.with_extension("swapped");
            while !stop.load(Ordering::SeqCst) {
                // In its place, and by another file.
                fs::write(&payload, &hostile).unwrap();
                fs::write(&payload, &signed).unwrap();
                fs::write(&swapped, &hostile).unwrap();
                fs::rename(&swapped, &payload).unwrap();
            }
        });
        for _ in 0..4 {
            let answered = sealed(&site, &answer(&site, &agent.contact_file().unwrap()));
            take(&agent, answered, Some(releases.clone()));
            let installed = site.installed();
            assert!(
                installed.is_none() || installed.as_deref() == Some(good.as_str()),
                "not what was signed"
            );
        }
        stop.store(true, Ordering::SeqCst);
    });
    // What it is now, decides: what was read before is of no use, or was verified.
    fs::write(&payload, &signed).unwrap();
    let answered = sealed(&site, &answer(&site, &agent.contact_file().unwrap()));
    let said = take(&agent, answered, Some(releases));
    assert!(site.installed().as_deref() == Some(good.as_str()), "{said:?}");
}

/// The server answers what lies in the folder, and the agent takes it.
fn exchange(site: &Site, agent: &Agent) {
    let mine = site.computer.path().join("share/computers/pc-1");
    agent.cycle();
    let contact = fs::read(mine.join(CONTACT_FILE)).unwrap();
    fs::write(mine.join(ANSWER_FILE), sealed(site, &answer(site, &contact))).unwrap();
    agent.cycle();
}
