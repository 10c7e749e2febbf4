//! Writes to disk, in order and off the loop: a disk that syncs slowly delays neither the server's answers nor the next
//! save.
#![expect(clippy::disallowed_methods, reason = "copies are named by the time that they are made at")]

use std::collections::{BTreeSet, VecDeque};

use jiff::Timestamp;
use tokio::task::{JoinError, JoinHandle};

use crate::disk::Folder;
use crate::driver::{LedgerText, LedgerWritten, Write};
use crate::engine::Event;
use crate::plugin::Key;

/// How many bytes are appended to a small ledger before it is written whole again.
const LEAST_ROOM: usize = 64 * 1024;

/// The result of a [`Write`].
#[derive(Debug)]
pub(super) enum Written {
    /// The engine waits for it.
    Event(Event),
    /// The ledger, with the error if there is one.
    Ledger(LedgerWritten, Option<anyhow::Error>),
    /// The engine does not wait for it.
    Nothing(anyhow::Result<()>),
}

/// A small write that nothing waits for.
pub(super) type Note = Box<dyn FnOnce(&Folder) -> anyhow::Result<()> + Send>;

/// One write after the other.
pub(super) struct Writer {
    folder: Folder,
    queue: VecDeque<Write>,
    /// Small writes that nothing waits for. They come after the others.
    notes: Vec<Note>,
    running: Option<JoinHandle<Vec<Written>>>,
    /// Intents to clear once the ledger is on disk.
    superfluous: BTreeSet<Key>,
    /// The last write of the ledger failed, perhaps half-way: nothing can be appended to the file.
    needs_whole: bool,
    /// The length of the ledger when it was last written whole, and of what was appended since, in bytes.
    whole: usize,
    added: usize,
}

impl Writer {
    pub(super) fn new(folder: Folder) -> Self {
        Self {
            folder,
            queue: VecDeque::new(),
            notes: Vec::new(),
            running: None,
            superfluous: BTreeSet::new(),
            needs_whole: false,
            whole: 0,
            added: 0,
        }
    }

    /// Queues a write.
    pub(super) fn push(&mut self, write: Write) {
        self.queue.push_back(write);
    }

    /// Queues a small write that nothing waits for.
    pub(super) fn note(&mut self, note: Note) {
        self.notes.push(note);
    }

    /// Starts the next write, unless one is running.
    pub(super) fn start(&mut self) {
        while self.running.is_none()
            && let Some(write) = self.queue.pop_front()
        {
            let folder = self.folder.clone();
            self.running = match write {
                Write::Ledger(text) => {
                    let (text, superfluous) = self.ledger(text);
                    let is_possible = !self.needs_whole || matches!(text, LedgerText::Whole(_));
                    Some(tokio::task::spawn_blocking(move || {
                        if is_possible {
                            write_ledger(&folder, &text, superfluous)
                        } else {
                            vec![Written::Ledger(LedgerWritten::NotAdded, None)]
                        }
                    }))
                }
                Write::ClearIntent(key) => {
                    self.superfluous.insert(key);
                    None
                }
                Write::Backup(..) | Write::Intent(..) | Write::Archive(_) | Write::ArchiveFound(_) => {
                    // This intent replaces the superfluous one, but not before its turn in the queue.
                    if let Write::Intent(_, key, _) = &write {
                        self.superfluous.remove(key);
                    }
                    Some(tokio::task::spawn_blocking(move || vec![perform(&folder, write)]))
                }
            };
        }
        if self.running.is_none() && !self.notes.is_empty() {
            let (folder, notes) = (self.folder.clone(), std::mem::take(&mut self.notes));
            let write = move || notes.into_iter().map(|note| Written::Nothing(note(&folder))).collect();
            self.running = Some(tokio::task::spawn_blocking(write));
        }
    }

    /// Merges consecutive ledger writes into one, with the intents to clear. Other writes between two of them keep
    /// their place.
    fn ledger(&mut self, mut text: LedgerText) -> (LedgerText, BTreeSet<Key>) {
        while let Some(Write::Ledger(_) | Write::ClearIntent(_)) = self.queue.front() {
            match (self.queue.pop_front(), &mut text) {
                (Some(Write::Ledger(LedgerText::Added(more))), LedgerText::Whole(text) | LedgerText::Added(text)) => {
                    text.push_str(&more);
                }
                (Some(Write::Ledger(whole @ LedgerText::Whole(_))), _) => text = whole,
                (Some(Write::ClearIntent(key)), _) => drop(self.superfluous.insert(key)),
                _ => {}
            }
        }
        match &text {
            LedgerText::Whole(text) => (self.whole, self.added) = (text.len(), 0),
            LedgerText::Added(text) => self.added += text.len(),
        }
        (text, self.superfluous.clone())
    }

    /// Waits for the running write; forever if there is none.
    pub(super) async fn next(&mut self) -> Vec<Written> {
        self.start();
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let done = running.await;
        self.finish(done)
    }

    fn finish(&mut self, done: Result<Vec<Written>, JoinError>) -> Vec<Written> {
        self.running = None;
        let mut written = match done {
            Ok(written) => written,
            // Only a bug ends a write without a result.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        for written in &mut written {
            let Written::Ledger(what, _) = written else { continue };
            self.needs_whole = *what != LedgerWritten::Done;
            if *what == LedgerWritten::Done {
                self.superfluous.clear();
                if self.added > self.whole.max(LEAST_ROOM) {
                    *what = LedgerWritten::Full;
                }
            }
        }
        written
    }

    /// Waits until everything is written.
    pub(super) async fn flush(&mut self) -> Vec<Written> {
        let mut all = Vec::new();
        while self.running.is_some() || !self.queue.is_empty() || !self.notes.is_empty() {
            all.extend(self.next().await);
        }
        all
    }
}

fn write_ledger(folder: &Folder, text: &LedgerText, superfluous: BTreeSet<Key>) -> Vec<Written> {
    let (written, failed) = match text {
        LedgerText::Whole(text) => (folder.save(text), LedgerWritten::Failed),
        LedgerText::Added(text) => (folder.add(text), LedgerWritten::NotAdded),
    };
    if let Err(error) = written {
        return vec![Written::Ledger(failed, Some(error))];
    }
    let cleared = superfluous.into_iter().map(|key| Written::Nothing(folder.clear_intent(&key)));
    cleared.chain([Written::Ledger(LedgerWritten::Done, None)]).collect()
}

fn perform(folder: &Folder, write: Write) -> Written {
    let words = |error: anyhow::Error| format!("{error:#}");
    match write {
        Write::Backup(ticket, backup) => {
            let saved = folder.save_backup(&backup, Timestamp::now());
            Written::Event(Event::BackupSaved(ticket, saved.map_err(words)))
        }
        Write::Intent(ticket, key, intent) => {
            let saved = folder.save_intent(&key, &intent);
            Written::Event(Event::IntentSaved(ticket, saved.map_err(words)))
        }
        Write::Archive(backup) => Written::Nothing(folder.archive(&backup, Timestamp::now())),
        Write::ArchiveFound(backup) => Written::Nothing(folder.archive_found(&backup, Timestamp::now())),
        // `Writer::start` handles these.
        Write::Ledger(_) | Write::ClearIntent(_) => Written::Nothing(Ok(())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::State;
    use crate::engine::Ticket;
    use crate::engine::ledger::{LastAttempt, Ledger, UpdateIntent};
    use crate::plugin::{Digest, Kind, id::PluginId};

    const SERVER: &str = "http://server";

    fn key(id: &str) -> Key {
        Key { kind: Kind::Function, id: PluginId::new(id).unwrap() }
    }

    fn intent() -> UpdateIntent {
        UpdateIntent { ours: Vec::new(), replaced: Some(Digest::of(b"old")), was_active: true }
    }

    /// A ledger with these plugins, as a whole and as it is added.
    fn texts(ids: &[&str]) -> (LedgerText, LedgerText) {
        let mut ledger = Ledger::default();
        let keys: Vec<_> = ids.iter().map(|id| key(id)).collect();
        for key in &keys {
            ledger.ended(key, LastAttempt::Failed { digest: Digest::of(b"new") });
        }
        (LedgerText::Whole(ledger.to_json()), LedgerText::Added(ledger.addition(&keys).unwrap()))
    }

    async fn write(writer: &mut Writer, asked: impl IntoIterator<Item = Write>) -> Vec<LedgerWritten> {
        for write in asked {
            writer.push(write);
        }
        let written = writer.flush().await.into_iter();
        written.filter_map(|written| if let Written::Ledger(what, _) = written { Some(what) } else { None }).collect()
    }

    #[tokio::test]
    async fn an_intent_goes_when_its_record_is_on_disk_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".owui-watch");
        let state = State::open(path.clone(), SERVER).unwrap();
        let mut writer = Writer::new(state.folder());
        let save = |id| Write::Intent(Ticket::default(), key(id), intent());
        let (whole, _) = texts(&["a"]);
        let (_, b) = texts(&["b"]);
        let (_, c) = texts(&["c"]);
        assert_eq!(write(&mut writer, [save("a"), save("b"), Write::Ledger(whole)]).await, [LedgerWritten::Done]);
        assert_eq!(state.intents().len(), 2);

        // The file is gone, so neither addition may count as a record of `a`.
        let ledger = std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
        let ledger: Vec<_> = ledger.filter(|path| path.extension().is_some_and(|it| it == "json")).collect();
        ledger.iter().filter(|path| path.to_str().unwrap().contains("ledger-")).for_each(|path| remove(path));
        let asked = [Write::Ledger(b), Write::ClearIntent(key("a")), save("c"), Write::Ledger(c)];
        assert_eq!(write(&mut writer, asked).await, [LedgerWritten::NotAdded, LedgerWritten::NotAdded]);
        assert_eq!(state.intents().len(), 3);

        // The intent of a newer update outlives the clearing of the one before.
        let (whole, _) = texts(&["a", "b", "c"]);
        assert_eq!(write(&mut writer, [save("a"), Write::Ledger(whole)]).await, [LedgerWritten::Done]);
        assert!(state.intents().contains_key(&key("a")));
        let (_, a) = texts(&["a"]);
        let asked = [Write::Ledger(a), Write::ClearIntent(key("a")), Write::ClearIntent(key("b"))];
        assert_eq!(write(&mut writer, asked).await, [LedgerWritten::Done]);
        assert_eq!(state.intents().into_keys().collect::<Vec<_>>(), [key("c")]);
    }

    #[tokio::test]
    async fn what_nothing_waits_for_comes_last() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::open(folder.path().join(".owui-watch"), SERVER).unwrap();
        let mut writer = Writer::new(state.folder());
        let intents = |folder: &Folder| match folder.intents().len() {
            1 => Ok(()),
            many => anyhow::bail!("{many}"),
        };
        writer.note(Box::new(intents));
        writer.push(Write::Intent(Ticket::default(), key("a"), intent()));
        let written = writer.flush().await;
        assert!(matches!(written[..], [Written::Event(_), Written::Nothing(Ok(()))]), "{written:?}");
    }

    fn remove(path: &std::path::Path) {
        std::fs::remove_file(path).unwrap();
    }
}
