//! Contacts with the identity of two computers that came from neither of them, since the server started.
//!
//! Invariant: one row for each client, so many clients at the most, and in memory alone: whoever has a copy of a computer must not
//! fill the log. What is noted was signed with the client's key.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use sealpost_admin_api::copies::ThirdComputer;
use sealpost_manifests::ids::ClientId;

/// Most clients that are noted; of more the oldest is forgotten.
const MAX_NOTED: usize = 1024;

/// The newest such contact of each client.
#[derive(Debug, Default)]
pub(crate) struct ThirdComputers(Mutex<BTreeMap<ClientId, ThirdComputer>>);

impl ThirdComputers {
    /// Notes a contact in place of an older one of the same client.
    pub(crate) fn note(&self, client_id: &ClientId, seen: ThirdComputer) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= MAX_NOTED && !noted.contains_key(client_id) {
            let oldest = noted.iter().min_by_key(|(_, seen)| seen.seen_at).map(|(id, _)| id.clone());
            oldest.and_then(|oldest| noted.remove(&oldest));
        }
        noted.insert(client_id.clone(), seen);
    }

    /// The newest of a client.
    pub(crate) fn of(&self, client_id: &ClientId) -> Option<ThirdComputer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(client_id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn id(number: u16) -> ClientId {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        ClientId::from_random(bytes)
    }

    fn seen(second: i64, hostname: &str) -> ThirdComputer {
        let seen_at = Timestamp::from_second(second).unwrap();
        ThirdComputer { seen_at, came_by: None, hostname: Some(hostname.to_owned()) }
    }

    #[test]
    fn a_client_has_one_row_the_newest_and_of_too_many_clients_the_oldest_is_forgotten() {
        let noted = ThirdComputers::default();
        assert_eq!(noted.of(&id(0)), None);
        noted.note(&id(0), seen(1, "A"));
        noted.note(&id(1), seen(2, "B"));
        noted.note(&id(0), seen(3, "C"));
        assert_eq!(noted.of(&id(0)), Some(seen(3, "C")));
        let limit = u16::try_from(MAX_NOTED).unwrap();
        for number in 2..limit {
            noted.note(&id(number), seen(9, "D"));
        }
        noted.note(&id(0), seen(10, "E"));
        assert_eq!(noted.of(&id(1)), Some(seen(2, "B")), "there is room for all of them");
        noted.note(&id(limit), seen(11, "F"));
        assert_eq!((noted.of(&id(1)), noted.of(&id(0))), (None, Some(seen(10, "E"))));
        assert_eq!(noted.0.lock().unwrap().len(), MAX_NOTED);
    }
}
