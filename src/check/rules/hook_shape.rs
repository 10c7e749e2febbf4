//! A hook that the server cannot call, or that breaks the chat with its answer. The server accepts the class whatever
//! its methods are. No published plugin keeps such a mistake for long; whoever writes one loses an hour.

use ruff_python_ast::{Expr, Stmt, StmtClassDef, StmtFunctionDef};
use ruff_text_size::{Ranged as _, TextLen as _, TextRange};

use super::{CheckRule, Context, Report};
use crate::check::context::Hook;
use crate::check::flow::Ends;
use crate::check::semantics::Node;
use crate::plugin::{Entry, Severity};

pub(super) const RULE: CheckRule = CheckRule {
    id: "hook-shape",
    severity: Severity::Error,
    title: "a hook that the server cannot call, or whose answer breaks the chat",
    page: "
The server accepts any class called `Pipe`, `Filter` or `Action`, and looks for its methods only
when a user chats. It calls `pipe`, `inlet`, `outlet` and `action` with `body=…`, and `stream` with
`event=…`. The return value of `inlet` replaces the request: if a global filter returns nothing,
every chat of the server fails. A `Pipe` without `pipe` fails each chat. An `Action` without
`action` has a button that does nothing, and an `Event` without `event` never receives an event.
The server reports neither mistake. A filter without hooks is fine if it sets `toggle`, since it
adds a switch to the chat. Otherwise you get a warning, unless the class is empty. `Tools` without a
public function is a warning, too: a model can call only those whose names do not begin with `_`.",
    wrong: "
class Filter:
    def inlet(self, body):
        body[\"seen\"] = True
",
    right: "
class Filter:
    def inlet(self, body):
        body[\"seen\"] = True
        return body
",
    check,
};

fn check(context: &Context<'_>, report: &mut Report) {
    let Some(class) = context.class else { return };
    for hook in context.hooks().iter().filter(|hook| !hook.is_decorated()) {
        takes_its_argument(hook, report);
        returns_its_value(context, hook, report);
    }
    if !context.is_whole() {
        return;
    }
    let methods = context.methods();
    // An assignment such as `pipe = other` counts as well.
    let has = |name: &str| {
        methods.iter().any(|method| method.name.as_str() == name)
            || context.text.contains(&format!("{name} ="))
            || context.text.contains(&format!("{name}:"))
    };
    let hooks = context.entry.hooks();
    let lacks_all = !hooks.iter().any(|hook| has(hook));
    // Some filters only add a switch to the chat.
    let fails = lacks_all && !matches!(context.entry, Entry::Filter | Entry::Tools);
    let severity = if fails { Severity::Error } else { Severity::Warning };
    let mut misspelled = false;
    for hook in hooks.iter().filter(|hook| !has(hook)) {
        let near = |name: &str| strsim::damerau_levenshtein(name, hook) == 1 && !matches!(name, "pipes" | "actions");
        for method in methods.iter().filter(|method| near(&method.name)) {
            if context.text.contains(&format!("self.{}", method.name)) {
                continue;
            }
            misspelled = true;
            let message = format!("the server never calls `{}`: the hook is `{hook}`", method.name);
            report.add_as(severity, method.name.range(), message, format!("rename it to `{hook}`"));
        }
    }
    if let (true, false, Some((message, hint))) = (lacks_all, misspelled, without_hooks(context)) {
        report.add_as(severity, class.name.range(), message, hint);
    }
}

/// The message and hint for a class without its hooks; `None` if that is fine.
fn without_hooks(context: &Context<'_>) -> Option<(&'static str, &'static str)> {
    match context.entry {
        Entry::Pipe => {
            Some(("`Pipe` has no method `pipe`: each chat with its model fails", "define `pipe(self, body)`"))
        }
        Entry::Action => {
            Some(("`Action` has no method `action`: its button does nothing", "define `action(self, body)`"))
        }
        Entry::Event => {
            Some(("`Event` has no method `event`: the server never calls it", "define `event(self, event)`"))
        }
        // An empty class is unfinished: no warning.
        Entry::Filter if !context.text.contains("toggle") && !context.class.is_some_and(is_empty) => Some((
            "`Filter` has no method `inlet`, `stream` or `outlet`: it changes no chat",
            "define one of them, or set `self.toggle = True` if it is only a switch",
        )),
        Entry::Tools if !context.class.is_some_and(|class| is_empty(class) || offers_any(context, class)) => Some((
            "`Tools` has no public function: there is nothing that a model can call",
            "add a function whose name does not begin with `_`",
        )),
        Entry::Filter | Entry::Tools => None,
    }
}

/// Whether a class may offer a model something to call: any callable attribute whose name does not begin with `_`.
fn offers_any<'a>(context: &Context<'a>, class: &'a StmtClassDef) -> bool {
    let is_public = |name: &str| !name.starts_with('_') && !matches!(name, "valves" | "user_valves");
    // A literal cannot be called.
    let may_be_called = |value: &Expr| !(value.is_literal_expr() || value.is_list_expr() || value.is_dict_expr());
    let binds = |target: &Expr, value: &Expr| {
        target.as_name_expr().is_none_or(|name| is_public(&name.id)) && may_be_called(value)
    };
    let in_body = class.body.iter().any(|statement| match statement {
        Stmt::ClassDef(_) | Stmt::Pass(_) | Stmt::Expr(_) => false,
        // `cls` or `this` is not followed: it may bind anything.
        Stmt::FunctionDef(function) => is_public(&function.name) || !takes_self(function),
        Stmt::AnnAssign(assign) => assign.value.as_deref().is_some_and(|value| binds(&assign.target, value)),
        Stmt::Assign(assign) => assign.targets.iter().any(|target| binds(target, &assign.value)),
        _ => true,
    });
    // Whether this use of the class or of its instance may bind a function.
    let binds_one = |owner| match context.parent(owner) {
        Some((attribute, Node::Expr(Expr::Attribute(of_owner)))) => {
            of_owner.ctx.is_store()
                && is_public(&of_owner.attr)
                && match context.parent(attribute) {
                    Some((_, Node::Stmt(Stmt::Assign(assign)))) => may_be_called(&assign.value),
                    Some((_, Node::Stmt(Stmt::AnnAssign(assign)))) => {
                        assign.value.as_deref().is_some_and(may_be_called)
                    }
                    _ => true,
                }
        }
        // `Tools()` alone binds nothing. Code that receives the class or the instance may bind anything.
        Some((_, Node::Expr(Expr::Call(call)))) => call.func.range() != context.semantics.node(owner).range(),
        _ => true,
    };
    let semantics = &context.semantics;
    in_body
        || semantics.loads_of("self", class.range()).any(binds_one)
        || semantics.loads_of(&class.name, TextRange::up_to(context.text.text_len())).any(binds_one)
}

/// Whether the first parameter of a method is `self`.
fn takes_self(function: &StmtFunctionDef) -> bool {
    let first = function.parameters.iter_non_variadic_params().next();
    first.is_some_and(|first| first.name().as_str() == "self")
}

/// Whether a class body has only `pass` and strings.
fn is_empty(class: &StmtClassDef) -> bool {
    class.body.iter().all(|statement| {
        let value = statement.as_expr_stmt().map(|statement| &*statement.value);
        statement.is_pass_stmt() || value.is_some_and(Expr::is_string_literal_expr)
    })
}

/// Reports a hook that cannot take its argument, which the server passes by name.
fn takes_its_argument(hook: &Hook<'_>, report: &mut Report) {
    let parameters = &hook.function.parameters;
    let (name, given) = (hook.name(), hook.given);
    let by_name = hook.parameters().any(|parameter| parameter.name().as_str() == given);
    let by_position = parameters.posonlyargs.iter().any(|parameter| parameter.name().as_str() == given);
    // The server passes an event's arguments only if the hook names them.
    if parameters.kwarg.is_none() && (!by_name || by_position) && name != "event" {
        let message = format!("the server calls `{name}` with `{given}=…`, which it does not take: each call fails");
        report.add(hook.function.name.range(), message, format!("name a parameter `{given}`"));
    }
}

/// Reports a filter hook that does not return its value: the server goes on with what the hook returns.
fn returns_its_value(context: &Context<'_>, hook: &Hook<'_>, report: &mut Report) {
    if context.entry != Entry::Filter {
        return;
    }
    let (severity, then) = match hook.name() {
        "inlet" => (Severity::Error, "the chat fails"),
        _ => (Severity::Warning, "the next filter gets None"),
    };
    let value = hook.given;
    let ends = Ends::of(&hook.function.body);
    let (name, hint) = (hook.name(), format!("`return {value}`"));
    if ends.yields {
        report.add(
            hook.function.name.range(),
            format!("`{name}` is a generator, not a function that returns `{value}`: {then}"),
            hint,
        );
        return;
    }
    for nothing in &ends.nothing {
        report.add_as(severity, nothing.range(), format!("`{name}` returns None here: {then}"), hint.clone());
    }
    if ends.falls_off {
        // If a function returns on some paths, the others may be impossible.
        let severity = if ends.values.is_empty() && ends.nothing.is_empty() { severity } else { Severity::Warning };
        let message = if ends.values.is_empty() {
            format!("`{name}` returns nothing: {then}")
        } else {
            format!("`{name}` does not return on every path: where it does not, {then}")
        };
        report.add_as(severity, hook.function.name.range(), message, hint);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;

    #[test]
    fn hooks_take_what_the_server_gives() {
        for (method, expected) in [
            ("class Pipe:\n    def pipe(self, body): return 1", ""),
            ("class Pipe:\n    def pipe(self, **kwargs): return 1", ""),
            ("class Pipe:\n    def pipe(self, *, body): return 1", ""),
            ("class Pipe:\n    @staticmethod\n    def pipe(body): return 1", ""),
            ("class Pipe:\n    @wraps(x)\n    def pipe(self): return 1", ""),
            ("class Pipe:\n    def pipe(self, prompt): return 1", "error 2"),
            ("class Pipe:\n    def pipe(self, body, /): return 1", "error 2"),
            ("class Pipe:\n    def pipes(self): return 1", "error 1"),
            ("class Pipe(Base):\n    def pipes(self): return 1", ""),
            ("class Pipe:\n    pipe = other", ""),
            ("class Pipe:\n    def pip(self, body): return 1", "error 2"),
            ("class Filter:\n    pass", ""),
            ("class Filter:\n    \"\"\"To do.\"\"\"", ""),
            ("class Filter:\n    def __init__(self): self.on = True", "warning 1"),
            ("class Filter(Base):\n    pass", ""),
            ("class Filter:\n    def __init__(self): self.toggle = True", ""),
            ("class Filter:\n    def stream(self, event): return event", ""),
            ("class Filter:\n    def inlte(self, body): return body", "warning 2"),
            ("class Filter:\n    def inlet(self, body): return body\n    def inlets(self): pass", ""),
            ("class Action:\n    def action(self): pass", "error 2"),
            ("class Event:\n    def event(self): pass", ""),
            ("\"\"\"\ntitle: a\n\"\"\"\nclass Action:\n    pass", "error 4"),
            ("\"\"\"\ntitle: a\n\"\"\"\nclass Action:\n    actions = []", "error 4"),
            ("\"\"\"\ntitle: a\n\"\"\"\nclass Action:\n    def actoin(self, body): pass", "error 5"),
            ("\"\"\"\ntitle: a\n\"\"\"\nclass Event:\n    def on(self, event): pass", "error 4"),
            ("class Tools:\n    def pipe(self): pass", ""),
        ] {
            table("hook-shape", "0.12.4", &[(method, expected)]);
        }
    }

    #[test]
    fn filters_return_what_they_were_given() {
        for (body, expected) in [
            ("return body", ""),
            ("pass", "error 2"),
            ("body['a'] = 1", "error 2"),
            ("return", "error 3"),
            ("return None", "error 3"),
            ("raise ValueError", ""),
            ("if body:\n    return body", "warning 2"),
            ("if body:\n    return body\nelse:\n    return {}", ""),
            ("if body:\n    return body\nelif x:\n    return x\nelse:\n    raise y", ""),
            ("if body:\n    return\nreturn body", "error 4"),
            ("try:\n    return body\nexcept E:\n    return body", ""),
            ("try:\n    return body\nexcept E:\n    log()", "warning 2"),
            ("try:\n    x()\nfinally:\n    return body", ""),
            ("with x:\n    return body", ""),
            ("while True:\n    return body", ""),
            ("while True:\n    break", "error 2"),
            ("match body:\n    case 1: return body\n    case _: return body", ""),
            ("for x in y:\n    return body", "warning 2"),
            ("yield body", "error 2"),
            ("def f(): return\nreturn body", ""),
        ] {
            let text = format!(
                "class Filter:\n    async def inlet(self, body):\n        {}\n",
                body.replace('\n', "\n        ")
            );
            table("hook-shape", "0.12.4", &[(&text, expected)]);
        }
        table("hook-shape", "0.12.4", &[("class Filter:\n    def outlet(self, body): pass", "warning 2")]);
        table("hook-shape", "0.12.4", &[("class Filter:\n    def stream(self, event): return event", "")]);
    }

    #[test]
    fn tools_offer_a_public_function() {
        for (body, expected) in [
            ("    class Valves: pass\n    def _run(self): pass\n", "warning 1"),
            (
                "    def __init__(self):\n        self.valves = self.Valves()\n        self.citation = True\n",
                "warning 1",
            ),
            ("    'Has yet to be written.'\n", ""),
            ("    pass\n", ""),
            ("    def run(self): pass\n", ""),
            ("    if NEW:\n        def run(self): pass\n", ""),
            ("    run = make()\n", ""),
            ("    run: Any = make()\n", ""),
            ("    _run = make()\n", "warning 1"),
            ("    def __init__(self):\n        self.run = make()\n", ""),
            ("    def __init__(self):\n        setattr(self, 'run', 1)\n", ""),
            ("    def __getattr__(self, name): pass\n", ""),
            ("    def __getattribute__(self, name): pass\n", ""),
            ("    def __init__(self): bind(self)\n", ""),
            ("    def __init__(self): self.me = self\n", ""),
            ("    def __init__(this): this.run = make()\n", ""),
            ("    def __new__(cls): return make()\n", ""),
            ("    one = 1\nTools.run = make()\n", ""),
            ("    one = 1\nTools.two = 2\n", "warning 1"),
            ("    one = 1\nbind(Tools)\n", ""),
            ("    one = 1\nTools = bind(Tools)\n", ""),
            ("    one = 1\nsetattr(Tools, 'run', make())\n", ""),
            ("    one = 1\ntools = Tools()\n", "warning 1"),
        ] {
            let text = format!("class Tools:\n{body}");
            table("hook-shape", "0.12.4", &[(&text, expected)]);
            table("hook-shape", "0.12.4", &[(&text.replace("Tools:", "Tools(Base):"), "")]);
        }
    }
}
