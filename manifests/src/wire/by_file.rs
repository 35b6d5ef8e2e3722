//! What a computer without a network writes for its server: the bodies of the same requests, as a file.
//!
//! Nothing in it is a secret: an enrollment proves its code without naming it, and a contact is signed. It is not sealed,
//! because a computer does not know a key of the server for that; who reads the folder sees what the computer runs.

use serde::{Deserialize, Serialize};

use crate::wire::MAX_REQUEST_BYTES;
use crate::wire::contact::ContactRequest;
use crate::wire::enroll::EnrollRequest;

/// Longest file, in bytes: a request, and what tells its kind.
pub const MAX_REQUEST_FILE_BYTES: u64 = MAX_REQUEST_BYTES as u64 + 64;

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
        let contact = ContactRequest {
            client_id: ClientId::from_random([1; 16]),
            contact: signed,
            evidence: None,
        };
        let text = serde_json::to_string(&FileRequest::Contact(Box::new(contact))).unwrap();
        assert!(text.starts_with(r#"{"kind":"contact","client_id":""#), "{text}");
        assert!(matches!(serde_json::from_str(&text), Ok(FileRequest::Contact(_))));
        let later = text.replace(r#""kind":"contact""#, r#""kind":"of_later""#);
        assert!(serde_json::from_str::<FileRequest>(&later).is_err());
    }
}
