//! A computer with two servers: who serves, what comes from whom, and what an outage takes from nobody.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use sealpost_agent_updater::app::Agent;
use sealpost_agent_updater::domain::cadence::Standing;
use sealpost_agent_updater::domain::gate_file::OpenNow;
use sealpost_agent_updater::domain::serving::Why;
use sealpost_agent_updater::flows::enroll::{EnrollError, OtherName};
use sealpost_agent_updater::flows::servers::ServersError;
use sealpost_agent_updater::flows::status::{ProblemKind, Status};
use sealpost_agent_updater::records::computer::ComputerProgress;
use sealpost_keys::SigningKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::ids::{ClientId, ComputerName, ServerId};
use sealpost_manifests::setup::{ServerRole, SetupFile, SetupServer};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_test_support::clock::ManualClock;
use sealpost_test_support::folders::set_mode;
use sealpost_test_support::release::assignment;
use sealpost_test_support::vendor::Vendor;
use sealpost_test_support::web::{Fault, Times, Web};

use crate::server::SimulatedServer;
use crate::site::{Site, contact, files, grant, large, package, server_of};

mod hostile;
mod leases;

const OPEN: OpenNow = OpenNow { run: true, upload: true, remote_management: true };
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// A site whose computer has a secondary server too, which it was added to and never contacted.
struct Two {
    site: Site,
    second: Arc<Mutex<SimulatedServer>>,
    web: Web,
    listed: SetupServer,
    clock: ManualClock,
    agent: Agent,
}

impl Two {
    fn new() -> Self {
        let two = Self::not_added();
        let setup = two.second_setup();
        two.agent.add_server(&setup, None, OtherName::Refuse).unwrap();
        two
    }

    /// Enrolled with the first server only.
    fn not_added() -> Self {
        let site = Site::new();
        let clock = ManualClock::running();
        let _ = site.enrolled();
        let agent = site.agent_with(clock.clone());
        let (second, web, listed) = server_of(&site.vendor, &site.runtime);
        second.lock().unwrap().client_id = ClientId::from_random([9; 16]);
        Self { site, second, web, listed, clock, agent }
    }

    /// The setup file of the second server.
    fn second_setup(&self) -> PathBuf {
        self.setup_of(|_| ())
    }

    fn setup_of(&self, change: impl FnOnce(&mut SetupFile)) -> PathBuf {
        let mut setup = SetupFile { servers: vec![self.listed.clone()], ..self.site.setup.clone() };
        change(&mut setup);
        let path = self.site.computer.path().join("second.setup.json");
        fs::write(&path, document::write(&setup).unwrap()).unwrap();
        set_mode(&path, 0o600).unwrap();
        path
    }

    /// The first server answers no contact any more, or only so.
    fn first_refuses(&self, code: ProblemCode) {
        refuses(&self.site.web, code);
    }

    fn first_is_back(&self) {
        self.site.web.make_no_faults();
    }

    fn id(&self, number: usize) -> ServerId {
        [&self.site.setup.servers[0], &self.listed][number - 1].server.server_id.clone()
    }

    fn contacts_of_second(&self) -> Vec<Contact> {
        self.second.lock().unwrap().contacts.iter().map(|body| contact(body)).collect()
    }

    /// Which of the two serves, by the status.
    fn serves(&self) -> usize {
        let serving = self.agent.status().serving.unwrap().server;
        if serving == self.id(1) { 1 } else { 2 }
    }

    /// A cycle, and who serves after it.
    fn cycle(&self) -> usize {
        let _ = self.agent.cycle();
        self.serves()
    }

    fn after(&self, minutes: i64) -> usize {
        self.clock.forward(MINUTE * i32::try_from(minutes).unwrap());
        self.cycle()
    }
}

fn refuses(web: &Web, code: ProblemCode) {
    let problem = Problem::new(code, "refused by the test", "ask the test");
    web.fail("contact", Fault::Answer(403, serde_json::to_vec(&problem).unwrap()), Times::Always);
}

/// Publishes a release, and assigns it at one server.
fn assign_at(vendor: &Vendor, server: &Arc<Mutex<SimulatedServer>>, version: &str, counter: u64) {
    let mut draft = vendor.draft(version, &files(version, &large()));
    draft.manifest.counter = ReleaseCounter(counter);
    let digest = vendor.publish(&draft, &[]);
    let mut server = server.lock().unwrap();
    server.metadata_as_of = server.now();
    server.assigned = vec![assignment(&draft.named, digest)];
}

fn text(status: &Status) -> String {
    status.to_text()
}

#[test]
fn a_secondary_serves_when_no_primary_answers_and_the_computer_returns_without_flapping() {
    let two = Two::new();
    two.site.release("1", 1, "one");
    assert_eq!(two.cycle(), 1);
    assert!(!text(&two.agent.status()).contains("refused"));
    two.first_refuses(ProblemCode::Internal);
    assert_eq!(two.after(60), 2, "at once");
    assert_eq!(two.site.gate(), OPEN, "contact is good, by the secondary");
    let status = two.agent.status();
    assert_eq!(status.standing, Standing::Licensed);
    assert!(status.lease.live);
    let shown = text(&status);
    let line = shown.lines().find(|line| line.starts_with("Served by")).unwrap();
    for part in [
        "(secondary)",
        "the primary 127.0.0.1",
        "refused this computer (internal)",
        "updates wait for 127.0.0.1",
    ] {
        assert!(line.contains(part), "{line}");
    }
    let serving = status.serving.unwrap();
    assert_eq!((serving.server, serving.why, serving.role), (two.id(2), Why::Refused, ServerRole::Secondary));
    let json: serde_json::Value =
        serde_json::from_str(&serde_json::to_string(&two.agent.status()).unwrap()).unwrap();
    assert_eq!(json["serving"]["why"], "refused");
    assert_eq!((&json["servers"][0]["updates"], &json["servers"][1]["serves"]), (&true.into(), &true.into()));
    // It comes and goes: a look each hour, and at the end of a hold.
    for _ in 0..3 {
        two.first_is_back();
        assert_eq!(two.after(60), 2, "not at its first answer");
        two.first_refuses(ProblemCode::Internal);
        assert_eq!(two.after(14), 2);
    }
    two.first_is_back();
    assert_eq!(two.after(60), 2);
    let back = two.agent.status().serving.unwrap();
    assert!(back.held_until.is_some() && back.sentence.contains("serves from"), "{back:?}");
    assert_eq!(two.after(7), 2, "a good answer, too early");
    assert_eq!(two.after(8), 1);
    assert_eq!(two.agent.status().serving.unwrap().why, Why::CameBack);
    assert_eq!(two.site.gate(), OPEN);
}

#[test]
fn while_another_serves_the_first_is_looked_for_each_hour_and_at_the_end_of_its_hold() {
    let two = Two::new();
    let minutes_until = |two: &Two| {
        let next = two.agent.cycle().next_contact;
        next.duration_since(two.clock.now()).as_mins()
    };
    assert!((210..=270).contains(&minutes_until(&two)), "four hours");
    two.first_refuses(ProblemCode::Internal);
    assert!((53..=67).contains(&minutes_until(&two)), "one hour");
    two.first_is_back();
    assert!((14..=15).contains(&minutes_until(&two)), "the hold");
    two.clock.forward(MINUTE * 15);
    assert!((210..=270).contains(&minutes_until(&two)));
    assert_eq!(two.serves(), 1);
}

#[test]
fn no_free_license_at_the_primary_leads_to_the_secondary() {
    // By an answer without a lease, and by a refusal.
    for refusal in [None, Some(ProblemCode::NoSeatFree)] {
        let two = Two::new();
        match refusal {
            Some(code) => two.first_refuses(code),
            None => two.site.server.lock().unwrap().withholds = true,
        }
        let next = two.agent.cycle().next_contact;
        assert_eq!(two.serves(), 2, "{refusal:?}");
        let serving = two.agent.status().serving.unwrap();
        assert_eq!(serving.why, Why::NoFreeLicense);
        assert!(serving.sentence.contains("no free license"), "{}", serving.sentence);
        let minutes = next.duration_since(two.clock.now()).as_mins();
        assert!((53..=67).contains(&minutes), "{refusal:?}: the first is not asked each minute: {minutes}");
        assert!(two.agent.status().lease.live);
    }
}

#[test]
fn the_license_of_the_one_that_serves_keeps_uploads_open_when_that_of_the_first_has_ended() {
    let two = Two::new();
    two.site.release("1", 1, "one");
    two.cycle();
    two.first_refuses(ProblemCode::Internal);
    for day in [10, 20, 30, 40] {
        two.second.lock().unwrap().ahead = SignedDuration::from_hours(24 * day);
        assert_eq!(two.after(10 * 24 * 60), 2);
    }
    let servers = two.agent.servers().unwrap();
    assert!(servers[0].lease_until.is_none() && servers[1].lease_until.is_some(), "{servers:?}");
    let gate = fs::read_to_string(two.agent.home().gate(&package())).unwrap();
    assert!(gate.contains("\nupload=true\n"), "{gate}");
}

#[test]
fn a_further_primary_is_asked_before_the_secondaries() {
    let two = Two::new();
    let (third, web, listed) = server_of(&two.site.vendor, &two.site.runtime);
    third.lock().unwrap().client_id = ClientId::from_random([10; 16]);
    let setup = two.setup_of(|setup| setup.servers = vec![listed.clone()]);
    two.agent.add_server(&setup, Some(ServerRole::Primary), OtherName::Refuse).unwrap();
    let _ = two.cycle();
    two.first_refuses(ProblemCode::Internal);
    let _ = two.after(60);
    let serving = two.agent.status().serving.unwrap();
    assert_eq!((&serving.server, serving.role), (&listed.server.server_id, ServerRole::Primary));
    assert_eq!(two.contacts_of_second().len(), 1, "the secondary is not needed");
    refuses(&web, ProblemCode::Internal);
    assert_eq!(two.after(60), 2);
    let sentence = two.agent.status().serving.unwrap().sentence;
    assert!(sentence.contains(" and the primary "), "{sentence}");
    // It comes back before the first does: the hold is its own.
    web.make_no_faults();
    assert_eq!(two.after(60), 2);
    let _ = two.after(15);
    assert_eq!(two.agent.status().serving.unwrap().server, listed.server.server_id);
}

#[test]
fn programs_read_the_servers_as_json_and_an_error_too() {
    let two = Two::new();
    two.cycle();
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_agent-updater"));
        command.arg("--home").arg(two.agent.home().path()).arg("servers").args(arguments);
        command.output().unwrap()
    };
    let listed: serde_json::Value = serde_json::from_slice(&run(&["list", "--json"]).stdout).unwrap();
    let fields = [
        "server",
        "addresses",
        "role",
        "updates",
        "serves",
        "standing",
        "lease_until",
        "last_answer",
        "problem",
    ];
    for server in listed.as_array().unwrap() {
        assert!(fields.iter().all(|field| server.get(field).is_some()), "{server}");
    }
    assert_eq!((&listed[0]["updates"], &listed[1]["role"]), (&true.into(), &"secondary".into()));
    let refused = run(&["remove", two.id(1).as_str(), "--yes", "--json"]);
    assert!(!refused.status.success());
    let error: serde_json::Value = serde_json::from_slice(&refused.stderr).unwrap();
    assert!(error["message"].as_str().unwrap().contains("decides about the updates"), "{error}");
    let preferred: serde_json::Value =
        serde_json::from_slice(&run(&["prefer", two.id(2).as_str(), "--json"]).stdout).unwrap();
    assert_eq!((&preferred["updates"], &preferred["role"]), (&true.into(), &"primary".into()));
    let removed = run(&["remove", two.id(1).as_str(), "--yes", "--json"]);
    assert!(removed.status.success(), "{removed:?}");
    let text = String::from_utf8(run(&["list"]).stdout).unwrap();
    assert!(text.lines().count() == 1 && text.contains("decides about updates, serves"), "{text}");
}

#[test]
fn contact_is_lost_only_when_no_server_answers() {
    let two = Two::new();
    two.site.release("1", 1, "one");
    two.cycle();
    two.first_refuses(ProblemCode::Internal);
    refuses(&two.web, ProblemCode::Internal);
    assert_eq!(two.after(60), 1, "nobody else serves");
    assert_eq!(two.site.gate(), OpenNow { run: true, upload: false, remote_management: false });
    assert_eq!(two.agent.status().standing, Standing::LostContact);
    two.web.make_no_faults();
    assert_eq!(two.after(60), 2);
    assert_eq!(two.site.gate(), OPEN);
}

#[test]
fn a_secondary_that_is_not_needed_is_asked_once_a_day() {
    let two = Two::new();
    for (minutes, contacts) in [(0, 1), (60, 1), (22 * 60, 1), (2 * 60, 2), (240, 2)] {
        assert_eq!(two.after(minutes), 1);
        assert_eq!(two.contacts_of_second().len(), contacts, "after {minutes} more minutes");
    }
    let servers = two.agent.servers().unwrap();
    assert!(servers[1].lease_until.is_some() && !servers[1].serves, "its lease is a live one: {servers:?}");
}

#[test]
fn nothing_is_installed_from_a_secondary() {
    let two = Two::new();
    assign_at(&two.site.vendor, &two.second, "7", 7);
    two.first_refuses(ProblemCode::Internal);
    for _ in 0..3 {
        assert_eq!(two.after(60), 2);
    }
    assert_eq!(two.site.installed(), None);
    assert!(two.agent.status().packages.is_empty(), "it is not even shown as assigned");
    let kept = two.agent.home().server_record(&two.id(2), "assignment");
    assert!(kept.exists(), "it is kept, for when that server is preferred");
    let contacts = two.contacts_of_second();
    assert!(contacts.iter().all(|contact| contact.reports.is_empty() && contact.postponed.is_empty()));
    // The first one assigns something: its reports are the first one's business too.
    two.first_is_back();
    two.site.release("1", 1, "one");
    two.after(60);
    assert_eq!(two.site.installed().as_deref(), Some("one"));
    two.after(60);
    assert!(two.second.lock().unwrap().reports.is_empty());
    assert!(!two.site.server.lock().unwrap().reports.is_empty());
}

#[test]
fn a_release_halted_at_the_primary_does_not_come_from_the_secondary() {
    let two = Two::new();
    two.site.release("1", 1, "one");
    two.cycle();
    assign_at(&two.site.vendor, &two.second, "2", 2);
    // The primary halts it: it assigns the old one as before, or nothing at all, and is then down.
    let halted: [fn(&mut SimulatedServer); 2] = [|_| (), |first| first.assigned.clear()];
    for halts in halted {
        halts(&mut two.site.server.lock().unwrap());
        two.first_is_back();
        two.after(60);
        two.first_refuses(ProblemCode::Internal);
        for minutes in [60, 24 * 60, 60] {
            assert_eq!(two.after(minutes), 2);
            assert_eq!(two.site.installed().as_deref(), Some("one"));
        }
    }
}

#[test]
fn an_outage_takes_no_seat_at_a_secondary() {
    // One that this computer was never added to hears nothing of it.
    let two = Two::not_added();
    two.first_refuses(ProblemCode::Internal);
    two.after(60);
    assert!(two.web.asked("").is_empty());
    assert!(two.agent.status().serving.unwrap().server == two.id(1));
    // One that has no reservation refuses the enrollment, and stays unknown.
    let problem = Problem::new(ProblemCode::UnknownComputer, "no reservation", "reserve it");
    two.web.once("enroll", Fault::Answer(403, serde_json::to_vec(&problem).unwrap()));
    let error = two.agent.add_server(&two.second_setup(), None, OtherName::Refuse).unwrap_err();
    assert!(matches!(error, EnrollError::AllFailed(_)), "{error}");
    two.after(60);
    assert!(two.second.lock().unwrap().enrollments.is_empty() && two.contacts_of_second().is_empty());
    // One that knows it is contacted, and nothing else.
    two.agent.add_server(&two.second_setup(), None, OtherName::Refuse).unwrap();
    for minutes in [60, 60, 24 * 60] {
        assert_eq!(two.after(minutes), 2);
    }
    assert_eq!(two.second.lock().unwrap().enrollments.len(), 1);
}

#[test]
fn prefer_moves_the_authority_and_an_enrollment_by_a_secondarys_file_does_not() {
    let two = Two::new();
    two.site.release("1", 1, "one");
    two.cycle();
    assign_at(&two.site.vendor, &two.second, "2", 2);
    two.after(24 * 60);
    assert_eq!(two.site.installed().as_deref(), Some("one"));
    let setup = two.setup_of(|setup| setup.servers[0].server.role = ServerRole::Secondary);
    let error = two.agent.enroll(&setup, None, OtherName::Refuse).unwrap_err();
    assert!(error.to_string().contains("`agent-updater servers add --setup FILE`"), "{error}");
    // Also one that says nothing of it, of a server that was added as a secondary.
    let error = two.agent.enroll(&two.second_setup(), None, OtherName::Refuse).unwrap_err();
    assert!(error.to_string().contains("`agent-updater servers prefer SERVER`"), "{error}");
    assert_eq!(two.agent.servers().unwrap()[0].server, two.id(1));
    two.agent.prefer_server(two.id(2).as_str()).unwrap();
    let servers = two.agent.servers().unwrap();
    assert_eq!(
        (&servers[0].server, servers[0].role, servers[0].updates),
        (&two.id(2), ServerRole::Primary, true)
    );
    assert!(!servers[1].updates && servers[0].serves);
    assert!(two.agent.cycle().problems.is_empty());
    assert_eq!(two.site.installed().as_deref(), Some("2"), "what it assigns is installed");
    assert!(!two.second.lock().unwrap().reports.is_empty(), "and it is told so");
    assert_eq!(two.serves(), 2);
}

#[test]
fn each_server_has_its_own_sequence_and_lease() {
    let two = Two::new();
    two.second.lock().unwrap().sequence = 5_000;
    two.second.lock().unwrap().is_strict = true;
    two.site.server.lock().unwrap().is_strict = true;
    two.first_refuses(ProblemCode::Internal);
    two.after(60);
    two.first_is_back();
    for _ in 0..3 {
        let cycle = two.agent.cycle();
        assert!(cycle.problems.is_empty(), "{:?}", cycle.problems);
    }
    let known = [&two.site.server, &two.second].map(|server| server.lock().unwrap().client_key.clone());
    assert_ne!(known[0], known[1], "and its own key");
    for number in [1, 2] {
        let lease = two.agent.home().server_record(&two.id(number), "lease");
        assert!(lease.exists());
    }
    let contacts = two.contacts_of_second();
    for pair in contacts.windows(2) {
        assert_eq!(pair[1].previous.as_ref(), Some(&pair[0].next), "its nonces go on");
    }
    assert!(contacts.last().unwrap().held_head.is_some(), "and what is held of its log is its own");
}

#[test]
fn an_old_setup_file_of_a_further_server_sets_nothing_of_the_first_back() {
    let two = Two::not_added();
    two.site.release("1", 1, "one");
    two.cycle();
    let floors = || ComputerProgress::load(two.agent.home()).unwrap().floors;
    let before = (floors(), fs::read(two.agent.home().state("vendor")).unwrap());
    let standing = fs::read(two.site.server_record("standing")).unwrap();
    let old = two.setup_of(|setup| setup.issued_at -= SignedDuration::from_hours(24 * 300));
    two.agent.add_server(&old, None, OtherName::Refuse).unwrap();
    assert_eq!((floors(), fs::read(two.agent.home().state("vendor")).unwrap()), before);
    assert_eq!(fs::read(two.site.server_record("standing")).unwrap(), standing);
}

#[test]
fn what_is_added_must_be_of_this_computer_and_vendor_and_needs_a_first_server() {
    let two = Two::not_added();
    let other_name = two.setup_of(|setup| setup.computer_name = Some(ComputerName::new("pc-2").unwrap()));
    let error = two.agent.add_server(&other_name, None, OtherName::Refuse).unwrap_err();
    assert!(matches!(error, EnrollError::OtherNameBeside { .. }), "{error}");
    assert!(two.second.lock().unwrap().enrollments.is_empty(), "nothing was sent");
    let first = two.site.setup_file();
    let error = two.agent.add_server(&first, None, OtherName::Refuse).unwrap_err().to_string();
    assert!(error.contains("decides about the updates") && error.contains("enroll --setup FILE"), "{error}");
    let other_root = two.setup_of(|setup| setup.root_sha256 = Sha256Digest::of(b"other"));
    let error = two.agent.add_server(&other_root, None, OtherName::Refuse).unwrap_err();
    assert!(matches!(error, EnrollError::OtherRoot { .. }), "{error}");
    // A grant of somebody else's.
    let stranger = SigningKey::generate().unwrap();
    let grants = {
        let mut second = two.second.lock().unwrap();
        let bad = grant(&stranger, &second.site_key, &two.id(2));
        std::mem::replace(&mut second.grants, vec![bad])
    };
    let error = two.agent.add_server(&two.second_setup(), None, OtherName::Refuse).unwrap_err();
    assert!(matches!(error, EnrollError::Answer { .. }), "{error}");
    assert_eq!(two.agent.servers().unwrap().len(), 1);
    two.second.lock().unwrap().grants = grants;
    two.agent.add_server(&two.second_setup(), Some(ServerRole::Primary), OtherName::Refuse).unwrap();
    assert_eq!(two.agent.servers().unwrap()[1].role, ServerRole::Primary);
    // Again: it keeps its place.
    two.agent.add_server(&two.second_setup(), None, OtherName::Refuse).unwrap();
    assert_eq!(two.agent.servers().unwrap().len(), 2);
    assert!(two.agent.cycle().problems.is_empty());
    let fresh = Site::new();
    let error = fresh.agent().add_server(&fresh.setup_file(), None, OtherName::Refuse).unwrap_err();
    assert!(matches!(error, EnrollError::NoFirstServer), "{error}");
    assert!(fresh.agent().servers().unwrap().is_empty());
}

#[test]
fn a_removed_server_serves_no_more_and_leaves_nothing_here_and_the_one_that_decides_is_not_removed() {
    let two = Two::new();
    two.site.release("1", 1, "one");
    two.cycle();
    two.first_refuses(ProblemCode::Internal);
    assert_eq!(two.after(60), 2);
    let first = two.id(1);
    for asked in [first.as_str(), "127.0.0.1", "nowhere.example", &first.as_str()[..3]] {
        let error = two.agent.remove_server(asked).unwrap_err();
        let is_right = match asked {
            "127.0.0.1" => matches!(error, ServersError::Ambiguous { .. }),
            asked if asked == first.as_str() => matches!(error, ServersError::Authority { .. }),
            _ => matches!(error, ServersError::Unknown { .. }),
        };
        assert!(is_right, "{asked}: {error}");
    }
    assert_eq!(two.agent.servers().unwrap().len(), 2);
    let removed = two.agent.remove_server(&two.listed.server.server_id.as_str()[..8]);
    let removed = removed.or_else(|_| two.agent.remove_server(two.id(2).as_str())).unwrap();
    assert_eq!(removed.server, two.id(2));
    assert!(
        !two.agent.home().server(&two.id(2)).exists() && !two.agent.home().server_key(&two.id(2)).exists()
    );
    let contacts = two.contacts_of_second().len();
    assert_eq!(two.after(60), 1);
    assert_eq!(two.contacts_of_second().len(), contacts);
    assert!(two.site.gate().run && !two.site.gate().upload);
    two.agent.add_server(&two.second_setup(), None, OtherName::Refuse).unwrap();
    assert_eq!(two.after(60), 2, "it can be added again");
}

#[test]
fn a_secondary_that_refuses_this_computer_is_a_problem_whose_remedy_does_not_make_it_the_first() {
    let two = Two::new();
    two.cycle();
    assert!(two.agent.status().problems.is_empty());
    refuses(&two.web, ProblemCode::UnknownComputer);
    two.after(24 * 60);
    let status = two.agent.status();
    let [problem] = status.problems.as_slice() else { panic!("{:?}", status.problems) };
    assert_eq!((problem.code, problem.refusal), (ProblemKind::Refused, Some(ProblemCode::UnknownComputer)));
    assert!(problem.text.contains("`agent-updater servers add --setup FILE`"), "{}", problem.text);
    assert!(!problem.text.contains("agent-updater enroll"), "{}", problem.text);
    assert!(
        status.notices.iter().any(|notice| notice.contains(&two.web.port().to_string())),
        "{:?}",
        status.notices
    );
    two.web.make_no_faults();
    two.agent.add_server(&two.second_setup(), None, OtherName::Refuse).unwrap();
    two.after(0);
    assert!(two.agent.status().problems.is_empty());
}

#[test]
fn damaged_records_of_a_secondary_stop_nothing_of_the_first_and_say_what_helps() {
    let two = Two::new();
    two.cycle();
    for (counter, name) in [(1, "standing"), (2, "enrollment"), (3, "contact")] {
        let path = two.agent.home().server_record(&two.id(2), name);
        fs::write(&path, "damaged").unwrap();
        two.site.release(&counter.to_string(), counter, name);
        two.clock.forward(SignedDuration::from_hours(24));
        let cycle = two.agent.cycle();
        assert!(cycle.problems.is_empty(), "{name}: {:?}", cycle.problems);
        assert_eq!(two.site.installed().as_deref(), Some(name));
        let said = cycle.notices.join(" ");
        assert!(said.contains("damaged"), "{name}: {said}");
        assert_eq!(fs::read(&path).unwrap(), b"damaged", "{name} is not written over");
        two.second.lock().unwrap().replace_client();
        two.agent.add_server(&two.second_setup(), None, OtherName::Refuse).unwrap();
        two.clock.forward(SignedDuration::from_hours(24));
        let cycle = two.agent.cycle();
        assert!(cycle.problems.is_empty() && cycle.notices.is_empty(), "{name}: {cycle:?}");
    }
}

#[test]
fn a_further_server_never_turns_the_time_of_the_computer_back() {
    let two = Two::new();
    assert_eq!(two.cycle(), 1);
    let floors = || ComputerProgress::load(two.agent.home()).unwrap().floors;
    let before = floors();
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    two.second.lock().unwrap().renew_grant(&two.site.vendor.license_key, |grant| {
        grant.vendor_time -= days(300);
        grant.not_after -= days(300);
    });
    two.clock.forward(days(2));
    let seen = two.contacts_of_second().len();
    assert_eq!(two.cycle(), 1);
    assert!(two.contacts_of_second().len() > seen, "it was contacted");
    assert!(floors().license() >= before.license(), "{:?} after {before:?}", floors());
}

#[test]
fn a_further_server_that_answers_byte_by_byte_is_not_waited_for() {
    let two = Two::new();
    assert_eq!(two.cycle(), 1);
    two.clock.forward(SignedDuration::from_hours(48));
    two.web.fail("contact", Fault::StallAfter(1), Times::Always);
    assert_eq!(two.cycle(), 1, "the first serves");
    let servers = two.agent.servers().unwrap();
    let problem = servers[1].problem.as_deref().unwrap();
    assert!(problem.contains("no answer was there within 20 seconds"), "{problem}");
    assert!(servers[0].problem.is_none(), "{servers:?}");
}
