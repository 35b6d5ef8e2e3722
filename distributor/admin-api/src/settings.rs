//! `/api/v1/settings`: what a site sets, one by one or as a whole.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::word::Word;
use sealpost_site::rules::configuration::assertion::Assertion;
use sealpost_site::rules::configuration::concerned::Concerned;
use sealpost_site::rules::configuration::{Configuration, MembersChange, entries};
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::rollouts::plan::Plan;
use sealpost_site::rules::rollouts::settings::{
    PROPERTIES, Properties, SettingChange, SettingError, SettingKey, Settings,
};
use sealpost_site::rules::rollouts::strategy::Strategy;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `GET /api/v1/settings`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SettingsView {
    /// Rises with each change of a setting or a rollout: give it as `expected` with a change of what was shown.
    pub version: u64,
    /// Every property, by name.
    pub properties: Vec<Property>,
    /// Every setting that the site made, with its value.
    pub settings: Vec<SettingChange>,
    /// Every strategy that can be named: those that each site has, and its own.
    pub strategies: BTreeMap<Word, Strategy>,
}

/// One of the Primary Server Properties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The value that it has when nobody sets it.
    pub default: String,
    /// What it is for.
    pub about: String,
}

impl From<&Plan> for SettingsView {
    fn from(plan: &Plan) -> Self {
        let settings = &plan.settings;
        let default = Properties::default().texts();
        let properties =
            settings.properties.texts().into_iter().zip(default).map(|((name, value), (_, default))| {
                let about =
                    PROPERTIES.iter().find(|(known, _)| *known == name).map_or("", |(_, about)| about);
                Property { name: name.to_owned(), value, default, about: about.to_owned() }
            });
        let set = entries(settings).into_iter();
        Self {
            version: plan.version,
            properties: properties.collect(),
            settings: set.map(|(key, value)| SettingChange { key, value: Some(value) }).collect(),
            strategies: settings.all_strategies(),
        }
    }
}

/// `POST /api/v1/settings`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChangeRequest {
    /// Each with its new value, or without one to remove it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<SettingChange>,
    /// Computers that groups list from then on, or not any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MembersChange>,
    /// Why, for whoever reads the log later.
    pub comment: String,
    /// The version of the settings that was looked at; the change is refused when it is another one by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
}

/// The answer to a change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Changed {
    /// How many settings and names changed; 0 when all was so already.
    pub changed: u64,
    /// The proposal that waits for a second person: then nothing is changed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<u64>,
}

/// A whole configuration, as a file has it. What it does not name is not set any more.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ConfigurationText {
    /// Every setting, with its value.
    pub settings: Vec<SettingChange>,
    /// The computers that each group lists by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub members: BTreeMap<GroupName, BTreeSet<ComputerName>>,
    /// What has to hold of single computers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assertions: Vec<Assertion>,
    /// The fingerprint of the configuration that it was written from: it is not applied over another one, unless forced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub based_on: Option<Sha256Digest>,
}

impl ConfigurationText {
    /// Reads it.
    ///
    /// # Errors
    /// [`SettingError`] for the first setting whose name or value is none of its kind.
    pub fn configuration(&self) -> Result<Configuration, SettingError> {
        let mut settings = Settings::default();
        for change in &self.settings {
            settings.set(change)?;
        }
        Ok(Configuration { settings, members: self.members.clone() })
    }
}

/// `POST /api/v1/settings/plan`: the answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConfigurationPlan {
    /// The version of the settings that it was compared with.
    pub version: u64,
    /// Settings that change.
    pub changes: Vec<PlannedChange>,
    /// Computers that groups list from then on, or not any more.
    pub members: Vec<MembersChange>,
    /// For how many computers something changes.
    pub computers: Concerned,
    /// What does not fit together; then it cannot be applied.
    pub problems: Vec<String>,
    /// Assertions that do not hold; then it cannot be applied.
    pub failed: Vec<String>,
    /// The fingerprint of what it was compared with: settings, and whom groups list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Sha256Digest>,
    /// The configuration was written from another one than the site has, and would change it; then it is applied only if forced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<String>,
}

impl ConfigurationPlan {
    /// Whether everything is so already.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.members.is_empty()
    }
}

/// One setting before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// Which.
    #[serde(flatten)]
    pub key: SettingKey,
    /// What it says now; absent: it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it says then; absent: it is not set any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// `POST /api/v1/settings/apply`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApplyRequest {
    /// The configuration.
    pub configuration: ConfigurationText,
    /// Why, for whoever reads the log later.
    pub comment: String,
    /// The version that the plan was shown for; it is refused when it is another one by now.
    pub expected: u64,
    /// The fingerprint that the plan was shown for; as `expected`, also for whom groups list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Sha256Digest>,
    /// Also over a configuration that it was not written from.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}
