//! The cheapest way through a target: at each byte on one of a few diagonals, or in literals.
//!
//! A search as Viterbi's. The state is the diagonal that is followed; steps have the prices of [`Costs`]. Diagonals come up as
//! candidates, and are given up when they are much dearer than the best. Only ways that may still win are kept.

use super::candidates::Candidate;
use super::costs::Costs;
use super::index::common;
use super::stretch::Found;
use crate::container::Flaw;

/// No step before.
const NONE: u32 = u32::MAX;
/// Steps that are kept before those that no way uses any more are thrown away.
const FIRST_SWEEP: usize = 1 << 16;
/// Diagonals that are followed at once, and the literals: where everything repeats, any of them will do.
const MOST_STATES: usize = 24;
/// Bytes after which the caller is told.
const TOLD_EVERY: usize = 64 << 10;
/// How far two diagonals are apart at most to be near.
const NEAR: usize = 256;

/// The covers of the cheapest way, by place in the target. `made` is told of the bytes that are behind, and can stop it.
pub(super) fn covers(
    searched: &[u8],
    target: &[u8],
    candidates: &[Candidate],
    costs: &Costs,
    made: &mut dyn FnMut(usize) -> Result<(), Flaw>,
) -> Result<Vec<Found>, Flaw> {
    let mut way = Way::new(searched, target, costs);
    let mut next = candidates.iter().peekable();
    let (mut at, mut told) = (0, 0);
    while at < target.len() {
        if at - told >= TOLD_EVERY {
            made(at - told)?;
            told = at;
        }
        way.begin();
        while let Some(candidate) = next.next_if(|candidate| candidate.target as usize <= at) {
            way.enter(at, candidate.base as usize, candidate.target as usize);
        }
        way.leave_for_literals(at);
        way.enter_again(at);
        way.give_up(at);
        let stop = next.peek().map_or(target.len(), |candidate| candidate.target as usize);
        at = match way.stride(at, stop) {
            Some(length) => at + length,
            None => {
                way.step(at);
                at + 1
            }
        };
    }
    made(at - told)?;
    Ok(way.end(target.len()))
}

/// Where a way may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum On {
    Diagonal(isize),
    Literals,
}

/// The cheapest way to be on something.
#[derive(Debug, Clone)]
struct State {
    on: On,
    cost: i64,
    /// Since which place of the target.
    start: u32,
    /// The step before, among the steps.
    before: u32,
    /// Whether the byte before differed.
    unequal: bool,
    /// Up to which place it is followed, whatever it costs.
    until: usize,
}

/// A part of a way that is behind.
#[derive(Debug, Clone, Copy)]
struct Step {
    on: On,
    start: u32,
    end: u32,
    before: u32,
}

struct Way<'a> {
    searched: &'a [u8],
    target: &'a [u8],
    costs: &'a Costs,
    /// The first is the one in literals; no two have the same diagonal.
    states: Vec<State>,
    steps: Vec<Step>,
    /// How many steps there may be before a sweep.
    sweep_at: usize,
    /// The cheapest state at this place, its cost, and its step once it is taken.
    best: usize,
    best_cost: i64,
    taken: Option<u32>,
}

impl<'a> Way<'a> {
    fn new(searched: &'a [u8], target: &'a [u8], costs: &'a Costs) -> Self {
        let literals = State { on: On::Literals, cost: 0, start: 0, before: NONE, unequal: false, until: 0 };
        Self {
            searched,
            target,
            costs,
            states: vec![literals],
            steps: Vec::new(),
            sweep_at: FIRST_SWEEP,
            best: 0,
            best_cost: 0,
            taken: None,
        }
    }

    /// Looks which state is cheapest before the byte at this place.
    fn begin(&mut self) {
        (self.best, self.best_cost) = (0, self.states[0].cost);
        for (number, state) in self.states.iter().enumerate().skip(1) {
            if state.cost < self.best_cost {
                (self.best, self.best_cost) = (number, state.cost);
            }
        }
        self.taken = None;
        if self.steps.len() >= self.sweep_at {
            self.sweep();
        }
    }

    /// The step that ends the cheapest state here: what follows comes from it.
    fn take_best(&mut self, at: usize) -> u32 {
        if let Some(step) = self.taken {
            return step;
        }
        let best = &self.states[self.best];
        let step = if best.start as usize == at {
            best.before
        } else {
            self.steps.push(Step { on: best.on, start: best.start, end: short(at), before: best.before });
            short(self.steps.len() - 1)
        };
        self.taken = Some(step);
        step
    }

    /// What it costs to be on this diagonal from here on.
    fn jump(&self, diagonal: isize) -> i64 {
        let near = match self.states[self.best].on {
            On::Diagonal(before) => before.abs_diff(diagonal) < NEAR,
            On::Literals => false,
        };
        self.best_cost + if near { self.costs.jump_near } else { self.costs.jump }
    }

    /// Begins to follow a diagonal.
    fn enter(&mut self, at: usize, base: usize, target: usize) {
        let diagonal = base.cast_signed() - target.cast_signed();
        if self.states.iter().any(|state| state.on == On::Diagonal(diagonal)) {
            return;
        }
        let (cost, before) = (self.jump(diagonal), self.take_best(at));
        if self.states.len() >= MOST_STATES {
            self.drop_dearest();
        }
        let on = On::Diagonal(diagonal);
        self.states.push(State {
            on,
            cost,
            start: short(at),
            before,
            unequal: false,
            until: at + self.costs.trial,
        });
    }

    /// Makes room for another diagonal. What the cheapest state leads to is kept before.
    fn drop_dearest(&mut self) {
        let others = self.states.iter().enumerate().skip(1).filter(|(number, _)| *number != self.best);
        let Some((dearest, _)) = others.max_by_key(|(_, state)| state.cost) else { return };
        self.states.remove(dearest);
        if dearest < self.best {
            self.best -= 1;
        }
    }

    /// A way in literals that comes from the cheapest state, if that is cheaper.
    fn leave_for_literals(&mut self, at: usize) {
        if self.best_cost < self.states[0].cost {
            let before = self.take_best(at);
            let literals = &mut self.states[0];
            (literals.cost, literals.start, literals.before) = (self.best_cost, short(at), before);
        }
    }

    /// Known diagonals that are reached more cheaply by a jump from the cheapest state.
    fn enter_again(&mut self, at: usize) {
        for number in 1..self.states.len() {
            let state = &self.states[number];
            let On::Diagonal(diagonal) = state.on else { continue };
            if number == self.best || !state.unequal || state.cost <= self.best_cost + self.costs.jump_near {
                continue;
            }
            if self.base(at, diagonal).is_none_or(|byte| byte != self.target[at]) {
                continue;
            }
            let cost = self.jump(diagonal);
            if cost < self.states[number].cost {
                let before = self.take_best(at);
                let state = &mut self.states[number];
                (state.cost, state.start, state.before, state.unequal) = (cost, short(at), before, false);
            }
        }
    }

    /// The byte of what was searched that stands on a diagonal here.
    fn base(&self, at: usize, diagonal: isize) -> Option<u8> {
        self.searched.get(at.wrapping_add_signed(diagonal)).copied()
    }

    /// Drops diagonals that have ended, or that are too dear.
    fn give_up(&mut self, at: usize) {
        let most = self.best_cost + self.costs.jump + self.costs.margin;
        let length = self.searched.len();
        self.states.retain(|state| match state.on {
            On::Literals => true,
            On::Diagonal(diagonal) => {
                at.wrapping_add_signed(diagonal) < length && (state.cost <= most || at <= state.until)
            }
        });
    }

    /// Where only one diagonal is left and agrees, many bytes are one stride; returns how many.
    fn stride(&mut self, at: usize, stop: usize) -> Option<usize> {
        let [literals, only] = self.states.as_mut_slice() else { return None };
        let On::Diagonal(diagonal) = only.on else { return None };
        let most = stop.saturating_sub(at);
        let target = self.target.get(at..at + most)?;
        let length = common(target, &self.searched[at.wrapping_add_signed(diagonal)..]);
        if length <= 8 {
            return None;
        }
        let bytes = i64::try_from(length).unwrap_or(i64::MAX);
        only.cost += self.costs.equal * bytes + if only.unequal { self.costs.equal_again } else { 0 };
        only.unequal = false;
        literals.cost += self.costs.literal * bytes;
        Some(length)
    }

    /// One byte, in every state.
    fn step(&mut self, at: usize) {
        let byte = self.target[at];
        for state in &mut self.states {
            let On::Diagonal(diagonal) = state.on else {
                state.cost += self.costs.literal;
                continue;
            };
            let equal = self.searched[at.wrapping_add_signed(diagonal)] == byte;
            state.cost += match (equal, state.unequal) {
                (true, false) => self.costs.equal,
                (true, true) => self.costs.equal + self.costs.equal_again,
                (false, false) => self.costs.unequal_first,
                (false, true) => self.costs.unequal_next,
            };
            state.unequal = !equal;
        }
    }

    /// Throws away steps that no way uses.
    fn sweep(&mut self) {
        let mut new_number = vec![NONE; self.steps.len()];
        for state in &self.states {
            let mut step = state.before;
            while step != NONE && new_number[step as usize] == NONE {
                new_number[step as usize] = 0;
                step = self.steps[step as usize].before;
            }
        }
        let mut kept = 0;
        for number in 0..self.steps.len() {
            if new_number[number] == NONE {
                continue;
            }
            let mut step = self.steps[number];
            if step.before != NONE {
                step.before = new_number[step.before as usize];
            }
            self.steps[kept] = step;
            new_number[number] = short(kept);
            kept += 1;
        }
        self.steps.truncate(kept);
        for state in &mut self.states {
            if state.before != NONE {
                state.before = new_number[state.before as usize];
            }
        }
        self.sweep_at = FIRST_SWEEP.max(2 * kept);
    }

    /// The cheapest way, from its end.
    fn end(mut self, at: usize) -> Vec<Found> {
        self.begin();
        let mut step = self.take_best(at);
        let mut covers = Vec::new();
        while step != NONE {
            let Step { on, start, end, before } = self.steps[step as usize];
            if let On::Diagonal(diagonal) = on {
                let target = start as usize;
                let base = target.wrapping_add_signed(diagonal);
                covers.push(Found { base, target, length: (end - start) as usize });
            }
            step = before;
        }
        covers.reverse();
        covers
    }
}

/// A place or a number in the form in which it is kept.
fn short(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(NONE)
}
