//! `distributor firewall` with ufw and firewalld, which need a computer of their own: programs that answer as these do, and
//! keep what they are told. nftables itself is tested end to end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::program::{distributor, parts};
use crate::terminal::answered_by;

/// ufw 0.36: rules are listed as it would take them again. Writes down how it is called.
const UFW: &str = r#"#!/bin/sh
here=$(dirname "$0")
env >>"$here/environment"
echo "$*" >>"$here/called"
listed() {
  words="$*"
  case $1 in deny|allow) ;; *) exit 1 ;; esac
  comment=${words##* comment }
  [ "$comment" = "$words" ] && comment= || comment=" comment '$comment'"
  words=${words%% comment *}
  set -- $words
  if [ "$2" = proto ]; then echo "ufw $1 from $5 to any port $9 proto $3$comment"; else echo "ufw $words$comment"; fi
}
# The ninth word of `allow proto tcp from SUBNET to any port PORT` is its last one.
case $1 in
  status) echo 'Status: active'; echo 'Logging: on (low)'; echo 'Default: deny (incoming), allow (outgoing), disabled (routed)' ;;
  show) echo "Added user rules (see 'ufw status' for running firewall):"; cat "$here/rules" ;;
  delete) shift; gone=$(listed "$@"); grep -v "^$gone" "$here/rules" >"$here/rest"; mv "$here/rest" "$here/rules"; echo 'Rule deleted' ;;
  *) [ ! -e "$here/broken" ] || { echo 'ERROR: problem running iptables' >&2; exit 1; }; listed "$@" >>"$here/rules"; echo 'Rule added' ;;
esac
"#;

/// firewalld 1.3, with what it keeps beside what runs.
const FIREWALLD: &str = r#"#!/bin/sh
here=$(dirname "$0")
if [ ! -e "$here/runs" ]; then echo 'not running' >&2; exit 252; fi
echo "$*" >>"$here/called"
set_of=now
for word; do
  case $word in
    --permanent) set_of=kept ;;
    --zone=public) ;;
    --state) echo running ;;
    --get-default-zone) echo public ;;
    --get-active-zones) printf 'public (default)\n  interfaces: eth0\n' ;;
    --get-target) echo default ;;
    --list-ports) tr '\n' ' ' <"$here/$set_of.ports"; echo ;;
    --list-rich-rules) cat "$here/$set_of.rich" ;;
    --add-port=*) echo "${word#*=}" >>"$here/$set_of.ports"; echo success ;;
    --add-rich-rule=*) echo "${word#*=}" >>"$here/$set_of.rich"; echo success ;;
    --remove-port=*) grep -vxF "${word#*=}" "$here/$set_of.ports" >"$here/rest"; mv "$here/rest" "$here/$set_of.ports" ;;
    --remove-rich-rule=*) grep -vxF "${word#*=}" "$here/$set_of.rich" >"$here/rest"; mv "$here/rest" "$here/$set_of.rich" ;;
    *) exit 2 ;;
  esac
done
"#;

fn tools() -> Option<TempDir> {
    if !rustix::process::geteuid().is_root() {
        sealpost_test_support::skips::needs("root").unwrap();
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("ufw", UFW), ("firewall-cmd", FIREWALLD)] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for name in ["rules", "called", "now.ports", "now.rich", "kept.ports", "kept.rich"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    Some(folder)
}

fn firewall(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = distributor(&folder.join("home"));
    command.arg("firewall").args(arguments);
    command.env("PATH", format!("{}:/usr/bin:/bin", folder.display())).env("SEALPOST_TOLD", "secret");
    command
}

fn ran(folder: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    parts(&firewall(folder, arguments).output().unwrap())
}

#[test]
fn ufw_is_asked_and_told_as_it_takes_it_and_only_after_a_yes() {
    let Some(folder) = tools() else { return };
    let folder = folder.path();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    fs::write(folder.join("rules"), "ufw allow 22/tcp\n").unwrap();
    let open = ["open", "--from", "10.1.0.0/16"];
    let printed =
        "to be run as root:\n  ufw allow proto tcp from 10.1.0.0/16 to any port 16770 comment sealpost\n";
    // Without a terminal, and with a no at one, nothing is run.
    let (code, out, told) = ran(folder, &open);
    assert_eq!((code, out.as_str()), (Some(1), printed));
    assert!(told.contains("with --yes it is run"), "{told}");
    let (code, out, told) = answered_by(firewall(folder, &open), "\n");
    assert_eq!((code, out.as_str()), (Some(1), printed));
    assert!(told.contains("Run it? [y/N]") && told.contains("nothing was changed"), "{told}");
    assert_eq!(read("rules"), "ufw allow 22/tcp\n");

    let (code, out, _) = answered_by(firewall(folder, &open), "y\n");
    let shown = "ufw: port 16770 is open for 10.1.0.0/16, and closed to all others but this computer\n";
    assert_eq!((code, out), (Some(0), format!("{printed}{shown}")));
    let ours = "ufw allow from 10.1.0.0/16 to any port 16770 proto tcp comment 'sealpost'\n";
    assert_eq!(read("rules"), format!("ufw allow 22/tcp\n{ours}"));
    let (code, out, _) = ran(folder, &[&open, ["--yes"].as_slice()].concat());
    assert_eq!((code, out), (Some(0), format!("it is so already; nothing was run\n{shown}")));
    // It gets no word of the environment that root's shell has.
    assert!(read("environment").contains("LC_ALL=C") && !read("environment").contains("SEALPOST"));

    // What ran before a failure is told.
    fs::write(folder.join("broken"), "").unwrap();
    let (code, _, told) = ran(folder, &["open", "--from", "10.2.0.0/16", "--yes"]);
    assert_eq!(code, Some(1));
    assert!(told.contains("what ran before stands") && told.contains("problem running iptables"), "{told}");
    fs::remove_file(folder.join("broken")).unwrap();
    let (code, out, _) = ran(folder, &["open", "--yes"]);
    assert_eq!(code, Some(0), "{out}");
    assert_eq!(read("rules"), "ufw allow 22/tcp\nufw allow 16770/tcp comment 'sealpost'\n");
    let (code, _, told) = ran(folder, &["open", "--write", "/nonexistent/file", "--yes"]);
    assert_eq!(code, Some(1));
    assert!(told.contains("ufw keeps its rules by itself"), "{told}");
    let (code, out, _) = ran(folder, &["close", "--yes"]);
    assert_eq!(code, Some(0), "{out}");
    assert_eq!(read("rules"), "ufw allow 22/tcp\n");
}

#[test]
fn firewalld_that_runs_comes_before_ufw_and_keeps_what_it_is_told() {
    let Some(folder) = tools() else { return };
    let folder = folder.path();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    fs::write(folder.join("runs"), "").unwrap();
    for set in ["now", "kept"] {
        fs::write(folder.join(format!("{set}.ports")), "22/tcp\n").unwrap();
    }
    let (code, out, _) = ran(folder, &["show"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("firewalld: port 16770 is not opened by this command\n"), "{out}");
    let (code, out, _) = ran(folder, &["open", "--yes"]);
    assert_eq!(code, Some(0), "{out}");
    for set in ["now", "kept"] {
        assert_eq!(read(&format!("{set}.ports")), "22/tcp\n16770/tcp\n");
    }
    let (code, out, _) = ran(folder, &["open", "--from", "fd00::/8", "--yes"]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("port 16770 is open for fd00::/8"), "{out}");
    for set in ["now", "kept"] {
        assert_eq!(read(&format!("{set}.ports")), "22/tcp\n");
        let rule =
            "rule family=\"ipv6\" source address=\"fd00::/8\" port port=\"16770\" protocol=\"tcp\" accept\n";
        assert_eq!(read(&format!("{set}.rich")), rule);
    }
    let (code, out, _) = ran(folder, &["close", "--yes"]);
    assert_eq!(code, Some(0), "{out}");
    for set in ["now", "kept"] {
        assert_eq!(
            (read(&format!("{set}.ports")), read(&format!("{set}.rich"))),
            ("22/tcp\n".to_owned(), String::new())
        );
    }
    assert!(!folder.join("environment").exists(), "ufw was asked");
}

#[test]
fn what_is_no_subnet_or_port_and_a_configuration_that_cannot_be_read_are_refused_before_a_tool_is_asked() {
    let Some(folder) = tools() else { return };
    let folder = folder.path();
    for arguments in [
        ["open", "--from", "10.1.2.3/16"],
        ["open", "--from", "10.1.0.0"],
        ["open", "--from", "everybody"],
        ["open", "--port", "0"],
        ["close", "--port", "65536"],
    ] {
        assert_eq!(ran(folder, &arguments).0, Some(2), "{arguments:?}");
    }
    fs::create_dir(folder.join("home")).unwrap();
    let configure = |text: &str| fs::write(folder.join("home/distributor.toml"), text).unwrap();
    configure("listen = 7");
    let (code, _, told) = ran(folder, &["open", "--yes"]);
    assert_eq!(code, Some(1));
    assert!(told.contains("name it with --port"), "{told}");
    assert!(!folder.join("environment").exists(), "a tool was asked");
    configure("vendor_url = 'http://127.0.0.1:1'\nlisten = '127.0.0.1:443'");
    let (code, out, told) = ran(folder, &["open"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("ufw allow 443/tcp") && told.contains("127.0.0.1:443 only"), "{out}{told}");
}
