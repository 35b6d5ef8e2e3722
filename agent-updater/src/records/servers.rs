//! Which servers this computer is enrolled with, in their order: `state/servers.json`.
//!
//! Invariants: it names a server only after that server's enrollment is on disk. The first one decides about updates; only
//! a person changes which one that is, by enrolling or by preferring it.
//! Left out on purpose: which one serves at the moment ([`super::serving`]).

use sealpost_files::{PUBLIC, with_causes};
use sealpost_manifests::ids::ServerId;
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::platform::store::{self, StoreError};

const NAME: &str = "servers";

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Index {
    /// The one that decides about updates first.
    order: Vec<ServerId>,
}

/// The servers, the one that decides about updates first; none before enrollment.
///
/// # Errors
/// [`StoreError`].
pub fn load(home: &Home) -> Result<Vec<ServerId>, StoreError> {
    let index: Option<Index> = store::load(&home.state(NAME))?;
    Ok(index.unwrap_or_default().order)
}

/// Prefers a server to all others, which stay in their order. An index that is damaged is made again from the folders of
/// the servers: enrolling is how a person repairs it.
///
/// # Errors
/// [`StoreError`].
pub fn prefer(home: &Home, server: &ServerId) -> Result<(), StoreError> {
    let mut order = match load(home) {
        Err(error @ StoreError::Damaged { .. }) => {
            tracing::warn!("{}; it is made again", with_causes(&error));
            folders(home)
        }
        other => other?,
    };
    order.retain(|known| known != server);
    order.insert(0, server.clone());
    store::save(&home.state(NAME), &Index { order }, PUBLIC)
}

/// Adds a server at the end; one that is known keeps its place.
///
/// # Errors
/// [`StoreError`], also when the index is damaged: which server is the first is then not known.
pub fn add(home: &Home, server: &ServerId) -> Result<(), StoreError> {
    let mut order = load(home)?;
    if order.contains(server) {
        return Ok(());
    }
    order.push(server.clone());
    store::save(&home.state(NAME), &Index { order }, PUBLIC)
}

/// Removes a server; its records are not touched.
///
/// # Errors
/// [`StoreError`].
pub fn remove(home: &Home, server: &ServerId) -> Result<(), StoreError> {
    let mut order = load(home)?;
    order.retain(|known| known != server);
    store::save(&home.state(NAME), &Index { order }, PUBLIC)
}

fn folders(home: &Home) -> Vec<ServerId> {
    let Ok(entries) = std::fs::read_dir(home.servers()) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut servers: Vec<ServerId> = names.filter_map(|name| ServerId::new(name).ok()).collect();
    servers.sort_unstable();
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(number: u8) -> ServerId {
        ServerId::from_random([number; 16])
    }

    #[test]
    fn the_server_that_was_enrolled_with_last_is_preferred_and_the_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        home.prepare().unwrap();
        assert!(load(&home).unwrap().is_empty());
        for number in [1, 2, 3, 2] {
            prefer(&home, &server(number)).unwrap();
        }
        assert_eq!(load(&home).unwrap(), [server(2), server(3), server(1)]);
        let golden = format!(r#"{{"order":["{}"]}}"#, server(1));
        let index: Index = serde_json::from_str(&golden).unwrap();
        assert_eq!(serde_json::to_string(&index).unwrap(), golden);
    }

    #[test]
    fn a_server_is_added_at_the_end_and_removing_one_leaves_the_others_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        home.prepare().unwrap();
        prefer(&home, &server(1)).unwrap();
        for number in [2, 3, 2, 1] {
            add(&home, &server(number)).unwrap();
        }
        assert_eq!(load(&home).unwrap(), [server(1), server(2), server(3)]);
        remove(&home, &server(2)).unwrap();
        assert_eq!(load(&home).unwrap(), [server(1), server(3)]);
        std::fs::write(home.state(NAME), b"damaged").unwrap();
        assert!(add(&home, &server(4)).is_err() && remove(&home, &server(3)).is_err());
    }

    #[test]
    fn a_damaged_index_is_an_error_and_is_made_again_by_an_enrollment() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        home.prepare().unwrap();
        for number in [1, 2] {
            std::fs::create_dir(home.server(&server(number))).unwrap();
        }
        std::fs::write(home.state(NAME), b"sealpost-record 3 2 00\n{}").unwrap();
        assert!(matches!(load(&home), Err(StoreError::Damaged { .. })));
        prefer(&home, &server(2)).unwrap();
        assert_eq!(load(&home).unwrap(), [server(2), server(1)]);
    }
}
