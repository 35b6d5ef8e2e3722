//! The steps of an install file, in their order.

use std::fs;
use std::path::{Path, PathBuf};

use sealpost_files::{PUBLIC, read_bounded, with_causes};
use sealpost_hook_runner::ownership::ensure_not_writable_by_others;
use sealpost_manifests::document;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::setup::{MAX_SETUP_BYTES, ServerRole, SetupFile};
use sealpost_service::unit::{self, Layout, Program, Strict, Users};

use super::order::{
    CONFIG, FirstInstallError, HOOKS, HOOKS_PLACE, Mode, Order, Outcome, PACKAGED, PROGRAM, PROGRAM_PLACE,
    ROOT, SETUP, Step, io_error,
};
use super::system::{
    are_same, ensure_nobody_else_lays, has_systemd, lay, systemctl, systemctl_says, version_of,
};
use crate::config::Settings;
use crate::flows::context::Context;
use crate::flows::enroll::{OtherName, add, enroll, known_as};
use crate::records::servers;

/// Mode of programs and hooks.
const EXECUTABLE: u32 = 0o755;
/// The step of the agent's configuration.
const CONFIGURATION: &str = "configuration";
/// Most hooks of one install file.
const MAX_HOOKS: usize = 64;
/// The unit of the agent, which is laid and started.
pub(super) const SERVICE: &str = "sealpost-agent.service";

/// Tells a step when it is done.
type Tell<'t> = &'t mut dyn FnMut(Step);

/// Installs what an install file brought, and tells each step. What is so already is left as it is.
///
/// # Errors
/// [`FirstInstallError`]; what was done before stays, and the same again goes on.
pub fn install(context: &Context, order: Order<'_>, tell: Tell<'_>) -> Result<(), FirstInstallError> {
    let (setup, name) = setup_of(order.from)?;
    let home = &context.host.home;
    let _lock = if order.mode == Mode::Do { Some(home.wait_for_install()?) } else { None };
    let known = known_as(home, &setup);
    if let Some(known) = known.as_ref().filter(|known| known.name != name) {
        return Err(FirstInstallError::OtherName { enrolled: known.name.clone(), asked: name });
    }
    let has_config = brings_config(order, home.path())?;
    ensure_places(order)?;
    let (executable, is_new_program) = program(order, tell)?;
    if has_config {
        config(order, home.path(), tell)?;
    }
    let issued_at = known.map(|known| known.setup_issued_at);
    hooks(order, issued_at.is_some_and(|issued_at| issued_at > setup.issued_at), tell)?;
    told_of_bad_config(home.path(), tell);
    let is_enrolled = issued_at.is_some_and(|issued_at| issued_at >= setup.issued_at);
    let is_beside = setup.servers.iter().any(|listed| listed.server.role == ServerRole::Secondary);
    enrollment(context, order, &name, (is_enrolled, is_beside), tell)?;
    let is_new_unit = service(order, &executable, home.path(), tell)?;
    start(order, is_new_program || is_new_unit, tell)
}

fn setup_of(from: &Path) -> Result<(SetupFile, ComputerName), FirstInstallError> {
    for (file, what) in [(PROGRAM, "the program"), (ROOT, "the vendor's root"), (SETUP, "the setup file")] {
        if !is_plain_file(&from.join(file)) {
            return Err(FirstInstallError::Missing(what));
        }
    }
    let path = from.join(SETUP);
    let bytes = read_bounded(&path, MAX_SETUP_BYTES).map_err(io_error("read", &path))?;
    let setup: Option<SetupFile> = bytes.and_then(|bytes| document::read(&bytes).ok());
    let setup = setup.ok_or(FirstInstallError::Missing("the setup file"))?;
    let name =
        setup.reserved_name().cloned().map_err(|_| FirstInstallError::Missing("the computer's name"))?;
    Ok((setup, name))
}

/// Nobody else may be able to put something in the place of what is to be laid, since root runs it from there.
fn ensure_places(order: Order<'_>) -> Result<(), FirstInstallError> {
    if !order.system.join(PACKAGED).is_file() {
        ensure_nobody_else_lays(&order.system.join(PROGRAM_PLACE))?;
    }
    if !hooks_in(order.from)?.is_empty() {
        ensure_nobody_else_lays(&order.system.join(HOOKS_PLACE).join(HOOKS))?;
    }
    Ok(())
}

/// Whether it is a file, and no link to one.
fn is_plain_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

/// Where the program lies from now on, and whether it came there now.
fn program(order: Order<'_>, tell: Tell<'_>) -> Result<(PathBuf, bool), FirstInstallError> {
    const WHAT: &str = "program";
    let packaged = order.system.join(PACKAGED);
    if packaged.is_file() {
        ensure_not_writable_by_others(&packaged)?;
        tell(Step {
            what: WHAT,
            outcome: Outcome::WasSo,
            says: format!("/{PACKAGED} is there, from a package"),
        });
        return Ok((Path::new("/").join(PACKAGED), false));
    }
    let (place, executable) = (order.system.join(PROGRAM_PLACE), Path::new("/").join(PROGRAM_PLACE));
    // It updates itself, so one that runs here is as new as this one or newer.
    if let Some(version) = version_of(&place)? {
        let says = format!("/{PROGRAM_PLACE} is there, version {version}");
        tell(Step { what: WHAT, outcome: Outcome::WasSo, says });
        return Ok((executable, false));
    }
    let from = order.from.join(PROGRAM);
    let says = format!("/{PROGRAM_PLACE}, version {}", env!("CARGO_PKG_VERSION"));
    change(order.mode, WHAT, says, tell, || {
        lay(&from, &place, EXECUTABLE).map_err(io_error("install the program as", &place))
    })?;
    Ok((executable, true))
}

/// Whether a configuration came with it, which is good if it is to be laid: an agent with a bad one does not run.
fn brings_config(order: Order<'_>, home: &Path) -> Result<bool, FirstInstallError> {
    let from = order.from.join(CONFIG);
    if !is_plain_file(&from) {
        return Ok(false);
    }
    if fs::symlink_metadata(home.join(CONFIG)).is_err() {
        Settings::load(&from, home).map_err(FirstInstallError::Config)?;
    }
    Ok(true)
}

/// The agent's configuration, if there is none.
fn config(order: Order<'_>, home: &Path, tell: Tell<'_>) -> Result<(), FirstInstallError> {
    let (from, place) = (order.from.join(CONFIG), home.join(CONFIG));
    let shown = place.display();
    match fs::symlink_metadata(&place) {
        Ok(_) if are_same(&from, &place) => {
            tell(Step {
                what: CONFIGURATION,
                outcome: Outcome::WasSo,
                says: format!("{shown} is as it came"),
            });
            return Ok(());
        }
        Ok(_) => {
            let says = format!("{shown} was there and is another one: it is kept");
            tell(Step { what: CONFIGURATION, outcome: Outcome::WasSo, says });
            return Ok(());
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(io_error("look at", &place)(error)),
    }
    change(order.mode, CONFIGURATION, shown.to_string(), tell, || {
        lay(&from, &place, PUBLIC).map_err(io_error("write", &place))
    })
}

/// Says that the configuration that is there is not good, since then the service does not run.
fn told_of_bad_config(home: &Path, tell: Tell<'_>) {
    let place = home.join(CONFIG);
    if let Err(error) = Settings::load(&place, home) {
        let says = format!("{}; until it is corrected the agent does not run", with_causes(&error));
        tell(Step { what: CONFIGURATION, outcome: Outcome::ByHand, says });
    }
}

/// The hooks that came with it. Those of before with the same names are replaced, unless they came with a later install file.
fn hooks(order: Order<'_>, is_older: bool, tell: Tell<'_>) -> Result<(), FirstInstallError> {
    const WHAT: &str = "hooks";
    let names = hooks_in(order.from)?;
    if names.is_empty() {
        return Ok(());
    }
    let (from, place) = (order.from.join(HOOKS), order.system.join(HOOKS_PLACE));
    let differ: Vec<&String> =
        names.iter().filter(|name| !are_same(&from.join(name), &place.join(name))).collect();
    if differ.is_empty() {
        tell(Step { what: WHAT, outcome: Outcome::WasSo, says: format!("/{HOOKS_PLACE} has them") });
        return Ok(());
    }
    if is_older {
        let says = format!("/{HOOKS_PLACE} has others, and this file is older than them: they are kept");
        tell(Step { what: WHAT, outcome: Outcome::WasSo, says });
        return Ok(());
    }
    let listed: Vec<&str> = differ.iter().map(|name| name.as_str()).collect();
    change(order.mode, WHAT, format!("/{HOOKS_PLACE}: {}", listed.join(", ")), tell, || {
        differ.iter().try_for_each(|name| {
            let to = place.join(name);
            lay(&from.join(name), &to, EXECUTABLE).map_err(io_error("install the hook", &to))
        })
    })
}

/// The names of the hooks that an install file brought.
pub(super) fn hooks_in(from: &Path) -> Result<Vec<String>, FirstInstallError> {
    let folder = from.join(HOOKS);
    // Behind a link other files than those that were brought would be laid.
    if fs::symlink_metadata(&folder).is_ok_and(|found| !found.is_dir()) {
        return Err(FirstInstallError::Missing("the folder of hooks"));
    }
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("list", &folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries.take(MAX_HOOKS) {
        let entry = entry.map_err(io_error("list", &folder))?;
        let is_file = entry.file_type().map_err(io_error("look at", &entry.path()))?.is_file();
        if let (true, Ok(name)) = (is_file, entry.file_name().into_string()) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn enrollment(
    context: &Context,
    order: Order<'_>,
    name: &ComputerName,
    (is_enrolled, is_beside): (bool, bool),
    tell: Tell<'_>,
) -> Result<(), FirstInstallError> {
    const WHAT: &str = "enrollment";
    if is_enrolled {
        tell(Step { what: WHAT, outcome: Outcome::WasSo, says: format!("it is enrolled as {name}") });
        return Ok(());
    }
    change(order.mode, WHAT, format!("as {name}"), tell, || {
        let (path, root) = (order.from.join(SETUP), order.from.join(ROOT));
        let has_a_first = !servers::load(&context.host.home)?.is_empty();
        let enrolled = if has_a_first && is_beside {
            add(context, &path, None, OtherName::Refuse)
        } else {
            enroll(context, &path, Some(&root), None, OtherName::Refuse)
        };
        Ok(enrolled.map(drop)?)
    })
}

/// Whether a file of the service is new.
fn service(
    order: Order<'_>,
    executable: &Path,
    home: &Path,
    tell: Tell<'_>,
) -> Result<bool, FirstInstallError> {
    const WHAT: &str = "service";
    let layout = Layout::new(Program::Agent, executable, home)?;
    if order.mode == Mode::DryRun {
        let is_there = order.system.join("etc/systemd/system").join(SERVICE).is_file();
        let outcome = if is_there { Outcome::WasSo } else { Outcome::Would };
        tell(Step { what: WHAT, outcome, says: SERVICE.to_owned() });
        return Ok(!is_there);
    }
    let done = unit::install(&layout, Strict::No, Users::Leave, order.system)?;
    let (outcome, says) = match (done.by_package, done.written.is_empty()) {
        (true, _) => (Outcome::WasSo, format!("{SERVICE} is there, from a package")),
        (false, true) => (Outcome::WasSo, format!("{SERVICE} is there")),
        (false, false) => (Outcome::Done, SERVICE.to_owned()),
    };
    tell(Step { what: WHAT, outcome, says });
    Ok(!done.written.is_empty())
}

fn start(order: Order<'_>, is_new: bool, tell: Tell<'_>) -> Result<(), FirstInstallError> {
    const WHAT: &str = "start";
    if !has_systemd(order.system) {
        let says = "no systemd runs here: start `agent-updater run` with the computer".to_owned();
        tell(Step { what: WHAT, outcome: Outcome::ByHand, says });
        return Ok(());
    }
    let runs = systemctl_says(&["is-active", "--quiet", SERVICE])
        && systemctl_says(&["is-enabled", "--quiet", SERVICE]);
    if runs && !is_new {
        tell(Step { what: WHAT, outcome: Outcome::WasSo, says: format!("{SERVICE} runs") });
        return Ok(());
    }
    change(order.mode, WHAT, format!("{SERVICE} is enabled and runs"), tell, || {
        systemctl(&["daemon-reload"])?;
        systemctl(&["enable", "--quiet", SERVICE])?;
        systemctl(&[if runs { "restart" } else { "start" }, SERVICE])
    })
}

/// Does a step, unless it is only looked at.
fn change(
    mode: Mode,
    what: &'static str,
    says: String,
    tell: Tell<'_>,
    act: impl FnOnce() -> Result<(), FirstInstallError>,
) -> Result<(), FirstInstallError> {
    let outcome = match mode {
        Mode::Do => {
            act()?;
            Outcome::Done
        }
        Mode::DryRun => Outcome::Would,
    };
    tell(Step { what, outcome, says });
    Ok(())
}
