//! What a reader does with documents of other programs' versions: older, newer, and with fields and codes that it does
//! not know.

use sealpost_manifests::document::{self, Document, DocumentError};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::log::{LogKeyCertificate, LogProof};
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::setup::SetupFile;
use serde_json::{Value, json};

use crate::{golden, values};

/// A document of one type, and its reader, which answers with the document as this program writes it.
struct Sample {
    name: &'static str,
    text: String,
    read: fn(&[u8]) -> Result<Value, DocumentError>,
}

fn sample<T: Document>(value: &T) -> Sample {
    Sample { name: T::TYPE, text: document::write(value).unwrap(), read: rewritten::<T> }
}

fn frozen<T: Document>() -> Sample {
    let text = std::fs::read_to_string(golden(&format!("{}.v2.json", T::TYPE))).unwrap();
    Sample { name: T::TYPE, text, read: rewritten::<T> }
}

fn rewritten<T: Document>(bytes: &[u8]) -> Result<Value, DocumentError> {
    let text = document::write(&document::read::<T>(bytes)?)?;
    Ok(serde_json::from_str(&text).unwrap())
}

/// One of every document type.
fn samples() -> Vec<Sample> {
    vec![
        sample(&values::manifest()),
        sample(&values::channels()),
        sample(&values::trust()),
        sample(&values::grant()),
        sample(&values::registration()),
        sample(&values::lease()),
        sample(&values::assignment_with_postpone()),
        sample(&values::setup()),
        sample(&values::enrollment()),
        sample(&values::enrolled()),
        sample(&values::server_list()),
        sample(&values::contact_of_copy()),
        sample(&values::contact_answer()),
        sample(&values::enrollment_answer()),
        frozen::<LogKeyCertificate>(),
        frozen::<LogProof>(),
    ]
}

impl Sample {
    fn value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn with_version(&self, version: u32) -> Result<Value, DocumentError> {
        let mut value = self.value();
        value["version"] = version.into();
        (self.read)(value.to_string().as_bytes())
    }
}

/// So that no type is left out of the tests below.
#[test]
fn every_frozen_document_is_one_of_the_samples() {
    let mut names: Vec<&str> = samples().iter().map(|sample| sample.name).collect();
    names.sort_unstable();
    let entries = std::fs::read_dir(golden("")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut files: Vec<String> = entries
        .filter_map(|name| name.to_str().unwrap().strip_suffix(".v2.json").map(str::to_owned))
        .collect();
    files.sort_unstable();
    assert_eq!(names, files);
}

#[test]
fn a_document_of_a_version_before_the_first_is_refused_with_what_to_do() {
    for sample in samples() {
        for version in [0, 1] {
            let error = sample.with_version(version).unwrap_err();
            assert!(
                matches!(&error, DocumentError::TooOld { document, found } if *document == sample.name && *found == version),
                "{}: {error}",
                sample.name
            );
            let text = error.to_string();
            assert!(text.contains("no site ever used") && text.contains("make the document again"), "{text}");
        }
    }
}

#[test]
fn a_document_of_a_later_version_is_refused_as_newer() {
    for sample in samples() {
        for version in [3, u32::MAX] {
            let error = sample.with_version(version).unwrap_err();
            assert!(
                matches!(&error, DocumentError::NewerVersion { document, found, known: 2 }
                    if *document == sample.name && *found == version),
                "{}: {error}",
                sample.name
            );
            assert!(error.to_string().contains("update this program"), "{error}");
        }
    }
}

/// Objects whose fields are data: a field of one of these is an entry, so that it has to be a good one.
const TABLES: &[&str] = &["channels", "encodings", "highest", "metadata", "targets", "used"];

/// A newer program may add an optional field to any object.
#[test]
fn a_field_that_a_newer_program_added_is_ignored_in_every_object_of_every_document() {
    for sample in samples() {
        let mut changed = sample.value();
        let added = add_fields(&mut changed);
        assert!(added > 0 && changed != sample.value());
        let read = (sample.read)(changed.to_string().as_bytes());
        let read = read.unwrap_or_else(|error| panic!("{}: {error}: {changed}", sample.name));
        assert_eq!(read, sample.value(), "{}", sample.name);
    }
}

fn add_fields(value: &mut Value) -> usize {
    match value {
        Value::Array(items) => items.iter_mut().map(add_fields).sum(),
        Value::Object(fields) => {
            let mut added = 1;
            for (name, field) in fields.iter_mut() {
                added += match field {
                    Value::Object(entries) if TABLES.contains(&name.as_str()) => {
                        entries.values_mut().map(add_fields).sum()
                    }
                    field => add_fields(field),
                };
            }
            fields.insert("from_the_future".to_owned(), json!({ "a": [1, null, { "b": "c" }] }));
            added
        }
        _ => 0,
    }
}

/// Every code of an open set, by the document that carries it.
const CODES: &[(&str, &str)] = &[
    ("release", "/kind"),
    ("release", "/severity"),
    ("release", "/category"),
    ("release", "/attachments/0/kind"),
    ("trust", "/keys/0/use"),
    ("trust", "/keys/0/status"),
    ("grant", "/model"),
    ("registration", "/reason"),
    ("lease", "/entitlements/0/model"),
    ("assignment", "/packages/0/action"),
    ("assignment", "/packages/0/start"),
    ("assignment", "/packages/0/urgency"),
    ("assignment", "/packages/0/why/code"),
    ("setup", "/kind"),
    ("setup", "/servers/0/server/role"),
    ("contact", "/packages/0/kind"),
    ("contact", "/postponed/0/by"),
    ("contact", "/reports/1/way"),
    ("contact", "/reports/0/step"),
    ("contact", "/reports/0/outcome"),
    ("contact", "/reports/0/reason"),
];

#[test]
fn a_code_that_a_newer_program_sends_is_kept_as_text_and_written_back() {
    let samples = samples();
    for (name, pointer) in CODES {
        let sample = samples.iter().find(|sample| sample.name == *name).unwrap();
        let mut changed = sample.value();
        *changed.pointer_mut(pointer).unwrap_or_else(|| panic!("{name}{pointer}")) =
            "from_the-future2".into();
        let read = (sample.read)(changed.to_string().as_bytes());
        assert_eq!(read.unwrap_or_else(|error| panic!("{name}{pointer}: {error}")), changed);

        *changed.pointer_mut(pointer).unwrap() = "Not A Code\n".into();
        let refused = (sample.read)(changed.to_string().as_bytes());
        assert!(matches!(refused, Err(DocumentError::Malformed { .. })), "{name}{pointer}");
    }
}

/// A type of document that a newer server orders does not keep a contact from being read.
#[test]
fn the_order_of_an_unknown_document_type_is_kept() {
    let samples = samples();
    let sample = samples.iter().find(|sample| sample.name == "contact").unwrap();
    let mut changed = sample.value();
    changed["highest"]["from_the_future"] = json!({ "epoch": 4_294_967_299u64, "sequence": 3 });
    assert_eq!((sample.read)(changed.to_string().as_bytes()).unwrap(), changed);
}

/// What decides something takes an unknown code as "not this one".
#[test]
fn an_unknown_code_gives_nothing() {
    let with = |mut value: Value, pointer: &str| {
        *value.pointer_mut(pointer).unwrap() = "from_the_future".into();
        value.to_string()
    };
    let lease = with(sample(&values::lease()).value(), "/entitlements/0/model");
    let lease: Lease = document::read(lease.as_bytes()).unwrap();
    assert!(!lease.covers(&values::package("acme-av"), lease.issued_at));
    assert!(
        !lease.covers(&values::package("agent-updater"), lease.issued_at),
        "what is not live covers nothing"
    );
    let setup = with(sample(&values::setup()).value(), "/kind");
    let setup: SetupFile = document::read(setup.as_bytes()).unwrap();
    assert!(setup.reserved_name().unwrap_err().contains("update the agent"));
    let role = with(sample(&values::setup()).value(), "/servers/0/server/role");
    let role: SetupFile = document::read(role.as_bytes()).unwrap();
    assert!(role.servers[0].server.problem().unwrap().contains("from_the_future"));
    let manifest = with(sample(&values::manifest()).value(), "/kind");
    let manifest: ReleaseManifest = document::read(manifest.as_bytes()).unwrap();
    assert!(manifest.check().iter().any(|problem| problem.contains("update this program")));
}
