//! Accounts, four eyes, rules and deferrals, over HTTP and on the command line.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use reqwest::Response;
use sealpost_admin_api::approvals::{AccountsChanged, AccountsView, ApprovalsView, Settled};
use sealpost_admin_api::rollouts::Rollout;
use sealpost_admin_api::settings::Changed;
use sealpost_admin_api::status::Status;
use sealpost_admin_api::tokens::MadeTokenView;
use sealpost_admin_api::updates::{Review, Update};
use sealpost_distributor::home::Home;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::changes::Actor;
use sealpost_site::rules::release::ReleaseState;
use sealpost_test_support::vendor_server::ServedVendor;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::agent::Agent;
use crate::program::run;
use crate::site::{Site, code, good, problem};
use crate::vendor::start_vendor;

/// A person with a token.
struct Person {
    token: String,
}

impl Person {
    async fn send(&self, site: &Site, path: &str, body: serde_json::Value) -> Response {
        let request = site.http.post(site.url(&format!("/api/v1{path}"))).bearer_auth(&self.token);
        request.json(&body).send().await.unwrap()
    }

    async fn post<T: DeserializeOwned>(&self, site: &Site, path: &str, body: serde_json::Value) -> T {
        good(self.send(site, path, body).await).await
    }

    /// With a token that nobody else knows.
    async fn renewed(&self, site: &Site) -> Self {
        let made: MadeTokenView = self.post(site, "/tokens/renew", json!({})).await;
        assert_eq!(made.waits, None);
        Self { token: made.token.as_str().to_owned() }
    }
}

/// The token of an account, as somebody at the server makes it.
async fn given(site: &Site, account: &str, name: &str) -> (Person, Option<u64>) {
    let made: MadeTokenView = site.post("/tokens", &json!({ "name": name, "account": account })).await;
    (Person { token: made.token.as_str().to_owned() }, made.waits)
}

async fn person(site: &Site, account: &str) -> Person {
    let added: AccountsChanged = site.post("/accounts", &json!({ "account": account })).await;
    assert_eq!(added.waits, None);
    given(site, account, &format!("{account}-laptop")).await.0.renewed(site).await
}

fn rule(value: &serde_json::Value) -> serde_json::Value {
    let change = json!({ "kind": "approval", "name": "all", "value": value });
    json!({ "changes": [change], "comment": "decided in May" })
}

async fn rule_is_set(site: &Site, value: serde_json::Value) {
    let changed: Changed = site.post("/settings", &rule(&value)).await;
    assert_eq!((changed.changed, changed.waits), (1, None));
}

/// A site with a staged release and two people; a rule needs both.
async fn four_eyes(vendor: &ServedVendor) -> (Site, Sha256Digest, Person, Person) {
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(vendor).await;
    let _ = Agent::licensed(&site, "pc-1").await;
    let (anna, ben) = (person(&site, "anna").await, person(&site, "ben").await);
    rule_is_set(&site, json!({ "needs": "two" })).await;
    site.pull().await;
    (site, manifest, anna, ben)
}

async fn update(site: &Site, manifest: Sha256Digest) -> Update {
    let review: Review = site.get(&format!("/updates/{manifest}")).await;
    review.update
}

#[tokio::test]
async fn two_people_approve_with_tokens_of_their_own_and_what_waits_is_told_everywhere() {
    let vendor = start_vendor(10).await;
    let (site, manifest, anna, ben) = four_eyes(&vendor).await;
    let review: Review = site.get(&format!("/updates/{manifest}")).await;
    assert_eq!(review.wanted.unwrap().two_by.unwrap().as_str(), "all");
    let approval = json!({ "manifest": manifest, "comment": "tried" });
    let first: Update = anna.post(&site, "/updates/approve", approval.clone()).await;
    let waiting = first.waiting.unwrap();
    assert_eq!((first.state, waiting.from.as_str()), (ReleaseState::Staged, "anna"));
    let two_weeks = SignedDuration::from_hours(336);
    assert_eq!(
        (waiting.comment.as_str(), waiting.expires_at.duration_since(waiting.at)),
        ("tried", two_weeks)
    );

    // The list, the status, and the sentence about each computer.
    assert_eq!(site.updates().await.updates[0].waiting.as_ref(), Some(&waiting));
    let view: ApprovalsView = site.get("/approvals").await;
    assert_eq!((view.waiting.as_slice(), view.needs_two), ([waiting.clone()].as_slice(), true));
    let status: Status = site.get("/status").await;
    let told = status.warnings.iter().find(|problem| problem.code == "approval_waits").unwrap();
    assert!(told.message.contains("anna asked to approve acme-av 1.0"), "{told:?}");
    let client: serde_json::Value = site.get("/clients/pc-1").await;
    let why = client.to_string();
    assert!(why.contains("waits for a second person") && why.contains("anna"), "{client}");

    // Again is the same; whoever sits at the server is no second person.
    let again: Update = anna.post(&site, "/updates/approve", approval.clone()).await;
    assert_eq!(again.waiting.unwrap().number, waiting.number);
    let refused = site.post_refused("/updates/approve", &approval).await;
    assert_eq!(refused.code, ProblemCode::Forbidden, "{refused:?}");
    let other = json!({ "manifest": manifest, "strategy": "everyone-now" });
    assert_eq!(code(ben.send(&site, "/updates/approve", other).await).await, ProblemCode::Forbidden);
    let path = format!("/approvals/{}/confirm", waiting.number);
    assert_eq!(code(anna.send(&site, &path, json!({})).await).await, ProblemCode::Forbidden);
    assert_eq!(site.post_refused(&path, &json!({})).await.code, ProblemCode::Forbidden);
    let settled: Settled = ben.post(&site, &path, json!({ "comment": "seen" })).await;
    assert!(settled.says.starts_with("approve acme-av 1.0"), "{settled:?}");
    let approved = update(&site, manifest).await;
    assert_eq!((approved.state, approved.waiting), (ReleaseState::Approved, None));
    assert_eq!(approved.decided.unwrap().comment.as_deref(), Some("tried; seen"));
    assert_eq!(code(ben.send(&site, &path, json!({})).await).await, ProblemCode::NotFound);
    let logged: serde_json::Value = site.get("/log?kind=release_approved").await;
    let approvals = &logged["entry"]["change"]["approval"]["approvals"];
    assert_eq!(approvals.as_array().unwrap().len(), 2, "{logged}");
}

#[tokio::test]
async fn a_token_made_at_the_server_approves_first_and_counts_as_second_only_once_its_owner_renewed_it() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    let _: AccountsChanged = site.post("/accounts", &json!({ "account": "carl" })).await;
    let (anna, _ben) = (person(&site, "anna").await, person(&site, "ben").await);
    rule_is_set(&site, json!({ "needs": "two" })).await;
    let (carl, waits) = given(&site, "carl", "carl-laptop").await;
    let path = format!("/approvals/{}/confirm", waits.unwrap());
    let _: Settled = anna.post(&site, &path, json!({})).await;
    site.pull().await;
    let approval = json!({ "manifest": manifest });
    let _: Update = anna.post(&site, "/updates/approve", approval.clone()).await;
    let refused = problem(carl.send(&site, "/updates/approve", approval.clone()).await).await;
    assert!(refused.code == ProblemCode::Forbidden && refused.hint.contains("token renew"), "{refused:?}");
    // Over the socket nothing is renewed; and a token of no account has nothing to renew.
    assert_eq!(site.post_refused("/tokens/renew", &json!({})).await.code, ProblemCode::Forbidden);
    let made: MadeTokenView = site.post("/tokens", &json!({ "name": "ci" })).await;
    let ci = Person { token: made.token.as_str().to_owned() };
    assert_eq!(code(ci.send(&site, "/tokens/renew", json!({})).await).await, ProblemCode::WrongState);

    let own = carl.renewed(&site).await;
    let before = carl.send(&site, "/updates/approve", approval.clone()).await;
    assert_eq!(code(before).await, ProblemCode::Unauthenticated, "the one before is refused at once");
    let site = site.restart().await;
    let approved: Update = own.post(&site, "/updates/approve", approval).await;
    assert_eq!(approved.state, ReleaseState::Approved);
}

#[tokio::test]
async fn while_a_rule_needs_two_a_new_token_waits_until_another_account_confirms_it() {
    let vendor = start_vendor(10).await;
    let (site, manifest, anna, _ben) = four_eyes(&vendor).await;
    let (mallory, waits) = given(&site, "ben", "ben-phone").await;
    let number = waits.unwrap();
    assert_eq!(code(mallory.send(&site, "/tokens/renew", json!({})).await).await, ProblemCode::Forbidden);
    let _: Update = anna.post(&site, "/updates/approve", json!({ "manifest": manifest })).await;
    let path = format!("/approvals/{number}/confirm");
    for refused in [
        mallory.send(&site, "/updates/approve", json!({ "manifest": manifest })).await,
        mallory.send(&site, &path, json!({})).await,
    ] {
        assert_eq!(code(refused).await, ProblemCode::Forbidden);
    }
    assert_eq!(site.post_refused(&path, &json!({})).await.code, ProblemCode::Forbidden);
    let _: Settled = anna.post(&site, &path, json!({})).await;
    let phone = mallory.renewed(&site).await;
    let approved: Update = phone.post(&site, "/updates/approve", json!({ "manifest": manifest })).await;
    assert_eq!(approved.state, ReleaseState::Approved);
}

#[tokio::test]
async fn the_tokens_of_a_disabled_account_are_refused_at_once_also_after_a_restart_and_told_why() {
    let vendor = start_vendor(10).await;
    let (site, manifest, anna, ben) = four_eyes(&vendor).await;
    let _: Update = anna.post(&site, "/updates/approve", json!({ "manifest": manifest })).await;
    let disable = json!({ "account": "anna", "comment": "left" });
    let refused = anna.send(&site, "/accounts/disable", disable.clone()).await;
    assert_eq!(code(refused).await, ProblemCode::Forbidden, "accounts are changed at the server");
    let disabled: AccountsChanged = site.post("/accounts/disable", &disable).await;
    assert_eq!(disabled.waits, None, "at once, and alone");
    let site = site.restart().await;
    let refused = problem(anna.send(&site, "/updates/approve", json!({ "manifest": manifest })).await).await;
    assert_eq!(refused.code, ProblemCode::Forbidden);
    assert!(refused.message.contains("the account anna is disabled"), "{refused:?}");
    // What she asked for is void: what ben says is a first word.
    let waits: Update = ben.post(&site, "/updates/approve", json!({ "manifest": manifest })).await;
    assert_eq!((waits.state, waits.waiting.unwrap().from.as_str()), (ReleaseState::Staged, "ben"));
    let status: Status = site.get("/status").await;
    assert!(status.warnings.iter().any(|problem| problem.code == "four_eyes_stuck"), "{status:?}");
    let enable: AccountsChanged = site.post("/accounts/enable", &json!({ "account": "anna" })).await;
    let path = format!("/approvals/{}/confirm", enable.waits.unwrap());
    let _: Settled = ben.post(&site, &path, json!({})).await;
    let approved: Update = anna.post(&site, "/updates/approve", json!({ "manifest": manifest })).await;
    assert_eq!(approved.state, ReleaseState::Approved);
    let view: AccountsView = site.get("/accounts").await;
    assert!(view.accounts.iter().all(|account| account.enabled && account.can_be_second), "{view:?}");
}

#[tokio::test]
async fn nobody_changes_the_rules_alone_by_any_door() {
    let vendor = start_vendor(10).await;
    let (site, _, anna, ben) = four_eyes(&vendor).await;
    let before: serde_json::Value = site.get("/settings").await;
    // As a single setting.
    let off = json!({ "changes": [{ "kind": "approval", "name": "all" }], "comment": "off" });
    let alone: Changed = site.post("/settings", &off).await;
    let (number, changed) = (alone.waits.unwrap(), alone.changed);
    assert_eq!(changed, 0);
    let withdrawn: Settled =
        anna.post(&site, &format!("/approvals/{number}/withdraw"), json!({ "comment": "no" })).await;
    assert_eq!(withdrawn.number, number);
    // As a whole configuration, which does not name the rule.
    let empty = json!({ "settings": [] });
    let plan: sealpost_admin_api::settings::ConfigurationPlan = site.post("/settings/plan", &empty).await;
    let apply = json!({ "configuration": empty, "comment": "anew", "expected": plan.version });
    let applied: Changed = anna.post(&site, "/settings/apply", apply).await;
    let number = applied.waits.unwrap();
    let after: serde_json::Value = site.get("/settings").await;
    assert_eq!(before["settings"], after["settings"]);
    // Accounts.
    let added: AccountsChanged = site.post("/accounts", &json!({ "account": "eve" })).await;
    assert!(added.waits.is_some() && added.view.accounts.len() == 2, "{added:?}");
    // What does not touch the rules is changed as ever.
    let other = json!({ "kind": "property", "name": "delivery", "value": "poll" });
    let changed: Changed = site.post("/settings", &json!({ "changes": [other], "comment": "x" })).await;
    assert_eq!((changed.changed, changed.waits), (1, None));
    // Over what was not compared a configuration is not confirmed.
    let stale = ben.send(&site, &format!("/approvals/{number}/confirm"), json!({})).await;
    let stale = problem(stale).await;
    assert_eq!(stale.code, ProblemCode::WrongState, "{stale}");
    assert!(stale.message.contains("changed since this configuration was proposed"), "{stale}");
    let gone = json!({ "changes": [{ "kind": "property", "name": "delivery" }], "comment": "x" });
    let _: Changed = site.post("/settings", &gone).await;
    // Two do.
    let _: Settled = ben.post(&site, &format!("/approvals/{number}/confirm"), json!({})).await;
    let view: ApprovalsView = site.get("/approvals").await;
    assert!(!view.needs_two && view.rules.is_empty(), "{view:?}");
}

#[tokio::test]
async fn what_two_approved_is_pushed_at_once_only_by_two_and_stopped_by_one() {
    let vendor = start_vendor(10).await;
    let (site, manifest, anna, ben) = four_eyes(&vendor).await;
    // Without a computer nothing would have to be watched, and the rollout would be complete at once.
    let _canary = Agent::licensed(&site, "pc-1").await;
    let approval = json!({ "manifest": manifest, "strategy": "careful" });
    let _: Update = anna.post(&site, "/updates/approve", approval.clone()).await;
    let approved: Update = ben.post(&site, "/updates/approve", approval).await;
    let path = format!("/rollouts/{}/steer", approved.rollout.unwrap());
    let hasten =
        json!({ "do": "edit", "strategy": "everyone-now", "emergency": true, "comment": "exploited" });
    let first: Rollout = anna.post(&site, &path, hasten.clone()).await;
    let waiting = first.proposal.unwrap();
    assert!(!first.emergency && first.strategy.as_str() == "careful");
    assert!(waiting.says.contains("everyone-now, as an emergency"), "{waiting:?}");
    let paused: Rollout = site.post(&path, &json!({ "do": "pause", "comment": "stop" })).await;
    assert_eq!(paused.state.as_str(), "paused");
    let _: Rollout = site.post(&path, &json!({ "do": "resume", "comment": "go" })).await;
    let _: Settled = ben.post(&site, &format!("/approvals/{}/confirm", waiting.number), json!({})).await;
    let after: Rollout = site.get(path.trim_end_matches("/steer")).await;
    assert!(after.emergency && after.strategy.as_str() == "everyone-now" && after.proposal.is_none());
    let halt = json!({ "manifest": manifest, "reason": "it crashes" });
    let _: serde_json::Value = anna.post(&site, "/updates/halt", halt).await;
    assert_eq!(update(&site, manifest).await.state, ReleaseState::Halted);
}

#[tokio::test]
async fn a_rule_approves_by_itself_what_is_old_enough_and_not_deferred() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    let staged_at = update(&site, manifest).await.staged_at;
    let until = staged_at + SignedDuration::from_hours(30);
    let defer = json!({ "manifest": manifest, "until": until, "comment": "the exam week" });
    let deferred: Update = site.post("/updates/defer", &defer).await;
    assert_eq!(deferred.deferred.unwrap().comment, "the exam week");
    let plain = json!({ "manifest": manifest });
    let refused = site.post_refused("/updates/approve", &plain).await;
    assert!(refused.code == ProblemCode::WrongState && refused.message.contains("exam week"), "{refused:?}");
    rule_is_set(&site, json!({ "by_itself": true, "min_age_hours": 24 })).await;
    site.clock.forward(SignedDuration::from_hours(25));
    // A change wakes whoever applies the rules; the release is old enough, and deferred.
    let _: Changed = site.post("/settings", &rule(&json!({ "by_itself": true, "min_age_hours": 25 }))).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(update(&site, manifest).await.state, ReleaseState::Staged);
    site.clock.forward(SignedDuration::from_hours(6));
    let _: Changed = site.post("/settings", &rule(&json!({ "by_itself": true, "min_age_hours": 26 }))).await;
    let look = async {
        loop {
            let update = update(&site, manifest).await;
            if update.state == ReleaseState::Approved {
                return update;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let approved = tokio::time::timeout(Duration::from_secs(60), look).await.unwrap();
    let decided = approved.decided.unwrap();
    assert_eq!((decided.by, decided.comment.as_deref()), (Actor::Server, Some("by the rule all")));
}

/// The exit status of a command, and all that it printed.
async fn said(site: &Site, arguments: &[&str]) -> (i32, String) {
    let home = site.home();
    let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
    let work = move || run(&home, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let output = tokio::task::spawn_blocking(work).await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

async fn done(site: &Site, arguments: &[&str]) -> String {
    let (code, said) = said(site, arguments).await;
    assert_eq!(code, 0, "{arguments:?}: {said}");
    said
}

fn kept(site: &Site, name: &str, token: &str) -> PathBuf {
    let path = site.folder.path().join(name);
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
    file.write_all(token.as_bytes()).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_command_line_two_people_set_up_four_eyes_and_approve() {
    let vendor = start_vendor(10).await;
    let manifest = vendor.release("1.0", &[("engine", b"one")]);
    let site = Site::licensed(&vendor).await;
    site.pull().await;
    let (server, ca) = (site.url(""), Home::at(site.home()).ca_certificate());
    let (code, refused) = said(&site, &["approvals", "rule", "programs", "--two", "--why", "x"]).await;
    assert!(code == 1 && refused.contains("distributor accounts add"), "{refused}");
    let mut files = Vec::new();
    for account in ["anna", "ben"] {
        done(&site, &["accounts", "add", account, "--why", "a desk"]).await;
        let told = done(&site, &["token", "new", account, "--account", account]).await;
        assert!(told.contains("distributor token renew"), "{told}");
        let given = kept(&site, &format!("{account}.given"), told.lines().next().unwrap());
        let network = ["--server", &server, "--ca", ca.to_str().unwrap(), "--token-file"];
        let renew = [network.as_slice(), &[given.to_str().unwrap(), "token", "renew"]].concat();
        let own = done(&site, &renew).await;
        files.push(kept(&site, &format!("{account}.token"), own.lines().next().unwrap()));
    }
    let (code, refused) = said(&site, &["token", "renew"]).await;
    assert!(code == 1 && refused.contains("over the network"), "{refused}");
    assert!(done(&site, &["accounts", "list"]).await.contains("anna (own)"));
    let set =
        done(&site, &["approvals", "rule", "programs", "--kind", "program", "--two", "--why", "x"]).await;
    assert!(set.contains("the rule programs is set"), "{set}");
    assert!(done(&site, &["approvals", "rules"]).await.contains("kind program: approved by two people"));
    let off = done(&site, &["approvals", "remove-rule", "programs", "--why", "x"]).await;
    assert!(off.contains("nothing is changed yet"), "{off}");
    let number = off.split("confirm ").nth(1).unwrap().trim_end_matches(['`', '\n']).to_owned();
    done(&site, &["approvals", "withdraw", &number, "--why", "a slip"]).await;

    let with = |file: &PathBuf, arguments: &[&str]| -> Vec<String> {
        let network =
            ["--server", &server, "--ca", ca.to_str().unwrap(), "--token-file", file.to_str().unwrap()];
        network.iter().chain(arguments).map(|one| (*one).to_owned()).collect()
    };
    let as_person = async |file: &PathBuf, arguments: &[&str]| {
        let all = with(file, arguments);
        said(&site, &all.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    let shown = done(&site, &["updates", "show", "acme-av:1.0"]).await;
    assert!(shown.contains("needs      two people, by the rule programs"), "{shown}");
    let approve = ["updates", "approve", "acme-av:1.0", "--yes", "--strategy", "careful"];
    let (code, first) = as_person(&files[0], &approve).await;
    assert!(
        code == 0 && first.contains("is not approved yet") && first.contains("approvals confirm"),
        "{first}"
    );
    assert!(done(&site, &["updates", "list"]).await.contains("second"));
    assert!(done(&site, &["approvals", "list"]).await.contains("anna"));
    let shown = done(&site, &["updates", "show", "acme-av:1.0"]).await;
    assert!(shown.contains("waits for  a second person since") && shown.contains("anna asked to"), "{shown}");
    let (code, pushed) = said(&site, &["updates", "push-now", "acme-av:1.0", "--yes", "--why", "now"]).await;
    assert!(code == 1 && pushed.contains("asks for something else"), "{pushed}");
    // The second one names nothing, and approves what the first one asked for.
    let (code, second) = as_person(&files[1], &["updates", "approve", "acme-av:1.0", "--yes"]).await;
    assert!(code == 0 && second.contains("approved acme-av 1.0"), "{second}");
    assert_eq!(update(&site, manifest).await.state, ReleaseState::Approved);
    let disabled = done(&site, &["accounts", "disable", "ben", "--why", "left"]).await;
    assert!(disabled.contains("ben is disabled"), "{disabled}");
    let (code, refused) = as_person(&files[1], &["status"]).await;
    assert!(code != 0 && refused.contains("the account ben is disabled"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_command_line_a_decision_is_deferred_confirmed_and_an_account_enabled_again() {
    let vendor = start_vendor(10).await;
    let (site, manifest, anna, ben) = four_eyes(&vendor).await;
    let (server, ca) = (site.url(""), Home::at(site.home()).ca_certificate());
    let files = [("anna", &anna), ("ben", &ben)].map(|(name, person)| kept(&site, name, &person.token));
    let as_person = async |file: &PathBuf, arguments: &[&str]| {
        let network =
            ["--server", &server, "--ca", ca.to_str().unwrap(), "--token-file", file.to_str().unwrap()];
        done(&site, &[network.as_slice(), arguments].concat()).await
    };
    let proposal = |said: &str| -> String {
        let (_, behind) = said.split_once("approvals confirm ").unwrap();
        behind.chars().take_while(char::is_ascii_digit).collect()
    };

    let defer = ["updates", "defer", "acme-av:1.0", "--until", "3d", "--why", "the exam week"];
    let deferred = done(&site, &defer).await;
    assert!(deferred.contains("the decision about acme-av 1.0") && deferred.contains("is deferred until"));
    assert_eq!(update(&site, manifest).await.deferred.unwrap().comment, "the exam week");
    let strategies = done(&site, &["strategies", "list"]).await;
    let careful = strategies.lines().find(|line| line.starts_with("careful")).unwrap();
    assert!(careful.contains("every site") && careful.contains("canary, early, half, everyone"), "{careful}");
    let approve = ["updates", "approve", "acme-av:1.0", "--yes", "--strategy", "careful"];
    let first = as_person(&files[0], &[approve.as_slice(), &["--now"]].concat()).await;
    let number = proposal(&first);
    let (code, refused) = said(&site, &["approvals", "confirm", &number, "--yes", "--now"]).await;
    assert!(code == 1 && refused.contains("forbidden"), "the server is no second person: {refused}");
    assert_eq!(update(&site, manifest).await.state, ReleaseState::Staged);
    let confirm =
        ["approvals", "confirm", &number, "--yes", "--now", "--comment", "tried on the test computers"];
    let confirmed = as_person(&files[1], &confirm).await;
    assert!(confirmed.contains("approve acme-av 1.0"), "{confirmed}");
    let approved = update(&site, manifest).await;
    let rollout: Rollout = site.get(&format!("/rollouts/{}", approved.rollout.unwrap())).await;
    assert_eq!((approved.state, rollout.strategy.as_str()), (ReleaseState::Approved, "careful"));
    assert!(approved.decided.unwrap().comment.unwrap().contains("tried on the test computers"));

    done(&site, &["accounts", "disable", "ben", "--why", "left"]).await;
    let enable = done(&site, &["accounts", "enable", "ben", "--why", "is back"]).await;
    assert!(enable.contains("nothing is changed yet"), "{enable}");
    let listed = async || done(&site, &["accounts", "list"]).await;
    let of_ben = |all: String| all.lines().find(|line| line.starts_with("ben")).unwrap().to_owned();
    assert!(of_ben(listed().await).contains("disabled"));
    as_person(&files[0], &["approvals", "confirm", &proposal(&enable), "--yes"]).await;
    let enabled = of_ben(listed().await);
    assert!(enabled.contains("enabled") && enabled.contains("is back"), "{enabled}");
    as_person(&files[1], &["updates", "list"]).await;
}
