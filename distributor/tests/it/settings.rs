//! What a site sets: properties, groups, and all of it as one file.

use std::path::Path;

use sealpost_admin_api::groups::{GroupsView, MembersPage};
use sealpost_admin_api::settings::{Changed, ConfigurationPlan, SettingsView};
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_test_support::license::serial;

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
        // A token has the server run nothing: what a test-load runs stands in the server's own file.
        set("test_load", "acme-av", serde_json::json!({ "command": ["/bin/sh"] })),
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
    let listing = ["groups", "members", "lab", "--add", "PC-1.", "pc-9", "--why", "moved there"];
    assert!(done(&site, &listing).await.contains("2 names changed; the group lab lists 2 names"));
    let view: GroupsView = site.get("/groups").await;
    let names: Vec<String> = view.groups[0].computers.names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["lab-1", "lab-2", "pc-1"], "pc-9 has no seat");
    let shown = done(&site, &["groups", "show", "lab"]).await;
    assert!(shown.contains("name lab-*") && shown.contains("2 names: pc-1, pc-9"), "{shown}");
    done(&site, &["groups", "members", "lab", "--remove", "pc-9"]).await;
    let log = done(&site, &["log", "--kind", "group_members_changed"]).await;
    let [put, took] = log.lines().collect::<Vec<_>>()[..] else { panic!("{log}") };
    assert!(put.ends_with("put 2 computers into the group lab: moved there"), "{log}");
    assert!(took.ends_with("took pc-9 from the group lab"), "nothing has to be said of a list: {log}");
    let (code, said) = ends_with(&site, &["groups", "members", "other", "--add", "pc-1"]).await;
    assert!(code == 1 && said.contains("distributor groups add other"), "{said}");

    let number = serial().to_string();
    let runs = ["groups", "add", "old", "--serial", &number, "--runs", "acme-av:1.4", "--why", "x"];
    done(&site, &runs).await;
    let listed = done(&site, &["groups", "list"]).await;
    assert!(listed.contains("runs acme-av") && listed.contains("serial "), "{listed}");
    // When its computers get signature files is set, shown and kept like how they get programs.
    done(&site, &["groups", "add", "old", "--content", "delayed:4", "--why", "y"]).await;
    done(&site, &["groups", "add", "old", "--rank", "2", "--why", "z"]).await;
    let listed = done(&site, &["groups", "list"]).await;
    assert!(listed.contains("CONTENT") && listed.contains("delayed:4"), "{listed}");
    let shown = done(&site, &["groups", "show", "old"]).await;
    assert!(shown.contains("  content    delayed:4\n") && shown.contains("  rank       2\n"), "{shown}");
    done(&site, &["groups", "add", "old", "--content", "paused", "--why", "y"]).await;
    let shown = done(&site, &["groups", "show", "old"]).await;
    assert!(shown.contains("  content    paused\n"), "{shown}");
    let late = ["groups", "add", "old", "--content", "delayed:73", "--why", "y"];
    let (code, said) = ends_with(&site, &late).await;
    assert!(code == 2 && said.contains("delayed:HOURS with 1 to 72 hours"), "{said}");
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
    let shown = done(&site, &["config", "show", "group", "pin"]).await;
    assert!(shown.contains("group") && shown.contains("canary") && shown.contains("first"), "{shown}");
    let (code, said) = ends_with(&site, &["config", "show", "blocks"]).await;
    assert!(code == 2 && said.contains("it is one of property, group"), "{said}");
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
    assert!(said.contains("something changes for 2 of 3 computers"), "{said}");
    assert!(said.contains("groups: 2 computers (in other groups)"), "{said}");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_exported_before_somebody_elses_change_takes_it_back_only_when_forced() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let _ = Agent::licensed(&site, "lab-1").await;
    let _ = Agent::licensed(&site, "lab-2").await;
    done(&site, &["groups", "add", "canary", "--why", "x"]).await;
    done(&site, &["groups", "members", "canary", "--add", "lab-1"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.toml");
    let path = file.to_str().unwrap();
    done(&site, &["config", "export", path]).await;
    let exported = std::fs::read_to_string(&file).unwrap();
    assert!(exported.contains("\nbased_on = \""), "{exported}");
    // Somebody else lists another computer; that changes no setting.
    done(&site, &["groups", "members", "canary", "--add", "lab-2"]).await;
    let apply = ["config", "apply", path, "--yes", "--why", "x"];
    let (code, said) = ends_with(&site, &apply).await;
    assert!(code == 1 && said.contains("was changed since this configuration was exported"), "{said}");
    assert!(said.contains("distributor config plan FILE") && said.contains("--force"), "{said}");
    let listed: MembersPage = site.get("/groups/canary/members").await;
    assert_eq!(listed.members.len(), 2, "nothing was taken back");
    let (code, said) = ends_with(&site, &["config", "plan", path]).await;
    assert!(
        code == 1 && said.contains("lists no more lab-2") && said.contains("only with --force"),
        "{said}"
    );

    let forced = ["config", "apply", path, "--yes", "--force", "--why", "the file is right"];
    done(&site, &forced).await;
    let listed: MembersPage = site.get("/groups/canary/members").await;
    assert_eq!(listed.members.len(), 1);
    // The file says the new state by itself, so that its next change goes through.
    let wanted = std::fs::read_to_string(&file).unwrap().replace("\"lab-1\"", "\"lab-2\"");
    assert!(wanted.contains("lab-2"), "{wanted}");
    std::fs::write(&file, &wanted).unwrap();
    done(&site, &apply).await;
    let anew = std::fs::read_to_string(&file).unwrap();
    assert_ne!(anew, wanted);
    assert!(done(&site, &apply).await.contains("nothing changed"));
    // A change of settings counts as well, and what is so already is no conflict.
    std::fs::write(&file, &wanted).unwrap();
    assert!(done(&site, &["config", "plan", path]).await.contains("nothing changes"));
    done(&site, &["properties", "set", "hold", "2x24", "--why", "x"]).await;
    let (code, said) = ends_with(&site, &apply).await;
    assert!(code == 1 && said.contains("was changed since"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_that_change_between_the_plan_and_the_apply_refuse_it() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    done(&site, &["groups", "add", "canary", "--why", "x"]).await;
    let configuration = serde_json::json!({
        "settings": [set("group", "canary", serde_json::json!({}))], "members": { "canary": ["pc-1"] }
    });
    let plan: ConfigurationPlan = site.post("/settings/plan", &configuration).await;
    done(&site, &["groups", "members", "canary", "--add", "pc-2"]).await;
    let apply = serde_json::json!({
        "configuration": configuration, "comment": "x", "expected": plan.version, "state": plan.state
    });
    assert_eq!(site.post_refused("/settings/apply", &apply).await.code, ProblemCode::WrongState);
    let listed: MembersPage = site.get("/groups/canary/members").await;
    assert_eq!(listed.members.iter().map(ToString::to_string).collect::<Vec<_>>(), ["pc-2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_change_a_group_at_once_lose_nothing_of_each_other() {
    let vendor = start_vendor(10).await;
    let site = Site::licensed(&vendor).await;
    let content = serde_json::json!({ "content": "paused", "rank": 3, "description": "first" });
    let _: Changed = site.post("/settings", &change(&[set("group", "canary", content)])).await;
    let one = ["groups", "add", "canary", "--name", "lab-*", "--why", "one"];
    let other = ["groups", "add", "canary", "--delivery", "poll", "--why", "other"];
    let (first, second) = tokio::join!(ends_with(&site, &one), ends_with(&site, &other));
    for (code, said) in [&first, &second] {
        assert!(*code == 0 || said.contains("changed by somebody else since you looked"), "{said}");
    }
    assert!(first.0 == 0 || second.0 == 0, "one of them goes through: {first:?} {second:?}");
    let view: GroupsView = site.get("/groups").await;
    let group = &view.groups[0].settings;
    assert_eq!(group.rule.is_some(), first.0 == 0, "{group:?}");
    assert_eq!(group.delivery.is_some(), second.0 == 0, "{group:?}");
    assert!(group.content.is_some() && group.rank == 3, "what no option named stays: {group:?}");
    assert_eq!(group.description.as_str(), "first");
}
