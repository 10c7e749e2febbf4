//! Finds what a misspelled word probably means.

use std::path::Path;

use crate::paths::slashed;
use crate::plugin::id::PluginId;

/// Two words at least this similar count as a misspelling.
const LIKENESS: f64 = 0.8;

/// The id or path that a word probably misspells.
pub(super) fn nearest_plugin<'a>(
    word: &str,
    ids: impl Iterator<Item = &'a PluginId>,
    paths: impl Iterator<Item = &'a Path>,
) -> Option<String> {
    best(plugins_like(word, ids, paths))
}

/// The ids and paths, each with its similarity to a word.
pub(super) fn plugins_like<'a>(
    word: &str,
    ids: impl Iterator<Item = &'a PluginId>,
    paths: impl Iterator<Item = &'a Path>,
) -> impl Iterator<Item = (f64, String)> {
    let ids = ids.map(move |id| (likeness(word, id.as_str()), id.to_string()));
    let paths = paths.map(move |path| {
        let (whole, name) = (slashed(path), path.file_name().unwrap_or_default().to_string_lossy());
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let likeness = [&*whole, &*name, &*stem].map(|own| likeness(word, own)).into_iter().fold(0.0, f64::max);
        (likeness, whole)
    });
    ids.chain(paths)
}

/// The first of the most similar names, if similar enough.
pub(super) fn best(names: impl Iterator<Item = (f64, String)>) -> Option<String> {
    let alike = names.filter(|(likeness, _)| *likeness > LIKENESS);
    alike.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|(_, name)| name)
}

/// How similar a word is to a name, from 0 to 1.
pub(super) fn likeness(word: &str, name: &str) -> f64 {
    strsim::jaro_winkler(&word.to_lowercase(), &name.to_lowercase())
}
