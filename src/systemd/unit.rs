//! The unit for one project: `systemd/owui-watch.service` with the project's own lines, without the instructions for
//! installing it by hand. The drop-in that hardens it is made from `systemd/hardened.conf` in the same way.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use sha2::{Digest as _, Sha256};

/// The unit as shipped for installing by hand.
const TEMPLATE: &str = include_str!("../../systemd/owui-watch.service");
/// The drop-in as shipped.
const DROP_IN: &str = include_str!("../../systemd/hardened.conf");
/// The drop-in's name. It sorts before `override.conf`, so that `systemctl edit` has the last word.
const DROP_IN_NAME: &str = "10-hardened.conf";
/// What `PrivateTmp=` hides.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// The line that marks an unedited file: the text after it has this digest.
const SEAL: &str = "# Unedited as long as this is the SHA-256 of what follows: ";
/// The oldest systemd that supports the unit.
pub const OLDEST: u32 = 247;

/// The parts of the unit that depend on the project.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// The project: the folder of `watch.toml`, without links in its path.
    pub folder: &'a Path,
    /// The program to run.
    pub program: &'a Path,
    /// Its flags.
    pub arguments: &'a [String],
    /// Whether the key is a credential. A missing credential would keep the service from starting.
    pub credential: bool,
}

/// The name of a project's unit: readable and unique.
#[must_use]
pub fn name(folder: &Path) -> String {
    let last = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let plain: String = last.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
    let short: String = plain.trim_matches('-').chars().take(32).collect();
    let readable = if short.is_empty() { "project" } else { short.trim_end_matches('-') };
    format!("owui-watch-{readable}-{}.service", &digest(&folder.to_string_lossy())[..6])
}

/// The file of a unit's drop-in that hardens it.
#[must_use]
pub fn drop_in(unit: &Path) -> PathBuf {
    let mut folder = unit.as_os_str().to_owned();
    folder.push(".d");
    Path::new(&folder).join(DROP_IN_NAME)
}

/// The unit's text.
pub fn text(service: &Service<'_>) -> anyhow::Result<String> {
    Ok(sealed("install", service.folder, &body(service)?))
}

/// The text of the drop-in that hardens the unit of the project in this folder. The service may write only to the
/// folders `writable`, and must be able to read the paths `visible`: its program, its roots.
pub fn hardened(folder: &Path, writable: &[PathBuf], visible: &[PathBuf]) -> anyhow::Result<String> {
    let seen = || writable.iter().chain(visible);
    let in_tmp = TEMPORARY.iter().any(|tmp| seen().any(|path| path.starts_with(tmp)));
    let words = writable.iter().map(|folder| word(path(folder)?, false)).collect::<Result<Vec<_>, _>>()?;
    let (_, body) = DROP_IN.split_once("\n\n").unwrap_or_default();
    let body = with_lines(body, |name, value| match name {
        "ReadWritePaths" => Some(format!("ReadWritePaths={}", words.join(" "))),
        "PrivateTmp" if in_tmp => Some(format!("#PrivateTmp={value}")),
        _ => None,
    });
    Ok(sealed("install --hardened", folder, &body))
}

/// Adds a header that names the author and reveals later edits.
fn sealed(command: &str, folder: &Path, body: &str) -> String {
    let (name, version) = (name(folder), env!("CARGO_PKG_VERSION"));
    format!(
        "# Written by `owui-watch service {command}`, version {version}; `owui-watch service uninstall` removes it.\n# \
         Changes of your own belong in a drop-in, which stays: systemctl --user edit {name}\n{SEAL}{}\n\n{body}",
        digest(body)
    )
}

/// Whether we wrote a text and nobody edited it.
#[must_use]
pub fn is_ours(text: &str) -> bool {
    let sealed = text.split_once(SEAL).and_then(|(_, rest)| rest.split_once("\n\n"));
    sealed.is_some_and(|(seal, body)| seal == digest(body))
}

/// The unit's text below the header.
fn body(service: &Service<'_>) -> anyhow::Result<String> {
    let folder = folder(service.folder)?;
    let mut command = word(path(service.program)?, false)?;
    for argument in service.arguments {
        command = format!("{command} {}", word(argument, true)?);
    }
    let (_, body) = TEMPLATE.split_once("\n\n").unwrap_or_default();
    Ok(with_lines(body, |name, value| match name {
        "Description" => Some(format!("Description={value} in {folder}")),
        "WorkingDirectory" => Some(format!("WorkingDirectory={folder}")),
        "ExecStart" => Some(format!("ExecStart={command}")),
        "LoadCredential" if !service.credential => Some(format!("#LoadCredential={value}")),
        _ => None,
    }))
}

/// Replaces lines of the form `name=value`.
fn with_lines(text: &str, replace: impl Fn(&str, &str) -> Option<String>) -> String {
    text.lines().fold(String::new(), |text, line| {
        let replaced = line.split_once('=').and_then(|(name, value)| replace(name, value));
        text + replaced.as_deref().unwrap_or(line) + "\n"
    })
}

fn unwritable(text: &str) -> anyhow::Error {
    anyhow!("{text:?} cannot be written in a unit")
}

fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str().ok_or_else(|| unwritable(&path.display().to_string()))
}

/// A folder as a whole value, which cannot be quoted.
fn folder(folder: &Path) -> anyhow::Result<String> {
    let text = path(folder)?;
    // A trailing backslash would join the next line; systemd trims blanks.
    if text.ends_with('\\') || text.trim() != text {
        return Err(unwritable(text));
    }
    percent(text)
}

/// A word of a command line. systemd expands variables in arguments, but not in the program's path.
fn word(text: &str, is_argument: bool) -> anyhow::Result<String> {
    let escaped = percent(text)?.replace('\\', r"\\").replace('"', "\\\"");
    let escaped = if is_argument { escaped.replace('$', "$$") } else { escaped };
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@,+%".contains(c);
    Ok(if !text.is_empty() && text.chars().all(plain) { escaped } else { format!("\"{escaped}\"") })
}

/// Escapes systemd's `%` specifiers.
fn percent(text: &str) -> anyhow::Result<String> {
    if text.chars().any(char::is_control) {
        return Err(unwritable(text));
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

    /// The values of a name in the unit.
    fn said<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
        text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).collect()
    }

    #[test]
    fn a_unit_differs_from_the_template_only_by_project() {
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
    fn a_missing_credential_is_not_loaded() {
        let with = service("/p", &[]);
        let without = text(&Service { credential: false, ..with }).unwrap();
        assert!(said(&without, "LoadCredential").is_empty());
        assert_eq!(said(&without, "#LoadCredential"), said(&text(&with).unwrap(), "LoadCredential"));
    }

    #[test]
    fn command_words_are_quoted() {
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
    fn a_hardened_service_writes_only_to_its_folders() {
        let paths = |paths: &[&str]| -> Vec<_> { paths.iter().map(PathBuf::from).collect() };
        for (writable, visible, read_write, private_tmp) in [
            (&["/home/ann/plugins"][..], &["/usr/bin/owui-watch"][..], "/home/ann/plugins", true),
            (&["/50% \"off\"", "/state"], &[], r#""/50%% \"off\"" /state"#, true),
            (&["/tmp/plugins"], &[], "/tmp/plugins", false),
            (&["/p"], &["/var/tmp/plugins"], "/p", false),
            (&["/tmpfs/plugins"], &[], "/tmpfs/plugins", true),
        ] {
            let (writable, visible) = (paths(writable), paths(visible));
            let text = hardened(&writable[0], &writable, &visible).unwrap();
            assert_eq!(said(&text, "ReadWritePaths"), [read_write]);
            assert_eq!(said(&text, "PrivateTmp").len(), usize::from(private_tmp), "{read_write}");
            assert!(is_ours(&text) && !is_ours(&text.replace("ProtectSystem=strict", "ProtectSystem=yes")));
        }
        let broken = paths(&["/a\nPrivateUsers=no"]);
        assert!(hardened(Path::new("/a"), &broken, &[]).is_err());
    }

    #[test]
    fn a_drop_in_leaves_the_last_word_to_systemctl_edit() {
        let drop_in = drop_in(Path::new("/units/owui-watch-p.service"));
        assert_eq!(drop_in.parent(), Some(Path::new("/units/owui-watch-p.service.d")));
        assert!(drop_in.file_name() < Some("override.conf".as_ref()));
    }

    #[test]
    fn a_line_break_is_refused() {
        for folder in ["/a\nExecStart=/bin/false", "/a\\", "/a ", "/a\t"] {
            assert!(text(&service(folder, &[])).is_err(), "{folder:?}");
        }
        assert!(text(&service("/a", &arguments(&["b\nc"]))).is_err());
    }

    #[test]
    fn unit_names_are_readable_and_unique() {
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
    fn edits_of_a_unit_are_noticed() {
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
