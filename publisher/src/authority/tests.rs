//! The authority over a real database: who gets a grant, and who does not.

use std::os::unix::fs::PermissionsExt;

use jiff::Timestamp;
use sealpost_keys::{SigningKey, Verified};
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, LicenseModel, Registration};
use sealpost_manifests::ids::{SerialNumber, ServerId};
use sealpost_manifests::text_code;
use sealpost_manifests::wire::sync::RegisterRequest;
use sealpost_test_support::clock::days;
use sealpost_test_support::license::{register_request, registration};

use super::{
    Answer, Authority, AuthorityError, Issuer, RegisterError, RegistrationError, Terms,
    read_registration_code, verify_registration,
};

struct Bench {
    folder: tempfile::TempDir,
    authority: Authority,
    key: SigningKey,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::create(&folder.path().join("license.db")).unwrap();
        Self { folder, authority, key: SigningKey::generate().unwrap() }
    }

    fn sell(&mut self, seats: u32) -> SerialNumber {
        let terms = Terms { seats, model: LicenseModel::Named, packages: Vec::new() };
        self.authority.new_serial(&terms, now()).unwrap()
    }

    fn register(
        &mut self,
        serial: &SerialNumber,
        server: &Server,
        at: Timestamp,
    ) -> Result<Answer, RegisterError> {
        let issuer = Issuer { vendor: "Acme", key: &self.key, grant_days: 366 };
        self.authority.register(&server.registration(serial), &issuer, at)
    }
}

struct Server {
    id: ServerId,
    key: SigningKey,
}

impl Server {
    fn new(id: u8) -> Self {
        Self { id: ServerId::from_random([id; 16]), key: SigningKey::generate().unwrap() }
    }

    fn request(&self, serial: &SerialNumber) -> RegisterRequest {
        register_request(serial, &self.id, &self.key)
    }

    fn registration(&self, serial: &SerialNumber) -> Verified<Registration> {
        verify_registration(&self.request(serial)).unwrap()
    }
}

fn now() -> Timestamp {
    "2026-03-01T12:00:00.5Z".parse().unwrap()
}

#[test]
fn a_registration_is_answered_with_a_grant_for_its_server_and_a_retry_with_the_same_bytes() {
    let mut bench = Bench::new();
    let serial = bench.sell(10);
    let server = Server::new(1);
    let Answer::Issued(first) = bench.register(&serial, &server, now()).unwrap() else {
        panic!("not issued")
    };
    let grant = first.verify::<Grant>(&[bench.key.public()]).unwrap();
    assert_eq!((grant.seats, grant.generation, &grant.server_id), (10, 1, &server.id));
    assert_eq!(grant.valid_until, "2027-03-02T12:00:00Z".parse().unwrap());

    let Answer::Repeated(again) = bench.register(&serial, &server, now() + days(30)).unwrap() else {
        panic!("not repeated")
    };
    assert_eq!(again.document, first.document);
    assert_eq!(again.minisig.as_str(), first.minisig.as_str());
}

#[test]
fn a_second_server_and_another_key_of_the_same_server_are_refused_and_nothing_changes() {
    let mut bench = Bench::new();
    let (serial, other_serial) = (bench.sell(10), bench.sell(5));
    let server = Server::new(1);
    bench.register(&serial, &server, now()).unwrap();
    let before = bench.authority.serials().unwrap();

    let thief = Server::new(2);
    assert!(matches!(bench.register(&serial, &thief, now()), Err(RegisterError::BoundToOtherServer)));
    let impostor = Server { id: server.id.clone(), key: SigningKey::generate().unwrap() };
    assert!(matches!(bench.register(&serial, &impostor, now()), Err(RegisterError::OtherSiteKey)));
    assert!(matches!(bench.register(&other_serial, &impostor, now()), Err(RegisterError::OtherSiteKey)));
    let unsold = SerialNumber::from_random([3; 19]);
    assert!(matches!(bench.register(&unsold, &server, now()), Err(RegisterError::UnknownSerial)));

    assert_eq!(bench.authority.serials().unwrap(), before);
}

#[test]
fn new_seats_and_a_lapsed_grant_raise_the_generation() {
    let mut bench = Bench::new();
    let serial = bench.sell(10);
    let server = Server::new(1);
    bench.register(&serial, &server, now()).unwrap();
    bench.authority.set_seats(&serial, 25).unwrap();
    let Answer::Issued(more) = bench.register(&serial, &server, now()).unwrap() else { panic!("not issued") };
    let more = more.verify::<Grant>(&[bench.key.public()]).unwrap();
    assert_eq!((more.seats, more.generation), (25, 2));

    let Answer::Issued(later) = bench.register(&serial, &server, now() + days(366)).unwrap() else {
        panic!("not issued")
    };
    assert_eq!(later.verify::<Grant>(&[bench.key.public()]).unwrap().generation, 3);
}

#[test]
fn bindings_survive_a_restart_and_the_file_is_private() {
    let mut bench = Bench::new();
    let serial = bench.sell(10);
    let server = Server::new(1);
    let first = bench.register(&serial, &server, now()).unwrap().into_grant();
    let path = bench.folder.path().join("license.db");
    for entry in std::fs::read_dir(bench.folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
    bench.authority = Authority::open(&path).unwrap();
    let again = bench.register(&serial, &server, now()).unwrap();
    assert!(matches!(&again, Answer::Repeated(grant) if grant.document == first.document));
    assert!(matches!(Authority::create(&path), Err(AuthorityError::Open { .. })));
}

#[test]
fn a_grant_that_was_changed_in_the_database_is_not_handed_out() {
    let mut bench = Bench::new();
    let serial = bench.sell(10);
    let server = Server::new(1);
    bench.register(&serial, &server, now()).unwrap();
    bench
        .authority
        .connection
        .execute("UPDATE grants SET document = replace(document, '\"seats\":10', '\"seats\":99')", [])
        .unwrap();
    let refused = bench.register(&serial, &server, now()).unwrap_err();
    assert!(matches!(refused, RegisterError::Storage(AuthorityError::Damaged { .. })), "{refused}");
}

#[test]
fn a_database_of_a_newer_format_is_refused() {
    let bench = Bench::new();
    bench.authority.connection.pragma_update(None, "user_version", 99).unwrap();
    let refused = Authority::open(&bench.folder.path().join("license.db")).unwrap_err();
    assert!(matches!(refused, AuthorityError::NewerFormat { found: 99, .. }));
}

#[test]
fn no_seats_and_a_license_model_that_is_not_offered_are_refused() {
    let mut bench = Bench::new();
    let mut terms = Terms { seats: 0, model: LicenseModel::Named, packages: Vec::new() };
    assert!(matches!(bench.authority.new_serial(&terms, now()), Err(AuthorityError::Seats { .. })));
    terms = Terms { seats: 1, model: LicenseModel::Floating, packages: Vec::new() };
    assert!(matches!(bench.authority.new_serial(&terms, now()), Err(AuthorityError::Model { .. })));
    assert!(bench.authority.serials().unwrap().is_empty());
}

#[test]
fn a_registration_signed_with_another_key_than_it_names_is_refused() {
    let server = Server::new(1);
    let thief = SigningKey::generate().unwrap();
    let serial = SerialNumber::from_random([3; 19]);
    let mut request = server.request(&serial);
    // The thief signs a registration that names the server's key.
    let named = registration(&serial, &server.id, &server.key);
    request.registration = SignedDocument::sign(&named, &thief).unwrap();
    assert!(matches!(verify_registration(&request), Err(RegistrationError::Document(_))));
    request.site_key = thief.public();
    assert!(matches!(verify_registration(&request), Err(RegistrationError::Document(_))));
    // A good registration under the name of another key.
    let mut request = server.request(&SerialNumber::from_random([3; 19]));
    request.site_key = thief.public();
    assert!(matches!(verify_registration(&request), Err(RegistrationError::OtherKey)));
}

#[test]
fn of_many_processes_that_register_one_serial_at_once_exactly_one_binds_it() {
    let mut bench = Bench::new();
    let serial = bench.sell(10);
    let path = bench.folder.path().join("license.db");
    let start = std::sync::Barrier::new(8);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|id| {
                let (path, serial, key, start) = (&path, &serial, &bench.key, &start);
                scope.spawn(move || {
                    // A connection of its own is all that a process has.
                    let mut authority = Authority::open(path).unwrap();
                    let registration = Server::new(id).registration(serial);
                    start.wait();
                    let issuer = Issuer { vendor: "Acme", key, grant_days: 366 };
                    authority.register(&registration, &issuer, now())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let won = answers.iter().filter(|answer| matches!(answer, Ok(Answer::Issued(_)))).count();
    let refused =
        answers.iter().filter(|answer| matches!(answer, Err(RegisterError::BoundToOtherServer))).count();
    assert_eq!((won, refused), (1, 7), "{answers:?}");
    let grants: i64 =
        bench.authority.connection.query_row("SELECT count(*) FROM grants", [], |row| row.get(0)).unwrap();
    assert_eq!(grants, 1);
}

#[test]
fn a_registration_code_is_read_as_text_and_as_json() {
    let server = Server::new(1);
    let request = server.request(&SerialNumber::from_random([3; 19]));
    let forms = [
        text_code::encode(&request.registration),
        serde_json::to_string(&request.registration).unwrap(),
        serde_json::to_string(&request).unwrap(),
    ];
    for form in forms {
        let read = read_registration_code(&form).unwrap();
        assert_eq!(verify_registration(&read).unwrap().server_id, server.id);
    }
    assert!(matches!(read_registration_code("not a code"), Err(RegistrationError::Code(_))));
}
