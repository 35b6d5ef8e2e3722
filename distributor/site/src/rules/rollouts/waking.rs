//! Whom the server tells to come at once, by how computers get what is approved.
//!
//! Invariant: what cannot wait reaches every computer that is connected, whatever its method says: a halt, a withdrawal, a way
//! back, an emergency, and what the vendor calls critical where the site wants that at once.

use sealpost_manifests::release::Severity;

use super::delivery::{Delivery, WhenCritical};
use super::plan::Plan;
use super::settings::{SettingChange, SettingKind, Settings};
use crate::rules::release::KnownRelease;

/// Why computers are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// There is something new, which waits for their next contact where the site wants that.
    News,
    /// Something must not wait.
    Urgent,
}

impl Call {
    /// Whether computers that get what is approved in this way are told to come at once.
    #[must_use]
    pub const fn reaches(self, delivery: &Delivery) -> bool {
        match (self, delivery) {
            (Self::Urgent, _) | (Self::News, Delivery::Push | Delivery::Window(_) | Delivery::Manual) => true,
            (Self::News, Delivery::Poll | Delivery::Folder) => false,
        }
    }

    /// The call that changed settings are, once they count: what computers get and when may have changed. `None` when it has not.
    #[must_use]
    pub fn of_settings(changes: &[SettingChange]) -> Option<Self> {
        let moves_computers = |change: &SettingChange| match change.key.kind {
            SettingKind::Property
            | SettingKind::Group
            | SettingKind::Window
            | SettingKind::Package
            | SettingKind::Block
            | SettingKind::Pin => true,
            // A rollout keeps its strategy; links and approvals hold no computer back from its contact.
            SettingKind::Strategy | SettingKind::Link | SettingKind::Approval => false,
        };
        changes.iter().any(moves_computers).then_some(Self::News)
    }

    /// The call for a release, by the rollouts that bring it, and as the site treats its severity.
    #[must_use]
    pub fn for_release(self, release: &KnownRelease, plan: &Plan) -> Self {
        let critical = release.severity == Severity::Critical
            && plan.settings.properties.critical == WhenCritical::AtOnce;
        let mut channels = release.channels.iter().chain(&release.approved_for);
        let emergency =
            channels.any(|channel| plan.rollout_of(release, channel).is_some_and(|brings| brings.emergency));
        if critical || emergency { Self::Urgent } else { self }
    }

    /// Whether it reaches every computer, whatever its groups: then nobody has to be looked up.
    #[must_use]
    pub fn reaches_all(self, settings: &Settings) -> bool {
        let groups = settings.groups.values().filter_map(|group| group.delivery.as_ref());
        groups.chain([&settings.properties.delivery]).all(|delivery| self.reaches(delivery))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::ids::{ChannelName, PackageName, Platform};
    use sealpost_manifests::release::{PackageKind, ReleaseId};
    use sealpost_manifests::version::{ReleaseCounter, Version};
    use sealpost_manifests::word::Word;
    use serde_json::json;

    use super::super::progress::{Rollout, RolloutState};
    use super::super::settings::SettingKey;
    use super::super::strategy::Strategy;
    use super::*;
    use crate::rules::release::ReleaseState;

    fn settings(changes: &[(SettingKind, &str, serde_json::Value)]) -> Settings {
        let mut settings = Settings::default();
        for (kind, name, value) in changes {
            let key = SettingKey { kind: *kind, name: (*name).to_owned() };
            settings.set(&SettingChange { key, value: Some(value.clone()) }).unwrap();
        }
        settings
    }

    #[test]
    fn who_polls_or_comes_by_file_is_called_for_what_cannot_wait_alone() {
        for (text, called) in
            [("push", true), ("window:night", true), ("manual", true), ("poll", false), ("folder", false)]
        {
            let delivery: Delivery = text.parse().unwrap();
            assert_eq!(Call::News.reaches(&delivery), called, "{text}");
            assert!(Call::Urgent.reaches(&delivery), "{text}");
        }
    }

    fn release(severity: Severity) -> KnownRelease {
        let channels = vec![ChannelName::new("stable").unwrap()];
        KnownRelease {
            release: ReleaseId {
                package: PackageName::new("av").unwrap(),
                version: Version::new("1.0").unwrap(),
                platform: Platform::any(),
            },
            manifest: Sha256Digest::of(b"a manifest"),
            state: ReleaseState::Approved,
            counter: ReleaseCounter(1),
            channels: channels.clone(),
            approved_for: channels,
            rollout: Some(7),
            signer: None,
            reason: None,
            rollback: false,
            attempt: 1,
            kind: PackageKind::Program,
            severity,
            mandatory: false,
            rolling_out: Vec::new(),
        }
    }

    #[test]
    fn what_is_critical_is_called_for_at_once_where_the_site_wants_that_alone() {
        let at_once = settings(&[(SettingKind::Property, "critical", json!("at_once"))]);
        let called = |severity, settings: &Settings| {
            let plan = Plan { settings: settings.clone(), ..Plan::default() };
            Call::News.for_release(&release(severity), &plan)
        };
        assert_eq!(called(Severity::Critical, &at_once), Call::Urgent);
        assert_eq!(called(Severity::High, &at_once), Call::News);
        assert_eq!(called(Severity::Critical, &Settings::default()), Call::News);
    }

    #[test]
    fn a_release_that_is_pushed_through_is_called_for_at_once_in_the_channel_of_its_rollout() {
        let called = |emergency, channel: &str, manifest: &[u8]| {
            let (known, strategy) = (release(Severity::Normal), Strategy::normal());
            let rollout = Rollout {
                number: 7,
                release: known.release.clone(),
                manifest: Sha256Digest::of(manifest),
                counter: known.counter,
                kind: known.kind,
                channels: vec![ChannelName::new(channel).unwrap()],
                strategy_name: Word::known("normal"),
                emergency,
                state: RolloutState::Running,
                started_at: Timestamp::UNIX_EPOCH,
                changed: None,
                rings: Rollout::waiting_rings(&strategy),
                strategy,
            };
            let plan = Plan { rollouts: vec![rollout], ..Plan::default() };
            Call::News.for_release(&known, &plan)
        };
        assert_eq!(called(true, "stable", b"a manifest"), Call::Urgent);
        assert_eq!(called(false, "stable", b"a manifest"), Call::News);
        assert_eq!(called(true, "beta", b"a manifest"), Call::News);
        assert_eq!(called(true, "stable", b"another manifest"), Call::News);
    }

    #[test]
    fn settings_that_change_what_computers_get_call_them() {
        let change = |kind| SettingChange { key: SettingKey { kind, name: "x".to_owned() }, value: None };
        let calls: Vec<&str> = SettingKind::ALL
            .into_iter()
            .filter(|kind| Call::of_settings(&[change(SettingKind::Strategy), change(*kind)]).is_some())
            .map(SettingKind::as_str)
            .collect();
        assert_eq!(calls, ["property", "group", "window", "package", "block", "pin"]);
    }

    #[test]
    fn nobody_is_looked_up_while_every_method_is_called() {
        let poll = (SettingKind::Property, "delivery", json!("poll"));
        let group = |delivery: &str| (SettingKind::Group, "pilots", json!({ "delivery": delivery }));
        assert!(Call::News.reaches_all(&settings(&[])));
        assert!(Call::News.reaches_all(&settings(&[group("manual")])));
        assert!(!Call::News.reaches_all(&settings(&[group("folder")])));
        assert!(!Call::News.reaches_all(&settings(std::slice::from_ref(&poll))));
        assert!(Call::Urgent.reaches_all(&settings(&[poll, group("folder")])));
    }
}
