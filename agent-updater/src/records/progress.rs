//! How far this computer got: by itself, and with each server that it is enrolled with.
//!
//! Invariant: what was damaged of one server stops nothing of another, and is not written over.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_manifests::ids::ServerId;

use crate::home::Home;
use crate::platform::store::StoreError;

use super::computer::ComputerProgress;
use super::server::ServerRecords;
use super::servers;
use super::standing::ServerStanding;

#[derive(Debug, Clone, Default)]
pub struct Progress {
    pub computer: ComputerProgress,
    /// How it stands with [`Progress::authority`]; the default before enrollment.
    pub standing: ServerStanding,
    /// The servers in their order, the authority first.
    servers: Vec<ServerId>,
    others: BTreeMap<ServerId, ServerStanding>,
    /// What is on disk of the others.
    saved: BTreeMap<ServerId, ServerStanding>,
    damaged: BTreeSet<ServerId>,
    /// Of a server that nothing is known of.
    unknown: ServerStanding,
}

impl Progress {
    /// Reads it; the default before enrollment.
    ///
    /// # Errors
    /// [`StoreError`] of the computer's records, or of those of the authority.
    pub fn load(home: &Home) -> Result<Self, StoreError> {
        let computer = ComputerProgress::load(home)?;
        let servers = servers::load(home)?;
        let mut progress = Self { computer, servers, ..Self::default() };
        for (place, server) in progress.servers.iter().enumerate() {
            match (place, ServerRecords::of(home, server).standing()) {
                (0, standing) => progress.standing = standing?,
                (_, Ok(standing)) => drop(progress.others.insert(server.clone(), standing)),
                (_, Err(error)) => {
                    tracing::warn!("{}", with_causes(&error));
                    let _ = progress.damaged.insert(server.clone());
                }
            }
        }
        progress.saved = progress.others.clone();
        Ok(progress)
    }

    /// Writes it; durable at return. Of the servers that are not the authority only what changed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn save(&mut self, home: &Home) -> Result<(), StoreError> {
        self.computer.save(home)?;
        if let Some(authority) = self.authority() {
            ServerRecords::of(home, authority).save_standing(&self.standing)?;
        }
        for (server, standing) in &self.others {
            if self.saved.get(server) != Some(standing) && !self.damaged.contains(server) {
                ServerRecords::of(home, server).save_standing(standing)?;
                let _ = self.saved.insert(server.clone(), standing.clone());
            }
        }
        Ok(())
    }

    /// The server that decides about updates; `None` before enrollment.
    #[must_use]
    pub fn authority(&self) -> Option<&ServerId> {
        self.servers.first()
    }

    /// The servers in their order, the authority first.
    #[must_use]
    pub fn servers(&self) -> &[ServerId] {
        &self.servers
    }

    /// How this computer stands with a server; the default of one that it is not enrolled with.
    #[must_use]
    pub fn of(&self, server: &ServerId) -> &ServerStanding {
        if self.authority() == Some(server) {
            return &self.standing;
        }
        self.others.get(server).unwrap_or(&self.unknown)
    }

    /// As [`Progress::of`], to be changed.
    pub fn of_mut(&mut self, server: &ServerId) -> &mut ServerStanding {
        if self.authority() == Some(server) {
            return &mut self.standing;
        }
        self.others.entry(server.clone()).or_default()
    }

    /// Whether how it stands with a server cannot be read.
    #[must_use]
    pub fn is_damaged(&self, server: &ServerId) -> bool {
        self.damaged.contains(server)
    }

    /// License time at a clock time.
    #[must_use]
    pub fn license_time(&self, now: Timestamp) -> Timestamp {
        self.computer.floors.license_time(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(number: u8) -> ServerId {
        ServerId::from_random([number; 16])
    }

    /// A home that is enrolled with two servers, of which the first is the authority.
    fn home_of_two(folder: &tempfile::TempDir) -> Home {
        let home = Home::at(folder.path()).unwrap();
        home.prepare().unwrap();
        for number in [2, 1] {
            ServerRecords::of(&home, &server(number)).prepare().unwrap();
            servers::prefer(&home, &server(number)).unwrap();
        }
        home
    }

    #[test]
    fn each_server_has_a_standing_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let home = home_of_two(&folder);
        let mut progress = Progress::load(&home).unwrap();
        assert_eq!(progress.authority(), Some(&server(1)));
        progress.of_mut(&server(1)).notices = vec!["of the first".to_owned()];
        progress.of_mut(&server(2)).notices = vec!["of the second".to_owned()];
        progress.save(&home).unwrap();
        let again = Progress::load(&home).unwrap();
        assert_eq!(again.standing.notices, ["of the first"]);
        assert_eq!(again.of(&server(2)).notices, ["of the second"]);
        assert_eq!(again.of(&server(3)), &ServerStanding::default());
    }

    #[test]
    fn a_damaged_standing_with_a_second_server_stops_nothing_of_the_first_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let home = home_of_two(&folder);
        let path = home.server_record(&server(2), "standing");
        std::fs::write(&path, b"sealpost-record 3 2 00\n{}").unwrap();
        let mut progress = Progress::load(&home).unwrap();
        assert!(progress.is_damaged(&server(2)) && !progress.is_damaged(&server(1)));
        progress.standing.notices = vec!["goes on".to_owned()];
        progress.of_mut(&server(2)).notices = vec!["nobody knows the rest".to_owned()];
        progress.save(&home).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"sealpost-record 3 2 00\n{}");
        std::fs::write(home.server_record(&server(1), "standing"), b"damaged").unwrap();
        assert!(matches!(Progress::load(&home), Err(StoreError::Damaged { .. })));
    }
}
