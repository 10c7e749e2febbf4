//! Finds the commit that the program is built from, for `--version`: in the environment, in the file that cargo packs into
//! a crate, or in git.

#![expect(clippy::disallowed_methods, reason = "it runs before the program is built")]

use std::fs;
use std::process::Command;

/// How many characters of a commit tell it from all others here.
const SHORT: usize = 12;

/// Names the commit where the sources have no git, as in the folder of a GitHub action.
const GIVEN: &str = "OWUI_BUILD_COMMIT";

/// What the program is built from. An edit of anything else, such as an example plugin, builds nothing again.
const SOURCES: [&str; 5] = ["build.rs", "src", "systemd", "Cargo.toml", "Cargo.lock"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={GIVEN}");
    // A debug build is built again with each edit: it is from no commit.
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = if is_release { given().or_else(packed).or_else(from_git) } else { None };
    let commit = commit.map_or_else(String::new, |commit| format!(" ({commit})"));
    // `cargo run` passes it on to the program, so its name must not look like one of our settings.
    println!("cargo:rustc-env=COMMIT_OF_VERSION={commit}");
}

fn given() -> Option<String> {
    let commit = std::env::var(GIVEN).ok()?;
    // A branch or a tag may name another commit tomorrow.
    let is_commit = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit.then(|| commit[..SHORT].to_owned())
}

fn packed() -> Option<String> {
    let text = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = text.split_once("\"sha1\": \"")?;
    Some(rest.get(..SHORT)?.to_owned())
}

fn from_git() -> Option<String> {
    let git = |arguments: &[&str]| {
        let ran = Command::new("git").args(arguments).output().ok().filter(|ran| ran.status.success())?;
        Some(String::from_utf8(ran.stdout).ok()?.trim().to_owned())
    };
    // Sources that were unpacked into another repository are not from its commit.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if fs::canonicalize(top).ok()? != fs::canonicalize(".").ok()? {
        return None;
    }
    // Each commit and each checkout adds to the log. HEAD itself names a branch; the index changes at every `git add`.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    let watched = if fs::exists(&log).unwrap_or(false) { log } else { git(&["rev-parse", "--git-path", "HEAD"])? };
    println!("cargo:rerun-if-changed={watched}");
    // An edit makes it a build of changed sources, though git's own files stay as they were.
    for source in SOURCES {
        println!("cargo:rerun-if-changed={source}");
    }
    let commit = git(&["rev-parse", &format!("--short={SHORT}"), "HEAD"])?;
    let status = ["--no-optional-locks", "status", "--porcelain", "--untracked-files=no", "--"];
    let is_changed = !git(&[&status[..], &SOURCES].concat())?.is_empty();
    Some(if is_changed { format!("{commit}, changed") } else { commit })
}
