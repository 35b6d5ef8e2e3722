use std::collections::BTreeMap;

use super::*;
use crate::rules::random::Random;

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    Nonce::from_random(bytes)
}

fn branch(number: u64) -> Sha256Digest {
    branch_of(&nonce(number))
}

fn name() -> ComputerName {
    ComputerName::new("pc-1").unwrap()
}

/// (1, 2) was answered, (1, 3) is the other one.
fn last() -> NoncePair {
    NoncePair { previous: Some(nonce(1)), next: nonce(2) }
}

fn judged(noted: &[u64], kept: Option<u64>, previous: Option<u64>, next: u64) -> CopyDecision {
    let noted: Vec<_> = noted.iter().map(|number| branch(*number)).collect();
    let kept = kept.map_or(Kept::Undecided, |kept| Kept::Branch(branch(kept)));
    let facts = CopyFacts { last: Some(&last()), noted: &noted, kept: &kept };
    decide(&facts, previous.map(nonce).as_ref(), &nonce(next))
}

fn of(number: u64, answered: Option<u64>, this: Option<u64>, standing: CopyStanding) -> CopyDecision {
    let notes = CopyNotes { answered: answered.map(branch), this: this.map(branch) };
    CopyDecision::Of { branch: branch(number), notes, standing }
}

#[test]
fn each_contact_of_two_computers_means_one_thing() {
    use CopyDecision::OfNeither;
    use CopyStanding::{GivenUp, Kept, Undecided};
    let both: &[u64] = &[2, 3];
    let table = [
        // The contact that shows the fork names both.
        (&[][..], None, Some(1), 3, of(3, Some(2), Some(3), Undecided)),
        // The one that was answered goes on with its next nonce, or sends the answered contact again.
        (both, None, Some(2), 9, of(2, None, None, Undecided)),
        (both, None, Some(1), 2, of(2, None, None, Undecided)),
        // The other one sends the same pair until it is answered.
        (both, None, Some(1), 3, of(3, None, None, Undecided)),
        // A third one, a message of before, and one without a past.
        (both, None, Some(1), 4, OfNeither),
        (both, None, Some(8), 1, OfNeither),
        (both, None, None, 1, OfNeither),
        (both, Some(3), Some(1), 4, OfNeither),
        // What an admin decided, and decides anew.
        (both, Some(3), Some(1), 3, of(3, None, None, Kept)),
        (both, Some(3), Some(2), 9, of(2, None, None, GivenUp)),
        (both, Some(2), Some(1), 2, of(2, None, None, Kept)),
        (both, Some(2), Some(1), 3, of(3, None, None, GivenUp)),
        // A client that was found to be two before branches were noted: each is noted when it comes.
        (&[], None, Some(2), 9, of(2, None, Some(2), Undecided)),
        (&[2], None, Some(1), 3, of(3, None, Some(3), Undecided)),
        (&[2], Some(2), Some(1), 3, of(3, None, Some(3), GivenUp)),
        (&[3], None, Some(2), 9, of(2, None, Some(2), Undecided)),
        (&[3], None, Some(1), 4, OfNeither),
    ];
    for (noted, kept, previous, next, expected) in table {
        let found = judged(noted, kept, previous, next);
        assert_eq!(found, expected, "noted {noted:?}, kept {kept:?}, contact ({previous:?}, {next})");
    }
}

#[test]
fn the_branches_are_told_apart_also_when_the_last_contact_is_not_known_any_more() {
    let noted = [branch(2), branch(3)];
    let facts = CopyFacts { last: None, noted: &noted, kept: &Kept::Branch(noted[1]) };
    let judged = |previous, next| decide(&facts, Some(&nonce(previous)), &nonce(next));
    assert_eq!(judged(2, 9), of(2, None, None, CopyStanding::GivenUp));
    assert_eq!(judged(1, 3), of(3, None, None, CopyStanding::Kept));
    assert_eq!(judged(1, 4), CopyDecision::OfNeither);
    let nothing = CopyFacts { last: None, noted: &[], kept: &Kept::Undecided };
    assert_eq!(decide(&nothing, Some(&nonce(1)), &nonce(3)), CopyDecision::OfNeither);
    assert_eq!(found(&nothing, &nonce(3)), None);
}

#[test]
fn a_fork_that_a_restored_ledger_finds_notes_both_and_never_three() {
    let of_two = |noted: &[u64]| {
        let noted: Vec<_> = noted.iter().map(|number| branch(*number)).collect();
        found(&CopyFacts { last: Some(&last()), noted: &noted, kept: &Kept::Undecided }, &nonce(7))
    };
    let notes = |answered: Option<u64>, this: Option<u64>| {
        Some((branch(7), CopyNotes { answered: answered.map(branch), this: this.map(branch) }))
    };
    assert_eq!(of_two(&[]), notes(Some(2), Some(7)));
    assert_eq!(of_two(&[2]), notes(None, Some(7)));
    assert_eq!(of_two(&[2, 7]), notes(None, None));
    assert_eq!(of_two(&[2, 3]), None);
}

#[test]
fn a_branch_is_meant_by_enough_of_its_first_digits() {
    let copies = [branch(2), branch(3)];
    let text = copies[0].to_string();
    for digits in [8, 12, 64] {
        assert_eq!(meant(&copies, &text[..digits]), Ok(copies[0]));
    }
    assert_eq!(meant(&copies, &format!(" {} ", text[..12].to_uppercase())), Ok(copies[0]));
    for malformed in ["", &text[..7], "none of these", &format!("{text}0")] {
        assert_eq!(meant(&copies, malformed), Err(KeepRefusal::Malformed), "{malformed}");
    }
    assert_eq!(meant(&copies, &branch(4).to_string()), Err(KeepRefusal::Unknown));
    assert_eq!(meant(&[copies[0], copies[0]], &text), Err(KeepRefusal::Ambiguous));
    let problem = KeepRefusal::Unknown.problem(&name(), &copies);
    assert!(problem.message.contains(&copies[1].short()), "{problem}");
}

/// A computer: what it knows, and the pair that it sends until it is answered.
#[derive(Clone)]
struct Agent {
    previous: Option<Nonce>,
    outstanding: Option<Nonce>,
}

/// The server's side of one client.
#[derive(Default)]
struct Server {
    last: Option<NoncePair>,
    forked: bool,
    noted: Vec<Sha256Digest>,
    kept: Option<Sha256Digest>,
}

#[derive(PartialEq, Debug)]
enum Answer {
    Answered,
    Refused(CopyDecision),
    OutOfOrder,
}

impl Server {
    fn contact(&mut self, previous: Option<&Nonce>, next: &Nonce) -> Answer {
        use super::super::contact::{NonceJudgement, judge_nonces};
        if !self.forked {
            match judge_nonces(self.last.as_ref(), previous, next) {
                NonceJudgement::New => {
                    self.last = Some(NoncePair { previous: previous.cloned(), next: next.clone() });
                    return Answer::Answered;
                }
                NonceJudgement::Retry => return Answer::Answered,
                NonceJudgement::Unknown => return Answer::OutOfOrder,
                NonceJudgement::Fork => self.forked = true,
            }
        }
        let kept = self.kept.map_or(Kept::Undecided, Kept::Branch);
        let facts = CopyFacts { last: self.last.as_ref(), noted: &self.noted, kept: &kept };
        let decision = decide(&facts, previous, next);
        if let CopyDecision::Of { notes, .. } = decision {
            self.noted.extend(notes.answered.into_iter().chain(notes.this));
        }
        Answer::Refused(decision)
    }
}

#[test]
fn whatever_two_or_three_copies_send_two_are_noted_the_kept_one_gets_through_and_the_others_never() {
    let mut forks = 0;
    for seed in 0..400 {
        let mut random = Random(seed);
        let mut fresh = 100;
        let mut server = Server::default();
        let mut agents = vec![Agent { previous: None, outstanding: None }];
        let mut sent: Vec<(Option<Nonce>, Nonce)> = Vec::new();
        // Which agent showed a branch: the same for ever.
        let mut shown: BTreeMap<Sha256Digest, usize> = BTreeMap::new();
        for _ in 0..60 {
            match random.below(10) {
                0 if agents.len() < 3 => agents.push(agents[0].clone()),
                1 if server.noted.len() == MAX_COPIES => {
                    server.kept = Some(server.noted[usize::from(random.below(2) == 1)]);
                }
                // Somebody sends again what he has seen.
                2 | 3 if !sent.is_empty() => {
                    let at = usize::try_from(random.below(sent.len() as u64)).unwrap();
                    let (previous, next) = sent[at].clone();
                    let (forked, noted) = (server.forked, server.noted.clone());
                    let last = server.last.clone();
                    server.contact(previous.as_ref(), &next);
                    assert_eq!(
                        (server.forked, server.noted, server.last.clone()),
                        (forked, noted.clone(), last)
                    );
                    server.noted = noted;
                }
                number => {
                    let which = usize::try_from(number).unwrap() % agents.len();
                    let agent = &mut agents[which];
                    let next = agent.outstanding.clone().unwrap_or_else(|| {
                        fresh += 1;
                        nonce(fresh)
                    });
                    agent.outstanding = Some(next.clone());
                    let previous = agent.previous.clone();
                    sent.push((previous.clone(), next.clone()));
                    let kept = server.kept;
                    match server.contact(previous.as_ref(), &next) {
                        Answer::Answered => {
                            // Now and then the answer is lost.
                            if random.below(4) != 0 {
                                *agent = Agent { previous: Some(next), outstanding: None };
                            }
                        }
                        Answer::OutOfOrder | Answer::Refused(CopyDecision::OfNeither) => {}
                        Answer::Refused(CopyDecision::Of { branch, standing, .. }) => {
                            forks += 1;
                            let expected = match kept {
                                None => CopyStanding::Undecided,
                                Some(kept) if kept == branch => CopyStanding::Kept,
                                Some(_) => CopyStanding::GivenUp,
                            };
                            assert_eq!(standing, expected);
                            assert!(shows(&branch, previous.as_ref(), &next));
                            if branch != branch_of(&server.last.as_ref().unwrap().next) {
                                let before = *shown.entry(branch).or_insert(which);
                                // Two that were copied with the same waiting contact are one to the server.
                                assert!(
                                    before == which
                                        || agents[before].outstanding == agents[which].outstanding
                                );
                            }
                        }
                    }
                }
            }
            assert!(server.noted.len() <= MAX_COPIES, "seed {seed}");
        }
        let mut distinct = server.noted.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), server.noted.len(), "seed {seed}");
    }
    assert!(forks > 1_000, "the histories have forks in them: {forks}");
}

#[test]
fn after_a_restore_neither_of_two_goes_on_by_what_was_decided_before_and_an_admin_is_told_to_say_it_again() {
    let (noted, name) = ([branch(2), branch(3)], ComputerName::new("pc-1").unwrap());
    let facts = CopyFacts { last: Some(&last()), noted: &noted, kept: &Kept::BeforeRestore(branch(3)) };
    for (previous, next, of) in [(1, 3, 3), (1, 2, 2), (2, 9, 2), (3, 9, 3)] {
        let CopyDecision::Of { branch: shown, standing, .. } =
            decide(&facts, Some(&nonce(previous)), &nonce(next))
        else {
            panic!("({previous}, {next}) is of neither")
        };
        assert_eq!((shown, standing), (branch(of), CopyStanding::BeforeRestore));
    }
    let two = |decided, setup_out| TwoComputers { shown: 2, decided, setup_out, third: false }.advice(&name);
    let again = "`distributor clients resolve pc-1 --keep CONTACT`";
    let said = two(Decided::BeforeRestore, false);
    assert!(said.contains(again) && said.contains("restored"), "{said}");
    assert!(!two(Decided::Yes, false).contains(again));
    // A setup file that is out is for somebody else, whoever of the two goes on.
    for decided in [Decided::No, Decided::Yes, Decided::BeforeRestore] {
        let said = two(decided, true);
        assert!(said.contains("setup file of pc-1 that is out") && !said.contains("void"), "{said}");
    }
}

#[test]
fn a_contact_of_neither_is_of_a_third_computer_where_both_are_known_and_as_the_decision_says() {
    let both: &[u64] = &[2, 3];
    for (noted, previous, next, third) in [
        (both, Some(1), 2, false),
        (both, Some(2), 9, false),
        (both, Some(1), 3, false),
        (both, Some(1), 4, true),
        (both, Some(8), 1, true),
        (both, None, 1, true),
        // Until both showed themselves nobody is a third one.
        (&[3], Some(1), 4, false),
        (&[], Some(1), 4, false),
    ] {
        let branches: Vec<_> = noted.iter().map(|number| branch(*number)).collect();
        let is_third = is_of_neither(&branches, previous.map(nonce).as_ref(), &nonce(next));
        assert_eq!(is_third, third, "{noted:?} {previous:?} {next}");
        if noted.len() == MAX_COPIES {
            assert_eq!(judged(noted, None, previous, next) == CopyDecision::OfNeither, third);
        }
    }
}

#[test]
fn a_third_computer_and_the_admin_are_told_of_a_setup_file_of_the_same_name_and_of_no_new_one() {
    let (name, setup) = (name(), "`distributor clients setup pc-1`");
    let told = of_neither_problem(&name, &[branch(2), branch(3)]);
    assert_eq!(told.code, ProblemCode::ContactForked);
    assert!(told.message.contains("more than two computers") && told.message.contains("an old message"));
    assert!(told.hint.contains(setup) && told.hint.contains("same name") && !told.hint.contains("NAME"));
    assert_eq!(of_neither_problem(&name, &[branch(2)]), undecided_problem(&name, None));
    for (decided, setup_out) in [
        (Decided::No, false),
        (Decided::BeforeRestore, false),
        (Decided::Yes, false),
        (Decided::No, true),
        (Decided::Yes, true),
    ] {
        let said = |third| TwoComputers { shown: 2, decided, setup_out, third }.advice(&name);
        let third = said(true);
        assert!(third.contains("a third computer") && third.contains("an old message"), "{third}");
        assert!(third.contains("Keep none of the two") && third.contains(setup), "{third}");
        assert!(!third.contains("another name"), "{third}");
        assert_eq!(third.contains("that is out"), setup_out, "{third}");
        assert!(!said(false).contains("third"), "{}", said(false));
    }
    // Who took the seat cannot be told from the right one: so the other one hears of both ways.
    for name in [Some(&name), None] {
        let hint = given_up_problem(name).hint;
        assert!(hint.contains("reserve NEWNAME") && hint.contains("the same name gives it back"), "{hint}");
    }
}
