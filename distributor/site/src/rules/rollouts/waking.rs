//! Whom the server tells to come at once, by how computers get what is approved.
//!
//! Invariant: what cannot wait reaches every computer that is connected, whatever its method says: a halt, a withdrawal, a way
//! back, an emergency, and what the vendor calls critical where the site wants that at once.

use sealpost_manifests::release::Severity;

use super::delivery::{Delivery, WhenCritical};
use super::settings::{SettingChange, SettingKind, Settings};

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

    /// The call for a release of this severity, as the site treats it.
    #[must_use]
    pub fn for_severity(self, severity: Severity, settings: &Settings) -> Self {
        match (severity, settings.properties.critical) {
            (Severity::Critical, WhenCritical::AtOnce) => Self::Urgent,
            _ => self,
        }
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
    use serde_json::json;

    use super::super::settings::SettingKey;
    use super::*;

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

    #[test]
    fn what_is_critical_is_called_for_at_once_where_the_site_wants_that_alone() {
        let at_once = settings(&[(SettingKind::Property, "critical", json!("at_once"))]);
        let called = |severity, settings: &Settings| Call::News.for_severity(severity, settings);
        assert_eq!(called(Severity::Critical, &at_once), Call::Urgent);
        assert_eq!(called(Severity::High, &at_once), Call::News);
        assert_eq!(called(Severity::Critical, &Settings::default()), Call::News);
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
