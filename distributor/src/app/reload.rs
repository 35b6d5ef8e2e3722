//! Taking over a changed configuration while the server runs, and reopening logs.

use std::sync::Arc;

use tokio::sync::watch;

use crate::activity_file::RotationLimits;
use crate::config::{ConfigError, Settings, needs_a_restart};
use crate::home::Home;
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
}

impl Reload {
    pub(super) async fn run(&self) {
        // The text log is opened anew by this, whatever became of the configuration.
        self.logs.send_modify(|_| {});
        match Settings::load(&self.home.config_file(), &self.home.config_folder()) {
            Ok(settings) => self.adopt(&settings).await,
            Err(error) => self.keep(&error),
        }
    }

    async fn adopt(&self, settings: &Settings) {
        self.upstream.adopt(settings);
        self.logs.send_replace(RotationLimits::of(&settings.storage));
        let waiting = needs_a_restart(&self.started, settings);
        tracing::info!(from_the_next_start = waiting.join(", "), "read the configuration again");
        let said = waiting.iter().map(|key| {
            format!("`{key}` was changed in the configuration, and counts from the next start of the server")
        });
        self.presence.adopt(settings, said.collect()).await;
    }

    fn keep(&self, error: &ConfigError) {
        tracing::error!(%error, "the configuration was not taken over; the one before stays in force");
        self.presence.note_configuration(format!("{error} (the configuration before stays in force)"));
    }
}
