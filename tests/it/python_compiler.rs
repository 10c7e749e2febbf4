//! Whether `check` refuses what `CPython`'s compiler refuses, and nothing else. Asks the `python3.11` of this machine.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use owui_watch::plugin::{self, FileSettings, Parsed, Rule};

/// What `CPython` answers to each snippet; a unit test holds our answers to it.
const CASES: &str = include_str!("../data/compiler-cases.txt");

/// Reads texts, each behind its length, and answers `+` or `-` for each.
const COMPILES: &str = r#"
import sys, warnings
warnings.simplefilter("ignore")
while length := sys.stdin.buffer.readline():
    try:
        compile(sys.stdin.buffer.read(int(length)).decode(), "plugin", "exec", dont_inherit=True)
        answer = "+"
    except (SyntaxError, RecursionError, MemoryError):
        answer = "-"
    print(answer)
"#;

/// Which of the texts `CPython` compiles.
fn compiled(texts: &[String]) -> Vec<bool> {
    let mut python = Command::new("python3.11");
    python.args(["-c", COMPILES]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().expect("python3.11 is installed");
    let mut input = python.stdin.take().unwrap();
    let sent = texts.iter().fold(String::new(), |sent, text| sent + &text.len().to_string() + "\n" + text);
    let writer = std::thread::spawn(move || input.write_all(sent.as_bytes()).unwrap());
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line == "+").collect()
}

#[test]
#[ignore = "asks python3.11"]
fn the_recorded_answers_are_those_of_python() {
    let cases: Vec<_> = CASES.split("--- ").skip(1).map(|case| case.split_once('\n').unwrap()).collect();
    let texts: Vec<_> = cases.iter().map(|(_, text)| (*text).to_owned()).collect();
    for ((title, _), compiles) in cases.iter().zip(compiled(&texts)) {
        assert_eq!(compiles, title.starts_with("accepted"), "{title}");
    }
}

/// The Python files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "py") {
            found.push(path);
        }
    }
}

/// What is wrong with a text as a plugin; `None` if nothing.
fn refusal(text: &str) -> Option<String> {
    let text = format!("{text}\nclass Pipe: pass\n");
    match plugin::parse(&Path::new("plugin.py").into(), text.as_bytes(), &FileSettings::default()) {
        Parsed::Invalid(invalid) => {
            let first = invalid.diagnostics.into_iter().find(|it| matches!(it.rule, Rule::Syntax(_)))?;
            Some(format!("{}: {}", first.span.map_or(0, |span| span.line), first.rule.message()))
        }
        Parsed::Plugin(_) | Parsed::NotAPlugin | Parsed::Disabled => None,
    }
}

#[test]
#[ignore = "reads thousands of files: the library of python3.11, or the folders in PYTHON_SOURCES"]
fn no_file_that_python_compiles_is_refused() {
    let folders = std::env::var("PYTHON_SOURCES").unwrap_or_else(|_| {
        let output = Command::new("python3.11").args(["-c", "import os; print(os.path.dirname(os.__file__))"]).output();
        String::from_utf8(output.expect("python3.11 is installed").stdout).unwrap().trim().to_owned()
    });
    let mut paths = Vec::new();
    folders.split(':').for_each(|folder| sources(Path::new(folder), &mut paths));
    let texts = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).ok()?;
        Some((path, text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n")))
    };
    let (paths, texts): (Vec<_>, Vec<_>) = paths.into_iter().filter_map(texts).unzip();
    let compiles = compiled(&texts);
    assert_eq!(compiles.len(), paths.len());
    let mut alarms = Vec::new();
    let mut missed = Vec::new();
    for ((path, text), compiles) in paths.iter().zip(&texts).zip(compiles) {
        match (refusal(text), compiles) {
            (Some(words), true) => alarms.push(format!("{}:{words}", path.display())),
            (None, false) => missed.push(path.display().to_string()),
            _ => {}
        }
    }
    println!("{} files; only Python refuses {}: {missed:#?}", paths.len(), missed.len());
    assert!(alarms.is_empty(), "{alarms:#?}");
}
