//! Corrects the addresses in a cover: the base's bytes, as they would be if everything had gone where the covers say.

use std::io;

use super::map::Map;
use super::regions::{MAX_RECORDS, Region, Side, regions};
use super::sites::{Site, Stretch, page_distance, scan, with_pages};
use super::words::{extended, low, put_u32, put_u64, u32_at, u64_at};
use crate::container::layout::{Cover, Extent, Image, Pair};
use crate::container::read::images::table_end;
use crate::read_at::ReadAt;

/// Corrects the bytes of covers.
pub(crate) struct Predictor {
    images: Vec<Corrected>,
    map: Map,
}

/// An image, and where addresses stand in the base's.
struct Corrected {
    image: Image,
    segments: Vec<(bool, Extent)>,
    regions: Vec<Region>,
    /// The end of the image's last region, in the base space.
    end: u64,
}

impl Predictor {
    /// Looks at the tables of the images in the base.
    ///
    /// # Errors
    /// When the base cannot be read.
    pub(crate) fn new(images: &[Image], covers: &[Cover], base: &dyn ReadAt) -> io::Result<Self> {
        let mut by_place: Vec<&Image> = images.iter().collect();
        by_place.sort_by_key(|image| image.base_at);
        let (mut reached, mut left) = (0, MAX_RECORDS);
        let mut images = Vec::new();
        for image in by_place {
            // Images of a hostile delta may overlap; the first one of a place counts, and no other is looked at.
            if image.base_at >= reached {
                reached = image.base_at.saturating_add(length(image));
                images.push(Corrected::new(image, base, &mut left)?);
            }
        }
        let covers = if images.is_empty() { &[] } else { covers };
        Ok(Self { images, map: Map::new(covers) })
    }

    /// Corrects a prefix of these bytes in place, and returns its length: `bytes` are those of the base from `done` bytes
    /// behind the cover's beginning on. The rest, at most 8 bytes and none if the cover ends with them (`last`), is untouched;
    /// it is to be given again with what follows.
    pub(crate) fn correct(&self, cover: &Cover, done: u64, bytes: &mut [u8], last: bool) -> usize {
        let place = cover.base.saturating_add(done);
        let end = place.saturating_add(bytes.len() as u64);
        let offset = |at: u64| usize::try_from(at.saturating_sub(place)).unwrap_or(usize::MAX);
        for image in self.images.iter().filter(|image| image.image.base_at < end && place < image.end) {
            let (from, to) = (image.image.base_at.max(place), image.end.min(end));
            let Some(inside) = bytes.get_mut(offset(from)..offset(to)) else { continue };
            let target = cover.target.saturating_add(done).saturating_add(from - place);
            let goes_on = !last && image.end > end;
            let length = inside.len();
            let corrected = image.correct(&self.map, from - image.image.base_at, target, inside, goes_on);
            if corrected < length {
                return offset(from).saturating_add(corrected);
            }
        }
        bytes.len()
    }
}

impl Corrected {
    fn new(image: &Image, base: &dyn ReadAt, left: &mut usize) -> io::Result<Self> {
        let segments: Vec<_> =
            image.segments.iter().map(|segment| (segment.executable, segment.base)).collect();
        let side = Side { machine: image.machine, segments: &segments, tables: &image.tables };
        let regions = regions(&side, &From { base, at: image.base_at }, left)?;
        let end = regions.last().map_or(0, |region| region.end);
        Ok(Self { end: image.base_at.saturating_add(end), image: image.clone(), segments, regions })
    }

    /// Corrects bytes of the image from the offset `at` on, which go to `target` in the target space.
    fn correct(&self, map: &Map, at: u64, target: u64, bytes: &mut [u8], goes_on: bool) -> usize {
        let side = Side { machine: self.image.machine, segments: &self.segments, tables: &self.image.tables };
        let mut sites: Vec<(usize, Site)> = Vec::new();
        let stretch = Stretch { bytes, at, goes_on };
        let done = scan(&side, &self.regions, &stretch, &mut |offset, site| sites.push((offset, site)));
        for (offset, site) in sites {
            // A site without an answer is left alone.
            let _ = self.correct_site(map, at, target, bytes, offset, site);
        }
        done
    }

    fn correct_site(
        &self,
        map: &Map,
        at: u64,
        target: u64,
        bytes: &mut [u8],
        offset: usize,
        site: Site,
    ) -> Option<()> {
        let (here, there) = (at.wrapping_add(offset as u64), target.wrapping_add(offset as u64));
        match site {
            Site::Relative | Site::FromHere => {
                let tail = if site == Site::Relative { 4 } else { 0 };
                let from = self.base_address(here)?.wrapping_add(tail);
                let to = self.translate(map, from.wrapping_add(extended(u32_at(bytes, offset)?)))?;
                let from = self.target_address(there)?.wrapping_add(tail);
                put_u32(bytes, offset, low(to.wrapping_sub(from)));
            }
            Site::Address => {
                let to = self.translate(map, u64_at(bytes, offset)?)?;
                put_u64(bytes, offset, to);
            }
            Site::FromPair(pair) => {
                let &Pair { base, target } = self.image.pairs.get(usize::try_from(pair).ok()?)?;
                let to = self.translate(map, base.wrapping_add(u64::from(u32_at(bytes, offset)?)))?;
                put_u32(bytes, offset, low(to.wrapping_sub(target)));
            }
            Site::Branch => {
                let word = u32_at(bytes, offset)?;
                let to = self.translate(map, self.base_address(here)?.wrapping_add(branch_distance(word)))?;
                let distance = to.wrapping_sub(self.target_address(there)?);
                put_u32(bytes, offset, word & 0xfc00_0000 | low(distance >> 2) & 0x03ff_ffff);
            }
            Site::Page { with_low_bits } => {
                let word = u32_at(bytes, offset)?;
                let page = (self.base_address(here)? & !0xfff).wrapping_add(page_distance(word));
                let add = u32_at(bytes, offset + 4).filter(|_| with_low_bits);
                // Without the low bits the middle of the page is the best guess.
                let low_bits = add.map_or(2048, |add| u64::from(add >> 10 & 0xfff));
                let to = self.translate(map, page.wrapping_add(low_bits))?;
                let pages = (to >> 12).wrapping_sub(self.target_address(there)? >> 12);
                put_u32(bytes, offset, with_pages(word, pages));
                if let Some(add) = add {
                    put_u32(bytes, offset + 4, add & !(0xfff << 10) | low(to & 0xfff) << 10);
                }
            }
        }
        Some(())
    }

    /// The address of an offset of the base's image.
    fn base_address(&self, offset: u64) -> Option<u64> {
        let mut extents = self.image.segments.iter().map(|segment| &segment.base);
        let extent = extents.find(|extent| offset.wrapping_sub(extent.offset) < extent.stored)?;
        Some(offset.wrapping_sub(extent.offset).wrapping_add(extent.address))
    }

    /// The address of a place of the target space.
    fn target_address(&self, place: u64) -> Option<u64> {
        let offset = place.checked_sub(self.image.target_at)?;
        let mut extents = self.image.segments.iter().map(|segment| &segment.target);
        let extent = extents.find(|extent| offset.wrapping_sub(extent.offset) <= extent.stored)?;
        Some(offset.wrapping_sub(extent.offset).wrapping_add(extent.address))
    }

    /// What became of an address.
    fn translate(&self, map: &Map, address: u64) -> Option<u64> {
        for segment in &self.image.segments {
            let inside = address.wrapping_sub(segment.base.address);
            if inside < segment.base.stored {
                let place = inside.wrapping_add(segment.base.offset).wrapping_add(self.image.base_at);
                return self.target_address(map.target(place));
            }
            if inside < segment.base.loaded {
                // Memory that is stored nowhere follows what is stored.
                let end = segment.target.address.wrapping_add(segment.target.stored);
                return Some(inside.wrapping_sub(segment.base.stored).wrapping_add(end));
            }
        }
        None
    }
}

/// What an image takes of the base space: up to the end of its last segment or table.
fn length(image: &Image) -> u64 {
    let segments =
        image.segments.iter().map(|segment| segment.base.offset.saturating_add(segment.base.stored));
    segments.chain(image.tables.iter().map(|table| table_end(table).unwrap_or(u64::MAX))).max().unwrap_or(0)
}

/// The distance of a branch, in bytes, with its sign.
fn branch_distance(word: u32) -> u64 {
    let signed = (word << 6).cast_signed() >> 4;
    i64::from(signed).cast_unsigned()
}

/// A space from a place on.
struct From<'a> {
    base: &'a dyn ReadAt,
    at: u64,
}

impl ReadAt for From<'_> {
    fn length(&self) -> u64 {
        self.base.length().saturating_sub(self.at)
    }

    fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let place = self.at.checked_add(at).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.base.read_exact_at(place, buffer)
    }
}
