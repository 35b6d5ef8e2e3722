//! Taking over a changed configuration while the server runs, and reopening logs.

use std::sync::Arc;

use tokio::sync::watch;

use crate::activity_file::RotationLimits;
use crate::config::{Folder, Settings, SyslogTarget, TestLoads, test_load_digests};
use crate::home::Home;
use crate::ports::test_load::TestDesk;
use crate::presence::ServerPresence;
use crate::upstream::VendorUpstream;

/// What takes over a configuration.
pub(super) struct Reload {
    pub(super) home: Home,
    /// What the server was started with: what needs a restart is held against it.
    pub(super) started: Settings,
    pub(super) presence: Arc<ServerPresence>,
    pub(super) upstream: Arc<VendorUpstream>,
    pub(super) logs: watch::Sender<RotationLimits>,
    pub(super) syslog: watch::Sender<Option<SyslogTarget>>,
    pub(super) folders: watch::Sender<Option<Folder>>,
    pub(super) test_loads: watch::Sender<TestLoads>,
    pub(super) tests: TestDesk,
}

impl Reload {
    pub(super) async fn run(&self) {
        // The text log is opened anew by this, whatever becomes of the configuration.
        self.logs.send_modify(|_| {});
        let others = |settings: &Settings| {
            self.upstream.adopt(settings);
            self.logs.send_replace(RotationLimits::of(&settings.storage));
            self.syslog.send_if_modified(|target| {
                let is_new = *target != settings.syslog;
                target.clone_from(&settings.syslog);
                is_new
            });
            self.folders.send_replace(settings.folder.clone());
            self.tests.configure(test_load_digests(&settings.test_loads));
            self.test_loads.send_replace(settings.test_loads.clone());
        };
        self.presence.reload(&self.home, &self.started, others).await;
    }
}
