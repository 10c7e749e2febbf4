//! The methods of a class, if the text shows all of them.

use ruff_python_ast::statement_visitor::{StatementVisitor, walk_stmt};
use ruff_python_ast::{Expr, Stmt, StmtImport, StmtImportFrom};

use super::syntax::{self, is_plain};

/// The public methods of a class at the top level of a text, and other names that it assigns; `None` if it may have
/// more.
#[must_use]
pub fn public_methods(text: &str, class: &str) -> Option<Vec<String>> {
    if ["setattr", "__getattr__", "__dict__"].iter().any(|name| text.contains(name)) {
        return None;
    }
    // An assignment such as `Filter.inlet = …` below the class.
    if text.contains(&format!("{class}.")) {
        return None;
    }
    let parsed = syntax::parsed(text).ok()?;
    let mut classes = parsed.suite().iter().filter_map(Stmt::as_class_def_stmt).filter(|found| found.name == *class);
    let (Some(found), None) = (classes.next(), classes.next()) else { return None };
    if !found.decorator_list.is_empty() || !is_plain(found) {
        return None;
    }
    let mut names = Names::default();
    names.visit_body(&found.body);
    Some(names.0)
}

/// The public names that a class body binds to functions, imports or assigns, and those that its methods set on `self`.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn add(&mut self, name: &str) {
        // `valves` holds settings and is not a method, although a call creates it.
        if !name.starts_with('_') && name != "valves" {
            self.0.push(name.to_owned());
        }
    }

    fn assigned(&mut self, target: &Expr, value: &Expr) {
        match target {
            Expr::Name(name) if may_be_callable(value) => self.add(&name.id),
            Expr::Attribute(attribute) if may_be_callable(value) => self.add(&attribute.attr),
            _ => {}
        }
    }
}

impl<'a> StatementVisitor<'a> for Names {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::FunctionDef(function) => self.add(&function.name),
            Stmt::Assign(assign) => assign.targets.iter().for_each(|target| self.assigned(target, &assign.value)),
            Stmt::AnnAssign(assign) => assign.value.iter().for_each(|value| self.assigned(&assign.target, value)),
            Stmt::Import(StmtImport { names, .. }) | Stmt::ImportFrom(StmtImportFrom { names, .. }) => {
                for name in names {
                    self.add(name.asname.as_ref().unwrap_or(&name.name));
                }
            }
            Stmt::ClassDef(_) => return,
            _ => {}
        }
        walk_stmt(self, statement);
    }
}

/// Whether a value may be a function.
fn may_be_callable(value: &Expr) -> bool {
    matches!(value, Expr::Name(_) | Expr::Attribute(_) | Expr::Lambda(_) | Expr::Call(_) | Expr::If(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_its_methods_and_what_it_assigns() {
        for (body, expected) in [
            ("class Filter:\n    def inlte(self, body): pass\n    def _own(self): pass", Some("inlte")),
            (
                "class Filter:\n    class Valves:\n        def inlet(self): pass\n    async def stream(self): pass",
                Some("stream"),
            ),
            (
                "class Filter:\n    def __init__(self):\n        self.toggle = True\n        self.valves = self.Valves()",
                Some(""),
            ),
            ("class Filter:\n    def __init__(self):\n        self.inlet = self.make()", Some("inlet")),
            ("class Filter:\n    if x:\n        outlet = other", Some("outlet")),
            ("class Filter(object): pass", Some("")),
            ("class Filter(Base): pass", None),
            ("class Filter(metaclass=M): pass", None),
            ("@marked\nclass Filter: pass", None),
            ("class Filter: pass\nsetattr(Filter, 'inlet', x)", None),
            ("class Filter:\n    inlet: Any = lambda self, body: body", Some("inlet")),
            ("class Filter:\n    from x import inlet", Some("inlet")),
            ("class Filter: pass\nFilter.inlet = x", None),
            ("if x:\n    class Filter: pass", None),
            ("Filter = other", None),
            ("class Filter(", None),
        ] {
            let found = public_methods(body, "Filter").map(|names| names.join(" "));
            assert_eq!(found.as_deref(), expected, "{body}");
        }
    }
}
