//! The server as a process: TLS, a certificate and settings that change under it, and what systemd hands it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sealpost_keys::SigningKey;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::SerialNumber;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::sync::RegisterAnswer;
use sealpost_publisher::home::Vendor;

use crate::process::Bench;
use crate::support::{register_request, registration};

/// How long a state is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that is killed when a test ends.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(command: Command) -> Self {
        Self::start_saying(command, Stdio::null())
    }

    fn start_saying(mut command: Command, stderr: impl Into<Stdio>) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Self { child, url }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    #[track_caller]
    fn ends_well(mut self) {
        self.signal(rustix::process::Signal::TERM);
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate for 127.0.0.1 and its key, put into a folder in one rename each.
fn put_certificate(folder: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    fs::create_dir_all(folder).unwrap();
    for (name, text) in [("server.crt", made.cert.pem()), ("server.key", made.signing_key.serialize_pem())] {
        fs::write(folder.join("new"), text).unwrap();
        // The status is urgent about a key that everybody can read.
        fs::set_permissions(folder.join("new"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(folder.join("new"), folder.join(name)).unwrap();
    }
    made.cert.pem()
}

fn client_that_trusts(pem: &str) -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let certificate = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    reqwest::Client::builder().tls_certs_only([certificate]).build().unwrap()
}

/// Whether a client gets an answer, within some seconds.
async fn comes_to_answer(client: &reqwest::Client, url: &str) -> bool {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if client.get(format!("{url}/healthz")).send().await.is_ok_and(|answer| answer.status().is_success())
        {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

/// Registers, and answers with how long the grant is valid.
async fn granted_for(
    client: &reqwest::Client,
    url: &str,
    serial: &SerialNumber,
    site: &SigningKey,
) -> SignedDuration {
    let request = register_request(&registration(serial, site), site);
    let answer = client.post(format!("{url}/license/v1/register")).json(&request).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    let answer: RegisterAnswer = answer.json().await.unwrap();
    assert!(answer.renewable_from.is_some());
    let grant: Grant = serde_json::from_str(&answer.grant.document).unwrap();
    Timestamp::now().duration_until(grant.not_after)
}

fn change_settings(bench: &Bench, change: impl FnOnce(String) -> String) {
    let path = bench.path("home/vendor.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, change(text)).unwrap();
}

#[tokio::test]
async fn with_a_certificate_it_speaks_tls_and_a_changed_certificate_is_served_without_a_restart() {
    let bench = Bench::ready();
    let folder = bench.path("home/tls");
    let first = put_certificate(&folder);
    change_settings(&bench, |text| {
        text.replace("# [serve]", "[serve]")
            .replace("# certificate =", "certificate =")
            .replace("# key = \"tls", "key = \"tls")
    });
    let server = Server::start(bench.command(&["serve", "--listen", "127.0.0.1:0"]));
    assert!(server.url.starts_with("https://"), "{}", server.url);
    assert!(comes_to_answer(&client_that_trusts(&first), &server.url).await);
    let serial = SerialNumber::new(bench.ok(&["serial", "new", "--seats", "10"]).trim()).unwrap();
    let site = SigningKey::generate().unwrap();
    granted_for(&client_that_trusts(&first), &server.url, &serial, &site).await;
    let status = bench.ok(&["status"]);
    assert!(status.contains("the certificate"), "{status}");

    let second = put_certificate(&folder);
    assert!(comes_to_answer(&client_that_trusts(&second), &server.url).await, "it was not taken over");
    server.ends_well();
}

#[test]
fn a_port_that_another_program_holds_is_refused_with_its_holder() {
    let bench = Bench::ready();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = bench.command(&["serve", "--listen", &address]).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    let holder = format!("(process {}) listens there; choose another with --listen", std::process::id());
    assert!(said.contains(&address) && said.contains(&holder), "{said}");
}

#[test]
fn a_certificate_without_its_key_and_one_that_does_not_fit_are_refused_at_the_start() {
    let bench = Bench::ready();
    put_certificate(&bench.path("one"));
    put_certificate(&bench.path("two"));
    let output = bench.run(&["serve", "--certificate", "one/server.crt"]);
    assert_eq!(output.status.code(), Some(2));
    let both = ["serve", "--certificate", "one/server.crt", "--key", "two/server.key"];
    bench.fails(&both, &["one/server.crt", "belong together"]);
    bench.fails(&["serve", "--certificate", "absent", "--key", "two/server.key"], &["absent", "PEM"]);
    change_settings(&bench, |text| text.replace("# [serve]", "[serve]").replace("# key =", "key ="));
    bench.fails(&["serve"], &["vendor.toml", "serve.certificate"]);
}

#[test]
fn a_certificate_that_is_given_by_option_is_said_to_be_in_no_status() {
    let bench = Bench::ready();
    put_certificate(&bench.path("tls"));
    let options = ["--certificate", "tls/server.crt", "--key", "tls/server.key"];
    let command = bench.command(&[&["serve", "--listen", "127.0.0.1:0"][..], &options].concat());
    let file = fs::File::create(bench.path("said")).unwrap();
    Server::start_saying(command, file).ends_well();
    let said = fs::read_to_string(bench.path("said")).unwrap();
    assert!(said.contains("`publisher status` does not warn") && said.contains("[serve]"), "{said}");
}

#[tokio::test]
async fn a_reload_takes_new_settings_over_and_broken_ones_leave_those_before_in_force() {
    let bench = Bench::ready();
    let server = Server::start(bench.command(&["serve", "--listen", "127.0.0.1:0"]));
    let client = client_that_trusts(&put_certificate(&bench.path("unused")));
    let (serial, site) = (
        SerialNumber::new(bench.ok(&["serial", "new", "--seats", "10"]).trim()).unwrap(),
        SigningKey::generate().unwrap(),
    );
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    assert!(granted_for(&client, &server.url, &serial, &site).await > days(365));

    change_settings(&bench, |text| text.replace("grant = 366", "grant = 100"));
    server.signal(rustix::process::Signal::HUP);
    let until = Instant::now() + PATIENCE;
    loop {
        let other = SerialNumber::new(bench.ok(&["serial", "new", "--seats", "10"]).trim()).unwrap();
        if granted_for(&client, &server.url, &other, &site).await < days(102) {
            break;
        }
        assert!(Instant::now() < until, "the settings were not taken over");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    change_settings(&bench, |text| format!("{text}\nnonsense\n"));
    server.signal(rustix::process::Signal::HUP);
    for _ in 0..20 {
        assert!(comes_to_answer(&client, &server.url).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    change_settings(&bench, |text| text.replace("\nnonsense\n", ""));
    let other = SerialNumber::new(bench.ok(&["serial", "new", "--seats", "10"]).trim()).unwrap();
    assert!(granted_for(&client, &server.url, &other, &site).await < days(102));
    server.ends_well();
}

#[tokio::test]
async fn behind_a_proxy_a_registration_is_answered_only_if_the_proxy_says_https() {
    let bench = Bench::ready();
    let server = Server::start(bench.command(&["serve", "--listen", "127.0.0.1:0"]));
    let client = client_that_trusts(&put_certificate(&bench.path("unused")));
    let serial = SerialNumber::new(bench.ok(&["serial", "new", "--seats", "10"]).trim()).unwrap();
    let site = SigningKey::generate().unwrap();
    let request = register_request(&registration(&serial, &site), &site);
    let ask = async |proto: Option<&str>| {
        let post = client.post(format!("{}/license/v1/register", server.url)).json(&request);
        let post = post.header("x-forwarded-for", "192.0.2.1");
        proto
            .map_or_else(
                || post.try_clone().unwrap(),
                |proto| post.try_clone().unwrap().header("x-forwarded-proto", proto),
            )
            .send()
            .await
            .unwrap()
    };
    for proto in [None, Some("http")] {
        let answer = ask(proto).await;
        assert_eq!(answer.status(), 403);
        let problem: Problem = answer.json().await.unwrap();
        assert_eq!(problem.code, ProblemCode::Forbidden);
        assert!(
            problem.message.contains("plain HTTP") && problem.hint.contains("X-Forwarded-Proto"),
            "{problem}"
        );
    }
    assert!(bench.ok(&["serial", "list"]).contains("not registered"), "nothing was bound");
    assert_eq!(ask(Some("https")).await.status(), 200);
    server.ends_well();
}

#[test]
fn the_listener_of_a_socket_unit_is_used_and_systemd_is_told() {
    let bench = Bench::ready();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let manager = UnixDatagram::bind(bench.path("manager")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let message = || {
        let mut bytes = [0; 1024];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    for _ in 0..2 {
        // Nobody serves yet, and nobody is refused: the caller waits until the next process takes the listener.
        let mut caller = TcpStream::connect(address).unwrap();
        caller.set_read_timeout(Some(PATIENCE)).unwrap();
        caller.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let plain = bench.command(&["serve"]);
        let mut command = Command::new("sh");
        command
            .args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3<&0", "sh"])
            .arg(plain.get_program())
            .args(plain.get_args())
            .current_dir(plain.get_current_dir().unwrap())
            .env("NOTIFY_SOCKET", bench.path("manager"))
            .stdin(std::os::fd::OwnedFd::from(held.try_clone().unwrap()));
        let server = Server::start(command);
        assert_eq!(server.url, format!("http://{address}"));
        let mut answer = String::new();
        caller.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(message(), "READY=1\n");
        server.signal(rustix::process::Signal::HUP);
        assert!(message().starts_with("RELOADING=1\n"));
        assert_eq!(message(), "READY=1\n");
        server.ends_well();
        assert_eq!(message(), "STOPPING=1\n");
    }
}

#[test]
fn a_stop_is_heard_while_a_reload_waits_for_another_publisher() {
    let bench = Bench::ready();
    let manager = UnixDatagram::bind(bench.path("manager")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let message = || {
        let mut bytes = [0; 1024];
        let length = manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let mut command = bench.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", bench.path("manager"));
    let mut server = Server::start(command);
    assert_eq!(message(), "READY=1\n");
    let held = Vendor::open(&bench.path("home")).unwrap().lock(|| {}).unwrap();
    server.signal(rustix::process::Signal::HUP);
    assert!(message().starts_with("RELOADING=1\n"));
    server.signal(rustix::process::Signal::TERM);
    let until = Instant::now() + PATIENCE;
    let ended = loop {
        if let Some(ended) = server.child.try_wait().unwrap() {
            break ended;
        }
        assert!(Instant::now() < until, "it waits for the other publisher, and hears nothing");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(ended.code(), Some(0));
    assert_eq!(message(), "STOPPING=1\n");
    drop(held);
}

#[test]
fn systemd_gets_signs_of_life_while_it_runs() {
    let bench = Bench::ready();
    let manager = UnixDatagram::bind(bench.path("manager")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = bench.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", bench.path("manager")).env("WATCHDOG_USEC", "300000");
    let server = Server::start(command);
    for _ in 0..4 {
        let mut bytes = [0; 1024];
        let length = manager.recv(&mut bytes).unwrap();
        let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
        assert!(["READY=1\n", "WATCHDOG=1\n"].contains(&message.as_str()), "{message}");
    }
    server.ends_well();
}
