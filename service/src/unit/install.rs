//! Laying a service's files where systemd looks, and saying what a person types next.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sealpost_files::{PUBLIC, make_folder, read_bounded, replace};

use super::beneath::beneath;
use super::files::{Layout, MARKER, Program, Strict, UnitFile};
use super::users::{Made, UserError, Users, make};

/// Largest file of ours that is compared with what is there.
pub(super) const MAX_BYTES: u64 = 64 * 1024;
/// Where a package's units lie.
const PACKAGED: [&str; 2] = ["usr/lib/systemd/system", "lib/systemd/system"];

/// What was done, and what a person does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Files that are new or have changed.
    pub written: Vec<PathBuf>,
    /// Files that were left as they are: the same already, or the admin's settings.
    pub kept: Vec<PathBuf>,
    /// A package brought the units; none of them was written.
    pub by_package: bool,
    /// What was done about the service's user and its home, for people.
    pub users: Vec<String>,
    /// Commands for a root shell, in order.
    pub next: Vec<String>,
}

/// Why nothing was installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Somebody else wrote it.
    #[error("{0} is there, and `install-service` did not write it; move it away, and try again")]
    NotOurs(PathBuf),
    /// Units of its own would overrule the package's, which are replaced with the package.
    #[error(
        "a package brought {unit}, which starts {executable} with the home {home}; type `{executable} install-service` \
         to use it, or remove the package to have another program or home as the service"
    )]
    Packaged {
        /// The package's unit.
        unit: PathBuf,
        /// The program that it starts.
        executable: PathBuf,
        /// The home of that program.
        home: &'static str,
    },
    /// The system refused.
    #[error("cannot write {path}; run as root")]
    Io {
        /// What was to be written.
        path: PathBuf,
        #[source]
        /// Why it was not.
        source: io::Error,
    },
    /// The files are laid; `next` has what is to be typed, the user included.
    #[error("the files of the service are laid, and its user or home is not made; type it by hand:\n  {}", next.join("\n  "))]
    Users {
        /// Commands for a root shell, in order.
        next: Vec<String>,
        #[source]
        /// Why they are not made.
        source: UserError,
    },
}

/// Writes a service's files below `root` (`/` but in tests and images), and makes its user where that is wanted, on this
/// computer whatever `root` is. Nothing is enabled or started.
///
/// # Errors
/// [`InstallError`]; [`InstallError::NotOurs`] and [`InstallError::Packaged`] before anything is written.
pub fn install(
    layout: &Layout,
    strict: Strict,
    users: Users,
    root: &Path,
) -> Result<Installed, InstallError> {
    let mut done = Installed {
        written: Vec::new(),
        kept: Vec::new(),
        by_package: false,
        users: Vec::new(),
        next: Vec::new(),
    };
    let program = layout.program();
    let files = match packaged_unit(program, root) {
        None => layout.files(strict),
        Some(_) if layout.is_packaged() => {
            done.by_package = true;
            layout.drop_in(strict).into_iter().collect()
        }
        Some(unit) => {
            let (executable, home) = (program.packaged_executable(), program.standard_home());
            return Err(InstallError::Packaged { unit, executable, home });
        }
    };
    let mut to_write = Vec::new();
    for file in files {
        let path = beneath(root, &file.path)
            .map_err(|source| InstallError::Io { path: file.path.clone(), source })?;
        match standing(&path, &file).map_err(|source| InstallError::Io { path: path.clone(), source })? {
            Standing::Absent | Standing::Older => to_write.push((path, file)),
            Standing::Same | Standing::Settings => done.kept.push(path),
            Standing::Foreign => return Err(InstallError::NotOurs(path)),
        }
    }
    for (path, file) in to_write {
        write(&path, &file).map_err(|source| InstallError::Io { path: path.clone(), source })?;
        done.written.push(path);
    }
    let by_hand = Made::default();
    let made = match users {
        // The package has made them.
        Users::Make if !done.by_package => make(layout).map_err(|source| {
            let next = next_steps(layout, root, &done, &by_hand);
            InstallError::Users { next, source }
        })?,
        Users::Make | Users::Leave => by_hand,
    };
    done.next = next_steps(layout, root, &done, &made);
    done.users = made.said;
    Ok(done)
}

/// What stands where a file of ours belongs.
enum Standing {
    Absent,
    Same,
    /// Ours, with another text.
    Older,
    /// The admin's settings.
    Settings,
    Foreign,
}

fn standing(path: &Path, file: &UnitFile) -> io::Result<Standing> {
    // A link, such as that of a masked unit, is the admin's; in an image it would lead out of that.
    if fs::symlink_metadata(path).is_ok_and(|about| about.is_symlink()) {
        return Ok(if file.is_for_settings { Standing::Settings } else { Standing::Foreign });
    }
    match read_bounded(path, MAX_BYTES) {
        Ok(None) => Ok(Standing::Absent),
        Ok(Some(bytes)) if bytes == file.text.as_bytes() => Ok(Standing::Same),
        Ok(Some(_)) if file.is_for_settings => Ok(Standing::Settings),
        Ok(Some(bytes)) if bytes.starts_with(MARKER.as_bytes()) => Ok(Standing::Older),
        Ok(Some(_)) => Ok(Standing::Foreign),
        // Longer than anything of ours, or no file at all.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        Err(_) => Ok(Standing::Foreign),
    }
}

fn write(path: &Path, file: &UnitFile) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        let missing: Vec<&Path> = folder.ancestors().take_while(|one| !one.exists()).collect();
        missing.into_iter().rev().try_for_each(|one| make_folder(one, 0o755))?;
    }
    replace(path, file.text.as_bytes(), PUBLIC)
}

/// A unit that a package brought.
fn packaged_unit(program: Program, root: &Path) -> Option<PathBuf> {
    let places = PACKAGED.iter().flat_map(|folder| {
        program.units().iter().map(move |(name, _)| Path::new("/").join(folder).join(name))
    });
    places.into_iter().find(|unit| beneath(root, unit).is_ok_and(|unit| fs::symlink_metadata(unit).is_ok()))
}

/// What a person types in a root shell to have the service.
fn next_steps(layout: &Layout, root: &Path, done: &Installed, made: &Made) -> Vec<String> {
    let (program, home) = (layout.program(), layout.home().display());
    let (executable, service, user) = (layout.executable().display(), program.service(), program.user());
    let mut steps = Vec::new();
    if !done.by_package && program != Program::Agent {
        if !made.user {
            steps.push(format!("systemd-sysusers /etc/sysusers.d/{service}.conf"));
        }
        if !made.home {
            steps.push(format!("install -d -o {user} -g {user} -m 700 {home}"));
        }
    }
    if !done.by_package || !done.written.is_empty() {
        steps.push("systemctl daemon-reload".to_owned());
    }
    if !layout.is_there(root) {
        steps.push(match program {
            Program::Distributor => format!(
                "runuser --pty -u {user} -- {executable} --home {home} init --vendor-url URL --root ROOT.json"
            ),
            Program::Publisher => {
                format!("runuser --pty -u {user} -- {executable} --home {home} init --vendor NAME")
            }
            Program::Agent => format!("{executable} --home {home} enroll --setup FILE --root ROOT.json"),
        });
    }
    steps.push(match program {
        Program::Distributor | Program::Publisher => {
            format!("systemctl enable --now {service}.socket {service}.service")
        }
        Program::Agent => format!("systemctl enable --now {service}.service"),
    });
    if program == Program::Publisher {
        steps.push(format!(
            "systemctl enable --now {service}-refresh.timer  # where another server serves the files"
        ));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(program: Program) -> Layout {
        let executable = PathBuf::from(format!("/usr/local/bin/{}", program.name()));
        Layout::new(program, &executable, Path::new(program.standard_home())).unwrap()
    }

    #[test]
    fn files_are_laid_where_systemd_looks_and_a_second_time_changes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let first = install(&layout(Program::Distributor), Strict::No, Users::Leave, root.path()).unwrap();
        assert_eq!((first.written.len(), first.kept.len()), (4, 0));
        for path in &first.written {
            assert!(path.is_file(), "{}", path.display());
        }
        assert!(root.path().join("etc/systemd/system/sealpost-distributor.socket").is_file());
        assert!(!root.path().join("etc/systemd/system/multi-user.target.wants").exists(), "it was enabled");
        let second = install(&layout(Program::Distributor), Strict::No, Users::Leave, root.path()).unwrap();
        assert_eq!((second.written.len(), second.kept.len()), (0, 4));
        assert_eq!(first.next, second.next);
    }

    #[test]
    fn an_older_file_of_ours_is_replaced_and_the_admins_settings_are_kept() {
        let root = tempfile::tempdir().unwrap();
        install(&layout(Program::Agent), Strict::Yes, Users::Leave, root.path()).unwrap();
        let unit = root.path().join("etc/systemd/system/sealpost-agent.service");
        let settings = root.path().join("etc/default/sealpost-agent");
        fs::write(&unit, "# Written by `agent-updater install-service`, which replaces it.\n[Service]\n")
            .unwrap();
        fs::write(&settings, "AGENT_RUN=\nSEALPOST_LOG=debug\n").unwrap();
        let done = install(&layout(Program::Agent), Strict::Yes, Users::Leave, root.path()).unwrap();
        assert_eq!(done.written, [unit]);
        assert_eq!(fs::read_to_string(settings).unwrap(), "AGENT_RUN=\nSEALPOST_LOG=debug\n");
    }

    #[test]
    fn a_unit_that_somebody_wrote_by_hand_stops_it_before_anything_is_written() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/systemd/system");
        fs::create_dir_all(&folder).unwrap();
        let unit = folder.join("sealpost-publisher-refresh.timer");
        fs::write(&unit, "[Timer]\nOnCalendar=weekly\n").unwrap();
        let refusal =
            install(&layout(Program::Publisher), Strict::No, Users::Leave, root.path()).unwrap_err();
        assert!(matches!(&refusal, InstallError::NotOurs(path) if *path == unit), "{refusal}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        assert!(!root.path().join("etc/default").exists());
        fs::remove_file(&unit).unwrap();
        std::os::unix::fs::symlink("/dev/null", &unit).unwrap();
        install(&layout(Program::Publisher), Strict::No, Users::Leave, root.path()).unwrap_err();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "a masked unit is the admin's word");
    }

    #[test]
    fn where_a_package_brought_the_units_only_the_next_steps_are_said() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("usr/lib/systemd/system");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("sealpost-agent.service"), "[Service]\n").unwrap();
        let done =
            install(&packaged("/var/lib/sealpost-agent"), Strict::No, Users::Leave, root.path()).unwrap();
        assert!(done.by_package && done.written.is_empty());
        assert!(!root.path().join("etc").exists());
        assert_eq!(
            done.next,
            [
                "/usr/bin/agent-updater --home /var/lib/sealpost-agent enroll --setup FILE --root ROOT.json",
                "systemctl enable --now sealpost-agent.service"
            ]
        );
        let strict =
            install(&packaged("/var/lib/sealpost-agent"), Strict::Yes, Users::Leave, root.path()).unwrap();
        let drop_in = root.path().join("etc/systemd/system/sealpost-agent.service.d/strict.conf");
        assert!(strict.by_package && strict.written == [drop_in]);
        assert_eq!(strict.next[0], "systemctl daemon-reload");
    }

    fn packaged(home: &str) -> Layout {
        Layout::new(Program::Agent, Path::new("/usr/bin/agent-updater"), Path::new(home)).unwrap()
    }

    #[test]
    fn another_program_or_home_than_the_packages_is_not_said_to_be_installed() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("usr/lib/systemd/system");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("sealpost-agent.service"), "[Service]\n").unwrap();
        for other in [layout(Program::Agent), packaged("/srv/agent")] {
            let refusal = install(&other, Strict::No, Users::Leave, root.path()).unwrap_err();
            let said = refusal.to_string();
            assert!(matches!(refusal, InstallError::Packaged { .. }), "{said}");
            assert!(
                said.contains("a package brought /usr/lib/systemd/system/sealpost-agent.service"),
                "{said}"
            );
            assert!(said.contains("`/usr/bin/agent-updater install-service`"), "{said}");
        }
        assert!(!root.path().join("etc").exists());
    }

    #[test]
    fn links_of_an_image_lead_into_the_image_and_not_into_this_computer() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let image = root.path();
        fs::create_dir_all(image.join("etc")).unwrap();
        fs::create_dir_all(image.join("usr/share/defaults")).unwrap();
        std::os::unix::fs::symlink(outside.path(), image.join("etc/systemd")).unwrap();
        std::os::unix::fs::symlink("/usr/share/defaults", image.join("etc/default")).unwrap();
        std::os::unix::fs::symlink("../../../../../..", image.join("etc/sysusers.d")).unwrap();
        let done = install(&layout(Program::Distributor), Strict::No, Users::Leave, image).unwrap();
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        assert!(done.written.iter().all(|path| path.starts_with(image)), "{:?}", done.written);
        assert!(image.join("usr/share/defaults/sealpost-distributor").is_file());
        assert!(image.join("sealpost-distributor.conf").is_file());
        let again = install(&layout(Program::Distributor), Strict::No, Users::Leave, image).unwrap();
        assert_eq!((again.written.len(), again.kept.len()), (0, 4));
        // Settings that are a link stay one.
        let settings = image.join("usr/share/defaults/sealpost-distributor");
        fs::remove_file(&settings).unwrap();
        std::os::unix::fs::symlink(outside.path().join("new"), &settings).unwrap();
        install(&layout(Program::Distributor), Strict::No, Users::Leave, image).unwrap();
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        std::os::unix::fs::symlink("around", image.join("around")).unwrap();
        fs::remove_file(image.join("etc/default")).unwrap();
        std::os::unix::fs::symlink("/around", image.join("etc/default")).unwrap();
        install(&layout(Program::Distributor), Strict::No, Users::Leave, image).unwrap_err();
    }

    #[test]
    fn a_home_that_is_there_is_not_made_again() {
        let root = tempfile::tempdir().unwrap();
        let home = root.path().join("var/lib/sealpost");
        fs::create_dir_all(&home).unwrap();
        let steps =
            || install(&layout(Program::Distributor), Strict::No, Users::Leave, root.path()).unwrap().next;
        assert!(steps().iter().any(|step| step.contains(" init ")));
        fs::write(home.join("distributor.toml"), "").unwrap();
        assert!(!steps().iter().any(|step| step.contains(" init ")));
        assert_eq!(
            steps().last().unwrap(),
            "systemctl enable --now sealpost-distributor.socket sealpost-distributor.service"
        );
    }
}
