//! Tries whether folders can be watched, without watching them for long.

use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::{Sign, Watcher};

/// Why a watch of these folders would have to do without events, and the remedy: what it would say. `None` if it gets
/// events.
pub fn without_events(
    roots: &[PathBuf],
    folders: &[PathBuf],
    debounce: Duration,
) -> anyhow::Result<Option<(String, Option<String>)>> {
    let (send, signs) = channel();
    // A closed channel means that the trial is over.
    let mut watcher = Watcher::new(roots, debounce, None, move |sign| {
        send.send(sign).ok();
    })?;
    let refused: Vec<_> = folders.iter().filter_map(|folder| watcher.watch_folder(folder).err()).collect();
    let blind = signs.try_iter().chain(refused).find_map(|sign| match sign {
        Sign::Blind(message, hint) => Some((message, hint)),
        _ => None,
    });
    Ok(blind)
}
