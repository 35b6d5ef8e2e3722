//! Reads just enough of a `Cargo.toml`: the package's name, what it depends on and in which way, and a workspace's
//! members.
//!
//! Left out on purpose: everything else of TOML. Cargo itself refuses a file that is not sound.

/// How a crate depends on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `[dependencies]` and `[build-dependencies]`, also those for one target only.
    Built,
    /// `[dev-dependencies]`.
    Tested,
}

/// A line of a dependency table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dependency {
    /// The package's own name, also where it is renamed.
    pub(super) package: String,
    pub(super) way: Way,
}

/// A crate's `Cargo.toml`.
#[derive(Debug, Clone, Default)]
pub(super) struct Manifest {
    pub(super) package: Option<String>,
    pub(super) dependencies: Vec<Dependency>,
}

impl Manifest {
    /// Reads a crate's `Cargo.toml`.
    pub(super) fn read(text: &str) -> Self {
        let mut manifest = Self::default();
        let mut table = Table::Other;
        for line in text.lines().map(without_comment).filter(|line| !line.is_empty()) {
            if let Some(heading) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                table = Table::of(heading);
                if let Table::One(name, way) = &table {
                    manifest.dependencies.push(Dependency { package: name.clone(), way: *way });
                }
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            match &table {
                Table::Package if key.trim() == "name" => manifest.package = Some(unquoted(value)),
                Table::Many(way) => {
                    let name = unquoted(key.split('.').next().unwrap_or(key));
                    manifest
                        .dependencies
                        .push(Dependency { package: renamed(line).unwrap_or(name), way: *way });
                }
                Table::One(_, _) if key.trim() == "package" => {
                    if let Some(last) = manifest.dependencies.last_mut() {
                        last.package = unquoted(value);
                    }
                }
                _ => {}
            }
        }
        manifest
    }
}

/// What the lines under a heading are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Table {
    Package,
    /// A dependency each.
    Many(Way),
    /// One dependency's settings: `[dependencies.serde]`.
    One(String, Way),
    Other,
}

impl Table {
    fn of(heading: &str) -> Self {
        let parts = parts(heading);
        if parts == ["package"] {
            return Self::Package;
        }
        let way = |part: &str| match part {
            "dependencies" | "build-dependencies" => Some(Way::Built),
            "dev-dependencies" => Some(Way::Tested),
            _ => None,
        };
        if let Some(way) = parts.last().and_then(|last| way(last)) {
            return Self::Many(way);
        }
        match parts.as_slice() {
            [.., table, name] => way(table).map_or(Self::Other, |way| Self::One(name.clone(), way)),
            _ => Self::Other,
        }
    }
}

/// The parts of a heading; a dot inside quotes parts nothing.
fn parts(heading: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quote = None;
    for character in heading.chars() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, '.') => parts.push(String::new()),
            (None, space) if space.is_whitespace() => {}
            _ => parts.iter_mut().last().into_iter().for_each(|part| part.push(character)),
        }
    }
    parts
}

/// `x = { package = "y" }` depends on `y`.
fn renamed(line: &str) -> Option<String> {
    let (_, inside) = line.split_once('{')?;
    let inside = inside.trim_end().trim_end_matches('}');
    inside
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| (key.trim() == "package").then(|| unquoted(value)))
}

fn unquoted(value: &str) -> String {
    value.trim().trim_matches(['"', '\'']).to_owned()
}

fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (at, character) in line.char_indices() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, '#') => return line[..at].trim(),
            _ => {}
        }
    }
    line.trim()
}

/// The members that a workspace's `Cargo.toml` lists, as they are written.
pub(super) fn members(cargo_toml: &str) -> Vec<String> {
    let text: Vec<&str> = cargo_toml.lines().map(without_comment).collect();
    let list =
        text.iter().position(|line| line.split_once('=').is_some_and(|(key, _)| key.trim() == "members"));
    let Some(start) = list else { return Vec::new() };
    let text = text[start..].join("\n");
    let Some((list, _)) = text.split_once('[').and_then(|(_, rest)| rest.split_once(']')) else {
        return Vec::new();
    };
    list.split(',')
        .map(|name| unquoted(name).trim_end_matches('/').to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_dependency_table_is_read() {
        let manifest = Manifest::read(
            "[package]\nname = \"sealpost-x\" # its name\n[dependencies]\na.workspace = true\n\"b\" = \"1\"\n\
             c = { package = \"sealpost-c\", path = \"../c\" }\n# d = \"1\"\n[target.'cfg(a = \"b.c\")'.dependencies]\n\
             e = { workspace = true, features = [\"x\"] }\n[build-dependencies]\nf = \"1\"\n[dev-dependencies.g]\n\
             workspace = true\npackage = \"sealpost-g\"\n[features]\nh = [\"a/h\"]\n[dependencies.i]\npath = \"../i\"\n",
        );
        let built: Vec<&str> = named(&manifest, Way::Built);
        assert_eq!(manifest.package.as_deref(), Some("sealpost-x"));
        assert_eq!(built, ["a", "b", "sealpost-c", "e", "f", "i"]);
        assert_eq!(named(&manifest, Way::Tested), ["sealpost-g"]);
    }

    fn named(manifest: &Manifest, way: Way) -> Vec<&str> {
        let dependencies = manifest.dependencies.iter().filter(|dependency| dependency.way == way);
        dependencies.map(|dependency| dependency.package.as_str()).collect()
    }

    #[test]
    fn members_are_read_over_several_lines_and_default_members_are_not() {
        let text = "# members = [\"no\"]\n[workspace]\ndefault-members = [\"d\"]\nmembers = [ # all\n  \"a\",\n  \
                    \"a/b\", # \"c\",\n]\nexclude = [\"e\"]\n";
        assert_eq!(members(text), ["a", "a/b"]);
        assert_eq!(members("[workspace]\nmembers = [\"keys\"]"), ["keys"]);
        assert!(members("[workspace]").is_empty());
    }
}
