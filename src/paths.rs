//! Project paths: what the user would type, and where it is on disk. The only place that shortens paths.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::{Component, Path, PathBuf, Prefix};

/// A folder of the project, by the names that it goes by.
#[derive(Clone, Debug)]
pub struct ProjectPath {
    /// As the user would type it from where they are.
    pub typed: PathBuf,
    /// From the top, by way of the links that the user went.
    pub full: PathBuf,
    /// From the top, without links, where that is another path.
    pub real: Option<PathBuf>,
}

impl ProjectPath {
    /// Finds a folder, which need not be there.
    ///
    /// # Errors
    ///
    /// Where the current folder is not known.
    pub fn new(typed: &Path) -> std::io::Result<Self> {
        let full = std::path::absolute(typed)?;
        let real = real(&full).filter(|real| *real != full);
        Ok(Self { typed: typed.to_owned(), full, real })
    }

    /// A path from the top as the user would type it, if it is in this folder.
    #[must_use]
    pub fn show(&self, path: &Path) -> Option<PathBuf> {
        let rest = path.strip_prefix(&self.full).ok().or_else(|| path.strip_prefix(self.real.as_ref()?).ok())?;
        Some(join(&self.typed, rest))
    }
}

/// What is in a folder as the user would type it: in the current folder `a.py`, and not `./a.py`.
#[must_use]
pub fn join(folder: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() {
        folder.to_owned()
    } else if is_here(folder) {
        rest.to_owned()
    } else {
        folder.join(rest)
    }
}

/// A path without `./`, doubled slashes and a slash at its end; `.` for the current folder. `..` stays: behind a link
/// it is not what it seems.
#[must_use]
pub fn tidy(path: &Path) -> PathBuf {
    let tidy: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
    if tidy.as_os_str().is_empty() { PathBuf::from(".") } else { tidy }
}

/// Whether a tidy path is the current folder.
#[must_use]
pub fn is_here(path: &Path) -> bool {
    path.as_os_str().is_empty() || path.as_os_str() == "."
}

/// Whether a tidy path is this folder, or in it.
#[must_use]
pub fn is_under(path: &Path, folder: &Path) -> bool {
    // Other roots are not in the current folder.
    let is_here_too = || path.is_relative() && !path.starts_with("..");
    if is_here(folder) { is_here_too() } else { path.starts_with(folder) }
}

/// The tidy paths of a set that are this folder or in it.
pub fn those_under<'a, P>(paths: &'a BTreeSet<P>, folder: &'a Path) -> impl Iterator<Item = &'a P>
where
    P: Borrow<Path> + Ord,
{
    // They stand together, those in the current folder with `..` among them.
    let first = if is_here(folder) { Path::new("") } else { folder };
    let rest = paths.range::<Path, _>((Bound::Included(first), Bound::Unbounded));
    let is_one = move |path: &&P| is_under((*path).borrow(), folder);
    rest.take_while(move |path| is_here(folder) || is_one(path)).filter(is_one)
}

/// `a/../b` is `b` to the eye, and may be another place behind a link.
#[must_use]
pub fn without_dots(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut path, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(path.pop()),
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => path.push(part),
        }
        path
    })
}

/// Where an existing path really is, from the top and without links. On Windows it has no `\\\\?\\` before it, which
/// git and Python do not understand, unless it is too long without that.
///
/// # Errors
///
/// Where there is no such path, or it cannot be followed.
pub fn canonical(path: &Path) -> std::io::Result<PathBuf> {
    path.canonicalize().map(as_typed)
}

fn as_typed(path: PathBuf) -> PathBuf {
    const LONGEST: usize = 247;
    let Some(Component::Prefix(prefix)) = path.components().next() else { return path };
    let top = match prefix.kind() {
        Prefix::VerbatimDisk(drive) => format!("{}:\\", char::from(drive)),
        Prefix::VerbatimUNC(server, share) => {
            format!("\\\\{}\\{}\\", server.to_string_lossy(), share.to_string_lossy())
        }
        _ => return path,
    };
    let typed: PathBuf = Path::new(&top).components().chain(path.components().skip(2)).collect();
    // A name such as `a.` or `nul` would mean something else.
    let means_the_same = std::path::absolute(&typed).is_ok_and(|full| full == typed);
    if means_the_same && typed.as_os_str().len() <= LONGEST { typed } else { path }
}

/// A path with slashes, as globs, TOML, patches and web pages want it on every system.
#[must_use]
pub fn slashed(path: &(impl AsRef<Path> + ?Sized)) -> String {
    let shown = path.as_ref().display().to_string();
    if cfg!(windows) { shown.replace('\\', "/") } else { shown }
}

/// A path or an address as the user would type it in a shell, with quotes if it needs them.
#[must_use]
pub fn shell_word(word: &str) -> String {
    if !cfg!(windows) {
        // The error is a NUL, which no path has.
        return shlex::try_quote(word).map_or_else(|_| word.to_owned(), Cow::into_owned);
    }
    // No path of Windows has a double quote.
    let is_plain = !word.contains(|c: char| c.is_whitespace() || "&|<>^()%!;,'`$".contains(c));
    if is_plain { word.to_owned() } else { format!("\"{word}\"") }
}

/// A name for a file or folder. Windows keeps some names for devices, such as `nul` and `aux.txt`: there a dash is put
/// before them.
#[must_use]
pub fn unreserved(name: &str) -> String {
    if cfg!(windows) && is_device(name) { format!("-{name}") } else { name.to_owned() }
}

/// Whether Windows takes a name for a device, whatever follows the first dot.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_lowercase();
    match stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt")) {
        Some(port) => matches!(port.chars().collect::<Vec<_>>()[..], ['0'..='9' | '¹' | '²' | '³']),
        None => matches!(stem.as_str(), "con" | "prn" | "aux" | "nul"),
    }
}

/// Where a path really is, from the top and without links, also while its last parts are not there.
#[must_use]
pub fn real(path: &Path) -> Option<PathBuf> {
    let full = std::path::absolute(path).ok()?;
    canonical(&full).ok().or_else(|| Some(real(full.parent()?)?.join(full.file_name()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_under_a_folder_stand_together() {
        let paths: BTreeSet<_> = ["a", "a-b", "a-b/c", "a.py", "a/b", "a/b/c.py", "ab", "b"].map(PathBuf::from).into();
        let under = |folder: &str| those_under(&paths, Path::new(folder)).map(slashed).collect::<Vec<_>>();
        assert_eq!(under("a"), ["a", "a/b", "a/b/c.py"]);
        assert_eq!((under("a/b/c.py"), under("c")), (vec!["a/b/c.py".to_owned()], vec![]));
    }

    #[test]
    fn other_roots_are_not_in_the_current_folder() {
        let paths: BTreeSet<_> = [".", "..", "../a", "/a", "a", "b/c"].map(PathBuf::from).into();
        assert_eq!(those_under(&paths, Path::new(".")).map(slashed).collect::<Vec<_>>(), [".", "a", "b/c"]);
    }

    #[test]
    fn paths_are_shown_as_typed() {
        let root = |typed: &str| ProjectPath {
            typed: PathBuf::from(typed),
            full: PathBuf::from("/project/plugins"),
            real: Some(PathBuf::from("/real")),
        };
        for (typed, path, expected) in [
            ("plugins", "/project/plugins/a.py", Some("plugins/a.py")),
            ("plugins", "/real/x/a.py", Some("plugins/x/a.py")),
            ("plugins", "/project/plugins", Some("plugins")),
            ("plugins", "/project/plugins2/a.py", None),
            (".", "/project/plugins/x/a.py", Some("x/a.py")),
            ("../plugins", "/real/a.py", Some("../plugins/a.py")),
            (".", "/real/x/a.py", Some("x/a.py")),
            (".", "/real", Some(".")),
        ] {
            assert_eq!(root(typed).show(Path::new(path)).as_deref(), expected.map(Path::new), "{typed} {path}");
        }
    }

    #[test]
    fn a_tidy_path_is_short() {
        for (path, expected) in
            [("./a", "a"), ("a//b/./c/", "a/b/c"), (".", "."), ("", "."), ("../a", "../a"), ("/a/../b", "/a/../b")]
        {
            assert_eq!(slashed(&tidy(Path::new(path))), expected, "{path}");
        }
        assert_eq!(without_dots(Path::new("/a/./../b/c/..")), Path::new("/b"));
    }

    #[test]
    fn names_of_devices_are_known() {
        for name in ["nul", "CON", "aux.example.org", "com1", "lpt9.txt", "COM²", "prn "] {
            assert!(is_device(name), "{name}");
        }
        for name in ["nul_", "null", "com", "com10", "lpt", "console", "a.nul", "", "commander"] {
            assert!(!is_device(name), "{name}");
        }
        assert_eq!(unreserved("nul"), if cfg!(windows) { "-nul" } else { "nul" });
        assert_eq!(unreserved("clock"), "clock");
    }

    #[test]
    fn a_missing_path_has_a_real_place() {
        let folder = tempfile::tempdir().unwrap();
        let top = canonical(folder.path()).unwrap();
        assert_eq!(real(&top.join("new/er")), Some(top.join("new/er")));
        assert_eq!(ProjectPath::new(&top).unwrap().real, None);
    }
}
