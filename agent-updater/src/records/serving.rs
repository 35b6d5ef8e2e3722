//! Which server serves this computer: `state/serving.json`, once there is more than one.
//!
//! Nothing rests on it that lasts: without it, and if it is damaged, the first server serves until it fails again.

use sealpost_files::{PUBLIC, with_causes};

use crate::domain::serving::Serving;
use crate::home::Home;
use crate::platform::store::{self, StoreError};

const NAME: &str = "serving";

/// Reads it; `None` if there is none that can be used.
#[must_use]
pub fn load(home: &Home) -> Option<Serving> {
    store::load(&home.state(NAME)).unwrap_or_else(|error| {
        tracing::debug!("{}; the first server serves", with_causes(&error));
        None
    })
}

/// # Errors
/// [`StoreError`].
pub fn save(home: &Home, serving: &Serving) -> Result<(), StoreError> {
    store::save(&home.state(NAME), serving, PUBLIC)
}

/// Forgets it: the first server serves.
///
/// # Errors
/// [`StoreError`].
pub fn remove(home: &Home) -> Result<(), StoreError> {
    store::remove(&home.state(NAME))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sealpost_manifests::ids::ServerId;

    use super::*;

    #[test]
    fn a_record_that_is_missing_or_damaged_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        home.prepare().unwrap();
        assert_eq!(load(&home), None);
        let serving = Serving::preferred(ServerId::from_random([1; 16]), Timestamp::UNIX_EPOCH);
        save(&home, &serving).unwrap();
        assert_eq!(load(&home), Some(serving.clone()));
        std::fs::write(home.state(NAME), b"damaged").unwrap();
        assert_eq!(load(&home), None);
        save(&home, &serving).unwrap();
        remove(&home).unwrap();
        assert_eq!(load(&home), None);
    }
}
