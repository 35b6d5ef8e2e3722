//! Lists and tables of which a reader holds no more than it can use, whatever is sent.
//!
//! Invariant: what is beyond the bound is read over and never held, as if it had not come. Two bytes of JSON can take a hundred of
//! memory, so that the length of a text does not bound what is made of it.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Reads a list, of which the first `MOST` are held.
pub(super) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MOST: usize>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(List::<T, MOST>(PhantomData))
}

/// Reads a table by texts, of which the first `MOST` are held.
pub(super) fn table<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MOST: usize>(
    deserializer: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    deserializer.deserialize_map(Table::<T, MOST>(PhantomData))
}

struct List<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let mut held = Vec::new();
        while held.len() < MOST {
            let Some(element) = elements.next_element()? else { return Ok(held) };
            held.push(element);
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(held)
    }
}

struct Table<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Table<T, MOST> {
    type Value = BTreeMap<String, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<BTreeMap<String, T>, A::Error> {
        let mut held = BTreeMap::new();
        while held.len() < MOST {
            let Some((key, value)) = entries.next_entry()? else { return Ok(held) };
            let _ = held.insert(key, value);
        }
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(held)
    }
}
