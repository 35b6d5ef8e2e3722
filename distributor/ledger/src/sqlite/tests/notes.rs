//! The columns of notes that hold JSON: their frozen form. A later program reads them out of an older file.

use rusqlite::Connection;
use sealpost_manifests::ids::{ClientId, Nonce};
use sealpost_site::changes::{ContactAnswer, Note};
use sealpost_site::rules::restore::{Progress, Receipt};
use sealpost_test_support::world::{World, era};

use super::LedgerFile;
use crate::sqlite::notes::keep;

const GOLDEN: &str = include_str!("../../../tests/golden/contacts.v3.jsonl");

fn progress() -> Progress {
    Progress { last: Receipt { era: era(1), contacts: 41 }, base: u64::MAX }
}

/// Every field filled, and all that may be left out left out.
fn answers() -> [ContactAnswer; 2] {
    let full = ContactAnswer {
        lease: true,
        assignment: true,
        held_head: Some(u64::MAX),
        acknowledged_report: 17,
        notice: Some("\"no\" \u{fc} seats".to_owned()),
    };
    [full, ContactAnswer::default()]
}

#[test]
fn an_answer_and_the_progress_have_their_frozen_form() {
    let world = World::new();
    let file = LedgerFile::new(&world);
    let connection = Connection::open(file.path()).unwrap();
    let mut stored = String::new();
    for answer in answers() {
        let note = Note::ContactAnswered {
            client_id: ClientId::from_random([1; 16]),
            previous: None,
            next: Nonce::from_random([2; 16]),
            at: world.at(1),
            answer,
            progress: progress(),
            server_list: None,
            cadence: None,
        };
        keep(&connection, &note).unwrap();
        let columns = connection.query_row("SELECT answer, progress FROM contacts", [], |row| {
            Ok([row.get::<_, String>(0)?, row.get(1)?])
        });
        for column in columns.unwrap() {
            stored += &(column + "\n");
        }
    }
    assert_eq!(stored, GOLDEN);
    let lines: Vec<&str> = GOLDEN.lines().collect();
    let read = |text: &str| format!("{:?}", serde_json::from_str::<ContactAnswer>(text).unwrap());
    for (answer, line) in answers().iter().zip([lines[0], lines[2]]) {
        assert_eq!(read(line), format!("{answer:?}"));
    }
    assert_eq!(serde_json::from_str::<Progress>(lines[1]).unwrap(), progress());
    // Older and newer programs leave out, or add.
    assert_eq!(read("{\"later\":7}"), format!("{:?}", ContactAnswer::default()));
}
