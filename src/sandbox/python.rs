//! Finds a Python that Open WebUI runs on, and uv to install it with.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::{self, Ended};
use super::{Progress, Tell};
use crate::error::Error;

/// A tool that prints its version answers at once. A stub that opens an app store never does.
const ASKING: Duration = Duration::from_secs(20);
const INSTALLING_UV: Duration = Duration::from_mins(5);

/// Asks the interpreter for its own path, because the program may be a shim that depends on the folder.
const QUESTION: &str =
    "import sys; v = sys.version_info; print('python', sys.implementation.name, v[0], v[1], v[2], sys.executable)";

/// The process environment of owui-watch, as a value, so that tests can replace it.
pub(super) struct Environment<'a>(pub(super) &'a [(OsString, OsString)]);

impl<'a> Environment<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a OsStr> {
        self.0.iter().find(|(key, _)| same_variable(key, name)).map(|(_, value)| value.as_os_str())
    }

    /// The user's home folder.
    fn home(&self) -> Option<PathBuf> {
        let value = self.get("HOME").or_else(|| self.get("USERPROFILE"))?;
        (!value.is_empty()).then(|| PathBuf::from(value))
    }

    /// All programs of this name on the search path. The first may be a shim that only prints an error.
    fn programs(&self, name: &str) -> Vec<PathBuf> {
        let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        let path = self.get("PATH").unwrap_or_default();
        // A relative folder would depend on the current folder.
        let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
        folders.map(|folder| folder.join(&file)).filter(|program| program.is_file()).collect()
    }

    /// A command with the user's settings for installers (mirrors, proxies, certificates), but outside any virtual
    /// environment, which would change where packages go.
    pub(super) fn command(&self, program: &Path, folder: &Path) -> Command {
        const OF_ANOTHER_PYTHON: [&str; 6] =
            ["PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT"];
        let kept = self.0.iter().filter(|(key, _)| !OF_ANOTHER_PYTHON.iter().any(|name| same_variable(key, name)));
        let mut command = Command::new(program);
        command.env_clear().envs(kept.map(|(key, value)| (key, value))).current_dir(folder);
        command
    }
}

/// Whether two names are the same variable: Windows ignores case.
pub(super) fn same_variable(key: &OsStr, name: &str) -> bool {
    if cfg!(windows) { key.eq_ignore_ascii_case(name) } else { key == name }
}

/// The version of an interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version(u32, u32, u32);

impl Version {
    /// Open WebUI's releases state `>=3.11, <3.13`.
    fn fits(self) -> bool {
        matches!(self, Version(3, 11 | 12, _))
    }

    /// Whether uv can be installed with it.
    fn carries_uv(self) -> bool {
        self.0 == 3 && self.1 >= 8
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A working interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Python {
    pub(super) program: PathBuf,
    pub(super) version: Version,
}

impl Python {
    fn parse(answer: &str) -> Option<Python> {
        let mut words = answer.trim_end().splitn(6, ' ');
        if (words.next()?, words.next()?) != ("python", "cpython") {
            return None;
        }
        let mut number = || words.next()?.parse().ok();
        let version = Version(number()?, number()?, number()?);
        let program = PathBuf::from(words.next()?);
        program.is_absolute().then_some(Python { program, version })
    }

    /// Asks an interpreter for its version and path; `None` if it is broken or something else.
    pub(super) async fn ask(environment: &Environment<'_>, call: &Call, folder: &Path) -> Option<Python> {
        let mut command = environment.command(&call.program, folder);
        command.args(&call.arguments).args(["-I", "-c", QUESTION]);
        Python::parse(&answer(command).await?.answer)
    }
}

/// A program and its first arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<&'static str>,
}

impl From<PathBuf> for Call {
    fn from(program: PathBuf) -> Self {
        Call { program, arguments: Vec::new() }
    }
}

/// The interpreters of this machine.
pub(super) struct Found {
    /// The interpreter that Open WebUI can run on.
    pub(super) fit: Option<Python>,
    /// Interpreters seen before it that can at least run uv.
    others: Vec<Python>,
}

impl Found {
    fn add(&mut self, python: Python) {
        if python.version.fits() {
            self.fit = Some(python);
        } else if !self.others.contains(&python) {
            self.others.push(python);
        }
    }
}

/// Looks for interpreters until one fits.
pub(super) async fn find(environment: &Environment<'_>, folder: &Path) -> Found {
    let mut found = Found { fit: None, others: Vec::new() };
    for call in candidates(environment) {
        if let Some(python) = Python::ask(environment, &call, folder).await {
            found.add(python);
            if found.fit.is_some() {
                break;
            }
        }
    }
    found
}

fn candidates(environment: &Environment<'_>) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for name in ["python3.12", "python3.11", "python3", "python"] {
        calls.extend(environment.programs(name).into_iter().map(Call::from));
    }
    if cfg!(windows) {
        for launcher in environment.programs("py") {
            calls
                .extend(["-3.12", "-3.11"].map(|version| Call { program: launcher.clone(), arguments: vec![version] }));
        }
    }
    // pyenv's shims run only the versions that are enabled for the current folder.
    let pyenv = environment.get("PYENV_ROOT").map(PathBuf::from);
    if let Some(root) = pyenv.or_else(|| environment.home().map(|home| home.join(".pyenv"))) {
        calls.extend(pyenv_versions(&root).into_iter().map(Call::from));
    }
    calls
}

fn pyenv_versions(root: &Path) -> Vec<PathBuf> {
    let Ok(versions) = root.join("versions").read_dir() else { return Vec::new() };
    let mut programs: Vec<PathBuf> = versions
        .filter_map(Result::ok)
        .filter(|version| {
            let name = version.file_name();
            name.to_str().is_some_and(|name| name.starts_with("3.12.") || name.starts_with("3.11."))
        })
        .map(|version| interpreter(&version.path(), "python"))
        .collect();
    programs.sort();
    programs.reverse();
    programs
}

/// A program in the folder of a Python installation or of a virtual environment.
pub(super) fn interpreter(root: &Path, name: &str) -> PathBuf {
    let folder = if cfg!(windows) { "Scripts" } else { "bin" };
    root.join(folder).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Finds uv, or installs it into a virtual environment of its own in the cache.
pub(super) async fn find_uv(
    environment: &Environment<'_>,
    found: &Found,
    cache: &Path,
    tell: Tell<'_>,
) -> Result<Call, Error> {
    let mut calls: Vec<Call> = environment.programs("uv").into_iter().map(Call::from).collect();
    if let Some(home) = environment.home() {
        // Its own installer and pipx put it here, where the search path of a service or an editor often does not lead.
        calls.push(home.join(".local/bin").join(format!("uv{}", std::env::consts::EXE_SUFFIX)).into());
    }
    let carriers = || found.fit.iter().chain(&found.others).filter(|python| python.version.carries_uv());
    let own = cache.join("uv");
    let own_python = interpreter(&own, "python");
    let modules = carriers().map(|python| python.program.clone()).chain([own_python.clone()]);
    calls.extend(modules.map(|program| Call { program, arguments: vec!["-m", "uv"] }));
    for call in calls {
        if call.program.is_file() && is_uv(environment, &call, cache).await {
            return Ok(call);
        }
    }
    let Some(python) = carriers().next() else { return Err(no_python()) };
    tell(Progress::InstallingUv);
    install_uv(environment, python, &own, tell).await?;
    Ok(Call { program: own_python, arguments: vec!["-m", "uv"] })
}

async fn is_uv(environment: &Environment<'_>, call: &Call, folder: &Path) -> bool {
    let mut command = environment.command(&call.program, folder);
    command.args(&call.arguments).arg("--version");
    answer(command).await.is_some_and(|ended| ended.answer.starts_with("uv "))
}

async fn install_uv(environment: &Environment<'_>, python: &Python, own: &Path, tell: Tell<'_>) -> Result<(), Error> {
    let folder = own.parent().unwrap_or(own);
    let mut make = environment.command(&python.program, folder);
    make.args(["-I", "-m", "venv", "--clear"]).arg(own);
    let could_not = format!("cannot make a virtual environment with Python {}", python.version);
    let ended = process::run(make, INSTALLING_UV, |_| ()).await.map_err(|e| Error::new(&could_not).because(e))?;
    if !ended.status.success() {
        return Err(Error::new(&could_not).quoting(&ended.said).hinted(venv_hint(&ended.said, python.version)));
    }
    let mut install = environment.command(&interpreter(own, "python"), folder);
    install.args(["-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", "uv"]);
    let heard = |line: &str| tell(Progress::Installing { what: "uv".to_owned(), line: line.to_owned() });
    let could_not = "cannot install uv, the installer of Python packages";
    let ended = process::run(install, INSTALLING_UV, heard).await.map_err(|e| Error::new(could_not).because(e))?;
    if ended.status.success() {
        return Ok(());
    }
    let hint = "check the network and the proxy settings, or install uv yourself: https://docs.astral.sh/uv/";
    Err(Error::new(could_not).quoting(&ended.said).hinted(hint))
}

/// An installed interpreter that fits, found by uv. Never downloads one.
pub(super) async fn find_by_uv(environment: &Environment<'_>, uv: &Call, folder: &Path) -> Option<Python> {
    for version in ["3.12", "3.11"] {
        let mut command = environment.command(&uv.program, folder);
        command.args(&uv.arguments).args(["python", "find", "--no-project", "--no-python-downloads", version]);
        if let Some(ended) = answer(command).await {
            let call = Call::from(PathBuf::from(ended.answer.trim()));
            let python = Python::ask(environment, &call, folder).await;
            if let Some(python) = python.filter(|python| python.version.fits()) {
                return Some(python);
            }
        }
    }
    None
}

/// Runs a command that answers a question; `None` if it fails.
async fn answer(command: Command) -> Option<Ended> {
    process::run(command, ASKING, |_| ()).await.ok().filter(|ended| ended.status.success())
}

fn no_python() -> Error {
    let system = std::env::consts::OS;
    Error::new("cannot set up an Open WebUI: neither Python 3.11 or 3.12 nor uv was found").hinted(format!(
        "install uv, which brings its own Python ({}), or {}",
        ways_to_uv(system),
        ways_to_python(system)
    ))
}

/// How to get uv on a system, by Rust's name for it.
fn ways_to_uv(system: &str) -> &'static str {
    match system {
        "macos" => "`brew install uv`",
        "windows" => "`winget install astral-sh.uv`, then a new terminal",
        _ => "https://docs.astral.sh/uv/",
    }
}

/// How to get a suitable Python on a system, by Rust's name for it.
pub(super) fn ways_to_python(system: &str) -> &'static str {
    match system {
        "macos" => "install Python itself: `brew install python@3.12`",
        "windows" => "install Python itself: `winget install Python.Python.3.12`, then a new terminal",
        _ => {
            "install Python itself: `apt install python3.12 python3.12-venv` (Ubuntu 24.04), \
             `apt install python3.11 python3.11-venv` (Debian 12), `dnf install python3.12` (Fedora)"
        }
    }
}

/// Debian and Ubuntu ship Python without `venv`.
fn venv_hint(said: &str, version: Version) -> String {
    if said.contains("ensurepip") || said.contains("No module named venv") {
        format!(
            "`apt install python{}.{}-venv` (Debian, Ubuntu), or install uv: https://docs.astral.sh/uv/",
            version.0, version.1
        )
    } else {
        "install uv yourself, then this step is not needed: https://docs.astral.sh/uv/".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_reports_its_own_path_and_version() {
        let cases = [
            ("python cpython 3 11 7 /usr/bin/python3.11", Some((Version(3, 11, 7), "/usr/bin/python3.11"))),
            ("python cpython 3 12 0 /a folder/python\n", Some((Version(3, 12, 0), "/a folder/python"))),
            ("python cpython 3 13 1 /usr/bin/python3\r\n", Some((Version(3, 13, 1), "/usr/bin/python3"))),
            ("python pypy 3 11 7 /usr/bin/pypy3", None),
            ("python cpython 3 12 0 ", None),
            ("python cpython 3 12 0 python", None),
            ("python cpython 3 x 0 /usr/bin/python", None),
            ("Python 3.12.1", None),
            ("", None),
        ];
        for (answer, expected) in cases {
            let expected = expected.map(|(version, program)| Python { program: program.into(), version });
            if cfg!(unix) {
                assert_eq!(Python::parse(answer), expected, "{answer:?}");
            }
        }
    }

    #[test]
    fn only_two_versions_fit() {
        let cases =
            [((2, 7, 18), false), ((3, 10, 13), false), ((3, 11, 0), true), ((3, 12, 9), true), ((3, 13, 0), false)];
        for ((major, minor, patch), expected) in cases {
            assert_eq!(Version(major, minor, patch).fits(), expected, "{major}.{minor}.{patch}");
        }
    }

    #[test]
    fn every_system_gets_its_own_remedy() {
        let cases =
            [("macos", "brew", "brew"), ("windows", "winget", "winget"), ("linux", "docs.astral.sh", "apt install")];
        for (system, uv, python) in cases {
            assert!(ways_to_uv(system).contains(uv), "{system}");
            assert!(ways_to_python(system).contains(python), "{system}");
        }
    }

    #[test]
    fn the_missing_half_of_debians_python_is_named() {
        let said = "The virtual environment was not created successfully because ensurepip is not available.";
        assert!(venv_hint(said, Version(3, 13, 5)).contains("`apt install python3.13-venv`"));
        assert!(!venv_hint("[Errno 28] No space left on device", Version(3, 13, 5)).contains("apt"));
    }
}
