//! A target space as a reader, which counts and asks as it goes.

use std::io::{self, Read};

use super::control::Ticker;
use super::window::{Maker, WINDOW_BYTES};
use crate::container::Flaw;

/// Yields a target space.
pub(crate) struct SpaceReader<'a, 'c> {
    maker: Box<dyn Maker + 'a>,
    ticker: &'a mut Ticker<'c>,
    window: Vec<u8>,
    at: usize,
    flaw: Option<Flaw>,
}

impl<'a, 'c> SpaceReader<'a, 'c> {
    pub(crate) fn new(maker: Box<dyn Maker + 'a>, ticker: &'a mut Ticker<'c>) -> Self {
        Self { maker, ticker, window: Vec::new(), at: 0, flaw: None }
    }

    /// What reading failed with.
    pub(crate) fn take_flaw(&mut self) -> Option<Flaw> {
        self.flaw.take()
    }

    /// Checks that nothing is left over.
    pub(crate) fn finish(mut self) -> Result<(), Flaw> {
        self.maker.finish()
    }

    fn fill(&mut self) -> Result<(), Flaw> {
        self.at = 0;
        self.maker.fill(&mut self.window)?;
        self.ticker.made(self.window.len())
    }
}

impl Read for SpaceReader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.at >= self.window.len()
            && let Err(flaw) = self.fill()
        {
            self.window.clear();
            self.flaw = Some(flaw);
            return Err(io::Error::other("the delta cannot be applied"));
        }
        let rest = self.window.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at = self.at.saturating_add(count);
        Ok(count)
    }
}

/// Counts what passes, and asks; it fails when it is told to stop.
pub(crate) struct Ticking<'a, 'c, R> {
    pub(crate) inner: R,
    ticker: &'a mut Ticker<'c>,
    pub(crate) cancelled: bool,
}

impl<'a, 'c, R> Ticking<'a, 'c, R> {
    pub(crate) const fn new(inner: R, ticker: &'a mut Ticker<'c>) -> Self {
        Self { inner, ticker, cancelled: false }
    }
}

impl<R: Read> Read for Ticking<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = WINDOW_BYTES.min(buffer.len());
        let count = self.inner.read(buffer.get_mut(..most).unwrap_or_default())?;
        if self.ticker.made(count).is_err() {
            self.cancelled = true;
            return Err(io::Error::other("cancelled"));
        }
        Ok(count)
    }
}
