//! Checkpoints, certificates and proof files: golden files, hostile texts, and every part exchanged for another.

use std::path::PathBuf;

use sealpost_keys::note::{LogKey, LogPublicKey, MAX_NOTE_BYTES, NoteError, SignedNote};
use sealpost_keys::{PublicKey, SigningKey};

use super::reference::Store;
use crate::document::{self, SignedDocument};
use crate::ids::ServerId;
use crate::log::{
    CertificateError, Checkpoint, CheckpointError, LogHead, LogKeyCertificate, LogProof, LogProofError,
    MAX_LOG_PROOF_BYTES, MAX_TLOG_PROOF_BYTES, ProofPlan, TlogProof, TlogProofError, origin,
};

/// A server with a log of some entries.
struct Server {
    id: ServerId,
    site_key: SigningKey,
    log_key: LogKey,
    entries: Vec<Vec<u8>>,
    store: Store,
}

impl Server {
    fn new(number: u8) -> Self {
        let id = ServerId::from_random([number; 16]);
        let log_key = LogKey::generate(&origin(&id)).unwrap();
        let entries: Vec<Vec<u8>> = (1..=11).map(|sequence| entry(sequence).into_bytes()).collect();
        let store = Store::of(&entries);
        Self { id, site_key: SigningKey::generate().unwrap(), log_key, entries, store }
    }

    fn certificate(&self) -> LogKeyCertificate {
        LogKeyCertificate {
            server_id: self.id.clone(),
            log_key: self.log_key.public().clone(),
            issued_at: "2026-11-20T08:00:00Z".parse().unwrap(),
        }
    }

    fn certified(&self) -> SignedDocument {
        SignedDocument::sign(&self.certificate(), &self.site_key).unwrap()
    }

    fn checkpoint(&self) -> SignedNote {
        Checkpoint::sign(&self.store.head(), &self.log_key).unwrap()
    }

    fn prove(&self, index: u64) -> LogProof {
        let plan = ProofPlan::inclusion(index, self.store.frontier.size()).unwrap();
        let inclusion = plan.assemble(&self.store.load(&plan.nodes())).unwrap();
        let entry = self.entries[usize::try_from(index).unwrap()].clone();
        LogProof::new(entry, index, inclusion, self.checkpoint(), self.certified()).unwrap()
    }
}

fn entry(sequence: u64) -> String {
    format!("{{\"sequence\":{sequence},\"note\":\"\\\"läßt\\\" \u{2014} grüßen\"}}")
}

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// What a note of the key with this text is refused with.
fn refusal(text: &str, server: &Server) -> CheckpointError {
    let note = SignedNote::sign(text, &server.log_key).unwrap();
    Checkpoint::verify(&note, server.log_key.public(), &origin(&server.id)).unwrap_err()
}

#[test]
fn a_checkpoint_has_the_lines_that_the_format_asks_for_and_reads_back() {
    let server = Server::new(1);
    let note = server.checkpoint();
    let root = data_encoding::BASE64.encode(server.store.head().root.as_bytes());
    let text =
        format!("sealpost.log/01010101010101010101010101010101\n11\n{root}\n\n\u{2014} sealpost.log/0101");
    assert!(note.as_str().starts_with(&text), "{}", note.as_str());
    let checkpoint = Checkpoint::verify(&note, server.log_key.public(), &origin(&server.id)).unwrap();
    assert_eq!(checkpoint.into_inner(), Checkpoint { origin: origin(&server.id), head: server.store.head() });
}

#[test]
fn a_checkpoint_of_another_implementation_reads_with_its_extension_lines_passed_over() {
    let key: LogPublicKey =
        "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8".parse().unwrap();
    let note = SignedNote::parse(
        "go.sum database tree\n6476701\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=\n\n\u{2014} sum.golang.org \
         Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEyVnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfvimWEPWL+o3GeoWwOoAw=\n",
    )
    .unwrap();
    let head = Checkpoint::verify(&note, &key, "go.sum database tree").unwrap().head;
    assert_eq!(head.size, 6_476_701);
    assert!(head.root.to_string().starts_with("99bf102d022cd19d"));
    let other = Checkpoint::verify(&note, &key, "sum.golang.org").unwrap_err();
    assert!(matches!(other, CheckpointError::OtherOrigin { .. }), "{other}");

    let server = Server::new(1);
    let three_lines = server.checkpoint().as_str().split_once("\n\n").unwrap().0.to_owned();
    let origin = origin(&server.id);
    let text = format!("{three_lines}\n{}", "extension\n".repeat(16));
    let note = SignedNote::sign(&text, &server.log_key).unwrap();
    let read = Checkpoint::verify(&note, server.log_key.public(), &origin).unwrap();
    assert_eq!(read.head, server.store.head());
    assert_eq!(refusal(&format!("{text}one more\n"), &server), CheckpointError::Malformed);
}

#[test]
fn a_well_signed_note_that_is_no_checkpoint_is_refused() {
    let server = Server::new(1);
    let text = server.checkpoint().as_str().split_once("\n\n").unwrap().0.to_owned() + "\n";
    let (first, rest) = text.split_once('\n').unwrap();
    for wrong in [
        "\n",
        &format!("{first}\n"),
        &format!("{first}\n11\n"),
        &format!("\n{rest}"),
        &text.replace("\n11\n", "\n011\n"),
        &text.replace("\n11\n", "\n+11\n"),
        &text.replace("\n11\n", "\n-1\n"),
        &text.replace("\n11\n", "\n 11\n"),
        &text.replace("\n11\n", "\n\n"),
        &text.replace("\n11\n", "\n18446744073709551616\n"),
        &text.replace("=\n", "\n"),
        &text.replace("=\n", "==\n"),
        &format!("{text}\n"),
        &format!("{text}extension\n\n"),
    ] {
        assert_eq!(refusal(wrong, &server), CheckpointError::Malformed, "{wrong:?}");
    }
    let other = text.replace("0101\n", "0102\n");
    assert!(matches!(refusal(&other, &server), CheckpointError::OtherOrigin { .. }));
}

#[test]
fn a_checkpoint_that_another_key_signed_is_refused() {
    let (server, thief) = (Server::new(1), Server::new(1));
    let refused = Checkpoint::verify(&server.checkpoint(), thief.log_key.public(), &origin(&server.id));
    assert!(matches!(refused, Err(CheckpointError::Note(NoteError::NotSigned { .. }))), "{refused:?}");
}

#[test]
fn a_certificate_counts_with_the_signature_of_the_site_key_and_for_its_own_log_only() {
    let (server, other) = (Server::new(1), Server::new(2));
    let site_key = server.site_key.public();
    let certificate = LogKeyCertificate::verify(&server.certified(), &site_key).unwrap();
    assert_eq!(*certificate, server.certificate());

    let refused = LogKeyCertificate::verify(&other.certified(), &site_key).unwrap_err();
    assert!(matches!(refused, CertificateError::Document(_)), "{refused}");
    let elsewhere = LogKeyCertificate { log_key: other.log_key.public().clone(), ..server.certificate() };
    let signed = SignedDocument::sign(&elsewhere, &server.site_key).unwrap();
    let refused = LogKeyCertificate::verify(&signed, &site_key).unwrap_err();
    assert!(matches!(refused, CertificateError::OtherOrigin { .. }), "{refused}");
}

#[test]
fn every_entry_is_proven_by_its_file_and_the_site_key_alone() {
    let server = Server::new(1);
    for index in 0..11 {
        let text = server.prove(index).write().unwrap();
        let proof = LogProof::read(text.as_bytes()).unwrap();
        let proven = proof.check(&server.site_key.public()).unwrap();
        assert_eq!((&proven.server_id, proven.index), (&server.id, index));
        assert_eq!(proven.entry, entry(index + 1));
        assert_eq!(proven.head, server.store.head());
    }
}

#[test]
fn a_file_with_any_part_exchanged_proves_nothing() {
    let (server, other) = (Server::new(1), Server::new(2));
    let site_key = server.site_key.public();
    let (good, elsewhere, later) = (server.prove(4), other.prove(4), server.prove(5));
    let check = |proof: LogProof| proof.check(&site_key).unwrap_err();

    let entry = check(LogProof { entry: later.entry.clone(), ..good.clone() });
    assert!(matches!(entry, LogProofError::Inclusion(_)), "{entry}");
    let space = check(LogProof { entry: format!("{} ", good.entry), ..good.clone() });
    assert!(matches!(space, LogProofError::Inclusion(_)), "{space}");
    let place = check(LogProof { proof: later.proof.clone(), ..good.clone() });
    assert!(matches!(place, LogProofError::Inclusion(_)), "{place}");
    let index = check(LogProof { proof: good.proof.replace("index 4", "index 5"), ..good.clone() });
    assert!(matches!(index, LogProofError::Inclusion(_)), "{index}");
    let log = check(LogProof { proof: elsewhere.proof.clone(), ..good.clone() });
    assert!(matches!(log, LogProofError::Checkpoint(_)), "{log}");
    let key = check(LogProof { log_key: elsewhere.log_key.clone(), ..good.clone() });
    assert!(matches!(key, LogProofError::Certificate(_)), "{key}");
    let whole = check(elsewhere);
    assert!(matches!(whole, LogProofError::Certificate(_)), "{whole}");
    assert!(good.check(&site_key).is_ok());
}

#[test]
fn no_flipped_bit_of_a_proof_file_proves_another_entry() {
    let server = Server::new(1);
    let site_key = server.site_key.public();
    let text = server.prove(6).write().unwrap();
    let mut accepted = 0;
    for at in 0..text.len() {
        for bit in [0, 3, 5] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let read = LogProof::read(&bytes).ok();
            let Some(proven) = read.and_then(|proof| proof.check(&site_key).ok()) else { continue };
            accepted += 1;
            assert_eq!(
                (proven.index, proven.entry.as_str(), proven.head),
                (6, &*entry(7), server.store.head())
            );
        }
    }
    // The first line of the certificate's minisig is unsigned, so that it may change.
    assert!(accepted < 200, "{accepted}");
}

#[test]
fn a_proof_reads_as_other_tools_write_it_with_extra_data_and_cosignatures() {
    let server = Server::new(1);
    let text = server.prove(4).proof;
    let read = TlogProof::parse(&text).unwrap();
    assert_eq!((read.index, read.inclusion.len(), read.write()), (4, 4, text.clone()));

    let cosigned =
        text.replacen("index", "extra AAECAw==\nindex", 1) + "\u{2014} witness.example AAAAAAECAwQ=\n";
    let cosigned = TlogProof::parse(&cosigned).unwrap();
    assert_eq!(cosigned.inclusion, read.inclusion);
    let key = server.log_key.public();
    assert!(Checkpoint::verify(&cosigned.checkpoint, key, &origin(&server.id)).is_ok());
}

#[test]
fn a_hostile_proof_text_is_refused() {
    let text = Server::new(1).prove(4).proof;
    let hash = text.lines().nth(2).unwrap();
    let hashes = |count: usize| text.replacen(hash, &[hash].repeat(count).join("\n"), 1);
    assert!(TlogProof::parse(&hashes(62)).is_ok());
    for wrong in
        ["", "\n\n", &text.replace("@v1", "@v2"), &text.replace("@v1\n", "@v1\r\n"), &format!("\n{text}")]
    {
        assert_eq!(TlogProof::parse(wrong).unwrap_err(), TlogProofError::OtherFormat, "{wrong:?}");
    }
    for wrong in [
        &*text.replace("index 4", "index 04"),
        &text.replace("index 4", "index"),
        &text.replace("index 4", "index -4"),
        &text.replace("index 4\n", ""),
        &text.replace("index 4", "index 4\nindex 4"),
        &text.replace("index 4", "index 4\nextra AAAA"),
        &text.replace(hash, &hash[1..]),
        &text.replace(hash, "AAAA"),
        &text.replace("\n\n", "\n"),
        &hashes(63),
        &hashes(2000),
    ] {
        assert_eq!(TlogProof::parse(wrong).unwrap_err(), TlogProofError::Malformed, "{wrong:?}");
    }
    let no_note = text.split_once("\n\n").unwrap().0.to_owned() + "\n\n\n\n";
    assert_eq!(TlogProof::parse(&no_note).unwrap_err(), TlogProofError::Checkpoint(NoteError::Malformed));
    let long = format!("{text}{}", "\n".repeat(MAX_NOTE_BYTES + 8 * 1024));
    assert!(matches!(TlogProof::parse(&long).unwrap_err(), TlogProofError::TooLong { .. }));
    assert!(text.len() < 2048 && MAX_TLOG_PROOF_BYTES > MAX_NOTE_BYTES);
}

#[test]
fn a_proof_file_that_nobody_would_read_is_not_written_and_not_checked() {
    let server = Server::new(1);
    let good = server.prove(4);
    let long = LogProof { entry: "x".repeat(MAX_LOG_PROOF_BYTES), ..good.clone() };
    assert!(matches!(long.write(), Err(LogProofError::TooLong { .. })));
    assert!(matches!(long.check(&server.site_key.public()), Err(LogProofError::TooLong { .. })));
    let bytes = vec![b' '; MAX_LOG_PROOF_BYTES + 1];
    assert!(matches!(LogProof::read(&bytes), Err(LogProofError::TooLong { .. })));
    let of_another_type = server.certified().document;
    assert!(matches!(LogProof::read(of_another_type.as_bytes()), Err(LogProofError::Document(_))));
    let no_text = LogProof::new(vec![0xff], 0, Vec::new(), server.checkpoint(), server.certified());
    assert!(matches!(no_text, Err(LogProofError::NotText)));
}

/// With `SEALPOST_WRITE_GOLDEN=1` the files are written if they are missing; existing ones never are. The secret keys
/// are thrown away.
#[test]
fn a_proof_that_was_written_long_ago_still_proves_its_entry() {
    let paths = ["log-site.pub", "log_key.v2.json", "log_proof.v2.json"].map(golden);
    if std::env::var_os("SEALPOST_WRITE_GOLDEN").is_some() && !paths[2].exists() {
        let server = Server::new(1);
        std::fs::write(&paths[0], server.site_key.public().to_base64()).unwrap();
        std::fs::write(&paths[1], server.certified().document).unwrap();
        std::fs::write(&paths[2], server.prove(6).write().unwrap()).unwrap();
    }
    let [site_key, certificate, file] = paths.map(|path| std::fs::read_to_string(path).unwrap());
    let site_key = PublicKey::from_base64(&site_key).unwrap();

    let proof = LogProof::read(file.as_bytes()).unwrap();
    assert_eq!(proof.write().unwrap(), file, "the log_proof format changed");
    assert_eq!(TlogProof::parse(&proof.proof).unwrap().write(), proof.proof);
    let proven = proof.check(&site_key).unwrap();
    assert_eq!((proven.index, proven.entry.as_str()), (6, &*entry(7)));
    assert_eq!(proven.head, LogHead { size: 11, ..Server::new(1).store.head() });

    let read: LogKeyCertificate = document::read(certificate.as_bytes()).unwrap();
    assert_eq!(document::write(&read).unwrap(), certificate, "the log_key format changed");
    assert_eq!(*LogKeyCertificate::verify(&proof.log_key, &site_key).unwrap(), read);
}
