//! The whole line on a computer with systemd: what packages bring runs, is confined, hears signals, and can be replaced
//! while a product that a hook started goes on and no caller is refused.

use std::fs;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Lab, Machine, Root, wait_until, workspace, write_executable, write_file};

use super::built::{Built, PACKAGES, require_tools};

const SERVICES: [&str; 3] =
    ["sealpost-publisher.service", "sealpost-distributor.service", "sealpost-agent.service"];
pub(crate) const PUBLISHER: &str =
    "runuser -u sealpost-publisher -- publisher --home /var/lib/sealpost-publisher";
const REPOSITORY: &str = "/var/lib/sealpost-publisher/repository";
pub(crate) const DISTRIBUTOR: &str = "distributor --home /var/lib/sealpost";
/// A product that runs until somebody ends it.
const PRODUCT: &str = "#!/bin/sh\nwhile :; do sleep 1; done\n";
/// Starts the product as its own process, as products do that are no units.
const START: &str = "#!/bin/sh\nsetsid \"$SEALPOST_CURRENT/scanner\" </dev/null >/dev/null 2>&1 &\necho $! >/run/scanner.pid\n";
/// Knocks at the server's port again and again, and writes down when nobody opens. In a shell of its own each time: one
/// whose redirection fails may end.
const KNOCKING: &str = "#!/bin/bash
touch /run/knocking
while [ -e /run/knocking ]; do
  if (exec 3<>/dev/tcp/127.0.0.1/16770); then echo 1 >>/run/let-in; else echo 1 >>/run/refused; fi
done
";

/// A computer with the packages of the first version, on which vendor, site and agent run. `start` is the product's
/// hook.
fn with_a_line(lab: &Lab, root: Root, start: &str) -> Result<Machine> {
    let machine = with_a_server(lab, root, &PACKAGES)?;
    machine.shell(&format!("{DISTRIBUTOR} clients setup pc-1 --out /srv/pc-1.setup.json"))?;

    machine.shell("agent-updater enroll --setup /srv/pc-1.setup.json --root /var/tmp/root.json")?;
    let settings = format!("[packages.scanner]\nstart = {start}\n");
    write_file(&machine.path("/var/lib/sealpost-agent/agent.toml"), settings)?;
    machine.enable(&["sealpost-agent.service"])?;
    machine.wait_until_active(SERVICES[2])?;
    Ok(machine)
}

/// A computer with these packages of the first version, on which vendor and site run; a seat is reserved for it.
pub(crate) fn with_a_server(lab: &Lab, root: Root, packages: &[&str]) -> Result<Machine> {
    let built = Built::of_version(lab, "0.1.0")?.lay_into(&root.path("/"))?;
    let is_wanted = |file: &&String| packages.iter().any(|package| file.contains(package));
    let wanted: Vec<&str> = built.iter().filter(is_wanted).map(String::as_str).collect();
    let machine = root.boot()?;
    machine.shell(&format!("dpkg -i {}", wanted.join(" ")))?;
    for service in SERVICES.iter().take(packages.len()) {
        ensure!(
            machine.property(service, "ActiveState")? == "inactive",
            "{service} was started by its package"
        );
        ensure!(
            machine.property(service, "UnitFileState")? == "disabled",
            "{service} was enabled by its package"
        );
    }
    // A start before there is a home does nothing, and does not fail.
    machine.shell("systemctl start sealpost-distributor.service")?;
    ensure!(machine.property("sealpost-distributor.service", "ConditionResult")? == "no");

    machine.shell(&format!("{PUBLISHER} init --vendor Acme --no-passphrase"))?;
    machine.enable(&["sealpost-publisher.socket", "sealpost-publisher.service"])?;
    machine.wait_until_active(SERVICES[0])?;
    release(&machine, "1.0")?;
    let serial = machine.shell(&format!("{PUBLISHER} serial new --seats 1 | head -n 1"))?;

    machine
        .shell("cp /var/lib/sealpost-publisher/root.json /var/tmp/root.json; chmod 644 /var/tmp/root.json")?;
    machine.shell(&format!(
        "{DISTRIBUTOR} init --vendor-url http://127.0.0.1:8080 --root /var/tmp/root.json \
         --address 127.0.0.1"
    ))?;
    machine.enable(&["sealpost-distributor.socket", "sealpost-distributor.service"])?;
    machine.wait_until_active(SERVICES[1])?;
    machine.shell(&format!("{DISTRIBUTOR} register {serial}"))?;
    // What root types for the home can be read by the service's user.
    machine.shell(&format!("(umask 077; {DISTRIBUTOR} token new ada >/srv/ada.token)"))?;
    machine.shell(
        "distributor --server https://127.0.0.1:16770 --ca /var/lib/sealpost/tls/ca.crt --token-file /srv/ada.token status",
    )?;
    machine.shell(&format!("{DISTRIBUTOR} clients reserve pc-1"))?;
    // The log is replayed by the confined server, in a temporary file of its own.
    let verified = machine.shell(&format!("{DISTRIBUTOR} log verify"))?;
    ensure!(verified.contains("the tables are as the log says"), "{verified}");
    Ok(machine)
}

/// Where no server of ours runs, the timer renews what ends within days.
fn refreshed_by_timer(machine: &Machine) -> Result<()> {
    let (service, timer) = ("sealpost-publisher-refresh.service", "sealpost-publisher-refresh.timer");
    let timestamp = || machine.shell(&format!("stat -c %Y.%i {REPOSITORY}/metadata/timestamp.json"));
    let before = timestamp()?;
    machine.shell(&format!("systemctl stop {} sealpost-publisher.socket", SERVICES[0]))?;
    machine.shell(&format!("systemctl start {service}")).with_context(|| machine.about(service))?;
    ensure!(machine.property(service, "Result")? == "success", "{}", machine.about(service));
    ensure!(timestamp()? != before, "nothing was renewed: {}", machine.about(service));
    machine.enable(&[timer])?;
    ensure!(machine.property(timer, "ActiveState")? == "active");
    ensure!(machine.property(timer, "Triggers")? == service, "the timer starts something else");
    let next = machine.property(timer, "NextElapseUSecRealtime")?;
    ensure!(!next.is_empty() && next != "n/a", "the timer never elapses");
    machine.shell(&format!("systemctl start sealpost-publisher.socket {}", SERVICES[0]))?;
    machine.wait_until_active(SERVICES[0])?;
    Ok(())
}

fn release(machine: &Machine, version: &str) -> Result<()> {
    let folder = format!("/srv/product-{version}");
    write_executable(&machine.path(&format!("{folder}/scanner")), PRODUCT)?;
    machine.shell(&format!("chmod -R a+rX {folder}"))?;
    machine.shell(&format!(
        "{PUBLISHER} release {folder} --package scanner --version {version} --kind program --channel stable"
    ))?;
    Ok(())
}

fn approve(machine: &Machine, version: &str) -> Result<()> {
    machine.shell(&format!("{DISTRIBUTOR} pull"))?;
    machine.shell(&format!("{DISTRIBUTOR} updates approve scanner:{version} --yes"))?;
    Ok(())
}

/// The process that runs a service now.
fn main_process(machine: &Machine, service: &str) -> Result<String> {
    machine.property(service, "MainPID")
}

/// Fails when the product is not the very process that the hook started.
fn product_runs(machine: &Machine, after: &str) -> Result<()> {
    let runs = machine.shell("kill -0 $(cat /run/scanner.pid) && wc -l </run/scanner.pid");
    ensure!(runs.is_ok_and(|lines| lines == "1"), "the product did not live through {after}");
    Ok(())
}

/// What the kernel says of the process of a service.
fn confinement(machine: &Machine, service: &str) -> Result<String> {
    let process = main_process(machine, service)?;
    machine.shell(&format!(
        "grep -E '^(NoNewPrivs|Seccomp|CapEff):' /proc/{process}/status | tr -s '\\t\\n' '  '"
    ))
}

#[test]
fn a_product_that_a_hook_started_lives_on_while_the_agent_is_restarted_killed_and_updated() -> Result<()> {
    require_tools("packages on a computer")?;
    let lab = Lab::new()?;
    let root = Root::new(&lab, "computer")?;
    write_executable(&root.path("/opt/acme/start"), START)?;
    let machine = with_a_line(&lab, root, "[\"/opt/acme/start\"]")?;
    approve(&machine, "1.0")?;
    wait_until("the hook has started the product", || Ok(machine.shell("test -s /run/scanner.pid").is_ok()))
        .with_context(|| machine.about(SERVICES[2]))?;
    // It lives among the agent's processes: what ends all of them would end it.
    let group = machine.shell("cat /proc/$(cat /run/scanner.pid)/cgroup")?;
    ensure!(group.contains("sealpost-agent.service"), "{group}");

    for service in &SERVICES[..2] {
        let said = confinement(&machine, service)?;
        ensure!(said.contains("NoNewPrivs: 1") && said.contains("Seccomp: 2"), "{service}: {said}");
        ensure!(said.contains("CapEff: 0000000000000000"), "{service}: {said}");
    }
    for service in SERVICES {
        let process = main_process(&machine, service)?;
        machine.shell(&format!("systemctl reload {service}"))?;
        machine.wait_until_active(service)?;
        ensure!(main_process(&machine, service)? == process, "SIGHUP ended {service}");
    }

    machine.shell("systemctl restart sealpost-agent.service")?;
    machine.wait_until_active(SERVICES[2])?;
    product_runs(&machine, "a restart of the agent")?;
    let process = main_process(&machine, SERVICES[2])?;
    machine.shell(&format!("kill -KILL {process}"))?;
    wait_until("systemd starts the agent again", || {
        let now = main_process(&machine, SERVICES[2])?;
        Ok(now != "0" && now != process && machine.property(SERVICES[2], "ActiveState")? == "active")
    })?;
    product_runs(&machine, "the death of the agent")?;

    // Everything is replaced by its next version while somebody knocks at the server's port.
    let before: Vec<String> =
        SERVICES.iter().map(|service| main_process(&machine, service)).collect::<Result<_>>()?;
    let packages = Built::of_version(&lab, "0.2.0")?.lay_into(&machine.path("/"))?;
    write_executable(&machine.path("/opt/acme/knocking"), KNOCKING)?;
    machine.shell("systemd-run --quiet --unit knocking /opt/acme/knocking")?;
    wait_until("the server lets callers in", || Ok(machine.shell("test -s /run/let-in").is_ok()))?;
    machine.shell(&format!("dpkg -i {}", packages.join(" ")))?;
    for (service, before) in SERVICES.iter().zip(before) {
        machine.wait_until_active(service)?;
        ensure!(main_process(&machine, service)? != before, "{service} was not replaced by its upgrade");
    }
    machine.shell("rm /run/knocking; test ! -e /run/refused")?;
    product_runs(&machine, "an update of the agent")?;

    refreshed_by_timer(&machine)?;
    // The line works on: the next release replaces the product.
    release(&machine, "1.1")?;
    approve(&machine, "1.1")?;
    // One that found no server for as long as the upgrade took asks again minutes later; one that is started asks at once.
    machine.shell("systemctl restart sealpost-agent.service")?;
    wait_until("the next release is installed", || {
        let current = machine.shell("agent-updater status --json").unwrap_or_default();
        Ok(current.contains("\"1.1\""))
    })?;

    machine.shell(&format!("dpkg -r {}", PACKAGES.join(" ")))?;
    product_runs(&machine, "the removal of the agent")?;
    let left = machine.shell(
        "systemctl list-unit-files --no-legend 'sealpost*' || true; systemctl list-units --no-legend --state=active 'sealpost*'; \
         find /etc/systemd -name 'sealpost*'",
    )?;
    ensure!(left.is_empty(), "of units is left: {left}");
    ensure!(fs::exists(machine.path("/var/lib/sealpost-agent/keys/client.key"))?);
    Ok(())
}

#[test]
fn a_service_gives_signs_of_life_and_one_that_hangs_is_started_again_and_a_confined_agent_works() -> Result<()>
{
    require_tools("the watchdog on a computer")?;
    let lab = Lab::new()?;
    let root = Root::new(&lab, "computer")?;
    for service in SERVICES {
        let drop_in = format!("/etc/systemd/system/{service}.d/short.conf");
        write_file(&root.path(&drop_in), "[Service]\nWatchdogSec=3\nTimeoutAbortSec=1\n")?;
    }
    // The product is a unit of its own, so the agent can be confined to its home.
    let strict = fs::read_to_string(workspace().join("service/units/sealpost-agent-strict.conf"))?;
    write_file(&root.path("/etc/systemd/system/sealpost-agent.service.d/strict.conf"), strict)?;
    write_file(
        &root.path("/etc/systemd/system/scanner.service"),
        "[Service]\nExecStart=/var/lib/sealpost-agent/products/scanner/current/scanner\n",
    )?;
    let machine = with_a_line(&lab, root, "[\"/usr/bin/systemctl\", \"start\", \"scanner.service\"]")?;
    approve(&machine, "1.0")?;
    machine.wait_until_active("scanner.service").with_context(|| machine.about(SERVICES[2]))?;
    let said = confinement(&machine, SERVICES[2])?;
    ensure!(said.contains("NoNewPrivs: 1") && said.contains("Seccomp: 2"), "{said}");

    for service in SERVICES {
        let sign = || machine.property(service, "WatchdogTimestampMonotonic");
        let first = sign()?;
        let mut signs = vec![first];
        wait_until(&format!("{service} gives signs of life"), || {
            let now = sign()?;
            if signs.last() != Some(&now) {
                signs.push(now);
            }
            Ok(signs.len() > 4)
        })?;
        ensure!(
            machine.property(service, "NRestarts")? == "0",
            "{service} was ended while it gave signs of life"
        );
    }
    let process = main_process(&machine, SERVICES[1])?;
    machine.shell(&format!("kill -STOP {process}"))?;
    wait_until("systemd replaces a server that hangs", || {
        Ok(machine.property(SERVICES[1], "NRestarts")? == "1"
            && machine.property(SERVICES[1], "ActiveState")? == "active")
    })?;
    machine.shell(&format!("{DISTRIBUTOR} status"))?;
    Ok(())
}
