//! Signed documents of any type: the JSON of text and signature.

use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, Registration};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::log::LogKeyCertificate;
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::server_list::ServerList;
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::enroll::{Enrolled, Enrollment};

use crate::fixed::key;
use crate::reading::{json, verified};

/// Reads a signed document; what verifies is of one type only, and the key signed exactly this.
pub(crate) fn signed_documents(data: &[u8]) -> bool {
    let Some(signed) = json::<SignedDocument>(data) else { return false };
    let types = [
        verified::<ReleaseManifest>(&signed).is_some(),
        verified::<ChannelsDocument>(&signed).is_some(),
        verified::<TrustDocument>(&signed).is_some(),
        verified::<Grant>(&signed).is_some(),
        verified::<Registration>(&signed).is_some(),
        verified::<Lease>(&signed).is_some(),
        verified::<Assignment>(&signed).is_some(),
        verified::<ServerList>(&signed).is_some(),
        verified::<Contact>(&signed).is_some(),
        verified::<Enrollment>(&signed).is_some(),
        verified::<Enrolled>(&signed).is_some(),
        LogKeyCertificate::verify(&signed, &key().public()).is_ok(),
    ];
    let accepted = types.into_iter().filter(|accepted| *accepted).count();
    assert!(accepted <= 1, "one text counts as two documents");
    accepted == 1
}
