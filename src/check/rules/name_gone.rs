//! A name that the server's version does not have. Its modules are not a stable library: names come and go. At module
//! level the server refuses the file; in a function the chat fails. Seen in one published plugin on 0.12, in six on
//! 0.6.

use ruff_python_ast::Stmt;
use ruff_text_size::{Ranged as _, TextRange};

use super::{CheckRule, Context, Report};
use crate::check::semantics::{Node, NodeId, OF_IMPORTS, server_module};
use crate::check::servers::{Found, Gone, find};
use crate::plugin::Severity;
use crate::server_version::ServerVersion;

pub(super) const RULE: CheckRule = CheckRule {
    id: "name-gone",
    severity: Severity::Error,
    title: "a name that this version of Open WebUI does not have",
    page: "
Open WebUI's modules are not a stable library: names come and go with its versions. If an import at
the top of the file fails, the server refuses the file. An import in a function, or a call of a
method that is gone, fails in the chat. `--server-version` names the version to check for.

Imports under `try` with an `except ImportError`, and imports for type checkers, are not checked.",
    wrong: "
from open_webui.apps.webui.models.users import Users

class Pipe:
    def pipe(self, body):
        return str(Users)
",
    right: "
from open_webui.models.users import Users

class Pipe:
    def pipe(self, body):
        return str(Users)
",
    check,
};

fn check(context: &Context<'_>, report: &mut Report) {
    let semantics = &context.semantics;
    for id in &semantics.imports {
        if semantics.is_guarded(*id, OF_IMPORTS) {
            continue;
        }
        match semantics.node(*id) {
            Node::Stmt(Stmt::Import(import)) => {
                for alias in &import.names {
                    judge(context, *id, &alias.name, alias.name.range(), report);
                }
            }
            Node::Stmt(Stmt::ImportFrom(import)) if import.level == 0 => {
                let Some(module) = &import.module else { continue };
                let path = server_module(module);
                if judge(context, *id, &path, module.range(), report) {
                    continue;
                }
                for alias in import.names.iter().filter(|alias| alias.name.as_str() != "*") {
                    judge(context, *id, &format!("{path}.{}", alias.name), alias.name.range(), report);
                }
            }
            Node::Stmt(_) | Node::Expr(_) => {}
        }
    }
    for call in &semantics.calls {
        let (Some(attribute), Some(path)) = (call.expr.func.as_attribute_expr(), call.path()) else { continue };
        let gone = match find(path, context.version) {
            Found::Gone(it) if it.path == path && !it.is_module => it,
            Found::Gone(_) | Found::Coroutine(_) | Found::Other | Found::Unknown => continue,
        };
        let asks = semantics.around(call.id).any(|(_, node)| match node {
            Node::Stmt(Stmt::FunctionDef(function)) => {
                let text = context.source(function.range());
                text.contains("hasattr(") || text.contains("getattr(") || text.contains("AttributeError")
            }
            Node::Stmt(_) | Node::Expr(_) => false,
        });
        if !asks {
            let owner = context.source(attribute.value.range());
            let message =
                format!("`{owner}` has no `{}` {}: the call fails", attribute.attr, versions(&gone, context.version));
            report.add(attribute.attr.range(), message, "");
        }
    }
}

/// Reports a path that the server does not have, and returns whether it reported one.
fn judge(context: &Context<'_>, id: NodeId, path: &str, range: TextRange, report: &mut Report) -> bool {
    let Found::Gone(gone) = find(path, context.version) else { return false };
    let then = match context.semantics.function(context.semantics.scope(id)) {
        Some(function) => format!("`{}` fails when it gets here", function.name),
        None => "the server refuses the file".to_owned(),
    };
    let what = if gone.is_module { "module " } else { "" };
    let shown = &gone.path;
    let message = match gone.versions {
        Some(_) => format!("there is no {what}`{shown}` {}: {then}", versions(&gone, context.version)),
        None => format!("no version of Open WebUI from {} on has `{shown}`: {then}", ServerVersion::oldest().minor()),
    };
    report.add(range, message, "import a name that this version has, or guard the import with `try`");
    true
}

/// Words for the message: `in Open WebUI 0.12 (0.6 to 0.8 have it)`.
fn versions(gone: &Gone, version: ServerVersion) -> String {
    let here = version.minor();
    match &gone.versions {
        Some((first, last)) if first == last => format!("in Open WebUI {here} ({first} has it)"),
        Some((first, last)) => format!("in Open WebUI {here} ({first} to {last} have it)"),
        None => format!("in Open WebUI {here}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;

    #[test]
    fn imports_of_what_is_gone() {
        for (import, expected) in [
            ("from open_webui.models.users import Users", ""),
            ("from open_webui.models.users import Users, Nobody", "error 1"),
            ("from open_webui.apps.webui.models.users import Users", "error 1"),
            ("import open_webui.apps", "error 1"),
            ("from utils.misc import nothing_like_it", "error 1"),
            ("from open_webui.utils import misc", ""),
            ("from utilities import x", ""),
            ("try:\n    from open_webui.gone import x\nexcept ImportError: pass", ""),
            ("try:\n    from open_webui.gone import x\nexcept Exception: pass", ""),
            ("try:\n    from open_webui.gone import x\nexcept ValueError: pass", "error 2"),
            ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from open_webui.gone import x", ""),
            ("def f():\n    from open_webui.models.users import Nobody", "error 2"),
            ("from open_webui.models.users import Users\nasync def f():\n    await Users.no_such_method()", "error 3"),
            ("from open_webui.models.users import Users\ndef f():\n    return hasattr(Users, 'x') and Users.x()", ""),
        ] {
            table("name-gone", "0.12.4", &[(&format!("{import}\nclass Pipe: pass\n"), expected)]);
        }
    }
}
