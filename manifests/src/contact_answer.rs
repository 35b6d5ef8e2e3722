//! Answers by file: what a server answers to a contact or an enrollment that came as a file, for computers without a
//! network.
//!
//! Both are signed with the site key, name who asked, and are then sealed ([`sealpost_keys::sealed`]) for the computer's
//! sealing key: a share or a stick has other readers, and the answer brings grants with their serial numbers. They bring no
//! access token, because nobody could use it.
//! Invariant: [`open`] gives a document only when it was sealed for this key and this party, has a bounded length, and
//! verifies; whether it answers the contact that waits is the caller's question ([`ContactFileAnswer::is_to`]).
//! Left out on purpose: the vendor's metadata and releases of an update, which lie beside the answers as they are published.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_keys::note::SignedNote;
use sealpost_keys::sealed::{self, OpenError, SealContext, SealError, sealed_len};
use sealpost_keys::{PublicKey, SealingKey, SealingPublicKey, SigningKey, Verified};
use serde::{Deserialize, Serialize};

use crate::document::{self, Document, DocumentError, SignedDocument};
use crate::ids::{ClientId, ComputerName, Nonce, ServerId};
use crate::log::ConsistencyProof;
use crate::wire::contact::{Contact, ContactAnswer, WaitsFor};
use crate::wire::enroll::EnrollAnswer;
use crate::wire::problem::Problem;

/// Longest signed answer, in bytes: a lease, an assignment and some grants, or the vendor's top roles.
pub const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Longest sealed answer, in bytes.
pub const MAX_SEALED_ANSWER_BYTES: u64 = sealed_len(MAX_ANSWER_BYTES) as u64;
/// Most files of the vendor's metadata in an answer to an enrollment.
pub const MAX_METADATA_FILES: usize = 256;

/// The whole answer to a contact. Signed with the site key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContactFileAnswer {
    /// The server that answers.
    pub server_id: ServerId,
    /// The client that it answers.
    pub client_id: ClientId,
    /// As in the contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Nonce>,
    /// As in the contact.
    pub next: Nonce,
    /// The server's clock, for people only; decides nothing.
    pub issued_at: Timestamp,
    /// As in [`ContactAnswer`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<SignedDocument>,
    /// As in [`ContactAnswer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<SignedDocument>,
    /// As in [`ContactAnswer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<SignedDocument>,
    /// As in [`ContactAnswer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_list: Option<SignedDocument>,
    /// As in [`ContactAnswer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<SignedNote>,
    /// As in [`ContactAnswer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<ConsistencyProof>,
    /// As in [`ContactAnswer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// As in [`ContactAnswer`].
    #[serde(default)]
    pub acknowledged_report: u64,
    /// As in [`ContactAnswer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// As in [`ContactAnswer`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<WaitsFor>,
    /// Why the contact was refused; then nothing else is here, and the contact still waits for an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Problem>,
}

impl ContactFileAnswer {
    /// The answer that a client over the network would get, without the right to read.
    #[must_use]
    pub fn of(contact: &Contact, answer: ContactAnswer, issued_at: Timestamp) -> Self {
        let ContactAnswer {
            grants,
            lease,
            assignment,
            server_list,
            checkpoint,
            consistency,
            receipt,
            access_token: _,
            token_valid_secs: _,
            acknowledged_report,
            notice,
            waits,
        } = answer;
        Self {
            server_id: contact.server_id.clone(),
            client_id: contact.client_id.clone(),
            previous: contact.previous.clone(),
            next: contact.next.clone(),
            issued_at,
            grants,
            lease,
            assignment,
            server_list,
            checkpoint,
            consistency,
            receipt,
            acknowledged_report,
            notice,
            waits,
            refused: None,
        }
    }

    /// The refusal of a contact.
    #[must_use]
    pub fn refusal(contact: &Contact, refused: Problem, issued_at: Timestamp) -> Self {
        Self {
            server_id: contact.server_id.clone(),
            client_id: contact.client_id.clone(),
            previous: contact.previous.clone(),
            next: contact.next.clone(),
            issued_at,
            grants: Vec::new(),
            lease: None,
            assignment: None,
            server_list: None,
            checkpoint: None,
            consistency: None,
            receipt: None,
            acknowledged_report: 0,
            notice: None,
            waits: Vec::new(),
            refused: Some(refused),
        }
    }

    /// Whether it answers the contact with these ids and nonces, and no earlier, later or other one.
    #[must_use]
    pub fn is_to(
        &self,
        server_id: &ServerId,
        client_id: &ClientId,
        previous: Option<&Nonce>,
        next: &Nonce,
    ) -> bool {
        self.server_id == *server_id
            && self.client_id == *client_id
            && self.previous.as_ref() == previous
            && self.next == *next
    }

    /// What it says, as an answer over the network would; its right to read is empty.
    #[must_use]
    pub fn into_answer(self) -> ContactAnswer {
        ContactAnswer {
            grants: self.grants,
            lease: self.lease,
            assignment: self.assignment,
            server_list: self.server_list,
            checkpoint: self.checkpoint,
            consistency: self.consistency,
            receipt: self.receipt,
            access_token: String::new(),
            token_valid_secs: 0,
            acknowledged_report: self.acknowledged_report,
            notice: self.notice,
            waits: self.waits,
        }
    }
}

impl Document for ContactFileAnswer {
    const TYPE: &'static str = "contact_answer";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        format!("contact_answer client={} next={}", self.client_id, self.next)
    }
}

impl FileAnswer for ContactFileAnswer {
    fn party(&self) -> &str {
        self.client_id.as_str()
    }
}

/// The whole answer to an enrollment. Signed with the site key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrollmentFileAnswer {
    /// The server that answers.
    pub server_id: ServerId,
    /// The name that was enrolled.
    pub computer_name: ComputerName,
    /// The key that was enrolled.
    pub client_key: PublicKey,
    /// The server's clock, for people only; decides nothing.
    pub issued_at: Timestamp,
    /// As in [`EnrollAnswer`].
    pub enrolled: SignedDocument,
    /// As in [`EnrollAnswer`].
    pub grants: Vec<SignedDocument>,
    /// As in [`EnrollAnswer`].
    pub log_key: SignedDocument,
    /// The vendor's top roles, by the names of their files: what it takes to verify `targets`.
    pub metadata: BTreeMap<String, String>,
    /// The vendor's trust document, by the name that a repository has it under.
    pub targets: BTreeMap<String, String>,
}

impl EnrollmentFileAnswer {
    /// What it says, as an answer over the network would; its right to read is empty.
    #[must_use]
    pub fn answer(&self) -> EnrollAnswer {
        EnrollAnswer {
            enrolled: self.enrolled.clone(),
            grants: self.grants.clone(),
            log_key: self.log_key.clone(),
            access_token: String::new(),
        }
    }
}

impl Document for EnrollmentFileAnswer {
    const TYPE: &'static str = "enrollment_answer";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        format!("enrollment_answer server={} name={}", self.server_id, self.computer_name)
    }
}

impl FileAnswer for EnrollmentFileAnswer {
    fn party(&self) -> &str {
        self.server_id.as_str()
    }
}

/// A document that goes as a sealed file.
pub trait FileAnswer: Document {
    /// The id that it is sealed for: of the client, or of the server as long as the client has none.
    fn party(&self) -> &str;
}

/// Why an answer could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SealAnswerError {
    /// It cannot be signed or written.
    #[error("the answer cannot be signed")]
    Sign(#[from] DocumentError),
    /// It is longer than any reader takes.
    #[error("the answer has {0} bytes, more than the {MAX_ANSWER_BYTES} that a computer accepts")]
    TooLong(usize),
    /// It cannot be sealed.
    #[error("the answer cannot be sealed")]
    Seal(#[from] SealError),
}

/// Why a file was not taken as an answer. Nothing of it was used.
#[derive(Debug, thiserror::Error)]
pub enum OpenAnswerError {
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What was sealed is no signed document, or its signature does not hold.
    #[error("what is sealed in the file is not accepted")]
    Document(#[from] DocumentError),
}

/// Signs an answer with the site key, and seals it for a computer.
///
/// # Errors
/// [`SealAnswerError`].
pub fn seal<T: FileAnswer>(
    answer: &T,
    site_key: &SigningKey,
    recipient: &SealingPublicKey,
) -> Result<Vec<u8>, SealAnswerError> {
    let signed = SignedDocument::sign(answer, site_key)?;
    let text = serde_json::to_vec(&signed)
        .map_err(|source| DocumentError::Malformed { document: T::TYPE, source })?;
    if text.len() > MAX_ANSWER_BYTES {
        return Err(SealAnswerError::TooLong(text.len()));
    }
    Ok(sealed::seal(&text, recipient, &context::<T>(answer.party()))?)
}

/// Opens an answer that is sealed for `key` and `party`, and verifies it with the site key.
///
/// # Errors
/// [`OpenAnswerError`].
pub fn open<T: FileAnswer>(
    file: &[u8],
    key: &SealingKey,
    party: &str,
    site_key: &PublicKey,
) -> Result<Verified<T>, OpenAnswerError> {
    let text = sealed::open(file, key, &context::<T>(party), MAX_ANSWER_BYTES)?;
    if text.len() as u64 > document::MAX_DOCUMENT_BYTES {
        return Err(DocumentError::TooLong { document: T::TYPE, length: text.len() }.into());
    }
    let signed: SignedDocument = serde_json::from_slice(&text)
        .map_err(|source| DocumentError::Malformed { document: T::TYPE, source })?;
    Ok(signed.verify::<T>(std::slice::from_ref(site_key))?)
}

const fn context<T: Document>(party: &str) -> SealContext<'_> {
    SealContext { document_type: T::TYPE, document_version: T::VERSION, party }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::problem::ProblemCode;

    fn answer() -> ContactFileAnswer {
        ContactFileAnswer {
            server_id: ServerId::from_random([1; 16]),
            client_id: ClientId::from_random([2; 16]),
            previous: Some(Nonce::from_random([3; 16])),
            next: Nonce::from_random([4; 16]),
            issued_at: Timestamp::UNIX_EPOCH,
            grants: Vec::new(),
            lease: None,
            assignment: None,
            server_list: None,
            checkpoint: None,
            consistency: None,
            receipt: Some("receipt".to_owned()),
            acknowledged_report: 7,
            notice: None,
            waits: Vec::new(),
            refused: Some(Problem::new(ProblemCode::Busy, "why", "what to do")),
        }
    }

    #[test]
    fn an_answer_opens_for_its_computer_alone() {
        let (site, other_site) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let (key, other_key) = (SealingKey::generate().unwrap(), SealingKey::generate().unwrap());
        let answer = answer();
        let party = answer.client_id.as_str();
        let file = seal(&answer, &site, &key.public()).unwrap();
        let opened = open::<ContactFileAnswer>(&file, &key, party, &site.public()).unwrap();
        assert_eq!(opened.receipt.as_deref(), Some("receipt"));
        assert_eq!(opened.acknowledged_report, 7);

        let refused = |opened: Result<Verified<ContactFileAnswer>, OpenAnswerError>| opened.unwrap_err();
        assert!(matches!(
            refused(open(&file, &other_key, party, &site.public())),
            OpenAnswerError::Open(OpenError::OtherRecipient { .. })
        ));
        assert!(matches!(
            refused(open(&file, &key, "another client", &site.public())),
            OpenAnswerError::Open(OpenError::Refused)
        ));
        assert!(matches!(
            refused(open(&file, &key, party, &other_site.public())),
            OpenAnswerError::Document(DocumentError::Signature { .. })
        ));
        for cut in [0, 7, 60, file.len() - 1] {
            assert!(open::<ContactFileAnswer>(&file[..cut], &key, party, &site.public()).is_err(), "{cut}");
        }
        let as_another = open::<EnrollmentFileAnswer>(&file, &key, party, &site.public());
        assert!(matches!(as_another, Err(OpenAnswerError::Open(OpenError::Refused))));
    }

    #[test]
    fn an_answer_is_to_one_contact_only() {
        let answer = answer();
        let (server, client) = (answer.server_id.clone(), answer.client_id.clone());
        let (previous, next) = (answer.previous.clone(), answer.next.clone());
        let other = Nonce::from_random([9; 16]);
        assert!(answer.is_to(&server, &client, previous.as_ref(), &next));
        assert!(!answer.is_to(&ServerId::from_random([9; 16]), &client, previous.as_ref(), &next));
        assert!(!answer.is_to(&server, &ClientId::from_random([9; 16]), previous.as_ref(), &next));
        assert!(!answer.is_to(&server, &client, None, &next));
        assert!(!answer.is_to(&server, &client, Some(&other), &next));
        assert!(!answer.is_to(&server, &client, previous.as_ref(), &other));
    }
}
