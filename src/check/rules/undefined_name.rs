//! A name that nothing binds. The server accepts the file, since Python looks names up when a line runs, and the chat
//! in which it runs fails. Seen in seven published plugins: a helper that was renamed, an import that was forgotten.

use std::collections::BTreeSet;

use ruff_python_ast::Expr;
use ruff_text_size::Ranged as _;

use super::{CheckRule, Context, Report};
use crate::check::context::inner_class;
use crate::check::semantics::Semantics;
use crate::plugin::Severity;

pub(super) const RULE: CheckRule = CheckRule {
    id: "undefined-name",
    severity: Severity::Error,
    title: "a name that nothing defines",
    page: "
Python looks up a name only when its line runs. So the server accepts the file, and a chat that
reaches the line fails with a `NameError`. Most often an import is missing, or a helper was renamed.

In a method, the names of the class need `self.`. Files with `from x import *`, `globals()` or
`exec` are not checked, since they may define any name.",
    wrong: "
class Pipe:
    class Valves:
        url = \"\"

    def pipe(self, body):
        return json.dumps(body)
",
    right: "
import json

class Pipe:
    def pipe(self, body):
        return json.dumps(body)
",
    check,
};

fn check(context: &Context<'_>, report: &mut Report) {
    let semantics = &context.semantics;
    if semantics.has_hidden_names {
        return;
    }
    let mut told = BTreeSet::new();
    for id in &semantics.loads {
        if report.is_full() {
            break;
        }
        let Some(Expr::Name(name)) = semantics.expr(*id) else { continue };
        let scope = semantics.scope(*id);
        if semantics.bindings(&name.id, scope).is_some()
            || Semantics::is_given(&name.id)
            || semantics.is_guarded(*id, &["NameError"])
        {
            continue;
        }
        // Report a name once per line.
        let line = context.text[..usize::from(name.range().start())].rfind('\n');
        if !told.insert((line, name.id.as_str())) {
            continue;
        }
        let when = match semantics.function(scope) {
            Some(function) => format!("when `{}` gets here", function.name),
            None if semantics.is_called(scope) => "when this runs".to_owned(),
            None => "when the server loads the file".to_owned(),
        };
        let is_of_class = context.class.is_some_and(|class| {
            let inner = inner_class(class, &name.id).is_some();
            inner || context.methods().iter().any(|method| method.name.id == name.id)
        });
        let hint = if is_of_class {
            format!("write `self.{}`", name.id)
        } else {
            "import or define it, or correct the name".to_owned()
        };
        report.add(name.range(), format!("`{}` is not defined: a `NameError` {when}", name.id), hint);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;

    #[test]
    fn names_follow_pythons_scopes() {
        let of = |body: &str| {
            format!("class Pipe:\n    def pipe(self, body):\n        {}\n", body.replace('\n', "\n        "))
        };
        for (body, expected) in [
            ("return jsn.dumps(body)", "error 3"),
            ("return body", ""),
            ("return missing + missing", "error 3"),
            ("try:\n    return missing\nexcept Exception: pass", "error 4"),
            ("return __name__ + __file__ + str(print)", ""),
            ("return [x for x in body if y]", "error 3"),
            ("return [x for x in body for y in x if y]", ""),
            ("return [(last := x) for x in body] + [last]", ""),
            ("for i in body: pass\nreturn i", ""),
            ("with open(body) as f, f as (g, *h): return f, g, h", ""),
            ("try:\n    pass\nexcept ValueError as e:\n    return e", ""),
            (
                "match body:\n    case {'a': a, **rest}: return a, rest\n    case [b, *c]: return b, c\n    case d: return d",
                "",
            ),
            ("def inner(a, *b, c=1, **d): return a, b, c, d, body, inner\nreturn inner", ""),
            ("return (lambda x, y=body: x + y + z)", "error 3"),
            ("import os.path as p, sys\nreturn p, sys", ""),
            ("import os.path\nreturn os", ""),
            ("x: Unknown = 1\nreturn x", ""),
            ("def inner(a: Unknown): pass", "error 3"),
            ("global g\ng = 1\ndef other(): return g", ""),
            ("del body", ""),
            ("return f'{body} {missing!r:>{width}}'", "error 3, error 3"),
            ("try:\n    return missing\nexcept NameError: pass", ""),
            ("return globals()['missing'] + missing", ""),
            ("return Pipe, Valves", "error 3"),
            ("return __class__", ""),
            ("type A[T] = list[T]\nreturn A", ""),
            ("def inner[T](a: T) -> T: return T\nreturn inner", ""),
        ] {
            table("undefined-name", "0.12.4", &[(&of(body), expected)]);
        }
    }

    #[test]
    fn classes_hide_their_names_from_their_functions() {
        table(
            "undefined-name",
            "0.12.4",
            &[
                ("class Pipe:\n    a = 1\n    b = a\n    def pipe(self, body, c=a): return c", ""),
                ("class Pipe:\n    a = 1\n    def pipe(self, body): return a", "error 3"),
                ("class Pipe:\n    class Valves: pass\n    def pipe(self, body: dict, v: Valves): return v", ""),
                ("class Pipe:\n    class Valves: pass\n    def pipe(self): return Valves()", "error 3"),
                ("class Pipe:\n    def pipe(self) -> Unknown: pass", "error 2"),
                ("from __future__ import annotations\nclass Pipe:\n    def pipe(self) -> Unknown: pass", ""),
                ("from typing import *\nclass Pipe:\n    def pipe(self) -> Unknown: pass", ""),
                ("if TYPE_CHECKING:\n    import x\nclass Pipe:\n    def pipe(self): pass", "error 1"),
                ("class Pipe:\n    def pipe(self): return later()\ndef later(): pass", ""),
            ],
        );
    }
}
