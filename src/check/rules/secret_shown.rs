//! A key that anyone near the admin's screen can read: a valve without the password input. 26 published plugins.

use ruff_python_ast::{Expr, Operator, Stmt, StmtAnnAssign, StmtClassDef};
use ruff_text_size::Ranged;

use super::{CheckRule, Context, Report};
use crate::check::context::inner_class;
use crate::check::semantics::{Binding, Node};
use crate::plugin::python::is_name;
use crate::plugin::{Fix, Severity};

pub(super) const RULE: CheckRule = CheckRule {
    id: "secret-shown",
    severity: Severity::Warning,
    title: "a key that the valves form shows in plain text",
    page: "
The form of the valves shows a field in plain text. To show dots, set the password input with
`json_schema_extra`. The rule finds fields of type `str` with a name such as `api_key`, `token`,
`secret` or `password`. Whatever the form shows, admins can read the value through the server's API.",
    wrong: "
from pydantic import BaseModel, Field

class Pipe:
    class Valves(BaseModel):
        api_key: str = Field(default=\"\")

    def __init__(self):
        self.valves = self.Valves()

    def pipe(self, body):
        return self.valves.api_key
",
    right: "
from pydantic import BaseModel, Field

class Pipe:
    class Valves(BaseModel):
        api_key: str = Field(default=\"\", json_schema_extra={\"input\": {\"type\": \"password\"}})

    def __init__(self):
        self.valves = self.Valves()

    def pipe(self, body):
        return self.valves.api_key
",
    check,
};

const EXTRA: &str = "json_schema_extra={\"input\": {\"type\": \"password\"}}";

fn check(context: &Context<'_>, report: &mut Report) {
    let Some(class) = context.class else { return };
    for valves in ["Valves", "UserValves"].iter().filter_map(|name| inner_class(class, name)) {
        for field in valves.body.iter().filter_map(Stmt::as_ann_assign_stmt) {
            let Some(name) = field.target.as_name_expr() else { continue };
            if !names_a_secret(&name.id) || !is_text(&field.annotation) {
                continue;
            }
            let source = context.source(field.range());
            if source.contains("password\"") || source.contains("password'") || source.contains("json_schema_extra") {
                continue;
            }
            let hint = format!("give it `{EXTRA}`");
            let message = format!("the valves form shows `{}` in plain text", name.id);
            let fix = is_model(context, valves).then(|| fix(context, valves, field)).flatten();
            report.add_with_fix(name.range(), message, hint, fix);
        }
    }
}

/// Whether a field's name says that it holds a secret: by its last words, so that `max_tokens`, `token_limit` and
/// `api_key_header` do not. To pydantic, a name that begins with `_` is no field, so no form shows it.
fn names_a_secret(name: &str) -> bool {
    if name.starts_with('_') {
        return false;
    }
    let name = name.to_lowercase();
    let ends = |words: &[&str]| words.iter().any(|word| name == *word || name.ends_with(&format!("_{word}")));
    ends(&["api_key", "apikey", "api_keys", "secret", "password", "passwd", "access_key", "secret_key", "private_key"])
        || ends(&["token"])
            && !ends(&["stop_token", "eos_token", "bos_token", "pad_token", "max_token", "start_token", "end_token"])
}

/// Whether the type is `str`, or `str` or `None`.
fn is_text(annotation: &Expr) -> bool {
    let is_str = |expr: &Expr| is_name(expr, "str");
    match annotation {
        Expr::Subscript(subscript) => is_name(&subscript.value, "Optional") && is_str(&subscript.slice),
        Expr::BinOp(either) => {
            either.op == Operator::BitOr
                && ((is_str(&either.left) && either.right.is_none_literal_expr())
                    || (is_str(&either.right) && either.left.is_none_literal_expr()))
        }
        _ => is_str(annotation),
    }
}

/// Whether a class is a model of pydantic 2 and nothing else. In any other class, `Field` may break the plugin.
fn is_model(context: &Context<'_>, class: &StmtClassDef) -> bool {
    class.decorator_list.is_empty()
        && class.keywords().is_empty()
        && matches!(class.bases(), [base] if path_of(context, base).as_deref() == Some("pydantic.BaseModel"))
}

/// The full name that an expression resolves to.
fn path_of(context: &Context<'_>, expr: &Expr) -> Option<String> {
    let root = context.source(expr.range()).split('.').next()?;
    let read = context.semantics.loads_of(root, expr.range()).next()?;
    context.semantics.path(expr, context.semantics.scope(read))
}

/// Adds the password input to a `Field(…)`, or turns a plain default into one.
fn fix(context: &Context<'_>, valves: &StmtClassDef, field: &StmtAnnAssign) -> Option<Fix> {
    let Some(value) = field.value.as_deref() else {
        let end = usize::from(field.range().end());
        return with_field(context, valves, vec![(end..end, format!(" = Field({EXTRA})"))]);
    };
    let wrapped = || {
        // Code in the class that reads the default would get the `Field`.
        let name = field.target.as_name_expr()?;
        let is_read = context.semantics.loads_of(&name.id, valves.range()).next().is_some();
        if is_read { None } else { with_field(context, valves, wrapped(context, value)?) }
    };
    let call = match value {
        Expr::Call(call) => call,
        _ if value.is_string_literal_expr() || value.is_none_literal_expr() => return wrapped(),
        _ => return None,
    };
    match &*path_of(context, &call.func)? {
        "pydantic.Field" => {}
        "os.getenv" | "os.environ.get" => return wrapped(),
        _ => return None,
    }
    if call.arguments.keywords.iter().any(|keyword| keyword.arg.is_none()) {
        return None;
    }
    let arguments = call.arguments.keywords.iter().map(Ranged::range);
    let last = arguments.chain(call.arguments.args.iter().map(Ranged::range)).max_by_key(Ranged::end);
    let end = usize::from(call.range().end()) - 1;
    let edit = match last {
        None => (end..end, EXTRA.to_owned()),
        // Behind the last argument, before a comma or a line break that may follow it.
        Some(last) => {
            let (start, last) = (usize::from(last.start()), usize::from(last.end()));
            // Brackets around the last argument would make this edit invalid.
            let between = context.text.get(last..end)?;
            let is_plain = between.chars().all(|c| c.is_whitespace() || c == ',');
            // If the last argument begins its line, the new one gets a line of its own.
            let before = context.text.get(..start)?;
            let indent = before.rsplit('\n').next().filter(|indent| indent.trim().is_empty() && before.contains('\n'));
            let gap = indent.map_or(" ".to_owned(), |indent| format!("\n{indent}"));
            is_plain.then(|| (last..last, format!(",{gap}{EXTRA}")))?
        }
    };
    Some(Fix { edits: vec![edit] })
}

type Edits = Vec<(std::ops::Range<usize>, String)>;

/// `value` as the default of a `Field(…)`.
fn wrapped(context: &Context<'_>, value: &Expr) -> Option<Edits> {
    let (start, end) = (usize::from(value.range().start()), usize::from(value.range().end()));
    // The value must follow `=` directly, not a bracket.
    let before = context.text.get(..start)?.trim_end();
    before.ends_with('=').then(|| vec![(start..start, "Field(default=".to_owned()), (end..end, format!(", {EXTRA})"))])
}

/// These edits, and an import of `Field` if the file has none. Only an import that surely runs before the class counts.
fn with_field(context: &Context<'_>, valves: &StmtClassDef, mut edits: Edits) -> Option<Fix> {
    let semantics = &context.semantics;
    let mut names = valves.body.iter().filter_map(|statement| statement.as_ann_assign_stmt()?.target.as_name_expr());
    if names.any(|name| name.id.as_str() == "Field") {
        return None;
    }
    let mut imports = semantics.imports.iter().filter_map(|id| match semantics.node(*id) {
        Node::Stmt(Stmt::ImportFrom(import)) => {
            let is_of_pydantic = import.level == 0 && import.module.as_deref() == Some("pydantic");
            let is_before = import.end() <= valves.start() && semantics.around(*id).next().is_none();
            (is_of_pydantic && is_before).then_some(import)
        }
        Node::Stmt(_) | Node::Expr(_) => None,
    });
    match semantics.of_module("Field") {
        [Binding::From("pydantic", "Field")] => {
            let mut names = imports.flat_map(|import| &import.names);
            names.find(|alias| alias.asname.as_ref().unwrap_or(&alias.name).as_str() == "Field")?;
        }
        [] if !semantics.has_hidden_names => {
            let end = usize::from(imports.next()?.names.last()?.range().end());
            edits.insert(0, (end..end, ", Field".to_owned()));
        }
        _ => return None,
    }
    Some(Fix { edits })
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;

    #[test]
    fn fields_are_judged_by_name_and_type() {
        for (field, expected) in [
            ("api_key: str = ''", "warning 3"),
            ("OPENAI_API_KEY: str = Field('')", "warning 3"),
            ("token: Optional[str] = None", "warning 3"),
            ("bot_token: str | None = None", "warning 3"),
            ("PASSWORD: str", "warning 3"),
            ("client_secret: str", "warning 3"),
            ("api_key: str = Field('', json_schema_extra={'input': {'type': 'password'}})", ""),
            ("api_key: EncryptedStr = ''", ""),
            ("max_token: str = ''", ""),
            ("max_tokens: str = ''", ""),
            ("token_limit: str = ''", ""),
            ("api_key_header: str = ''", ""),
            ("use_api_key: bool = True", ""),
            ("token: int = 1", ""),
            ("stop_token: str = ''", ""),
            ("keys: str = ''", ""),
            ("_api_key: str = ''", ""),
        ] {
            let text = format!("class Pipe:\n    class Valves(BaseModel):\n        {field}\n");
            table("secret-shown", "0.12.4", &[(&text, expected)]);
        }
    }
}
