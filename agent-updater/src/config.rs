//! The agent's configuration, `agent.toml`: where products live, the hooks, the cadence.
//!
//! It names programs that run as the agent, so it is refused if others than root and the agent's user can change it.
//! Unknown keys are refused: a misspelled hook would never run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use sealpost_files::read_bounded;
use sealpost_manifests::ids::{PackageName, Tag};
use sealpost_manifests::wire::contact::MAX_TAGS;
use serde::Deserialize;

use crate::domain::cadence::{self, Cadence};
use crate::domain::self_update::trial::Bounds;
use crate::domain::serving::HOLD_SECS;
use crate::home::{Home, OWN_FOLDERS};
use crate::platform::ownership::{OwnershipError, ensure_not_writable_by_others};

/// Longest configuration, in bytes.
const MAX_CONFIG_BYTES: u64 = 1024 * 1024;
/// Default time limit of a hook, in seconds.
pub const HOOK_TIMEOUT_SECS: u32 = 60;
/// Default age of metadata after which nothing is installed, in days.
pub const METADATA_MAX_AGE_DAYS: u32 = 30;

/// Default time for which the server may be reachable before a new agent must have completed a contact, in seconds.
pub const CONFIRM_WITHIN_SECS: u32 = 600;
/// Default time for which a new agent must live on after its contact, in seconds.
pub const PROBATION_SECS: u32 = 60;
/// Default speed of a download, below which it is given up until the next contact, in KiB per second: a modem's.
pub const MIN_KIB_PER_SECOND: u32 = 1;
/// Time over which that speed is averaged. A thin line may stall for a while.
pub const DOWNLOAD_WINDOW: Duration = Duration::from_secs(120);
/// How often a folder is looked into by default, in seconds: changes on a share of another computer are not told here.
pub const FOLDER_POLL_SECS: u32 = 60;
/// Longest hold of a server that comes back.
const LONGEST_HOLD_SECS: u32 = 24 * 60 * 60;
/// How often a new agent may end by itself.
const EXITS_ON_TRIAL: u32 = 5;

/// The file that marks an install root.
pub const INSTALL_ROOT_MARK: &str = ".sealpost-install-root";

/// A sample of `agent.toml` with every key.
pub const SAMPLE: &str = include_str!("../agent.sample.toml");

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Products are installed beneath it.
    pub install_root: PathBuf,
    /// Words by which the site groups computers.
    pub tags: Vec<Tag>,
    /// Hooks by package; a package that is not listed has none.
    packages: BTreeMap<PackageName, PackageConfig>,
    pub cadence: Cadence,
    /// For how long a server that comes back must answer before it serves again.
    pub hold: SignedDuration,
    pub metadata_max_age_days: u32,
    /// A download that is slower, averaged over [`DOWNLOAD_WINDOW`], is given up until the next contact; 0 allows any.
    pub min_bytes_per_second: u64,
    /// The bounds of a trial of the agent's own new program.
    pub self_update: Bounds,
    /// The folder that takes the network's place, if there is one.
    pub folder: Option<FolderSettings>,
    without_hooks: PackageConfig,
    /// The file that a person named, which must be there when it is read again.
    named: Option<PathBuf>,
}

/// A folder, a share or a stick, by which this computer contacts its server and gets its releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderSettings {
    pub path: PathBuf,
    /// How often it is looked into, at the least.
    pub poll: Duration,
}

/// The hooks of one package. Each is a program (absolute path) and its arguments; `{slot}`, `{current}` and
/// `{version}` in an argument are filled in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PackageConfig {
    /// Loads the new release without using it.
    pub test_load: Option<Vec<String>>,
    /// Asks the product whether a change may begin now.
    pub ready: Option<Vec<String>>,
    pub stop: Option<Vec<String>>,
    pub start: Option<Vec<String>>,
    /// Checks the product after its start; may wait, up to the time limit.
    pub health: Option<Vec<String>>,
    /// The user that `test_load` runs as, when the agent runs as root.
    pub test_load_user: String,
    /// Time limit of each hook.
    pub timeout_secs: u32,
}

impl Default for PackageConfig {
    fn default() -> Self {
        Self {
            test_load: None,
            ready: None,
            stop: None,
            start: None,
            health: None,
            test_load_user: "nobody".to_owned(),
            timeout_secs: HOOK_TIMEOUT_SECS,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    install_root: Option<PathBuf>,
    tags: Vec<String>,
    metadata_max_age_days: u32,
    cadence: CadenceFile,
    download: DownloadFile,
    self_update: SelfUpdateFile,
    folder: Option<FolderFile>,
    packages: BTreeMap<String, PackageConfig>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            install_root: None,
            tags: Vec::new(),
            metadata_max_age_days: METADATA_MAX_AGE_DAYS,
            cadence: CadenceFile::default(),
            download: DownloadFile::default(),
            self_update: SelfUpdateFile::default(),
            folder: None,
            packages: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CadenceFile {
    unlicensed_secs: u32,
    licensed_secs: u32,
    lost_secs: u32,
    waiting_secs: u32,
    jitter_percent: u8,
    hold_secs: u32,
}

impl Default for CadenceFile {
    fn default() -> Self {
        Self {
            unlicensed_secs: cadence::UNLICENSED_SECS,
            licensed_secs: cadence::LICENSED_SECS,
            lost_secs: cadence::LOST_SECS,
            waiting_secs: cadence::WAITING_SECS,
            jitter_percent: cadence::JITTER_PERCENT,
            hold_secs: HOLD_SECS,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DownloadFile {
    min_kib_per_second: u32,
}

impl Default for DownloadFile {
    fn default() -> Self {
        Self { min_kib_per_second: MIN_KIB_PER_SECOND }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SelfUpdateFile {
    confirm_within_secs: u32,
    probation_secs: u32,
}

impl Default for SelfUpdateFile {
    fn default() -> Self {
        Self { confirm_within_secs: CONFIRM_WITHIN_SECS, probation_secs: PROBATION_SECS }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FolderFile {
    path: PathBuf,
    #[serde(default = "default_poll")]
    poll_secs: u32,
}

const fn default_poll() -> u32 {
    FOLDER_POLL_SECS
}

/// Why the configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration {0} is not used")]
    Ownership(PathBuf, #[source] OwnershipError),
    #[error("cannot read the configuration {0}; run as root, or name another with --config")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// It is not TOML, or has an unknown key.
    #[error(
        "the configuration {0} is not understood; correct what is named here, by the example under \"Hooks\" in docs/operations.md"
    )]
    Malformed(PathBuf, #[source] toml::de::Error),
    #[error("the configuration {path} has a wrong value: {problems}")]
    Wrong { path: PathBuf, problems: String },
}

impl Settings {
    /// Reads the configuration that a person named, else the default one in the home, which may be missing: a file that
    /// was named and is not there would mean hooks that never run.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load_named_or_default(named: Option<&Path>, home: &Home) -> Result<Self, ConfigError> {
        let Some(named) = named else { return Self::load(&home.config(), home.path()) };
        named.metadata().map_err(|source| ConfigError::Unreadable(named.to_owned(), source))?;
        Ok(Self { named: Some(named.to_owned()), ..Self::load(named, home.path())? })
    }

    /// Reads the same file again.
    ///
    /// # Errors
    /// [`ConfigError`]; these settings stay good.
    pub fn again(&self, home: &Home) -> Result<Self, ConfigError> {
        Self::load_named_or_default(self.named.as_deref(), home)
    }

    /// Reads and validates the file; what is missing has its default value, also the whole file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(path: &Path, home: &Path) -> Result<Self, ConfigError> {
        let bytes = read_bounded(path, MAX_CONFIG_BYTES)
            .map_err(|source| ConfigError::Unreadable(path.to_owned(), source))?;
        let Some(bytes) = bytes else { return Ok(Self::default_in(home)) };
        let absolute =
            std::path::absolute(path).map_err(|source| ConfigError::Unreadable(path.to_owned(), source))?;
        ensure_not_writable_by_others(&absolute)
            .map_err(|source| ConfigError::Ownership(path.to_owned(), source))?;
        let file: File =
            toml::from_slice(&bytes).map_err(|source| ConfigError::Malformed(path.to_owned(), source))?;
        let (settings, problems) = Self::validated(file, home, Vec::new());
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(ConfigError::Wrong { path: path.to_owned(), problems: problems.join("; ") })
        }
    }

    /// What counts without a file.
    #[must_use]
    pub fn default_in(home: &Path) -> Self {
        Self::validated(File::default(), home, Vec::new()).0
    }

    fn validated(file: File, home: &Path, mut problems: Vec<String>) -> (Self, Vec<String>) {
        let install_root = file.install_root.unwrap_or_else(|| home.join("products"));
        if !install_root.is_absolute() {
            problems.push(format!("install_root {} is not an absolute path", install_root.display()));
        } else if let Some(problem) = misplaced(&install_root, home) {
            // Products that run there already run on: an agent that refused its configuration would let go of them.
            if is_in_use(&install_root) {
                tracing::warn!(
                    "{problem}; what is installed there runs on. To move it: stop the agent and the products, move the \
                     products' folders and {INSTALL_ROOT_MARK} into a folder of their own, and name that one"
                );
            } else {
                problems.push(problem);
            }
        }
        let CadenceFile {
            unlicensed_secs,
            licensed_secs,
            lost_secs,
            waiting_secs,
            jitter_percent,
            hold_secs,
        } = file.cadence;
        for (name, value) in [
            ("unlicensed_secs", unlicensed_secs),
            ("licensed_secs", licensed_secs),
            ("lost_secs", lost_secs),
            ("waiting_secs", waiting_secs),
        ] {
            if value == 0 {
                problems.push(format!("cadence.{name} is 0"));
            }
        }
        if hold_secs > LONGEST_HOLD_SECS {
            problems
                .push(format!("cadence.hold_secs {hold_secs} is over {LONGEST_HOLD_SECS}, which is a day"));
        }
        if jitter_percent > 50 {
            problems.push(format!("cadence.jitter_percent {jitter_percent} is over 50"));
        }
        let SelfUpdateFile { confirm_within_secs, probation_secs } = file.self_update;
        if confirm_within_secs == 0 {
            problems.push("self_update.confirm_within_secs is 0".to_owned());
        }
        if let Some(folder) = &file.folder {
            if !folder.path.is_absolute() {
                problems.push(format!("folder.path {} is not an absolute path", folder.path.display()));
            }
            if folder.poll_secs == 0 {
                problems.push("folder.poll_secs is 0".to_owned());
            }
        }
        let folder = file.folder.map(|FolderFile { path, poll_secs }| FolderSettings {
            path,
            poll: Duration::from_secs(u64::from(poll_secs)),
        });
        let mut packages = BTreeMap::new();
        for (name, config) in file.packages {
            if config.timeout_secs == 0 {
                problems.push(format!("packages.{name}.timeout_secs is 0"));
            }
            let hooks = [&config.test_load, &config.ready, &config.stop, &config.start, &config.health];
            for command in hooks.into_iter().flatten() {
                match command.first() {
                    Some(program) if Path::new(program).is_absolute() => {}
                    Some(program) => {
                        problems.push(format!("packages.{name}: {program} is not an absolute path"))
                    }
                    None => problems.push(format!("packages.{name} has an empty hook; leave it out instead")),
                }
            }
            match PackageName::new(&name) {
                Ok(package) => drop(packages.insert(package, config)),
                Err(error) => problems.push(error.to_string()),
            }
        }
        let mut tags = Vec::new();
        for tag in file.tags {
            match Tag::new(&tag) {
                Ok(tag) if tags.contains(&tag) => {
                    problems.push(format!("the tag {tag} stands twice in tags"))
                }
                Ok(tag) => tags.push(tag),
                Err(error) => problems.push(error.to_string()),
            }
        }
        if tags.len() > MAX_TAGS {
            problems.push(format!("tags has {} entries; a contact takes {MAX_TAGS} at most", tags.len()));
            tags.truncate(MAX_TAGS);
        }
        let settings = Self {
            install_root,
            tags,
            packages,
            cadence: Cadence {
                unlicensed_secs,
                licensed_secs,
                lost_secs,
                waiting_secs,
                jitter_percent: jitter_percent.min(50),
            },
            hold: SignedDuration::from_secs(i64::from(hold_secs)),
            metadata_max_age_days: file.metadata_max_age_days,
            min_bytes_per_second: u64::from(file.download.min_kib_per_second) * 1_024,
            self_update: Bounds {
                confirm_within: Duration::from_secs(u64::from(confirm_within_secs)),
                probation: Duration::from_secs(u64::from(probation_secs)),
                exits: EXITS_ON_TRIAL,
            },
            folder,
            without_hooks: PackageConfig::default(),
            named: None,
        };
        (settings, problems)
    }

    /// The hooks of a package.
    #[must_use]
    pub fn package(&self, package: &PackageName) -> &PackageConfig {
        self.packages.get(package).unwrap_or(&self.without_hooks)
    }
}

/// Why an install root is at a place where the agent's own files and products would get in each other's way: a product may
/// be named as a folder of the agent is, and a purge of the package takes the agent's folders.
fn misplaced(install_root: &Path, home: &Path) -> Option<String> {
    for (root, home) in [(install_root.to_owned(), home.to_owned()), (real(install_root), real(home))] {
        let is_own = |rest: &Path| OWN_FOLDERS.iter().any(|own| rest.starts_with(own));
        let what = if home.starts_with(&root) {
            "is the agent's home, or lies above it"
        } else if root.strip_prefix(&home).is_ok_and(is_own) {
            "is a folder in which the agent keeps its own files"
        } else {
            continue;
        };
        return Some(format!(
            "install_root {} {what}; name a folder for products alone, for example {}",
            install_root.display(),
            home.join("products").display()
        ));
    }
    None
}

/// A path without links, as far as it is there.
fn real(path: &Path) -> PathBuf {
    let found = fs::canonicalize(path);
    let beneath_its_folder = || Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?));
    found.ok().or_else(beneath_its_folder).unwrap_or_else(|| path.to_owned())
}

/// Whether products are in an install root: it has its mark, or, from an older agent, slots.
fn is_in_use(install_root: &Path) -> bool {
    install_root.join(INSTALL_ROOT_MARK).exists()
        || fs::read_dir(install_root)
            .is_ok_and(|entries| entries.flatten().any(|entry| entry.path().join("slots").is_dir()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn load(text: &str) -> Result<Settings, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        Settings::load(&path, Path::new("/home-of-agent"))
    }

    #[test]
    fn the_sample_is_the_default_but_for_its_example_package() {
        let sample = load(SAMPLE).unwrap();
        let missing =
            Settings::load(Path::new("/nonexistent/agent.toml"), Path::new("/home-of-agent")).unwrap();
        assert_eq!(
            Settings {
                packages: BTreeMap::new(),
                install_root: missing.install_root.clone(),
                ..sample.clone()
            },
            missing
        );
        assert_eq!(missing.install_root, Path::new("/home-of-agent/products"));
        assert!(!sample.packages.is_empty());
    }

    #[test]
    fn a_misspelled_key_is_refused() {
        assert!(matches!(load("instal_root = \"/x\""), Err(ConfigError::Malformed(..))));
        assert!(matches!(load("[packages.acme]\nstrat = [\"/x\"]"), Err(ConfigError::Malformed(..))));
    }

    #[test]
    fn all_wrong_values_are_listed_at_once() {
        let text = "install_root = \"x\"\n[cadence]\nlost_secs = 0\njitter_percent = 90\nhold_secs = 86401\n[packages.acme]\nstart = [\"x\"]\nstop = []\n";
        let Err(ConfigError::Wrong { problems, .. }) = load(text) else { panic!("accepted") };
        for part in
            ["install_root", "lost_secs", "jitter_percent", "hold_secs", "not an absolute path", "empty hook"]
        {
            assert!(problems.contains(part), "{problems}");
        }
    }

    #[test]
    fn tags_are_short_words_and_no_more_than_a_contact_takes() {
        let tags = load("tags = [\"site:berlin\", \"laptop\"]").unwrap().tags;
        assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["site:berlin", "laptop"]);
        let many: Vec<String> = (0..=MAX_TAGS).map(|number| format!("tag-{number}")).collect();
        for (text, part) in [
            ("tags = [\"Site Berlin\"]".to_owned(), "not a valid tag"),
            ("tags = [\"a\", \"a\"]".to_owned(), "stands twice"),
            (format!("tags = {many:?}"), "32 at most"),
        ] {
            let Err(ConfigError::Wrong { problems, .. }) = load(&text) else { panic!("accepted {text}") };
            assert!(problems.contains(part), "{problems}");
        }
    }

    #[test]
    fn products_have_a_folder_apart_from_the_agents_own_files() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        fs::create_dir_all(home.join("state")).unwrap();
        std::os::unix::fs::symlink("home", folder.path().join("link")).unwrap();
        let load = |root: &Path| {
            let path = folder.path().join("agent.toml");
            fs::write(&path, format!("install_root = {root:?}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            Settings::load(&path, &home)
        };
        let below = |name: &str| folder.path().join(name);
        for root in ["home", "home/", "home/.", "", "link", "link/state", "home/gate", "home/state/products"]
        {
            let error = load(&below(root)).unwrap_err().to_string();
            assert!(error.contains("install_root") && error.contains("home/products"), "{root}: {error}");
        }
        load(Path::new("/")).unwrap_err();
        for root in ["home/products", "home/apps", "home-of-products", "link/apps", "not/there"] {
            load(&below(root)).unwrap();
        }
        // What an earlier agent installed there runs on.
        fs::create_dir_all(home.join("hello/slots")).unwrap();
        assert_eq!(load(&home).unwrap().install_root, home);
        fs::write(home.join("state").join(INSTALL_ROOT_MARK), "").unwrap();
        load(&home.join("state")).unwrap();
    }

    #[test]
    fn a_configuration_that_others_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(Settings::load(&path, folder.path()), Err(ConfigError::Ownership(..))));
    }
}
