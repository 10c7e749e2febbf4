//! Controls the user's service manager through systemd's tools, and writes its unit files.
#![expect(clippy::disallowed_methods, reason = "the one place that runs systemd's tools and writes units")]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{fmt, fs};

use anyhow::Context as _;

use crate::error::Error;
use crate::whole_file::{Lasting, make_folders, write_whole};

/// Why no service manager can be used.
#[derive(Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// There is no systemd.
    NotHere,
    /// systemd is installed but did not start this system: a container.
    NotRunning,
    /// systemd started this system, but runs no manager for this user.
    NoSession,
    /// The user's manager does not answer; with its words.
    Silent(String),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unavailable::NotHere => f.write_str("there is no systemd here"),
            Unavailable::NotRunning => {
                f.write_str("there is no systemd session: systemd did not start this system, which may be a container")
            }
            Unavailable::NoSession => f.write_str("there is no systemd session for your user"),
            Unavailable::Silent(words) => write!(f, "the service manager of your user does not answer: {words}"),
        }
    }
}

impl From<Unavailable> for Error {
    fn from(unavailable: Unavailable) -> Self {
        let hint = match unavailable {
            Unavailable::NotHere => "start `owui-watch` in your plugins' folder with this system's autostart",
            Unavailable::NotRunning => "start `owui-watch` itself, for example as the command of the container",
            Unavailable::NoSession => "log in as that user directly: `su` and `sudo` start no session",
            Unavailable::Silent(_) => "log in again, or look at the manager: systemctl --user status",
        };
        Self::new(unavailable.to_string()).hinted(hint)
    }
}

impl Unavailable {
    /// `booted`: systemd runs the system. `session`: the user's manager listens.
    fn of(booted: bool, session: bool, words: String) -> Self {
        match (booted, session) {
            (_, true) => Unavailable::Silent(words),
            (true, false) => Unavailable::NoSession,
            (false, false) => Unavailable::NotRunning,
        }
    }
}

/// The version of the user's service manager. `runtime` is the user's runtime folder.
pub fn version(runtime: Option<&Path>) -> Result<u32, Unavailable> {
    if !cfg!(target_os = "linux") {
        return Err(Unavailable::NotHere);
    }
    let output = match systemctl(&["show", "--property=Version", "--value"]).output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unavailable::NotHere),
        Err(error) => return Err(Unavailable::Silent(error.to_string())),
    };
    let answer = String::from_utf8_lossy(&output.stdout);
    let digits = answer.trim().split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    match digits.parse() {
        Ok(version) if output.status.success() => Ok(version),
        Ok(_) | Err(_) => {
            // The test of sd_booted(3), and the socket of `systemctl --user`.
            let booted = Path::new("/run/systemd/system").is_dir();
            let session = runtime.is_some_and(|folder| folder.join("systemd").join("private").exists());
            Err(Unavailable::of(booted, session, words(&output)))
        }
    }
}

/// Runs `systemctl`, which must succeed.
pub fn ask(arguments: &[&str]) -> anyhow::Result<()> {
    let line = format!("systemctl --user {}", arguments.join(" "));
    let output = systemctl(arguments).output().with_context(|| format!("`{line}` does not run"))?;
    anyhow::ensure!(output.status.success(), "`{line}` failed: {}", words(&output));
    Ok(())
}

/// Properties of a unit, by name.
pub fn properties(unit: &str, names: &[&str]) -> anyhow::Result<BTreeMap<String, String>> {
    let property = format!("--property={}", names.join(","));
    let output = systemctl(&["show", &property, unit]).output().context("`systemctl` does not run")?;
    anyhow::ensure!(output.status.success(), "`systemctl --user show {unit}` failed: {}", words(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
}

/// The last lines of a unit's log; empty if it cannot be read.
#[must_use]
pub fn log(unit: &str, lines: usize) -> Vec<String> {
    let mut command = Command::new("journalctl");
    command.args(["--user", "--quiet", "--no-pager", "--output=cat"]);
    command.args([format!("--unit={unit}"), format!("--lines={lines}")]);
    let output = command.output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.iter().flat_map(|text| text.lines()).map(str::to_owned).collect()
}

/// Whether the user's services keep running after logout, where known.
#[cfg(unix)]
#[must_use]
pub fn lingers() -> Option<bool> {
    let user = rustix::process::getuid().as_raw().to_string();
    let output = Command::new("loginctl").args(["show-user", "--property=Linger", "--value", &user]).output().ok()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// Never known here.
#[cfg(not(unix))]
#[must_use]
pub fn lingers() -> Option<bool> {
    None
}

/// The path of this program.
pub fn program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("cannot find the program of owui-watch")
}

/// A unit file's text; `None` if there is no file.
pub fn read(file: &Path) -> anyhow::Result<Option<String>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", file.display())),
    }
}

/// Writes a unit file atomically.
pub fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let folder = file.parent().context("a unit is in a folder")?;
    make_folders(folder, Lasting::Synced)
        .and_then(|()| write_whole(file, text.as_bytes(), Lasting::Synced))
        .with_context(|| format!("cannot write `{}`", file.display()))
}

/// Removes a unit file.
pub fn remove(file: &Path) -> anyhow::Result<()> {
    fs::remove_file(file).with_context(|| format!("cannot remove `{}`", file.display()))
}

/// Removes a drop-in, and its folder if that is empty.
pub fn remove_drop_in(file: &Path) -> anyhow::Result<()> {
    remove(file)?;
    if let Some(folder) = file.parent() {
        fs::remove_dir(folder).ok();
    }
    Ok(())
}

fn systemctl(arguments: &[&str]) -> Command {
    let mut command = Command::new("systemctl");
    command.args(["--user", "--no-pager", "--no-ask-password"]).args(arguments);
    command
}

/// A tool's output in one line.
fn words(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { output.status.to_string() } else { lines.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_session_is_named_without_the_bus_error() {
        let of = |booted, session| Unavailable::of(booted, session, "Failed to connect to bus".to_owned());
        assert_eq!(of(false, false), Unavailable::NotRunning);
        assert_eq!(of(true, false), Unavailable::NoSession);
        for booted in [false, true] {
            assert_eq!(of(booted, true), Unavailable::Silent("Failed to connect to bus".to_owned()));
        }
        for gone in [Unavailable::NotRunning, Unavailable::NoSession] {
            let words = gone.to_string();
            assert!(words.starts_with("there is no systemd session") && !words.contains("bus"), "{words}");
        }
    }
}
