//! Finds one text in the history of a plugin, by what the user typed.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use super::super::now;
use super::super::server::Server;
use super::table::ago;
use super::{Entry, Text, clock, name};
use crate::error::Error;
use crate::notice::{Commands, Provenance};
use crate::plugin::{Digest, Key};

/// How many candidates an ambiguous-version error names.
const MOST_NAMED: usize = 3;

/// Finds the text that the user wants: by default the newest one other than the server's.
///
/// # Errors
///
/// There is none, or several fit.
pub(in super::super) fn chosen<'e>(
    entries: &'e [Entry],
    wanted: Option<&str>,
    now: Option<Digest>,
    key: &Key,
    commands: &Commands,
) -> Result<&'e Entry, Error> {
    let id = &key.id;
    let Some(wanted) = wanted else {
        let before = |entry: &&Entry| entry.what != Provenance::Local && entry.text.is_some() && entry.digest() != now;
        return entries.iter().find(before).ok_or_else(|| {
            Error::new(format!("no other text of {key} is known"))
                .hinted("texts deployed from now on are kept and can be restored")
        });
    };
    let has_version = |entry: &Entry| entry.text.as_ref().and_then(|text| text.version.as_deref()) == Some(wanted);
    let begins = |entry: &Entry| {
        let lower = wanted.to_lowercase();
        entry.digest().is_some_and(|digest| digest.to_string().starts_with(&lower))
            || entry.version.as_ref().is_some_and(|version| version.id.to_lowercase().starts_with(&lower))
    };
    let mut fits: Vec<_> = entries.iter().filter(|entry| has_version(entry)).collect();
    if fits.is_empty() {
        fits = entries.iter().filter(|entry| begins(entry)).collect();
    }
    // The same text may be listed more than once.
    let mut seen = BTreeSet::new();
    fits.retain(|entry| entry.digest().is_none_or(|digest| seen.insert(digest)));
    match fits.as_slice() {
        [entry] => Ok(entry),
        [] => Err(Error::new(format!("no version `{wanted}` of {key} is known"))
            .hinted(format!("{} lists the known texts", commands.line("history", id.as_str())))),
        several => {
            let mut few: Vec<_> = several.iter().take(MOST_NAMED).map(|entry| name(entry)).collect();
            let last = few.pop().unwrap_or_default();
            let such_as = if several.len() > MOST_NAMED { ", such as" } else { ":" };
            let (n, few) = (several.len(), few.join(", "));
            Err(Error::new(format!("`{wanted}` may be one of {n} texts{such_as} {few} and {last}")).hinted(format!(
                "name one by its digest, as {} lists them with their times",
                commands.line("history --all", id.as_str())
            )))
        }
    }
}

/// The text of an entry; the server is asked if there is no copy of it.
///
/// # Errors
///
/// There is no copy, and the server does not return it.
pub(in super::super) async fn text_of(entry: &Entry, key: &Key, server: Server<'_>) -> Result<Text, Error> {
    match (&entry.text, &entry.version) {
        (Some(text), _) => Ok(text.clone()),
        (None, Some(version)) => {
            let text = server.version(key, &version.id).await?;
            Ok(Text::new(&text.ok_or_else(|| Error::failed("the server does not return the text of this version"))?))
        }
        (None, None) => Err(Error::failed("no copy of this text is left")),
    }
}

/// A text in words: its version, its age, and the name that `history` lists.
pub(in super::super) fn described(entry: &Entry) -> String {
    named(entry, entry.at.map(|at| ago(at, now(), &TimeZone::system())))
}

/// A text in words for the header of a difference, which may be kept: with the time instead of the age.
pub(in super::super) fn dated(entry: &Entry) -> String {
    named(entry, entry.at.map(|at| clock(at, &TimeZone::system())))
}

fn named(entry: &Entry, at: Option<String>) -> String {
    let version = entry.text.as_ref().and_then(|text| text.version.as_deref());
    let text = version.map_or_else(|| "the text".to_owned(), |version| format!("version {version}"));
    let at = at.map_or_else(String::new, |at| format!(" from {at}"));
    format!("{text}{at} ({})", name(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_named_in_words() {
        let told = |text: &str, at: Option<&str>| {
            let text = Some(Text::new(text));
            let entry = Entry { what: Provenance::Deployed, at: None, text, copy: None, version: None, current: false };
            named(&entry, at.map(str::to_owned)).replace(&name(&entry), "ID")
        };
        assert_eq!(told("x = 1\n", Some("3 min ago")), "the text from 3 min ago (ID)");
        let titled = "\"\"\"\ntitle: A\nversion: 1.0\n\"\"\"\n";
        assert_eq!(told(titled, Some("2026-01-02")), "version 1.0 from 2026-01-02 (ID)");
        assert_eq!(told(titled, None), "version 1.0 (ID)");
    }
}
