//! Imitates running a plugin, as far as the fake server needs it. It runs no Python: it walks the module's statements
//! in order, and knows the few by which plugins fail.

use std::collections::BTreeMap;

use owui_watch::plugin::Entry;
use ruff_python_ast::{ExceptHandler, Expr, Stmt, StmtClassDef};
use serde_json::{Value, json};

/// How a module fails.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// An exception with this text, which the server catches.
    Exception(String),
    /// A `BaseException`, which the server does not catch.
    Uncaught,
    /// The end of the interpreter, which not every server survives.
    Exit,
}

/// The names of fields, with their types.
pub(crate) type Fields = BTreeMap<String, String>;

/// What the server learns from a loaded module.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) entry: Entry,
    /// The object's `toggle`, which puts a switch for a filter into the chat.
    pub(crate) toggle: bool,
    /// The fields of its `Valves` and `UserValves`, if it has such classes.
    pub(crate) valves: Option<Fields>,
    pub(crate) user_valves: Option<Fields>,
    /// One for each method, for tools.
    pub(crate) specs: Value,
}

/// Top-level packages missing on the server, besides all that start with `no_such_`.
const NOT_INSTALLED: [&str; 3] = ["torch_geometric", "pyspark", "pulsar"];

/// The modules of `open_webui`. Others result from the server's rewriting of imports.
const OPEN_WEBUI: [&str; 8] = ["config", "constants", "env", "internal", "main", "models", "routers", "utils"];

/// Runs the module and makes the object, which is of one of these types.
pub(crate) fn load(entries: &[Entry], text: &str) -> Result<Loaded, Failure> {
    if text.contains('\0') {
        return exception("source code string cannot contain null bytes");
    }
    if text.starts_with('\u{feff}') {
        return exception("invalid non-printable character U+FEFF (<string>, line 1)");
    }
    let module = ruff_python_parser::parse_module(text).map_err(|error| {
        let line = 1 + text[..error.location.start().to_usize()].matches('\n').count();
        Failure::Exception(format!("invalid syntax (<string>, line {line})"))
    })?;
    let mut names = Names::new();
    run(&module.syntax().body, &mut names)?;

    let Some(entry) = entries.iter().copied().find(|entry| names.contains_key(entry.class())) else {
        return exception(match entries {
            [Entry::Tools] => "No Tools class found in the module",
            _ => "No Function class found in the module",
        });
    };
    let class = names[entry.class()];
    if let Some(class) = class {
        make(class)?;
    }
    let body = class.map_or(&[][..], |class| &class.body);
    Ok(Loaded {
        entry,
        toggle: body.iter().any(sets_toggle),
        valves: body.iter().find_map(|stmt| fields(stmt, "Valves")),
        user_valves: body.iter().find_map(|stmt| fields(stmt, "UserValves")),
        specs: body.iter().filter_map(spec).collect(),
    })
}

/// The names that a module binds, with their classes.
type Names<'a> = BTreeMap<&'a str, Option<&'a StmtClassDef>>;

fn exception<T>(words: &str) -> Result<T, Failure> {
    Err(Failure::Exception(words.to_owned()))
}

fn run<'a>(body: &'a [Stmt], names: &mut Names<'a>) -> Result<(), Failure> {
    body.iter().try_for_each(|stmt| step(stmt, names))
}

fn step<'a>(stmt: &'a Stmt, names: &mut Names<'a>) -> Result<(), Failure> {
    match stmt {
        Stmt::ClassDef(class) => {
            names.insert(class.name.as_str(), Some(class));
        }
        Stmt::FunctionDef(function) => {
            names.insert(function.name.as_str(), None);
        }
        Stmt::Assign(assign) => {
            names.extend(assign.targets.iter().filter_map(Expr::as_name_expr).map(|name| (name.id.as_str(), None)));
        }
        Stmt::Import(import) => {
            for alias in &import.names {
                import_module(&alias.name)?;
                names.insert(alias.asname.as_ref().unwrap_or(&alias.name).as_str(), None);
            }
        }
        Stmt::ImportFrom(import) => {
            let Some(module) = import.module.as_ref().filter(|_| import.level == 0) else {
                return exception("attempted relative import with no known parent package");
            };
            import_module(module)?;
            names
                .extend(import.names.iter().map(|alias| (alias.asname.as_ref().unwrap_or(&alias.name).as_str(), None)));
        }
        Stmt::If(branch) => {
            if holds(&branch.test) {
                run(&branch.body, names)?;
            } else if let Some(other) = branch.elif_else_clauses.last().filter(|clause| clause.test.is_none()) {
                run(&other.body, names)?;
            }
        }
        Stmt::With(with) => run(&with.body, names)?,
        Stmt::Try(attempt) => {
            match (run(&attempt.body, names), attempt.handlers.first()) {
                (Err(Failure::Exception(_)), Some(ExceptHandler::ExceptHandler(handler))) => run(&handler.body, names)?,
                (outcome, _) => outcome?,
            }
            run(&attempt.finalbody, names)?;
        }
        Stmt::Raise(raise) => return Err(raised(raise.exc.as_deref())),
        Stmt::Expr(expr) if leaves(&expr.value) => return Err(Failure::Exit),
        _ => {}
    }
    Ok(())
}

fn import_module(module: &str) -> Result<(), Failure> {
    let mut parts = module.split('.');
    let root = parts.next().unwrap_or_default();
    if root.starts_with("no_such_") || NOT_INSTALLED.contains(&root) {
        return exception(&format!("No module named '{root}'"));
    }
    match parts.next().filter(|part| root == "open_webui" && !OPEN_WEBUI.contains(part)) {
        Some(part) => exception(&format!("No module named 'open_webui.{part}'")),
        None => Ok(()),
    }
}

fn holds(test: &Expr) -> bool {
    let never = match test {
        Expr::BooleanLiteral(literal) => !literal.value,
        Expr::Name(name) => name.id.as_str() == "TYPE_CHECKING",
        // `if __name__ == "__main__"`
        Expr::Compare(compare) => compare.left.as_name_expr().is_some_and(|name| name.id.as_str() == "__name__"),
        _ => false,
    };
    !never
}

fn leaves(expr: &Expr) -> bool {
    let Some(call) = expr.as_call_expr() else { return false };
    match &*call.func {
        Expr::Name(name) => ["exit", "quit"].contains(&name.id.as_str()),
        Expr::Attribute(attribute) => {
            attribute.attr.as_str() == "exit"
                && attribute.value.as_name_expr().is_some_and(|it| it.id.as_str() == "sys")
        }
        _ => false,
    }
}

fn raised(what: Option<&Expr>) -> Failure {
    let (class, text) = match what {
        Some(Expr::Call(call)) => (
            call.func.as_name_expr(),
            call.arguments.args.first().and_then(Expr::as_string_literal_expr).map(|text| text.value.to_str()),
        ),
        Some(expr) => (expr.as_name_expr(), None),
        None => (None, None),
    };
    match class.map(|name| name.id.as_str()) {
        Some("SystemExit" | "KeyboardInterrupt") => Failure::Exit,
        Some("GeneratorExit" | "BaseException") => Failure::Uncaught,
        _ => Failure::Exception(text.unwrap_or_default().to_owned()),
    }
}

/// Calls the class without arguments.
fn make(class: &StmtClassDef) -> Result<(), Failure> {
    let init = class.body.iter().filter_map(Stmt::as_function_def_stmt).find(|function| &function.name == "__init__");
    let Some(init) = init else { return Ok(()) };
    let parameters = init.parameters.posonlyargs.iter().chain(&init.parameters.args).skip(1);
    let required: Vec<_> = parameters.filter(|it| it.default.is_none()).map(|it| format!("'{}'", it.name())).collect();
    if let [only] = &required[..] {
        let class = &class.name;
        return exception(&format!("{class}.__init__() missing 1 required positional argument: {only}"));
    }
    run(&init.body, &mut Names::new())
}

fn sets_toggle(stmt: &Stmt) -> bool {
    let truthy = |value: &Expr| value.as_boolean_literal_expr().is_some_and(|literal| literal.value);
    let named = |target: &Expr| match target {
        Expr::Name(name) => name.id.as_str() == "toggle",
        Expr::Attribute(attribute) => attribute.attr.as_str() == "toggle",
        _ => false,
    };
    match stmt {
        Stmt::Assign(assign) => assign.targets.iter().any(named) && truthy(&assign.value),
        Stmt::AnnAssign(assign) => named(&assign.target) && assign.value.as_deref().is_some_and(truthy),
        Stmt::FunctionDef(function) => &function.name == "__init__" && function.body.iter().any(sets_toggle),
        _ => false,
    }
}

fn fields(stmt: &Stmt, class: &str) -> Option<Fields> {
    let class = stmt.as_class_def_stmt().filter(|it| &it.name == class)?;
    let fields = class.body.iter().filter_map(Stmt::as_ann_assign_stmt);
    let name = |expr: &Expr| expr.as_name_expr().map(|name| name.id.to_string());
    Some(fields.filter_map(|field| Some((name(&field.target)?, name(&field.annotation)?))).collect())
}

fn spec(stmt: &Stmt) -> Option<Value> {
    let function = stmt.as_function_def_stmt().filter(|function| !function.name.starts_with('_'))?;
    Some(
        json!({ "name": function.name.as_str(), "description": "", "parameters": { "type": "object", "properties": {} } }),
    )
}
