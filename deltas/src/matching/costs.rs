//! What each step through the target costs, in 1/256 of a bit, as the streams are packed afterwards.

/// Costs of the steps.
#[derive(Debug, Clone)]
pub(crate) struct Costs {
    /// A byte that equals the base's.
    pub(super) equal: i64,
    /// The first byte of some that differ.
    pub(super) unequal_first: i64,
    /// A byte that differs after one that does.
    pub(super) unequal_next: i64,
    /// The first byte that is equal again.
    pub(super) equal_again: i64,
    /// A cover that begins.
    pub(super) jump: i64,
    /// The same, on a diagonal near to the one before.
    pub(super) jump_near: i64,
    /// A literal.
    pub(super) literal: i64,
    /// Shortest match that is looked at.
    pub(super) shortest: usize,
    /// Whether no search is made where a known diagonal goes on well enough.
    pub(super) follow: bool,
    /// Unequal bytes that a short candidate has to spare.
    pub(super) spared: usize,
    /// Whether some places are passed over without a search.
    pub(super) fast: bool,
    /// Bytes that a new diagonal is followed, whatever it costs.
    pub(super) trial: usize,
    /// How much dearer than the best a way may be before it is given up.
    pub(super) margin: i64,
}

/// A larger program is searched in less detail.
const LARGE: usize = 16 << 20;
/// One bit.
const BIT: i64 = 256;

impl Costs {
    /// For programs: many small differences, literals that pack badly.
    pub(crate) const fn of_programs(length: usize) -> Self {
        let fast = length > LARGE;
        let (spared, shortest) = if fast { (3, 9) } else { (2, 8) };
        Self { follow: true, spared, fast, shortest, trial: 32, margin: 30 * BIT, ..Self::new(36, 30, 6) }
    }

    /// For text that is like a program: rows of numbers, say.
    pub(crate) const fn of_data() -> Self {
        Self::new(36, 30, 6)
    }

    /// For text: long matches, literals that pack well.
    pub(crate) const fn of_text() -> Self {
        Self::new(28, 24, 3)
    }

    const fn new(jump: i64, jump_near: i64, literal: i64) -> Self {
        Self {
            equal: 2,
            unequal_first: 12 * BIT,
            unequal_next: 7 * BIT,
            equal_again: BIT,
            jump: jump * BIT,
            jump_near: jump_near * BIT,
            literal: literal * BIT,
            shortest: 8,
            follow: false,
            spared: 0,
            fast: false,
            trial: 64,
            margin: 60 * BIT,
        }
    }
}
