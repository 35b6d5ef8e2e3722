//! What defines the tables, indexes, views and triggers of a file, so that two files can be compared.
//!
//! Invariant: two tables are the same if they have the same columns and constraints, each word for word, and the same
//! options, in whatever order the columns came: SQLite puts an added column behind the others, so the text of a file that
//! was brought up is another one. Spaces and comments mean nothing. What a column computes, checks or fills in by itself
//! stands in its text.
//! Left out on purpose: SQLite's own statistics, which change plans and no rows; by their exact names, because a row of
//! the schema may have any name.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

/// Tables that `ANALYZE` makes.
const STATISTICS: [&str; 2] = ["sqlite_stat1", "sqlite_stat4"];

/// What an object of the schema is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition {
    is_table: bool,
    /// The table that it belongs to.
    of_table: String,
    /// Columns and constraints of a table.
    parts: BTreeSet<String>,
    /// Everything else: a table's options, or the whole text.
    rest: String,
}

/// By kind and name.
pub(super) fn of(connection: &Connection) -> rusqlite::Result<BTreeMap<(String, String), Definition>> {
    let mut statement =
        connection.prepare("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema")?;
    let found = statement.query_map([], |row| {
        let (kind, name, of_table): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let definition = Definition::read(kind == "table", of_table, &row.get::<_, String>(3)?);
        Ok(((kind, name), definition))
    })?;
    let is_statistics =
        |(kind, name): &(String, String)| kind == "table" && STATISTICS.contains(&name.as_str());
    let mut all: BTreeMap<_, _> = found.collect::<rusqlite::Result<_>>()?;
    all.retain(|name, _| !is_statistics(name));
    Ok(all)
}

impl Definition {
    fn read(is_table: bool, of_table: String, sql: &str) -> Self {
        let text = plain(sql);
        let split = if is_table { in_parts(&text) } else { None };
        let (parts, rest) = split.unwrap_or_else(|| (BTreeSet::new(), text.trim().to_owned()));
        Self { is_table, of_table, parts, rest }
    }

    /// Whether it is what is wanted. A file of an older version has fewer columns.
    pub(super) fn is(&self, wanted: &Self, is_older: bool) -> bool {
        let has_parts =
            if is_older { self.parts.is_subset(&wanted.parts) } else { self.parts == wanted.parts };
        has_parts
            && (self.is_table, &self.of_table, &self.rest)
                == (wanted.is_table, &wanted.of_table, &wanted.rest)
    }

    /// What to say of it: of a table only what the other one has not.
    pub(super) fn beside(&self, other: Option<&Self>) -> String {
        let Some(other) = other.filter(|_| self.is_table) else {
            return if self.is_table { "a table".to_owned() } else { self.rest.clone() };
        };
        let own: Vec<&str> = self.parts.difference(&other.parts).map(String::as_str).collect();
        match (own.is_empty(), self.rest == other.rest) {
            (false, _) => own.join(", "),
            (true, false) => self.rest.clone(),
            (true, true) => "nothing more".to_owned(),
        }
    }
}

/// A statement without comments, with one space between words and none beside brackets and commas. What is quoted stays.
fn plain(sql: &str) -> String {
    let mut text = String::new();
    let mut rest = sql.chars().peekable();
    let mut space = false;
    while let Some(one) = rest.next() {
        match (one, rest.peek()) {
            ('-', Some('-')) => {
                rest.by_ref().find(|end| *end == '\n');
                space = true;
                continue;
            }
            ('/', Some('*')) => {
                rest.next();
                let mut before = ' ';
                rest.by_ref().find(|end| {
                    let ends = before == '*' && *end == '/';
                    before = *end;
                    ends
                });
                space = true;
                continue;
            }
            _ => {}
        }
        if one.is_ascii_whitespace() {
            space = true;
            continue;
        }
        let joins = |letter: char| matches!(letter, '(' | ')' | ',');
        if space && !joins(one) && text.chars().last().is_some_and(|last| !joins(last)) {
            text.push(' ');
        }
        space = false;
        text.push(one);
        if let Some(end) = quote_end(one) {
            for quoted in rest.by_ref() {
                text.push(quoted);
                if quoted == end {
                    break;
                }
            }
        }
    }
    text
}

/// What ends a quoted text. A doubled quote within it begins another one right away, which comes to the same.
const fn quote_end(begin: char) -> Option<char> {
    match begin {
        '\'' | '"' | '`' => Some(begin),
        '[' => Some(']'),
        _ => None,
    }
}

/// The columns and constraints between the outer brackets, and what stands before and behind them.
fn in_parts(text: &str) -> Option<(BTreeSet<String>, String)> {
    let begin = text.find('(')?;
    let mut parts = BTreeSet::new();
    let (mut depth, mut from, mut quoted) = (0usize, begin + 1, None);
    for (at, one) in text.char_indices().skip_while(|(at, _)| *at < begin) {
        if let Some(end) = quoted {
            quoted = (one != end).then_some(end);
            continue;
        }
        quoted = quote_end(one);
        match one {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if (one == ',' && depth == 1) || (one == ')' && depth == 0) {
            parts.insert(text.get(from..at)?.trim().to_owned());
            from = at + 1;
        }
        if depth == 0 {
            let mut options: Vec<&str> = text.get(from..)?.split(',').map(str::trim).collect();
            options.sort_unstable();
            return Some((parts, format!("{} {}", text.get(..begin)?.trim(), options.join(", "))));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(sql: &str) -> Definition {
        Definition::read(true, "t".to_owned(), sql)
    }

    #[test]
    fn an_added_column_stands_where_it_likes_and_everything_else_counts() {
        let made = table(
            "CREATE TABLE t (\n  id INTEGER PRIMARY KEY CHECK (id = 1), -- one, only\n  a TEXT,\n  b TEXT DEFAULT 'x, y' ) STRICT, WITHOUT ROWID",
        );
        let brought_up = table(
            "CREATE TABLE t (id INTEGER PRIMARY KEY CHECK (id = 1), b TEXT DEFAULT 'x, y', a TEXT) WITHOUT ROWID, STRICT",
        );
        assert!(brought_up.is(&made, false));
        let older =
            table("CREATE TABLE t (id INTEGER PRIMARY KEY CHECK(id = 1), a TEXT) STRICT,WITHOUT ROWID");
        assert!(older.is(&made, true) && !older.is(&made, false));
        for other in [
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT DEFAULT 'x, y') STRICT, WITHOUT ROWID",
            "CREATE TABLE t (id INTEGER PRIMARY KEY CHECK (id = 1), a TEXT, b TEXT DEFAULT 'x,y') STRICT, WITHOUT ROWID",
            "CREATE TABLE t (id INTEGER PRIMARY KEY CHECK (id = 1), a TEXT, b TEXT DEFAULT 'x, y') STRICT",
            "CREATE TABLE t (id INTEGER PRIMARY KEY CHECK (id = 1), a TEXT, b TEXT DEFAULT 'x, y', g AS ('z')) STRICT, WITHOUT ROWID",
            "CREATE TABLE t (id INTEGER PRIMARY KEY CHECK (id = 1), a AS ('z'), b TEXT DEFAULT 'x, y') STRICT, WITHOUT ROWID",
        ] {
            assert!(!table(other).is(&made, false), "{other}");
        }
        assert!(
            !table(
                "CREATE TABLE t (id INTEGER PRIMARY KEY CHECK (id = 1), g AS ('z')) STRICT, WITHOUT ROWID"
            )
            .is(&made, true)
        );
    }
}
