//! Takes back what an install file did: service, program and hooks. The home with the identity and the products stays.

use std::fs;
use std::path::Path;

use sealpost_files::with_causes;
use sealpost_service::unit::{self, Layout, Program};

use super::order::{
    FirstInstallError, HOOKS, HOOKS_PLACE, Mode, Order, Outcome, PACKAGED, PROGRAM_PLACE, Step, io_error,
};
use super::steps::{SERVICE, hooks_in};
use super::system::{are_same, has_systemd, systemctl, version_of};
use crate::flows::context::Context;

/// Removes what an install file brought, and tells each step.
///
/// # Errors
/// [`FirstInstallError`]; the same again goes on.
pub fn remove(
    context: &Context,
    order: Order<'_>,
    tell: &mut dyn FnMut(Step),
) -> Result<(), FirstInstallError> {
    let home = context.host.home.path();
    if order.system.join(PACKAGED).is_file() {
        let says = format!("/{PACKAGED} came with a package: remove that with the system's package manager");
        tell(Step { what: "program", outcome: Outcome::ByHand, says });
        return Ok(());
    }
    let _lock = match order.mode {
        Mode::Do if home.is_dir() => Some(context.host.home.wait_for_install()?),
        Mode::Do | Mode::DryRun => None,
    };
    let executable = Path::new("/").join(PROGRAM_PLACE);
    let layout = Layout::new(Program::Agent, &executable, home)?;
    let units = unit::ours(&layout, order.system)?;
    step(
        order.mode,
        tell,
        "service",
        !units.is_empty(),
        format!("{SERVICE} is stopped and removed"),
        &mut || {
            if has_systemd(order.system) {
                systemctl(&["disable", "--quiet", "--now", SERVICE])?;
            }
            for path in &units {
                fs::remove_file(path).map_err(io_error("remove", path))?;
            }
            if has_systemd(order.system) { systemctl(&["daemon-reload"]) } else { Ok(()) }
        },
    )?;
    let program = order.system.join(PROGRAM_PLACE);
    let version = version_of(&program);
    let is_ours = matches!(version, Ok(Some(_)));
    if let Err(error) = &version {
        let says = format!("it is left: {}", with_causes(error));
        tell(Step { what: "program", outcome: Outcome::ByHand, says });
    } else if is_ours || fs::symlink_metadata(&program).is_err() {
        step(order.mode, tell, "program", is_ours, format!("/{PROGRAM_PLACE} is removed"), &mut || {
            fs::remove_file(&program).map_err(io_error("remove", &program))
        })?;
    } else {
        let says =
            format!("/{PROGRAM_PLACE} does not run as the agent does: remove it by hand if nobody needs it");
        tell(Step { what: "program", outcome: Outcome::ByHand, says });
    }
    let (from, place) = (order.from.join(HOOKS), order.system.join(HOOKS_PLACE));
    let names = hooks_in(order.from)?;
    let mine: Vec<_> = names
        .into_iter()
        .map(|name| (from.join(&name), place.join(name)))
        .filter(|(from, place)| are_same(from, place))
        .map(|(_, place)| place)
        .collect();
    if !mine.is_empty() {
        step(
            order.mode,
            tell,
            "hooks",
            true,
            format!("those of this file are removed from /{HOOKS_PLACE}"),
            &mut || {
                mine.iter().try_for_each(|path| fs::remove_file(path).map_err(io_error("remove", path)))?;
                // What an admin laid beside them stays.
                let _ = fs::remove_dir(&place);
                Ok(())
            },
        )?;
    }
    let says = format!(
        "{} stays, with this computer's identity and its products, which run on; its seat at the server stays taken",
        home.display()
    );
    tell(Step { what: "home", outcome: Outcome::WasSo, says });
    Ok(())
}

/// Takes back what is there, unless it is only looked at.
fn step(
    mode: Mode,
    tell: &mut dyn FnMut(Step),
    what: &'static str,
    is_there: bool,
    says: String,
    act: &mut dyn FnMut() -> Result<(), FirstInstallError>,
) -> Result<(), FirstInstallError> {
    let outcome = match (is_there, mode) {
        (false, _) => Outcome::WasSo,
        (true, Mode::DryRun) => Outcome::Would,
        (true, Mode::Do) => {
            act()?;
            Outcome::Done
        }
    };
    tell(Step { what, outcome, says });
    Ok(())
}
