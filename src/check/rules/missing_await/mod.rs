//! A coroutine of the server that nobody awaits. With 0.9 the database became asynchronous: `Users.get_user_by_id` and
//! hundreds of others return a coroutine since then. The server accepts the file; the first use of the result fails, or
//! the call never happens. The most frequent error in published plugins: 33 of 173.

mod fate;

use std::collections::{HashMap, HashSet};

use ruff_python_ast::{ExceptHandler, Expr, Operator, Stmt, StmtFunctionDef, StmtReturn};
use ruff_text_size::{Ranged as _, TextRange, TextSize};

use super::{CheckRule, Context, Report};
use crate::check::flow::Ends;
use crate::check::semantics::{Call, Node, NodeId, mentions, names_in};
use crate::check::servers::{Found, find};
use crate::plugin::{Fix, Severity};
use fate::{Fate, Judge, local_function};

/// Functions that return what others return are followed so far.
const MOST_ROUNDS: usize = 3;

pub(super) const RULE: CheckRule = CheckRule {
    id: "missing-await",
    severity: Severity::Error,
    title: "a coroutine of the server that nobody awaits",
    page: "
Open WebUI 0.9 made its database asynchronous: since then, `Users.get_user_by_id` and hundreds of
other functions return a coroutine. Without `await` the call never runs, and the next line gets a
coroutine in place of the result. The server accepts the file, but the chat fails.

`await` needs an `async def` around it. `asyncio.to_thread` does not help: the thread only creates
the coroutine. The rule follows a coroutine through names, `self.name`, and the file's functions
that return or receive it. It reports nothing if the coroutine goes elsewhere, or if a function
tests whether the result is awaitable. A plugin for several versions of the server awaits only on
the newer ones: the rule skips a file that compares a version, and a call that the same function
awaits in another place.",
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

/// Functions that run another in a thread, and which of their arguments that is.
const THREADS: &[(&str, usize)] = &[
    ("asyncio.to_thread", 0),
    ("starlette.concurrency.run_in_threadpool", 0),
    ("fastapi.concurrency.run_in_threadpool", 0),
];

/// How a coroutine of the server comes to be a value.
enum Way<'a> {
    /// It is called.
    Called,
    /// A thread calls it.
    InThread,
    /// This function of the file returns it; the source of the server's function.
    Returned(&'a StmtFunctionDef, &'a str),
}

/// A value that is a coroutine.
struct Coroutine<'a> {
    /// The call.
    call: NodeId,
    /// The value: the call, or the `await` around it.
    value: NodeId,
    /// What is called.
    function: &'a Expr,
    since: String,
    way: Way<'a>,
}

fn check(context: &Context<'_>, report: &mut Report) {
    let semantics = &context.semantics;
    let mut found = direct(context);
    if found.is_empty() || compares_versions(context) {
        return;
    }
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
            Fate::Dropped => tell(context, coroutine, "it never runs", report),
            Fate::Tested(how) | Fate::Used(how) => tell(context, coroutine, &how, report),
        }
    }
}

/// The coroutines of the server that are called here.
fn direct<'a>(context: &Context<'a>) -> Vec<Coroutine<'a>> {
    let semantics = &context.semantics;
    let mut found = Vec::new();
    for Call { id, expr, scope, paths } in &semantics.calls {
        found.push(if let Some(since) = since(context, paths) {
            Coroutine { call: *id, value: *id, function: &expr.func, since, way: Way::Called }
        } else {
            let known = THREADS.iter().find(|(name, _)| *paths == [*name]).map(|(_, at)| *at);
            let is_executor = || expr.func.as_attribute_expr().is_some_and(|it| it.attr.as_str() == "run_in_executor");
            let Some(at) = known.or_else(|| is_executor().then_some(1)) else { continue };
            let Some(function) = expr.arguments.args.get(at) else { continue };
            let Some(since) = since(context, &semantics.paths(function, *scope)) else { continue };
            let Some((value, Node::Expr(Expr::Await(_)))) = context.parent(*id) else { continue };
            Coroutine { call: *id, value, function, since, way: Way::InThread }
        });
    }
    found
}

/// Adds the calls of functions of the file that return such a coroutine and nothing else but `None`.
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
        for Call { id, expr, .. } in &semantics.calls {
            let Some(function) = local_function(context, &expr.func, *id) else { continue };
            let Some(n) = helpers.get(&function.range().start()) else { continue };
            let value = match context.parent(*id) {
                Some((value, Node::Expr(Expr::Await(_)))) if function.is_async => value,
                _ if function.is_async => continue,
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
            found.push(Coroutine { call: *id, value, function: &expr.func, since, way });
        }
    }
}

fn tell(context: &Context<'_>, coroutine: &Coroutine<'_>, why: &str, report: &mut Report) {
    let Coroutine { call, function, since, .. } = coroutine;
    let (name, place) = (context.source(function.range()), function.range());
    let message = match &coroutine.way {
        Way::Called => format!("`{name}` is a coroutine since {since}, and nobody awaits it: {why}"),
        Way::InThread => {
            let message = format!("`{name}` is a coroutine since {since}, which no thread runs: {why}");
            return report.add(place, message, format!("write `await {name}(…)`"));
        }
        Way::Returned(helper, source) if helper.is_async => {
            let message =
                format!("`{name}` returns `{source}`, a coroutine since {since}, and nobody awaits that: {why}");
            return report.add(place, message, format!("write `return await {source}(…)` in `{}`", helper.name));
        }
        Way::Returned(_, source) => {
            format!("`{name}` returns `{source}`, a coroutine since {since}, and nobody awaits it: {why}")
        }
    };
    match context.semantics.function(context.semantics.scope(*call)) {
        Some(around) if around.is_async => {
            report.add(place, message, format!("write `await {name}(…)`"));
            if let Some(fix) = fix(context, *call, context.semantics.node(*call).range()) {
                report.fixed_by(fix);
            }
        }
        Some(around) if !around.name.starts_with("__") => {
            report.add(place, message, format!("make `{}` an `async def`, and await it", around.name));
        }
        // Python does not await these.
        Some(_) | None => report.add(place, message, "call it in an `async def`, and await it"),
    }
}

/// The version since which the server's function with these names is a coroutine, if it is.
fn since(context: &Context<'_>, paths: &[String]) -> Option<String> {
    // Where it is imported in one way or another, the one that the server has counts.
    let found = paths.iter().map(|path| find(path, context.version)).find(|found| !matches!(found, Found::Gone(_)))?;
    if let Found::Coroutine(since) = found { Some(since) } else { None }
}

/// Whether the file compares a version anywhere: it may run on servers whose functions are no coroutines.
fn compares_versions(context: &Context<'_>) -> bool {
    let semantics = &context.semantics;
    let text = context.text.to_ascii_lowercase();
    let named: Vec<usize> = text.match_indices("version").map(|(at, _)| at).collect();
    let is_within = |id: NodeId| {
        let range = semantics.node(id).range();
        let next = named.partition_point(|at| *at < usize::from(range.start()));
        named.get(next).is_some_and(|at| *at < usize::from(range.end()))
    };
    let is_prefix_test =
        |call: &Call<'_>| call.expr.func.as_attribute_expr().is_some_and(|method| method.attr.as_str() == "startswith");
    !named.is_empty()
        && (semantics.compares.iter().any(|id| is_within(*id))
            || semantics.calls.iter().any(|call| is_prefix_test(call) && is_within(call.id)))
}

/// What is awaited, each by the outermost function around and the source of what is called.
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

/// Whether a function around asks if something is awaitable, or which version it runs on.
fn looks_whether(context: &Context<'_>, id: NodeId, asking: &mut HashMap<TextRange, bool>) -> bool {
    context.semantics.around(id).any(|(_, node)| match node {
        Node::Stmt(Stmt::FunctionDef(function)) => {
            *asking.entry(function.range()).or_insert_with(|| asks(context.source(function.range())))
        }
        // `await` did not work here.
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

/// Whether a text asks if something is awaitable.
fn asks(text: &str) -> bool {
    ["isawaitable", "iscoroutine", "__await__"].iter().any(|word| text.contains(word))
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
            ("u = Users.get_users()\nreturn dict(**(u if u else {}))", "error 5"),
            ("return send(**(Users.get_users() or {}))", "error 5"),
            ("return send(*Users.get_users())", "error 5"),
            ("return {'a': 1, **Users.get_users()}", "error 5"),
            ("return {'a': Users.get_users()}", ""),
            ("return send(a=Users.get_users())", ""),
            // A log does not await it.
            ("u = Users.get_user_by_id(1)\nlog(u)\nreturn u.email", "error 5"),
            ("u = Users.get_user_by_id(1)\nawait log(u)\nif not u: return\nreturn u.email", "error 5"),
            ("log(Users.get_user_by_id(1))", ""),
            ("u = Users.get_user_by_id(1)\nlater.append(u)", ""),
            ("u = Users.get_user_by_id(1)\nlater.append(u)\nif u: print('one')", ""),
            ("u = Users.get_user_by_id(1)\nif is_old(u): return u.email\nreturn run(u).email", ""),
            ("u = None\nif body: u = Users.get_user_by_id(1)\nlog(u)\nif u: return u.email", ""),
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
            ("u = await Users.get_user_by_id(1) if NEW else None\nif not u: u = Users.get_user_by_id(1)\nreturn u", ""),
            ("if NEW:\n    u = await Users.get_user_by_id(1)\nelse:\n    u = Users.get_user_by_id(1)\nreturn u.x", ""),
            (
                "try:\n    return (await Users.get_user_by_id(1)).x\nexcept TypeError:\n    return Users.get_user_by_id(1).x",
                "",
            ),
            ("u = None\nif body: u = Users.get_user_by_id(1)\nif u: print('one')", "error 6"),
            ("u = None\nif body: u = Users.get_user_by_id(1)\nif u: return u.x", "error 6"),
            ("u = await (await asyncio.to_thread(Users.get_user_by_id, 1))\nreturn u.x", ""),
            ("if VERSION < (0, 9):\n    u = Users.get_user_by_id(1)\n    return u.x", ""),
        ] {
            table("missing-await", "0.12.4", &[(&of(body), expected)]);
            table("missing-await", "0.8.12", &[(&of(body), "")]);
        }
    }

    #[test]
    fn functions_of_the_file_that_log_it_change_nothing() {
        for (helper, expected) in [
            ("def log(self, u): print(u)", "error 5"),
            ("def log(self, u):\n    if inspect.isawaitable(u): raise ValueError", ""),
        ] {
            let body = "u = Users.get_user_by_id(1)\nself.log(u)\nreturn u.email";
            let line = 4 + helper.lines().count();
            let expected = expected.replace('5', &line.to_string());
            table("missing-await", "0.12.4", &[(&with(helper, body), &expected)]);
        }
    }

    #[test]
    fn names_that_other_functions_see_are_left_alone() {
        for body in [
            "global PENDING\nPENDING = Users.get_users()",
            "global PENDING\nPENDING = Users.get_users()\nprint(PENDING.x)",
            "global PENDING\nif (PENDING := Users.get_users()): pass",
            "c = None\ndef start():\n    nonlocal c\n    c = Users.get_users()\nstart()\nreturn await c",
            "c = Users.get_users()\nasync def later():\n    return await c\nreturn await later()",
            "c = Users.get_users()\nasync def later():\n    print(c.x)\nreturn await later()",
        ] {
            let text = format!("{}\n    async def later(self):\n        await PENDING\n", of(body));
            table("missing-await", "0.12.4", &[(&text, "")]);
        }
        // The name of another function's.
        let other = "def start():\n    global c\n    c = 1\nc = Users.get_users()";
        table("missing-await", "0.12.4", &[(&of(other), "error 8")]);
    }

    #[test]
    fn plugins_for_several_versions_are_left_alone() {
        let old = "return Users.get_user_by_id(1).email";
        for (gate, expected) in [
            ("if VERSION >= '0.9': return (await Users.get_user_by_id(1)).email", ""),
            ("is_new = VERSION >= '0.9'\nif is_new: return 1", ""),
            ("is_new = Version(server) >= Version('0.9')\nif is_new: return 1", ""),
            ("is_new = env.version_info[1] > 8", ""),
            ("is_new = parse(VERSION) >= parse('0.9')", ""),
            ("is_new = info['version'] != '0.8.12'", ""),
            ("is_old = OPEN_WEBUI_VERSION.startswith('0.8')", ""),
            ("if NEW: return (await Users.get_user_by_id(1)).email", ""),
            ("if NEW: return (await asyncio.wait_for(Users.get_user_by_id(1), 5)).email", ""),
            ("async def new(): return (await Users.get_user_by_id(1)).email\nif NEW: return await new()", ""),
            // These gates compare no version, and await another function or none.
            ("is_new = SIZE >= 9", "error 6"),
            ("print(VERSION)", "error 6"),
            ("if NEW: return (await Users.get_user_by_email(1)).email", "error 6"),
            ("if NEW: return await send(Users.get_user_by_id(1))", "error 6"),
        ] {
            table("missing-await", "0.12.4", &[(&of(&format!("{gate}\n{old}")), expected)]);
        }
        let either = "if NEW: return (await self.h()).x\nreturn self.h().x";
        table("missing-await", "0.12.4", &[(&with("def h(self): return Users.get_user_by_id(1)", either), "")]);
        let elsewhere = "async def h(self): return (await Users.get_user_by_id(1)).x";
        table("missing-await", "0.12.4", &[(&with(elsewhere, old), "error 5")]);
    }

    /// A helper `h` beside the hook, and what the hook does with it.
    fn with(helper: &str, body: &str) -> String {
        let indented = |text: &str, by: &str| text.replace('\n', &format!("\n{by}"));
        format!(
            "from open_webui.models.users import Users\nclass Pipe:\n    {}\n    async def pipe(self, body):\n        {}\n",
            indented(helper, "    "),
            indented(body, "        ")
        )
    }

    #[test]
    fn helpers_that_return_it_are_followed() {
        let plain = "def h(self):\n    return Users.get_user_by_id(1)";
        let guarded = "def h(self, x=None):\n    if not x: return None\n    return Users.get_user_by_id(1)";
        let asynchronous = "async def h(self):\n    return Users.get_user_by_id(1)";
        let mixed = "def h(self):\n    if self.x: return 1\n    return Users.get_user_by_id(1)";
        let cached = "@cached\ndef h(self):\n    return Users.get_user_by_id(1)";
        for (helper, body, expected) in [
            (plain, "u = self.h()\nreturn u.x", "error 6"),
            (plain, "return self.h().x", "error 6"),
            (plain, "self.h()", "error 6"),
            (plain, "u = await self.h()\nreturn u.x", ""),
            (plain, "return self.h()", ""),
            (plain, "return run(self.h())", ""),
            (plain, "return other.h().x", ""),
            (guarded, "return self.h().x", "error 7"),
            (asynchronous, "u = await self.h()\nreturn u.x", "error 6"),
            (asynchronous, "u = await (await self.h())\nreturn u.x", ""),
            (asynchronous, "return await self.h()", ""),
            (mixed, "return self.h().x", ""),
            (cached, "return self.h().x", ""),
        ] {
            table("missing-await", "0.12.4", &[(&with(helper, body), expected)]);
            table("missing-await", "0.8.12", &[(&with(helper, body), "")]);
        }
        let twice = "def g(self):\n    return Users.get_user_by_id(1)\ndef h(self):\n    return self.g()";
        table("missing-await", "0.12.4", &[(&with(twice, "return self.h().x"), "error 8")]);
    }

    #[test]
    fn functions_that_are_given_it_are_followed() {
        let of = |helper: &str, expected: &str| {
            table("missing-await", "0.12.4", &[(&with(helper, "self.h(Users.get_user_by_id(1))"), expected)]);
            table("missing-await", "0.12.4", &[(&with(helper, "self.h(u=Users.get_user_by_id(1))"), expected)]);
        };
        of("def h(self, u): return u.x", "error 5");
        of("def h(self, u):\n    if u: return u.x", "error 6");
        of("def h(self, u):\n    v = u\n    return v['a']", "error 7");
        of("def h(self, u):\n    if u: print('one')", "");
        of("def h(self, u): return send(u)", "");
        of("async def h(self, u): return (await u).x", "");
        of("def h(self, u):\n    u = Users.x(u)\n    return u.x", "");
        of("def h(self, u):\n    if inspect.isawaitable(u): return 1\n    return u.x", "");
        of("def h(self, *u): return u[0].x", "");
    }

    #[test]
    fn functions_of_the_server_take_no_coroutine() {
        let head =
            "from open_webui.utils.chat import generate_chat_completion\nfrom open_webui.tasks import create_task\n";
        for (body, expected) in [
            ("u = Users.get_user_by_id(1)\nreturn await generate_chat_completion(body, body, u)", "error 7"),
            ("return await generate_chat_completion(body, body, user=Users.get_user_by_id(1))", "error 7"),
            ("u = await Users.get_user_by_id(1)\nreturn await generate_chat_completion(body, body, u)", ""),
            ("return await create_task(None, Users.get_user_by_id(1))", ""),
        ] {
            table("missing-await", "0.12.4", &[(&format!("{head}{}", with("pass", body)), expected)]);
        }
    }

    #[test]
    fn attributes_that_keep_it_are_followed() {
        for (helper, body, expected) in [
            ("u = None", "self.u = Users.get_user_by_id(1)\nreturn self.u.x", "error 5"),
            (
                "def __init__(self): self.u = None",
                "self.u = Users.get_user_by_id(1)\nif self.u: return self.u.x",
                "error 5",
            ),
            ("def g(self): return self.u['a']", "self.u = Users.get_user_by_id(1)", "error 5"),
            ("u = None", "self.u = Users.get_user_by_id(1)\nif self.u: return 1", ""),
            ("u = None", "self.u = Users.get_user_by_id(1)\nself.u = await self.u\nreturn self.u.x", ""),
            ("u = User()", "self.u = Users.get_user_by_id(1)\nreturn self.u.x", ""),
            ("def g(self, u): self.u = u", "self.u = Users.get_user_by_id(1)\nreturn self.u.x", ""),
            ("def g(self, o): o.u = 1", "self.u = Users.get_user_by_id(1)\nreturn self.u.x", ""),
            ("def g(self): setattr(self, 'u', 1)", "self.u = Users.get_user_by_id(1)\nreturn self.u.x", ""),
        ] {
            table("missing-await", "0.12.4", &[(&with(helper, body), expected)]);
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
        let helper = "def h(self): return Users.get_user_by_id(1)";
        assert_eq!(
            found("missing-await", &with(helper, "return self.h().x"), "0.12.4"),
            [
                "error 5:16+6 `self.h` returns `Users.get_user_by_id`, a coroutine since 0.9, and nobody awaits it: `.x` of it fails"
            ]
        );
        let helper = "def h(self, u): return u.x";
        assert_eq!(
            found("missing-await", &with(helper, "return self.h(Users.get_user_by_id(1))"), "0.12.4"),
            [
                "error 5:23+20 `Users.get_user_by_id` is a coroutine since 0.9, and nobody awaits it: `.x` of it fails in `h`"
            ]
        );
    }
}
