//! Files with the same id: the watch deploys none of them, so the diagnostic of each names the others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::paths::slashed;
use crate::plugin::frontmatter::Frontmatter;
use crate::plugin::{Diagnostic, Key, Plugin, Rule, Span};

/// How many other files a diagnostic names; the rest are only counted.
const MOST_OTHERS: usize = 3;

/// A diagnostic for each file whose id another file has. `project_of` gives the folder of a file's project: only files
/// of one project are compared. `certain`: the settings say which files form one project, so none of the duplicates is
/// deployed. Otherwise they may be copies that are never deployed.
#[must_use]
pub fn ids_twice<'a>(
    plugins: impl IntoIterator<Item = &'a Plugin>,
    certain: bool,
    project_of: impl Fn(&Path) -> Option<PathBuf>,
) -> BTreeMap<Arc<Path>, Diagnostic> {
    let mut claims: BTreeMap<&Key, Vec<&Plugin>> = BTreeMap::new();
    for plugin in plugins {
        claims.entry(&plugin.key).or_default().push(plugin);
    }
    let mut found = BTreeMap::new();
    for plugins in claims.into_values().filter(|plugins| plugins.len() > 1) {
        let projects: Vec<_> = plugins.iter().map(|plugin| project_of(&plugin.path)).collect();
        for (plugin, project) in plugins.iter().zip(&projects) {
            let of_project = plugins.iter().zip(&projects).filter(|(_, other)| *other == project).map(|(it, _)| it);
            let mut others: Vec<_> =
                of_project.filter(|other| other.path != plugin.path).map(|other| slashed(&other.path)).collect();
            if others.is_empty() {
                continue;
            }
            let more = others.len().saturating_sub(MOST_OTHERS);
            others.truncate(MOST_OTHERS);
            let rule = Rule::IdTwice { id: plugin.key.id.clone(), others, more, certain };
            let is_of_header = plugin.frontmatter.id().is_some_and(|id| id.to_lowercase() == plugin.key.id.as_str());
            let place = is_of_header.then(|| Frontmatter::place(&plugin.text, "id")).flatten();
            let span = place.map(|place| Span::new(&plugin.text, place));
            let file = Arc::clone(&plugin.path);
            found.insert(Arc::clone(&file), Diagnostic { rule, file, span });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::rules::tests::plugin;
    use crate::plugin::Severity;

    #[test]
    fn each_file_of_an_id_is_told_of_the_others() {
        let header = "\"\"\"\nid: Same\n\"\"\"\nclass Pipe: pass\n";
        let plugins = [
            plugin("a.py", header),
            plugin("b/same.py", "class Filter: pass\n"),
            plugin("same.py", "class Tools: pass\n"),
            plugin("c/same.py", "class Pipe: pass\n"),
            plugin("d.py", "class Pipe: pass\n"),
        ];
        let plugins: Vec<&Plugin> = plugins.iter().map(|plugin| &**plugin).collect();
        let one = |_: &Path| None;
        let twice = |project_of: &dyn Fn(&Path) -> Option<PathBuf>| {
            let found = ids_twice(plugins.iter().copied(), true, project_of);
            let line = |it: &Diagnostic| {
                let place = it.span.as_ref().map(|span| (span.line, span.column, span.width));
                format!("{} {place:?} {}: {}", slashed(&it.file), it.severity().word(), it.message())
            };
            found.values().map(line).collect::<Vec<_>>().join("\n")
        };
        expect_test::expect![[r"
            a.py Some((2, 5, 4)) error: the id `same` is also used by `b/same.py`, `c/same.py`: none of them is deployed
            b/same.py None error: the id `same` is also used by `a.py`, `c/same.py`: none of them is deployed
            c/same.py None error: the id `same` is also used by `a.py`, `b/same.py`: none of them is deployed"]]
        .assert_eq(&twice(&one));
        assert!(ids_twice(plugins[1..3].iter().copied(), true, one).is_empty(), "a function and a tool");
        let guessed = ids_twice(plugins.iter().copied(), false, one);
        assert!(guessed.len() == 3 && guessed.values().all(|it| it.severity() == Severity::Warning));
        // Each folder is a project of its own. `a.py` and `same.py` share one, but differ in kind.
        assert_eq!(twice(&|path: &Path| path.parent().map(Path::to_owned)), "");
    }
}
