//! What a site sets: properties, groups, and all of it as one file.

use std::path::Path;

use sealpost_admin_api::groups::{GroupsView, MembersPage};
use sealpost_admin_api::settings::{Changed, ConfigurationPlan, SettingsView};
use sealpost_manifests::wire::problem::ProblemCode;

use crate::agent::Agent;
use crate::program::run;
use crate::site::Site;
use crate::vendor::start_vendor;

fn set(kind: &str, name: &str, value: serde_json::Value) -> serde_json::Value {
    serde_json::json!({ "kind": kind, "name": name, "value": value })
}

fn change(changes: &[serde_json::Value]) -> serde_json::Value {
    serde_json::json!({ "changes": changes, "comment": "ticket 4711" })
}

/// The exit status of a command against the site of a test, and all that it printed.
async fn ends_with(site: &Site, arguments: &[&str]) -> (i32, String) {
    let home = site.home();
    let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
    let work = move || run(&home, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let output = tokio::task::spawn_blocking(work).await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

async fn done(site: &Site, arguments: &[&str]) -> String {
    let (code, said) = ends_with(site, arguments).await;
    assert_eq!(code, 0, "{arguments:?}: {said}");
    said
}

#[tokio::test]
async fn settings_are_taken_whole_or_not_at_all_and_nobody_overwrites_what_they_did_not_see() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let before: SettingsView = site.get("/settings").await;
    assert!(before.settings.is_empty(), "{before:?}");
    assert!(before.properties.iter().all(|property| property.value == property.default));
    let good = set("property", "delivery", "poll".into());
    for bad in [
        set("property", "delivry", "poll".into()),
        set("property", "delivery", "pigeon".into()),
        set("group", "CANARY!", serde_json::json!({})),
        set("group", "wards", serde_json::json!({ "delivery": "window:night" })),
        set("strategy", "mine", serde_json::json!({ "rings": [] })),
    ] {
        let refused = site.post_refused("/settings", &change(&[good.clone(), bad.clone()])).await;
        assert_eq!(refused.code, ProblemCode::BadRequest, "{bad}");
        let after: SettingsView = site.get("/settings").await;
        assert_eq!((after.settings.len(), after.version), (0, before.version), "{bad}");
    }
    let silent = serde_json::json!({ "changes": [good], "comment": "  " });
    assert_eq!(site.post_refused("/settings", &silent).await.code, ProblemCode::BadRequest);

    let seen = |version: u64| {
        serde_json::json!({
            "changes": [set("property", "delivery", "poll".into())], "comment": "x", "expected": version
        })
    };
    let changed: Changed = site.post("/settings", &seen(before.version)).await;
    assert_eq!(changed.changed, 1);
    let refused = site.post_refused("/settings", &seen(before.version)).await;
    assert_eq!(refused.code, ProblemCode::WrongState, "somebody changed it since");
    let again: Changed = site.post("/settings", &change(&[set("property", "delivery", "poll".into())])).await;
    assert_eq!(again.changed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_has_whom_it_lists_and_who_fits_its_rule_and_goes_with_its_list() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    for name in ["lab-1", "lab-2", "pc-1"] {
        let _ = Agent::licensed(&site, name).await;
    }
    let rule = ["groups", "add", "lab", "--name", "lab-*", "--why", "the laboratory"];
    assert!(done(&site, &rule).await.contains("2 computers belong to the group lab"));
    let listing = ["groups", "members", "lab", "--add", "PC-1.", "pc-9"];
    assert!(done(&site, &listing).await.contains("2 names changed; the group lab lists 2 names"));
    let view: GroupsView = site.get("/groups").await;
    let names: Vec<String> = view.groups[0].computers.names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["lab-1", "lab-2", "pc-1"], "pc-9 has no seat");
    let shown = done(&site, &["groups", "show", "lab"]).await;
    assert!(shown.contains("name lab-*") && shown.contains("2 names: pc-1, pc-9"), "{shown}");
    done(&site, &["groups", "members", "lab", "--remove", "pc-9"]).await;
    let (code, said) = ends_with(&site, &["groups", "members", "other", "--add", "pc-1"]).await;
    assert!(code == 1 && said.contains("distributor groups add other"), "{said}");

    done(&site, &["groups", "remove", "lab", "--why", "closed"]).await;
    let (code, said) = ends_with(&site, &["groups", "show", "lab"]).await;
    assert!(code == 1 && said.contains("there is no group named lab"), "{said}");
    done(&site, &["groups", "add", "lab", "--why", "open again"]).await;
    let page: MembersPage = site.get("/groups/lab/members").await;
    assert!(page.members.is_empty(), "it begins with nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_exported_changes_nothing_and_a_changed_file_says_for_how_many() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    for name in ["lab-1", "pc-1", "pc-2"] {
        let _ = Agent::licensed(&site, name).await;
    }
    done(&site, &["groups", "add", "canary", "--description", "first", "--why", "x"]).await;
    done(&site, &["groups", "members", "canary", "--add", "lab-1"]).await;
    done(&site, &["properties", "set", "hold", "2x24", "--why", "x"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.toml");
    let path = file.to_str().unwrap();
    done(&site, &["config", "export", path]).await;
    let (code, said) = ends_with(&site, &["config", "export", path]).await;
    assert!(code == 1 && said.contains("it is there already"), "{said}");
    assert!(done(&site, &["config", "plan", path]).await.contains("nothing changes"));
    let before: SettingsView = site.get("/settings").await;
    assert!(done(&site, &["config", "apply", path, "--yes", "--why", "x"]).await.contains("nothing changed"));
    let after: SettingsView = site.get("/settings").await;
    assert_eq!(after.version, before.version, "nothing was written");

    let exported = std::fs::read_to_string(&file).unwrap();
    assert!(exported.contains("[groups.canary]") && exported.contains("lab-1"), "{exported}");
    let wanted = exported.replace("\"lab-1\"", "\"pc-1\"")
        + "\n[strategies.mine]\nrings = [\n  { name = \"first\", takes = { group = \"canary\" } },\n  { name = \"rest\", \
           takes = \"everyone\" },\n]\n";
    let asserted = |computer: &str| {
        format!(
            "{wanted}\n[[assert]]\ncomputer = \"{computer}\"\nin_group = \"canary\"\nring = \"first\"\nstrategy = \"mine\"\n"
        )
    };
    std::fs::write(&file, asserted("pc-2")).unwrap();
    let (code, said) = ends_with(&site, &["config", "plan", path]).await;
    assert!(code == 1 && said.contains("pc-2 is not in the group canary"), "{said}");
    assert!(said.contains("something changes for 2 of 3 computers: 2 in other groups"), "{said}");
    let (code, said) = ends_with(&site, &["config", "apply", path, "--yes", "--why", "x"]).await;
    assert!(code == 1 && said.contains("breaks what it asserts"), "{said}");
    assert_unchanged(&site, &before).await;

    std::fs::write(&file, asserted("pc-1")).unwrap();
    let (code, said) = ends_with(&site, &["config", "apply", path, "--why", "x"]).await;
    assert!(code == 1 && said.contains("give --yes"), "without a terminal nobody is asked: {said}");
    assert_unchanged(&site, &before).await;
    done(&site, &["config", "apply", path, "--yes", "--why", "ticket 4711"]).await;
    let page: MembersPage = site.get("/groups/canary/members").await;
    assert_eq!(page.members.iter().map(ToString::to_string).collect::<Vec<_>>(), ["pc-1"]);
    assert!(done(&site, &["strategies", "show", "mine"]).await.contains("first: the group canary"));
    let log = done(&site, &["log", "--kind", "settings_changed"]).await;
    assert!(log.lines().last().unwrap().contains("ticket 4711"), "{log}");

    // What the file does not name is gone from then on.
    std::fs::write(&file, "").unwrap();
    let said = done(&site, &["config", "plan", path]).await;
    assert!(said.contains("- group canary") && said.contains("- property hold"), "{said}");
    done(&site, &["config", "apply", path, "--yes", "--why", "anew"]).await;
    let after: SettingsView = site.get("/settings").await;
    assert!(after.settings.is_empty(), "{after:?}");
    refuses_what_it_cannot_read(&site, &file).await;
}

async fn assert_unchanged(site: &Site, before: &SettingsView) {
    let after: SettingsView = site.get("/settings").await;
    assert_eq!((after.version, after.settings.len()), (before.version, before.settings.len()));
}

async fn refuses_what_it_cannot_read(site: &Site, file: &Path) {
    std::fs::write(file, "[properties]\nhold = \"none\"\nholds = \"none\"\n").unwrap();
    let (code, said) = ends_with(site, &["config", "plan", file.to_str().unwrap()]).await;
    assert!(code == 1 && said.contains("line 3") && said.contains("holds"), "{said}");
    // An older plan is not applied over what somebody else did since.
    let empty = serde_json::json!({ "settings": [] });
    let plan: ConfigurationPlan = site.post("/settings/plan", &empty).await;
    done(site, &["properties", "set", "delivery", "poll", "--why", "meanwhile"]).await;
    let apply = serde_json::json!({ "configuration": empty, "comment": "x", "expected": plan.version });
    assert_eq!(site.post_refused("/settings/apply", &apply).await.code, ProblemCode::WrongState);
    assert!(done(site, &["properties", "show"]).await.contains("poll"));
}
