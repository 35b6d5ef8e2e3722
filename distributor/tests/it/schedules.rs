//! Installs at a time, as somebody at the server types it, with an ssh that says what it was given.

use std::fs;
use std::path::Path;
use std::process::Output;

use jiff::SignedDuration;
use reqwest::Method;
use sealpost_admin_api::client_lines::ClientLinesPage;
use sealpost_admin_api::clients::Client;
use sealpost_admin_api::schedules::{InstallAnswer, Scheduled, SchedulesPage};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::rules::standing::ComputerState;
use sealpost_test_support::folders::write_executable;
use sealpost_test_support::wait::until;
use serde_json::json;

use crate::agent::Agent;
use crate::installer::{here, site_with};
use crate::program::{distributor, parts, stdout, typed};
use crate::site::Site;
use crate::vendor::start_vendor;

pub(crate) const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
/// An agent that does nothing.
const AGENT: &str = "#!/bin/sh\necho agent-updater 1.0\n";
/// An ssh that writes down its words and its environment, takes what comes, and ends as a file says.
const SSH: &str = r#"#!/bin/sh
here=${0%/*}
printf '%s\n' "$@" >>"$here/words"
env >>"$here/words"
cat "$(printf '%s\n' "$@" | sed -n 's/^UserKnownHostsFile=//p')" >"$here/pinned"
cat >"$here/came"
cat "$here/says" >&2 2>/dev/null
exit "$(cat "$here/ends" 2>/dev/null || echo 0)"
"#;

fn ssh(host: &str) -> serde_json::Value {
    json!({ "target": host, "host_key": KEY, "sudo": true })
}

/// A command of an account with this home, whose ssh lies in it.
pub(crate) fn by(account: &Path, home: &Path, arguments: &[&str]) -> Output {
    let path = format!("{}:{}", account.display(), std::env::var("PATH").unwrap());
    let mut command = distributor(home);
    command.env("HOME", account).env_remove("XDG_STATE_HOME").env("PATH", path);
    command.args(arguments).output().unwrap()
}

async fn listed(site: &Site, name: &str) -> (ComputerState, Option<String>) {
    let page: ClientLinesPage = site.get("/client-lines").await;
    let line = page.clients.into_iter().find(|line| line.name.as_str() == name).unwrap();
    (line.state, line.install.and_then(|install| install.failure))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_install_is_planned_begun_by_one_and_reported_and_the_list_says_where_it_stands() {
    let vendor = start_vendor(5).await;
    let site = Site::licensed(&vendor).await;
    let now = site.clock.now();
    let plan = |hours: i64| json!({ "schedule": { "at": now + SignedDuration::from_hours(hours), "ssh": ssh("pc-1") } });
    let (schedule, install) = ("/clients/pc-1/schedule", "/clients/pc-1/install");
    for (path, body) in [(schedule, plan(1)), (install, json!({}))] {
        assert_eq!(site.post_refused(path, &body).await.code, ProblemCode::NotReserved);
    }
    site.reserve("pc-1").await;
    site.reserve("pc-2").await;
    for bad in [
        json!({ "target": "-oProxyCommand=id", "host_key": KEY, "sudo": true }),
        json!({ "target": "pc-1", "host_key": "ssh-dss AAAA", "sudo": true }),
    ] {
        let body = json!({ "schedule": { "at": now, "ssh": bad } });
        assert_eq!(site.post_refused(schedule, &body).await.code, ProblemCode::BadRequest);
    }
    let planned: Scheduled = site.post(schedule, &plan(1)).await;
    assert_eq!(planned.schedule.unwrap().stands.install_state, ComputerState::Scheduled);
    let _: Scheduled = site.post(schedule, &plan(1)).await;
    assert_eq!(listed(&site, "pc-1").await, (ComputerState::Scheduled, None));
    assert_eq!(listed(&site, "pc-2").await, (ComputerState::Reserved, None));
    let early = site.post_refused(install, &json!({})).await;
    assert!(early.code == ProblemCode::WrongState && early.message.contains("planned for"), "{early}");

    site.clock.forward(SignedDuration::from_hours(1));
    let begun: InstallAnswer = site.post(install, &json!({})).await;
    assert!(begun.attempt == 1 && begun.schedule.is_some(), "{begun:?}");
    assert_eq!(listed(&site, "pc-1").await, (ComputerState::Installing, None));
    for body in [json!({}), json!({ "attempt": 2, "outcome": "installed" })] {
        assert_eq!(site.post_refused(install, &body).await.code, ProblemCode::WrongState, "{body}");
    }
    for body in [json!({ "attempt": 1 }), json!({ "attempt": 1, "outcome": "started" })] {
        assert_eq!(site.post_refused(install, &body).await.code, ProblemCode::BadRequest, "{body}");
    }
    assert_eq!(site.post_refused(schedule, &plan(0)).await.code, ProblemCode::WrongState, "it goes on");
    let failed = json!({ "attempt": 1, "outcome": "unreachable", "reason": "no route\u{1b}[2J" });
    let _: InstallAnswer = site.post(install, &failed).await;
    let _: InstallAnswer = site.post(install, &failed).await;
    assert_eq!(listed(&site, "pc-1").await, (ComputerState::Failed, Some("unreachable".to_owned())));
    let page: SchedulesPage = site.get("/schedules").await;
    let stands = &page.schedules[0].stands;
    assert_eq!((stands.tries, stands.reason.as_str()), (1, "no route\\u{1b}[2J"));
    let shown: Client = site.get("/clients/pc-1").await;
    assert_eq!(shown.setup_info.unwrap().install.unwrap().failure.as_deref(), Some("unreachable"));

    // Whoever began the next one is never heard of again.
    let begun: InstallAnswer = site.post(install, &json!({})).await;
    assert_eq!(begun.attempt, 2);
    site.clock.forward(SignedDuration::from_mins(30));
    assert_eq!(listed(&site, "pc-1").await, (ComputerState::Failed, Some("not reported".to_owned())));
    let begun: InstallAnswer = site.post(install, &json!({})).await;
    assert_eq!(begun.attempt, 3);
    // The computer comes while its install goes on: nothing is planned any more, and the end is noted all the same.
    let _agent = Agent::licensed(&site, "pc-1").await;
    assert_eq!(listed(&site, "pc-1").await, (ComputerState::Active, None));
    let _: InstallAnswer = site.post(install, &json!({ "attempt": 3, "outcome": "installed" })).await;
    assert!(site.get::<SchedulesPage>("/schedules").await.schedules.is_empty());
    let again = site.post_refused(schedule, &plan(0)).await;
    assert!(again.code == ProblemCode::WrongState && again.hint.contains("--installer"), "{again}");

    let _: Scheduled = site.post("/clients/pc-2/schedule", &json!({ "schedule": { "at": now } })).await;
    assert_eq!(site.post_refused("/clients/pc-2/install", &json!({})).await.code, ProblemCode::WrongState);
    let off: Scheduled = site.post("/clients/pc-2/schedule", &json!({})).await;
    assert_eq!(off.schedule, None);
    let log = site.admin(Method::GET, "/log?kind=schedule_changed,install_tried", None).await;
    let log = log.text().await.unwrap();
    assert_eq!(log.lines().count(), 8, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_is_installed_on_hosts_that_this_account_planned_and_no_secret_is_among_the_words() {
    let (_vendor, site) = site_with(&here(), AGENT).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    typed(&site, move |home| {
        let (anna, bob) = (path.join("anna"), path.join("bob"));
        for account in [&anna, &bob] {
            write_executable(&account.join("ssh"), SSH).unwrap();
        }
        let (code, _, told) = parts(&by(&anna, home, &["clients", "schedule", "run"]));
        assert!(code == Some(0) && told.contains("no install is planned"), "{told}");
        let plan = ["clients", "schedule", "pc-1", "--at", "now", "--ssh", "ada@pc-1.example:2222"];
        let (code, _, told) = parts(&by(&anna, home, &plan));
        assert!(code == Some(1) && told.contains("ssh-keyscan -t ed25519 pc-1.example"), "{told}");
        assert!(!stdout(home, &["clients", "list"]).contains("pc-1"), "no seat is taken for what cannot be");
        let plan = [&plan[..], &["--host-key", KEY]].concat();
        let (code, said, told) = parts(&by(&anna, home, &plan));
        assert!(code == Some(0) && said.contains("host key ssh-ed25519 SHA256:"), "{said}{told}");
        assert!(told.contains("a reservation is for good"), "{told}");
        let later = ["clients", "schedule", "büro-7", "--at", "12h", "--ssh", "root@pc-7", "--host-key", KEY];
        let (code, _, told) = parts(&by(&anna, home, &later));
        assert!(code == Some(0) && !told.contains("for good"), "it holds a seat already: {told}");
        let listed = stdout(home, &["clients", "schedules"]);
        assert!(
            listed.contains("pc-1    Scheduled") && listed.contains("ssh ada@pc-1.example:2222"),
            "{listed}"
        );

        let (code, said, _) = parts(&by(&anna, home, &["clients", "schedule", "run", "--dry-run"]));
        assert!(
            code == Some(0) && said.starts_with("pc-1: would be installed over ssh on ada@pc-1.example:2222"),
            "{said}"
        );
        assert!(
            said.contains(", by sudo") && !said.contains("neither planned") && !said.contains("büro-7"),
            "{said}"
        );
        // Another account has not planned it, and nobody can be asked.
        let (code, _, told) = parts(&by(&bob, home, &["clients", "schedule", "run"]));
        assert!(code == Some(1) && told.contains("has neither planned nor confirmed it"), "{told}");
        assert!(!bob.join("words").exists(), "nothing was begun");

        fs::write(anna.join("says"), "sudo: a password is required\n").unwrap();
        fs::write(anna.join("ends"), "1").unwrap();
        let (code, said, told) = parts(&by(&anna, home, &["clients", "schedule", "run"]));
        assert!(code == Some(1) && said.starts_with("pc-1: failed over ssh"), "{said}{told}");
        assert!(said.contains("exit status 1: sudo: a password is required"), "{said}");
        let words = fs::read_to_string(anna.join("words")).unwrap();
        assert!(
            words.contains("\n-p\n2222\n-l\nada\n--\npc-1.example\nexec sudo -n -- /bin/sh -c '"),
            "{words}"
        );
        assert_eq!(fs::read_to_string(anna.join("pinned")).unwrap(), format!("sealpost-pinned-host {KEY}\n"));
        let came = fs::read(anna.join("came")).unwrap();
        let size: usize = std::str::from_utf8(&came[..20]).unwrap().trim().parse().unwrap();
        assert!(
            size == came.len() - 21
                && came[20..].starts_with(b"\n#!/bin/sh\n# Sealpost install file of the computer pc-1,")
        );
        let listed = stdout(home, &["clients", "list"]);
        assert!(listed.contains("Failed (install failed)"), "{listed}");
        assert!(stdout(home, &["clients", "show", "pc-1"]).contains("sudo: a password is required"));

        // It waits before it tries by itself again; whoever names it does not wait.
        let (code, said, told) = parts(&by(&anna, home, &["clients", "schedule", "run"]));
        assert!(
            code == Some(0) && said.is_empty() && told.contains("nothing is due; the next is pc-1, "),
            "{said}{told}"
        );
        let changed = "REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key verification failed.\n";
        fs::write(anna.join("says"), changed).unwrap();
        fs::write(anna.join("ends"), "255").unwrap();
        let (code, said, _) =
            parts(&by(&anna, home, &["clients", "schedule", "run", "PC-1", "büro-7", "pc-9"]));
        assert!(code == Some(1) && said.starts_with("pc-1: host key changed"), "{said}");
        fs::write(anna.join("ends"), "0").unwrap();
        let output = by(&anna, home, &["clients", "schedule", "run", "pc-1", "--json", "--parallel", "16"]);
        let (code, said, _) = parts(&output);
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!((code, said[0]["outcome"].as_str()), (Some(0), Some("installed")), "{said}");
        let (_, _, told) = parts(&by(&anna, home, &["clients", "schedule", "run", "büro-7", "pc-9"]));
        assert!(
            told.contains("büro-7: it is planned for ") && told.contains("pc-9: no install is planned"),
            "{told}"
        );

        let carried = ["clients", "schedule", "büro-7", "--at", "12h"];
        let (_, _, told) = parts(&by(&anna, home, &carried));
        assert!(told.contains("`distributor clients setup büro-7 --installer FILE`"), "{told}");
        let file = path.join("install.sh");
        stdout(home, &["clients", "setup", "büro-7", "--installer", file.to_str().unwrap()]);
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        assert!(!text.contains("not_before=0\n"), "the file waits until then");
        stdout(home, &["clients", "schedule", "büro-7", "--off"]);
        assert!(!stdout(home, &["clients", "schedules"]).contains("büro-7"));
        stdout(home, &["clients", "setup", "büro-7", "--installer", file.to_str().unwrap()]);
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        assert!(text.contains("not_before=0\n"), "the file waits for nothing");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_stopped_says_so_and_leaves_nothing_that_goes_on() {
    let (_vendor, site) = site_with(&here(), AGENT).await;
    let folder = tempfile::tempdir().unwrap();
    let anna = folder.path().to_owned();
    typed(&site, move |home| {
        write_executable(&anna.join("ssh"), "#!/bin/sh\nsleep 300 &\necho $! >\"${0%/*}/child\"\nwait\n")
            .unwrap();
        let plan = ["clients", "schedule", "büro-7", "--at", "now", "--ssh", "root@pc-7", "--host-key", KEY];
        assert!(by(&anna, home, &plan).status.success());
        let path = format!("{}:{}", anna.display(), std::env::var("PATH").unwrap());
        // The last is what a program hears whose terminal is closed.
        for signal in [rustix::process::Signal::TERM, rustix::process::Signal::HUP] {
            let mut command = distributor(home);
            command.args(["clients", "schedule", "run", "büro-7"]).env("HOME", &anna).env("PATH", &path);
            let mut running = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
            let started = || fs::read_to_string(anna.join("child")).is_ok_and(|text| text.ends_with('\n'));
            until("ssh runs", started);
            let child: i32 = fs::read_to_string(anna.join("child")).unwrap().trim().parse().unwrap();
            fs::remove_file(anna.join("child")).unwrap();
            let pid = |id: i32| rustix::process::Pid::from_raw(id).unwrap();
            let own = pid(i32::try_from(running.id()).unwrap());
            rustix::process::kill_process(own, signal).unwrap();
            assert_eq!(running.wait().unwrap().code(), Some(1));
            until("what ssh started is ended", || rustix::process::test_kill_process(pid(child)).is_err());
            let listed = stdout(home, &["clients", "schedules"]);
            assert!(listed.contains("install failed: it was broken off"), "{listed}");
        }
    })
    .await;
}

/// An ssh that writes down how many of it run at the same time, and fails at one host.
const CROWD: &str = r#"#!/bin/sh
here=${0%/*}
touch "$here/running/$$"
ls "$here/running" | wc -l >>"$here/crowds"
cat >/dev/null
sleep 1
rm "$here/running/$$"
for word; do
  if [ "$word" = pc-3.example ]; then echo 'no room' >&2; exit 7; fi
done
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_are_installed_at_once_as_is_said_and_of_each_there_is_a_line() {
    let (_vendor, site) = site_with(&here(), AGENT).await;
    let folder = tempfile::tempdir().unwrap();
    let anna = folder.path().to_owned();
    typed(&site, move |home| {
        write_executable(&anna.join("ssh"), CROWD).unwrap();
        fs::create_dir(anna.join("running")).unwrap();
        for name in ["pc-1", "pc-2", "pc-3", "pc-4", "pc-5"] {
            let target = format!("root@{name}.example");
            let plan = ["clients", "schedule", name, "--at", "now", "--ssh", &target, "--host-key", KEY];
            assert!(by(&anna, home, &plan).status.success());
        }
        let (code, said, told) = parts(&by(&anna, home, &["clients", "schedule", "run", "--parallel", "2"]));
        assert!(code == Some(1) && told.contains("4 computers are installed, 1 not"), "{said}{told}");
        let mut lines: Vec<&str> =
            said.lines().map(|line| line.split(" over ssh on ").next().unwrap()).collect();
        lines.sort_unstable();
        let wanted =
            ["pc-1: installed", "pc-2: installed", "pc-3: failed", "pc-4: installed", "pc-5: installed"];
        assert_eq!(lines, wanted, "{said}");
        let crowds = fs::read_to_string(anna.join("crowds")).unwrap();
        let most = crowds.lines().map(|line| line.trim().parse::<u8>().unwrap()).max();
        assert_eq!((crowds.lines().count(), most), (5, Some(2)), "{crowds}");

        // Nobody reads what is said of the first ones; the others are installed all the same, and the server hears of them.
        let mut command = distributor(home);
        command
            .args(["clients", "schedule", "run", "--parallel", "1", "pc-1", "pc-2", "pc-4"])
            .env("HOME", &anna);
        let path = format!("{}:{}", anna.display(), std::env::var("PATH").unwrap());
        let mut running = command.env("PATH", path).stdout(std::process::Stdio::piped()).spawn().unwrap();
        drop(running.stdout.take());
        running.wait().unwrap();
        let page: SchedulesPage =
            serde_json::from_str(&stdout(home, &["clients", "schedules", "--json"])).unwrap();
        let tries: Vec<_> =
            page.schedules.iter().map(|line| (line.stands.tries, &line.stands.install_state)).collect();
        assert_eq!(tries, [2, 2, 1, 2, 1].map(|tries| (tries, &ComputerState::Failed)), "{tries:?}");
    })
    .await;
}
