//! What a plan takes up of signature files for computers with a delay: what they may be told, package by package, however many
//! revisions the others have.

use std::sync::Arc;

use rusqlite::{Connection, params};
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::rules::rollouts::plan::Plan;
use sealpost_site::rules::rollouts::strategy::Strategy;
use sealpost_test_support::world::World;

use super::LedgerFile;
use crate::sqlite::SqliteStore;
use crate::store::{Read, Split, Store};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

struct Revisions {
    file: LedgerFile,
    connection: Connection,
    world: World,
    number: i64,
}

impl Revisions {
    fn new() -> Self {
        let world = World::new();
        let file = LedgerFile::new(&world);
        let connection = Connection::open(file.path()).unwrap();
        let delay = r#"{"content":{"delayed":72}}"#;
        let sql = "INSERT INTO settings (kind, name, value) VALUES ('package', ?1, ?2)";
        for package in ["sig-fast", "sig-slow"] {
            connection.execute(sql, [package, delay]).unwrap();
        }
        connection.execute("INSERT INTO plan (id, version) VALUES (1, 1)", []).unwrap();
        connection.execute_batch("BEGIN").unwrap();
        Self { file, connection, world, number: 0 }
    }

    /// A revision whose rollout began at this second and is complete, and what became of it.
    fn add(&mut self, package: &str, platform: &str, channel: &str, second: i64, state: &str) {
        self.number += 1;
        let (manifest, at) = (format!("{:064x}", self.number), self.world.at(second).as_microsecond());
        let (channels, number) = (format!(r#"["{channel}"]"#), self.number);
        let release = "INSERT INTO releases (manifest, package, version, platform, kind, counter, severity, state, channels, \
                       payload_bytes, staged_at, rollout) VALUES (?1, ?2, ?3, ?4, 'signatures', ?3, 'normal', ?5, ?6, 1, ?7, ?3)";
        let values = params![manifest, package, number, platform, state, channels, at];
        self.connection.execute(release, values).unwrap();
        let strategy = serde_json::to_string(&Strategy::everyone_now()).unwrap();
        let rollout = "INSERT INTO rollouts (number, manifest, channels, strategy_name, strategy, emergency, state, \
                       started_at) VALUES (?1, ?2, ?3, 'everyone-now', ?4, 0, 'completed', ?5)";
        self.connection.execute(rollout, params![number, manifest, channels, strategy, at]).unwrap();
    }

    fn plan(self) -> (Arc<Plan>, LedgerFile) {
        self.connection.execute_batch("COMMIT").unwrap();
        drop(self.connection);
        let store: Box<dyn Store> = Box::new(SqliteStore::open(&self.file.path()).unwrap());
        let Split { mut writer, .. } = store.split(0, &Arc::default()).unwrap();
        (Read::<LoadPlan>::read(&mut *writer, &LoadPlan {}).unwrap(), self.file)
    }
}

/// How many hours before `end` the rollouts of a package and platform began, the newest first.
fn ages(plan: &Plan, world: &World, package: &str, platform: &str, end: i64) -> Vec<i64> {
    let of = plan.rollouts.iter().rev().filter(|rollout| {
        rollout.release.package.as_str() == package && rollout.release.platform.as_str() == platform
    });
    of.map(|rollout| world.at(end).duration_since(rollout.started_at).as_hours()).collect()
}

#[test]
fn a_package_with_a_revision_each_five_minutes_takes_no_other_package_its_revisions_of_three_days_ago() {
    let mut revisions = Revisions::new();
    let (end, step) = (200 * HOUR, 5 * MINUTE);
    // Those of hours come first, and have lower numbers than thousands that follow them.
    for hour in 0..=200 {
        let state = if hour == 200 { "approved" } else { "superseded" };
        for package in ["sig-slow", "sig-other"] {
            revisions.add(package, "linux-x86_64", "stable", hour * HOUR, state);
        }
    }
    for number in 0..=end / step {
        let state = if number == end / step { "approved" } else { "superseded" };
        for platform in ["linux-x86_64", "linux-aarch64"] {
            revisions.add("sig-fast", platform, "stable", number * step, state);
        }
    }
    let world = World::new();
    let (plan, _file) = revisions.plan();
    let slow = ages(&plan, &world, "sig-slow", "linux-x86_64", end);
    assert_eq!(slow, (0..=73).collect::<Vec<_>>(), "72 hours, and one more");
    let other = ages(&plan, &world, "sig-other", "linux-x86_64", end);
    assert_eq!(other, [0], "nobody has a delay of its files");
    for platform in ["linux-x86_64", "linux-aarch64"] {
        let fast = ages(&plan, &world, "sig-fast", platform, end);
        assert_eq!((fast.len(), fast.last().copied()), (72 * 12 + 2, Some(72)), "{platform}");
    }
}

#[test]
fn the_last_revision_of_a_channel_that_gets_few_is_found_behind_those_of_others() {
    // Also where the newest one of the channel is approved, so that no superseded one of it comes before.
    for newest in ["superseded", "approved"] {
        let mut revisions = Revisions::new();
        revisions.add("sig-fast", "any", "beta", 0, "superseded");
        revisions.add("sig-fast", "any", "beta", HOUR, "superseded");
        for hour in 2..=400 {
            let state = if hour == 400 { "approved" } else { "superseded" };
            revisions.add("sig-fast", "any", "stable", hour * HOUR, state);
        }
        revisions.add("sig-fast", "any", "beta", 400 * HOUR, newest);
        let world = World::new();
        let (plan, _file) = revisions.plan();
        let found = ages(&plan, &world, "sig-fast", "any", 400 * HOUR);
        let mut wanted: Vec<i64> = [0].into_iter().chain(0..=73).collect();
        wanted.push(399);
        assert_eq!(found, wanted, "{newest}");
    }
}
