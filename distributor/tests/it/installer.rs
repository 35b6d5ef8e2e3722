//! Install files: what the script at the beginning does, with an agent that says what it was given.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use reqwest::Method;
use rustix::process::geteuid;
use sealpost_keys::PublicKey;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_test_support::clock::ManualClock;
use sealpost_test_support::folders::{files_beneath, write_executable, write_file};
use sealpost_test_support::names::release_id;
use sealpost_test_support::release::Draft;
use sealpost_test_support::skips::needs;
use sealpost_test_support::vendor::Vendor;
use sealpost_test_support::vendor_server::ServedVendor;
use tempfile::TempDir;

use crate::agent::Agent;
use crate::program::{json, mistyped, parts, refused, run, stdout, typed};
use crate::site::{Site, problem};

/// Says what it was given, and ends with 7.
const AGENT: &str = r#"#!/bin/sh
if [ "$1" = --version ]; then echo 'agent-updater 1.0'; exit 0; fi
echo "arguments: $1 $2 from $4 $5 $6"
cd "$3"
stat -c '%a %n' . agent-updater root.json setup.json
if [ -e agent.toml ]; then cat agent.toml; fi
if [ -e hooks ]; then stat -c '%a %n' hooks/*; fi
cp setup.json "$COPY_TO"
echo "at $(date +%s) in $3"
exit 7
"#;

async fn site_with_an_agent(platform: &str) -> (ServedVendor, Site) {
    site_with(platform, AGENT).await
}

/// A site with this script as its agent, which is approved, and a seat for `büro-7`.
pub(crate) async fn site_with(platform: &str, agent: &str) -> (ServedVendor, Site) {
    let vendor = ServedVendor::start(Vendor::new(PackageName::agent(), ManualClock::running()), 8).await;
    let folder = tempfile::tempdir().unwrap();
    write_executable(&folder.path().join("agent-updater"), agent).unwrap();
    let mut release = release_id(&PackageName::agent(), "1.0");
    release.platform = sealpost_manifests::ids::Platform::new(platform).unwrap();
    let mut draft = Draft::of_folder(folder.path(), release, 1);
    draft.manifest.kind = PackageKind::Agent;
    let manifest = vendor.publish(&draft, &["stable"]);
    let site = Site::licensed(&vendor).await;
    site.reserve("büro-7").await;
    site.pull().await;
    let missing = site.post_refused("/clients/büro-7/installer", &serde_json::json!({})).await;
    assert!(missing.message.contains("no release of agent-updater is approved"), "{missing}");
    site.approve(manifest).await;
    (vendor, site)
}

pub(crate) fn here() -> String {
    format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
}

/// Runs an install file by the system's shell: exit code, standard output and standard error.
fn runs(file: &Path, options: &[&str], temporary: &TempDir) -> (Option<i32>, String, String) {
    runs_by("sh", file, options, temporary)
}

fn runs_by(shell: &str, file: &Path, options: &[&str], temporary: &TempDir) -> (Option<i32>, String, String) {
    let mut words = shell.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command.arg(file).args(options).env("TMPDIR", temporary.path());
    command.env("COPY_TO", temporary.path().join("setup.json"));
    parts(&command.output().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_install_file_gives_its_agent_all_that_it_brought_and_leaves_nothing_behind() {
    let (_vendor, site) = site_with_an_agent(&here()).await;
    let log = typed(&site, |home| {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("install.sh");
        let (config, hooks) = (temporary.path().join("a.toml"), temporary.path().join("h"));
        write_file(&config, "[packages.scanner]\nstart = [\"/bin/true\"]\n").unwrap();
        write_file(&hooks.join("start"), "#!/bin/sh\n").unwrap();
        let made = json(
            home,
            &[
                "clients",
                "setup",
                "BÜRO-7",
                "--installer",
                file.to_str().unwrap(),
                "--agent-config",
                config.to_str().unwrap(),
                "--hooks",
                hooks.to_str().unwrap(),
                "--json",
            ],
        );
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o700);
        let key = made["site_key"].as_str().unwrap();
        // By the real program where there is one, and by our own in any case.
        let verified = Command::new("minisign").args(["-V", "-P", key, "-m"]).arg(&file).output();
        assert!(verified.is_err() || verified.unwrap().status.success(), "minisign refuses it");
        let signature = fs::read_to_string(temporary.path().join("install.sh.minisig")).unwrap();
        assert!(signature.contains("trusted comment: install file computer=büro-7 server="), "{signature}");
        let key: PublicKey = PublicKey::from_base64(key).unwrap();
        assert_eq!(key.to_base64(), made["site_key"]);

        let (code, said, told) = runs(&file, &["--dry-run", "--json"], &temporary);
        assert_eq!(code, Some(7), "the agent's own answer: {said}{told}");
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines[0].starts_with("arguments: install-file --from from --dry-run --json"), "{said}");
        assert_eq!(lines[1..5], ["700 .", "700 agent-updater", "600 root.json", "600 setup.json"], "{said}");
        assert_eq!(
            lines[5..8],
            ["[packages.scanner]", "start = [\"/bin/true\"]", "700 hooks/start"],
            "{said}"
        );
        let work = lines[8].split_once(" in ").unwrap().1;
        assert!(!Path::new(work).exists(), "{work} is removed");
        let setup = fs::read_to_string(temporary.path().join("setup.json")).unwrap();
        let code =
            serde_json::from_str::<serde_json::Value>(&setup).unwrap()["servers"][0]["enrollment_code"]
                .as_str()
                .unwrap()
                .to_owned();
        assert!(!said.contains(&code) && !told.contains(&code) && !made.to_string().contains(&code));
        assert!(!stdout(home, &["log", "--json"]).contains(&code));

        for shell in ["dash", "bash", "bash --posix", "busybox sh", "ksh", "mksh"] {
            let mut is_here = Command::new("sh");
            is_here.args(["-c", "command -v $0", shell.split(' ').next().unwrap()]);
            if is_here.output().unwrap().status.success() {
                let (code, by_it, told) = runs_by(shell, &file, &["--dry-run", "--json"], &temporary);
                assert_eq!(code, Some(7), "{shell}: {by_it}{told}");
                assert_eq!(by_it.lines().nth(1), said.lines().nth(1), "{shell}");
            }
        }

        let (code, said, told) = runs(&file, &[], &temporary);
        if geteuid().is_root() {
            assert!(
                code == Some(7) && said.starts_with("arguments: install-file --from from   \n"),
                "{said}{told}"
            );
        } else {
            assert!(code == Some(1) && told.contains("run it as root"), "{said}{told}");
        }
        let (code, said, _) = runs(&file, &["--help"], &temporary);
        assert!(code == Some(0) && said.contains("--uninstall") && said.contains("büro-7"), "{said}");
        let (code, _, told) = runs(&file, &["--purge"], &temporary);
        assert!(code == Some(1) && told.contains("--purge"), "{told}");
        setup
    })
    .await;
    let mut agent = Agent::new(sealpost_manifests::document::read(log.as_bytes()).unwrap());
    agent.enroll(&site).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_cut_short_changed_or_for_another_platform_installs_nothing() {
    let (_vendor, site) = site_with_an_agent("linux-m68k").await;
    typed(&site, |home| {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("in it.sh");
        let to = file.to_str().unwrap();
        let make = ["clients", "setup", "büro-7", "--installer", to];
        let told = refused(home, &[&make[..], &["--platform", "linux-pdp11"]].concat());
        assert!(told.contains("linux-pdp11") && told.contains("linux-m68k"), "{told}");
        assert!(
            !file.exists() && !stdout(home, &["clients", "setups"]).contains("out"),
            "nothing was issued"
        );
        let (_, said, told) = parts(&run(home, &make));
        assert!(said.trim() == to && !told.contains("cannot be used any more"), "{said}{told}");
        assert!(
            told.contains("A changed file cannot check itself") && told.contains("good until 2"),
            "{told}"
        );
        // The line as it is printed, as somebody types it.
        let check = told.lines().find(|line| line.starts_with("minisign -V -P ")).unwrap().to_owned();
        assert!(check.ends_with("in it.sh'"), "{check}");
        let verifies = || Command::new("sh").args(["-c", &check]).output().unwrap().status.success();
        if Command::new("minisign").arg("-v").output().is_ok() {
            let whole = fs::read(&file).unwrap();
            assert!(verifies(), "{check}");
            for at in [0, 40, whole.len() / 2, whole.len() - 1] {
                let mut changed = whole.clone();
                changed[at] ^= 1;
                fs::write(&file, changed).unwrap();
                assert!(!verifies(), "a file that was changed at {at} is taken");
            }
            fs::write(&file, &whole).unwrap();
        }
        let (code, _, told) = runs(&file, &["--dry-run"], &temporary);
        assert!(code == Some(1) && told.contains("it is for linux-m68k"), "{told}");

        let whole = fs::read(&file).unwrap();
        for bytes in [&whole[..whole.len() - 1], &[&whole[..], b"x"].concat()] {
            fs::write(&file, bytes).unwrap();
            let (code, _, told) = runs(&file, &["--dry-run"], &temporary);
            assert!(code == Some(1) && told.contains("it is not whole, or was changed"), "{told}");
        }
        // Of a script that is cut short nothing is done, wherever it is cut.
        let script = whole.windows(9).position(|end| end == b"is packed").unwrap();
        for cut in (0..script).step_by(97) {
            fs::write(&file, &whole[..cut]).unwrap();
            let (code, said, _) = runs(&file, &["--dry-run"], &temporary);
            // What has no more than comments is a script that does nothing.
            let begun = String::from_utf8_lossy(&whole[..cut]).lines().any(|line| line == "{");
            assert!(said.is_empty() && (code != Some(0) || !begun), "cut at {cut}: {code:?} {said}");
        }
        // Of the same length, and for this computer: what is packed does not unpack, and the signature does not fit.
        let text = String::from_utf8_lossy(&whole[..2_000]).into_owned();
        let platform = text.find("platform='linux-m68k'").unwrap();
        let mut changed = whole.clone();
        changed[platform..platform + 21].copy_from_slice(b"platform=any         ");
        let middle = changed.len() - 200;
        changed[middle] ^= 1;
        fs::write(&file, &changed).unwrap();
        let (code, _, told) = runs(&file, &["--dry-run"], &temporary);
        assert!(code == Some(1) && told.contains("it is not whole, or was changed"), "{told}");
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 2, "nothing of it stays");

        // An earlier one of the same computer is replaced, and nothing else.
        fs::write(&file, &whole).unwrap();
        let (_, _, told) = parts(&run(home, &make));
        assert!(told.contains("1 earlier setup file that nobody had used cannot be used any more"), "{told}");
        assert_ne!(fs::read(&file).unwrap(), whole);

        // What stays says so, and no code is issued for it: one of another server may be good there.
        let log = stdout(home, &["log", "--json"]);
        let (head, rest) = text.split_once(" by the server ").unwrap();
        let others = format!("{head} by the server {}{}", "0".repeat(32), &rest[rest.find('.').unwrap()..]);
        fs::write(&file, &others).unwrap();
        let told = refused(home, &make);
        assert!(told.contains("the file of büro-7 that is there is one of the server 000"), "{told}");
        assert_eq!(fs::read_to_string(&file).unwrap(), others);
        let linked = temporary.path().join("link");
        std::os::unix::fs::symlink(&file, &linked).unwrap();
        let told = refused(home, &["clients", "setup", "büro-7", "--installer", linked.to_str().unwrap()]);
        assert!(told.contains("it is there already"), "{told}");
        let (long, too_much) = (temporary.path().join("long"), temporary.path().join("too-much.sh"));
        for name in ["start", "stop"] {
            write_file(&long.join(name), "#".repeat(70 * 1024)).unwrap();
        }
        let (from, to) = (long.to_str().unwrap(), too_much.to_str().unwrap());
        let told = refused(home, &["clients", "setup", "büro-7", "--installer", to, "--hooks", from]);
        assert!(told.contains("143360 bytes") && told.contains("131072 at most"), "{told}");
        let beside = temporary.path().join("other.sh.minisig");
        fs::write(&beside, "precious").unwrap();
        let other = temporary.path().join("other.sh");
        let told = refused(home, &["clients", "setup", "büro-7", "--installer", other.to_str().unwrap()]);
        assert!(told.contains("is there already and is no signature") && !other.exists(), "{told}");
        assert_eq!(fs::read_to_string(&beside).unwrap(), "precious");
        assert_eq!(stdout(home, &["log", "--json"]), log, "nothing was issued");
        fs::write(&file, "#!/bin/sh\n# Sealpost install file of the computer büro-70, made\n").unwrap();
        let told = refused(home, &make);
        assert!(told.contains("it is there already and is no install file of büro-7"), "{told}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_to_wait_waits() {
    if !geteuid().is_root() {
        needs("root's rights, to run an install file").unwrap();
        return;
    }
    let (_vendor, site) = site_with_an_agent("any").await;
    typed(&site, |home| {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("install.sh");
        let make = ["clients", "setup", "büro-7", "--installer", file.to_str().unwrap(), "--not-before"];
        let told = mistyped(home, &[&make[..], &["yesterday"]].concat());
        assert!(told.contains("--not-before"), "{told}");
        let told = refused(home, &[&make[..], &["7d"]].concat());
        assert!(told.contains("its code is good until") && told.contains("--valid-days"), "{told}");
        assert!(
            !file.exists() && !stdout(home, &["clients", "setups"]).contains("out"),
            "nothing was issued"
        );
        stdout(home, &[&make[..], &["1h"]].concat());
        for option in ["--dry-run", "--uninstall"] {
            let (_, said, told) = runs(&file, &[option], &temporary);
            let arguments = format!("arguments: install-file --from from {option}");
            assert!(said.starts_with(&arguments) && told.is_empty(), "it does not wait: {said}{told}");
        }
        stdout(home, &[&make[..], &["5s"]].concat());
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()[..1_500]).into_owned();
        let until = text.lines().find_map(|line| line.strip_prefix("not_before=")).unwrap();
        let until: i64 = until.trim().parse().unwrap();
        let (_, said, told) = runs(&file, &[], &temporary);
        let at = said.lines().find_map(|line| line.strip_prefix("at ")?.split(' ').next()).unwrap();
        assert!(at.parse::<i64>().unwrap() >= until, "{said} {until}");
        assert!(told.contains("it waits until"), "{told}");
        // What is written over it while it waits is not run.
        stdout(home, &[&make[..], &["4s"]].concat());
        let mut shell = Command::new("sh");
        shell.arg(&file).env("TMPDIR", temporary.path()).env("COPY_TO", temporary.path().join("setup.json"));
        let mut waits = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(waits.stderr.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("it waits until"), "{line}");
        let evil = fs::read(&file).unwrap().len();
        fs::write(&file, "#!/bin/sh\necho evil\n".repeat(evil / 20)).unwrap();
        let (_, said, _) = parts(&waits.wait_with_output().unwrap());
        assert!(said.starts_with("arguments: install-file --from from"), "{said}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_program_that_was_changed_makes_no_install_file() {
    let (_vendor, site) = site_with_an_agent("any").await;
    let earlier = site.setup("büro-7").await;
    let stored = files_beneath(&site.home().join("blobs")).unwrap();
    let begins = |path: &Path, bytes: &[u8]| fs::read(path).unwrap().starts_with(bytes);
    let payload = stored.into_iter().find(|path| begins(path, &[0x1f, 0x8b])).unwrap();
    let mut bytes = fs::read(&payload).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&payload).unwrap();
    fs::write(&payload, bytes).unwrap();
    let damaged = site.post_refused("/clients/büro-7/installer", &serde_json::json!({})).await;
    assert_eq!(damaged.code, ProblemCode::WrongState, "{damaged}");
    assert!(damaged.message.contains("was changed on the disk"), "{damaged}");
    let mut agent = Agent::new(earlier);
    agent.enroll(&site).await;
}

#[tokio::test]
async fn install_files_that_nobody_fetches_take_a_bounded_room_on_the_disk() {
    // More than the buffers between two sockets hold, and nothing that can be packed.
    let mut random = 1_u64;
    let filling: String = std::iter::repeat_with(|| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b' ' + u8::try_from((random >> 33) % 94).unwrap())
    })
    .take(3 << 20)
    .collect();
    let (_vendor, site) = site_with("any", &format!("{AGENT}exit\n{filling}")).await;
    let path = "/clients/b%C3%BCro-7/installer";
    let ask = async || site.admin(Method::POST, path, Some(serde_json::json!({}))).await;
    let mut held = Vec::new();
    for _ in 0..8 {
        let response = ask().await;
        assert_eq!(response.status(), 200);
        held.push(response);
    }
    let refused = problem(ask().await).await;
    assert_eq!(refused.code, ProblemCode::Busy, "{refused}");
    // Whoever fetches one, or goes away, makes room.
    held.pop().unwrap().bytes().await.unwrap();
    let again = ask().await;
    assert_eq!(again.status(), 200);
    drop(held);
    again.bytes().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_for_a_computer_that_is_enrolled_says_what_its_use_does() {
    let (_vendor, site) = site_with_an_agent("any").await;
    let _computer = Agent::licensed(&site, "pc-1").await;
    site.reserve("pc-2").await;
    typed(&site, |home| {
        let folder = tempfile::tempdir().unwrap();
        for (name, is_said) in [("pc-1", true), ("pc-2", false)] {
            let file = folder.path().join(name);
            let (code, _, told) =
                parts(&run(home, &["clients", "setup", name, "--installer", file.to_str().unwrap()]));
            assert_eq!(code, Some(0), "{told}");
            let said = "a computer is enrolled as pc-1: once this file is used, its key is dead";
            assert_eq!(told.contains(said), is_said, "{name}: {told}");
        }
    })
    .await;
}
