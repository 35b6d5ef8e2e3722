//! [`Verified`]: the mark that bytes, or what was parsed out of them, passed a signature check.
//!
//! The constructor is private to this crate: a `Verified` comes out of [`crate::verify`] or
//! [`crate::note`] and nowhere else. It cannot be deserialized, and it hands out no mutable access.

use std::ops::Deref;

/// Something that was verified, or that was made out of nothing but verified things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(value)
    }

    /// Gives up the mark.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// The same mark on a reference.
    pub fn as_ref(&self) -> Verified<&T> {
        Verified(&self.0)
    }

    /// Makes one verified thing out of another, as a parser does. The function must use nothing but its
    /// argument and constants: what it adds from elsewhere would carry a mark it did not earn.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Verified<U> {
        Verified(f(self.0))
    }

    /// As [`Verified::map`], for a function that can refuse.
    ///
    /// # Errors
    /// What the function refuses with.
    pub fn try_map<U, E>(self, f: impl FnOnce(T) -> Result<U, E>) -> Result<Verified<U>, E> {
        f(self.0).map(Verified)
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
