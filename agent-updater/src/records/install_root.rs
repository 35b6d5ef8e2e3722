//! The mark of the install root in which something was installed last.

use sealpost_files::PUBLIC;
use sealpost_manifests::digest::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::platform::store::{self, StoreError};

const NAME: &str = "install_root";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    mark: Sha256Digest,
}

/// The mark; `None` before the first install. A record that is damaged counts as none: then the recorded slots say which
/// root it is.
///
/// # Errors
/// [`StoreError::Io`].
pub fn load(home: &Home) -> Result<Option<Sha256Digest>, StoreError> {
    match store::load::<Known>(&home.state(NAME)) {
        Err(error @ StoreError::Io { .. }) => Err(error),
        Err(_) => Ok(None),
        Ok(known) => Ok(known.map(|known| known.mark)),
    }
}

/// # Errors
/// [`StoreError`].
pub fn save(home: &Home, mark: Sha256Digest) -> Result<(), StoreError> {
    store::save(&home.state(NAME), &Known { mark }, PUBLIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_keeps_its_form() {
        let golden = format!(r#"{{"mark":"{}"}}"#, Sha256Digest::of(b"1"));
        let known: Known = serde_json::from_str(&golden).unwrap();
        assert_eq!(serde_json::to_string(&known).unwrap(), golden);
    }
}
