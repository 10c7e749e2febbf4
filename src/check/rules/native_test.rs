//! A comparison with `"native"` that no longer means what it did. Since 0.10 the tools of a model are native unless the
//! setting is `"legacy"`: by default it is empty, and the comparison fails. Six published plugins.

use ruff_python_ast::{CmpOp, Expr};
use ruff_text_size::Ranged as _;

use super::{CheckRule, Context, Report};
use crate::check::semantics::{Binding, ScopeId};
use crate::plugin::Severity;

pub(super) const RULE: CheckRule = CheckRule {
    id: "native-test",
    severity: Severity::Warning,
    title: "`function_calling` compared with \"native\", the default since 0.10",
    page: "
Up to 0.9, `function_calling` was `\"native\"` if the model calls its tools itself, and empty
otherwise. Since 0.10, native is the default: the setting is empty, or `\"legacy\"`. So a comparison
with `\"native\"` takes the wrong branch there. Compare with `\"legacy\"` instead.",
    wrong: "
class Filter:
    def inlet(self, body, __metadata__):
        if __metadata__.get(\"params\", {}).get(\"function_calling\") == \"native\":
            body[\"native\"] = True
        return body
",
    right: "
class Filter:
    def inlet(self, body, __metadata__):
        if __metadata__.get(\"params\", {}).get(\"function_calling\") != \"legacy\":
            body[\"native\"] = True
        return body
",
    check,
};

fn check(context: &Context<'_>, report: &mut Report) {
    if !context.version.is_since("0.10.0") {
        return;
    }
    // A plugin that mentions `legacy` already handles the new default.
    let knows_legacy = || context.text.contains("\"legacy\"") || context.text.contains("'legacy'");
    for id in &context.semantics.compares {
        let Some(Expr::Compare(compare)) = context.semantics.expr(*id) else { continue };
        let ([op @ (CmpOp::Eq | CmpOp::NotEq)], [right]) = (&*compare.ops, &*compare.comparators) else { continue };
        let is_native = |expr: &Expr| expr.as_string_literal_expr().is_some_and(|text| text.value.to_str() == "native");
        let other = match (is_native(&compare.left), is_native(right)) {
            (true, false) => right,
            (false, true) => &*compare.left,
            (true, true) | (false, false) => continue,
        };
        if reads_the_setting(context, other, context.semantics.scope(*id)) && !knows_legacy() {
            let instead = if *op == CmpOp::Eq { "!=" } else { "==" };
            report.add(
                compare.range(),
                "since 0.10 `function_calling` is empty where tools are native, so this takes the wrong branch",
                format!("compare with `{instead} \"legacy\"`"),
            );
        }
    }
}

/// `….get("function_calling")`, `…["function_calling"]`, or a name bound only to such values and `None`.
fn reads_the_setting(context: &Context<'_>, expr: &Expr, scope: ScopeId) -> bool {
    let is_key =
        |expr: &Expr| expr.as_string_literal_expr().is_some_and(|text| text.value.to_str() == "function_calling");
    match expr {
        Expr::Call(call) => {
            let is_get = call.func.as_attribute_expr().is_some_and(|it| it.attr.as_str() == "get");
            match &*call.arguments.args {
                [key] | [key, Expr::NoneLiteral(_)] => is_get && is_key(key),
                _ => false,
            }
        }
        Expr::Subscript(subscript) => is_key(&subscript.slice),
        Expr::Name(name) => context.semantics.bindings(&name.id, scope).is_some_and(|bindings| {
            let mut reads = false;
            let fits = bindings.iter().all(|binding| match binding {
                Binding::Value(Expr::NoneLiteral(_)) => true,
                Binding::Value(value @ (Expr::Call(_) | Expr::Subscript(_))) => {
                    reads = true;
                    reads_the_setting(context, value, scope)
                }
                _ => false,
            });
            fits && reads
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;

    #[test]
    fn comparisons_with_native() {
        for (test, expected) in [
            ("params.get('function_calling') == 'native'", "warning 3"),
            ("params['function_calling'] != 'native'", "warning 3"),
            ("'native' == params['function_calling']", "warning 3"),
            ("params.get('function_calling', None) == 'native'", "warning 3"),
            ("params.get('function_calling', 'native') == 'native'", ""),
            ("function_calling == 'native'", ""),
            ("params.get('function_calling') == 'legacy'", ""),
            ("mode == 'native'", ""),
            ("params.get('function_calling') in ('native',)", ""),
        ] {
            let text = format!("class Pipe:\n    def pipe(self, body, params):\n        return {test}\n");
            table("native-test", "0.12.4", &[(&text, expected)]);
            table("native-test", "0.9.6", &[(&text, "")]);
        }
        for (value, expected) in
            [("p.get('function_calling')", "warning 5"), ("p.get('function_calling', 'native')", "")]
        {
            let text = format!(
                "class Pipe:\n    def pipe(self, body, p):\n        mode = None\n        mode = {value}\n        return mode == 'native'\n"
            );
            table("native-test", "0.12.4", &[(&text, expected)]);
        }
    }
}
