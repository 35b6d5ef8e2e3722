//! Setup files for many computers, as somebody at the server types it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use jiff::SignedDuration;
use sealpost_manifests::document;
use sealpost_manifests::setup::{ServerRole, SetupFile};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::rules::setups::SETUP_DAYS;

use crate::agent::{Agent, send};
use crate::program::{json, parts, refused, run, stdout, typed};
use crate::site::{Site, code};
use crate::vendor::start_vendor;

fn read(file: &Path) -> SetupFile {
    document::read(&fs::read(file).unwrap()).unwrap()
}

/// The texts of the setup files in a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let text = fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), text)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_setup_files_is_written_for_its_owner_alone_and_again_it_is_left_as_it_is() {
    let vendor = start_vendor(200).await;
    let site = Site::licensed(&vendor).await;
    typed(&site, |home| {
        let names: String = (0..150).map(|number| format!("pc-{number:03}\n")).collect();
        let (list, folder) = (home.join("computers.csv"), home.join("stick/setups"));
        fs::write(&list, format!("{names}PC-001\n")).unwrap();
        let (from, to) = (list.to_str().unwrap(), folder.to_str().unwrap());
        stdout(home, &["clients", "reserve", "--from", from, "--yes"]);
        fs::write(&list, format!("{names}PC-001\npc-999\nno name\n")).unwrap();
        let setup = ["clients", "setup", "--from", from, "--folder", to];
        let (code, said, told) = parts(&run(home, &setup));
        assert_eq!(code, Some(1), "{told}");
        assert!(said.starts_with("150 setup files were written to "), "{said}");
        assert!(said.ends_with("0 there and good before, 0 enrolled already, 2 refused\n"), "{said}");
        assert!(told.contains("line 153: \"no name\" is not a valid computer name"), "{told}");
        assert!(told.contains("pc-999: no setup file can be issued: no seat is reserved for pc-999"), "{told}");
        let written = files(&folder);
        assert_eq!(written.len(), 150, "nothing else stays in the folder");
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        for number in 0..150 {
            let file = folder.join(format!("pc-{number:03}.setup.json"));
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            let setup = read(&file);
            assert_eq!(setup.computer_name.unwrap().as_str(), format!("pc-{number:03}"));
            let [server] = setup.servers.as_slice() else { panic!("{:?}", setup.servers) };
            assert_eq!(server.server.role, ServerRole::Primary);
            // The ledger keeps milliseconds.
            let good_for = server.code_expires_at.unwrap().duration_since(setup.issued_at);
            let a_week = SignedDuration::from_hours(24 * i64::from(SETUP_DAYS));
            assert!((a_week - good_for).abs() < SignedDuration::from_secs(1), "{good_for}");
        }
        let codes: std::collections::BTreeSet<_> = written.values().collect();
        assert_eq!(codes.len(), 150, "each has a code of its own");

        let log = stdout(home, &["log", "--json"]);
        let (_, said, _) = parts(&run(home, &setup));
        assert_eq!(
            said,
            format!("0 setup files were written to {to}; 150 there and good before, 0 enrolled already, 2 refused\n")
        );
        assert_eq!((files(&folder), stdout(home, &["log", "--json"])), (written.clone(), log), "as it was");

        // One of them is lost: the same command issues that one alone, and says what became of the one before.
        fs::remove_file(folder.join("pc-007.setup.json")).unwrap();
        let (_, said, told) = parts(&run(home, &setup));
        assert!(said.starts_with("1 setup file was written to "), "{said}");
        assert!(told.contains("1 earlier setup file that nobody had used cannot be used any more"), "{told}");
        let mut again = files(&folder);
        assert_ne!(again.insert("pc-007.setup.json".to_owned(), String::new()), written.get("pc-007.setup.json").cloned());
        let seen = stdout(home, &["clients", "setups", "--unused"]);
        assert!(seen.contains("pc-007") && seen.lines().count() == 151, "{seen}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn computers_that_are_enrolled_get_a_file_only_if_it_is_said_and_the_codes_work_once() {
    let vendor = start_vendor(5).await;
    let site = Site::licensed(&vendor).await;
    let enrolled = Agent::licensed(&site, "pc-1").await;
    site.reserve("pc-2").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    typed(&site, move |home| {
        let to = path.to_str().unwrap();
        stdout(home, &["groups", "add", "lab", "--why", "the laboratory"]);
        stdout(
            home,
            &["groups", "members", "lab", "--add", "pc-1", "--add", "pc-2", "--why", "they are there"],
        );
        stdout(home, &["groups", "add", "old", "--why", "the old laboratory"]);
        assert_eq!(stdout(home, &["clients", "group", "PC-1", "--add", "old", "--remove", "lab"]), "old\n");
        assert_eq!(
            stdout(home, &["clients", "group", "pc-1", "--add", "lab", "--why", "it is back"]),
            "lab\nold\n"
        );
        assert!(refused(home, &["clients", "group", "pc-9", "--add", "lab"]).contains("no seat is reserved"));
        for change in
            [&["--add", "attic"][..], &["--remove", "lab", "attic"], &["--remove", "lab", "--add", "lab"]]
        {
            let told = refused(home, &[&["clients", "group", "pc-1"], change].concat());
            assert!(told.contains("cannot change the groups of pc-1"), "{told}");
        }
        assert_eq!(stdout(home, &["groups", "members", "lab"]), "pc-1\npc-2\n");
        let setup = ["clients", "setup", "--group", "lab", "--folder", to];
        let (code, said, told) = parts(&run(home, &setup));
        assert_eq!(code, Some(0), "{told}");
        assert!(said.ends_with("0 there and good before, 1 enrolled already, 0 refused\n"), "{said}");
        assert!(told.contains("with --again they get one"), "{told}");
        assert_eq!(files(&path).into_keys().collect::<Vec<_>>(), ["pc-2.setup.json"]);
        let printed = json(
            home,
            &["clients", "setup", "pc-1", "pc-2", "--folder", to, "--again", "--role", "secondary", "--json"],
        );
        let outcomes: Vec<_> = printed["setups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["outcome"].as_str().unwrap())
            .collect();
        assert_eq!(outcomes, ["written", "written"], "a file with another role is not as good: {printed}");
        assert!(!printed.to_string().contains("code"), "the codes stand in the files alone: {printed}");
        for name in ["pc-1", "pc-2"] {
            let file = read(&path.join(format!("{name}.setup.json")));
            assert_eq!(file.servers[0].server.role, ServerRole::Secondary);
            let code = file.servers[0].enrollment_code.as_ref().unwrap().as_str().to_owned();
            assert!(!stdout(home, &["log", "--json"]).contains(&code), "no code stands in the log");
        }
        let seen = stdout(home, &["clients", "setups"]);
        assert!(seen.lines().filter(|line| line.contains("out")).count() == 2, "{seen}");
    })
    .await;
    let mut moved = Agent::new(read(&folder.path().join("pc-1.setup.json")));
    moved.enroll(&site).await;
    let thief = Agent::new(read(&folder.path().join("pc-1.setup.json")));
    let request = thief.enroll_request(&thief.enrollment());
    let stolen = code(send(&site, "/agent/v1/enroll", &request).await).await;
    assert_eq!(stolen, ProblemCode::EnrollmentCodeUsed);
    drop(enrolled);
    typed(&site, |home| {
        let used = json(home, &["clients", "setups", "--used", "--json"]);
        assert_eq!(used["setups"].as_array().unwrap().len(), 1, "{used}");
        assert_eq!(used["setups"][0]["name"], "pc-1");
        let expired = run(home, &["clients", "setups", "--expired"]);
        assert_eq!(parts(&expired).2, "no setup file is expired\n");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_code_is_issued_for_which_there_is_no_file_and_what_lies_there_stays() {
    let vendor = start_vendor(5).await;
    let site = Site::licensed(&vendor).await;
    for name in ["pc-1", "pc-2"] {
        site.reserve(name).await;
    }
    typed(&site, |home| {
        let folder = home.join("setups");
        let to = folder.to_str().unwrap();
        let log = || stdout(home, &["log", "--json"]);
        let before = log();
        assert!(refused(home, &["clients", "setup", "pc-1", "pc-2"]).contains("--folder"));
        fs::write(&folder, "a file").unwrap();
        refused(home, &["clients", "setup", "pc-1", "pc-2", "--folder", to]);
        fs::remove_file(&folder).unwrap();
        assert_eq!(log(), before, "nothing was issued");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("pc-1.setup.json"), "precious").unwrap();
        let (code, said, told) = parts(&run(home, &["clients", "setup", "pc-1", "pc-2", "--folder", to]));
        assert_eq!(code, Some(1), "{said}");
        assert!(told.contains("it is there already and is no setup file of pc-1"), "{told}");
        assert_eq!(fs::read_to_string(folder.join("pc-1.setup.json")).unwrap(), "precious");
        assert!(read(&folder.join("pc-2.setup.json")).computer_name.is_some());
        assert!(!stdout(home, &["clients", "setups"]).contains("pc-1"), "no code that nobody has");
        // Of one computer a new file is made whatever is there, and it is said what that makes of the one before.
        let file = folder.join("pc-2.setup.json");
        let (_, _, told) = parts(&run(home, &["clients", "setup", "pc-2", "--out", file.to_str().unwrap()]));
        assert!(told.contains("1 earlier setup file that nobody had used cannot be used any more"), "{told}");
        // One of another server may be good there.
        let mut others: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        others["servers"][0]["server"]["server_id"] = "00000000000000000000000000000000".into();
        let others = others.to_string();
        fs::write(&file, &others).unwrap();
        let before = log();
        for setup in [
            &["clients", "setup", "pc-2", "--folder", to][..],
            &["clients", "setup", "pc-2", "--out", file.to_str().unwrap()],
        ] {
            let told = refused(home, setup);
            assert!(told.contains("is one of the server 00000000000000000000000000000000"), "{told}");
        }
        assert_eq!((fs::read_to_string(&file).unwrap(), log()), (others, before), "nothing was issued");
        for days in ["0", "367"] {
            let told = refused(home, &["clients", "setup", "pc-2", "--folder", to, "--valid-days", days]);
            assert!(told.contains("give 1 to 366 days"), "{told}");
        }
        let told = refused(home, &["clients", "setup", "--ephemeral", "--pool", "ci"]);
        assert!(told.contains("floating seats only") && told.contains("named seats"), "{told}");
        assert!(told.contains("[not_entitled]"), "{told}");
    })
    .await;
}
