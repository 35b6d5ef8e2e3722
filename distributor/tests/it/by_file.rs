//! Computers without a network: what is answered to their files, and what lies in their folder.

use std::fs;
use std::path::Path;

use data_encoding::BASE64;
use sealpost_admin_api::clients::Client;
use sealpost_admin_api::folder::{AnsweredFile, SyncRequest, SyncSummary};
use sealpost_admin_api::status::Status;
use sealpost_keys::Verified;
use sealpost_manifests::contact_answer::{ContactFileAnswer, EnrollmentFileAnswer, FileAnswer, open};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::wire::by_file::{ANSWER_FILE, CONTACT_FILE, FileRequest};
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::rules::came_by::CameBy;
use sealpost_test_support::folders::{flip_a_bit, snapshot};

use crate::agent::Agent;
use crate::site::Site;
use crate::vendor::start_vendor;

fn opened<T: FileAnswer>(agent: &Agent, file: &[u8], party: &str) -> Verified<T> {
    open(file, &agent.sealing_key, party, &agent.setup.servers[0].server.site_key).unwrap()
}

async fn answered(site: &Site, request: &FileRequest) -> (AnsweredFile, Vec<u8>) {
    let answer: AnsweredFile = site.post("/folder/answer", request).await;
    let file = BASE64.decode(answer.sealed.as_bytes()).unwrap();
    (answer, file)
}

fn request(agent: &Agent, contact: &Contact) -> FileRequest {
    FileRequest::Contact(Box::new(agent.contact_request(contact)))
}

async fn sync(site: &Site, path: &Path) -> SyncSummary {
    site.post("/folder/sync", &SyncRequest { path: Some(path.to_owned()) }).await
}

/// Enrolled and in contact, by files alone.
async fn licensed(site: &Site, name: &str) -> Agent {
    site.reserve(name).await;
    let mut agent = Agent::new(site.setup(name).await);
    let enrollment = FileRequest::Enroll(Box::new(agent.enroll_request(&agent.enrollment())));
    let (_, file) = answered(site, &enrollment).await;
    let party = agent.server_id();
    let answer = opened::<EnrollmentFileAnswer>(&agent, &file, party.as_str());
    agent.take_enrolled(&answer.answer());
    contact(site, &mut agent).await;
    agent
}

async fn contact(site: &Site, agent: &mut Agent) -> ContactFileAnswer {
    let contact = agent.next_contact();
    let (_, file) = answered(site, &request(agent, &contact)).await;
    let party = contact.client_id.clone();
    let answer = opened::<ContactFileAnswer>(agent, &file, party.as_str()).into_inner();
    agent.take_answer(&contact, &answer.clone().into_answer());
    answer
}

#[tokio::test]
async fn files_are_answered_as_requests_over_the_network_are_and_a_retry_gets_the_same() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    site.reserve("pc-1").await;
    let mut agent = Agent::new(site.setup("pc-1").await);
    let enrollment = FileRequest::Enroll(Box::new(agent.enroll_request(&agent.enrollment())));
    let (first, file) = answered(&site, &enrollment).await;
    assert_eq!(first.computer.as_str(), "pc-1");
    let party = agent.server_id();
    let answer = opened::<EnrollmentFileAnswer>(&agent, &file, party.as_str());
    assert!(answer.metadata.contains_key("timestamp.json") && answer.targets.len() == 1);
    let (_, again) = answered(&site, &enrollment).await;
    let again = opened::<EnrollmentFileAnswer>(&agent, &again, party.as_str());
    assert_eq!(again.enrolled.document, answer.enrolled.document);
    agent.take_enrolled(&answer.answer());

    let contact = agent.next_contact();
    let (_, file) = answered(&site, &request(&agent, &contact)).await;
    let party = contact.client_id.clone();
    let first = opened::<ContactFileAnswer>(&agent, &file, party.as_str());
    assert!(first.is_to(&agent.server_id(), &contact.client_id, None, &contact.next));
    let (_, file) = answered(&site, &request(&agent, &contact)).await;
    let again = opened::<ContactFileAnswer>(&agent, &file, party.as_str());
    assert_eq!(first.lease.as_ref().unwrap().document, again.lease.as_ref().unwrap().document);
    // The same contact over the network is a retry too.
    let online = agent.send_contact(&site, &contact).await;
    assert_eq!(online.lease.unwrap().document, again.lease.as_ref().unwrap().document);
    agent.contact(&site).await;
}

#[tokio::test]
async fn a_fork_gets_a_signed_refusal_and_a_bad_signature_gets_nothing() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    let mut agent = licensed(&site, "pc-1").await;
    let clone = agent.next_contact();
    contact(&site, &mut agent).await;
    let (answer, file) = answered(&site, &request(&agent, &clone)).await;
    assert_eq!(answer.refused.unwrap().code, ProblemCode::ContactForked);
    let told = opened::<ContactFileAnswer>(&agent, &file, clone.client_id.as_str());
    assert!(
        told.lease.is_none()
            && told.is_to(&agent.server_id(), &clone.client_id, clone.previous.as_ref(), &clone.next)
    );
    assert_eq!(told.refused.as_ref().unwrap().code, ProblemCode::ContactForked);

    let other = licensed(&site, "pc-2").await;
    let mut forged = other.contact_request(&other.next_contact());
    forged.client_id = agent.client_id.clone().unwrap();
    let refused = site.post_refused("/folder/answer", &FileRequest::Contact(Box::new(forged))).await;
    assert_eq!(refused.code, ProblemCode::BadSignature);
    let mut elsewhere = other.next_contact();
    elsewhere.server_id = ServerId::from_random([9; 16]);
    site.post_refused("/folder/answer", &request(&other, &elsewhere)).await;
}

#[tokio::test]
async fn a_folder_gets_answers_and_releases_once_and_what_was_changed_there_is_put_right() {
    let vendor = start_vendor(10).await;
    vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    for update in site.updates().await.updates {
        site.approve(update.manifest).await;
    }
    let (agent, other) = (licensed(&site, "pc-1").await, licensed(&site, "pc-2").await);
    let folder = tempfile::tempdir().unwrap();
    let share = folder.path();
    let write = |name: &str, request: &FileRequest| {
        let mine = share.join("computers").join(name);
        fs::create_dir_all(&mine).unwrap();
        fs::write(mine.join(CONTACT_FILE), serde_json::to_vec(request).unwrap()).unwrap();
    };
    let waits = agent.next_contact();
    write("pc-1", &request(&agent, &waits));
    // Another computer's contact in a folder that is not its own, and one that is nothing.
    write("pc-3", &request(&other, &other.next_contact()));
    fs::create_dir_all(share.join("computers/pc-2")).unwrap();
    fs::write(share.join("computers/pc-2").join(CONTACT_FILE), b"{}").unwrap();
    let done = sync(&site, share).await;
    assert_eq!(done.answered.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["pc-1"]);
    assert_eq!(done.problems.len(), 2, "{:?}", done.problems);
    assert!(!share.join("computers/pc-3").join(ANSWER_FILE).exists());
    let file = fs::read(share.join("computers/pc-1").join(ANSWER_FILE)).unwrap();
    let answer = opened::<ContactFileAnswer>(&agent, &file, waits.client_id.as_str());
    assert_eq!(answer.next, waits.next);

    let before = snapshot(share).unwrap();
    let again = sync(&site, share).await;
    assert_eq!((again.unchanged, again.written_files, again.answered.len()), (1, 0, 0), "{again:?}");
    assert_eq!(snapshot(share).unwrap(), before);

    // What somebody changed or left there.
    let targets = share.join("releases/targets");
    let mut payloads = fs::read_dir(&targets).unwrap().map(|entry| entry.unwrap().path());
    let payload = payloads.find(|path| path.to_str().unwrap().ends_with(".tar.gz")).unwrap();
    flip_a_bit(&payload).unwrap();
    let stale = targets.join(format!("{}.old_1.0_any.tar.gz", "0".repeat(64)));
    fs::write(&stale, b"x").unwrap();
    fs::write(targets.join("holiday.jpg"), b"x").unwrap();
    fs::remove_file(share.join("releases/metadata/timestamp.json")).unwrap();
    let done = sync(&site, share).await;
    assert_eq!((done.written_files, done.removed_files), (2, 1), "{done:?}");
    assert!(!stale.exists() && targets.join("holiday.jpg").exists());
    fs::remove_file(targets.join("holiday.jpg")).unwrap();
    assert_eq!(snapshot(share).unwrap(), before);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_an_error_with_what_to_do() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let missing = site.home().join("no such folder");
    let problem = site.post_refused("/folder/sync", &SyncRequest { path: Some(missing) }).await;
    assert!(problem.hint.contains("mounted"), "{problem}");
    let problem = site.post_refused("/folder/sync", &SyncRequest { path: None }).await;
    assert!(problem.hint.contains("distributor folder sync DIR"), "{problem}");
}

#[tokio::test]
async fn status_says_whose_file_waits_and_another_folder_and_its_bound_count_without_a_restart() {
    let vendor = start_vendor(10).await;
    let engine: Vec<u8> = (0..400_000_u64)
        .flat_map(|number| Sha256Digest::of(&number.to_le_bytes()).as_bytes()[..4].to_vec())
        .collect();
    let manifest = vendor.release("1.0", &[("engine", &engine)]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    site.approve(manifest).await;
    let mut agent = licensed(&site, "pc-1").await;
    let view: Client = site.get("/clients/pc-1").await;
    assert_eq!(view.came_by, Some(CameBy::File));
    assert!(view.explanations[0].sentence.contains("it was told so"), "{:?}", view.explanations);
    let clone = agent.next_contact();
    contact(&site, &mut agent).await;
    let (share, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let own = share.path().join("computers/pc-1");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join(CONTACT_FILE), serde_json::to_vec(&request(&agent, &clone)).unwrap()).unwrap();
    let configured = |path: &Path| format!("[folder]\npath = {path:?}\nevery = \"1h\"\nmax_mib = 1\n");
    site.reload_with(&configured(share.path())).await;
    let summary: SyncSummary = site.post("/folder/sync", &SyncRequest { path: None }).await;
    let bound = summary.problems.iter().find(|problem| problem.contains("max_mib"));
    assert!(bound.is_some_and(|said| said.starts_with("1 files of")), "{summary:?}");
    let targets: Vec<_> = fs::read_dir(share.path().join("releases/targets")).unwrap().flatten().collect();
    assert!(!targets.is_empty());
    assert!(targets.iter().all(|file| !file.path().to_str().unwrap().ends_with(".tar.gz")), "{targets:?}");
    let status: Status = site.get("/status").await;
    let folder = status.folder.unwrap();
    assert_eq!((folder.path.as_path(), folder.computers, folder.failure), (share.path(), 1, None));
    assert_eq!(folder.waiting.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["pc-1"]);

    site.reload_with(&configured(other.path()).replace("max_mib = 1\n", "")).await;
    let summary: SyncSummary = site.post("/folder/sync", &SyncRequest { path: None }).await;
    assert_eq!((summary.path.as_path(), summary.problems.len()), (other.path(), 0), "{summary:?}");
    let status: Status = site.get("/status").await;
    let folder = status.folder.unwrap();
    assert_eq!((folder.path.as_path(), folder.computers, folder.waiting.len()), (other.path(), 0, 0));
}
