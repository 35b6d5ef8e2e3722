//! Which files make a program a service, where they belong, and what they say.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::beneath::beneath;

/// How each written file begins; what does not begin so is somebody else's.
pub(super) const MARKER: &str = "# Written by `";

/// Folders that the units hide from the services (`ProtectHome`, `PrivateTmp`).
const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/// A program that can be a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The site's Primary Server, and the socket unit that holds its port.
    Distributor,
    /// The vendor's server, and the timer for those who serve the repository otherwise.
    Publisher,
    /// The agent of a computer.
    Agent,
}

/// Where a program and its home lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    program: Program,
    executable: PathBuf,
    home: PathBuf,
}

/// Why a program cannot be a service as it lies.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A unit could not name it without quotes, or means something else by it.
    #[error(
        "a unit cannot name {0}: choose an absolute path of letters, digits and the signs . _ - without `..`"
    )]
    Unnameable(PathBuf),
    /// The unit hides this folder from the service.
    #[error("a service cannot see {path}, since {hidden} is hidden from it; {remedy}")]
    Hidden {
        /// What was to be used.
        path: PathBuf,
        /// The folder above it that is hidden.
        hidden: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The unit gives all that is in the home to the service's user.
    #[error(
        "{0} is there, is not empty, and is no home of this program: the service would take all that is in it; choose a \
         folder that is new or empty"
    )]
    NoHome(PathBuf),
}

/// A file of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFile {
    /// Where it belongs, absolute.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
    /// Belongs to the admin once it is there, and is never replaced.
    pub(super) is_for_settings: bool,
}

impl Program {
    /// The name of its executable.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Distributor => "distributor",
            Self::Publisher => "publisher",
            Self::Agent => "agent-updater",
        }
    }

    /// Where its home lies when nobody says otherwise.
    #[must_use]
    pub const fn standard_home(self) -> &'static str {
        match self {
            Self::Distributor => "/var/lib/sealpost",
            Self::Publisher => "/var/lib/sealpost-publisher",
            Self::Agent => "/var/lib/sealpost-agent",
        }
    }

    /// Where a package lays its executable.
    pub(super) fn packaged_executable(self) -> PathBuf {
        PathBuf::from(format!("/usr/bin/{}", self.name()))
    }

    /// A file that a home has as soon as it can be served.
    pub(super) const fn sign_of_a_home(self) -> &'static str {
        match self {
            Self::Distributor => "distributor.toml",
            Self::Publisher => "vendor.toml",
            Self::Agent => "keys/client.key",
        }
    }

    /// What its files are named after.
    pub(super) const fn service(self) -> &'static str {
        match self {
            Self::Distributor => "sealpost-distributor",
            Self::Publisher => "sealpost-publisher",
            Self::Agent => "sealpost-agent",
        }
    }

    /// The user that it runs as.
    pub(super) const fn user(self) -> &'static str {
        match self {
            Self::Distributor => "sealpost",
            Self::Publisher => "sealpost-publisher",
            Self::Agent => "root",
        }
    }

    /// Its units by name.
    #[must_use]
    pub const fn units(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Distributor => &[
                ("sealpost-distributor.socket", include_str!("../../units/sealpost-distributor.socket")),
                ("sealpost-distributor.service", include_str!("../../units/sealpost-distributor.service")),
            ],
            Self::Publisher => &[
                ("sealpost-publisher.socket", include_str!("../../units/sealpost-publisher.socket")),
                ("sealpost-publisher.service", include_str!("../../units/sealpost-publisher.service")),
                (
                    "sealpost-publisher-refresh.service",
                    include_str!("../../units/sealpost-publisher-refresh.service"),
                ),
                (
                    "sealpost-publisher-refresh.timer",
                    include_str!("../../units/sealpost-publisher-refresh.timer"),
                ),
            ],
            Self::Agent => &[("sealpost-agent.service", include_str!("../../units/sealpost-agent.service"))],
        }
    }

    /// Its other files, with their places: settings, user, home.
    const fn companions(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Distributor => &[
                (
                    "/etc/default/sealpost-distributor",
                    include_str!("../../units/sealpost-distributor.default"),
                ),
                (
                    "/etc/sysusers.d/sealpost-distributor.conf",
                    include_str!("../../units/sealpost-distributor.sysusers.conf"),
                ),
            ],
            Self::Publisher => &[
                ("/etc/default/sealpost-publisher", include_str!("../../units/sealpost-publisher.default")),
                (
                    "/etc/sysusers.d/sealpost-publisher.conf",
                    include_str!("../../units/sealpost-publisher.sysusers.conf"),
                ),
            ],
            Self::Agent => {
                &[("/etc/default/sealpost-agent", include_str!("../../units/sealpost-agent.default"))]
            }
        }
    }

    /// What confines the agent further, on computers where that breaks no product.
    const fn strict(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Agent => Some((
                "/etc/systemd/system/sealpost-agent.service.d/strict.conf",
                include_str!("../../units/sealpost-agent-strict.conf"),
            )),
            Self::Distributor | Self::Publisher => None,
        }
    }
}

impl Layout {
    /// A program at `executable` whose home is, or will be, `home`.
    ///
    /// # Errors
    /// [`LayoutError`].
    pub fn new(program: Program, executable: &Path, home: &Path) -> Result<Self, LayoutError> {
        for (path, remedy) in [
            (executable, "copy the program to /usr/local/bin"),
            (home, "choose a home below /var/lib or /srv"),
        ] {
            if !is_nameable(path) {
                return Err(LayoutError::Unnameable(path.to_owned()));
            }
            // The agent's own unit hides nothing; it runs as root, and its products lie where they lie.
            if program != Program::Agent
                && let Some(hidden) = HIDDEN.into_iter().find(|folder| path.starts_with(folder))
            {
                return Err(LayoutError::Hidden { path: path.to_owned(), hidden, remedy });
            }
        }
        Ok(Self { program, executable: executable.to_owned(), home: home.to_owned() })
    }

    /// Refuses a home below `root` that holds something else.
    ///
    /// # Errors
    /// [`LayoutError::NoHome`].
    pub fn check_home(&self, root: &Path) -> Result<(), LayoutError> {
        // The agent's runs as root, and its unit gives nothing away.
        if self.program == Program::Agent || self.is_there(root) {
            return Ok(());
        }
        let entries = beneath(root, &self.home).and_then(fs::read_dir);
        // One that is not there, or cannot be looked into: whoever may do more with it than this is told then.
        let mut names = entries.into_iter().flatten().filter_map(Result::ok).map(|entry| entry.file_name());
        let is_of_others = |name: OsString| {
            let name = name.to_string_lossy();
            name != "lost+found" && !name.starts_with(".unfinished")
        };
        if names.any(is_of_others) { Err(LayoutError::NoHome(self.home.clone())) } else { Ok(()) }
    }

    /// Whether its home was made, below `root`.
    pub(super) fn is_there(&self, root: &Path) -> bool {
        let sign = beneath(root, &self.home.join(self.program.sign_of_a_home()));
        sign.is_ok_and(|sign| fs::symlink_metadata(sign).is_ok())
    }

    /// The program that is meant.
    #[must_use]
    pub const fn program(&self) -> Program {
        self.program
    }

    /// Its home.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Its executable.
    #[must_use]
    pub fn executable(&self) -> &Path {
        &self.executable
    }

    /// Every file that makes it a service. With `strict`, what confines it further too, if there is such a file.
    #[must_use]
    pub fn files(&self, strict: Strict) -> Vec<UnitFile> {
        let units = self.program.units().iter().map(|(name, text)| self.unit(name, text));
        let companions = self.program.companions().iter().map(|(path, text)| self.companion(path, text));
        units.chain(companions).chain(self.drop_in(strict)).collect()
    }

    /// What confines the unit of this name further, whoever laid that; `None` if nothing should, or could.
    pub(super) fn drop_in(&self, strict: Strict) -> Option<UnitFile> {
        match strict {
            Strict::No => None,
            Strict::Yes => self.program.strict().map(|(path, text)| self.companion(path, text)),
        }
    }

    /// Whether it is where a package lays it, so that a package's units are for it.
    pub(super) fn is_packaged(&self) -> bool {
        self.executable == self.program.packaged_executable()
            && self.home == Path::new(self.program.standard_home())
    }

    fn unit(&self, name: &str, text: &str) -> UnitFile {
        self.companion(&format!("/etc/systemd/system/{name}"), text)
    }

    fn companion(&self, path: &str, text: &str) -> UnitFile {
        let is_for_settings = path.starts_with("/etc/default/");
        let text = self.placed(text);
        let head = if is_for_settings { String::new() } else { self.head(path) };
        UnitFile { path: PathBuf::from(path), text: format!("{head}{text}"), is_for_settings }
    }

    fn head(&self, path: &str) -> String {
        let name = self.program.name();
        let edit = match Path::new(path).file_name().and_then(|name| name.to_str()) {
            Some(unit) if unit.starts_with("sealpost") && path.starts_with("/etc/systemd/") => {
                format!(" Changes belong into `systemctl edit {unit}`.")
            }
            _ => String::new(),
        };
        format!("{MARKER}{name} install-service`, which replaces it.{edit}\n")
    }

    /// The text with this layout's paths.
    fn placed(&self, text: &str) -> String {
        let standard = self.program.standard_home();
        let (executable, home) = (self.executable.display().to_string(), self.home.display().to_string());
        let packaged = self.program.packaged_executable().display().to_string();
        text.lines().fold(String::with_capacity(text.len()), |mut placed, line| {
            if self.home != Path::new(standard) && line.starts_with("StateDirectoryMode=") {
                return placed;
            }
            if self.home != Path::new(standard) && line.starts_with("StateDirectory=") {
                // systemd makes folders below /var/lib only; another home is made by tmpfiles or by hand.
                placed.push_str(&format!("ReadWritePaths={home}\n"));
                return placed;
            }
            placed.push_str(&replace_path(&replace_path(line, &packaged, &executable), standard, &home));
            placed.push('\n');
            placed
        })
    }
}

/// Whether the agent is confined further than every product bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strict {
    /// Its unit alone.
    No,
    /// With the drop-in that confines it to its home.
    Yes,
}

/// Replaces a path where it stands whole or as the beginning of a longer one, but not `/var/lib/sealpost` in
/// `/var/lib/sealpost-agent`.
fn replace_path(line: &str, from: &str, to: &str) -> String {
    let mut replaced = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(from) {
        let (before, found) = rest.split_at(at);
        let after = &found[from.len()..];
        let is_whole = !after.starts_with(|next: char| next.is_ascii_alphanumeric() || "-_.".contains(next));
        replaced.push_str(before);
        replaced.push_str(if is_whole { to } else { from });
        rest = after;
    }
    replaced.push_str(rest);
    replaced
}

fn is_nameable(path: &Path) -> bool {
    let plain = |text: &str| text.chars().all(|one| one.is_ascii_alphanumeric() || "/._-".contains(one));
    path.is_absolute()
        && path.parent().is_some()
        && path.to_str().is_some_and(plain)
        && !path.components().any(|part| part == std::path::Component::ParentDir)
}

#[cfg(test)]
mod tests;
