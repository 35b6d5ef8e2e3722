//! The agent as the program runs it: constructs what the flows work with, and holds it.
//!
//! Invariant: there is no branch and no loop here; those belong in flows or in constructors of adapters.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealpost_hook_runner::Runner;
use sealpost_manifests::ids::{ComputerName, PackageName};
use sealpost_manifests::setup::ServerRole;
use sealpost_repository::Pace;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::config::{ConfigError, DOWNLOAD_WINDOW, Settings};
use crate::control::{Answer, ToUnwanted};
use crate::flows::answers;
use crate::flows::audit::{self, AuditedSlot};
use crate::flows::by_file::{self, ByFileError};
use crate::flows::context::{Context, Host};
use crate::flows::cycle::{self, CycleResult, Starts};
use crate::flows::enroll::{self, EnrollError, EnrolledAs, OtherName, WaitingEnrollment};
use crate::flows::first_install::{self, FirstInstallError, Order, Step};
use crate::flows::install::ChangeEnd;
use crate::flows::rollback::{self, RollbackError};
use crate::flows::self_update::run as launcher;
use crate::flows::self_update::{LaunchError, OwnCommand};
use crate::flows::servers::{self, ServerStatus, ServersError};
use crate::flows::status::{self, Status};
use crate::home::Home;
use crate::hooks::RUN_HOOK;
use crate::platform::network::Network;
use crate::platform::store::StoreError;
use crate::records::holdings::HoldingsError;
use crate::server::Connections;
use crate::system::{ProcessFaults, SystemClock, SystemDisk};

/// The agent. Its methods block, and are to be called from a thread that may; the network runs on another one.
#[derive(Debug)]
pub struct Agent {
    pub context: Context,
}

impl Agent {
    /// The agent of a home, with the system's clock and disk; `config` is a configuration that a person named.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn new(home: Home, config: Option<&Path>, runtime: Handle) -> Result<Self, ConfigError> {
        let settings = Settings::load_named_or_default(config, &home)?;
        Ok(Self::with(home, settings, runtime))
    }

    /// The agent that an install file starts: without the configuration of the home, which the install file judges.
    #[must_use]
    pub fn of_install_file(home: Home, runtime: Handle) -> Self {
        let settings = Settings::default_in(home.path());
        Self::with(home, settings, runtime)
    }

    fn with(home: Home, settings: Settings, runtime: Handle) -> Self {
        let (stop, interrupt) = (Arc::default(), Arc::default());
        let network = Network::new(runtime, &[&stop, &interrupt]);
        let pace = Pace::averaged_over(DOWNLOAD_WINDOW, settings.min_bytes_per_second);
        let host = Host {
            home,
            settings,
            clock: Arc::new(SystemClock),
            disk: Box::new(SystemDisk),
            runner: Runner::this_program(RUN_HOOK),
            faults: Arc::new(ProcessFaults),
            stop,
        };
        Self {
            context: Context {
                host,
                network,
                interrupt,
                access: watch::Sender::new(None),
                connections: Connections::default(),
                pace,
            },
        }
    }

    /// # Errors
    /// [`EnrollError`].
    pub fn enroll(
        &self,
        setup: &Path,
        root: Option<&Path>,
        other_name: OtherName,
    ) -> Result<EnrolledAs, EnrollError> {
        enroll::enroll(&self.context, setup, root, None, other_name)
    }

    /// As [`Agent::enroll`], under this name, which a knock setup file leaves open.
    ///
    /// # Errors
    /// [`EnrollError`].
    pub fn enroll_under(
        &self,
        setup: &Path,
        root: Option<&Path>,
        name: Option<&ComputerName>,
        other_name: OtherName,
    ) -> Result<EnrolledAs, EnrollError> {
        enroll::enroll(&self.context, setup, root, name, other_name)
    }

    /// What an install file brought is installed.
    ///
    /// # Errors
    /// [`FirstInstallError`].
    pub fn first_install(
        &self,
        order: Order<'_>,
        tell: &mut dyn FnMut(Step),
    ) -> Result<(), FirstInstallError> {
        first_install::install(&self.context, order, tell)
    }

    /// What an install file did is taken back.
    ///
    /// # Errors
    /// [`FirstInstallError`].
    pub fn remove_first_install(
        &self,
        order: Order<'_>,
        tell: &mut dyn FnMut(Step),
    ) -> Result<(), FirstInstallError> {
        first_install::remove(&self.context, order, tell)
    }

    /// Enrolls with a further server, which serves when the first does not.
    ///
    /// # Errors
    /// [`EnrollError`].
    pub fn add_server(
        &self,
        setup: &Path,
        role: Option<ServerRole>,
        other_name: OtherName,
    ) -> Result<EnrolledAs, EnrollError> {
        enroll::add(&self.context, setup, role, other_name)
    }

    /// The servers in their order, the one that decides about updates first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn servers(&self) -> Result<Vec<ServerStatus>, StoreError> {
        servers::list(&self.context.host)
    }

    /// Removes a server that a person names by its id or an address.
    ///
    /// # Errors
    /// [`ServersError`].
    pub fn remove_server(&self, asked: &str) -> Result<ServerStatus, ServersError> {
        servers::remove(&self.context.host, asked)
    }

    /// Makes a server the one that decides about updates.
    ///
    /// # Errors
    /// [`ServersError`].
    pub fn prefer_server(&self, asked: &str) -> Result<ServerStatus, ServersError> {
        servers::prefer(&self.context.host, asked)
    }

    /// The file of an enrollment, and what a person should know.
    ///
    /// # Errors
    /// [`EnrollError`].
    pub fn enrollment_file(
        &self,
        setup: &Path,
        root: Option<&Path>,
        other_name: OtherName,
    ) -> Result<(WaitingEnrollment, Vec<String>), EnrollError> {
        enroll::enrollment_file(&self.context.host, setup, root, other_name)
    }

    /// The file of the contact that waits for its answer.
    ///
    /// # Errors
    /// [`ByFileError`].
    pub fn contact_file(&self) -> Result<Vec<u8>, ByFileError> {
        by_file::contact_file(&self.context.host)
    }

    /// Takes a file as an answer, and installs what is assigned, if a folder of releases is known.
    ///
    /// # Errors
    /// [`EnrollError`] of an answer to an enrollment.
    pub fn take_answer(&self, file: Vec<u8>, releases: Option<PathBuf>) -> Result<Answer, EnrollError> {
        answers::take(&self.context, file, releases)
    }

    pub fn cycle(&self) -> CycleResult {
        cycle::run(&self.context, Starts::All)
    }

    /// # Errors
    /// [`RollbackError`].
    pub fn roll_back(&self, package: &PackageName, to: ToUnwanted) -> Result<ChangeEnd, RollbackError> {
        rollback::roll_back(&self.context.host, package, to)
    }

    /// # Errors
    /// [`RollbackError`].
    pub fn asked_back(&self, package: &PackageName, to: ToUnwanted) -> Result<Answer, RollbackError> {
        rollback::asked(&self.context.host, package, to)
    }

    /// # Errors
    /// [`HoldingsError`].
    pub fn audit(&self) -> Result<Vec<AuditedSlot>, HoldingsError> {
        audit::audit(&self.context.host)
    }

    #[must_use]
    pub fn status(&self) -> Status {
        status::read(&self.context.host)
    }

    /// Runs as the program that is to be the daemon until it is told to stop. `config` is the configuration that a person
    /// named, for the programs that follow.
    ///
    /// # Errors
    /// [`LaunchError`].
    pub async fn launch(self, config: Option<&Path>) -> Result<(), LaunchError> {
        let own = self.own_command(config);
        launcher::run(Arc::new(self.context), own).await
    }

    /// Executes the program of the agent that is on trial, as the child of its watchdog.
    ///
    /// # Errors
    /// [`LaunchError`]; it never returns otherwise.
    pub fn become_trial(&self, config: Option<&Path>, watchdog: u32) -> Result<(), LaunchError> {
        launcher::become_trial(&self.context.host, &self.own_command(config), watchdog)
    }

    fn own_command(&self, config: Option<&Path>) -> OwnCommand {
        OwnCommand { home: self.home().path().to_owned(), config: config.map(Path::to_owned) }
    }

    #[must_use]
    pub fn home(&self) -> &Home {
        &self.context.host.home
    }
}
