//! Arguments that the server does not give. It passes each hook its own set, by name: a pipe has no `__model__`, an
//! action no `__metadata__`. With a default, the parameter always has that value (24 published plugins); without one,
//! each call fails.

use ruff_python_ast::{Expr, Keyword, ParameterWithDefault, StmtFunctionDef};
use ruff_text_size::Ranged as _;

use super::{CheckRule, Context, Report};
use crate::plugin::Severity;

pub(super) const NOT_GIVEN: CheckRule = CheckRule {
    id: "argument-not-given",
    severity: Severity::Error,
    title: "a parameter without a default that the server never passes",
    page: "
The server looks at a hook's parameters, and passes by name those that it has for this hook. If a
parameter has no default and the server does not know it, each call fails with a `TypeError`. The
server has these parameters:

    pipe     body, and __user__ __request__ __metadata__ __files__ __tools__ __task__ __task_body__
             __event_emitter__ __event_call__ __oauth_token__ __chat_id__
             __session_id__ __message_id__
    inlet    body, and __user__ __request__ __metadata__ __model__ __id__ __event_emitter__
             __event_call__ __oauth_token__, since 0.7 __chat_id__ __message_id__
    outlet   body, and __user__ __request__ __metadata__ __model__ __id__ __event_emitter__
             __event_call__
    stream   event, and those of inlet, __body__; __chat_id__ and __message_id__ since 0.11
    action   body, and __user__ __request__ __model__ __id__ __event_emitter__ __event_call__
    event    event, and __id__ __event__ __event_id__ __event_name__ __app__ __request__",
    wrong: "
class Action:
    def action(self, body, __metadata__):
        return str(__metadata__)
",
    right: "
class Action:
    def action(self, body, __user__):
        return str(__user__)
",
    check: not_given,
};

pub(super) const ALWAYS_DEFAULT: CheckRule = CheckRule {
    id: "argument-always-default",
    severity: Severity::Warning,
    title: "a parameter that the server never passes, so it always has its default",
    page: "
The server looks at a hook's parameters, and passes by name those that it has for this hook. A
parameter that the server does not know always has its default: code for any other value never runs.
For example, a pipe gets no `__model__`: its model is in `body[\"model\"]` and in `__metadata__`.
The page of `argument-not-given` lists the parameters of each hook.

If the file itself calls the hook with the parameter, nothing is reported.",
    wrong: "
class Pipe:
    def pipe(self, body, __model__=None):
        return str(__model__)
",
    right: "
class Pipe:
    def pipe(self, body, __metadata__=None):
        return str(__metadata__)
",
    check: always_default,
};

/// All arguments with two underscores that some version passes to a tool's function.
const OF_TOOL: &[&str] = &[
    "__event_emitter__",
    "__event_call__",
    "__user__",
    "__metadata__",
    "__oauth_token__",
    "__request__",
    "__model__",
    "__chat_id__",
    "__session_id__",
    "__message_id__",
    "__messages__",
    "__files__",
    "__id__",
    "__features__",
    "__skill_ids__",
    "__task__",
    "__task_body__",
    "__tools__",
    "__body__",
    "__model_knowledge__",
];

fn not_given(context: &Context<'_>, report: &mut Report) {
    for (function, parameter, since) in strangers(context) {
        if parameter.default.is_none() {
            let (name, hook) = (parameter.name(), &function.name);
            let message = format!("the server never passes `{name}` to `{hook}`{}: each call fails", from(since));
            report.add(parameter.parameter.range(), message, "leave it out, or give it a default");
        }
    }
}

fn always_default(context: &Context<'_>, report: &mut Report) {
    for (function, parameter, since) in strangers(context) {
        if let Some(default) = &parameter.default {
            let (name, hook) = (parameter.name(), &function.name);
            let default = context.source(default.range());
            let value = if default.len() <= 30 { format!("`{default}`") } else { "its default".to_owned() };
            let message = format!("the server never passes `{name}` to `{hook}`{}: it is always {value}", from(since));
            report.add(parameter.parameter.range(), message, "");
        }
    }
}

/// A suffix for messages: ` before 0.7`.
fn from(since: Option<&str>) -> String {
    since.map(|since| format!(" before {since}")).unwrap_or_default()
}

/// The parameters of hooks and tools that this server does not pass, each with the version that introduced it, if any.
fn strangers<'a>(context: &Context<'a>) -> Vec<(&'a StmtFunctionDef, &'a ParameterWithDefault, Option<&'static str>)> {
    let mut found = Vec::new();
    for hook in context.hooks().iter().filter(|hook| !hook.is_decorated()) {
        for parameter in hook.parameters() {
            let name = parameter.name().as_str();
            let since = hook.since(name);
            let is_given = hook.is_given(name) || since.is_some_and(|since| context.version.is_since(since));
            if !is_given && !is_called_with(context, hook.function, name) {
                found.push((hook.function, parameter, since));
            }
        }
    }
    for tool in context.tools().into_iter().filter(|tool| tool.decorator_list.is_empty()) {
        for parameter in tool.parameters.iter_non_variadic_params() {
            let name = parameter.name().as_str();
            let is_special = name.starts_with("__") && name.ends_with("__");
            if is_special && !OF_TOOL.contains(&name) && !is_called_with(context, tool, name) {
                found.push((tool, parameter, None));
            }
        }
    }
    found
}

/// Whether the file itself calls a method of this name with arguments that may include this one.
fn is_called_with(context: &Context<'_>, function: &StmtFunctionDef, argument: &str) -> bool {
    context.semantics.calls.iter().map(|call| call.expr).any(|call| {
        let is_it = call.func.as_attribute_expr().is_some_and(|it| it.attr.id == function.name.id);
        let gives = |it: &Keyword| match &it.arg {
            Some(name) => name.as_str() == argument,
            None => may_have(&it.value, argument),
        };
        is_it && (call.arguments.args.len() > 1 || call.arguments.keywords.iter().any(gives))
    })
}

/// Whether a mapping may have a key: `false` only if literals show all its keys, as in `{"a": 1} if b else {}`.
fn may_have(mapping: &Expr, key: &str) -> bool {
    match mapping {
        Expr::Dict(dict) => dict.items.iter().any(|item| match &item.key {
            Some(Expr::StringLiteral(text)) => text.value.to_str() == key,
            Some(_) => true,
            None => may_have(&item.value, key),
        }),
        Expr::If(choice) => may_have(&choice.body, key) || may_have(&choice.orelse, key),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;

    #[test]
    fn each_hook_has_its_own_arguments() {
        for (class, without, with) in [
            (
                "class Pipe:\n    def pipe(self, body, {}): return 1",
                &["__model__", "__id__", "user", "__messages__"][..],
                &["__user__", "__tools__", "*, __task__"][..],
            ),
            (
                "class Filter:\n    def inlet(self, body, {}): return body",
                &["__tools__", "__files__", "user"],
                &["__model__", "__id__", "__chat_id__"],
            ),
            (
                "class Filter:\n    def outlet(self, body, {}): return body",
                &["__chat_id__"],
                &["__model__", "__metadata__"],
            ),
            ("class Filter:\n    def stream(self, event, {}): return event", &["body"], &["__body__", "__user__"]),
            (
                "class Action:\n    def action(self, body, {}): return body",
                &["__metadata__", "__chat_id__"],
                &["__model__", "__user__"],
            ),
            ("class Event:\n    def event(self, event, {}): return 1", &["__user__"], &["__app__", "__event_name__"]),
            ("class Tools:\n    def search(self, query, {}): return 1", &["__valves__"], &["__files__", "limit"]),
        ] {
            for name in without {
                let text = class.replace("{}", name);
                table("argument-not-given", "0.12.4", &[(&text, "error 2")]);
                table(
                    "argument-always-default",
                    "0.12.4",
                    &[(&text, ""), (&class.replace("{}", &format!("{name}=None")), "warning 2")],
                );
            }
            for name in with {
                table("argument-not-given", "0.12.4", &[(&class.replace("{}", name), "")]);
                table("argument-always-default", "0.12.4", &[(&class.replace("{}", &format!("{name}=None")), "")]);
            }
        }
    }

    #[test]
    fn versions_and_own_calls_count() {
        let text = "class Filter:\n    def inlet(self, body, __chat_id__): return body\n";
        table("argument-not-given", "0.6.43", &[(text, "error 2")]);
        table("argument-not-given", "0.7.2", &[(text, "")]);
        let text = "class Pipe:\n    def pipe(self, body, depth=0): return self.pipe(body, depth=1)\n";
        table("argument-always-default", "0.12.4", &[(text, "")]);
        for (given, expected) in [
            ("**more", ""),
            ("**({'depth': 1} if body else {})", ""),
            ("**({'width': 1} if body else {})", "warning 2"),
            ("**{**more}", ""),
            ("**{body: 1}", ""),
        ] {
            let text = format!("class Pipe:\n    def pipe(self, body, depth=0): return self.pipe({given})\n");
            table("argument-always-default", "0.12.4", &[(&text, expected)]);
        }
        let text = "class Pipe:\n    @wrapped\n    def pipe(self, body, depth): return 1\n";
        table("argument-not-given", "0.12.4", &[(text, "")]);
    }
}
