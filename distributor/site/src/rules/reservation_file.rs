//! A file of computers that want a seat: the list of a spreadsheet or of a directory, as CSV.
//!
//! Invariant: a line is read whole or refused with its number, and none is lost without a word: a cell ends with its line, so that
//! a quote that is not closed swallows nothing. A seat is for good, so nothing is guessed: a column that is not known is refused
//! by its name, and a cell too many with its line.

use std::str::from_utf8;

use csv::{ByteRecord, ReaderBuilder, Terminator, Trim};
use sealpost_manifests::ids::{ChannelName, ComputerName, NameError, SerialNumber};

use super::rollouts::groups::GroupName;
use super::text::{at_most, counted, escape};

/// Longest file, in bytes.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most lines with a name.
pub const MAX_LINES: usize = 100_000;
/// Longest cell that is looked at, in bytes; no name is as long.
const MAX_CELL_BYTES: usize = 1024;
/// How much of a cell is repeated in an error, in bytes.
const MAX_SHOWN_BYTES: usize = 40;

/// One line that wants a seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it begins in the file, from 1.
    pub number: u64,
    /// What it wants, or why it cannot be read.
    pub entry: Result<Entry, LineFlaw>,
}

/// What a line wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: ComputerName,
    /// The channel that it is to follow.
    pub channel: Option<ChannelName>,
    /// The group that is to list it.
    pub group: Option<GroupName>,
    /// The serial number whose seat it is to be.
    pub serial: Option<SerialNumber>,
}

/// Why a line cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineFlaw {
    /// It has other bytes than UTF-8.
    #[error("its text is not UTF-8; save the file as UTF-8")]
    NotUtf8,
    /// A quote in it is not closed.
    #[error("a quote in it is not closed")]
    OpenQuote,
    /// It has no name.
    #[error("it has no name")]
    NoName,
    /// It has more cells than there are columns.
    #[error("it has {}, and the file has {}", counted(*cells as u64, "cell", "cells"), counted(*columns as u64, "column", "columns"))]
    Cells {
        /// So many.
        cells: usize,
        /// And so many columns.
        columns: usize,
    },
    /// A cell is longer than any name.
    #[error("its {column} has {bytes} bytes and begins with `{begins}`")]
    TooLong {
        /// The column.
        column: &'static str,
        /// How long it is.
        bytes: usize,
        /// Its first characters, escaped.
        begins: String,
    },
    /// A cell is none of what its column has.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileFlaw {
    /// It is a spreadsheet's own format, or something else.
    #[error("it is text of two bytes for each character (UTF-16); save it as \"CSV UTF-8\"")]
    Utf16,
    /// It is longer than [`MAX_BYTES`].
    #[error("it has {bytes} bytes, and at most {MAX_BYTES} are read; split it")]
    TooLong {
        /// So many.
        bytes: usize,
    },
    /// It has more than [`MAX_LINES`] names.
    #[error("it has more than {MAX_LINES} lines; split it")]
    TooManyLines,
    /// The first line names a column that is not known.
    #[error("its column `{name}` is not known; the columns are name, channel, group and serial")]
    UnknownColumn {
        /// Its name, escaped.
        name: String,
    },
    /// The first line names columns, and none is that of the names.
    #[error(
        "its first line seems to name columns, and none is `name`: call the one with the computers' names `name`; or if {name} is a \
         computer, give it alone, as an argument"
    )]
    NoNameColumn {
        /// What stands first in it, escaped.
        name: String,
    },
    /// The first line names one column twice.
    #[error("it has two columns named `{name}`")]
    TwoColumns {
        /// Its name.
        name: &'static str,
    },
    /// Nothing is wanted.
    #[error("it names no computer")]
    Empty,
}

/// A column, in the order that a file without a first line of names has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Name,
    Channel,
    Group,
    Serial,
}

/// What others call the column of names.
const HEADINGS: [&str; 13] = [
    "computer",
    "computername",
    "computer name",
    "computer_name",
    "device",
    "devicename",
    "host",
    "hostname",
    "host name",
    "machine",
    "names",
    "pc",
    "rechner",
];

const COLUMNS: [Column; 4] = [Column::Name, Column::Channel, Column::Group, Column::Serial];

impl Column {
    const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Channel => "channel",
            Self::Group => "group",
            Self::Serial => "serial",
        }
    }
}

/// Reads a file: CSV with commas, semicolons or tabs, whichever its first line has; quotes as RFC 4180 has them; empty lines and
/// those that begin with `#` are passed over. If the first line has a cell `name`, it names the columns (name, channel, group,
/// serial, in any order); otherwise they are these, in this order, and all but the first may be left out.
///
/// # Errors
/// [`FileFlaw`]. A line that cannot be read is no error of the file: see [`Line`].
pub fn read(bytes: &[u8]) -> Result<Vec<Line>, FileFlaw> {
    if bytes.len() > MAX_BYTES {
        return Err(FileFlaw::TooLong { bytes: bytes.len() });
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(FileFlaw::Utf16);
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut csv = ReaderBuilder::new();
    csv.has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .delimiter(separator(bytes))
        .terminator(Terminator::Any(b'\n'));
    let (mut columns, mut lines) = (None, Vec::new());
    for (number, line) in (1..).zip(lines_of(bytes)) {
        if line.trim_ascii().is_empty() || line.starts_with(b"#") {
            continue;
        }
        let record = cells(&csv, line);
        if record.iter().all(<[u8]>::is_empty) {
            continue;
        }
        let columns = match &columns {
            Some(columns) => columns,
            None => {
                let named = named_columns(&record)?;
                let is_named = named.is_some();
                let columns = columns.insert(named.unwrap_or_else(|| COLUMNS.to_vec()));
                if is_named {
                    continue;
                }
                columns
            }
        };
        if lines.len() == MAX_LINES {
            return Err(FileFlaw::TooManyLines);
        }
        let is_open = line.iter().filter(|byte| **byte == b'"').count() % 2 == 1;
        let entry = if is_open { Err(LineFlaw::OpenQuote) } else { entry(&record, columns) };
        lines.push(Line { number, entry });
    }
    if lines.is_empty() { Err(FileFlaw::Empty) } else { Ok(lines) }
}

/// The lines, whether they end as on Unix, on Windows or as they did on the Macintosh. No cell goes over the end of one: a quote that
/// is not closed would swallow all that comes after it.
fn lines_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let unix = bytes.contains(&b'\n');
    let lines = bytes.split(move |byte| *byte == if unix { b'\n' } else { b'\r' });
    lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// The cells of one line.
fn cells(csv: &ReaderBuilder, line: &[u8]) -> ByteRecord {
    let mut record = ByteRecord::new();
    // Bytes in memory cannot fail, and lines may have any number of cells.
    let _ = csv.from_reader(line).read_byte_record(&mut record);
    record
}

/// What stands between the cells of the first line that has some.
fn separator(bytes: &[u8]) -> u8 {
    let first = lines_of(bytes).find(|line| !line.trim_ascii().is_empty() && !line.starts_with(b"#"));
    let has = |separator: &u8| first.is_some_and(|first| first.contains(separator));
    *[b',', b';', b'\t'].iter().find(|separator| has(separator)).unwrap_or(&b',')
}

/// The columns, if the first line names them.
fn named_columns(first: &ByteRecord) -> Result<Option<Vec<Column>>, FileFlaw> {
    let is = |cell: &[u8], column: Column| cell.eq_ignore_ascii_case(column.name().as_bytes());
    if !first.iter().any(|cell| is(cell, Column::Name)) {
        let is_heading = |cell: &[u8]| HEADINGS.iter().any(|word| cell.eq_ignore_ascii_case(word.as_bytes()));
        // A seat is for good, and no computer is called so.
        return match first.iter().find(|cell| is_heading(cell)) {
            Some(cell) => Err(FileFlaw::NoNameColumn { name: shown(cell) }),
            None => Ok(None),
        };
    }
    let mut columns: Vec<Column> = Vec::new();
    for cell in first.iter().take(filled(first)) {
        let Some(column) = COLUMNS.into_iter().find(|column| is(cell, *column)) else {
            return Err(FileFlaw::UnknownColumn { name: shown(cell) });
        };
        if columns.contains(&column) {
            return Err(FileFlaw::TwoColumns { name: column.name() });
        }
        columns.push(column);
    }
    Ok(Some(columns))
}

/// How many cells there are up to the last one that is not empty: spreadsheets end lines with empty ones.
fn filled(record: &ByteRecord) -> usize {
    record.iter().enumerate().rfind(|(_, cell)| !cell.is_empty()).map_or(0, |(last, _)| last + 1)
}

fn entry(record: &ByteRecord, columns: &[Column]) -> Result<Entry, LineFlaw> {
    let cells = filled(record);
    if cells > columns.len() {
        return Err(LineFlaw::Cells { cells, columns: columns.len() });
    }
    let (mut name, mut channel, mut group, mut serial) = (None, None, None, None);
    for (column, cell) in columns.iter().zip(record).filter(|(_, cell)| !cell.is_empty()) {
        if cell.len() > MAX_CELL_BYTES {
            let (column, bytes) = (column.name(), cell.len());
            return Err(LineFlaw::TooLong { column, bytes, begins: shown(cell) });
        }
        let text = from_utf8(cell).map_err(|_| LineFlaw::NotUtf8)?;
        match column {
            Column::Name => name = Some(ComputerName::new(text)?),
            Column::Channel => channel = Some(ChannelName::new(text)?),
            Column::Group => group = Some(GroupName::new(text)?),
            Column::Serial => serial = Some(SerialNumber::new(text)?),
        }
    }
    Ok(Entry { name: name.ok_or(LineFlaw::NoName)?, channel, group, serial })
}

/// The beginning of a cell, as it may be printed.
fn shown(cell: &[u8]) -> String {
    let cell = String::from_utf8_lossy(cell.get(..MAX_CELL_BYTES).unwrap_or(cell));
    escape(at_most(&cell, MAX_SHOWN_BYTES)).to_string()
}

#[cfg(test)]
mod tests;
