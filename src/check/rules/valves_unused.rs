//! Valves without effect. The server sets `self.valves` before a call, but only if the object already has it: a class
//! that reads `self.valves` and never sets it fails in the chat. Seen in one published plugin.

use ruff_python_ast::{Expr, ExprContext, Stmt};
use ruff_text_size::Ranged as _;

use super::{CheckRule, Context, Report};
use crate::check::context::inner_class;
use crate::check::semantics::Node;
use crate::plugin::Severity;
use crate::plugin::python::{is_name, is_plain};

pub(super) const RULE: CheckRule = CheckRule {
    id: "valves-unused",
    severity: Severity::Error,
    title: "valves that are never set, or that the server cannot read",
    page: "
Before the server calls a plugin, it fills `self.valves`, but only if the object already has that
attribute. If a class reads `self.valves` and never sets it, the chat fails. If a class has `Valves`
and never uses them, its users see settings without effect (a warning).

`Valves` must be a pydantic model, since the server reads its fields.",
    wrong: "
from pydantic import BaseModel

class Pipe:
    class Valves(BaseModel):
        url: str = \"\"

    def pipe(self, body):
        return self.valves.url
",
    right: "
from pydantic import BaseModel

class Pipe:
    class Valves(BaseModel):
        url: str = \"\"

    def __init__(self):
        self.valves = self.Valves()

    def pipe(self, body):
        return self.valves.url
",
    check,
};

fn check(context: &Context<'_>, report: &mut Report) {
    let Some(class) = context.class else { return };
    for name in ["Valves", "UserValves"] {
        if let Some(valves) = inner_class(class, name)
            && is_plain(valves)
            && valves.decorator_list.is_empty()
            && !valves.body.is_empty()
            && valves.body.iter().any(Stmt::is_ann_assign_stmt)
        {
            report.add(
                valves.name.range(),
                format!("`{name}` is not a pydantic model: the server cannot show or set it"),
                format!("write `class {name}(BaseModel):`"),
            );
        }
    }
    let Some(valves) = inner_class(class, "Valves").filter(|_| context.is_whole()) else { return };
    let of_class = class.body.iter().any(|statement| match statement {
        Stmt::Assign(assign) => assign.targets.iter().any(is_valves),
        Stmt::AnnAssign(assign) => is_valves(&assign.target),
        Stmt::FunctionDef(function) => function.name.as_str() == "valves",
        _ => false,
    });
    // The class body or other code in the file sets `valves`.
    if of_class || context.text.contains(".valves =") || context.text.contains(".valves:") {
        return;
    }
    let (mut read, mut is_mentioned) = (None, false);
    for id in context.semantics.loads.iter().copied() {
        let Some((outer, Node::Expr(Expr::Attribute(attribute)))) = context.parent(id) else { continue };
        if attribute.attr.as_str() != "valves" {
            continue;
        }
        is_mentioned = true;
        let is_self = context.semantics.expr(id).is_some_and(|it| is_name(it, "self"));
        if is_self && attribute.ctx == ExprContext::Load && class.range().contains_range(attribute.range()) {
            let is_written = matches!(context.parent(outer), Some((_, Node::Stmt(Stmt::Assign(_)))));
            read = read.or((!is_written).then(|| attribute.range()));
        }
    }
    let asks = context.text.contains("hasattr(self, \"valves\")") || context.text.contains("getattr(self, \"valves\"");
    match read {
        Some(range) if !asks => {
            let message = "nothing sets `self.valves`: an `AttributeError` when this runs";
            report.add(range, message, "set `self.valves = self.Valves()` in `__init__`");
        }
        None if !is_mentioned && !context.text.contains("valves") => {
            let message = "nothing uses these valves: what a user sets in them has no effect";
            let hint = "set `self.valves = self.Valves()` in `__init__`, and read it";
            report.add_as(Severity::Warning, valves.name.range(), message, hint);
        }
        Some(_) | None => {}
    }
}

fn is_valves(target: &Expr) -> bool {
    is_name(target, "valves")
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;

    #[test]
    fn valves_are_set_before_they_are_read() {
        let of = |base: &str, rest: &str| {
            format!(
                "class Pipe:\n    class Valves{base}:\n        url: str = ''\n    {}\n",
                rest.replace('\n', "\n    ")
            )
        };
        for (base, rest, expected) in [
            (
                "(BaseModel)",
                "def __init__(self): self.valves = self.Valves()\ndef pipe(self, body): return self.valves.url",
                "",
            ),
            ("(BaseModel)", "def pipe(self, body): return self.valves.url", "error 4"),
            ("(BaseModel)", "valves = Valves()\ndef pipe(self, body): return self.valves.url", ""),
            ("(BaseModel)", "valves: Valves\ndef pipe(self, body): return self.valves.url", ""),
            ("(BaseModel)", "@property\ndef valves(self): return 1\ndef pipe(self, body): return self.valves.url", ""),
            ("(BaseModel)", "def pipe(self, body): return getattr(self, \"valves\", None) or self.valves", ""),
            ("(BaseModel)", "def pipe(self, body): return 1", "warning 2"),
            ("(BaseModel)", "def pipe(self, body): return other.valves.url", ""),
            ("", "def __init__(self): self.valves = self.Valves()", "error 2"),
            ("(Base)", "def __init__(self): self.valves = self.Valves()", ""),
        ] {
            table("valves-unused", "0.12.4", &[(&of(base, rest), expected)]);
        }
        table(
            "valves-unused",
            "0.12.4",
            &[(
                "class Pipe(Base):\n    class Valves(BaseModel): pass\n    def pipe(self, body): return self.valves",
                "",
            )],
        );
    }
}
