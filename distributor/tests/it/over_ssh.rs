//! Installs over a real ssh: the system's client, and a server of OpenSSH on "another computer", which is this one with mounts
//! and processes of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::geteuid;
use sealpost_test_support::folders::{write_executable, write_file};
use sealpost_test_support::ports::free_port;
use sealpost_test_support::skips::skip;
use sealpost_test_support::wait::until;

use crate::installer::{here, site_with};
use crate::program::{distributor, parts, stdout, typed};
use crate::schedules::by;

/// Keeps what it got outside of its computer, and what every process of that one was started with.
const AGENT: &str = r#"#!/bin/sh
if [ "$1" = --version ]; then echo 'agent-updater 1.0'; exit 0; fi
if [ -e "$LAB/refuse" ]; then echo '{"code":"failed","message":"this computer refuses"}' >&2; exit 1; fi
echo run >>"$LAB/runs"
cp "$3/setup.json" "$LAB/setup.json"
for process in /proc/[0-9]*; do cat "$process/cmdline" "$process/environ" 2>/dev/null; done >"$LAB/started"
id -u >"$LAB/who"
ls -Ad /var/lib/.sealpost-ssh* /run/.sealpost-ssh* /usr/local/lib/.sealpost-ssh* >"$LAB/folder" 2>/dev/null
if [ -e "$LAB/hangs" ]; then sleep 300; fi
sleep 1
"#;
/// A sudo that never asks, and says what it was given.
const SUDO: &str =
    "#!/bin/sh\n[ \"$1 $2\" = '-n --' ] || exit 9\nshift 2\necho sudo >>\"$LAB/sudo\"\nexec \"$@\"\n";
/// What sshd shows everybody before it lets somebody in.
const BANNER: &str = "\u{1b}[2J\u{7}welcome\nREMOTE HOST IDENTIFICATION HAS CHANGED!\n";
/// The computer: its own /run, /var/lib and /usr/local/bin, and no process but its own.
const COMPUTER: &str = r#"
mount -t tmpfs tmpfs /run; mkdir -p /run/sshd
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /usr/local/bin; cp "$LAB/sudo.sh" /usr/local/bin/sudo; chmod 755 /usr/local/bin/sudo
mount -t proc proc /proc
exec /usr/sbin/sshd -D -e -f "$LAB/sshd_config"
"#;

/// A computer with a server of OpenSSH. It ends with this.
struct Computer {
    lab: PathBuf,
    port: u16,
    server: Child,
}

impl Computer {
    fn new(lab: &Path) -> Self {
        let keygen = |name: &&str| {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(lab.join(name));
            assert!(command.status().unwrap().success());
        };
        write_file(&lab.join("banner"), BANNER).unwrap();
        ["host", "other", "id"].iter().for_each(keygen);
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ecdsa", "-N", "", "-C", "", "-f"]).arg(lab.join("ecdsa"));
        assert!(command.status().unwrap().success());
        let port = free_port();
        let shown = lab.display();
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {shown}/host\nAuthorizedKeysFile {shown}/id.pub\nStrictModes no\n\
             Banner {shown}/banner\nUsePAM no\nPidFile none\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nSetEnv LAB={shown}\n"
        );
        write_file(&lab.join("sshd_config"), config).unwrap();
        write_executable(&lab.join("sudo.sh"), SUDO).unwrap();
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-ec",
            COMPUTER,
        ]);
        let log = fs::File::create(lab.join("sshd.log")).unwrap();
        command.env("LAB", lab).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let server = command.spawn().unwrap();
        let computer = Self { lab: lab.to_owned(), port, server };
        until("sshd listens", || computer.text("sshd.log").contains("Server listening on"));
        computer
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.lab.join(name)).unwrap_or_default()
    }

    /// What lies on the computer where install files work.
    fn left(&self) -> String {
        let pid = self.server.id().to_string();
        let mut left = Command::new("sh");
        let look = "nsenter --target $(cat /proc/$0/task/$0/children) --mount ls -A /var/lib";
        let left = left.args(["-c", look, &pid]).output().unwrap();
        assert!(left.status.success(), "{left:?}");
        String::from_utf8(left.stdout).unwrap()
    }

    /// Plans an install at once on a port of this machine.
    fn plan(&self, home: &Path, name: &str, target: &str, key: &str) {
        let key = self.lab.join(key);
        let arguments = [
            "clients",
            "schedule",
            name,
            "--at",
            "now",
            "--ssh",
            target,
            "--host-key",
            key.to_str().unwrap(),
        ];
        let planned = by(&self.lab, home, &arguments);
        assert!(planned.status.success(), "{planned:?}");
    }

    fn runs(&self, home: &Path, names: &[&str]) -> Output {
        self.runs_as(home, names, "id")
    }

    /// Runs it without a key of its own, beside an ssh-agent of the caller that holds one, or holds none.
    fn runs_by_agent(&self, home: &Path, names: &[&str], holds_it: bool) -> Output {
        let socket = self.lab.join("agent.socket");
        let mut agent =
            Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        until("the ssh-agent listens", || socket.exists());
        if holds_it {
            let mut add = Command::new("ssh-add");
            let add = add.arg("-q").arg(self.lab.join("id")).env("SSH_AUTH_SOCK", &socket);
            assert!(add.status().unwrap().success());
        }
        let mut command = distributor(home);
        command.args(["clients", "schedule", "run"]).args(names);
        command.env("HOME", &self.lab).env_remove("XDG_STATE_HOME").env("SSH_AUTH_SOCK", &socket);
        let output = command.env("PATH", std::env::var("PATH").unwrap()).output().unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
        fs::remove_file(&socket).unwrap();
        output
    }

    /// Runs what is due of these names with this private key of the lab.
    fn runs_as(&self, home: &Path, names: &[&str], identity: &str) -> Output {
        let id = self.lab.join(identity);
        let options = ["--identity", id.to_str().unwrap()];
        by(&self.lab, home, &[&["clients", "schedule", "run"], names, &options[..]].concat())
    }
}

impl Computer {
    /// A run is killed, and then all that goes on at the computer: what it began is nobody else's for half an hour, and the
    /// install file is gone.
    fn outlives_a_kill(&self, home: &Path) {
        fs::write(self.lab.join("hangs"), "").unwrap();
        let before = self.text("runs").len();
        let path = std::env::var("PATH").unwrap();
        let mut command = distributor(home);
        command.args(["clients", "schedule", "run", "pc-1", "--identity"]).arg(self.lab.join("id"));
        command.env("HOME", &self.lab).env_remove("XDG_STATE_HOME").env("PATH", path);
        let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("it hangs", || self.text("runs").len() > before && self.text("folder").is_empty());
        running.kill().unwrap();
        running.wait().unwrap();
        assert!(self.is_still_bounded(), "an ssh goes on that nothing ends");
        assert!(stdout(home, &["clients", "list"]).contains("Installing"));
        let (code, said, told) = parts(&self.runs(home, &["pc-1"]));
        assert!(
            code == Some(0) && said.is_empty() && told.contains("it is being installed since"),
            "{said}{told}"
        );
        let off = by(&self.lab, home, &["clients", "schedule", "pc-1", "--off"]);
        assert!(!off.status.success(), "{off:?}");
        assert_eq!(self.text("runs").len(), before + 4, "it was begun once");
    }
}

impl Computer {
    /// Whether an ssh to this computer goes on below a `timeout`.
    fn is_still_bounded(&self) -> bool {
        let port = format!("\0-p\0{}\0", self.port);
        fs::read_dir("/proc").unwrap().filter_map(Result::ok).any(|process| {
            let words = fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
            words.contains("timeout\0-k\0") && words.contains(&port)
        })
    }
}

impl Drop for Computer {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_real_ssh_an_install_file_runs_as_root_on_the_pinned_host_alone_and_its_code_stands_nowhere() {
    if !Path::new("/usr/sbin/sshd").exists() || !geteuid().is_root() {
        skip("installs over ssh: they need root's rights and `apt-get install openssh-server`").unwrap();
        return;
    }
    let (_vendor, site) = site_with(&here(), AGENT).await;
    let folder = tempfile::tempdir().unwrap();
    let lab = folder.path().to_owned();
    typed(&site, move |home| {
        let computer = Computer::new(&lab);
        let here = format!("127.0.0.1:{}", computer.port);
        computer.plan(home, "pc-1", &format!("root@{here}"), "host.pub");
        let (code, said, told) = parts(&computer.runs(home, &[]));
        assert_eq!(code, Some(0), "{said}{told}{}", computer.text("sshd.log"));
        assert!(said.starts_with("pc-1: installed over ssh on root@127.0.0.1:"), "{said}");
        assert_eq!((computer.text("who").trim(), computer.text("sudo").as_str()), ("0", ""));
        assert_eq!(computer.text("folder"), "", "the install file has no name there");
        let setup: serde_json::Value = serde_json::from_str(&computer.text("setup.json")).unwrap();
        assert_eq!(setup["computer_name"], "pc-1");
        let secret = setup["servers"][0]["enrollment_code"].as_str().unwrap();
        let (started, log) = (computer.text("started"), stdout(home, &["log", "--json"]));
        assert!(
            started.contains("install-file") && started.contains("umask 077; echo sealpost-install-begins"),
            "nothing was looked at"
        );
        for (what, text) in [
            ("words and environments", &started),
            ("what was printed", &said),
            ("what was told", &told),
            ("the log", &log),
            ("sshd's log", &computer.text("sshd.log")),
        ] {
            assert!(!text.contains(secret), "the code stands in {what}");
        }
        assert_eq!(computer.left(), "");

        // One with another key, one where nobody listens, and one that refuses; all at once.
        computer.plan(home, "pc-2", &format!("root@{here}"), "other.pub");
        computer.plan(home, "pc-3", &format!("root@127.0.0.1:{}", free_port()), "host.pub");
        // Whoever runs it logs in, who is not said to be root.
        computer.plan(home, "pc-4", &here, "host.pub");
        let (code, said, told) = parts(&computer.runs(home, &[]));
        assert_eq!(code, Some(1), "{said}{told}");
        assert!(
            said.contains("pc-2: host key changed") && said.contains("pc-3: unreachable"),
            "{said}{told}"
        );
        assert!(said.contains("Connection refused"), "{said}");
        assert!(
            said.contains("pc-4: installed over ssh on 127.0.0.1:") && said.contains(", by sudo"),
            "{said}"
        );
        assert_eq!(
            (computer.text("runs").as_str(), computer.text("sudo").as_str()),
            ("run\nrun\n", "sudo\n")
        );
        fs::write(lab.join("refuse"), "").unwrap();
        let (_, said, _) = parts(&computer.runs(home, &["pc-1"]));
        assert!(said.contains("pc-1: failed") && said.contains("this computer refuses"), "{said}");
        fs::remove_file(lab.join("refuse")).unwrap();
        assert_eq!(computer.left(), "", "nothing stays of one that failed");

        // A key of another kind is another key, and a credential that the host does not take is no changed host.
        computer.plan(home, "pc-2", &format!("root@{here}"), "ecdsa.pub");
        let (_, said, told) = parts(&computer.runs(home, &["pc-2"]));
        assert!(said.contains("pc-2: host key changed"), "{said}{told}");
        let (_, said, _) = parts(&computer.runs_as(home, &["pc-3", "pc-1"], "other"));
        assert!(
            said.contains("pc-1: unreachable") && said.contains("Permission denied (publickey"),
            "{said}"
        );
        assert!(!said.contains("welcome") && !said.contains('\u{1b}'), "{said}");
        assert_eq!(computer.text("runs"), "run\nrun\n");

        // Without --identity the caller's own agent is asked, and nobody else.
        let (_, said, _) = parts(&computer.runs_by_agent(home, &["pc-1"], false));
        assert!(
            said.contains("pc-1: unreachable") && said.contains("Permission denied (publickey"),
            "{said}"
        );
        assert_eq!(computer.text("runs"), "run\nrun\n");
        let (code, said, told) = parts(&computer.runs_by_agent(home, &["pc-1"], true));
        assert!(code == Some(0) && said.contains("pc-1: installed over ssh"), "{said}{told}");
        assert_eq!(computer.text("runs"), "run\nrun\nrun\n");
        fs::write(lab.join("runs"), "run\nrun\n").unwrap();

        // Two admins at once: one has it.
        let both = std::thread::scope(|scope| {
            let other = scope.spawn(|| computer.runs(home, &["pc-1"]));
            [computer.runs(home, &["pc-1"]), other.join().unwrap()]
        });
        let said = both.iter().map(|output| parts(output).1).collect::<String>();
        assert_eq!(said.matches("pc-1: installed").count(), 1, "{both:?}");
        assert_eq!(computer.text("runs"), "run\nrun\nrun\n", "{both:?}");
        computer.outlives_a_kill(home);
    })
    .await;
}
