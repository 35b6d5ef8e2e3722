//! The list of computers as it comes, page by page: a table, CSV, or JSON.
//!
//! Invariant: by name, no more than a page is held, however many computers there are, and whoever reads gets the first ones at
//! once. In another order all are read by name and sorted here: a page that the server sorts costs it a look at all computers.

use std::collections::BTreeMap;

use anyhow::Context;
use jiff::Timestamp;
use sealpost_admin_api::client_lines::{ClientLine, ClientLinesPage, ClientLinesQuery, MAX_LINES};
use sealpost_admin_api::status::Status;
use sealpost_manifests::ids::SerialNumber;
use sealpost_service::output::print_bytes;
use sealpost_site::rules::computer_filter::Sort;
use sealpost_site::rules::seats::all_ended;
use serde::Serialize;

use super::cells::{dash_if_empty, refreshed};
use crate::cli::api::{AdminApi, segment};
use crate::cli::outcome::Outcome;
use crate::cli::output::{Bar, Table, counted, name_of, plain, seconds, tell};
use crate::cli::pages::Pages;

/// How the list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Table,
    Csv,
    Json,
}

/// The first line of the CSV.
const CSV_COLUMNS: [&str; 16] = [
    "name",
    "state",
    "version",
    "channel",
    "serials",
    "groups",
    "gate",
    "last_refresh",
    "came_by",
    "lease_until",
    "reserved_at",
    "enrolled_at",
    "platform",
    "agent_version",
    "packages",
    "serial_ended",
];

/// Most different sets of serial numbers that are counted.
const MAX_SEATS: usize = 1_024;
/// Lines of a sorted list that are printed at once.
const PART: usize = 1_000;

pub(super) async fn run(api: &AdminApi, query: ClientLinesQuery, form: Form) -> anyhow::Result<Outcome> {
    let now = Timestamp::now();
    let sort = query.sort.unwrap_or_default();
    let path = path(&query);
    if !sort.is_by_name() {
        let lines = sorted(api, &path, sort).await?;
        let mut printer = Printer::begin(form)?;
        lines.chunks(PART).try_for_each(|part| printer.page(part, now))?;
        return printer.end(api, query.filter().takes_all()).await;
    }
    // Nothing is printed before the first page is there: a server that does not answer leaves standard output empty.
    let mut pages = Pages::<ClientLinesPage>::of(api, &path);
    let mut page = pages.next().await?;
    let mut printer = Printer::begin(form)?;
    while let Some(lines) = page {
        printer.page(&lines.clients, now)?;
        // Standard output has the beginning already: JSON is left open there, and no line of CSV or of a table can say it.
        page = pages.next().await.with_context(|| printer.is_cut())?;
    }
    printer.end(api, query.filter().takes_all()).await
}

/// All of them, in an order.
async fn sorted(api: &AdminApi, path: &str, sort: Sort) -> anyhow::Result<Vec<ClientLine>> {
    let bar = Bar::count("reading the list");
    let mut pages = Pages::<ClientLinesPage>::of(api, path);
    let mut found = Vec::new();
    while let Some(page) = pages.next().await? {
        found.extend(
            page.clients.into_iter().map(|line| {
                (sort.place_of(&line.name, line.state, &line.installed, line.last_contact), line)
            }),
        );
        bar.at(found.len() as u64, 0);
    }
    bar.end();
    found.sort_unstable_by(|(one, _), (other, _)| sort.compare(one, other));
    Ok(found.into_iter().map(|(_, line)| line).collect())
}

/// The endpoint with what is wanted, by name.
fn path(query: &ClientLinesQuery) -> String {
    let ClientLinesQuery { after: _, limit: _, sort: _, state, group, package, version, silent_for, serial } =
        query;
    let wanted = [
        ("state", state.map(|state| state.word().to_owned())),
        ("group", group.as_ref().map(ToString::to_string)),
        ("package", package.as_ref().map(ToString::to_string)),
        ("version", version.as_ref().map(ToString::to_string)),
        ("silent_for", silent_for.map(|seconds| seconds.to_string())),
        ("serial", serial.as_ref().map(ToString::to_string)),
    ];
    let wanted = wanted.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let wanted: String = wanted.map(|(name, value)| format!("&{name}={}", segment(&value))).collect();
    format!("/client-lines?limit={MAX_LINES}{wanted}")
}

/// Prints pages as they come.
struct Printer {
    form: Form,
    table: Table,
    printed: u64,
    /// How many computers hold seats of which serial numbers: those that are asked about at the end.
    seats: BTreeMap<Vec<SerialNumber>, u64>,
}

impl Printer {
    fn begin(form: Form) -> anyhow::Result<Self> {
        match form {
            Form::Table => {}
            Form::Csv => print_bytes(csv_line(CSV_COLUMNS.map(str::to_owned)).as_bytes())?,
            Form::Json => print_bytes(b"{\"clients\": [")?,
        }
        let columns = ["NAME", "STATE", "VERSION", "CHANNEL", "SERIALS", "GROUPS", "GATE", "LAST REFRESH"];
        Ok(Self { form, table: Table::new(&columns).with_states(1), printed: 0, seats: BTreeMap::new() })
    }

    fn page(&mut self, lines: &[ClientLine], now: Timestamp) -> anyhow::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        match self.form {
            Form::Table => {
                for line in lines {
                    self.table.row(cells(line, now));
                    if self.seats.len() < MAX_SEATS || self.seats.contains_key(&line.serials) {
                        *self.seats.entry(line.serials.clone()).or_default() += 1;
                    }
                }
                self.table.print_part()?;
            }
            Form::Csv => {
                let text: String = lines.iter().map(|line| csv_line(csv_cells(line))).collect();
                print_bytes(text.as_bytes())?;
            }
            Form::Json => {
                let mut text = String::new();
                for (at, line) in lines.iter().enumerate() {
                    text += if self.printed == 0 && at == 0 { "\n" } else { ",\n" };
                    text += &json(line)?;
                }
                print_bytes(text.as_bytes())?;
            }
        }
        self.printed += u64::try_from(lines.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// What is said of a list that ends too early.
    fn is_cut(&self) -> String {
        let printed = counted(self.printed, "computer", "computers");
        format!("this is not the whole list: it ends after {printed}, and there are more")
    }

    async fn end(mut self, api: &AdminApi, of_all: bool) -> anyhow::Result<Outcome> {
        match self.form {
            Form::Table if self.printed == 0 && of_all => self.table.print_part()?,
            Form::Table if self.printed == 0 => tell("no computer is like that"),
            Form::Table => {
                tell(counted(self.printed, "computer", "computers"));
                self.tell_of_ended(api).await;
            }
            Form::Csv => {}
            Form::Json => print_bytes(b"\n]}\n")?,
        }
        Ok(Outcome::Done)
    }
}

impl Printer {
    /// Says how many of the computers get no lease any more, because their serial numbers ended. The list stands without it.
    async fn tell_of_ended(&self, api: &AdminApi) {
        let Ok(Status { licenses, now, .. }) = api.get::<Status>("/status").await else { return };
        let ended = |serial: &SerialNumber| {
            let license = licenses.iter().find(|license| license.serial == *serial)?;
            license.ends_at.filter(|end| *end < now)
        };
        let of_ended = self.seats.iter().filter(|(serials, _)| all_ended(*serials, ended).is_some());
        let count = of_ended.map(|(_, count)| count).sum::<u64>();
        if count > 0 {
            tell(format_args!(
                "{} of ended serial numbers alone, whose leases are not renewed: give them seats of another one with `distributor \
                 clients reserve --from FILE --serial SERIAL`; `distributor status` says which ended",
                counted(count, "computer holds a seat", "computers hold seats")
            ));
        }
    }
}

/// One value on a line of its own, which a terminal acts on nowhere.
fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(sealpost_service::text::harmless_json(&serde_json::to_string(value)?))
}

fn cells(line: &ClientLine, now: Timestamp) -> [String; 8] {
    [
        line.name.to_string(),
        state(line),
        line.display_version.clone(),
        line.channel.to_string(),
        dash_if_empty(line.serials.iter().map(ToString::to_string).collect()),
        dash_if_empty(line.groups.iter().map(ToString::to_string).collect()),
        line.gate.to_string(),
        refreshed(line.last_contact, line.came_by, now),
    ]
}

/// How it stands; of an install that failed with a short word for why.
fn state(line: &ClientLine) -> String {
    match line.install.as_ref().and_then(|install| install.failure.as_ref()) {
        Some(failure) => format!("{} ({failure})", line.state),
        None => line.state.to_string(),
    }
}

fn csv_cells(line: &ClientLine) -> [String; 16] {
    let time = |time: Option<Timestamp>| time.map(seconds).unwrap_or_default();
    let several = |parts: Vec<String>| parts.join(" ");
    let runs = line.installed.iter().map(|runs| format!("{} {}", runs.package(), runs.release.version));
    [
        line.name.to_string(),
        line.state.word().to_owned(),
        line.display_version.clone(),
        line.channel.to_string(),
        several(line.serials.iter().map(ToString::to_string).collect()),
        several(line.groups.iter().map(ToString::to_string).collect()),
        name_of(line.gate),
        time(line.last_contact),
        line.came_by.map(|came_by| came_by.to_string()).unwrap_or_default(),
        time(line.lease_until),
        time(Some(line.reserved_at)),
        time(line.enrolled_at),
        line.platform.as_ref().map(ToString::to_string).unwrap_or_default(),
        line.agent_version.clone().unwrap_or_default(),
        runs.collect::<Vec<_>>().join("; "),
        time(line.serial_ended),
    ]
}

/// A line of CSV.
fn csv_line(cells: impl IntoIterator<Item = String>) -> String {
    let cells = cells.into_iter().map(|cell| {
        let cell = no_formula(&plain(&cell));
        let is_quoted = cell.contains([',', '"', ';']) || cell.trim() != cell;
        if is_quoted { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
    });
    let mut line = cells.collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

/// A cell of which no part is taken for a formula: computers say what stands in some of them, and spreadsheets act on what begins
/// like one. Many of them begin a cell behind a semicolon too, inside quotes or not.
fn no_formula(cell: &str) -> String {
    let mut begins = true;
    let mut safe = String::with_capacity(cell.len());
    for character in cell.chars() {
        if begins && "=+-@\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}".contains(character) {
            safe.push('\'');
        }
        begins = matches!(character, ',' | ';' | '\t' | '"') || (begins && character == ' ');
        safe.push(character);
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_of_csv_is_a_formula_or_breaks_its_line() {
        let cases = [
            ("pc-1", "pc-1"),
            ("", ""),
            ("=1+1", "'=1+1"),
            ("+49 30", "'+49 30"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("=HYPERLINK(\"x\",1)", "\"'=HYPERLINK(\"\"x\"\",1)\""),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            (" padded", "\" padded\""),
            ("two\nlines", "two\\nlines"),
            ("\t=1", "\\t=1"),
            ("1.0;=cmd|'/C x'!A0;", "\"1.0;'=cmd|'/C x'!A0;\""),
            ("1.0; @x", "\"1.0; '@x\""),
            ("1.0,+x", "\"1.0,'+x\""),
            ("\u{ff1d}1", "'\u{ff1d}1"),
            ("a-1", "a-1"),
        ];
        for (cell, wanted) in cases {
            assert_eq!(csv_line([cell.to_owned()]), format!("{wanted}\n"), "{cell:?}");
        }
        assert_eq!(csv_line(["a".to_owned(), String::new(), "b".to_owned()]), "a,,b\n");
    }
}
