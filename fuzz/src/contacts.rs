//! The bodies of a contact: what a server reads of its clients, and what a client reads of its server.

use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::document;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::lease::Lease;
use sealpost_manifests::log::{Checkpoint, LogHead, verify_consistency};
use sealpost_manifests::wire::MAX_REQUEST_BYTES;
use sealpost_manifests::wire::by_file::FileRequest;
use sealpost_manifests::wire::coding;
use sealpost_manifests::wire::contact::{Contact, ContactAnswer, ContactRequest};
use sealpost_manifests::wire::refresh::{RefreshAnswer, RefreshRequest};
use sealpost_site::rules::contact::check;

use crate::fixed::{log_key, server_id};
use crate::reading::{json, verified};
use crate::site;

/// The body of a client's request.
pub(crate) fn contact_requests(data: &[u8]) -> bool {
    // As a file it is told apart by its kind.
    drop(json::<FileRequest>(data));
    drop(json::<RefreshRequest>(data));
    if let Ok(plain) = coding::unpack(data, MAX_REQUEST_BYTES) {
        assert!(plain.len() <= MAX_REQUEST_BYTES, "unpacked within the bound");
    }
    let Some(request) = json::<ContactRequest>(data) else { return false };
    if let Some(contact) = verified::<Contact>(&request.contact) {
        drop(check(&contact, server_id()));
    }
    if let Some(evidence) = &request.evidence {
        drop(verified::<Lease>(&evidence.lease));
        drop(evidence.assignment.as_ref().and_then(verified::<Assignment>));
    }
    // A client signs with its own key whatever it likes.
    if let Ok(contact) = document::read::<Contact>(request.contact.document.as_bytes()) {
        site::contact(&contact);
    }
    true
}

/// The body of a server's answer.
pub(crate) fn contact_answers(data: &[u8]) -> bool {
    drop(json::<RefreshAnswer>(data));
    let Some(answer) = json::<ContactAnswer>(data) else { return false };
    for grant in &answer.grants {
        drop(verified::<Grant>(grant));
    }
    drop(answer.assignment.as_ref().and_then(verified::<Assignment>));
    let lease = answer.lease.as_ref().and_then(verified::<Lease>);
    if let Some(note) = &answer.checkpoint {
        let key = log_key().public();
        let checkpoint = Checkpoint::verify(note, key, key.name()).ok();
        let seen = checkpoint.map(|checkpoint| checkpoint.head).or(lease.map(|lease| lease.ledger_head));
        if let (Some(seen), Some(proof)) = (seen, &answer.consistency) {
            let shown = verify_consistency(&LogHead::empty(), &seen, proof.hashes());
            assert_eq!(
                shown.is_ok(),
                proof.hashes().is_empty(),
                "an empty log needs no proof, and takes none"
            );
        }
    }
    true
}
