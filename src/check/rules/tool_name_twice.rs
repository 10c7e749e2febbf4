//! Two tools with a function of the same name. Before 0.12.4 a model could call only the one that came first.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{CheckRule, Context};
use crate::check::Options;
use crate::check::context::name_of;
use crate::plugin::{Diagnostic, Entry, Finding, Plugin, Rule, Severity, Span, python};

pub(super) const RULE: CheckRule = CheckRule {
    id: "tool-name-twice",
    severity: Severity::Warning,
    title: "two tools with a function of the same name",
    page: "
A model sees the functions of all tools that a chat has, by name. Before 0.12.4 the server offered
only the first of two with the same name, whichever that was. Since 0.12.4 it tells them apart,
and this rule is silent.",
    wrong: "
class Tools:
    def search(self, query: str):
        \"\"\"
        :param query: what to look for
        \"\"\"
        return query
",
    right: "
class Tools:
    def search_notes(self, query: str):
        \"\"\"
        :param query: what to look for
        \"\"\"
        return query
",
    check: |_, _| (),
};

/// Since then, both can be called.
const TOLD_APART: &str = "0.12.4";

pub(in crate::check) fn across<'a>(
    plugins: impl IntoIterator<Item = (&'a Plugin, &'a str)>,
    options: &Options,
) -> BTreeMap<Arc<Path>, Vec<Diagnostic>> {
    let mut found: BTreeMap<Arc<Path>, Vec<Diagnostic>> = BTreeMap::new();
    if options.version.is_since(TOLD_APART) || !options.uses(RULE.id) {
        return found;
    }
    let mut owners: BTreeMap<String, Vec<(Arc<Path>, Span)>> = BTreeMap::new();
    for (plugin, text) in plugins {
        let Some(parsed) = (plugin.entry == Entry::Tools).then(|| python::tree(text)).flatten() else { continue };
        let context = Context::new(plugin, text, &parsed, options.version);
        for tool in context.tools() {
            let span = Span::new(text, name_of(tool).into());
            owners.entry(tool.name.to_string()).or_default().push((Arc::clone(&plugin.path), span));
        }
    }
    for (name, owners) in owners {
        for (path, span) in &owners {
            let Some((other, _)) = owners.iter().find(|(other, _)| other != path) else { continue };
            let finding = Finding {
                rule: RULE.id,
                severity: RULE.severity,
                message: format!(
                    "`{}` has a `{name}` as well: before {TOLD_APART} a model can call only one",
                    other.display()
                ),
                hint: Some("give one of them another name".to_owned()),
                fix: None,
            };
            let rule = Rule::Checked(Arc::new(finding));
            let diagnostic = Diagnostic { rule, file: Arc::clone(path), span: Some(span.clone()) };
            found.entry(Arc::clone(path)).or_default().push(diagnostic);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::plugin;
    use super::*;
    use crate::check::ServerVersion;

    #[test]
    fn only_tools_of_two_files_collide() {
        let tool = "class Tools:\n    def search(self): pass\n    def _hidden(self): pass\n";
        let pipe = "class Pipe:\n    def search(self): pass\n";
        let plugins = [plugin("a.py", tool), plugin("b.py", tool), plugin("c.py", pipe)];
        let run = |version| {
            let options = Options { version: ServerVersion::parse(version).unwrap(), ..Options::default() };
            across(plugins.iter().map(|plugin| (&**plugin, &*plugin.text)), &options)
        };
        let found = run("0.11.4");
        let paths: Vec<_> = found.keys().map(|path| path.display().to_string()).collect();
        assert_eq!(paths, ["a.py", "b.py"]);
        assert_eq!(found[Path::new("a.py")].len(), 1);
        assert!(run("0.12.4").is_empty());
    }
}
