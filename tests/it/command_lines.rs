//! Every command line in docs and help is valid: cargo and owui-watch parse it as if typed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use clap::CommandFactory as _;
use owui_watch::cli::Args;
use owui_watch::plugin::id::PluginId;

use crate::pages;

const TOP: &str = env!("CARGO_MANIFEST_DIR");
const CONTRIBUTING: &str = include_str!("../../CONTRIBUTING.md");
const WORKFLOW: &str = include_str!("../../.github/workflows/ci.yml");

/// The programs whose lines are checked. Lines of others need their own checks.
const OURS: [&str; 3] = ["owui-watch", "cargo", "bash"];
/// The verbs of systemd's tools.
const VERBS: [&str; 5] = ["status", "reload", "restart", "-u", "edit"];
/// Subcommands of cargo that are installed separately.
const INSTALLED_APART: [&str; 1] = ["deny"];
/// Flags of cargo that take the next word.
const TAKES_A_WORD: [&str; 5] = ["--test", "--bench", "--path", "--git", "--rev"];
/// Variables read by a library, not by us.
const OF_LIBRARIES: [&str; 3] = ["PROPTEST_CASES", "TMPDIR", "UPDATE_EXPECT"];

/// The tests of this binary, by name.
static TESTS: LazyLock<String> = LazyLock::new(|| {
    let output = Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
});
static SOURCES: LazyLock<String> = LazyLock::new(|| all_text("src"));
static TESTS_TEXT: LazyLock<String> = LazyLock::new(|| all_text("tests"));
static BENCHES: LazyLock<String> = LazyLock::new(|| all_text("benches"));

/// All texts in a folder.
fn all_text(folder: &str) -> String {
    let mut folders = vec![Path::new(TOP).join(folder)];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text += &fs::read_to_string(path).unwrap_or_default();
            }
        }
    }
    text
}

/// The command lines in a text of Markdown: in blocks for a shell, in workflows and tasks, and in backticks.
fn of_markdown(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (n, part) in text.split("```").enumerate() {
        if n % 2 == 0 {
            // A line break inside of backticks is a blank.
            let prose = part.replace('\n', " ");
            let ticked = prose.split('`').skip(1).step_by(2).map(str::to_owned);
            lines.extend(ticked.filter(|line| program(line).is_some_and(|program| OURS.contains(&program))));
            continue;
        }
        let (language, block) = part.split_once('\n').unwrap();
        lines.extend(block.lines().map(str::trim).filter(|line| !line.is_empty()).filter_map(|line| match language {
            "sh" => Some(line.to_owned()),
            "yaml" => Some(line.trim_start_matches("- ").strip_prefix("run: ")?.to_owned()),
            "json" => Some(line.strip_prefix("\"command\": \"")?.trim_end_matches("\",").to_owned()),
            _ => None,
        }));
    }
    lines
}

/// The lines that the build server runs.
fn of_workflow() -> Vec<String> {
    let steps = WORKFLOW.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("run: "));
    steps.filter(|step| *step != "|").map(str::to_owned).collect()
}

/// The lines in the help; their explanation follows two blanks.
fn of_help() -> Vec<String> {
    let help = Args::command().render_long_help().to_string();
    let examples = help.lines().filter_map(|line| line.strip_prefix("  owui-watch"));
    examples.map(|line| format!("owui-watch{}", line.split("  ").next().unwrap_or_default())).collect()
}

/// The lines in messages, units and comments. A placeholder is a plugin, or one of several commands.
fn of_sources() -> Vec<String> {
    let text = all_text("src") + &all_text("systemd") + &fs::read_to_string(Path::new(TOP).join("watch.toml")).unwrap();
    let ticked = text.split("`owui-watch ").skip(1).filter_map(|rest| rest.split(['`', '\n']).next());
    let fill = |line: &str| {
        let mut line = line.replace("{command}", "install");
        while let Some((before, (_, after))) = line.split_once('{').map(|(a, rest)| (a, rest.split_once('}').unwrap()))
        {
            line = format!("{before}shout{after}");
        }
        format!("owui-watch {line}").replace("PLUGIN", "shout").replace(" ID", " shout")
    };
    ticked.map(fill).collect()
}

/// The words of the first program, without a comment.
fn words(line: &str) -> Vec<&str> {
    split(line).into_iter().take_while(|word| !word.starts_with('#') && *word != "|").collect()
}

/// The words as a shell takes them, where a word is quoted as a whole or not at all.
fn split(line: &str) -> Vec<&str> {
    let (mut words, mut rest) = (Vec::new(), line.trim());
    while !rest.is_empty() {
        let quoted = rest.chars().next().filter(|c| "\"'".contains(*c)).and_then(|quote| rest[1..].split_once(quote));
        let (word, after) = quoted.or_else(|| rest.split_once(char::is_whitespace)).unwrap_or((rest, ""));
        words.push(word);
        rest = after.trim_start();
    }
    words
}

fn is_variable(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
}

/// The program that a line starts.
fn program(line: &str) -> Option<&str> {
    words(line).into_iter().find(|word| !is_variable(word))
}

/// The error of a line.
fn check(line: &str) -> Result<(), String> {
    let all = words(line);
    let (variables, words) = all.split_at(all.iter().take_while(|word| is_variable(word)).count());
    for variable in variables {
        let (name, _) = variable.split_once('=').unwrap();
        let known = OF_LIBRARIES.contains(&name) || [&SOURCES, &TESTS_TEXT].iter().any(|text| text.contains(name));
        known.then_some(()).ok_or_else(|| format!("nobody reads `{name}`"))?;
    }
    match words {
        [] => Ok(()),
        ["owui-watch", ..] => check_ours(words),
        ["cargo", subcommand, rest @ ..] => check_cargo(subcommand, rest),
        ["bash", script, ..] => exists(&[PathBuf::from(script)]),
        ["mdbook", "build"] => exists(&[PathBuf::from("book.toml")]),
        ["systemctl" | "journalctl", "--user", verb, ..] if VERBS.contains(verb) => Ok(()),
        _ => Err("nobody checks such a line".to_owned()),
    }
}

fn check_ours(words: &[&str]) -> Result<(), String> {
    let args = match Args::read(words) {
        Ok(args) => args,
        // Help is printed, and not run.
        Err(help) if !help.use_stderr() => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    let names = |plugin: &str| plugin.starts_with("plugins/") || PluginId::new(plugin).is_some();
    let odd: Vec<_> = args.plugins.iter().filter(|plugin| !names(plugin)).collect();
    if odd.is_empty() { Ok(()) } else { Err(format!("{odd:?} are no plugins")) }
}

fn check_cargo(subcommand: &str, rest: &[&str]) -> Result<(), String> {
    let end = rest.iter().position(|word| *word == "--").unwrap_or(rest.len());
    let (own, passed_on) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
    if INSTALLED_APART.contains(&subcommand) && !cargo(&[subcommand, "--version"])?.is_empty() {
        return Ok(());
    }
    // It parses the line up to here before it prints its help.
    let complaint = cargo(&[&[subcommand], own, &["-h"]].concat())?;
    if !complaint.is_empty() {
        return Err(complaint);
    }
    let mut filters = Vec::new();
    let mut words = own.iter();
    while let Some(word) = words.next() {
        let value = if TAKES_A_WORD.contains(word) { words.next().ok_or("a word is missing")? } else { word };
        match *word {
            "--test" => exists(&[format!("tests/{value}.rs"), format!("tests/{value}/main.rs")].map(PathBuf::from))?,
            "--bench" => {
                exists(&[format!("benches/{value}.rs"), format!("benches/{value}/main.rs")].map(PathBuf::from))?;
            }
            word if !word.starts_with('-') => filters.push(word),
            _ => {}
        }
    }
    match subcommand {
        "run" => return check_ours(&[&["owui-watch"], passed_on].concat()),
        "test" => {
            let read = Command::new(std::env::current_exe().unwrap()).args(passed_on).arg("--list").output();
            let read = read.map_err(|error| error.to_string())?;
            if !read.status.success() {
                return Err(String::from_utf8_lossy(&read.stderr).into_owned());
            }
            filters.extend(passed_on.iter().filter(|word| !word.starts_with('-')));
            let ours = |filter: &str| SOURCES.contains(&format!("mod {} {{", filter.trim_end_matches("::")));
            let odd: Vec<_> = filters.iter().filter(|filter| !TESTS.contains(**filter) && !ours(filter)).collect();
            if !odd.is_empty() {
                return Err(format!("no test is called {odd:?}"));
            }
        }
        "bench" => {
            let odd: Vec<_> = passed_on.iter().filter(|word| !BENCHES.contains(**word)).collect();
            if !odd.is_empty() {
                return Err(format!("nothing is measured by {odd:?}"));
            }
        }
        _ => {}
    }
    Ok(())
}

/// cargo's error for these words.
fn cargo(words: &[&str]) -> Result<String, String> {
    let output =
        Command::new(env!("CARGO")).args(words).current_dir(TOP).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(if output.status.success() { String::new() } else { format!("cargo {words:?}: {said}") })
}

/// One of these is there.
fn exists(paths: &[PathBuf]) -> Result<(), String> {
    let there = paths.iter().any(|path| Path::new(TOP).join(path).is_file());
    there.then_some(()).ok_or_else(|| format!("{paths:?} is not there"))
}

#[test]
fn every_shown_command_line_parses() {
    let of_docs = pages::all().iter().flat_map(|page| of_markdown(&page.text)).collect();
    let shown = [of_docs, of_markdown(CONTRIBUTING), of_workflow(), of_help(), of_sources()];
    assert!(shown.iter().zip([100, 10, 5, 5, 15]).all(|(lines, least)| lines.len() >= least), "{shown:#?}");
    let lines: BTreeSet<_> = shown.into_iter().flatten().collect();
    let wrong: Vec<_> = lines.iter().filter_map(|line| Some((line, check(line).err()?))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A checker that finds no errors proves nothing.
#[test]
fn a_wrong_command_line_is_noticed() {
    for wrong in [
        "cargo test any:: fuzz::",
        "cargo test --relase",
        "cargo test --test its",
        "cargo test no_such_test",
        "cargo test -- --ignord",
        "cargo bench -- --unreal",
        "cargo run -- --twice",
        "cargo biuld",
        "owui-watch --twice",
        "owui-watch service start",
        "bash .ci/walk",
        "systemctl --user stopp owui-watch",
        "make",
    ] {
        assert!(check(wrong).is_err(), "{wrong}");
    }
    let nobody_reads = ["OWUI", "WATCH", "LEAVES=1 cargo test"].join("_");
    assert!(check(&nobody_reads).is_err(), "{nobody_reads}");
}
