//! What root types for a home of another user.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::program::{distributor, stdout};
use crate::vendor::start_vendor;

/// A user without rights, as whom nothing else runs in the tests.
const OWNER: u32 = 65_534;

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_a_home_gets_no_hand_on_the_process_in_which_root_works_there() {
    if !rustix::process::geteuid().is_root() {
        sealpost_test_support::skips::needs("root").unwrap();
        return;
    }
    let vendor = start_vendor(1).await;
    let (url, root) = (vendor.url(), vendor.root_file());
    tokio::task::spawn_blocking(move || works_unseen(&url, &root)).await.unwrap();
}

fn chown_all(path: &Path) {
    chown(path, Some(OWNER), Some(OWNER)).unwrap();
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| chown_all(&entry.unwrap().path()));
    }
}

fn works_unseen(vendor_url: &str, root: &Path) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let home = folder.path().join("home");
    let root = root.to_str().unwrap();
    stdout(&home, &["init", "--vendor-url", vendor_url, "--root", root, "--address", "127.0.0.1"]);
    let lock = home.join("admin-tokens.lock");
    // While it is held, a command waits.
    let held = File::create(&lock).unwrap();
    held.lock().unwrap();
    chown_all(&home);
    let mut command = distributor(&home);
    command.args(["token", "new", "ada"]).env("SEALPOST_SECRET_OF_ROOT", "secret");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let process = format!("/proc/{}", child.id());
    let told = |name: &str| {
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let nobody = vec![OWNER.to_string(); 4];
    let mut turns = 0;
    while told("Uid:") != nobody {
        assert!(turns < 1000, "it stays root");
        turns += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(told("Gid:"), nobody);
    assert_eq!(told("Groups:"), Vec::<String>::new());
    assert_eq!((told("CapEff:"), told("CapPrm:")), (vec!["0".repeat(16)], vec!["0".repeat(16)]));
    // Reading a process's environment or files, and writing its memory, ask what attaching to it asks.
    for (program, path) in [("cat", "environ"), ("ls", "fd/"), ("readlink", "exe"), ("cat", "syscall")] {
        let mut owner = Command::new(program);
        owner.arg(format!("{process}/{path}")).uid(OWNER).gid(OWNER);
        let seen = owner.output().unwrap();
        assert!(!seen.status.success(), "the owner sees {path}: {}", String::from_utf8_lossy(&seen.stdout));
    }
    let mut owner = Command::new("dd");
    owner.args(["if=/dev/null".to_owned(), format!("of={process}/mem"), "conv=notrunc".to_owned()]);
    assert!(!owner.uid(OWNER).gid(OWNER).output().unwrap().status.success(), "the owner opens its memory");
    assert!(child.try_wait().unwrap().is_none(), "it was still there");
    drop(held);
    assert!(child.wait().unwrap().success());
    use std::os::unix::fs::MetadataExt;
    for file in ["admin-tokens.json", "ledger.db"] {
        assert_eq!(fs::metadata(home.join(file)).unwrap().uid(), OWNER, "{file}");
    }
    // The log names whoever typed it, and not the owner.
    let log = stdout(&home, &["log", "export", "-"]);
    let made = log.lines().find(|line| line.contains("admin_token_made")).unwrap();
    assert!(made.contains(r#"{"kind":"socket","id":"root"}"#), "{made}");
}
