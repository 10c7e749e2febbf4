//! The unit that has systemd run owui-watch for one project: `systemd/owui-watch.service`, in which the lines are replaced
//! that are about the project, and the instructions for installing it by hand.

use std::fmt;
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// What is shipped for installing by hand.
const TEMPLATE: &str = include_str!("../../systemd/owui-watch.service");
/// The line by which we know our own text again. What follows it has this digest.
const SEAL: &str = "# Unedited as long as this is the SHA-256 of what follows: ";
/// The oldest systemd that knows what the unit needs.
pub const OLDEST: u32 = 247;

/// What is different from project to project.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// The project: the folder of `watch.toml`, without links in its path.
    pub folder: &'a Path,
    /// The program to run.
    pub program: &'a Path,
    /// Its flags.
    pub arguments: &'a [String],
    /// Whether the key is a credential. One that is not there would keep the service from starting.
    pub credential: bool,
}

/// What cannot be written in a unit.
#[derive(Debug, PartialEq, Eq)]
pub struct Unwritable(String);

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} cannot be written in a unit", self.0)
    }
}

impl std::error::Error for Unwritable {}

/// The name of a project's unit: readable, and no other project's.
#[must_use]
pub fn name(folder: &Path) -> String {
    let last = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let plain: String = last.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
    let short: String = plain.trim_matches('-').chars().take(32).collect();
    let readable = if short.is_empty() { "project" } else { short.trim_end_matches('-') };
    format!("owui-watch-{readable}-{}.service", &digest(&folder.to_string_lossy())[..6])
}

/// The unit's text.
pub fn text(service: &Service<'_>) -> Result<String, Unwritable> {
    let name = name(service.folder);
    let body = body(service)?;
    let version = env!("CARGO_PKG_VERSION");
    Ok(format!(
        "# Written by `owui-watch service install`, version {version}; `owui-watch service uninstall` removes it.\n# \
         Changes of your own belong in a drop-in, which stays: systemctl --user edit {name}\n{SEAL}{}\n\n{body}",
        digest(&body)
    ))
}

/// Whether a text is as we wrote it.
#[must_use]
pub fn is_ours(text: &str) -> bool {
    let sealed = text.split_once(SEAL).and_then(|(_, rest)| rest.split_once("\n\n"));
    sealed.is_some_and(|(seal, body)| seal == digest(body))
}

/// All below the instructions.
fn body(service: &Service<'_>) -> Result<String, Unwritable> {
    let folder = folder(service.folder)?;
    let mut command = word(path(service.program)?, false)?;
    for argument in service.arguments {
        command = format!("{command} {}", word(argument, true)?);
    }
    let (_, body) = TEMPLATE.split_once("\n\n").unwrap_or_default();
    Ok(body.lines().fold(String::new(), |text, line| {
        let line = match line.split_once('=') {
            Some(("Description", words)) => format!("Description={words} in {folder}"),
            Some(("WorkingDirectory", _)) => format!("WorkingDirectory={folder}"),
            Some(("ExecStart", _)) => format!("ExecStart={command}"),
            Some(("LoadCredential", _)) if !service.credential => format!("#{line}"),
            _ => line.to_owned(),
        };
        text + &line + "\n"
    }))
}

fn path(path: &Path) -> Result<&str, Unwritable> {
    path.to_str().ok_or_else(|| Unwritable(path.display().to_string()))
}

/// A folder as the whole of a line, where nothing can be quoted.
fn folder(folder: &Path) -> Result<String, Unwritable> {
    let text = path(folder)?;
    // A backslash would join the next line, and blanks are not seen at an end.
    if text.ends_with('\\') || text.trim() != text {
        return Err(Unwritable(text.to_owned()));
    }
    percent(text)
}

/// A word of a command. In the program's own path variables are not replaced.
fn word(text: &str, is_argument: bool) -> Result<String, Unwritable> {
    let escaped = percent(text)?.replace('\\', r"\\").replace('"', "\\\"");
    let escaped = if is_argument { escaped.replace('$', "$$") } else { escaped };
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@,+%".contains(c);
    Ok(if !text.is_empty() && text.chars().all(plain) { escaped } else { format!("\"{escaped}\"") })
}

/// A text in which nothing is replaced.
fn percent(text: &str) -> Result<String, Unwritable> {
    if text.chars().any(char::is_control) {
        return Err(Unwritable(text.to_owned()));
    }
    Ok(text.replace('%', "%%"))
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn service<'a>(folder: &'a str, arguments: &'a [String]) -> Service<'a> {
        let program = Path::new("/usr/local/bin/owui-watch");
        Service { folder: Path::new(folder), program, arguments, credential: true }
    }

    /// What a line of the unit says.
    fn said<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
        text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect()
    }

    #[test]
    fn a_unit_is_what_is_shipped_but_for_the_project() {
        let text = text(&service("/home/ann/plugins", &[])).unwrap();
        let ours: Vec<_> = text.split_once("\n\n").unwrap().1.lines().collect();
        let shipped: Vec<_> = TEMPLATE.split_once("\n\n").unwrap().1.lines().collect();
        assert_eq!(ours.len(), shipped.len());
        let differ = shipped.iter().zip(&ours).filter(|(a, b)| a != b).map(|(a, b)| format!("{a} → {b}"));
        assert_eq!(
            differ.collect::<Vec<_>>(),
            [
                "Description=Hot redeploy of Open WebUI plugins → Description=Hot redeploy of Open WebUI plugins in \
                 /home/ann/plugins",
                "WorkingDirectory=%h/openwebui-plugins → WorkingDirectory=/home/ann/plugins",
                "ExecStart=%h/.cargo/bin/owui-watch → ExecStart=/usr/local/bin/owui-watch",
            ]
        );
        assert!(!text.contains("cargo install"), "instructions for what is done already");
    }

    #[test]
    fn a_credential_that_is_not_there_is_not_loaded() {
        let with = service("/p", &[]);
        let without = text(&Service { credential: false, ..with }).unwrap();
        assert!(said(&without, "LoadCredential").is_empty());
        assert_eq!(said(&without, "#LoadCredential"), said(&text(&with).unwrap(), "LoadCredential"));
    }

    #[test]
    fn words_stay_what_they_are() {
        for (folder, words, working_directory, start) in [
            ("/p", &["--root", "/p/a"][..], "/p", " --root /p/a"),
            ("/50% off", &["/50% $HOME", "a\"b\\c", ""], "/50%% off", r#" "/50%% $$HOME" "a\"b\\c" """#),
            ("/ünder", &["/ünder", ";"], "/ünder", r#" "/ünder" ";""#),
        ] {
            let text = text(&service(folder, &arguments(words))).unwrap();
            assert_eq!(said(&text, "WorkingDirectory"), [working_directory]);
            assert_eq!(said(&text, "ExecStart"), [format!("/usr/local/bin/owui-watch{start}")]);
        }
        let program = Path::new("/my $tools/owui-watch");
        let text = text(&Service { program, ..service("/p", &[]) }).unwrap();
        assert_eq!(said(&text, "ExecStart"), ["\"/my $tools/owui-watch\""]);
    }

    #[test]
    fn what_would_be_another_line_is_refused() {
        for folder in ["/a\nExecStart=/bin/false", "/a\\", "/a ", "/a\t"] {
            assert!(text(&service(folder, &[])).is_err(), "{folder:?}");
        }
        assert!(text(&service("/a", &arguments(&["b\nc"]))).is_err());
    }

    #[test]
    fn a_name_is_readable_and_its_own() {
        for (folder, start) in [
            ("/home/ann/Plugins", "owui-watch-plugins-"),
            ("/home/ann/my plugins (old)", "owui-watch-my-plugins--old-"),
            ("/home/ann/プラグイン", "owui-watch-project-"),
            ("/", "owui-watch-project-"),
            ("/home/ann/a-folder-with-a-name-of-more-than-thirty-two", "owui-watch-a-folder-with-a-name-of-more-tha-"),
        ] {
            let name = name(Path::new(folder));
            let rest = name.strip_prefix(start).unwrap_or_else(|| panic!("{name}"));
            let hash = rest.strip_suffix(".service").unwrap();
            assert!(hash.len() == 6 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
        }
        assert_ne!(name(Path::new("/a/plugins")), name(Path::new("/b/plugins")));
    }

    #[test]
    fn an_edit_is_seen() {
        let text = text(&service("/p", &[])).unwrap();
        assert!(is_ours(&text));
        for edited in [
            text.replace("WatchdogSec=2min", "WatchdogSec=1min"),
            text.clone() + "\n",
            text.replacen(SEAL, "# ", 1),
            TEMPLATE.to_owned(),
            String::new(),
        ] {
            assert!(!is_ours(&edited), "{edited}");
        }
    }
}
