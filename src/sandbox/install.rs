//! Installs one version of Open WebUI into the cache; concurrent runs share one installation.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process;
use super::python::{self, Call, Environment, Python};
use super::{Progress, Tell};
use crate::error::Error;
use crate::paths::slashed;
use crate::whole_file::{Lasting, write_whole};

/// The machine-learning packages: several gigabytes, and no deploy needs them.
const LEFT_OUT: [&str; 7] = [
    "torch",
    "accelerate",
    "sentence-transformers",
    "transformers",
    "faster-whisper",
    "opencv-python-headless",
    "rapidocr",
];

/// Written last, so that an interrupted installation is never taken for a whole one. It names the folder of the virtual
/// environment: every attempt has its own, because an installer that outlives a killed owui-watch may still write.
const MARKER: &str = "complete";

/// A slow connection needs minutes for some hundred megabytes; uv itself gives up on a dead one.
const INSTALLING: Duration = Duration::from_mins(30);
const LOOKING_AT_THE_LOCK: Duration = Duration::from_millis(200);

/// Makes sure that this version is installed, and returns its interpreter.
pub(super) async fn ensure(
    version: &str,
    cache: &Path,
    environment: &Environment<'_>,
    tell: Tell<'_>,
) -> Result<PathBuf, Error> {
    check_version(version)?;
    let folder = cache.join("open-webui").join(version);
    if let Some(python) = installed(&folder, environment).await {
        return Ok(python);
    }
    let no_folder = |e: io::Error| {
        Error::new(format!("cannot use the cache folder `{}`", slashed(&cache)))
            .because(e)
            .hinted("make it writable, or name another one with `XDG_CACHE_HOME`")
    };
    fs::create_dir_all(&folder).map_err(no_folder)?;
    let _lock = lock(&cache.join("lock"), tell).await.map_err(no_folder)?;
    // Another owui-watch may have installed it while this one waited.
    if let Some(python) = installed(&folder, environment).await {
        return Ok(python);
    }
    remove_attempts(&folder);
    let attempt = tempfile::Builder::new().prefix("venv-").tempdir_in(&folder).map_err(no_folder)?;
    let python = install(version, &folder, attempt.path(), cache, environment, tell).await?;
    let name = attempt.path().file_name().unwrap_or_default().as_encoded_bytes();
    write_whole(&folder.join(MARKER), name, Lasting::Synced).map_err(no_folder)?;
    drop(attempt.keep());
    Ok(python)
}

/// Makes sure that there is a pip beside this installation, and returns its folder. The installation itself has none:
/// the server would install what plugins require into it, for every sandbox.
pub(super) async fn ensure_pip(
    version: &str,
    cache: &Path,
    python: &Path,
    environment: &Environment<'_>,
    tell: Tell<'_>,
) -> Result<PathBuf, Error> {
    let folder = cache.join("open-webui").join(version);
    let pip = folder.join("pip");
    if pip.join("pip").join("__main__.py").is_file() {
        return Ok(pip);
    }
    let could_not = "cannot install pip";
    let _lock = lock(&cache.join("lock"), tell).await.map_err(|e| Error::new(could_not).because(e))?;
    tell(Progress::InstallingPip);
    let found = python::find(environment, cache).await;
    let uv = python::find_uv(environment, &found, cache, tell).await?;
    let attempt =
        tempfile::Builder::new().prefix("pip-").tempdir_in(&folder).map_err(|e| Error::new(could_not).because(e))?;
    let mut install = command(&uv, environment, &folder);
    install.args(["pip", "install", "--python"]).arg(python).arg("--target").arg(attempt.path()).arg("pip");
    step(install, could_not, "pip", version, tell).await?;
    if !pip.exists() {
        fs::rename(attempt.keep(), &pip).map_err(|e| Error::new(could_not).because(e))?;
    }
    Ok(pip)
}

/// Checks the version, since it becomes a folder's name and an argument of the installer.
fn check_version(version: &str) -> Result<(), Error> {
    let sound = version.starts_with(|c: char| c.is_ascii_digit())
        && version.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
        && !version.contains("..");
    if sound {
        return Ok(());
    }
    Err(Error::new(format!("`{version}` is not a version of Open WebUI"))
        .hinted("write it as its releases do, for example `0.12.4`"))
}

/// The interpreter of a complete installation. It is run once, since the Python behind it may have been removed.
async fn installed(folder: &Path, environment: &Environment<'_>) -> Option<PathBuf> {
    let name = fs::read_to_string(folder.join(MARKER)).ok()?;
    let python = python::interpreter(&folder.join(name), "python");
    Python::ask(environment, &Call::from(python.clone()), folder).await?;
    Some(python)
}

/// Takes the lock of the cache. Polls for it, because a thread that blocks on a lock cannot be stopped.
async fn lock(path: &Path, tell: Tell<'_>) -> io::Result<File> {
    let file = File::create(path)?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(e)) => return Err(e),
            Err(TryLockError::WouldBlock) => {
                if !told {
                    tell(Progress::WaitingForAnother);
                    told = true;
                }
                tokio::time::sleep(LOOKING_AT_THE_LOCK).await;
            }
        }
    }
}

/// Removes the leftovers of interrupted installations. Those that cannot be removed only take up space.
fn remove_attempts(folder: &Path) {
    fs::remove_file(folder.join(MARKER)).ok();
    for entry in folder.read_dir().into_iter().flatten().filter_map(Result::ok) {
        if entry.file_name().as_encoded_bytes().starts_with(b"venv-") {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

async fn install(
    version: &str,
    folder: &Path,
    venv: &Path,
    cache: &Path,
    environment: &Environment<'_>,
    tell: Tell<'_>,
) -> Result<PathBuf, Error> {
    tell(Progress::FindingPython);
    let found = python::find(environment, cache).await;
    let uv = python::find_uv(environment, &found, cache, tell).await?;
    let fit = match found.fit {
        Some(python) => Some(python),
        None => python::find_by_uv(environment, &uv, cache).await,
    };
    make_venv(&uv, fit, venv, version, environment, tell).await?;

    let python = python::interpreter(venv, "python");
    let overrides = venv.join("overrides.txt");
    let could_not = format!("cannot install Open WebUI {version}");
    fs::write(&overrides, overrides_text()).map_err(|e| Error::new(&could_not).because(e))?;
    let mut install = command(&uv, environment, folder);
    install.args(["pip", "install", "--python"]).arg(&python).arg("--overrides").arg(&overrides);
    install.arg(format!("open-webui=={version}"));
    step(install, &could_not, &format!("Open WebUI {version}"), version, tell).await?;
    Ok(python)
}

async fn make_venv(
    uv: &Call,
    fit: Option<Python>,
    venv: &Path,
    version: &str,
    environment: &Environment<'_>,
    tell: Tell<'_>,
) -> Result<(), Error> {
    let mut make = command(uv, environment, venv);
    make.args(["venv", "--no-project", "--allow-existing", "--python"]);
    if let Some(python) = fit {
        tell(Progress::MakingVenv { python: python.version.to_string() });
        let could_not = format!("cannot make a virtual environment with `{}`", slashed(&python.program));
        make.arg(&python.program).arg(venv);
        return step(make, &could_not, "Python", version, tell).await;
    }
    tell(Progress::FetchingPython);
    make.arg("3.12").arg(venv);
    let done = step(make, "cannot download Python 3.12", "Python 3.12", version, tell).await;
    done.map_err(|error| {
        let ways = python::ways_to_python(std::env::consts::OS);
        error.hinted(format!("let uv reach the network (`HTTPS_PROXY`, where there is a proxy), or {ways}"))
    })
}

fn command(uv: &Call, environment: &Environment<'_>, folder: &Path) -> Command {
    let mut command = environment.command(&uv.program, folder);
    command.args(&uv.arguments).env("NO_COLOR", "1");
    command
}

async fn step(command: Command, could_not: &str, what: &str, version: &str, tell: Tell<'_>) -> Result<(), Error> {
    let heard = |line: &str| {
        if worth_telling(line) {
            tell(Progress::Installing { what: what.to_owned(), line: line.trim().to_owned() });
        }
    };
    let ended = process::run(command, INSTALLING, heard).await.map_err(|e| Error::new(could_not).because(e))?;
    if ended.status.success() {
        return Ok(());
    }
    Err(Error::new(could_not)
        .because(format!("uv ended with {}", ended.status))
        .quoting(&ended.said)
        .hinted(hint(&ended.said, version)))
}

/// Whether a line of uv's shows progress. The others list 200 packages or give advice.
fn worth_telling(line: &str) -> bool {
    let dull = ["+ ", "Using ", "Creating virtual environment", "Activate with"];
    !dull.iter().any(|start| line.trim_start().starts_with(start))
}

fn overrides_text() -> String {
    LEFT_OUT.map(|package| format!("{package} ; sys_platform == 'never'\n")).concat()
}

/// The remedy for an installer's failure, by its output.
fn hint(said: &str, version: &str) -> String {
    let said = said.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if any(&["no space left", "disk quota", "not enough space"]) {
        return "it needs 1.2 GB in the cache folder; make room, or name another one with `XDG_CACHE_HOME`".to_owned();
    }
    if any(&["certificate", "unknownissuer", "tls handshake"]) {
        return "a proxy seems to sign the connections of this network; set `SSL_CERT_FILE` to its certificates, or \
                `UV_SYSTEM_CERTS=true`, and try again"
            .to_owned();
    }
    let network = [
        "error sending request",
        "dns error",
        "failed to fetch",
        "failed to download",
        "could not connect",
        "connection refused",
        "connection reset",
        "timed out",
        "network",
    ];
    if any(&network) {
        return "the download needs the network, or a proxy in `HTTPS_PROXY`\n\
                try again: the download resumes where it stopped"
            .to_owned();
    }
    if said.contains(&format!("no version of open-webui=={version}")) {
        return format!(
            "there is no release {version}; they are listed at https://github.com/open-webui/open-webui/releases"
        );
    }
    "the lines above are the installer's own; try again, or another version with `--openwebui`".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_safe_as_folder_names_and_arguments() {
        let cases = [
            ("0.12.4", true),
            ("0.6.43", true),
            ("1.0.0rc1", true),
            ("", false),
            ("latest", false),
            ("v0.12.4", false),
            ("-r", false),
            ("../0.12.4", false),
            ("0..12", false),
            ("0.12.4 --index x", false),
            ("0/12", false),
        ];
        for (version, expected) in cases {
            assert_eq!(check_version(version).is_ok(), expected, "{version:?}");
        }
    }

    #[test]
    fn every_left_out_package_has_its_line() {
        let text = overrides_text();
        assert_eq!(text.lines().count(), LEFT_OUT.len());
        assert_eq!(text.lines().next(), Some("torch ; sys_platform == 'never'"));
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn only_progress_lines_are_shown() {
        let cases = [
            ("Downloading open-webui (101.4MiB)", true),
            ("Resolved 217 packages in 1.89s", true),
            ("Installed 217 packages in 184ms", true),
            ("Downloading cpython-3.12.11-linux-x86_64-gnu (download) (20.3MiB)", true),
            ("warning: Failed to hardlink files; falling back to full copy.", true),
            (" + aiocache==0.12.3", false),
            ("Using Python 3.11.7 environment at: venv-tjPhBh", false),
            ("Creating virtual environment at: venv-tjPhBh", false),
            ("Activate with: source venv-tjPhBh/bin/activate", false),
        ];
        for (line, expected) in cases {
            assert_eq!(worth_telling(line), expected, "{line}");
        }
    }

    #[test]
    fn the_installers_output_selects_the_remedy() {
        let cases = [
            ("error: Failed to fetch: `https://…`\n  Caused by: dns error", "the network"),
            ("error: Request failed after 3 retries\n  Caused by: operation timed out", "the network"),
            ("error: Failed to fetch\n  Caused by: invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
            ("error: failed to write: No space left on device (os error 28)", "1.2 GB"),
            ("  × No solution found\n  ╰─▶ Because there is no version of open-webui==9.9.9 and", "no release 9.9.9"),
            ("error: something else", "--openwebui"),
        ];
        for (said, expected) in cases {
            let hint = hint(said, "9.9.9");
            assert!(hint.contains(expected), "{said:?}: {hint}");
        }
    }
}
