//! The real program as a child process: init, serve, and the commands over the Unix socket and over TLS.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::AttachmentKind;
use sealpost_test_support::license::serial;

use crate::program::{distributor, json, mistyped, refused, serve, stdout, stop};
use crate::vendor::start_vendor;

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_goes_from_init_to_an_approved_release_on_the_command_line() {
    let vendor = start_vendor(3).await;
    let draft = vendor.draft("1.0", &[("engine", b"one")]);
    let draft = draft.with_attachment(AttachmentKind::CycloneDx, "sbom.json", b"{}");
    let manifest = vendor.publish(&draft, &["stable"]);
    let (url, root) = (vendor.url(), vendor.root_file());
    tokio::task::spawn_blocking(move || walk(&url, &root, manifest)).await.unwrap();
}

fn walk(vendor_url: &str, root: &Path, manifest: Sha256Digest) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let error = refused(&home, &["status"]);
    assert!(error.contains("cannot reach the server at") && error.contains("admin.sock"), "{error}");
    let init =
        ["init", "--vendor-url", vendor_url, "--root", root.to_str().unwrap(), "--address", "127.0.0.1"];
    stdout(&home, &init);
    assert!(refused(&home, &init).contains("already"), "a second init is refused");
    let server = serve(&home);
    // What cannot be a name is refused before the server is asked, with a code of its own.
    let refused_name = mistyped(&home, &["clients", "reserve", "a b", "--json"]);
    let refused_name: serde_json::Value = serde_json::from_str(&refused_name).unwrap();
    assert_eq!(refused_name["code"], "bad_request", "{refused_name}");

    assert!(stdout(&home, &["status"]).contains("no license yet"));
    let serial = serial().to_string();
    assert!(stdout(&home, &["register", &serial, "--offline"]).lines().count() > 3);
    assert!(stdout(&home, &["register", &serial]).contains("3 seats"));
    stdout(&home, &["clients", "reserve", "pc-1"]);
    let setup = folder.path().join("pc-1.setup.json");
    stdout(&home, &["clients", "setup", "pc-1", "--out", setup.to_str().unwrap()]);
    assert_eq!(std::fs::metadata(&setup).unwrap().permissions().mode() & 0o777, 0o600);
    let carried: serde_json::Value = serde_json::from_slice(&std::fs::read(&setup).unwrap()).unwrap();
    let port = carried["servers"][0]["server"]["port"].as_u64().unwrap();
    assert!(server.url.ends_with(&format!(":{port}")), "the real port, though 0 was asked: {carried}");
    assert!(refused(&home, &["clients", "setup", "pc-9"]).contains("clients reserve"));
    // An earlier setup file of the same computer is replaced, and nothing else ever is.
    stdout(&home, &["clients", "setup", "PC-1", "--out", setup.to_str().unwrap()]);
    let again: serde_json::Value = serde_json::from_slice(&std::fs::read(&setup).unwrap()).unwrap();
    assert_ne!(again["servers"][0]["enrollment_code"], carried["servers"][0]["enrollment_code"]);
    let precious = folder.path().join("precious.txt");
    std::fs::write(&precious, "mine").unwrap();
    let said = refused(&home, &["clients", "setup", "pc-1", "--out", precious.to_str().unwrap()]);
    assert!(said.contains("it is there already"), "{said}");
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "mine");
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let said = refused(&home, &["clients", "setup", "pc-1", "--out", pipe.to_str().unwrap()]);
    assert!(said.contains("it is there already"), "a named pipe is not waited for: {said}");
    assert!(json(&home, &["clients", "list", "--json"])["clients"][0]["name"] == "pc-1");
    let reserved = stdout(&home, &["clients", "show", "pc-1"]);
    assert!(reserved.contains("reserved") && reserved.contains("carry its setup file"), "{reserved}");

    stdout(&home, &["pull"]);
    let shown = stdout(&home, &["updates", "show", "acme-av:1.0"]);
    assert!(shown.contains("+ engine") && shown.contains(&manifest.to_string()), "{shown}");
    assert!(shown.contains("cyclonedx acme-av_1.0_any.attachment.sbom.json"), "{shown}");
    let attached = &json(&home, &["updates", "show", "acme-av:1.0", "--json"])["content"]["attachments"][0];
    assert_eq!(attached["target"], "acme-av_1.0_any.attachment.sbom.json");
    assert_eq!(attached["blob"]["sha256"], Sha256Digest::of(b"{}").to_string());
    let error = refused(&home, &["updates", "approve", "acme-av:1.0"]);
    assert!(error.contains("--digest"), "without a terminal nobody is asked: {error}");
    let other = Sha256Digest::of(b"other").to_string();
    assert!(
        refused(&home, &["updates", "approve", "acme-av:1.0", "--digest", &other])
            .contains("review it again")
    );
    stdout(&home, &["updates", "approve", "acme-av:1.0", "--digest", &manifest.to_string()]);
    assert!(json(&home, &["updates", "list", "--json"])["updates"][0]["state"] == "approved");

    over_tls(&home, folder.path(), &server.url);
    let log = stdout(&home, &["log", "--kind", "release_approved"]);
    assert_eq!(log.lines().count(), 1, "{log}");
    let mistyped = refused(&home, &["log", "--kind", "release_aproved"]);
    assert!(mistyped.contains("release_approved"), "a typing error is no empty log: {mistyped}");
    let since = |time: &str| stdout(&home, &["log", "--since", time, "--json"]);
    let whole = since("2000-01-01");
    let entries: Vec<serde_json::Value> =
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries[0]["sequence"], 1, "{whole}");
    assert_eq!(since(entries[0]["at"].as_str().unwrap()), whole, "the moment itself counts");
    let future = refused(&home, &["log", "--since", "2999-01-01T00:00:00Z"]);
    assert!(future.contains("lies in the future"), "{future}");
    assert!(stdout(&home, &["log", "verify"]).contains("the log is whole"));
    stop(server);
    assert!(stdout(&home, &["log", "verify"]).contains("the log is whole"), "also without a server");
    let text = std::fs::read_to_string(home.join("log/activity.log")).unwrap();
    assert!(text.contains("acme-av"), "{text}");
}

fn over_tls(home: &Path, folder: &Path, url: &str) {
    let token = folder.join("token");
    std::fs::write(&token, stdout(home, &["token", "new", "anna"])).unwrap();
    let ca = home.join("tls/ca.crt");
    let remote = |token: &Path| {
        let elsewhere = folder.join("elsewhere");
        distributor(&elsewhere)
            .args(["--server", url, "--token-file", token.to_str().unwrap(), "--ca", ca.to_str().unwrap()])
            .args(["status", "--json"])
            .output()
            .unwrap()
    };
    let exposed = remote(&token);
    assert!(String::from_utf8_lossy(&exposed.stderr).contains("chmod 600"), "a token that others can read");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let answer = remote(&token);
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    stdout(home, &["token", "revoke", "anna"]);
    let revoked = remote(&token);
    assert!(String::from_utf8_lossy(&revoked.stderr).contains("unauthenticated"));
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_that_would_move_the_cursor_are_refused_and_the_reason_is_shown_harmlessly() {
    let vendor = start_vendor(3).await;
    let mut draft = vendor.draft("1.0", &[("engine", b"one")]);
    draft.manifest.notes = "new: \u{1b}[2Jnothing".to_owned();
    vendor.publish(&draft, &["stable"]);
    let (url, root) = (vendor.url(), vendor.root_file());
    let walk = move || {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        stdout(
            &home,
            &["init", "--vendor-url", &url, "--root", root.to_str().unwrap(), "--address", "127.0.0.1"],
        );
        let server = serve(&home);
        stdout(&home, &["pull"]);
        assert!(json(&home, &["updates", "list", "--json"])["updates"][0]["state"] == "refused");
        let shown = stdout(&home, &["updates", "show", "acme-av:1.0"]);
        assert!(shown.contains("control character"), "{shown}");
        for output in [shown, stdout(&home, &["pull"]), stdout(&home, &["log"])] {
            assert!(!output.contains('\u{1b}'), "{output:?}");
        }
        assert!(refused(&home, &["updates", "approve", "acme-av:1.0", "--yes"]).contains("wrong_state"));
        stop(server);
    };
    tokio::task::spawn_blocking(walk).await.unwrap();
}
