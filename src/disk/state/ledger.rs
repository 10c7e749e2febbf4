//! The ledger's file: what was deployed from here to one server. A file that cannot be used is set aside, never
//! deleted.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::identity::Owner;
use super::trust;
use super::{Folder, NOT_OURS, State, StateError, despite_removal};
use crate::engine::ledger::{self, Ledger};
use crate::paths::slashed;
use crate::whole_file::{Lasting, write_whole};

/// A ledger of ten thousand plugins has 4 MiB. We never write a larger one.
const LARGEST_LEDGER: u64 = 64 * 1024 * 1024;

impl Folder {
    /// The current ledger, without the lock. A file that cannot be used counts as empty.
    #[must_use]
    pub fn peek(&self) -> Ledger {
        self.owner().and_then(|owner| self.read_ledger(&owner).ok()).flatten().unwrap_or_default()
    }

    /// `None` if there is no file. The error says why it cannot be used.
    fn read_ledger(&self, owner: &Owner) -> Result<Option<Ledger>, String> {
        let bytes = match self.read(&self.ledger(), LARGEST_LEDGER) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let text = whole_text(&bytes).map_err(|error| error.to_string())?;
        let header = text.split_once('\n').and_then(|(line, body)| Some((Header::read(line)?, body)));
        let (state, body) = header.map_or((None, text), |(header, body)| (Some(header.state), body));
        let ledger = Ledger::from_json(body)?;
        if owner.wrote(state.as_deref()) { Ok(Some(ledger)) } else { Err(format!("it {NOT_OURS}")) }
    }

    /// Writes the ledger's text, durably.
    pub fn save(&self, ledger: &str) -> anyhow::Result<()> {
        let path = self.ledger();
        let save = || {
            // The folder may have been deleted while the program runs.
            let header = Header { format: ledger::FORMAT, state: self.made()?.id };
            let text = format!("{}\n{ledger}", serde_json::to_string(&header)?);
            Ok(write_whole(&path, text.as_bytes(), Lasting::Synced)?)
        };
        despite_removal(save).with_context(|| format!("cannot write `{}`", slashed(&path)))
    }

    /// Appends to the ledger's text, durably. Fails if there is no ledger: it must be written as a whole then.
    pub fn add(&self, text: &str) -> anyhow::Result<()> {
        let mut file = trust::open(&self.path, &self.ledger(), OpenOptions::new().append(true))?;
        file.write_all(text.as_bytes())?;
        Ok(file.sync_data()?)
    }

    pub(super) fn ledger(&self) -> PathBuf {
        self.path.join(format!("ledger-{}.json", self.server))
    }
}

impl State {
    /// Reads the ledger. A file that cannot be used is set aside, and the error says so: it is safe to continue without
    /// it. A newer version may have written it and want it back, so it never replaces a file that was set aside before.
    #[must_use]
    pub fn load(&self) -> (Ledger, Option<StateError>) {
        let owner = self.folder.made().map_err(|error| format!("{error:#}"));
        let cause = match owner.and_then(|owner| self.read_ledger(&owner)) {
            Ok(ledger) => {
                let set_aside = self.aside.as_ref().map(|aside| StateError {
                    message: self.set_aside(aside),
                    hint: "history and rollbacks start anew; a text that was rolled back here is deployed again"
                        .to_owned(),
                    other: None,
                });
                return (ledger.unwrap_or_default(), set_aside);
            }
            Err(cause) => cause,
        };
        let ledger = self.ledger();
        let numbered = |n| ledger.with_extension(format!("json.unusable-{n}"));
        let names = std::iter::once(ledger.with_extension("json.unusable")).chain((2..).map(numbered));
        let moved = names.into_iter().find(|aside| aside.symlink_metadata().is_err()).map(|aside| {
            let moved = fs::rename(&ledger, &aside);
            moved.map(|()| aside)
        });
        let kept = match moved {
            Some(Ok(aside)) => format!("; it is kept as `{}`", slashed(&aside)),
            Some(Err(_)) | None => String::new(),
        };
        let error = StateError {
            message: format!("cannot use `{}`: {cause}{kept}", slashed(&ledger)),
            hint: "nothing is lost: every plugin is compared with the server".to_owned(),
            other: None,
        };
        (Ledger::default(), Some(error))
    }
}

/// The first line of the ledger's file.
#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    /// The id of the state folder that it belongs to.
    state: String,
}

impl Header {
    fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

/// The text as far as it was written: after a power cut a file may end in zeros, or in the middle of a character.
fn whole_text(bytes: &[u8]) -> Result<&str, std::str::Utf8Error> {
    let written = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    match str::from_utf8(written) {
        Err(error) if error.error_len().is_none() => str::from_utf8(&written[..error.valid_up_to()]),
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::super::identity;
    use super::*;
    use crate::plugin::{Digest, Key, Kind, id::PluginId};

    fn key() -> Key {
        Key { kind: Kind::Tool, id: PluginId::new("clock").unwrap() }
    }

    #[test]
    fn zeros_at_the_end_of_a_ledger_cost_the_end_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path().to_owned(), "http://h").unwrap();
        let umlaut = Key { kind: Kind::Tool, id: PluginId::new("größe").unwrap() };
        let mut ledger = Ledger::default();
        ledger.sending(&key(), Digest::of(b"x"));
        state.save(&ledger.to_json()).unwrap();
        let (before, whole) = (ledger.clone(), fs::read(state.ledger()).unwrap());
        ledger.sending(&umlaut, Digest::of(b"y"));
        let added = ledger.addition([&umlaut]).unwrap();
        state.add(&added).unwrap();
        assert_eq!(state.load().0, ledger);
        for length in 0..added.len() {
            for zeros in [0, 4096] {
                let written = [&whole, &added.as_bytes()[..length], &vec![0; zeros]].concat();
                fs::write(state.ledger(), written).unwrap();
                let (read, trouble) = state.load();
                assert!(read == before && trouble.is_none(), "{length} bytes, {zeros} zeros: {trouble:?}");
            }
        }
    }

    #[test]
    fn a_ledger_of_another_folder_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path().to_owned(), "http://h").unwrap();
        let mut ledger = Ledger::default();
        ledger.sending(&key(), Digest::of(b"x"));
        state.save(&ledger.to_json()).unwrap();
        let own = fs::read_to_string(state.ledger()).unwrap();
        for planted in [ledger.to_json(), own.replacen(r#""state":""#, r#""state":"0"#, 1)] {
            fs::write(state.ledger(), planted).unwrap();
            assert_eq!(state.peek(), Ledger::default());
            let (read, trouble) = state.load();
            assert_eq!(read, Ledger::default());
            assert!(trouble.unwrap().to_string().contains("or was written by an earlier version; it is kept as"));
        }
    }

    #[test]
    fn a_whole_planted_folder_is_set_aside_and_said() {
        let Some((theirs, ours)) = identity::born_apart() else { return };
        let ours = ours.path().join(".owui-watch");
        fs::create_dir(&ours).unwrap();
        let mut ledger = Ledger::default();
        ledger.sending(&key(), Digest::of(b"x"));
        State::open(theirs.path().to_owned(), "http://h").unwrap().save(&ledger.to_json()).unwrap();
        for name in ["identity", "ledger-h.json"] {
            fs::copy(theirs.path().join(name), ours.join(name)).unwrap();
        }
        let folder = Folder::new(ours.clone(), "http://h");
        assert_eq!(folder.peek(), Ledger::default());
        let (read, trouble) = State::open(ours.clone(), "http://h").unwrap().load();
        assert_eq!(read, Ledger::default());
        let aside = ours.join("unusable/1");
        let trouble = trouble.unwrap();
        assert!(trouble.hint().starts_with("history and rollbacks start anew"));
        assert!(trouble.to_string().ends_with(&format!("; it is kept in `{}`", aside.display())));
        assert!(aside.join("ledger-h.json").exists());
    }

    #[test]
    fn a_damaged_ledger_is_set_aside_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path().to_owned(), "http://h").unwrap();
        assert_eq!(state.load().0, Ledger::default());
        let damaged: [&[u8]; 5] = [b"{\"format\": 1, \"function", b"{\"format\": 99}", b"[]", b"", b"\xff\xfe"];
        for (n, bytes) in damaged.into_iter().enumerate() {
            fs::write(state.ledger(), bytes).unwrap();
            let (ledger, error) = state.load();
            assert_eq!(ledger, Ledger::default());
            let name = if n == 0 { "json.unusable`".to_owned() } else { format!("json.unusable-{}`", n + 1) };
            assert!(error.unwrap().to_string().contains(&name), "{bytes:?}");
            assert!(state.load().1.is_none(), "it is out of the way");
        }
        // Both are unchanged: a newer version may have written the second, and want it back.
        for (n, bytes) in damaged.into_iter().enumerate() {
            let name = if n == 0 { String::new() } else { format!("-{}", n + 1) };
            assert_eq!(fs::read(folder.path().join(format!("ledger-h.json.unusable{name}"))).unwrap(), bytes);
        }
    }

    #[test]
    fn a_ledger_that_was_never_ours_is_not_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path().to_owned(), "http://h").unwrap();
        File::create(state.ledger()).unwrap().set_len(LARGEST_LEDGER + 1).unwrap();
        assert!(state.load().1.unwrap().to_string().contains("larger than"));
        fs::create_dir(state.ledger()).unwrap();
        assert!(state.load().1.unwrap().to_string().contains("json.unusable-2"));
    }

    /// Someone deletes the folder while the program runs.
    #[test]
    fn a_ledger_finds_its_folder_gone_and_makes_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path().join("state"), "http://h").unwrap();
        fs::remove_dir_all(folder.path().join("state")).unwrap();
        state.save(&Ledger::default().to_json()).unwrap();
        assert!(state.load().1.is_none());
    }
}
