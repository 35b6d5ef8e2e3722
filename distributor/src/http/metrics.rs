//! Counters for `/metrics`, in Prometheus' text format. Numbers only, but for what ends, which has a name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;
use jiff::Timestamp;
use sealpost_admin_api::content::ContentAge;
use sealpost_admin_api::links::LinkView;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::rules::expiries::Expiry;
use sealpost_site::rules::warnings::Warning;

/// Counters of the HTTP floor.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// By the first digit of the status, 1 to 5.
    answers: [AtomicU64; 5],
    /// By the code's place in [`ProblemCode::KNOWN`].
    refusals: Vec<AtomicU64>,
}

/// What is read from elsewhere at the time of a scrape.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) connected_clients: u64,
    pub(crate) seats: u64,
    pub(crate) seats_used: u64,
    pub(crate) releases: Vec<(&'static str, u64)>,
    pub(crate) last_pull_age_secs: Option<i64>,
    pub(crate) activity_entries: u64,
    pub(crate) missing_files: u64,
    pub(crate) drifted_clients: u64,
    pub(crate) stopped_products: u64,
    pub(crate) stored_bytes: u64,
    pub(crate) free_bytes: u64,
    pub(crate) expiries: Vec<ExpiryGauge>,
    pub(crate) problems: Vec<Warning>,
    pub(crate) content: Vec<ContentAge>,
    /// As many as the site set.
    pub(crate) links: Vec<LinkView>,
}

/// Seconds until something ends.
#[derive(Debug)]
pub(crate) struct ExpiryGauge {
    pub(crate) kind: &'static str,
    pub(crate) what: String,
    pub(crate) seconds_left: i64,
}

impl ExpiryGauge {
    /// One for each label, since monitors take no more: of several the one that comes first. `expiries` are sorted.
    pub(crate) fn of_each(expiries: &[Expiry], now: Timestamp) -> Vec<Self> {
        let mut known = BTreeSet::new();
        let first = expiries.iter().filter(|expiry| known.insert((expiry.kind, &expiry.label)));
        first
            .map(|expiry| Self {
                kind: expiry.kind.as_str(),
                what: expiry.label.clone(),
                seconds_left: expiry.seconds_left(now),
            })
            .collect()
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            answers: Default::default(),
            refusals: ProblemCode::KNOWN.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(crate) fn count_answer(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.answers.get(class) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_refusal(&self, code: ProblemCode) {
        let at = ProblemCode::KNOWN.iter().position(|known| *known == code);
        if let Some(counter) = at.and_then(|at| self.refusals.get(at)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn text(&self, gauges: &Gauges) -> String {
        let mut text = String::with_capacity(4096);
        head(&mut text, "sealpost_http_answers_total", "counter", "answers by class of status");
        for (class, counter) in self.answers.iter().enumerate() {
            line(
                &mut text,
                "sealpost_http_answers_total",
                &format!("class=\"{}xx\"", class + 1),
                load(counter),
            );
        }
        head(&mut text, "sealpost_refusals_total", "counter", "refusals by stable code");
        for (code, counter) in ProblemCode::KNOWN.iter().zip(&self.refusals) {
            line(&mut text, "sealpost_refusals_total", &format!("code=\"{code}\""), load(counter));
        }
        head(&mut text, "sealpost_releases", "gauge", "releases by state");
        for (state, count) in &gauges.releases {
            line(&mut text, "sealpost_releases", &format!("state=\"{state}\""), *count);
        }
        for (name, help, value) in [
            ("sealpost_connected_clients", "clients that hold a wake stream", gauges.connected_clients),
            ("sealpost_seats", "seats granted", gauges.seats),
            ("sealpost_seats_used", "seats taken", gauges.seats_used),
            ("sealpost_activity_entries", "entries of the activity log", gauges.activity_entries),
            ("sealpost_missing_files", "needed files that are damaged or missing", gauges.missing_files),
            ("sealpost_drifted_clients", "clients whose packages are not as signed", gauges.drifted_clients),
            (
                "sealpost_stopped_products",
                "clients with a product that could not start",
                gauges.stopped_products,
            ),
            ("sealpost_stored_bytes", "bytes of stored files, as found last", gauges.stored_bytes),
            ("sealpost_free_bytes", "free disk space, as found last", gauges.free_bytes),
        ] {
            head(&mut text, name, "gauge", help);
            line(&mut text, name, "", value);
        }
        if let Some(age) = gauges.last_pull_age_secs {
            let name = "sealpost_last_pull_age_seconds";
            head(&mut text, name, "gauge", "age of the vendor's metadata as last found fresh");
            line(&mut text, name, "", u64::try_from(age).unwrap_or(0));
        }
        let name = "sealpost_expiry_seconds";
        head(&mut text, name, "gauge", "seconds until something ends, below 0 after it");
        for ExpiryGauge { kind, what, seconds_left } in &gauges.expiries {
            let labels = format!("kind=\"{kind}\",what=\"{}\"", label(what));
            line(&mut text, name, &labels, *seconds_left);
        }
        content(&mut text, &gauges.content);
        links(&mut text, &gauges.links);
        let name = "sealpost_problems";
        head(&mut text, name, "gauge", "what is wrong: computers, files or requests that it concerns, or 1");
        for ((code, level), number) in numbers(&gauges.problems) {
            line(&mut text, name, &format!("code=\"{code}\",level=\"{level}\""), number);
        }
        text
    }
}

/// How old signature files are. Groups are named, and no computer.
fn content(text: &mut String, ages: &[ContentAge]) {
    let name = "sealpost_content_age_seconds";
    head(text, name, "gauge", "age of the signature files that computers run, since they arrived here");
    let of = |age: &ContentAge| {
        let group = age.group.as_ref().map_or("", |group| group.as_str());
        format!("package=\"{}\",group=\"{}\"", label(age.package.as_str()), label(group))
    };
    for age in ages {
        for (quantile, secs) in [("0.5", age.p50_secs), ("0.95", age.p95_secs), ("1", age.oldest_secs)] {
            line(text, name, &format!("{},quantile=\"{quantile}\"", of(age)), secs);
        }
    }
    let name = "sealpost_content_computers";
    head(text, name, "gauge", "computers that run signature files of a package");
    for age in ages {
        line(text, name, &of(age), age.computers);
    }
}

/// What goes over each link. Links are named, and no computer.
fn links(text: &mut String, links: &[LinkView]) {
    type Value = fn(&LinkView) -> u64;
    let series: [(&str, &str, &str, &str, Value); 10] = [
        ("rate_bytes", "gauge", "bytes per second that all downloads share", "", |link| {
            link.rate.bytes_per_second()
        }),
        ("turns", "gauge", "long downloads at one time", "", |link| link.concurrent.into()),
        ("downloads", "gauge", "downloads that are under way", "long", |link| link.downloading),
        ("downloads", "gauge", "", "short", |link| link.short_downloading),
        ("waiting", "gauge", "computers that wait to download", "long", |link| link.waiting),
        ("waiting", "gauge", "", "short", |link| link.short_waiting),
        ("left_bytes", "gauge", "bytes of both that are still to go", "", |link| link.left_bytes),
        ("needs_seconds", "gauge", "time that the link needs for them", "", |link| link.needs_secs),
        ("day_bytes", "gauge", "bytes that were sent in the last 24 hours", "", |link| link.day_bytes),
        ("sent_bytes_total", "counter", "bytes that were sent", "", |link| link.sent_bytes),
    ];
    if links.is_empty() {
        return;
    }
    for (name, kind, help, size, value) in series {
        let name = format!("sealpost_link_{name}");
        if !help.is_empty() {
            head(text, &name, kind, help);
        }
        for link in links {
            let size = if size.is_empty() { String::new() } else { format!(",size=\"{size}\"") };
            line(text, &name, &format!("link=\"{}\"{size}", link.name), value(link));
        }
    }
}

/// How many the problems of one code and level concern together. No name stands in it, whatever a problem says.
fn numbers(problems: &[Warning]) -> BTreeMap<(&'static str, &'static str), u64> {
    let mut numbers = BTreeMap::new();
    for Warning { code, level, count, .. } in problems {
        let number = count.as_ref().map_or(1, |count| count.number);
        *numbers.entry((code.as_str(), level.as_str())).or_default() += number;
    }
    numbers
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    // Writing into a String cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Text as it stands in a label.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn line(text: &mut String, name: &str, labels: &str, value: impl Display) {
    let _ = match labels {
        "" => writeln!(text, "{name} {value}"),
        labels => writeln!(text, "{name}{{{labels}}} {value}"),
    };
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::ids::PackageName;
    use sealpost_site::rules::rollouts::groups::GroupName;
    use sealpost_site::rules::warnings::{Unit, WarningCode};

    use super::*;

    #[test]
    fn what_ends_has_its_kind_and_its_name_and_is_below_zero_after_its_end() {
        let what = "the \"setup\" file".to_owned();
        let expiries = vec![ExpiryGauge { kind: "setup_code", what, seconds_left: -5 }];
        let text = Metrics::new().text(&Gauges { expiries, ..Gauges::default() });
        let line = "sealpost_expiry_seconds{kind=\"setup_code\",what=\"the \\\"setup\\\" file\"} -5\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn of_several_that_end_under_one_label_monitors_see_the_first() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let expiries =
            [("anna", 10), ("ci", 20)].map(|(name, end)| Expiry::of_admin_token(name, at(0), at(end)));
        let gauges = ExpiryGauge::of_each(&expiries, at(0));
        assert_eq!(gauges.iter().map(|gauge| gauge.seconds_left).collect::<Vec<_>>(), [10]);
    }

    #[test]
    fn the_age_of_content_is_a_number_for_each_package_and_group() {
        let age = |group: Option<&str>, p95_secs| ContentAge {
            package: PackageName::new("acme-sigs").unwrap(),
            group: group.map(|name| GroupName::new(name).unwrap()),
            computers: 20,
            unknown: 0,
            p50_secs: 60,
            p95_secs,
            oldest_secs: 9_000,
        };
        let content = vec![age(None, 600), age(Some("pilots"), 300)];
        let text = Metrics::new().text(&Gauges { content, ..Gauges::default() });
        for line in [
            "sealpost_content_age_seconds{package=\"acme-sigs\",group=\"\",quantile=\"0.95\"} 600\n",
            "sealpost_content_age_seconds{package=\"acme-sigs\",group=\"pilots\",quantile=\"0.95\"} 300\n",
            "sealpost_content_computers{package=\"acme-sigs\",group=\"\"} 20\n",
        ] {
            assert!(text.contains(line), "{line} {text}");
        }
    }

    #[test]
    fn problems_are_numbers_by_code_and_level_and_name_nobody() {
        let of = |number, name: &str| {
            Warning::new(WarningCode::InstallsFailed, name).of(number, Unit::Computers, &[name])
        };
        let one = Warning::new(WarningCode::PullFailed, "the last pull failed: pc-9");
        let problems = vec![of(2, "pc-1"), of(3, "pc-2"), one];
        let text = Metrics::new().text(&Gauges { problems, ..Gauges::default() });
        assert!(text.contains("sealpost_problems{code=\"installs_failed\",level=\"warning\"} 5\n"), "{text}");
        assert!(text.contains("sealpost_problems{code=\"pull_failed\",level=\"warning\"} 1\n"), "{text}");
        assert!(!text.contains("pc-"), "{text}");
    }

    #[test]
    fn each_refusal_is_counted_under_its_code() {
        let metrics = Metrics::new();
        metrics.count_refusal(ProblemCode::NoLease);
        metrics.count_refusal(ProblemCode::NoLease);
        metrics.count_answer(StatusCode::FORBIDDEN);
        let text = metrics.text(&Gauges { seats: 10, ..Gauges::default() });
        assert!(text.contains("sealpost_refusals_total{code=\"no_lease\"} 2\n"), "{text}");
        assert!(text.contains("sealpost_http_answers_total{class=\"4xx\"} 1\n"), "{text}");
        assert!(text.contains("sealpost_seats 10\n"), "{text}");
    }
}
