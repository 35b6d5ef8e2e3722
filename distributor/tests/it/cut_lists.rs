//! A list of computers whose server goes away in its middle: nobody takes what was printed for the whole.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Stdio};

use sealpost_site::changes::Actor;
use sealpost_site::commands::clients::{MAX_RESERVED, ReserveMany, Wanted};
use sealpost_site::rules::names::MixedScripts;

use crate::program::distributor;
use crate::site::Site;
use crate::vendor::start_vendor;

/// Three pages, of 500 at most each.
const COMPUTERS: usize = 1_300;
/// The forms that are printed as the pages come; any other is printed once all is there.
const FORMS: [&[&str]; 3] = [&["--csv"], &["--json"], &[]];

/// A site with so many names that no pipe holds a page of their list: each is long.
async fn crowded() -> Site {
    let vendor = start_vendor(2_000).await;
    let site = Site::licensed(&vendor).await;
    let names: Vec<_> = (0..COMPUTERS).map(|number| format!("{number:04}-{}", "x".repeat(110))).collect();
    for part in names.chunks(MAX_RESERVED) {
        let wanted = |name: &String| Wanted { name: name.parse().unwrap(), channel: None, serial: None };
        let wanted = part.iter().map(wanted).collect();
        let actor = Actor::socket("test");
        let many = ReserveMany { actor, wanted, mixed: MixedScripts::AskBack };
        site.server.ledger().execute(site.clock.now(), many).await.unwrap();
    }
    site
}

fn lists(home: &Path, form: &[&str]) -> Child {
    let mut command = distributor(home);
    command.args(["clients", "list"]).args(form);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_whose_server_goes_away_in_its_middle_ends_with_1_and_is_not_passed_off_as_whole() {
    let site = crowded().await;
    let home = site.home();
    // Each has printed its first bytes, and waits until somebody reads the rest of its first page.
    let begun = tokio::task::spawn_blocking(move || {
        let begin = |form: &&[&str]| {
            let mut child = lists(&home, form);
            let mut first = [0];
            child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
            (child, first)
        };
        FORMS.iter().map(begin).collect::<Vec<_>>()
    })
    .await
    .unwrap();
    site.between(async |_| {
        for ((child, first), form) in begun.into_iter().zip(FORMS) {
            let output = child.wait_with_output().unwrap();
            let told = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{form:?}: {told}");
            assert!(
                told.contains("this is not the whole list: it ends after 500 computers"),
                "{form:?}: {told}"
            );
            assert!(told.contains("cannot reach the server"), "{form:?}: {told}");
            let said = String::from_utf8([first.as_slice(), &output.stdout].concat()).unwrap();
            let names = (0..COMPUTERS).filter(|number| said.contains(&format!("{number:04}-xxx"))).count();
            assert_eq!(names, 500, "{form:?}");
            assert!(!told.contains("1300 computers"), "{form:?}: {told}");
            if form == ["--json"] {
                assert!(serde_json::from_str::<serde_json::Value>(&said).is_err(), "it was closed");
            }
        }
    })
    .await;
}
