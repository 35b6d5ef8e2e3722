//! Adds the differences onto the bytes of covers.
//!
//! Invariant: only the first equal run may be empty, so each run read yields at least one byte.

use super::numbers::Numbers;
use super::unpack::Unpacker;
use crate::container::Flaw;
use crate::container::chunks::Source;

/// What to add onto the bytes of covers: runs of zeros, and runs of values.
pub(crate) struct Differences {
    equal: Numbers,
    unequal: Numbers,
    values: Unpacker,
    state: State,
    first: bool,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy)]
enum State {
    /// An equal run is to be read.
    Between,
    Equal(u64),
    Unequal(u64),
    /// The runs are used up.
    ZerosToTheEnd,
}

impl Differences {
    pub(crate) const fn new(equal: Numbers, unequal: Numbers, values: Unpacker) -> Self {
        Self { equal, unequal, values, state: State::Between, first: true, buffer: Vec::new() }
    }

    /// Adds the next differences onto these bytes.
    pub(crate) fn add(&mut self, source: &mut dyn Source, mut bytes: &mut [u8]) -> Result<(), Flaw> {
        while !bytes.is_empty() {
            let most = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let count = match self.state {
                State::ZerosToTheEnd => return Ok(()),
                State::Between => {
                    self.next_equal(source)?;
                    0
                }
                State::Equal(0) => {
                    let run = self.unequal.next(source)?;
                    if run == 0 {
                        return Err(Flaw::Damaged);
                    }
                    self.state = State::Unequal(run);
                    0
                }
                State::Equal(left) => {
                    let count = left.min(most);
                    self.state = State::Equal(left.saturating_sub(count));
                    count
                }
                State::Unequal(left) => {
                    let count = left.min(most);
                    let all = count == left;
                    self.state =
                        if all { State::Between } else { State::Unequal(left.saturating_sub(count)) };
                    let count_here = usize::try_from(count).map_err(|_| Flaw::Damaged)?;
                    self.add_values(source, bytes.get_mut(..count_here).unwrap_or_default())?;
                    count
                }
            };
            let count = usize::try_from(count).map_err(|_| Flaw::Damaged)?;
            bytes = bytes.get_mut(count..).unwrap_or_default();
        }
        Ok(())
    }

    fn next_equal(&mut self, source: &mut dyn Source) -> Result<(), Flaw> {
        if self.equal.is_at_end() {
            self.state = State::ZerosToTheEnd;
            return Ok(());
        }
        let run = self.equal.next(source)?;
        if run == 0 && !self.first {
            return Err(Flaw::Damaged);
        }
        self.first = false;
        self.state = State::Equal(run);
        Ok(())
    }

    fn add_values(&mut self, source: &mut dyn Source, bytes: &mut [u8]) -> Result<(), Flaw> {
        self.buffer.resize(bytes.len(), 0);
        self.values.read(source, &mut self.buffer)?;
        for (byte, value) in bytes.iter_mut().zip(&self.buffer) {
            *byte = byte.wrapping_add(*value);
        }
        Ok(())
    }

    /// Checks that nothing is left over.
    pub(crate) fn finish(&mut self, source: &mut dyn Source) -> Result<(), Flaw> {
        if matches!(self.state, State::Equal(_) | State::Unequal(_)) {
            return Err(Flaw::Damaged);
        }
        self.equal.finish(source)?;
        self.unequal.finish(source)?;
        self.values.finish(source)
    }
}
