//! What a computer without a network writes for its server: the bodies of the same requests, as a file.
//!
//! Nothing in it is a secret: an enrollment proves its code without naming it, and a contact is signed. It is not sealed,
//! because a computer does not know a key of the server for that; who reads the folder sees what the computer runs.

use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::wire::MAX_REQUEST_BYTES;
use crate::wire::contact::ContactRequest;
use crate::wire::enroll::EnrollRequest;

/// Longest file, in bytes.
pub const MAX_REQUEST_FILE_BYTES: u64 = MAX_REQUEST_BYTES as u64;

/// In a folder by which computers are served: the folder with one folder for each computer, by its name.
pub const COMPUTERS_FOLDER: &str = "computers";
/// In a computer's folder: what the computer wrote.
pub const CONTACT_FILE: &str = "contact.json";
/// In a computer's folder: the answer to it.
pub const ANSWER_FILE: &str = "answer.sealed";
/// In a folder by which computers are served: the vendor's releases, as they are published.
pub const RELEASES_FOLDER: &str = "releases";
/// Beneath the releases: the metadata files by their names.
pub const METADATA_FOLDER: &str = "metadata";
/// Beneath the releases: the targets as `<sha256>.<name>`.
pub const TARGETS_FOLDER: &str = "targets";
/// Beneath the releases: deltas, named by [`delta_file`].
pub const DELTAS_FOLDER: &str = "deltas";

/// The name of a delta between two releases, which are named by their manifests.
#[must_use]
pub fn delta_file(base: &Sha256Digest, target: &Sha256Digest) -> String {
    format!("{base}.{target}.delta")
}

/// A request as a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FileRequest {
    /// A computer enrolls.
    Enroll(Box<EnrollRequest>),
    /// A computer contacts. What the server signed for it is always shown: a file has no second try.
    Contact(Box<ContactRequest>),
}

#[cfg(test)]
mod tests {
    use sealpost_keys::SigningKey;

    use super::*;
    use crate::document::SignedDocument;
    use crate::ids::ClientId;

    #[test]
    fn a_request_reads_back_as_its_kind_and_another_kind_is_refused() {
        let key = SigningKey::generate().unwrap();
        let comment = sealpost_keys::TrustedComment::new("x").unwrap();
        let signed = SignedDocument { document: "{}".to_owned(), minisig: key.sign(b"{}", &comment) };
        let contact =
            ContactRequest { client_id: ClientId::from_random([1; 16]), contact: signed, evidence: None };
        let text = serde_json::to_string(&FileRequest::Contact(Box::new(contact))).unwrap();
        assert!(text.starts_with(r#"{"kind":"contact","client_id":""#), "{text}");
        assert!(matches!(serde_json::from_str(&text), Ok(FileRequest::Contact(_))));
        let later = text.replace(r#""kind":"contact""#, r#""kind":"of_later""#);
        assert!(serde_json::from_str::<FileRequest>(&later).is_err());
    }
}
