//! A coroutine of the server that is never awaited. With 0.9 the database became asynchronous: since then,
//! `Users.get_user_by_id` and hundreds of others return a coroutine. The server accepts the file; the first use of the
//! result fails, or the call never happens. The most frequent error in published plugins: 33 of 173.

mod fate;
mod gate;

use std::collections::{HashMap, HashSet};

use ruff_python_ast::{ExceptHandler, Expr, Operator, Stmt, StmtFunctionDef, StmtReturn};
use ruff_text_size::{Ranged as _, TextRange, TextSize};

use super::{CheckRule, Context, Report};
use crate::check::flow::Ends;
use crate::check::semantics::{Call, Node, NodeId, mentions, names_in};
use crate::check::servers::{Found, find};
use crate::plugin::{Fix, Severity};
use fate::{Fate, Judge, local_function};

/// How many levels of helpers that return a coroutine are followed.
const MOST_ROUNDS: usize = 3;

pub(super) const RULE: CheckRule = CheckRule {
    id: "missing-await",
    severity: Severity::Error,
    title: "a server coroutine that is never awaited",
    page: "
Open WebUI 0.9 made its database asynchronous: since then, `Users.get_user_by_id` and hundreds of
other functions return a coroutine. Without `await` the call never runs, and the next line gets a
coroutine in place of the result. The server accepts the file, but the chat fails.

`await` needs an `async def` around it. `asyncio.to_thread` does not help: the thread only creates
the coroutine. The rule follows a coroutine through names, `self.name`, and the file's functions
that return or receive it. It reports nothing if the coroutine goes elsewhere, or if a function
tests whether the result is awaitable.

A plugin for several versions of the server awaits only on the newer ones. The rule skips a file
that compares a version and names 0.8 or a later one, as in `VERSION >= \"0.9\"` or `minor > 8`;
`>= \"0.8.0\"` alone does not count. If a file compares a version in any other way, you get a
warning, not an error. The rule also skips a call that the same function awaits in another place.",
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

/// Functions that run another in a thread, with the position of that argument.
const THREADS: &[(&str, usize)] = &[
    ("asyncio.to_thread", 0),
    ("starlette.concurrency.run_in_threadpool", 0),
    ("fastapi.concurrency.run_in_threadpool", 0),
];

/// How the file gets a coroutine from a function of the server.
enum Way<'a> {
    /// It calls the function.
    Called,
    /// A thread calls the function.
    InThread,
    /// This helper in the file returns the coroutine. The text is the source of the server's function.
    Returned(&'a StmtFunctionDef, &'a str),
}

/// An expression whose value is a coroutine.
struct Coroutine<'a> {
    /// The call.
    call: NodeId,
    /// The value: the call, or the `await` around it.
    value: NodeId,
    /// The callee.
    function: &'a Expr,
    since: String,
    way: Way<'a>,
}

fn check(context: &Context<'_>, report: &mut Report) {
    let semantics = &context.semantics;
    let mut found = direct(context);
    if found.is_empty() {
        return;
    }
    let Some(severity) = gate::severity(context, found.iter().map(|it| it.since.as_str())) else { return };
    let mut awaited = awaited(context, &found);
    let mut asking = HashMap::new();
    found.retain(|it| !looks_whether(context, it.call, &mut asking));
    let first_returned = found.len();
    add_returned(context, &mut found);
    awaited.extend(self::awaited(context, &found[first_returned..]));
    let values: HashSet<TextRange> = found.iter().map(|it| semantics.node(it.value).range()).collect();
    let is_coroutine = |value: &Expr| values.contains(&value.range());
    let judge = Judge::new(context, &is_coroutine);
    for coroutine in &found {
        if report.is_full() {
            break;
        }
        if outermost_function(context, coroutine.call)
            .is_some_and(|function| awaited.contains(&(function, context.source(coroutine.function.range()))))
        {
            continue;
        }
        match judge.fate(coroutine.value) {
            Fate::Fine | Fate::Shown => {}
            Fate::Dropped => tell(context, coroutine, "it never runs", severity, report),
            Fate::Tested(how) | Fate::Used(how) => tell(context, coroutine, &how, severity, report),
        }
    }
}

/// The calls in this file whose value is a coroutine of the server.
fn direct<'a>(context: &Context<'a>) -> Vec<Coroutine<'a>> {
    let semantics = &context.semantics;
    let mut found = Vec::new();
    for call @ Call { id, expr, scope, paths } in &semantics.calls {
        found.push(if let Some(since) = since(context, paths) {
            Coroutine { call: *id, value: *id, function: &expr.func, since, way: Way::Called }
        } else {
            let Some(function) = in_thread(call) else { continue };
            let Some(since) = since(context, &semantics.paths(function, *scope)) else { continue };
            let Some((value, Node::Expr(Expr::Await(_)))) = context.parent(*id) else { continue };
            Coroutine { call: *id, value, function, since, way: Way::InThread }
        });
    }
    found
}

/// The function that a call runs in a thread.
fn in_thread<'a>(call: &Call<'a>) -> Option<&'a Expr> {
    let known = THREADS.iter().find(|(name, _)| call.path() == Some(name)).map(|(_, at)| *at);
    let method = call.expr.func.as_attribute_expr().map(|it| it.attr.as_str());
    let at = known.or_else(|| (method == Some("run_in_executor")).then_some(1))?;
    call.expr.arguments.args.get(at)
}

/// Adds the calls of helpers in the file that return such a coroutine or `None`, and nothing else.
fn add_returned<'a>(context: &Context<'a>, found: &mut Vec<Coroutine<'a>>) {
    let semantics = &context.semantics;
    let mut asking = HashMap::new();
    let mut seen = HashSet::new();
    let mut from = 0;
    for _ in 0..MOST_ROUNDS {
        let values: HashSet<TextRange> = found.iter().map(|it| semantics.node(it.value).range()).collect();
        let mut helpers: HashMap<TextSize, usize> = HashMap::new();
        for (n, coroutine) in found.iter().enumerate().skip(from) {
            let Some((_, Node::Stmt(Stmt::Return(_)))) = context.parent(coroutine.value) else { continue };
            let Some(function) = semantics.function(semantics.scope(coroutine.call)) else { continue };
            if !seen.insert(function.range().start()) || !function.decorator_list.is_empty() {
                continue;
            }
            let ends = Ends::of(&function.body);
            let is_value = |end: &StmtReturn| end.value.as_ref().is_some_and(|value| values.contains(&value.range()));
            if !ends.yields && ends.values.iter().all(|end| is_value(end)) {
                helpers.insert(function.range().start(), n);
            }
        }
        from = found.len();
        if helpers.is_empty() {
            return;
        }
        for call @ Call { id, expr, .. } in &semantics.calls {
            let in_thread = in_thread(call);
            let called = in_thread.unwrap_or(&expr.func);
            let Some(function) = local_function(context, called, *id) else { continue };
            let Some(n) = helpers.get(&function.range().start()) else { continue };
            // An `await` unwraps the result of an `async` helper or of a thread. A thread does not run an `async`
            // helper.
            let value = match context.parent(*id) {
                Some((value, Node::Expr(Expr::Await(_)))) if function.is_async != in_thread.is_some() => value,
                _ if function.is_async || in_thread.is_some() => continue,
                _ => *id,
            };
            if looks_whether(context, *id, &mut asking) {
                continue;
            }
            let source = match found[*n].way {
                Way::Returned(_, source) => source,
                Way::Called | Way::InThread => context.source(found[*n].function.range()),
            };
            let (since, way) = (found[*n].since.clone(), Way::Returned(function, source));
            found.push(Coroutine { call: *id, value, function: called, since, way });
        }
    }
}

fn tell(context: &Context<'_>, coroutine: &Coroutine<'_>, why: &str, severity: Severity, report: &mut Report) {
    let Coroutine { call, value, function, since, .. } = coroutine;
    let (name, place) = (context.source(function.range()), function.range());
    let message = match &coroutine.way {
        Way::Called => format!("`{name}` has been a coroutine since {since}, but is not awaited: {why}"),
        Way::InThread => {
            format!("`{name}`, which a thread calls, has been a coroutine since {since}, but is not awaited: {why}")
        }
        Way::Returned(_, source) => {
            format!("`{name}` returns `{source}`, which has been a coroutine since {since}, but is not awaited: {why}")
        }
    };
    let elsewhere = match &coroutine.way {
        Way::InThread => Some(format!("write `await {name}(…)`")),
        Way::Returned(helper, source) if helper.is_async => {
            Some(format!("write `return await {source}(…)` in `{}`", helper.name))
        }
        Way::Called | Way::Returned(..) => None,
    };
    if let Some(remedy) = elsewhere {
        return report.add_as(severity, place, message, remedy);
    }
    match context.semantics.function(context.semantics.scope(*call)) {
        Some(around) if around.is_async => {
            let hint = format!("write `await {name}(…)`");
            if severity != Severity::Error {
                return report.add_as(severity, place, message, hint);
            }
            // The result of a thread is awaited already.
            let fix = || fix(context, *call, context.semantics.node(*call).range());
            report.add_with_fix(place, message, hint, (call == value).then(fix).flatten());
        }
        Some(around) if !around.name.starts_with("__") => {
            report.add_as(severity, place, message, format!("make `{}` an `async def`, and await it", around.name));
        }
        // Python does not await dunder methods, and a module cannot await.
        Some(_) | None => report.add_as(severity, place, message, "call it in an `async def`, and await it"),
    }
}

/// The version since which the server's function with these names is a coroutine; `None` if it is none.
fn since(context: &Context<'_>, paths: &[String]) -> Option<String> {
    // If it is imported in several ways, the name that this server has counts.
    let found = paths.iter().map(|path| find(path, context.version)).find(|found| !matches!(found, Found::Gone(_)))?;
    if let Found::Coroutine(since) = found { Some(since) } else { None }
}

/// The awaited coroutines: the start of the outermost function around each, and the source of its callee.
fn awaited<'a>(context: &Context<'a>, coroutines: &[Coroutine<'a>]) -> HashSet<(TextSize, &'a str)> {
    let awaited = coroutines.iter().filter(|it| is_awaited(context, it.value));
    awaited
        .filter_map(|it| Some((outermost_function(context, it.call)?, context.source(it.function.range()))))
        .collect()
}

/// Whether a value is awaited: by itself, or through a function of `asyncio`.
fn is_awaited(context: &Context<'_>, value: NodeId) -> bool {
    let semantics = &context.semantics;
    for (id, node) in semantics.around(value) {
        match node {
            Node::Expr(Expr::Await(_)) => return true,
            Node::Expr(Expr::Starred(_) | Expr::List(_) | Expr::ListComp(_) | Expr::Generator(_) | Expr::If(_)) => {}
            Node::Expr(Expr::Call(call)) => {
                let path = semantics.path(&call.func, semantics.scope(id));
                if !path.is_some_and(|path| path.starts_with("asyncio.")) {
                    return false;
                }
            }
            Node::Expr(_) | Node::Stmt(_) => return false,
        }
    }
    false
}

/// Where the outermost function around a node starts.
fn outermost_function(context: &Context<'_>, id: NodeId) -> Option<TextSize> {
    let functions = context.semantics.around(id).filter_map(|(_, node)| match node {
        Node::Stmt(Stmt::FunctionDef(function)) => Some(function.range().start()),
        Node::Stmt(_) | Node::Expr(_) => None,
    });
    functions.last()
}

/// Whether the code around handles several versions: tests if something is awaitable or which version it runs on, or
/// catches the `TypeError` of an `await`.
fn looks_whether(context: &Context<'_>, id: NodeId, asking: &mut HashMap<TextRange, bool>) -> bool {
    context.semantics.around(id).any(|(_, node)| match node {
        Node::Stmt(Stmt::FunctionDef(function)) => {
            *asking.entry(function.range()).or_insert_with(|| asks(context.source(function.range())))
        }
        // Here, an `await` failed before, as it does on older servers.
        Node::Stmt(Stmt::Try(attempt)) => attempt.handlers.iter().any(|handler| {
            let ExceptHandler::ExceptHandler(handler) = handler;
            let is_in = handler.range().contains_range(context.semantics.node(id).range());
            is_in && handler.type_.as_ref().is_some_and(|class| mentions(class, "TypeError"))
        }),
        Node::Stmt(Stmt::If(branch)) => {
            let others = branch.elif_else_clauses.iter().filter_map(|clause| clause.test.as_ref());
            others.chain([&*branch.test]).any(names_version)
        }
        Node::Expr(Expr::If(choice)) => names_version(&choice.test),
        Node::Stmt(_) | Node::Expr(_) => false,
    })
}

/// Whether a test names a version.
fn names_version(test: &Expr) -> bool {
    names_in(test).iter().any(|name| name.to_lowercase().contains("version"))
}

/// Whether a text tests if something is awaitable.
fn asks(text: &str) -> bool {
    ["isawaitable", "iscoroutine", "__await__"].iter().any(|word| text.contains(word))
}

/// Puts `await` before the call.
fn fix(context: &Context<'_>, id: NodeId, call: TextRange) -> Option<Fix> {
    let semantics = &context.semantics;
    // An `await` would make a generator asynchronous, and is invalid in a lambda.
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
mod tests;
