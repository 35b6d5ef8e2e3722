//! Rounds in which a release goes out ring by ring while things are killed.
//!
//! What must hold at each look: a rollout is in the ring in which it was, or further; before its second ring opens, and for good
//! once it is halted, nobody but the canary runs its release.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Computer, wait_until};
use serde_json::Value;

use super::chance::Chance;
use super::scene::{MOMENT, PACKAGE, Scene, text};

/// Nothing is watched for a time, so that each install is a transition.
const STRATEGY: &str = r#"
[groups.canary]
members = ["pc-1"]

[strategies.one-first]
on_failure = "roll_back"

[[strategies.one-first.rings]]
name = "canary"
takes = { group = "canary" }
errors = { count = 1, percent = 1 }

[[strategies.one-first.rings]]
name = "everyone"
takes = "everyone"
"#;

/// Makes the strategy of these rounds known to the site.
pub(crate) fn set_strategy(scene: &Scene) -> Result<()> {
    let file = scene.lab.path("site.toml");
    fs::write(&file, STRATEGY)?;
    scene.site.distributor(&["config", "apply", text(&file)?, "--yes", "--why", "rings"])?.ok()?;
    Ok(())
}

/// A rollout that is under way.
struct Going {
    version: String,
    number: String,
    /// How many of its rings were open at the last look.
    open: usize,
}

impl Going {
    /// Pulls a version and approves it.
    fn begin(scene: &Scene, version: String) -> Result<Self> {
        let reference = format!("{PACKAGE}:{version}");
        scene.site.pull()?;
        scene
            .site
            .distributor(&["updates", "approve", &reference, "--yes", "--strategy", "one-first"])?
            .ok()?;
        let update = scene.site.json(&["updates", "show", &reference])?;
        let number = update["update"]["rollout"].as_u64().context("the number of a rollout")?.to_string();
        Ok(Self { version, number, open: 0 })
    }

    /// Looks at it, and at who runs its release. Answers its state.
    fn look(&mut self, scene: &Scene) -> Result<String> {
        let others = |scene: &Scene| -> Vec<String> {
            let runs = |computer: &&Computer| {
                computer.installed(PACKAGE, "VERSION").as_ref() == Some(&self.version)
                    || scene.running(computer.name()) == self.version
            };
            scene.computers[1..].iter().filter(runs).map(|computer| computer.name().to_owned()).collect()
        };
        // Before the rings: one that opens meanwhile excuses nobody who was there already.
        let running = others(scene);
        let shown = scene.site.json(&["rollouts", "show", &self.number])?;
        let rings = shown["rings"].as_array().context("rings")?;
        let open = rings.iter().filter(|ring| ring["opened_at"].is_string()).count();
        ensure!(open >= self.open, "rollout {} was in its ring {}: {shown:#}", self.number, self.open);
        ensure!(
            open == rings.len() || running.is_empty(),
            "{running:?} run {} before their ring is open: {shown:#}",
            self.version
        );
        self.open = open;
        Ok(shown["state"].as_str().context("a state")?.to_owned())
    }

    /// Kills the server after a moment, starts it again and looks.
    fn restart(&mut self, scene: &mut Scene, chance: &mut Chance) -> Result<String> {
        std::thread::sleep(chance.moment(MOMENT));
        scene.site.kill_9()?;
        scene.kills += 1;
        scene.site.serve().context("after a kill")?;
        self.look(scene)
    }

    /// Who was told of it, by its report.
    fn told(&self, scene: &Scene) -> Result<Vec<String>> {
        let report = scene.site.json(&["rollouts", "report", &self.number])?;
        let computers = report["computers"].as_array().context("computers")?;
        Ok(computers.iter().filter_map(|one| one["computer"].as_str()).map(str::to_owned).collect())
    }
}

/// A good release comes to everybody, also when the server is killed on the way.
pub(crate) fn a_good_release(scene: &mut Scene, chance: &mut Chance) -> Result<String> {
    let version = scene.release(true)?;
    let mut going = Going::begin(scene, version.clone())?;
    for _ in 0..1 + chance.below(3) {
        // Agents are not killed here: two kills in the middle of a trial are a failure, which halts.
        let mut children = Vec::new();
        for home in homes(scene) {
            children.push(scene.start("agent-updater", &["--home", text(&home)?, "check"])?);
        }
        going.restart(scene, chance)?;
        for mut child in children {
            child.wait()?;
        }
        going.look(scene)?;
    }
    wait_until(&format!("{version} has gone through its rings"), || {
        for computer in &scene.computers {
            computer.check()?;
        }
        let state = going.look(scene)?;
        ensure!(state != "halted", "a good release is halted: {:#}", shown(scene, &going)?);
        Ok(state == "completed")
    })?;
    // The last ring has passed when one of its computers runs the release: the others come to it afterwards.
    for computer in &scene.computers {
        computer.check()?;
    }
    let mut told = going.told(scene)?;
    told.sort();
    ensure!(told == ["pc-1", "pc-2", "pc-3"], "{told:?}");
    scene.is_approved(version.clone());
    Ok(format!("{version} went through its rings with kills of the server"))
}

/// A bad release halts at its canary, whoever is killed on the way.
pub(crate) fn a_bad_release(scene: &mut Scene, chance: &mut Chance) -> Result<String> {
    let bad = scene.release(false)?;
    let mut going = Going::begin(scene, bad.clone())?;
    for _ in 0..1 + chance.below(3) {
        let mut children = Vec::new();
        for home in homes(scene) {
            children.push(scene.start("agent-updater", &["--home", text(&home)?, "check"])?);
        }
        if chance.one_in(2) {
            going.restart(scene, chance)?;
        }
        for child in children {
            scene.kill_after(child, chance.moment(MOMENT * 2))?;
        }
        going.look(scene)?;
    }
    wait_until(&format!("{bad} is halted"), || {
        for computer in &scene.computers {
            computer.check()?;
        }
        Ok(going.look(scene)? == "halted")
    })?;
    ensure!(going.restart(scene, chance)? == "halted", "a halt is forgotten: {:#}", shown(scene, &going)?);
    // The canary too has left it: it went back by itself, or was told to.
    for computer in &scene.computers {
        computer.check()?;
        let now = computer.installed(PACKAGE, "VERSION");
        ensure!(now.as_ref() != Some(&bad), "{} runs {bad}, which is halted", computer.name());
    }
    going.look(scene)?;
    let told = going.told(scene)?;
    ensure!(told == ["pc-1"], "{bad} halted at its canary, and these were told: {told:?}");
    let version = scene.update()?;
    Ok(format!("{bad} halted at its canary with kills, then {version}"))
}

fn homes(scene: &Scene) -> Vec<PathBuf> {
    scene.computers.iter().map(|computer| computer.home().to_owned()).collect()
}

fn shown(scene: &Scene, going: &Going) -> Result<Value> {
    scene.site.json(&["rollouts", "show", &going.number])
}
