//! For how many computers a configuration changes something, and whether what it asserts of single ones holds.
//!
//! Invariant: who is in which group and ring, and what keeps a release away, is found by the functions that decide at a
//! contact. Every setting that decides something for a computer is compared; what only decides which releases are approved is
//! not.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::ids::{ComputerName, PackageName};
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::version::Version;
use sealpost_manifests::word::Word;

use super::Configuration;
use super::assertion::Assertion;
use super::concerned::{Aspect, Concerned};
use crate::rows::RecipientRow;
use crate::rules::assignment::Licensed;
use crate::rules::came_by::CameBy;
use crate::rules::rollouts::delivery::{Content, Delivery, Hold, WhenCritical};
use crate::rules::rollouts::gate::{blocks_of, pin_of};
use crate::rules::rollouts::groups::GroupName;
use crate::rules::rollouts::links::{Link, LinkTable};
use crate::rules::rollouts::plan::Plan;
use crate::rules::rollouts::settings::{Properties, Settings};
use crate::rules::rollouts::share::{self, Salt, Threshold};
use crate::rules::rollouts::strategy::{Strategy, Takes};
use crate::rules::rollouts::window::Window;

/// A computer that came within this time is heard of: the first ones of a ring are chosen among these.
const HEARD_WITHIN: SignedDuration = SignedDuration::from_hours(24);
/// The strategies that every computer goes by: of programs, and of signature files.
const FOR_ALL: usize = 2;

/// A package of which a configuration says something.
#[derive(Debug, Clone)]
struct Named {
    package: PackageName,
    /// Absent as long as no release of it is known.
    kind: Option<PackageKind>,
    /// Whether one of the configurations gives it a strategy of its own.
    own_strategy: bool,
}

impl Named {
    /// The packages of which one of these says something.
    fn of(sides: [&Settings; 2], kinds: &BTreeMap<PackageName, PackageKind>) -> Vec<Self> {
        let mut found: BTreeMap<&PackageName, bool> = BTreeMap::new();
        for settings in sides {
            for (package, of) in &settings.packages {
                *found.entry(package).or_default() |= of.strategy.is_some();
            }
            for pin in settings.pins.values() {
                found.entry(&pin.package).or_default();
            }
        }
        let named = found.into_iter().map(|(package, own_strategy)| Self {
            package: package.clone(),
            kind: kinds.get(package).copied(),
            own_strategy,
        });
        named.collect()
    }
}

/// One configuration, and where it has each computer.
#[derive(Debug)]
struct Side {
    plan: Plan,
    links: LinkTable,
    /// Those of all computers, then of the packages with one of their own, then those of which something is asserted.
    strategies: Vec<(Word, Option<Strategy>)>,
    places: Vec<Place>,
}

/// One computer, as far as rings ask.
#[derive(Debug)]
struct Place {
    position: u64,
    heard: bool,
    /// For each strategy a bit for each ring that takes it by something else than its place among the first; `None` for a
    /// strategy of a package that it may not have.
    takes: Vec<Option<u32>>,
}

/// What one configuration has a computer do, besides what its rings do.
#[derive(Debug, PartialEq, Eq)]
struct Stands {
    groups: BTreeSet<GroupName>,
    delivery: Delivery,
    window: Option<Window>,
    critical: WhenCritical,
    hold: Hold,
    /// Of all packages, then of each of which something is said.
    content: Vec<Content>,
    /// What is kept away from it: everything, a package, or one version.
    blocks: Vec<(Option<PackageName>, Option<Version>)>,
    pins: BTreeMap<PackageName, Version>,
    link: Option<(Word, Link)>,
}

impl Stands {
    /// In what another configuration is different for the computer.
    fn differences(&self, other: &Self) -> BTreeSet<Aspect> {
        let Self { groups, delivery, window, critical, hold, content, blocks, pins, link } = self;
        let same_blocks = blocks.iter().all(|block| other.blocks.contains(block))
            && other.blocks.iter().all(|block| blocks.contains(block));
        let compared = [
            (Aspect::Groups, *groups != other.groups),
            (Aspect::Delivery, *delivery != other.delivery),
            (Aspect::Windows, *delivery == other.delivery && *window != other.window),
            (Aspect::Critical, *critical != other.critical),
            (Aspect::Hold, *hold != other.hold),
            (Aspect::Content, *content != other.content),
            (Aspect::Blocks, !same_blocks),
            (Aspect::Pins, *pins != other.pins),
            (Aspect::Links, *link != other.link),
        ];
        compared.into_iter().filter(|(_, differs)| *differs).map(|(aspect, _)| aspect).collect()
    }
}

/// One computer, as both configurations look at it.
struct Looked<'a> {
    row: &'a RecipientRow,
    licensed: &'a Licensed,
    position: u64,
    heard: bool,
}

impl Side {
    fn new(settings: Settings, named: &[Named], asserted: &[Assertion]) -> Self {
        let Properties { strategy_programs, strategy_signatures, .. } = settings.properties;
        let mut names = vec![strategy_programs, strategy_signatures];
        let own = named.iter().filter(|named| named.own_strategy);
        names.extend(
            own.map(|named| settings.strategy_of(&named.package, named.kind.unwrap_or(PackageKind::Program))),
        );
        let asserted: BTreeSet<Word> =
            asserted.iter().map(|assertion| assertion.strategy.unwrap_or(strategy_programs)).collect();
        names.extend(asserted);
        let strategies = names.into_iter().map(|name| (name, settings.strategy(&name))).collect();
        let links = LinkTable::new(&settings.links);
        Self { plan: Plan { settings, ..Plan::default() }, links, strategies, places: Vec::new() }
    }

    fn add(&mut self, looked: &Looked<'_>, listed: &BTreeSet<GroupName>, named: &[Named]) -> Stands {
        let Looked { row, licensed, position, heard } = *looked;
        let groups = row.groups_in(&self.plan, listed);
        let of_packages = named.iter().filter(|named| named.own_strategy);
        let of_packages = of_packages.map(|named| licensed.covers(&named.package));
        let asks = [true; FOR_ALL].into_iter().chain(of_packages).chain(std::iter::repeat(true));
        let takes = self.strategies.iter().zip(asks);
        let takes =
            takes.map(|((_, strategy), asks)| asks.then(|| takes_by(strategy.as_ref(), position, &groups)));
        self.places.push(Place { position, heard, takes: takes.collect() });
        self.stands(groups, row, named, licensed)
    }

    fn stands(
        &self,
        groups: BTreeSet<GroupName>,
        row: &RecipientRow,
        named: &[Named],
        licensed: &Licensed,
    ) -> Stands {
        // Without `..`, so that a new setting does not stay without anybody who compares it: groups and windows are asked for
        // by these methods, strategies are compared ring by ring, and approvals decide nothing for a computer.
        let settings = &self.plan.settings;
        let Settings {
            properties,
            groups: _,
            strategies: _,
            windows: _,
            packages: _,
            blocks: _,
            pins: _,
            links,
            approvals: _,
        } = settings;
        let Properties { delivery: _, strategy_programs: _, strategy_signatures: _, critical, hold } =
            properties;
        let delivery = settings.delivery_of(&groups).clone();
        let window = settings.window_of(&delivery).cloned();
        let mine = || named.iter().filter(|named| licensed.covers(&named.package));
        let signatures = mine().filter(|named| named.kind.is_none_or(|kind| kind == PackageKind::Signatures));
        let general = settings.content_of_groups(&groups).unwrap_or_default();
        let content = signatures.map(|named| settings.content_of(&groups, &named.package));
        let content = std::iter::once(general).chain(content).collect();
        let pins = mine().filter_map(|named| {
            let (_, pin) = pin_of(settings, &row.name, &groups, &named.package)?;
            Some((named.package.clone(), pin.version.clone()))
        });
        let pins = pins.collect();
        let blocks = kept_away(settings, &row.name, &groups, licensed);
        let address = row.came_by.and_then(CameBy::address);
        let link = address.and_then(|address| self.links.of(address));
        let link = link.and_then(|name| Some((name, links.get(&name)?.clone())));
        let (critical, hold) = (*critical, *hold);
        Stands { groups, delivery, window, critical, hold, content, blocks, pins, link }
    }

    /// The ring of each computer in one strategy, from 0, in the order in which they came.
    fn rings(&self, strategy: usize) -> Vec<Option<usize>> {
        let Some((_, Some(plan))) = self.strategies.get(strategy) else {
            return vec![None; self.places.len()];
        };
        let first = plan.rings().iter().map(|ring| match ring.takes {
            Takes::First(count) => self.first(strategy, count),
            _ => None,
        });
        let first: Vec<Option<Threshold>> = first.collect();
        let ring_of = |place: &Place| {
            let bits = place.takes.get(strategy).copied().flatten()?;
            let mut rings = first.iter().enumerate();
            rings.find_map(|(index, below)| {
                let by_place = below.is_some_and(|below| share::is_in(place.position, below));
                (by_place || bits & bit(index) != 0).then_some(index)
            })
        };
        self.places.iter().map(ring_of).collect()
    }

    fn first(&self, strategy: usize, count: u32) -> Option<Threshold> {
        let count = NonZeroUsize::new(usize::try_from(count).unwrap_or(usize::MAX))?;
        let asks = |place: &&Place| place.takes.get(strategy).copied().flatten().is_some();
        let places = || self.places.iter().filter(asks);
        let heard: Vec<u64> = places().filter(|place| place.heard).map(|place| place.position).collect();
        let all = || places().map(|place| place.position).collect();
        Threshold::first(count, if heard.is_empty() { all() } else { heard })
    }

    fn strategy(&self, index: usize) -> Option<&Strategy> {
        self.strategies.get(index).and_then(|(_, strategy)| strategy.as_ref())
    }
}

/// What blocks keep away from a computer that may have it; what a wider one keeps away is not said again.
fn kept_away(
    settings: &Settings,
    name: &ComputerName,
    groups: &BTreeSet<GroupName>,
    licensed: &Licensed,
) -> Vec<(Option<PackageName>, Option<Version>)> {
    let blocks = blocks_of(settings, name, groups).map(|(_, block)| block);
    let blocks: Vec<_> = blocks
        .filter(|block| block.package.as_ref().is_none_or(|package| licensed.covers(package)))
        .map(|block| (block.package.clone(), block.version.clone()))
        .collect();
    let widest = |(package, version): &(Option<PackageName>, Option<Version>)| {
        let wider = [(None, None), (package.clone(), None)];
        let is_itself =
            |wide: &(Option<PackageName>, Option<Version>)| wide.0 == *package && wide.1 == *version;
        wider.iter().all(|wide| is_itself(wide) || !blocks.contains(wide))
    };
    blocks.iter().filter(|block| widest(block)).cloned().collect()
}

fn bit(ring: usize) -> u32 {
    u32::try_from(ring).map_or(0, |ring| 1 << ring.min(31))
}

/// The rings that take a computer by a group, a share, or because they take everyone.
fn takes_by(strategy: Option<&Strategy>, position: u64, groups: &BTreeSet<GroupName>) -> u32 {
    let rings = strategy.map(Strategy::rings).unwrap_or_default().iter().enumerate();
    let taken = rings.filter(|(_, ring)| match &ring.takes {
        Takes::First(_) => false,
        Takes::Share(part) => share::is_in(position, Threshold::share(*part)),
        Takes::Group(group) => groups.contains(group),
        Takes::Everyone => true,
    });
    taken.fold(0, |bits, (index, _)| bits | bit(index))
}

/// What changes for a computer by the strategies of two configurations, in which it is in these rings.
fn by_strategy(before: (&Strategy, usize), after: (&Strategy, usize)) -> BTreeSet<Aspect> {
    let name = |(strategy, ring): (&Strategy, usize)| strategy.rings().get(ring).map(|ring| ring.name);
    let moved = name(before) != name(after);
    let same = before.1 == after.1 && before.0.leads_the_same(after.0, before.1);
    let compared = [
        (Aspect::Rings, moved),
        (Aspect::Strategies, !moved && !same),
        (Aspect::Deadlines, before.0.deadline() != after.0.deadline()),
    ];
    compared.into_iter().filter(|(_, differs)| *differs).map(|(aspect, _)| aspect).collect()
}

/// A look at all computers with two configurations.
#[derive(Debug)]
pub struct Comparison<'a> {
    before: Side,
    after: Side,
    named: Vec<Named>,
    wanted: &'a BTreeMap<GroupName, BTreeSet<ComputerName>>,
    assertions: &'a [Assertion],
    salt: Salt,
    now: Timestamp,
    /// What changes for each computer, besides rings.
    changed: Vec<BTreeSet<Aspect>>,
    /// What the wanted configuration has the computers do of which something is asserted, with their places.
    asserted: BTreeMap<ComputerName, (usize, Stands)>,
}

impl<'a> Comparison<'a> {
    /// Of what a site has and what is wanted. `kinds` says of which kind the packages are that the site knows.
    #[must_use]
    pub fn new(
        before: &Settings,
        after: &'a Configuration,
        assertions: &'a [Assertion],
        kinds: &BTreeMap<PackageName, PackageKind>,
        salt: Salt,
        now: Timestamp,
    ) -> Self {
        let named = Named::of([before, &after.settings], kinds);
        Self {
            before: Side::new(before.clone(), &named, &[]),
            after: Side::new(after.settings.clone(), &named, assertions),
            named,
            wanted: &after.members,
            assertions,
            salt,
            now,
            changed: Vec::new(),
            asserted: BTreeMap::new(),
        }
    }

    /// Takes in a computer.
    pub fn add(&mut self, row: &RecipientRow) {
        let looked = Looked {
            row,
            licensed: &row.licensed(),
            position: share::position(&self.salt, &row.name),
            heard: row.last_contact.is_some_and(|at| self.now.duration_since(at) <= HEARD_WITHIN),
        };
        let wanted = self.wanted.iter().filter(|(_, members)| members.contains(&row.name));
        let listed: BTreeSet<GroupName> = wanted.map(|(group, _)| group.clone()).collect();
        let before = self.before.add(&looked, &row.listed, &self.named);
        let after = self.after.add(&looked, &listed, &self.named);
        let differences = before.differences(&after);
        if self.assertions.iter().any(|assertion| assertion.computer == row.name) {
            self.asserted.insert(row.name.clone(), (self.changed.len(), after));
        }
        self.changed.push(differences);
    }

    /// For how many computers something changes, and which assertions do not hold, in words.
    #[must_use]
    pub fn finish(mut self) -> (Concerned, Vec<String>) {
        let own = self.named.iter().filter(|named| named.own_strategy).count();
        for index in 0..FOR_ALL + own {
            self.compare_rings(index);
        }
        let mut concerned = Concerned::default();
        self.changed.iter().for_each(|aspects| concerned.add(aspects));
        // The rings of a strategy are found once, however many assertions name it.
        let mut rings = BTreeMap::new();
        let failed =
            self.assertions.iter().flat_map(|assertion| self.failed(assertion, &mut rings)).collect();
        (concerned, failed)
    }

    fn compare_rings(&mut self, index: usize) {
        let (Some(before), Some(after)) = (self.before.strategy(index), self.after.strategy(index)) else {
            return;
        };
        let rings = self.before.rings(index).into_iter().zip(self.after.rings(index));
        for (changed, rings) in self.changed.iter_mut().zip(rings) {
            let (Some(ring_before), Some(ring_after)) = rings else { continue };
            let aspects = by_strategy((before, ring_before), (after, ring_after));
            if index < FOR_ALL {
                changed.extend(aspects);
            } else if !aspects.is_empty() {
                changed.insert(Aspect::Packages);
            }
        }
    }

    fn failed(&self, assertion: &Assertion, rings: &mut BTreeMap<usize, Vec<Option<usize>>>) -> Vec<String> {
        let Assertion { computer, in_group, not_in_group, delivery, ring, strategy } = assertion;
        let Some((index, stands)) = self.asserted.get(computer) else {
            return vec![format!("no seat is reserved for {computer}")];
        };
        if (in_group, not_in_group, delivery, ring) == (&None, &None, &None, &None) {
            return vec![format!("nothing is asserted of {computer}")];
        }
        let mut failed = Vec::new();
        let groups = || match stands.groups.iter().map(GroupName::as_str).collect::<Vec<_>>() {
            groups if groups.is_empty() => "no group".to_owned(),
            groups => groups.join(", "),
        };
        if let Some(group) = in_group.as_ref().filter(|group| !stands.groups.contains(*group)) {
            failed.push(format!("{computer} is not in the group {group}: it is in {}", groups()));
        }
        if let Some(group) = not_in_group.as_ref().filter(|group| stands.groups.contains(*group)) {
            failed.push(format!("{computer} is in the group {group}"));
        }
        if let Some(delivery) = delivery.as_ref().filter(|delivery| **delivery != stands.delivery) {
            failed.push(format!("{computer} gets updates by {}, not by {delivery}", stands.delivery));
        }
        if let Some(ring) = ring {
            let name = strategy.unwrap_or(self.after.plan.settings.properties.strategy_programs);
            // Those of which something is asserted stand last, and take every computer in.
            let known = self.after.strategies.iter().rposition(|(known, _)| *known == name);
            let found = known.and_then(|known| {
                let rings = rings.entry(known).or_insert_with(|| self.after.rings(known));
                let ring = rings.get(*index).copied().flatten()?;
                self.after.strategy(known)?.rings().get(ring).map(|ring| ring.name)
            });
            match found {
                Some(found) if found == *ring => {}
                Some(found) => {
                    failed.push(format!(
                        "{computer} is in the ring {found} of the strategy {name}, not in {ring}"
                    ));
                }
                None => failed.push(format!("there is no strategy named {name}")),
            }
        }
        failed
    }
}
