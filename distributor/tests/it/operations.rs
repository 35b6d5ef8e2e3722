//! The server as a service among others: signals, sockets that are held for it, ports that are taken, deep homes, rotated
//! logs, damaged files, and newer versions of itself.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::SignedDuration;
use reqwest::{Client, StatusCode};
use sealpost_admin_api::licenses::Registered;
use sealpost_admin_api::status::Status;
use sealpost_admin_api::storage::StorageView;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::wire::contact::ContactAnswer;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::commands::{Command, Context, Decision, NoFacts};
use sealpost_test_support::clock::ManualClock;
use sealpost_test_support::license::serial;
use sealpost_test_support::names::acme_av;
use sealpost_test_support::vendor::Vendor;
use sealpost_test_support::vendor_server::ServedVendor;
use sealpost_test_support::web::{Web, file};

use crate::agent::Agent;
use crate::program::{Running, distributor, json, refused, run, serve, signal, stdout, stop};
use crate::site::{Site, code, configure};
use crate::vendor::start_vendor;

/// Runs blocking work beside the vendor's server.
async fn walk(work: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(work).await.unwrap();
}

fn init(home: &Path, vendor_url: &str, root: &Path) {
    let root = root.to_str().unwrap();
    stdout(home, &["init", "--vendor-url", vendor_url, "--root", root, "--address", "127.0.0.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named_with_its_holder_and_why_it_should_not_be_changed() {
    let vendor = start_vendor(1).await;
    let (url, root) = (vendor.url(), vendor.root_file());
    walk(move || {
        let home = tempfile::tempdir().unwrap();
        init(home.path(), &url, &root);
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let said = refused(home.path(), &["serve", "--listen", &held.local_addr().unwrap().to_string()]);
        assert!(said.contains(&format!("(process {})", std::process::id())), "{said}");
        assert!(said.contains("only if both are needed") && said.contains("both sides must match"), "{said}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_pipe_in_place_of_the_pinned_root_is_refused_and_not_waited_for() {
    let vendor = start_vendor(1).await;
    let (url, root) = (vendor.url(), vendor.root_file());
    walk(move || {
        let home = tempfile::tempdir().unwrap();
        init(home.path(), &url, &root);
        let path = home.path().join("root.json");
        std::fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
        let said = refused(home.path(), &["serve", "--listen", "127.0.0.1:0"]);
        assert!(said.contains("root.json"), "{said}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_deeper_than_a_sockets_address_can_say_is_served_and_asked() {
    let vendor = start_vendor(1).await;
    let (url, root) = (vendor.url(), vendor.root_file());
    walk(move || {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("d".repeat(60)).join("e".repeat(60));
        std::fs::create_dir_all(home.parent().unwrap()).unwrap();
        init(&home, &url, &root);
        let server = serve(&home);
        assert!(stdout(&home, &["status"]).contains("connected   0 computers"));
        stop(server);
    })
    .await;
}

/// Waits until a file has this text.
fn until_written(file: &Path, wanted: &str) {
    for _ in 0..600 {
        if std::fs::read_to_string(file).unwrap_or_default().contains(wanted) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{} never had {wanted:?}", file.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_up_reopens_the_renamed_log_and_reads_the_configuration_and_the_server_goes_on() {
    let vendor = start_vendor(3).await;
    let (url, root) = (vendor.url(), vendor.root_file());
    walk(move || {
        let home = tempfile::tempdir().unwrap();
        init(home.path(), &url, &root);
        let server = serve(home.path());
        stdout(home.path(), &["register", serial().as_ref()]);
        let log = home.path().join("log/activity.log");
        until_written(&log, "grant_accepted");
        std::fs::rename(&log, home.path().join("log/activity.log.1")).unwrap();
        configure(home.path(), "addresses = [\"127.0.0.1\", \"localhost\"]\n");
        signal(&server, rustix::process::Signal::HUP);
        let names = || stdout(home.path(), &["certificate", "show"]);
        for _ in 0..600 {
            if names().contains("localhost") {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(names().contains("localhost"), "{}", names());
        stdout(home.path(), &["clients", "reserve", "pc-1"]);
        until_written(&log, "pc-1");
        let (old, new) = (home.path().join("log/activity.log.1"), std::fs::read_to_string(&log).unwrap());
        let lines = format!("{}{new}", std::fs::read_to_string(old).unwrap());
        let numbers: Vec<u64> =
            lines.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        stop(server);
    })
    .await;
}

/// Reads notices until one has this text.
fn until_notified(socket: &UnixDatagram, wanted: &str) {
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).unwrap();
        if String::from_utf8_lossy(&buffer[..length]).contains(wanted) {
            return;
        }
    }
}

/// A server whose standard input is a listening socket that the test holds, handed over as systemd does.
fn serve_held(home: &Path, held: &TcpListener, notify: &Path) -> Running {
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" --home \"$1\" serve 3<&0 0</dev/null"])
        .arg(env!("CARGO_BIN_EXE_distributor"))
        .arg(home)
        .env("NOTIFY_SOCKET", notify)
        .stdin(std::os::fd::OwnedFd::from(held.try_clone().unwrap()));
    crate::program::running(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_says_ready_reloading_and_stopping_and_takes_over_a_socket_that_is_held_for_it() {
    let vendor = start_vendor(1).await;
    let (url, root) = (vendor.url(), vendor.root_file());
    walk(move || {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        init(&home, &url, &root);
        let path = folder.path().join("notify");
        let notices = UnixDatagram::bind(&path).unwrap();
        notices.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = held.local_addr().unwrap().port();
        configure(&home, &format!("listen = \"127.0.0.1:{port}\"\n"));
        let server = serve_held(&home, &held, &path);
        until_notified(&notices, "READY=1");
        assert!(server.url.ends_with(&format!(":{port}")));
        signal(&server, rustix::process::Signal::HUP);
        until_notified(&notices, "RELOADING=1");
        until_notified(&notices, "READY=1");
        stop(server);
        until_notified(&notices, "STOPPING=1");
        // Nobody serves now, and nobody is refused: who connects waits for the next server.
        let waiting = std::net::TcpStream::connect(held.local_addr().unwrap()).unwrap();
        let next = serve_held(&home, &held, &path);
        until_notified(&notices, "READY=1");
        drop(waiting);
        stop(next);
    })
    .await;
}

/// One contact of a computer over a connection of its own.
async fn contact(agent: &mut Agent, http: &Client, url: &str) {
    let contact = agent.next_contact();
    let request = http.post(url).json(&agent.contact_request(&contact));
    let answer: ContactAnswer = request.send().await.unwrap().json().await.unwrap();
    agent.take_answer(&contact, &answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_socket_is_held_is_replaced_under_running_contacts_and_none_is_lost() {
    let vendor = start_vendor(10).await;
    let held = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let site = Site::licensed(&vendor).await.replaced(Arc::clone(&held)).await;
    let url = site.url("/agent/v1/contact");
    let ca = std::fs::read(site.home().join("tls/ca.crt")).unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let mut computers = Vec::new();
    for number in 0..4 {
        let mut agent = Agent::licensed(&site, &format!("pc-{number}")).await;
        let trusted = reqwest::Certificate::from_pem_bundle(&ca).unwrap();
        let http = Client::builder().tls_certs_only(trusted).no_proxy().pool_max_idle_per_host(0);
        let (http, url, ended) = (http.build().unwrap(), url.clone(), Arc::clone(&ended));
        computers.push(tokio::spawn(async move {
            let mut contacts = 0;
            while !ended.load(Ordering::SeqCst) {
                contact(&mut agent, &http, &url).await;
                contacts += 1;
                // As a computer, and not as a flood that the server would slow down.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            contacts
        }));
    }
    let mut site = site;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        site = site.replaced(Arc::clone(&held)).await;
    }
    ended.store(true, Ordering::SeqCst);
    for computer in computers {
        assert!(computer.await.unwrap() > 3, "each contact was answered");
    }
}

#[tokio::test]
async fn a_payload_that_was_damaged_on_disk_is_not_sent_whole_is_shown_and_is_fetched_again() {
    let vendor = start_vendor(10).await;
    let content = sealpost_test_support::release::noise(300_000);
    let manifest = vendor.release("1.0", &[("engine", &content)]);
    let site = Site::licensed(&vendor).await;
    let mut agent = Agent::licensed(&site, "pc-1").await;
    site.pull().await;
    site.approve(manifest).await;
    agent.contact(&site).await;
    let target = vendor.target_file("acme-av_1.0_any.tar.gz");
    let name = target.file_name().unwrap().to_str().unwrap().to_owned();
    let path = format!("/tuf/targets/{name}");
    let sha256 = name.split('.').next().unwrap();
    let stored = site.home().join("blobs").join(&sha256[..2]).join(sha256);
    let mut bytes = std::fs::read(&stored).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::remove_file(&stored).unwrap();
    std::fs::write(&stored, &bytes).unwrap();

    let sent = agent.get(&site, &path).await;
    assert_eq!(sent.status(), StatusCode::OK);
    assert!(sent.bytes().await.is_err(), "the answer is cut before its end");
    while stored.exists() {
        tokio::task::yield_now().await;
    }
    assert_eq!(code(agent.get(&site, &path).await).await, ProblemCode::NotFound);
    let mut status: Status = site.get("/status").await;
    while status.missing_files.is_empty() {
        status = site.get("/status").await;
    }
    assert!(
        status.warnings.iter().any(|warning| warning.message.contains("1 stored file is damaged or missing"))
    );
    let home = site.home();
    let said = tokio::task::spawn_blocking(move || {
        let checked = run(&home, &["storage", "check"]);
        let checked = (checked.status.code(), String::from_utf8(checked.stdout).unwrap());
        assert!(
            checked.0 == Some(1) && checked.1.contains("\ndamaged     acme-av_1.0_any.tar.gz"),
            "{checked:?}"
        );
        stdout(&home, &["pull"])
    });
    let said = said.await.unwrap();
    assert!(said.contains("fetched again") && said.contains("nothing new"), "{said}");
    let status: Status = site.get("/status").await;
    assert!(status.missing_files.is_empty(), "{status:?}");
    assert!(agent.get(&site, &path).await.bytes().await.is_ok());
}

#[tokio::test]
async fn storage_is_shown_with_its_bounds_and_cleaned_over_the_api() {
    let vendor = start_vendor(3).await;
    vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    let view: StorageView = site.get("/storage").await;
    let kinds: Vec<&str> = view.kinds.iter().map(|kind| kind.kind.as_str()).collect();
    assert_eq!(kinds, ["payloads", "deltas", "metadata", "unpacked", "downloads", "logs"]);
    assert!(view.kinds.iter().all(|kind| !kind.bound.is_empty()) && view.free_bytes > 0, "{view:?}");
    let status: Status = site.get("/status").await;
    let stored = status.storage.unwrap();
    assert!(stored.bytes > 0 && stored.free_bytes > 0, "{stored:?}");
    let cleaned: StorageView = site.post("/storage/clean", &serde_json::json!({})).await;
    assert_eq!((cleaned.removed_bytes, cleaned.missing.len()), (Some(0), 0), "what is staged stays");
}

#[tokio::test]
async fn a_newer_version_of_the_server_itself_is_announced_with_its_payload() {
    let vendor = Vendor::new(PackageName::new("distributor").unwrap(), ManualClock::running());
    let vendor = ServedVendor::start(vendor, 3).await;
    let site = Site::licensed(&vendor).await;
    let mut draft = vendor.draft("999.0", &[("distributor", b"program")]);
    draft.manifest.kind = PackageKind::Server;
    let manifest = vendor.publish(&draft, &["stable"]);
    site.pull().await;
    let status: Status = site.get("/status").await;
    assert!(
        status.warnings.iter().any(|warning| warning.message.contains("updates show distributor:999.0")),
        "{status:?}"
    );
    site.approve(manifest).await;
    let status: Status = site.get("/status").await;
    let newer = status.newer.unwrap();
    assert_eq!((newer.release.version.as_str(), newer.state.as_str()), ("999.0", "approved"));
    let payload = newer.payload.unwrap();
    assert!(Path::new(&payload).is_file());
    assert!(
        status.warnings.iter().any(|warning| warning.message.contains(&payload)),
        "{:?}",
        status.warnings
    );
}

#[tokio::test]
async fn a_damaged_manifest_of_a_newer_server_hides_nothing_else_of_the_status() {
    let vendor = Vendor::new(PackageName::new("distributor").unwrap(), ManualClock::running());
    let vendor = ServedVendor::start(vendor, 3).await;
    let site = Site::licensed(&vendor).await;
    let mut draft = vendor.draft("999.0", &[("distributor", b"program")]);
    draft.manifest.kind = PackageKind::Server;
    let manifest = vendor.publish(&draft, &["stable"]);
    site.pull().await;
    site.approve(manifest).await;
    let name = manifest.to_string();
    std::fs::write(site.home().join("blobs").join(&name[..2]).join(&name), "damaged").unwrap();
    let status: Status = site.get("/status").await;
    let newer = status.newer.unwrap();
    assert_eq!((newer.release.version.as_str(), newer.payload), ("999.0", None));
    let said = status.warnings.iter().find(|warning| warning.code == "server_newer").unwrap();
    assert!(said.message.contains("`distributor updates show distributor:999.0`"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_makes_a_server_for_a_vendor_over_plain_http_is_told_that_serials_do_not_go_that_way() {
    let vendor = start_vendor(1).await;
    let root = vendor.root_file();
    walk(move || {
        let folder = tempfile::tempdir().unwrap();
        for (name, url, is_told) in [
            ("a", "http://192.0.2.1", true),
            ("b", "https://192.0.2.1", false),
            ("c", "http://127.0.0.1:1", false),
        ] {
            let home = folder.path().join(name);
            let output = run(&home, &["init", "--vendor-url", url, "--root", root.to_str().unwrap()]);
            assert!(output.status.success());
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(said.contains("`distributor register --offline`"), is_told, "{url}: {said}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_serial_is_not_sent_over_plain_http_to_another_computer() {
    let vendor = start_vendor(3).await;
    let site = Site::start(&vendor).await;
    let site = site.between(async |home| configure(home, "vendor_url = \"http://192.0.2.1:9\"\n")).await;
    let view: Registered = site.post("/register", &serde_json::json!({ "serial": serial() })).await;
    let Registered::Code { reason: Some(reason), .. } = view else { panic!("{view:?}") };
    assert!(reason.contains("is not sent over plain http") && reason.contains("`vendor_ca`"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_fail_with_a_code_in_json_and_with_a_hint_that_fits_otherwise() {
    let vendor = start_vendor(1).await;
    let (url, root) = (vendor.url(), vendor.root_file());
    walk(move || {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        init(&home, &url, &root);
        let server: Running = serve(&home);
        let output = run(&home, &["clients", "show", "pc-9", "--json"]);
        assert_eq!(output.status.code(), Some(1));
        let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["code"], "not_reserved");
        assert!(!error["hint"].as_str().unwrap().is_empty());
        // A token file that holds something else, and a command that works on a home.
        let token = folder.path().join("token");
        std::fs::write(&token, "no token\n").unwrap();
        std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let elsewhere = ["--server", server.url.as_str(), "--token-file", token.to_str().unwrap()];
        let said = refused(&home, &[&elsewhere[..], &["status"]].concat());
        assert!(said.contains("does not hold a token alone") && said.contains("token new"), "{said}");
        let secret = stdout(&home, &["token", "new", "anna"]);
        stdout(&home, &["token", "new", "monitor", "--forever"]);
        let listed = json(&home, &["token", "list", "--json"]);
        assert_eq!(
            (&listed["tokens"][0]["name"], &listed["tokens"][1]["name"]),
            (&"anna".into(), &"monitor".into())
        );
        let fields =
            |at: usize| listed["tokens"][at].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            fields(0),
            ["created_at", "ends_at", "id", "name"],
            "neither the token nor its whole digest"
        );
        assert_eq!(fields(1), ["created_at", "id", "name"]);
        assert!(!listed.to_string().contains(secret.trim()));
        // One that could not be printed is nobody's: it is gone, and its name is free.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = distributor(&home).args(["token", "new", "lost"]).stdout(writer).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("is revoked again: `distributor token new lost`"), "{said}");
        assert!(!stdout(&home, &["token", "list"]).contains("lost"));
        stdout(&home, &["token", "new", "lost"]);
        // What the server does, and not the files of a home, is for whoever has a token, from wherever.
        std::fs::write(&token, secret.trim()).unwrap();
        let ca = home.join("tls/ca.crt");
        let acknowledge = ["--ca", ca.to_str().unwrap(), "ledger", "acknowledge", "--comment", "seen"];
        let said = refused(&home, &[&elsewhere[..], &acknowledge].concat());
        assert!(
            !said.contains("--server names another one") && said.contains("nothing to acknowledge"),
            "{said}"
        );
        let said = refused(&home, &[&elsewhere[..], &["token", "list"]].concat());
        assert!(said.contains("--server names another one"), "{said}");
        assert!(stdout(&home, &["address", "show"]).contains("nothing is being changed"));
        assert!(stdout(&home, &["storage", "show"]).contains("payloads"));
        assert!(stdout(&home, &["storage", "clean"]).contains("removed     0 B"));
        let identity = |text: &str, line: &str| {
            let found = text.lines().find_map(|one| one.strip_prefix(line)).map(str::trim);
            found.unwrap_or_default().to_owned()
        };
        let before = identity(&stdout(&home, &["certificate", "show"]), "certificate ");
        let renewed = stdout(&home, &["certificate", "renew"]);
        assert!(renewed.contains("issued by the site CA"));
        assert_eq!(identity(&renewed, "before "), before);
        let after = identity(&renewed, "certificate ");
        assert!(after != before && after.contains("serial ") && after.contains("from 20"), "{after}");
        assert!(refused(&home, &["certificate", "switch"]).contains("no other certificate waits"));
        stdout(&home, &["certificate", "renew", "--site-ca"]);
        assert!(refused(&home, &["certificate", "renew", "--site-ca"]).contains("nothing was changed"));
        let ends = stdout(&home, &["status", "--ends"]);
        assert!(
            ends.contains("the site CA's certificate") && ends.contains("`distributor certificate renew`"),
            "{ends}"
        );
        stop(server);
        let output = distributor(&home).args(["status", "--json"]).output().unwrap();
        let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["code"], "failed");
    })
    .await;
}

#[tokio::test]
async fn a_vendor_behind_its_own_ca_is_reached_when_the_configuration_names_that_ca_and_not_before() {
    let vendor = Vendor::new(acme_av(), ManualClock::running());
    let folder = tempfile::tempdir().unwrap();
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(
        vec![cert.der().clone()],
        rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap(),
    );
    let repository = vendor.repository();
    let web =
        Web::start_tls(Arc::new(tls.unwrap()), move |request| file(&repository.join(request.relative())));
    let web = web.await;
    let ca = folder.path().join("vendor-ca.pem");
    std::fs::write(&ca, cert.pem()).unwrap();
    let served = ServedVendor::start(Vendor::new(acme_av(), ManualClock::running()), 1).await;
    let site = Site::start(&served).await;
    let (address, root) = (web.url().replace("http://", "https://"), vendor.root_bytes().to_vec());
    let site = site
        .between(async |home| {
            std::fs::write(home.join("root.json"), &root).unwrap();
            configure(home, &format!("vendor_url = {address:?}\n"));
        })
        .await;
    let refused = site.post_refused("/pull", &serde_json::json!({})).await;
    assert!(refused.message.contains("certificate"), "{refused}");
    let site = site
        .between(async |home| configure(home, &format!("vendor_url = {address:?}\nvendor_ca = {ca:?}\n")))
        .await;
    site.pull().await;
}

#[tokio::test]
async fn the_status_ends_with_1_when_something_is_urgent() {
    let vendor = start_vendor(3).await;
    let site = Site::licensed(&vendor).await;
    let status = async || {
        let home = site.home();
        tokio::task::spawn_blocking(move || run(&home, &["status"]).status.code()).await.unwrap()
    };
    assert_eq!(status().await, Some(0));
    // The grant ends after a year, and nobody renewed it.
    site.clock.forward(SignedDuration::from_hours(24 * 3000));
    assert_eq!(status().await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_reached_nobody_ends_with_1_and_prints_the_code_to_carry() {
    let vendor = start_vendor(1).await;
    let root = vendor.root_file();
    walk(move || {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        // Nobody listens there.
        init(&home, "http://127.0.0.1:1", &root);
        let server = serve(&home);
        // The serial number comes by standard input, where no list of processes shows it.
        let mut child = distributor(&home)
            .args(["register", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{}", serial()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("registration code") && output.stdout.len() > 100, "{said}");
        // Asked for, the code is what was wanted.
        stdout(&home, &["register", serial().as_ref(), "--offline"]);
        stop(server);
    })
    .await;
}

/// A command in which a fault of the program panics.
struct Panics;

impl Command for Panics {
    type Facts = NoFacts;
    type Answer = ();
    const ATTEMPTED: &'static str = "go on";

    fn facts(&self) -> NoFacts {
        NoFacts
    }

    fn decide(self, (): (), _: &Context<'_>) -> Decision<()> {
        panic!("a fault that a test injects")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_the_ledgers_writer_is_known_to_who_keeps_the_server_and_to_monitors_and_it_can_be_stopped()
 {
    let vendor = start_vendor(1).await;
    let site = Site::start(&vendor).await;
    assert!(site.server.is_alive().await);
    site.server.ledger().execute(site.clock.now(), Panics).await.unwrap_err();
    let failed = tokio::time::timeout(Duration::from_secs(30), site.server.failed()).await.unwrap();
    assert_eq!(failed, "the ledger's writer has ended");
    assert!(!site.server.is_alive().await, "the watchdog of systemd hears nothing");
    for (path, state) in [("/healthz", "not well"), ("/readyz", "not ready")] {
        let answer = site.http.get(site.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let said = answer.text().await.unwrap();
        assert!(said.starts_with(&format!("{state}: the ledger's writer has ended")), "{said}");
    }
    tokio::time::timeout(Duration::from_secs(30), site.server.stop()).await.unwrap().unwrap();
}
