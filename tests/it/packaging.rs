//! What packagers and build servers use is correct: the metadata agrees, and the scripts run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
#[cfg(unix)]
use std::process::{Command, Output};

use ::config::{File, FileFormat};
use clap::CommandFactory as _;
use owui_watch::cli::Args;

const CARGO: &str = include_str!("../../Cargo.toml");
const PYPROJECT: &str = include_str!("../../pyproject.toml");
const BUILD: &str = include_str!("../../packaging/build");
const HOOKS: &str = include_str!("../../.pre-commit-hooks.yaml");
const TOP: &str = env!("CARGO_MANIFEST_DIR");

/// A file in TOML, by dotted keys.
fn read(text: &str) -> ::config::Config {
    ::config::Config::builder().add_source(File::from_str(text, FileFormat::Toml)).build().unwrap()
}

/// Runs a script of the project with these arguments.
#[cfg(unix)]
fn script(name: &str, arguments: &[&str]) -> Output {
    Command::new("bash").arg(Path::new(TOP).join(name)).args(arguments).output().unwrap()
}

#[test]
fn the_wheel_says_what_the_crate_says() {
    let (cargo, pyproject) = (read(CARGO), read(PYPROJECT));
    let word = |file: &::config::Config, key: &str| file.get_string(key).unwrap();
    for key in ["name", "description", "license"] {
        assert_eq!(word(&cargo, &format!("package.{key}")), word(&pyproject, &format!("project.{key}")), "{key}");
    }
    let keywords = |file: &::config::Config, key: &str| file.get::<Vec<String>>(key).unwrap();
    assert_eq!(keywords(&cargo, "package.keywords"), keywords(&pyproject, "project.keywords"));
}

#[test]
fn binstall_finds_the_archives_that_are_built() {
    let cargo = read(CARGO);
    let text = |key: &str| cargo.get_string(&format!("package.metadata.binstall.{key}")).unwrap();
    let fill = |text: String| {
        let names = BTreeMap::from([("name", "owui-watch"), ("version", "$version"), ("target", "$target")]);
        names.iter().fold(text, |text, (name, value)| text.replace(&format!("{{ {name} }}"), value))
    };
    let name = "owui-watch-v$version-$target";
    assert!(BUILD.contains(&format!("\nname={name}\n")));
    assert!(fill(text("pkg-url")).ends_with(&format!("/releases/download/v$version/{name}{{ archive-suffix }}")));
    assert_eq!(fill(text("bin-dir")), format!("{name}/{{ bin }}{{ binary-ext }}"));
    assert!(BUILD.contains("archive=$name.tar.gz") && text("pkg-fmt") == "tgz");
    assert!(BUILD.contains("archive=$name.zip") && text("overrides.x86_64-pc-windows-msvc.pkg-fmt") == "zip");
}

#[test]
fn the_deb_has_files_that_exist_or_are_built() {
    let assets = read(CARGO).get::<Vec<Vec<String>>>("package.metadata.deb.assets").unwrap();
    let sources: Vec<_> = assets.iter().map(|asset| &*asset[0]).collect();
    let (built, there): (Vec<_>, Vec<_>) = sources.into_iter().partition(|source| source.starts_with("target/"));
    assert_eq!(built, ["target/release/owui-watch", "target/packaging/man/*.1", "target/packaging/owui-watch.service"]);
    assert!(BUILD.contains("built=target/packaging\n") && BUILD.contains(">\"$built/owui-watch.service\""));
    assert!(there.len() > 5 && there.iter().all(|source| Path::new(TOP).join(source).is_file()), "{there:?}");
}

/// `cargo run` has in the program's environment what the build script sets for the compiler.
#[test]
fn what_a_build_sets_is_no_setting() {
    let script = include_str!("../../build.rs");
    assert!(script.contains("cargo:rustc-env=") && !script.contains("cargo:rustc-env=OWUI_WATCH_"));
}

#[test]
fn the_hook_is_a_command_that_exists() {
    let entry = HOOKS.lines().find_map(|line| line.trim().strip_prefix("entry: ")).unwrap();
    assert!(Args::read(entry.split(' ')).unwrap().command.is_some());
}

#[test]
fn the_completions_name_the_program() {
    for file in ["owui-watch.bash", "_owui-watch", "owui-watch.fish", "owui-watch.ps1"] {
        let text = fs::read_to_string(Path::new(TOP).join("packaging/completions").join(file)).unwrap();
        assert!(text.contains("COMPLETE") && text.contains(Args::command().get_name()), "{file}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_unit_of_a_package_starts_the_packages_program() {
    let file = |name: &str| Path::new(TOP).join(name);
    let run =
        Command::new("sed").arg("-f").arg(file("packaging/unit.sed")).arg(file("systemd/owui-watch.service")).output();
    let unit = String::from_utf8(run.unwrap().stdout).unwrap();
    assert!(unit.contains("\nExecStart=/usr/bin/owui-watch\n"), "{unit}");
    assert!(!unit.contains("cargo") && unit.contains("cp /usr/lib/systemd/user/owui-watch.service "), "{unit}");
}

#[cfg(unix)]
#[test]
fn a_release_needs_its_version_and_its_notes() {
    let notes = script("packaging/notes", &["Unreleased"]);
    assert!(notes.status.success() && !notes.stdout.is_empty());
    assert!(!String::from_utf8(notes.stdout).unwrap().contains("\n## "));
    let said = |name, arguments: &[&str]| {
        let output = script(name, arguments);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said("packaging/notes", &["9.9.9"]).starts_with("error: CHANGELOG.md has nothing about 9.9.9\nhint: "));
    assert!(said("packaging/check", &["v9.9.9"]).starts_with("error: the tag is v9.9.9, and Cargo.toml has version "));
}
