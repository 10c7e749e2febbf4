//! A tool's parameter that the model knows by its name alone. Only `:param name:` lines reach it, not `Args:` blocks:
//! in 20 of 44 published tools the model never sees what their authors wrote.

use ruff_python_ast::{Expr, Stmt, StmtFunctionDef};
use ruff_text_size::Ranged as _;

use super::{CheckRule, Context, Report};
use crate::plugin::{Fix, Severity};

pub(super) const RULE: CheckRule = CheckRule {
    id: "parameter-undescribed",
    severity: Severity::Info,
    title: "a tool's parameter that the model knows only by name",
    page: "
The server takes the description of a parameter only from a line `:param name: …` in the docstring.
An `Args:` block becomes a part of the function's description, so the model gets no description of
the parameter itself. Functions without a docstring are not checked.",
    wrong: "
class Tools:
    def search(self, query: str):
        \"\"\"
        Searches the web.

        Args:
            query: what to look for
        \"\"\"
        return query
",
    right: "
class Tools:
    def search(self, query: str):
        \"\"\"
        Searches the web.

        :param query: what to look for
        \"\"\"
        return query
",
    check,
};

fn check(context: &Context<'_>, report: &mut Report) {
    for tool in context.tools() {
        let Some((docstring, start)) = docstring(context, tool) else { continue };
        let missing: Vec<_> = tool
            .parameters
            .iter_non_variadic_params()
            .filter(|parameter| {
                let name = parameter.name().as_str();
                name != "self" && !name.starts_with("__") && !docstring.contains(&format!(":param {name}:"))
            })
            .collect();
        let names: Vec<_> = missing.iter().map(|parameter| parameter.name().as_str()).collect();
        let fix = from_args(docstring, start, &names);
        for parameter in &missing {
            let name = parameter.name();
            let message = format!("the model sees only the name of `{name}`");
            let hint = format!("add a line `:param {name}: …` to the docstring");
            report.add_with_fix(name.range(), message, hint, fix.clone());
        }
    }
}

/// The source of the docstring, and its start.
fn docstring<'a>(context: &Context<'a>, function: &StmtFunctionDef) -> Option<(&'a str, usize)> {
    let Stmt::Expr(first) = function.body.first()? else { return None };
    let Expr::StringLiteral(literal) = &*first.value else { return None };
    Some((context.source(literal.range()), literal.range().start().into()))
}

/// Turns an `Args:` block into `:param` lines. For the server, the description of a function ends at the first `:param`
/// line, so the block must be at the end of the docstring. It must describe exactly the parameters without a `:param`
/// line. Lines that continue a description are joined: older servers read only one line per parameter.
fn from_args(docstring: &str, start: usize, names: &[&str]) -> Option<Fix> {
    let quotes = docstring.get(docstring.len().checked_sub(3)?..)?;
    let inner = docstring.strip_suffix(quotes)?;
    // Adjacent literals or continued lines: no fix.
    if inner.matches(quotes).count() != 1 || inner.contains("\\\n") {
        return None;
    }
    let mut edits: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    let mut at = start;
    // The indentation of the heading, and the depth of its entries.
    let mut heading: Option<(&str, Option<usize>)> = None;
    let mut follows_empty = false;
    // The depth of the lines that continue the description.
    let mut continued: Option<usize> = None;
    for line in inner.split_inclusive('\n') {
        let (indent, words) = (line.len() - line.trim_start().len(), line.trim());
        let here = at..at + line.trim_end().len();
        at += line.len();
        let Some((margin, entry)) = &mut heading else {
            if matches!(words, "Args:" | "Arguments:" | "Parameters:") {
                heading = Some((&line[..indent], None));
                edits.push((here.start..at, String::new()));
            }
            continue;
        };
        if words.is_empty() {
            follows_empty = true;
            continue;
        }
        if indent <= margin.len() {
            return None;
        }
        let of_entry = *entry.get_or_insert(indent);
        if indent > of_entry {
            let (range, text) = edits.last_mut()?;
            // Deeper lines may be a list or an example, which one line would spoil.
            if follows_empty || *continued.get_or_insert(indent) != indent {
                return None;
            }
            *text = format!("{text} {words}");
            range.end = here.end;
            continue;
        }
        let (name, description) = words.split_once(':')?;
        let plain = name.split_once(" (").map_or(name, |(name, _)| name).trim();
        if indent < of_entry || !names.contains(&plain) {
            return None;
        }
        let new = format!("{margin}:param {plain}: {}", description.trim());
        edits.push((here, new.trim_end().to_owned()));
        follows_empty = false;
        continued = None;
    }
    let is_described = |(_, new): &&(_, String)| !new.ends_with(':');
    (edits.len() == names.len() + 1 && edits[1..].iter().all(|edit| is_described(&edit))).then_some(Fix { edits })
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;

    #[test]
    fn only_param_lines_count() {
        for (signature, docstring, expected) in [
            ("self, a: int", "Does it.\n\n        :param a: a number", ""),
            ("self, a: int", "Does it.", "info 2"),
            ("self, a: int, b: int", "Does it.\n        :param a: a number", "info 2"),
            ("self, a: int", "Args:\n            a: a number", "info 2"),
            ("self, __user__: dict", "Does it.", ""),
            ("self, *args, **kwargs", "Does it.", ""),
        ] {
            let text =
                format!("class Tools:\n    def f({signature}):\n        \"\"\"\n        {docstring}\n        \"\"\"\n");
            table("parameter-undescribed", "0.12.4", &[(&text, expected)]);
        }
        table("parameter-undescribed", "0.12.4", &[("class Tools:\n    def f(self, a): pass\n", "")]);
        table("parameter-undescribed", "0.12.4", &[("class Tools:\n    def _f(self, a):\n        'x'\n", "")]);
    }
}
