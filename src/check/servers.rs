//! The versions of Open WebUI: the names that each defines, which of these are coroutines, and the packages that it
//! ships. `tools/server_tables.py` makes the table from the released packages.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

use crate::server_version::ServerVersion;

const TABLE: &str = include_str!("servers.txt");

static SERVERS: LazyLock<Servers> = LazyLock::new(|| Servers::read(TABLE));

/// One bit for each version of the table, the oldest in the lowest.
type Mask = u8;

struct Servers {
    versions: Vec<ServerVersion>,
    modules: HashMap<&'static str, Section>,
    /// The package lines of the table, and the same parsed.
    package_rows: &'static str,
    packages: OnceLock<HashMap<&'static str, Mask>>,
}

/// A module's part of the table. It is parsed when a plugin first names the module: all of them take megabytes.
struct Section {
    text: &'static str,
    module: OnceLock<Module>,
}

struct Module {
    exists: Mask,
    /// In these versions it may have more names than those listed.
    open: Mask,
    names: HashMap<&'static str, Name>,
}

#[derive(Default)]
struct Name {
    exists: Mask,
    coroutine: Mask,
    /// In these versions it is an instance with only the methods below.
    closed: Mask,
    /// The full name of an instance that this module imports.
    link: Option<&'static str>,
    methods: HashMap<&'static str, Name>,
}

impl ServerVersion {
    /// The version to check for if a server reports this one: the newest if the report is unknown, and at least the
    /// oldest in the tables.
    #[must_use]
    pub fn of_server(reported: Option<&str>) -> Self {
        reported.and_then(Self::reported).map_or_else(Self::newest, |version| version.max(Self::oldest()))
    }

    /// The newest version in the tables.
    #[must_use]
    pub fn newest() -> Self {
        SERVERS.versions.last().copied().unwrap_or_default()
    }

    /// The oldest version in the tables.
    #[must_use]
    pub fn oldest() -> Self {
        SERVERS.versions.first().copied().unwrap_or_default()
    }

    /// The column of the table: that of its own minor version, else of the nearest older one, else the oldest.
    fn column(self) -> usize {
        SERVERS.versions.iter().rposition(|version| version.release() <= self.release()).unwrap_or(0)
    }
}

/// What a server has under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A coroutine function, since this minor version.
    Coroutine(String),
    /// Anything else.
    Other,
    /// Missing, although some version has it or its module.
    Gone(Gone),
    /// Unknown.
    Unknown,
}

/// A missing name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gone {
    /// The path up to the first part that is missing.
    pub(super) path: String,
    /// Whether that is a module.
    pub(super) is_module: bool,
    /// The first and the last version that have it, as minor versions.
    pub(super) versions: Option<(String, String)>,
}

impl Servers {
    fn read(table: &'static str) -> Self {
        let (modules, packages) = table.split_once("\npackages\n").unwrap_or((table, ""));
        let mut sections = modules.split("\n@");
        let versions = sections.next().and_then(|head| head.lines().last()).unwrap_or_default();
        let section = |text: &'static str| {
            let path = text.split([' ', '\n']).next().unwrap_or_default();
            (path, Section { text, module: OnceLock::new() })
        };
        Self {
            versions: versions.split(' ').filter_map(ServerVersion::parse).collect(),
            modules: sections.map(section).collect(),
            package_rows: packages,
            packages: OnceLock::new(),
        }
    }

    fn module(&self, path: &str) -> Option<&Module> {
        let section = self.modules.get(path)?;
        Some(section.module.get_or_init(|| Module::read(section.text, self.every())))
    }

    /// The versions that ship a package.
    fn package(&self, name: &str) -> Option<Mask> {
        let read = || {
            let rows = self.package_rows.lines().map(|line| row(line, self.every()));
            rows.map(|(word, package, _)| (word, package.exists)).collect()
        };
        self.packages.get_or_init(read).get(name).copied()
    }

    /// The bits of all versions.
    fn every(&self) -> Mask {
        ((1_u16 << self.versions.len().min(8)) - 1).to_le_bytes()[0]
    }

    fn minors(&self, mask: Mask) -> Option<(String, String)> {
        let has = |n: &usize| mask & (1 << n) != 0;
        let first = (0..self.versions.len()).find(has)?;
        let last = (0..self.versions.len()).rfind(has)?;
        Some((self.versions[first].minor(), self.versions[last].minor()))
    }

    /// The first version of the unbroken run of `mask` that ends at this column.
    fn since(&self, mask: Mask, column: usize) -> String {
        let first = (0..=column).rev().take_while(|n| mask & (1 << n) != 0).last().unwrap_or(column);
        self.versions[first].minor()
    }
}

impl Module {
    /// Reads a section of the table: a line of the module, and the lines of its names, each with its methods below it.
    fn read(section: &'static str, every: Mask) -> Self {
        let mut lines = section.lines();
        let (_, Name { exists, .. }, open) = row(lines.next().unwrap_or_default(), every);
        let mut module = Self { exists, open, names: HashMap::new() };
        let mut last = "";
        for line in lines {
            if let Some(line) = line.strip_prefix('.') {
                if let Some(owner) = module.names.get_mut(last) {
                    let (word, method, _) = row(line, owner.exists);
                    owner.methods.insert(word, method);
                }
            } else {
                let (word, name, _) = row(line, exists);
                last = word;
                module.names.insert(word, name);
            }
        }
        module
    }
}

/// Parses a line of the table: its word, its masks, and the versions in which a module may have more names. `around`
/// are the versions that have its parent.
fn row(line: &'static str, around: Mask) -> (&'static str, Name, Mask) {
    let mut words = line.split(' ');
    let word = words.next().unwrap_or_default();
    let mut name = Name { exists: around, ..Name::default() };
    let mut open = 0;
    for word in words {
        let bits = |text: &str| Mask::from_str_radix(text, 16).unwrap_or_default();
        match word.split_at_checked(1) {
            Some(("~", rest)) => open = bits(rest),
            Some(("*", rest)) => name.coroutine = bits(rest),
            Some(("!", rest)) => name.closed = bits(rest),
            Some((">", rest)) => name.link = Some(rest),
            _ => name.exists = bits(word),
        }
    }
    (word, name, open)
}

/// Looks up a full name: `open_webui.models.users.Users.get_user_by_id`.
pub(super) fn find(path: &str, version: ServerVersion) -> Found {
    if path != "open_webui" && !path.starts_with("open_webui.") {
        return Found::Unknown;
    }
    let servers = &*SERVERS;
    let column = version.column();
    let bit: Mask = 1 << column;
    // The longest part of the path that some version knows as a module.
    let ends: Vec<_> = path.match_indices('.').map(|(at, _)| at).chain([path.len()]).collect();
    let module = |end: usize| Some((end, servers.module(&path[..end])?));
    let Some((end, module)) = ends.into_iter().rev().find_map(module) else {
        return Found::Unknown;
    };
    let gone = |end: usize, is_module, mask: Mask| {
        Found::Gone(Gone { path: path[..end].to_owned(), is_module, versions: servers.minors(mask) })
    };
    let there = |name: &Name| match name.coroutine & bit {
        0 => Found::Other,
        _ => Found::Coroutine(servers.since(name.coroutine, column)),
    };
    if module.exists & bit == 0 {
        return gone(end, true, module.exists);
    }
    let mut rest = path[end..].split('.').skip(1);
    let Some(first) = rest.next() else { return Found::Other };
    let name_end = end + 1 + first.len();
    let Some(name) = module.names.get(first) else {
        // A module that no version has, or a name that a star import may bring.
        let is_package = !first.is_empty() && module.open & bit != 0;
        return if is_package { Found::Unknown } else { gone(name_end, false, 0) };
    };
    if name.exists & bit == 0 {
        return if module.open & bit != 0 { Found::Unknown } else { gone(name_end, false, name.exists) };
    }
    let Some(second) = rest.next() else {
        return there(name);
    };
    if let Some(link) = name.link {
        let linked = std::iter::once(link).chain(path[name_end + 1..].split('.')).collect::<Vec<_>>().join(".");
        return if linked == path { Found::Unknown } else { find(&linked, version) };
    }
    let method_end = name_end + 1 + second.len();
    match name.methods.get(second) {
        Some(method) if method.exists & bit != 0 && rest.next().is_none() => there(method),
        Some(method) if method.exists & bit == 0 && name.closed & bit != 0 => gone(method_end, false, method.exists),
        None if name.closed & bit != 0 && !second.starts_with("__") => gone(method_end, false, 0),
        Some(_) | None => Found::Unknown,
    }
}

/// Whether a server ships a package of this import name.
pub(super) fn ships(package: &str, version: ServerVersion) -> Shipped {
    let servers = &*SERVERS;
    match servers.package(package) {
        Some(mask) if mask & (1 << version.column()) != 0 => Shipped::Yes,
        Some(mask) => Shipped::Elsewhere(servers.minors(mask).map(|(_, last)| last).unwrap_or_default()),
        None => Shipped::Never,
    }
}

/// Whether a package comes with a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shipped {
    Yes,
    /// Only other versions ship it. This is the newest of them.
    Elsewhere(String),
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ServerVersion {
        ServerVersion::parse(text).unwrap()
    }

    #[test]
    fn a_server_is_checked_for_the_nearest_known_version() {
        for unknown in [None, Some(""), Some("latest")] {
            assert_eq!(ServerVersion::of_server(unknown), ServerVersion::newest(), "{unknown:?}");
        }
        assert_eq!(ServerVersion::of_server(Some("0.5.20")), ServerVersion::oldest());
        for known in ["0.9.6", "0.99.1"] {
            assert_eq!(ServerVersion::of_server(Some(known)), version(known));
        }
    }

    #[test]
    fn the_table_fits_and_names_each_minor_version() {
        assert!(TABLE.len() <= 300 * 1024, "{}", TABLE.len());
        let minors: Vec<_> = SERVERS.versions.iter().map(|version| version.minor()).collect();
        assert_eq!(minors, ["0.6", "0.7", "0.8", "0.9", "0.10", "0.11", "0.12"]);
        assert!(SERVERS.modules.len() > 200 && SERVERS.package_rows.lines().count() > 200);
    }

    #[test]
    fn names_are_found_by_version() {
        let by_id = "open_webui.models.users.Users.get_user_by_id";
        assert_eq!(find(by_id, version("0.8.12")), Found::Other);
        assert_eq!(find(by_id, version("0.12.4")), Found::Coroutine("0.9".to_owned()));
        assert_eq!(find(by_id, version("0.13")), Found::Coroutine("0.9".to_owned()));
        assert_eq!(find("open_webui.models.users.UserModel", version("0.6")), Found::Other);
        assert!(matches!(find("open_webui.models.users.Nobody", version("0.6")), Found::Gone(_)));
        assert!(matches!(find("open_webui.models.users.Users.nothing", version("0.12")), Found::Gone(_)));
        assert_eq!(find("requests.post", version("0.6")), Found::Unknown);
        assert_eq!(find("open_webui", version("0.6")), Found::Other);
    }

    #[test]
    fn packages_are_found_by_version() {
        assert_eq!(ships("requests", ServerVersion::newest()), Shipped::Yes);
        assert_eq!(ships("yaml", ServerVersion::newest()), Shipped::Yes);
        assert_eq!(ships("no_such_package", ServerVersion::newest()), Shipped::Never);
    }
}
