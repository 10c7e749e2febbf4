//! An event emitter that may be None. The server has none for calls without a chat: titles, tags, calls through the
//! API.

use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::Ranged as _;

use super::{CheckRule, Context, Report};
use crate::check::semantics::Node;
use crate::plugin::{Entry, Severity};

pub(super) const RULE: CheckRule = CheckRule {
    id: "emitter-unguarded",
    severity: Severity::Warning,
    title: "an event emitter that is called without checking that it is not `None`",
    page: "
In `pipe` and `outlet`, `__event_emitter__` and `__event_call__` are `None` if there is no chat to
show anything in: when the server asks a pipe for a title or tags, and when a program calls the
model through the API. Calling `None` fails. If a function tests the emitter anywhere, or calls
it under `try`, nothing is reported.",
    wrong: "
class Pipe:
    async def pipe(self, body, __event_emitter__=None):
        await __event_emitter__({\"type\": \"status\", \"data\": {\"description\": \"working\"}})
        return \"done\"
",
    right: "
class Pipe:
    async def pipe(self, body, __event_emitter__=None):
        if __event_emitter__:
            await __event_emitter__({\"type\": \"status\", \"data\": {\"description\": \"working\"}})
        return \"done\"
",
    check,
};

fn check(context: &Context<'_>, report: &mut Report) {
    let may_lack_one = |name: &str| match context.entry {
        Entry::Pipe => true,
        // `inlet` and `stream` are given one for every request.
        Entry::Filter => name == "outlet",
        // An action always runs in a chat, tools share the emitter of `inlet`, and events have none.
        Entry::Action | Entry::Event | Entry::Tools => false,
    };
    for function in context.hooks().into_iter().map(|hook| hook.function).filter(|it| may_lack_one(&it.name)) {
        for name in ["__event_emitter__", "__event_call__"] {
            if !function.parameters.iter_non_variadic_params().any(|parameter| parameter.name().as_str() == name) {
                continue;
            }
            let mut unguarded = Vec::new();
            let mut is_tested = false;
            for id in context.semantics.loads_of(name, function.range()) {
                let range = context.semantics.node(id).range();
                match context.parent(id) {
                    Some((call, Node::Expr(Expr::Call(it)))) if it.func.range() == range => {
                        let is_caught = context.semantics.around(call).any(
                            |(_, node)| matches!(node, Node::Stmt(Stmt::Try(attempt)) if !attempt.handlers.is_empty()),
                        );
                        if !is_caught && context.is_directly_in(call, function) {
                            unguarded.push(range);
                        }
                    }
                    // Passed on or stored: not a test.
                    Some((_, Node::Expr(Expr::Call(_) | Expr::Dict(_) | Expr::Tuple(_) | Expr::List(_)))) => {}
                    Some(_) => is_tested = true,
                    None => {}
                }
            }
            if let (false, Some(range)) = (is_tested, unguarded.first()) {
                let example =
                    if context.entry == Entry::Pipe { "a title is made" } else { "a program calls the model" };
                let message = format!("`{name}` is None where there is no chat, for example when {example}");
                report.add(*range, message, format!("test it: `if {name}:`"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;

    #[test]
    fn a_test_anywhere_is_enough() {
        for (body, expected) in [
            ("await __event_emitter__({})", "warning 3"),
            ("await __event_emitter__({})\nawait __event_emitter__({})", "warning 3"),
            ("if __event_emitter__:\n    await __event_emitter__({})", ""),
            ("if __event_emitter__ is None: return\nawait __event_emitter__({})", ""),
            ("emit = __event_emitter__ or nothing\nawait emit({})", ""),
            ("try:\n    await __event_emitter__({})\nexcept Exception: pass", ""),
            ("await helper(__event_emitter__)", ""),
            ("async def inner(): await __event_emitter__({})", ""),
        ] {
            let body = body.replace('\n', "\n        ");
            let text = format!("class Pipe:\n    async def pipe(self, body, __event_emitter__):\n        {body}\n");
            table("emitter-unguarded", "0.12.4", &[(&text, expected)]);
        }
    }
}
