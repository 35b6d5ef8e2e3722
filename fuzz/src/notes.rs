//! Signed notes, and checkpoints of a log in them.

use sealpost_keys::note::SignedNote;
use sealpost_manifests::log::Checkpoint;

use crate::fixed::log_key;
use crate::reading::text;

/// Reads a note; what verifies is what the log's key signs.
pub(crate) fn notes(data: &[u8]) -> bool {
    let Some(text) = text(data) else { return false };
    let Ok(note) = SignedNote::parse(text) else { return false };
    assert_eq!(note.as_str(), text);
    let key = log_key().public();
    let checkpoint = Checkpoint::verify(&note, key, key.name());
    let Ok(signed) = note.verify(key) else {
        assert!(checkpoint.is_err(), "a checkpoint comes out of a note that does not verify");
        return false;
    };
    let made = SignedNote::sign(&signed, log_key()).expect("what verifies can be signed");
    let line = made.as_str().strip_prefix(signed.as_str()).expect("a note begins with its text");
    assert!(text.starts_with(signed.as_str()) && text.contains(line.trim()), "the key did not sign this");
    if let Ok(checkpoint) = checkpoint {
        assert_eq!(checkpoint.origin, key.name());
        let again = Checkpoint::sign(&checkpoint.head, log_key()).expect("a head can be signed");
        let again = Checkpoint::verify(&again, key, key.name()).expect("its own checkpoint verifies");
        assert_eq!(again, checkpoint);
    }
    true
}
