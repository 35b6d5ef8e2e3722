//! How much an answer may still hold: what does not fit is left out, and asked for by itself.

/// The bytes that an answer still has room for.
pub(super) struct Room(usize);

impl Room {
    pub(super) const fn of(bytes: usize) -> Self {
        Self(bytes)
    }

    pub(super) const fn left(&self) -> usize {
        self.0
    }

    /// The text, if it fits.
    pub(super) fn take(&mut self, bytes: Vec<u8>) -> Option<String> {
        let text = String::from_utf8(bytes).ok()?;
        self.spend(text.len()).then_some(text)
    }

    /// Whether so many bytes fit; then they are taken.
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}
