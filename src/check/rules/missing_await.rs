//! A coroutine of the server that nobody awaits. With 0.9 the database became asynchronous: `Users.get_user_by_id` and
//! hundreds of others return a coroutine since then. The server accepts the file; the first use of the result fails, or
//! the call never happens. The most frequent error in published plugins: 33 of 173.

use std::collections::HashMap;

use ruff_python_ast::{Expr, Operator, Stmt, UnaryOp};
use ruff_text_size::{Ranged as _, TextRange};

use super::{CheckRule, Context, Report};
use crate::check::semantics::{Node, NodeId, ScopeKind, names_in};
use crate::check::servers::{Found, find};
use crate::plugin::{Fix, Severity};

pub(super) const RULE: CheckRule = CheckRule {
    id: "missing-await",
    severity: Severity::Error,
    title: "a coroutine of the server that nobody awaits",
    page: "
Open WebUI 0.9 made its database asynchronous: `Users.get_user_by_id` and hundreds of others
return a coroutine since then. Without `await` the call does not happen, and its result has none
of the attributes that the next line asks for. The server accepts the file; the chat fails.

`await` needs an `async def` around it. `asyncio.to_thread` does not help: the thread only makes
the coroutine. A coroutine that is returned or handed to another function is left alone, and so is
a function that looks whether a result is awaitable.",
    wrong: "
from open_webui.models.users import Users

class Pipe:
    async def pipe(self, body, __user__):
        user = Users.get_user_by_id(__user__[\"id\"])
        return user.email
",
    right: "
from open_webui.models.users import Users

class Pipe:
    async def pipe(self, body, __user__):
        user = await Users.get_user_by_id(__user__[\"id\"])
        return user.email
",
    check,
};

/// What becomes of the value of an expression.
enum Fate<'a> {
    /// Awaited, returned, handed on, or nobody knows.
    Fine,
    /// A statement of its own.
    Dropped,
    /// It gets this name.
    Named(&'a str),
    /// Used as if it were the result.
    Used(String),
}

/// Builtin functions that do not await what they are given.
const SYNCHRONOUS: &[&str] =
    &["bool", "dict", "enumerate", "len", "list", "max", "min", "set", "sorted", "sum", "tuple"];

/// Functions that run another in a thread, and which of their arguments that is.
const THREADS: &[(&str, usize)] = &[
    ("asyncio.to_thread", 0),
    ("starlette.concurrency.run_in_threadpool", 0),
    ("fastapi.concurrency.run_in_threadpool", 0),
];

fn check(context: &Context<'_>, report: &mut Report) {
    let semantics = &context.semantics;
    let mut asking = HashMap::new();
    for id in &semantics.calls {
        if report.is_full() {
            break;
        }
        let Some(Expr::Call(call)) = semantics.expr(*id) else { continue };
        let scope = semantics.scope(*id);
        let (called, node, in_thread) = if let Some(since) = coroutine(context, &call.func, *id) {
            ((&*call.func, since), *id, false)
        } else {
            let path = semantics.path(&call.func, scope).unwrap_or_default();
            let known = THREADS.iter().find(|(name, _)| *name == path).map(|(_, at)| *at);
            let is_executor = || call.func.as_attribute_expr().is_some_and(|it| it.attr.as_str() == "run_in_executor");
            let Some(at) = known.or_else(|| is_executor().then_some(1)) else { continue };
            let Some(function) = call.arguments.args.get(at) else { continue };
            let Some(since) = coroutine(context, function, *id) else { continue };
            let Some((outer, Node::Expr(Expr::Await(_)))) = context.parent(*id) else { continue };
            ((function, since), outer, true)
        };
        if looks_whether(context, *id, &mut asking) {
            continue;
        }
        let why = match fate(context, node) {
            Fate::Fine => continue,
            Fate::Dropped => "it never runs".to_owned(),
            Fate::Used(how) => how,
            Fate::Named(name) => match fate_of_name(context, node, name) {
                Fate::Fine | Fate::Named(_) => continue,
                Fate::Dropped => "it never runs".to_owned(),
                Fate::Used(how) => how,
            },
        };
        let (function, since) = called;
        let name = context.source(function.range());
        if in_thread {
            let message = format!("`{name}` is a coroutine since {since}, which no thread runs: {why}");
            report.add(function.range(), message, format!("write `await {name}(…)`"));
            continue;
        }
        let message = format!("`{name}` is a coroutine since {since}, and nobody awaits it: {why}");
        match semantics.function(scope) {
            Some(around) if around.is_async => {
                report.add(function.range(), message, format!("write `await {name}(…)`"));
                if let Some(fix) = fix(context, *id, call.range()) {
                    report.fixed_by(fix);
                }
            }
            Some(around) => {
                report.add(function.range(), message, format!("make `{}` an `async def`, and await it", around.name));
            }
            None => report.add(function.range(), message, "call it in an `async def`, and await it"),
        }
    }
}

/// The version since which this function of the server is a coroutine, if it is.
fn coroutine(context: &Context<'_>, function: &Expr, id: NodeId) -> Option<String> {
    let paths = context.semantics.paths(function, context.semantics.scope(id));
    // Where it is imported in one way or another, the one that the server has counts.
    let found = paths.iter().map(|path| find(path, context.version)).find(|found| !matches!(found, Found::Gone(_)))?;
    if let Found::Coroutine(since) = found { Some(since) } else { None }
}

/// Whether a function around asks if something is awaitable, or which version it runs on.
fn looks_whether(context: &Context<'_>, id: NodeId, asking: &mut HashMap<TextRange, bool>) -> bool {
    context.semantics.around(id).any(|(_, node)| match node {
        Node::Stmt(Stmt::FunctionDef(function)) => *asking.entry(function.range()).or_insert_with(|| {
            let text = context.source(function.range());
            ["isawaitable", "iscoroutine", "__await__"].iter().any(|word| text.contains(word))
        }),
        Node::Stmt(Stmt::If(branch)) => {
            names_in(&branch.test).iter().any(|name| name.to_lowercase().contains("version"))
        }
        Node::Stmt(_) | Node::Expr(_) => false,
    })
}

fn fate<'a>(context: &Context<'a>, id: NodeId) -> Fate<'a> {
    let semantics = &context.semantics;
    let mut range = semantics.node(id).range();
    for (around, node) in semantics.around(id) {
        let used = |how: &str| Fate::Used(how.to_owned());
        match node {
            Node::Expr(expr) => match expr {
                // The value is one of these.
                Expr::BoolOp(_) => {}
                Expr::If(choice) if choice.test.range() != range => {}
                Expr::If(_) => return used("the test is always true"),
                Expr::Attribute(attribute) => {
                    let attr = attribute.attr.as_str();
                    let is_its_own = matches!(attr, "send" | "close" | "throw") || attr.starts_with("cr_");
                    return if is_its_own { Fate::Fine } else { Fate::Used(format!("`.{attr}` of it fails")) };
                }
                Expr::Subscript(subscript) if subscript.value.range() == range => return used("`[…]` of it fails"),
                Expr::Compare(_) => return used("the comparison is of the coroutine itself"),
                Expr::UnaryOp(unary) if unary.op == UnaryOp::Not => return used("the test is always false"),
                Expr::BinOp(_) => return used("the operation fails"),
                Expr::FString(_) => return used("its text is `<coroutine object …>`"),
                Expr::ListComp(_) | Expr::SetComp(_) | Expr::DictComp(_) | Expr::Generator(_) => {
                    return if is_iterated(expr, range) { used("it cannot be iterated over") } else { Fate::Fine };
                }
                Expr::Named(named) => {
                    return named.target.as_name_expr().map_or(Fate::Fine, |name| Fate::Named(&name.id));
                }
                Expr::Call(call) if call.func.range() != range => {
                    let is_plain = semantics.is_builtin(&call.func, semantics.scope(around), SYNCHRONOUS);
                    let name = context.source(call.func.range());
                    return if is_plain { Fate::Used(format!("`{name}(…)` of it fails")) } else { Fate::Fine };
                }
                _ => return Fate::Fine,
            },
            Node::Stmt(statement) => {
                return match statement {
                    Stmt::Expr(_) => Fate::Dropped,
                    Stmt::Assign(assign) => match &*assign.targets {
                        [Expr::Name(name)] => Fate::Named(&name.id),
                        [Expr::Tuple(_) | Expr::List(_)] => used("it cannot be unpacked"),
                        _ => Fate::Fine,
                    },
                    Stmt::AnnAssign(assign) => {
                        assign.target.as_name_expr().map_or(Fate::Fine, |name| Fate::Named(&name.id))
                    }
                    Stmt::If(_) | Stmt::While(_) | Stmt::Assert(_) => used("the test is always true"),
                    Stmt::For(walk) if walk.iter.range() == range => used("it cannot be iterated over"),
                    Stmt::AugAssign(_) => used("the operation fails"),
                    _ => Fate::Fine,
                };
            }
        }
        range = node.range();
    }
    Fate::Fine
}

/// Whether this is what a comprehension iterates over.
fn is_iterated(comprehension: &Expr, range: TextRange) -> bool {
    let generators = match comprehension {
        Expr::ListComp(it) => &it.generators,
        Expr::SetComp(it) => &it.generators,
        Expr::DictComp(it) => &it.generators,
        Expr::Generator(it) => &it.generators,
        _ => return false,
    };
    generators.iter().any(|generator| generator.iter.range() == range)
}

/// What becomes of a value that got a name: the worst of the name's uses, if none of them is fine.
fn fate_of_name<'a>(context: &Context<'a>, id: NodeId, name: &str) -> Fate<'a> {
    let semantics = &context.semantics;
    let Some(function) = semantics.function(semantics.scope(id)) else { return Fate::Fine };
    if let Some(body) = context.body_of(function)
        && !matches!(semantics.kind(body), ScopeKind::Function(_))
    {
        return Fate::Fine;
    }
    let mut worst = Fate::Dropped;
    for load in semantics.loads_of(name, function.range()) {
        match fate(context, load) {
            Fate::Fine | Fate::Named(_) => return Fate::Fine,
            Fate::Dropped => {}
            Fate::Used(how) => {
                if matches!(worst, Fate::Dropped) {
                    worst = Fate::Used(how);
                }
            }
        }
    }
    worst
}

/// Puts `await` before the call.
fn fix(context: &Context<'_>, id: NodeId, call: TextRange) -> Option<Fix> {
    let semantics = &context.semantics;
    // A generator with an `await` is another kind of generator.
    if semantics.around(id).any(|(_, node)| matches!(node, Node::Expr(Expr::Generator(_) | Expr::Lambda(_)))) {
        return None;
    }
    let needs_brackets = match context.parent(id)?.1 {
        Node::Expr(Expr::Attribute(_) | Expr::Subscript(_)) => true,
        Node::Expr(Expr::BinOp(operation)) => operation.op == Operator::Pow,
        Node::Expr(_) | Node::Stmt(_) => false,
    };
    let (start, end) = (usize::from(call.start()), usize::from(call.end()));
    let edits = if needs_brackets {
        vec![(start..start, "(await ".to_owned()), (end..end, ")".to_owned())]
    } else {
        vec![(start..start, "await ".to_owned())]
    };
    Some(Fix { edits })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{found, table};

    fn of(body: &str) -> String {
        format!(
            "from open_webui.models.users import Users\nimport asyncio, inspect\nclass Pipe:\n    async def pipe(self, body):\n        {}\n",
            body.replace('\n', "\n        ")
        )
    }

    #[test]
    fn every_use_of_a_coroutine_is_judged() {
        for (body, expected) in [
            ("Users.get_user_by_id(1)", "error 5"),
            ("u = Users.get_user_by_id(1)\nreturn u.email", "error 5"),
            ("u = Users.get_user_by_id(1)", "error 5"),
            ("return Users.get_user_by_id(1).email", "error 5"),
            ("return Users.get_user_by_id(1)['a']", "error 5"),
            ("if Users.get_user_by_id(1): pass", "error 5"),
            ("if not Users.get_user_by_id(1): pass", "error 5"),
            ("if (u := Users.get_user_by_id(1)): return u.x", "error 5"),
            ("for u in Users.get_users(): pass", "error 5"),
            ("return [u for u in Users.get_users()]", "error 5"),
            ("return len(Users.get_users())", "error 5"),
            ("return f'{Users.get_users()}'", "error 5"),
            ("u = Users.get_user_by_id(1) or None\nreturn u.x", "error 5"),
            ("u = Users.get_user_by_id(1) if body else None\nreturn u.x", "error 5"),
            ("def inner():\n    return Users.get_user_by_id(1).x", "error 6"),
            ("u = await asyncio.to_thread(Users.get_user_by_id, 1)\nreturn u.x", "error 5"),
            ("u = await loop.run_in_executor(None, Users.get_user_by_id, 1)\nreturn u.x", "error 5"),
            // Awaited, or somebody else's business.
            ("u = await Users.get_user_by_id(1)\nreturn u.email", ""),
            ("return (await Users.get_user_by_id(1)).email", ""),
            ("u = Users.get_user_by_id(1)\nu = await u", ""),
            ("u = Users.get_user_by_id(1)\nreturn await asyncio.gather(u)", ""),
            ("return await asyncio.gather(Users.get_user_by_id(1))", ""),
            ("return await asyncio.gather(*[Users.get_user_by_id(i) for i in body])", ""),
            ("return Users.get_user_by_id(1)", ""),
            ("return run(Users.get_user_by_id(1))", ""),
            ("return asyncio.run(Users.get_user_by_id(1))", ""),
            ("f = lambda: Users.get_user_by_id(1)", ""),
            ("u = Users.get_user_by_id(1)\nif inspect.isawaitable(u): u = await u\nreturn u.x", ""),
            ("u = Users.get_user_by_id(1)\nreturn u", ""),
            ("self.u = Users.get_user_by_id(1)", ""),
            ("u = await (await asyncio.to_thread(Users.get_user_by_id, 1))\nreturn u.x", ""),
            ("if VERSION < (0, 9):\n    u = Users.get_user_by_id(1)\n    return u.x", ""),
        ] {
            table("missing-await", "0.12.4", &[(&of(body), expected)]);
            table("missing-await", "0.8.12", &[(&of(body), "")]);
        }
    }

    #[test]
    fn imports_are_followed() {
        let body = "class Pipe:\n    async def pipe(self, body):\n        U.get_user_by_id(1)\n";
        for (import, expected) in [
            ("from open_webui.models.users import Users as U\n", "error 4"),
            ("import open_webui.models.users as m\nU = m.Users\n", ""),
            ("from models.users import Users as U\n", ""),
            (
                "try:\n    from open_webui.models.users import Users as U\nexcept ImportError:\n    U = None\n",
                "error 7",
            ),
            ("try:\n    from open_webui.models.users import Users as U\nexcept ImportError:\n    class U: pass\n", ""),
            (
                "try:\n    from open_webui.models.users import Users as U\nexcept ImportError:\n    from open_webui.apps.webui.models.users import Users as U\n",
                "error 7",
            ),
        ] {
            table("missing-await", "0.12.4", &[(&format!("{import}{body}"), expected)]);
        }
    }

    #[test]
    fn a_message_names_the_version_and_what_happens() {
        assert_eq!(
            found("missing-await", &of("u = Users.get_user_by_id(1)\nreturn u.email"), "0.12.4"),
            [
                "error 5:13+20 `Users.get_user_by_id` is a coroutine since 0.9, and nobody awaits it: `.email` of it fails"
            ]
        );
    }
}
