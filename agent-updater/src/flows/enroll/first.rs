//! Enrollment with the server that decides about updates from then on, by the kind of the setup file.

use std::path::Path;

use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::setup::SetupKind;

use crate::flows::context::Context;

use super::error::EnrollError;
use super::inputs::read_setup;
use super::knock::{begin, leave_the_copied};
use super::run::{As, EnrolledAs, OtherName, enroll_as};

/// Enrolls this computer with a server that decides about updates from then on. `name` is for a knock setup file, which names
/// nobody.
///
/// # Errors
/// [`EnrollError`]; [`EnrollError::Waits`] if the computer has to be admitted first.
pub fn enroll(
    context: &Context,
    setup_path: &Path,
    root_path: Option<&Path>,
    name: Option<&ComputerName>,
    other_name: OtherName,
) -> Result<EnrolledAs, EnrollError> {
    let home = &context.host.home;
    home.prepare()?;
    let _lock = home.lock_cycle()?;
    let mut warnings = Vec::new();
    let setup = read_setup(setup_path, &mut warnings)?;
    leave_the_copied(&context.host)?;
    if setup.kind == SetupKind::Knock {
        return begin(context, setup, setup_path, root_path, name, other_name);
    }
    enroll_as(context, (&setup, setup_path), As::First { root: root_path }, name, other_name, warnings)
}
