//! Two tools with a function of the same name. Before 0.12.4 a model could call only the one that came first.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ruff_python_ast::StmtFunctionDef;
use ruff_text_size::Ranged as _;

use super::{CheckRule, Context};
use crate::check::{Found, Options, ignores};
use crate::paths::slashed;
use crate::plugin::{Diagnostic, Rule, RuleFinding, Severity, Span};

pub(in crate::check) const RULE: CheckRule = CheckRule {
    id: "tool-name-twice",
    severity: Severity::Warning,
    title: "two tools with a function of the same name",
    page: "
A model sees the functions of all tools of a chat by name. If two have the same name, servers before
0.12.4 offered only the first, whichever that was. Since 0.12.4 the server tells them apart, and
this rule reports nothing. In the example, another tool of the project has a function `search` too.",
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

/// Since this version, a model can call both.
const TOLD_APART: &str = "0.12.4";

/// How many functions of one plugin are compared.
const MOST: usize = 200;

fn is_in_use(options: &Options) -> bool {
    !options.version.is_since(TOLD_APART) && options.uses(RULE.id)
}

/// The functions of a tool to compare with those of other plugins, without ignored ones.
pub(in crate::check) fn tools(context: &Context<'_>, options: &Options) -> Vec<(String, Span)> {
    if !is_in_use(options) {
        return Vec::new();
    }
    let place = |tool: &StmtFunctionDef| Span::new(context.text, tool.name.range().into());
    let tools = context.tools().into_iter().take(MOST).map(|tool| (tool.name.to_string(), place(tool)));
    tools.filter(|(_, place)| !ignores::silences(&place.source, RULE.id)).collect()
}

pub(in crate::check) fn across<'a>(
    plugins: impl IntoIterator<Item = (&'a Arc<Path>, &'a Found)>,
    options: &Options,
) -> BTreeMap<Arc<Path>, Vec<Diagnostic>> {
    let mut found: BTreeMap<Arc<Path>, Vec<Diagnostic>> = BTreeMap::new();
    if !is_in_use(options) {
        return found;
    }
    let mut owners: BTreeMap<&str, Vec<(&Arc<Path>, &Span)>> = BTreeMap::new();
    for (path, of_plugin) in plugins {
        for (name, span) in &of_plugin.tools {
            owners.entry(name).or_default().push((path, span));
        }
    }
    for (name, owners) in owners {
        for (path, span) in &owners {
            let Some((other, _)) = owners.iter().find(|(other, _)| other != path) else { continue };
            let finding = RuleFinding {
                rule: RULE.id,
                severity: RULE.severity,
                message: format!(
                    "`{}` has a `{name}` as well: before {TOLD_APART} a model can call only one",
                    slashed(&other)
                ),
                hint: Some("give one of them another name".to_owned()),
                fix: None,
            };
            let rule = Rule::Checked(Arc::new(finding));
            let diagnostic = Diagnostic { rule, file: Arc::clone(path), span: Some((*span).clone()) };
            found.entry(Arc::clone(path)).or_default().push(diagnostic);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::{found, found_together, plugin};
    use crate::check::Options;
    use crate::server_version::ServerVersion;

    #[test]
    fn only_tools_of_two_files_collide() {
        let tool = "class Tools:\n    def search(self): pass\n    def _hidden(self): pass\n";
        let pipe = "class Pipe:\n    def search(self): pass\n";
        let plugins = [plugin("a.py", tool), plugin("b.py", tool), plugin("c.py", pipe)];
        let run = |version| {
            let options = Options { version: ServerVersion::parse(version).unwrap(), ..Options::default() };
            found_together(&plugins, &options)
        };
        let twice = run("0.11.4");
        let paths: Vec<_> = twice.keys().map(|path| path.display().to_string()).collect();
        assert_eq!(paths, ["a.py", "b.py"]);
        assert!(twice.values().all(|found| found.len() == 1));
        assert!(run("0.12.4").is_empty());
        let silent = tool.replace("search(self): pass", "search(self): pass  # owui: ignore[tool-name-twice]");
        let version = ServerVersion::parse("0.11.4").unwrap();
        let options = Options { version, ..Options::default() };
        assert!(found_together(&[plugin("a.py", tool), plugin("b.py", &silent)], &options).is_empty());
        assert_eq!(found("unused-ignore", &silent, "0.11.4"), [""; 0]);
    }
}
