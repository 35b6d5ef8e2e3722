//! `distributor firewall` on the real nftables: two computers that are network namespaces with a cable between them, and
//! connections that pass or do not.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Lab, Output, Tool, run, wait_until, write_file};

/// The server's addresses, and two of the other computer: one in each subnet.
const ADDRESSES: [(&str, &str); 2] = [("10.77.0.1", "10.77.0.2"), ("fd77::1", "fd77::2")];
const OTHER_SUBNET: &str = "10.78.0.2";
/// Accepts until it is killed, over both versions of IP.
const LISTENER: &str = "\
import socket, sys
s = socket.create_server(('::', int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
print('listening', flush=True)
while True:
    s.accept()[0].close()
";
/// Connects from one address to another. What is dropped is not answered, so that waiting has to have an end.
const CONNECT: &str = "\
import socket, sys
try:
    socket.create_connection((sys.argv[2], int(sys.argv[3])), timeout=1.5, source_address=(sys.argv[1], 0))
    print('passed')
except (TimeoutError, ConnectionRefusedError):
    print('kept out')
";

/// A network of its own, as long as this is kept.
struct Network {
    keeper: Child,
}

impl Network {
    fn new() -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sleep", "600"]).stdin(Stdio::null());
        let network = Self { keeper: command.spawn().context("cannot start unshare")? };
        let link = |process: &str| fs::read_link(format!("/proc/{process}/ns/net"));
        let own = link("self")?;
        wait_until("the network is there", || Ok(link(&network.process())? != own))?;
        network.shell("ip link set lo up")?;
        Ok(network)
    }

    fn process(&self) -> String {
        self.keeper.id().to_string()
    }

    /// A command in it.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.process(), "--net", program]);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
        command
    }

    fn shell(&self, line: &str) -> Result<String> {
        let mut command = self.command("sh");
        command.args(["-ec", line]);
        run(command)?.ok()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// The server's computer, another one, and a program that listens at the server's port.
struct Cable {
    lab: Lab,
    server: Network,
    other: Network,
    home: PathBuf,
    listeners: Vec<Child>,
}

impl Cable {
    fn new(test: &str) -> Result<Self> {
        Tool::Nft.require(test)?;
        Tool::Python.require(test)?;
        Tool::require_root(test)?;
        let lab = Lab::new()?;
        let (server, other) = (Network::new()?, Network::new()?);
        server.shell(&format!("ip link add cable type veth peer name cable netns {}", other.process()))?;
        for (network, number) in [(&server, 0), (&other, 1)] {
            network.shell("ip link set cable up")?;
            for (own, others) in ADDRESSES {
                let address = if number == 0 { own } else { others };
                // Without a look for doubles an IPv6 address can be used at once.
                let (width, more) = if address.contains(':') { (64, "nodad") } else { (24, "") };
                network.shell(&format!("ip address add {address}/{width} dev cable {more}"))?;
            }
        }
        other.shell(&format!("ip address add {OTHER_SUBNET}/32 dev cable"))?;
        server.shell(&format!("ip route add {OTHER_SUBNET}/32 dev cable"))?;
        let home = lab.path("home");
        write_file(
            &home.join("distributor.toml"),
            "vendor_url = \"http://127.0.0.1:1\"\nlisten = \"[::]:17700\"\n",
        )?;
        let mut cable = Self { lab, server, other, home, listeners: Vec::new() };
        for port in ["17700", "17701"] {
            let mut listener = cable.server.command("python3");
            let said = fs::File::create(cable.lab.path(port))?;
            listener.args(["-c", LISTENER, port]).stdout(said);
            cable.listeners.push(listener.spawn()?);
            wait_until("something listens", || Ok(fs::metadata(cable.lab.path(port))?.len() > 0))?;
        }
        Ok(cable)
    }

    /// `distributor firewall …` on the server's computer.
    fn firewall(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.server.command("env");
        command.arg("--").arg(self.lab.programs().path("distributor")).arg("--home").arg(&self.home);
        command.arg("firewall").args(arguments);
        run(command)
    }

    fn passes(&self, from: &str, to: &str, port: &str) -> Result<bool> {
        connects(&self.other, from, to, port)
    }

    /// Whether the other computer gets through, by its address in the same subnet, over IPv6, and by another address.
    fn ways(&self, port: &str) -> Result<[bool; 3]> {
        let [(server4, other4), (server6, other6)] = ADDRESSES;
        Ok([
            self.passes(other4, server4, port)?,
            self.passes(other6, server6, port)?,
            self.passes(OTHER_SUBNET, server4, port)?,
        ])
    }

    fn ruleset(&self) -> Result<String> {
        self.server.shell("nft list ruleset")
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for listener in &mut self.listeners {
            let _ = listener.kill();
            let _ = listener.wait();
        }
    }
}

fn connects(network: &Network, from: &str, to: &str, port: &str) -> Result<bool> {
    let mut command = network.command("python3");
    command.args(["-c", CONNECT, from, to, port]);
    match run(command)?.ok()?.trim() {
        "passed" => Ok(true),
        "kept out" => Ok(false),
        said => anyhow::bail!("what is that? {said}"),
    }
}

#[test]
fn the_port_is_open_for_whom_it_was_opened_and_the_admins_own_table_is_left_alone_and_named() -> Result<()> {
    let cable = Cable::new("firewall")?;
    ensure!(cable.ways("17700")? == [true; 3], "without any rule all get through");
    ensure!(cable.ruleset()?.is_empty());

    // Nobody can be asked here: it says what it would do, and does nothing.
    let said = cable.firewall(&["open", "--from", "10.77.0.0/24"])?;
    ensure!(said.status.code() == Some(1), "{}", said.text());
    ensure!(said.stdout.contains("ip saddr { 10.77.0.0/24 } tcp dport 17700 accept"), "{}", said.stdout);
    ensure!(said.stderr.contains("nothing was changed"), "{}", said.stderr);
    ensure!(cable.ruleset()?.is_empty(), "something was changed");

    // For one subnet: all others are kept out, over IPv6 too, and other ports are as they were.
    let said = cable.firewall(&["open", "--from", "10.77.0.0/24", "--yes"])?.ok()?;
    ensure!(said.contains("port 17700 is open for 10.77.0.0/24, and closed to all others"), "{said}");
    ensure!(said.contains("nftables forgets this"), "{said}");
    ensure!(cable.ways("17700")? == [true, false, false], "{said}");
    ensure!(cable.ways("17701")? == [true; 3], "another port is concerned");
    ensure!(connects(&cable.server, "127.0.0.1", "127.0.0.1", "17700")?, "this computer itself is kept out");
    let once = cable.ruleset()?;
    let said = cable.firewall(&["open", "--from", "10.77.0.0/24", "--yes"])?.ok()?;
    ensure!(said.contains("it is so already; nothing was run"), "{said}");
    ensure!(cable.ruleset()? == once);

    // Other subnets take their place. Neighbors are listed as one range.
    let subnets = ["10.78.0.0/24", "10.78.1.0/24", "10.78.2.0/24", "fd77::/64"];
    let from: Vec<&str> = subnets.iter().flat_map(|subnet| ["--from", subnet]).collect();
    let arguments = [&["open", "--yes"], from.as_slice()].concat();
    cable.firewall(&arguments)?.ok()?;
    ensure!(cable.ways("17700")? == [false, true, true], "{}", cable.ruleset()?);
    let said = cable.firewall(&arguments)?.ok()?;
    ensure!(said.contains("it is so already"), "a range is not known again: {said}");
    let said = cable.firewall(&["show"])?.ok()?;
    ensure!(said.contains("open for 10.78.0.0/23, 10.78.2.0/24, fd77::/64"), "{said}");

    // A chain of the admin drops it all the same; it is named, and not changed.
    cable.server.shell(
        "nft 'table inet admins { chain incoming { type filter hook input priority 0; policy drop; \
         ct state established,related accept; tcp dport 22 accept; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; }; }'",
    )?;
    let admins = cable.server.shell("nft list table inet admins")?;
    let said = cable.firewall(&["open", "--yes"])?;
    ensure!(said.status.code() == Some(1), "an opening that does nothing is no success: {}", said.text());
    ensure!(
        said.stdout
            .contains("the table inet admins has a chain incoming that drops connections to port 17700"),
        "{}",
        said.stdout
    );
    ensure!(cable.ways("17700")? == [false; 3]);
    ensure!(cable.server.shell("nft list table inet admins")? == admins, "the admin's table was changed");
    // What it says to type opens the port there too.
    let typed =
        said.stdout.split('`').find(|part| part.starts_with("nft insert")).context("a line to type")?;
    cable.server.shell(typed)?;
    let said = cable.firewall(&["show"])?.ok()?;
    ensure!(said.contains("open for everybody") && !said.contains("admins"), "{said}");
    ensure!(cable.ways("17700")? == [true; 3]);

    let admins = cable.server.shell("nft list table inet admins")?;
    cable.firewall(&["close", "--yes"])?.ok()?;
    ensure!(cable.ruleset()?.trim() == admins.trim(), "something else is left than the admin's table");
    let said = cable.firewall(&["close", "--yes"])?.ok()?;
    ensure!(said.contains("it is so already") && said.contains("not opened by this command"), "{said}");
    Ok(())
}

#[test]
fn the_file_for_the_next_start_opens_the_same_and_no_file_or_table_of_others_is_replaced() -> Result<()> {
    let cable = Cable::new("the file of the firewall")?;
    let file = cable.lab.path("sealpost.nft").to_string_lossy().into_owned();
    let arguments = ["open", "--from", "10.78.0.0/24", "--port", "17701", "--write", &file, "--yes"];
    cable.firewall(&arguments)?.ok()?;
    let ruleset = cable.ruleset()?;
    cable.firewall(&arguments)?.ok()?;
    cable.server.shell("nft flush ruleset")?;
    ensure!(cable.ways("17701")? == [true; 3]);
    for _ in 0..2 {
        cable.server.shell(&format!("nft -f {file}"))?;
        ensure!(cable.ruleset()? == ruleset, "the file makes another table");
    }
    ensure!(cable.ways("17701")? == [false, false, true]);
    let said = cable.firewall(&["close", "--yes"])?.refused()?;
    ensure!(said.contains("`--port 17701`"), "{said}");
    let said = cable.firewall(&["close", "--port", "17701", "--yes"])?.ok()?;
    ensure!(said.contains("`distributor firewall close --remove FILE`"), "{said}");
    // Also where the port is closed already; and nothing but the file that it wrote.
    let said = cable.firewall(&["close", "--port", "17701", "--remove", &file, "--yes"])?.ok()?;
    ensure!(said.contains("and to be removed: ") && !cable.lab.path("sealpost.nft").exists(), "{said}");
    write_file(&cable.lab.path("own.nft"), "flush ruleset\n")?;
    for (path, why) in [("own.nft", "did not write"), ("sealpost.nft", "is not there")] {
        let path = cable.lab.path(path).to_string_lossy().into_owned();
        let said = cable.firewall(&["close", "--port", "17701", "--remove", &path, "--yes"])?.refused()?;
        ensure!(said.contains(why), "{said}");
    }
    ensure!(cable.lab.path("own.nft").exists());

    write_file(&cable.lab.path("sealpost.nft"), "flush ruleset\n")?;
    let said = cable.firewall(&arguments)?.refused()?;
    ensure!(said.contains("did not write it") && cable.ruleset()?.is_empty(), "{said}");
    ensure!(fs::read_to_string(&file)? == "flush ruleset\n");

    cable.server.shell("nft add table inet sealpost; nft add chain inet sealpost mine")?;
    let own = cable.ruleset()?;
    for arguments in [["open", "--yes"], ["close", "--yes"]] {
        let said = cable.firewall(&arguments)?.refused()?;
        ensure!(said.contains("a chain named mine, which this command did not write"), "{said}");
    }
    ensure!(cable.ruleset()? == own, "somebody else's table was changed");
    Ok(())
}

#[test]
fn without_a_tool_the_lines_to_type_are_told_and_without_a_home_the_port_is_the_usual_one() -> Result<()> {
    Tool::require_root("a computer without a packet filter")?;
    let lab = Lab::new()?;
    fs::create_dir(lab.path("empty"))?;
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$0\" /usr/sbin && exec \"$@\"";
    command.args(["--mount", "--net", "sh", "-ec", script]).arg(lab.path("empty"));
    command.arg(lab.programs().path("distributor")).arg("--home").arg(lab.path("none"));
    command.args(["firewall", "open", "--yes"]).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    let said = run(command)?.refused()?;
    for line in [
        "about port 16770, the usual one",
        "nft insert rule inet filter input tcp dport 16770 accept",
        "ufw allow 16770/tcp",
    ] {
        ensure!(said.contains(line), "{said}");
    }
    Ok(())
}
