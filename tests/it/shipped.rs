//! The shipped files beside the sources are correct.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use owui_watch::cli::Args;
use owui_watch::config::{self, CHECK_KEYS, Config, Form, KEYS, PLUGIN_KEYS, TRY_KEYS, World};
use owui_watch::engine::Code;
use owui_watch::plugin::{FileSettings, Kind};
use owui_watch::systemd::unit::OLDEST;
use tempfile::TempDir;

use crate::pages;

const REFERENCE: &str = include_str!("../../watch.toml");
const UNIT: &str = include_str!("../../systemd/owui-watch.service");
const WORKFLOW: &str = include_str!("../../.github/workflows/ci.yml");
const RELEASE: &str = include_str!("../../.github/workflows/release.yml");
const ACTION: &str = include_str!("../../action.yml");
const CI: &str = include_str!("../../.ci/run");
const CHANGELOG: &str = include_str!("../../CHANGELOG.md");
const TOP: &str = env!("CARGO_MANIFEST_DIR");

fn load(watch_toml: Option<&str>) -> Config {
    let folder = TempDir::new().expect("a temporary folder");
    fs::create_dir(folder.path().join("plugins")).expect("a root");
    fs::create_dir_all(folder.path().join(".config/owui-watch")).expect("a configuration folder");
    fs::write(folder.path().join(".config/owui-watch/key"), "sk-1").expect("a key file");
    fs::write(folder.path().join(".config/owui-watch/ca.pem"), "-----BEGIN CERTIFICATE-----").expect("certificates");
    if let Some(text) = watch_toml {
        fs::write(folder.path().join("watch.toml"), text).expect("watch.toml");
    }
    let home = Some(folder.path().to_owned());
    let mut world = World { cwd: folder.path().to_owned(), home, ..World::default() };
    loop {
        match config::load(&Args::default(), &world) {
            Ok(config) => return config,
            // A folder's own command needs it.
            Err(error) => world.agreed.push(error.request().expect("the settings are fine").clone()),
        }
    }
}

/// The reference with its examples uncommented: `#key = …` and `#[table]`; prose begins with `# `.
fn with_examples() -> String {
    REFERENCE
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c != ' ')).unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn watch_toml_equals_the_defaults() {
    let defaults = load(None);
    let reference = load(Some(REFERENCE));
    // It names no server: a command of its folder finds the sandbox there.
    assert_eq!(reference.url_origin, None);
    assert_eq!(format!("{reference:#?}"), format!("{defaults:#?}"));
}

/// The comment above the first line that begins like this, in one line.
fn comment_above(text: &str, start: &str) -> Option<String> {
    let lines: Vec<_> = text.lines().collect();
    let at = lines.iter().position(|line| line.strip_prefix('#').unwrap_or(line).starts_with(start))?;
    let above: Vec<_> = lines[..at].iter().rev().map_while(|line| line.strip_prefix("# ")).collect();
    Some(above.into_iter().rev().collect::<Vec<_>>().join(" "))
}

#[test]
fn watch_toml_documents_every_key_as_its_row_does() {
    let table = &REFERENCE[REFERENCE.find("#[plugins.").expect("a table about a file")..];
    let of_table = PLUGIN_KEYS.iter().chain(TRY_KEYS).map(|key| (table, key));
    for (text, key) in KEYS.iter().chain(CHECK_KEYS).map(|key| (REFERENCE, key)).chain(of_table) {
        let start = match (key.form, key.name) {
            (Form::Tables, "plugins") => "[plugins.".to_owned(),
            (Form::Tables, name) if text.len() == REFERENCE.len() => format!("[{name}]"),
            (Form::Tables, name) => format!("[plugins.\"plugins/filters/shout.py\".{name}]"),
            (_, name) => format!("{name} = "),
        };
        let comment = comment_above(text, &start).unwrap_or_else(|| panic!("`{}` is missing", key.name));
        let doc = key.doc().replace('`', "");
        assert!(comment.starts_with(doc.trim_end_matches('.')), "`{}`: {doc}\n{comment}", key.name);
        for other in key.also.iter().copied().chain(key.flag) {
            assert!(comment.contains(other), "`{}` can be set by {other}", key.name);
        }
    }
}

#[test]
fn the_examples_in_watch_toml_work() {
    let config = load(Some(&with_examples()));
    assert!(config.key_origin.is_some_and(|origin| origin.ends_with("owui-watch/key`")));
    let settings = FileSettings { id: Some("shout".to_owned()), kind: Some(Kind::Function), enabled: Some(true) };
    assert_eq!(config.files.get(Path::new("plugins/filters/shout.py")), Some(&settings));
    assert_eq!(config.checks.of(Path::new("plugins/filters/shout.py")).ignore, ["blocking-call"]);
    assert!(config.trials[Path::new("plugins/filters/shout.py")].expect.is_some());
    assert_eq!(config.roots, [PathBuf::from("plugins")]);
}

/// All values of a name in the unit.
fn said(name: &str) -> Vec<&'static str> {
    UNIT.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect()
}

#[test]
fn the_unit_starts_the_program_as_it_is() {
    let [start] = said("ExecStart")[..] else { panic!("one command") };
    let words: Vec<_> = start.split(' ').collect();
    assert_eq!(words[0], format!("%h/.cargo/bin/{}", env!("CARGO_PKG_NAME")));
    let args = Args::read(words).unwrap();
    assert!(!args.one_pass() && args.command.is_none(), "a service watches");
    assert_eq!(said("RestartPreventExitStatus"), [(Code::Usage as u8).to_string()]);
    assert_eq!(said("ExecReload"), ["/bin/kill -HUP $MAINPID"]);
    // The oldest systemd that it may meet does not know `notify-reload`.
    assert_eq!(said("Type"), ["notify"]);
    assert!(UNIT.contains(&format!("with systemd {OLDEST} or later")));
    // The comments' promise about the working directory.
    assert!(UNIT.contains(".owui-watch/") && load(None).state.ends_with(".owui-watch"));
}

#[test]
fn the_units_credential_provides_the_key() {
    let folder = TempDir::new().unwrap();
    let [credential] = said("LoadCredential")[..] else { panic!("one credential") };
    let (name, source) = credential.split_once(':').unwrap();
    assert_eq!(source, format!("%E/owui-watch/{name}"), "as step 3 of the comment writes it");
    assert!(UNIT.contains(&format!("> ~/.config/owui-watch/{name})")), "step 3");
    assert!(said("#LoadCredentialEncrypted")[0].starts_with(&format!("{name}:")));
    assert!(UNIT.contains(&format!("--name={name} ")));

    fs::create_dir(folder.path().join("plugins")).unwrap();
    fs::write(folder.path().join(name), "sk-1").unwrap();
    let env = [("CREDENTIALS_DIRECTORY".into(), folder.path().display().to_string())].into();
    let world = World { cwd: folder.path().to_owned(), env, ..World::default() };
    let config = config::load(&Args::default(), &world).unwrap();
    assert_eq!(config.key_origin.unwrap(), format!("the credential `{name}`"));
}

#[test]
fn other_key_places_named_in_the_unit_work() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    let world = World { cwd: folder.path().to_owned(), ..World::default() };
    let origin = || config::load(&Args::default(), &world).unwrap().key_origin.unwrap();
    assert!(UNIT.contains("OPENWEBUI_API_KEY=… in .env") && UNIT.contains("`api_key_file` in watch.toml"));
    fs::write(folder.path().join("key"), "sk-1").unwrap();
    fs::write(folder.path().join("watch.toml"), "api_key_file = \"key\"").unwrap();
    assert_eq!(origin(), "`key`");
    fs::write(folder.path().join(".env"), "OPENWEBUI_API_KEY=sk-1").unwrap();
    assert_eq!(origin(), "`OPENWEBUI_API_KEY` in `.env`");
}

#[test]
fn the_changelog_begins_with_unreleased_changes() {
    let first = CHANGELOG.lines().find(|line| line.starts_with("## "));
    assert_eq!(first, Some("## [Unreleased]"));
}

/// Whoever can move a tag of an action could run code on the build server. A version in words says what the digest is.
#[test]
fn every_action_is_pinned_by_its_digest() {
    let docs = pages::all();
    let files = [WORKFLOW, RELEASE, ACTION].into_iter().flat_map(str::lines);
    let lines = files.chain(docs.iter().flat_map(|page| page.text.lines()));
    let uses: Vec<_> = lines.filter_map(|line| line.split_once("uses: ")).collect();
    assert!(uses.len() > 15, "{uses:?}");
    // What stands for the reader's own choice in an example.
    for (_, action) in uses.into_iter().filter(|(_, action)| *action != "OWNER/owui-watch@COMMIT") {
        let (name, version) = action.split_once(" # v").unwrap_or_else(|| panic!("no version: {action}"));
        let (_, digest) = name.split_once('@').unwrap();
        assert!(digest.len() == 40 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()), "{action}");
        assert!(version.split('.').filter(|part| part.parse::<u32>().is_ok()).count() == 3, "{action}");
    }
}

#[test]
fn dependencies_are_checked() {
    let steps = |text: &'static str| text.lines().map(|line| line.trim_start_matches([' ', '-']));
    assert!(steps(WORKFLOW).any(|step| step == "run: cargo deny --locked check"), "advisories as well");
    assert!(steps(CI).any(|step| step == "cargo deny --locked check bans licenses sources"));
}

/// Tools on the build server are pinned to reviewed versions.
#[test]
fn installations_from_git_pin_a_commit() {
    let docs = pages::all();
    let lines = docs.iter().flat_map(|page| page.text.lines());
    let installs: Vec<_> = lines.filter(|line| line.contains("cargo install") && line.contains("--git")).collect();
    assert!(!installs.is_empty() && installs.iter().all(|line| line.contains(" --rev ")), "{installs:?}");
}

#[test]
fn the_published_crate_is_complete() {
    let list = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--offline"])
        .current_dir(TOP)
        .output()
        .unwrap();
    assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
    let list = String::from_utf8(list.stdout).unwrap().replace('\\', "/");
    let files: Vec<_> = list.lines().collect();
    for needed in ["Cargo.toml", "Cargo.lock", "LICENSE", "README.md", "CHANGELOG.md", "watch.toml", "src/main.rs"]
        .into_iter()
        .chain([
            "src/sandbox/launcher.py",
            "src/sandbox/pane.py",
            "systemd/owui-watch.service",
            "systemd/hardened.conf",
            "plugins/filters/today.py",
        ])
    {
        assert!(files.contains(&needed), "{needed} is not in {files:#?}");
    }
    let stray: Vec<_> = files.iter().filter(|file| file.starts_with("tests/") || file.ends_with('~')).collect();
    assert!(stray.is_empty(), "{stray:?}");
}
