//! Proofs of single entries of a log, as files.

use sealpost_manifests::document;
use sealpost_manifests::log::{LogProof, MAX_PROOF_HASHES, TlogProof};

use crate::fixed::{LOG_ENTRIES, key, log_entry, server_id};
use crate::reading::text;

/// Reads a proof in both its forms; what is proven stands in the log.
pub(crate) fn log_proofs(data: &[u8]) -> bool {
    let parsed = text(data).and_then(|text| TlogProof::parse(text).ok());
    if let Some(proof) = &parsed {
        assert!(proof.inclusion.len() <= MAX_PROOF_HASHES);
        let again = TlogProof::parse(&proof.write()).expect("what was written is read");
        assert_eq!((again.index, &again.inclusion), (proof.index, &proof.inclusion));
        assert_eq!(again.checkpoint.as_str(), proof.checkpoint.as_str());
    }
    let Ok(proof) = LogProof::read(data) else { return parsed.is_some() };
    if let Ok(text) = proof.write() {
        let again = LogProof::read(text.as_bytes()).expect("what was written is read");
        assert_eq!(document::write(&again).unwrap(), text);
    }
    let proven = proof.check(&key().public());
    if let Ok(proven) = &proven {
        assert_eq!(proven.server_id, *server_id());
        assert!(
            proven.index < LOG_ENTRIES && proven.entry == log_entry(proven.index),
            "{proven:?} is in no log"
        );
    }
    proven.is_ok()
}
