//! `**kwargs` that stay empty. The server gives a hook only the parameters that it names.

use ruff_text_size::Ranged as _;

use super::{CheckRule, Context, Report};
use crate::plugin::{Entry, Severity};

pub(super) const RULE: CheckRule = CheckRule {
    id: "kwargs-empty",
    severity: Severity::Info,
    title: "`**kwargs` of a hook, which stays empty",
    page: "
The server passes only the parameters that a hook names. `**kwargs` names none, so it stays empty.
To get the user, add a parameter `__user__`. The hook of an `Event` is an exception.",
    wrong: "
class Pipe:
    def pipe(self, body, **kwargs):
        return str(kwargs.get(\"__user__\"))
",
    right: "
class Pipe:
    def pipe(self, body, __user__):
        return str(__user__)
",
    check,
};

fn check(context: &Context<'_>, report: &mut Report) {
    if context.entry == Entry::Event {
        return;
    }
    for hook in context.hooks().iter().filter(|hook| !hook.is_decorated()) {
        // A hook that does not name its argument receives it in `**kwargs`.
        let is_named = hook.parameters().any(|it| it.name().as_str() == hook.given);
        if let Some(kwargs) = hook.function.parameters.kwarg.as_ref().filter(|_| is_named) {
            let message = format!("`**{}` of `{}` stays empty", kwargs.name, hook.name());
            report.add(kwargs.range(), message, "name the parameters, such as `__user__`");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;

    #[test]
    fn kwargs_of_hooks_are_told() {
        for (text, expected) in [
            ("class Pipe:\n    def pipe(self, body, **kwargs): return 1", "info 2"),
            ("class Pipe:\n    def pipe(self, **kwargs): return 1", ""),
            ("class Pipe:\n    def other(self, **kwargs): return 1", ""),
            ("class Event:\n    def event(self, event, **kwargs): return 1", ""),
            ("class Tools:\n    def f(self, **kwargs): return 1", ""),
        ] {
            table("kwargs-empty", "0.12.4", &[(text, expected)]);
        }
    }
}
