//! Releases, from staging to withdrawal, and the deltas between them.

use std::sync::Arc;

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, PackageName};
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::trust::{CounterReset, TrustDocument};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::word::Word;

use super::decision::{Command, Context, Decision};
use super::second_eyes::{Outcome, Request, ask};
pub use super::steering::no_such_strategy;
use crate::changes::{Actor, Approval, Change, StagedRollout, summary};
use crate::queries::{Query, query};
use crate::rules::account;
use crate::rules::approvals::proposal::Proposed;
use crate::rules::approvals::rule::{About, Demands, Needs, demands};
use crate::rules::release::{
    IllegalTransition, KnownRelease, ReleaseCommand, ReleaseState, Supersession, Transition,
    channels_after_pull, supersession, transition,
};
use crate::rules::review::{self, Reviewed};
use crate::rules::rollouts::plan::Plan;
use crate::rules::test_load::{self, TestLoad};
use crate::rules::text;

/// Most problems that one entry keeps: hostile input does not fill the log.
const MAX_PROBLEMS: usize = 100;

query! {
    /// What every command about a release is decided from.
    LoadRelease {
        /// Its manifest's digest.
        pub manifest: Sha256Digest,
        /// The release that claims this manifest; absent when only the digest is known.
        pub claimed: Option<ReleaseId>,
    } -> ReleaseFacts, "read a release"
}

/// As [`LoadRelease`] says.
#[derive(Debug, Clone)]
pub struct ReleaseFacts {
    /// The release with this manifest.
    pub known: Option<KnownRelease>,
    /// The manifest that stands under the claimed release and was not refused.
    pub manifest_of_claimed: Option<Sha256Digest>,
    /// Releases of the known release's package that are approved or superseded, sorted by counter and manifest, so that
    /// every store gives the same entry.
    pub approved: Vec<KnownRelease>,
    /// The number of the next rollout.
    pub next_rollout: u64,
    /// The highest attempt of the known release that a computer was told by a retry; 0 where there was none.
    pub highest_attempt: u32,
    /// The newest test-load of the known release, if there was one.
    pub test: Option<TestLoad>,
    /// Since when the known release lies here.
    pub staged_at: Option<Timestamp>,
    /// Settings and rollouts.
    pub plan: Arc<Plan>,
}

impl ReleaseFacts {
    /// What changes when the known release becomes `after`; `None` when it leaves the approved ones.
    pub(super) fn supersession(&self, manifest: Sha256Digest, after: Option<KnownRelease>) -> Supersession {
        let others = self.approved.iter().filter(|release| release.manifest != manifest).cloned();
        let approved: Vec<KnownRelease> = others.chain(after).collect();
        supersession(&approved)
    }
}

/// A release as it comes out of staging.
#[derive(Debug, Clone)]
pub struct StageRelease {
    /// Package, version and platform.
    pub release: ReleaseId,
    /// Digest of the manifest's exact bytes.
    pub manifest: Sha256Digest,
    /// Program or signatures.
    pub kind: PackageKind,
    /// Its release counter.
    pub counter: ReleaseCounter,
    /// How urgent the vendor holds it.
    pub severity: Severity,
    /// Channels that point to it.
    pub channels: Vec<ChannelName>,
    /// The key that signed its manifest.
    pub signer: PublicKey,
    /// Bytes of the payload as downloaded.
    pub payload_bytes: u64,
    /// Whether the vendor lists its version as one through which computers pass.
    pub mandatory: bool,
}

impl Command for StageRelease {
    type Facts = LoadRelease;
    type Answer = ();
    const ATTEMPTED: &'static str = "stage a release";

    fn facts(&self) -> LoadRelease {
        LoadRelease { manifest: self.manifest, claimed: Some(self.release.clone()) }
    }

    fn decide(self, facts: ReleaseFacts, _: &Context<'_>) -> Decision<()> {
        let manifest = self.manifest;
        if let Some(other) = facts.manifest_of_claimed.filter(|other| *other != manifest) {
            return Decision::refuse(Problem::new(
                ProblemCode::DigestMismatch,
                format!("{} is known here with manifest {other}, and now came with {manifest}", self.release),
                "a release has one manifest for ever; ask the vendor to publish the change as a new version",
            ));
        }
        let known = facts.known.as_ref();
        let step = match legal(&self.release, known, ReleaseCommand::Stage) {
            Ok(step) => step,
            Err(problem) => return Decision::refuse(problem),
        };
        match (step, known) {
            (Transition::Unchanged, Some(known)) => {
                let channels = channels_after_pull(&known.approved_for, &self.channels);
                let mut decision = Decision::answer(());
                if self.mandatory != known.mandatory {
                    let (release, mandatory) = (self.release, self.mandatory);
                    let change = Change::ReleaseMandatoryChanged { release, manifest, mandatory };
                    decision = decision.change(Actor::Server, change);
                }
                if channels == known.channels {
                    return decision;
                }
                let after = KnownRelease { channels: channels.clone(), ..known.clone() };
                let after = Some(after).filter(|release| release.state.is_or_was_approved());
                let supersession = facts.supersession(manifest, after);
                let change = Change::ReleaseChannelsChanged { manifest, channels, supersession };
                decision.change(Actor::Server, change)
            }
            _ => Decision::answer(()).change(Actor::Server, self.staged()),
        }
    }
}

impl StageRelease {
    fn staged(self) -> Change {
        let mut channels = self.channels;
        channels.sort();
        channels.dedup();
        Change::ReleaseStaged {
            release: self.release,
            manifest: self.manifest,
            kind: self.kind,
            counter: self.counter,
            severity: self.severity,
            channels,
            signer: self.signer,
            payload_bytes: self.payload_bytes,
            mandatory: self.mandatory,
        }
    }
}

fn legal_withdrawal(state: ReleaseState) -> bool {
    matches!(transition(Some(state), ReleaseCommand::Withdraw), Ok(Transition::To(_)))
}

/// A release did not pass staging.
#[derive(Debug, Clone)]
pub struct RefuseRelease {
    /// Package, version and platform.
    pub release: ReleaseId,
    /// Its manifest's digest.
    pub manifest: Sha256Digest,
    /// Every problem that was found.
    pub problems: Vec<String>,
}

impl Command for RefuseRelease {
    type Facts = LoadRelease;
    type Answer = ();
    const ATTEMPTED: &'static str = "note a refused release";

    fn facts(&self) -> LoadRelease {
        LoadRelease { manifest: self.manifest, claimed: None }
    }

    fn decide(self, facts: ReleaseFacts, _: &Context<'_>) -> Decision<()> {
        let Self { release, manifest, problems } = self;
        let problems: Vec<String> =
            problems.iter().take(MAX_PROBLEMS).map(|problem| text::stored(problem)).collect();
        let step = match legal(&release, facts.known.as_ref(), ReleaseCommand::Refuse) {
            Ok(step) => step,
            Err(problem) => return Decision::refuse(problem),
        };
        let said_before = facts.known.and_then(|known| known.reason);
        if step == Transition::Unchanged && said_before.as_ref() == Some(&summary::reason_of(&problems)) {
            return Decision::answer(());
        }
        Decision::answer(()).change(Actor::Server, Change::ReleaseRefused { release, manifest, problems })
    }
}

/// The vendor withdrew a release.
#[derive(Debug, Clone)]
pub struct WithdrawRelease {
    /// Its manifest's digest.
    pub manifest: Sha256Digest,
    /// The vendor's reason.
    pub reason: String,
}

impl Command for WithdrawRelease {
    type Facts = LoadRelease;
    type Answer = ();
    const ATTEMPTED: &'static str = "withdraw a release";

    fn facts(&self) -> LoadRelease {
        LoadRelease { manifest: self.manifest, claimed: None }
    }

    fn decide(self, facts: ReleaseFacts, _: &Context<'_>) -> Decision<()> {
        let manifest = self.manifest;
        let Some(known) = &facts.known else {
            return Decision::refuse(Problem::new(
                ProblemCode::NotFound,
                format!("cannot withdraw: no release with manifest {manifest} is known here"),
                "nothing needs to be done; it cannot be approved either",
            ));
        };
        match legal(&known.release, Some(known), ReleaseCommand::Withdraw) {
            Err(problem) => Decision::refuse(problem),
            Ok(Transition::Unchanged) => Decision::answer(()),
            Ok(Transition::To(_)) => Decision::answer(()).change(
                Actor::Server,
                Change::ReleaseWithdrawn {
                    release: known.release.clone(),
                    manifest,
                    reason: text::stored(&self.reason),
                    supersession: facts.supersession(manifest, None),
                },
            ),
        }
    }
}

/// Approves the manifest and the channels that were shown, or waits for a second person; again: the same answer.
#[derive(Debug, Clone)]
pub struct ApproveRelease {
    /// Who approves.
    pub actor: Actor,
    /// The digest that was reviewed.
    pub manifest: Sha256Digest,
    /// The channels that it is approved for; those that point to it now when absent.
    pub channels: Option<Vec<ChannelName>>,
    /// The vendor's trust document as of the last good pull.
    pub trust: Option<Arc<TrustDocument>>,
    /// Why, for whoever reads the log later; may be empty.
    pub comment: String,
    /// How it goes out: the name of a strategy; the one that the settings name when absent.
    pub strategy: Option<Word>,
    /// Computers wait for no window, no person and no product.
    pub emergency: bool,
    /// Whether the site wants it to be loaded on the server first.
    pub test_load: test_load::Wanted,
    /// Also while the decision is put off; an emergency does not ask.
    pub despite_deferral: bool,
    /// The proposal that is confirmed by it.
    pub confirms: Option<u64>,
}

impl Command for ApproveRelease {
    type Facts = LoadRelease;
    type Answer = Outcome<()>;
    const ATTEMPTED: &'static str = "approve a release";

    fn facts(&self) -> LoadRelease {
        LoadRelease { manifest: self.manifest, claimed: None }
    }

    fn decide(self, facts: ReleaseFacts, context: &Context<'_>) -> Decision<Outcome<()>> {
        let manifest = self.manifest;
        let reviewed = Reviewed { manifest, found: facts.known.as_ref() };
        let pointing = facts.known.as_ref().map(|known| known.channels.clone()).unwrap_or_default();
        let mut channels = self.channels.unwrap_or(pointing);
        channels.sort();
        channels.dedup();
        match review::approve(reviewed, &channels, &facts.approved, self.trust.as_deref()) {
            Err(refusal) => Decision::refuse(refusal.problem()),
            Ok(Some(after)) => {
                let wanted = Wanted { strategy: self.strategy, emergency: self.emergency };
                let begins = match begin_rollout(&facts, reviewed.found, &after, wanted) {
                    Ok(begins) => begins,
                    Err(problem) => return Decision::refuse(problem),
                };
                // What goes on with a rollout changes that for all its channels.
                let rules = &facts.plan.settings.approvals;
                let demands = demands(rules, About::release(&after, &begins.concerns(&channels)));
                let untested = test_load::refusal(self.test_load, facts.known.as_ref(), facts.test.as_ref());
                let by_one = || begun_by_one(&facts, &after, &begins, demands.needs);
                let despite = self.despite_deferral || self.emergency;
                let too_early = || too_early(&facts, &after.release, demands, despite, context.now);
                if let Some(problem) = untested.or_else(by_one).or_else(too_early) {
                    return Decision::refuse(problem);
                }
                let what = Proposed::ApproveRelease {
                    release: after.release.clone(),
                    manifest,
                    channels,
                    strategy: begins.staged.strategy,
                    plan: begins.staged.plan.clone(),
                    emergency: begins.staged.emergency,
                };
                let (plan, actor, comment) = (&facts.plan, &self.actor, &self.comment);
                let request =
                    Request { plan, actor, what, needs: demands.needs, confirms: self.confirms, comment };
                let mut agreed = match ask(request, 0, context) {
                    Ok(agreed) => agreed,
                    Err(stop) => return stop.decision(&self.actor),
                };
                let after = KnownRelease { rolling_out: begins.holds_back(), ..after };
                let change = Change::ReleaseApproved {
                    release: after.release.clone(),
                    manifest,
                    approval: Approval {
                        channels: after.approved_for.clone(),
                        approvals: std::mem::take(&mut agreed.accounts),
                        comment: std::mem::take(&mut agreed.comment),
                    },
                    rollout: begins.number,
                    staged: Some(begins.staged),
                    supersession: facts.supersession(manifest, Some(after)),
                };
                let done = Decision::answer(Outcome::Done(())).change(self.actor.clone(), change);
                agreed.before(&self.actor, done)
            }
            Ok(None) => Decision::answer(Outcome::Done(())),
        }
    }
}

/// Why a release cannot be approved yet: it lies here for too short a time, or somebody put the decision off.
fn too_early(
    facts: &ReleaseFacts,
    release: &ReleaseId,
    demands: Demands,
    despite_deferral: bool,
    now: Timestamp,
) -> Option<Problem> {
    let from = facts.staged_at.map_or(Timestamp::MAX, |staged_at| demands.from(staged_at));
    if let Some(rule) = demands.age_by.filter(|_| from > now) {
        return Some(Problem::new(
            ProblemCode::WrongState,
            format!(
                "{release} cannot be approved before {from}: the rule {rule} wants it to lie here for {} hours",
                demands.min_age_hours
            ),
            "approve it then; `distributor approvals rules` shows the rules, and who may change them",
        ));
    }
    let manifest = facts.known.as_ref()?.manifest;
    let deferral = facts.plan.approvals.deferred(manifest, now).filter(|_| !despite_deferral)?;
    Some(Problem::new(
        ProblemCode::WrongState,
        format!(
            "the decision about {release} is deferred until {} by {}: {}",
            deferral.until,
            account::named(&deferral.by),
            text::escape(&deferral.comment)
        ),
        "approve it all the same with `distributor updates approve REF --now`",
    ))
}

/// How an admin wants a release to go out.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    strategy: Option<Word>,
    emergency: bool,
}

/// The rollout that an approval begins, or goes on with.
struct Begins {
    number: u64,
    staged: StagedRollout,
}

impl Begins {
    /// The channels that are asked for, and those of the rollout that goes on with them.
    fn concerns(&self, asked: &[ChannelName]) -> Vec<ChannelName> {
        let mut channels: Vec<ChannelName> = asked.iter().chain(&self.staged.channels).cloned().collect();
        channels.sort();
        channels.dedup();
        channels
    }

    /// The channels whose computers do not get the release at once.
    fn holds_back(&self) -> Vec<ChannelName> {
        if self.staged.complete { Vec::new() } else { self.staged.channels.clone() }
    }
}

/// Two people agree to rings that open one after the other: not to a rollout whose rings one person may have opened already.
fn begun_by_one(
    facts: &ReleaseFacts,
    after: &KnownRelease,
    begins: &Begins,
    needs: Needs,
) -> Option<Problem> {
    let live = facts.plan.rollouts.iter().find(|live| live.number == begins.number)?;
    let before = demands(&facts.plan.settings.approvals, About::release(after, &live.channels)).needs;
    let (number, release) = (live.number, &after.release);
    let said = format!(
        "rollout {number} of {release} is under way in channels where one person decides: it goes into none where two do"
    );
    let hint =
        format!("wait until it is complete, or end it: `distributor rollouts abort {number} --why TEXT`");
    (needs == Needs::Two && before == Needs::One).then(|| Problem::new(ProblemCode::WrongState, said, hint))
}

/// A release that still rolls out takes further channels into the same rollout; any other begins a new one for the channels
/// that are new.
fn begin_rollout(
    facts: &ReleaseFacts,
    found: Option<&KnownRelease>,
    after: &KnownRelease,
    wanted: Wanted,
) -> Result<Begins, Problem> {
    let settings = &facts.plan.settings;
    let live = facts
        .plan
        .rollouts
        .iter()
        .find(|rollout| rollout.manifest == after.manifest && rollout.state.is_live());
    let before = found.filter(|found| found.state != ReleaseState::Staged);
    let before = before.map(|found| found.approved_for.as_slice()).unwrap_or_default();
    let mut channels: Vec<ChannelName> =
        after.approved_for.iter().filter(|channel| !before.contains(channel)).cloned().collect();
    if let Some(live) = live {
        channels.extend(
            live.channels.iter().filter(|channel| !channels.contains(channel)).cloned().collect::<Vec<_>>(),
        );
        channels.sort();
        let (strategy, plan) = (live.strategy_name, live.strategy.clone());
        let emergency = live.emergency || wanted.emergency;
        let staged = StagedRollout { strategy, plan, channels, emergency, complete: false };
        return Ok(Begins { number: live.number, staged });
    }
    let strategy =
        wanted.strategy.unwrap_or_else(|| settings.strategy_of(&after.release.package, after.kind));
    let plan = settings.strategy(&strategy).ok_or_else(|| no_such_strategy(&strategy, settings))?;
    let (complete, emergency) = (plan.is_immediate(), wanted.emergency);
    let staged = StagedRollout { strategy, plan, channels, emergency, complete };
    Ok(Begins { number: facts.next_rollout, staged })
}

/// Rejects a release that is not approved yet.
#[derive(Debug, Clone)]
pub struct RejectRelease {
    /// Who rejects.
    pub actor: Actor,
    /// Its manifest's digest.
    pub manifest: Sha256Digest,
    /// Why, for whoever reads the log later.
    pub reason: String,
}

impl Command for RejectRelease {
    type Facts = LoadRelease;
    type Answer = ();
    const ATTEMPTED: &'static str = "reject a release";

    fn facts(&self) -> LoadRelease {
        LoadRelease { manifest: self.manifest, claimed: None }
    }

    fn decide(self, facts: ReleaseFacts, _: &Context<'_>) -> Decision<()> {
        let (manifest, reason) = (self.manifest, self.reason.trim());
        let reviewed = Reviewed { manifest, found: facts.known.as_ref() };
        match (review::reject(reviewed, reason), &facts.known) {
            (Err(refusal), _) => Decision::refuse(refusal.problem()),
            (Ok(Transition::To(_)), Some(known)) => {
                let (release, reason) = (known.release.clone(), text::comment(reason));
                Decision::answer(()).change(self.actor, Change::ReleaseRejected { release, manifest, reason })
            }
            (Ok(_), _) => Decision::answer(()),
        }
    }
}

query! {
    /// What a reset of a counter is decided from.
    LoadCounterReset {
        /// The package.
        pub package: PackageName,
    } -> CounterResetFacts, "read a reset counter"
}

/// As [`LoadCounterReset`] says.
#[derive(Debug, Clone)]
pub struct CounterResetFacts {
    /// The number of the reset that was applied last.
    pub applied: Option<u64>,
    /// Releases of the package that passed staging, whatever became of them.
    pub releases: Vec<KnownRelease>,
}

/// The vendor reset the counter of a package. Applied once for each higher number.
#[derive(Debug, Clone)]
pub struct ResetCounter {
    /// As the vendor's trust document says.
    pub reset: CounterReset,
}

impl Command for ResetCounter {
    type Facts = LoadCounterReset;
    type Answer = ();
    const ATTEMPTED: &'static str = "note a reset counter";

    fn facts(&self) -> LoadCounterReset {
        LoadCounterReset { package: self.reset.package.clone() }
    }

    fn decide(self, facts: CounterResetFacts, _: &Context<'_>) -> Decision<()> {
        let CounterReset { package, counter, number } = self.reset;
        if facts.applied >= Some(number) {
            return Decision::answer(());
        }
        let (above, good): (Vec<_>, Vec<_>) =
            facts.releases.into_iter().partition(|release| release.counter > counter);
        let voided = above.iter().map(|release| release.manifest).collect();
        let good: Vec<_> = good.into_iter().filter(|release| release.state.is_or_was_approved()).collect();
        let supersession = supersession(&good);
        let reset = Change::CounterReset { package, counter, number, voided };
        let withdrawn = above.into_iter().filter(|release| legal_withdrawal(release.state)).map(|release| {
            Change::ReleaseWithdrawn {
                release: release.release,
                manifest: release.manifest,
                reason: format!("the vendor reset the release counter to {counter}"),
                supersession: supersession.clone(),
            }
        });
        withdrawn.fold(Decision::answer(()).change(Actor::Server, reset), |decision, change| {
            decision.change(Actor::Server, change)
        })
    }
}

query! {
    /// The length in bytes of a delta that is known.
    LoadDelta {
        /// The manifest that it starts from.
        pub base: Sha256Digest,
        /// The manifest that it leads to.
        pub target: Sha256Digest,
    } -> Option<u64>, "read a delta"
}

/// A delta was made.
#[derive(Debug, Clone, Copy)]
pub struct NoteDelta {
    /// The manifest that it starts from.
    pub base: Sha256Digest,
    /// The manifest that it leads to.
    pub target: Sha256Digest,
    /// Its length in bytes.
    pub bytes: u64,
}

impl Command for NoteDelta {
    type Facts = LoadDelta;
    type Answer = ();
    const ATTEMPTED: &'static str = "note a delta";

    fn facts(&self) -> LoadDelta {
        LoadDelta { base: self.base, target: self.target }
    }

    fn decide(self, known: Option<u64>, _: &Context<'_>) -> Decision<()> {
        let Self { base, target, bytes } = self;
        if known == Some(bytes) {
            return Decision::answer(());
        }
        Decision::answer(()).change(Actor::Server, Change::DeltaMade { base, target, bytes })
    }
}

fn legal(
    release: &ReleaseId,
    known: Option<&KnownRelease>,
    command: ReleaseCommand,
) -> Result<Transition, Problem> {
    transition(known.map(|known| known.state), command).map_err(|illegal: IllegalTransition| {
        Problem::new(
            ProblemCode::WrongState,
            format!("{release}: {illegal}"),
            format!("see `distributor updates show {}:{}` for its state", release.package, release.version),
        )
    })
}
