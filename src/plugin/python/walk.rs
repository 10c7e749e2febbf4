//! The statements that run when the module is loaded, in their order.

use ruff_python_ast::name::UnqualifiedName;
use ruff_python_ast::{
    BoolOp, CmpOp, ExceptHandler, Expr, Number, Stmt, StmtFor, StmtIf, StmtMatch, StmtTry, StmtWhile, StmtWith, UnaryOp,
};
use ruff_text_size::TextRange;

use super::entry::{Module, Origin, names};
use super::place::{Place, Scope};
use super::syntax::is_name;
use crate::plugin::diagnostic::Rule;

impl Module<'_> {
    pub(super) fn block(&mut self, body: &[Stmt], place: Place) {
        for statement in body {
            self.statement(statement, place);
        }
    }

    fn statement(&mut self, statement: &Stmt, place: Place) {
        match statement {
            Stmt::ClassDef(class) => {
                if place.scope == Scope::Module && class.name.as_str() == "Pipeline" {
                    self.pipeline = Some(class.name.range);
                }
                let bases = class.arguments.as_ref().map_or(&[][..], |arguments| &*arguments.args);
                self.note_hooks(&class.name, &class.body, bases);
                self.note_plain(class, place);
                self.bind(&class.name, Origin::Defined, class.name.range, place);
                let scope = if place.scope == Scope::Function { Scope::Function } else { Scope::Class };
                self.block(&class.body, Place { scope, ..place });
            }
            Stmt::FunctionDef(function) => {
                self.bind(&function.name, Origin::Defined, function.name.range, place);
                self.block(&function.body, Place { scope: Scope::Function, ..place });
            }
            Stmt::Assign(assign) => {
                for name in names(&assign.targets) {
                    self.note_hooks(name, &[], std::slice::from_ref(&assign.value));
                }
                for target in &assign.targets {
                    let origin = self.value_origin(target, &assign.value);
                    self.assign(target, origin, place);
                }
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    let origin = self.value_origin(&assign.target, value);
                    self.assign(&assign.target, origin, place);
                }
            }
            Stmt::TypeAlias(alias) => self.assign(&alias.name, Origin::Defined, place),
            Stmt::Delete(delete) => {
                for target in &delete.targets {
                    self.delete(target, place);
                }
            }
            Stmt::Import(import) => self.import(import, place),
            Stmt::ImportFrom(import) => self.import_from(import, place),
            Stmt::If(branch) => self.branch(branch, place),
            Stmt::For(walk) => self.walk(walk, place),
            Stmt::While(walk) => self.walk_while(walk, place),
            Stmt::With(with) => self.with(with, place),
            Stmt::Match(choice) => self.choice(choice, place),
            Stmt::Try(attempt) => self.attempt(attempt, place),
            Stmt::Raise(raise) => {
                if raise.exc.as_deref().is_some_and(is_exit) {
                    self.exits("raise SystemExit", raise.range, place);
                }
            }
            Stmt::Expr(expression) => {
                if let Some(call) = exit_call(&expression.value) {
                    self.exits(&call, expression.range, place);
                }
            }
            Stmt::AugAssign(_)
            | Stmt::Return(_)
            | Stmt::Assert(_)
            | Stmt::Global(_)
            | Stmt::Nonlocal(_)
            | Stmt::Pass(_)
            | Stmt::Break(_)
            | Stmt::Continue(_)
            | Stmt::IpyEscapeCommand(_) => {}
        }
    }

    fn branch(&mut self, branch: &StmtIf, place: Place) {
        let others = branch.elif_else_clauses.iter().map(|clause| (clause.test.as_ref(), &clause.body));
        for (test, body) in std::iter::once((Some(&*branch.test), &branch.body)).chain(others) {
            match test.map_or(Some(true), truth) {
                Some(true) => return self.block(body, place.uncertain()),
                Some(false) => {}
                None => self.block(body, place.uncertain()),
            }
        }
    }

    fn walk(&mut self, walk: &StmtFor, place: Place) {
        self.assign(&walk.target, Origin::Defined, place);
        self.block(&walk.body, place.uncertain());
        self.block(&walk.orelse, place.uncertain());
    }

    fn walk_while(&mut self, walk: &StmtWhile, place: Place) {
        if truth(&walk.test) != Some(false) {
            self.block(&walk.body, place.uncertain());
        }
        self.block(&walk.orelse, place.uncertain());
    }

    fn with(&mut self, with: &StmtWith, place: Place) {
        let mut inside = place;
        for item in &with.items {
            if let Some(variables) = &item.optional_vars {
                self.assign(variables, Origin::Defined, place);
            }
            if let Some(call) = item.context_expr.as_call_expr()
                && let Some(name) = UnqualifiedName::from_expr(&call.func)
                && let ["suppress"] | ["contextlib", "suppress"] = name.segments()
            {
                inside = inside.catching(&*call.arguments.args);
            }
        }
        self.block(&with.body, inside);
    }

    fn choice(&mut self, choice: &StmtMatch, place: Place) {
        for case in &choice.cases {
            self.block(&case.body, place.uncertain());
        }
    }

    fn attempt(&mut self, attempt: &StmtTry, place: Place) {
        let mut guarded = place;
        for ExceptHandler::ExceptHandler(handler) in &attempt.handlers {
            guarded = match handler.type_.as_deref() {
                Some(class) => guarded.catching([class]),
                None => guarded.catching_all(),
            };
        }
        self.block(&attempt.body, guarded);
        for ExceptHandler::ExceptHandler(handler) in &attempt.handlers {
            self.block(&handler.body, place.uncertain());
        }
        self.block(&attempt.orelse, place.uncertain());
        self.block(&attempt.finalbody, place);
    }

    fn exits(&mut self, how: &str, range: TextRange, place: Place) {
        if place.scope != Scope::Function && !place.catches_exit {
            self.report(Rule::Exits(how.to_owned()), range);
        }
    }
}

/// A call that ends the interpreter, as it is written.
fn exit_call(expr: &Expr) -> Option<String> {
    let name = UnqualifiedName::from_expr(&expr.as_call_expr()?.func)?;
    matches!(name.segments(), ["exit" | "quit"] | ["sys", "exit"] | ["os", "_exit" | "abort"])
        .then(|| format!("{name}()"))
}

/// `SystemExit` or `SystemExit(…)`.
fn is_exit(raised: &Expr) -> bool {
    let class = raised.as_call_expr().map_or(raised, |call| &*call.func);
    is_name(class, "SystemExit")
}

/// The value of a condition on the server, if it is plain to see.
#[expect(clippy::wildcard_enum_match_arm, reason = "of all the expressions these few have a known truth")]
fn truth(test: &Expr) -> Option<bool> {
    match test {
        Expr::BooleanLiteral(literal) => Some(literal.value),
        Expr::NoneLiteral(_) => Some(false),
        Expr::NumberLiteral(literal) => match &literal.value {
            Number::Int(int) => int.as_u8().map(|int| int != 0),
            Number::Float(_) | Number::Complex { .. } => None,
        },
        Expr::Name(_) | Expr::Attribute(_) => match UnqualifiedName::from_expr(test)?.segments() {
            ["TYPE_CHECKING"] | [_, "TYPE_CHECKING"] => Some(false),
            _ => None,
        },
        Expr::UnaryOp(unary) if unary.op == UnaryOp::Not => truth(&unary.operand).map(|truth| !truth),
        Expr::BoolOp(operation) => {
            // One operand settles it (`False and …`), or all of them together do.
            let settles = operation.op == BoolOp::Or;
            let operands: Vec<_> = operation.values.iter().map(truth).collect();
            if operands.contains(&Some(settles)) {
                Some(settles)
            } else {
                (!operands.contains(&None)).then_some(!settles)
            }
        }
        Expr::Compare(compare) => match (&*compare.left, &*compare.ops, &*compare.comparators) {
            // The server calls the module `function_<id>` or `tool_<id>`.
            (left, [op @ (CmpOp::Eq | CmpOp::NotEq)], [right])
                if names_main(left, right) || names_main(right, left) =>
            {
                Some(*op == CmpOp::NotEq)
            }
            _ => None,
        },
        _ => None,
    }
}

/// `__name__` and `"__main__"`.
fn names_main(name: &Expr, main: &Expr) -> bool {
    is_name(name, "__name__") && main.as_string_literal_expr().is_some_and(|main| main.value.to_str() == "__main__")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{UNDECLARED, check, verdict};

    #[test]
    fn what_runs_on_loading_counts() {
        let class = "class Pipe: pass";
        for (block, expected) in [
            ("if sys.version_info > (3, 11):\n    {}", "pipe"),
            ("if a:\n    pass\nelif b:\n    {}", "pipe"),
            ("if a:\n    pass\nelse:\n    {}", "pipe"),
            ("try:\n    {}\nfinally:\n    pass", "pipe"),
            ("try:\n    pass\nexcept ImportError:\n    {}", "pipe"),
            ("try:\n    pass\nexcept* ImportError:\n    {}", "pipe"),
            ("try:\n    pass\nexcept E:\n    pass\nelse:\n    {}", "pipe"),
            ("try:\n    pass\nfinally:\n    {}", "pipe"),
            ("with lock:\n    {}", "pipe"),
            ("for i in x:\n    {}", "pipe"),
            ("for i in x:\n    pass\nelse:\n    {}", "pipe"),
            ("while a:\n    {}", "pipe"),
            ("while a:\n    pass\nelse:\n    {}", "pipe"),
            ("match x:\n    case 1:\n        pass\n    case _:\n        {}", "pipe"),
            ("if a:\n  if b:\n    with c:\n      try:\n        {}\n      except E: pass", "pipe"),
            // Never on the server.
            ("if False:\n    {}", "-"),
            ("if 0:\n    {}", "-"),
            ("if None:\n    {}", "-"),
            ("if not True:\n    {}", "-"),
            ("while False:\n    {}", "-"),
            ("if TYPE_CHECKING:\n    {}", "-"),
            ("if typing.TYPE_CHECKING:\n    {}", "-"),
            ("if t.TYPE_CHECKING:\n    {}", "-"),
            ("if TYPE_CHECKING and a:\n    {}", "-"),
            ("if a and TYPE_CHECKING:\n    {}", "-"),
            ("if False or TYPE_CHECKING:\n    {}", "-"),
            ("if True:\n    pass\nelse:\n    {}", "-"),
            ("if 1:\n    pass\nelif a:\n    {}", "-"),
            ("if not TYPE_CHECKING:\n    pass\nelse:\n    {}", "-"),
            ("if __name__ == '__main__':\n    {}", "-"),
            ("if \"__main__\" == __name__:\n    {}", "-"),
            ("if __name__ == '__main__' and a:\n    {}", "-"),
            ("if a:\n    if False:\n        {}", "-"),
            // The other way round.
            ("if True:\n    {}", "pipe"),
            ("if TYPE_CHECKING:\n    pass\nelse:\n    {}", "pipe"),
            ("if not TYPE_CHECKING:\n    {}", "pipe"),
            ("if TYPE_CHECKING or a:\n    {}", "pipe"),
            ("if a or not TYPE_CHECKING:\n    {}", "pipe"),
            ("if True and a:\n    {}", "pipe"),
            ("if __name__ != '__main__':\n    {}", "pipe"),
            ("if __name__ == 'x':\n    {}", "pipe"),
            ("if __name__ == '__main__':\n    pass\nelse:\n    {}", "pipe"),
            ("if a.b.TYPE_CHECKING:\n    {}", "pipe"),
            ("if a < b < c:\n    {}", "pipe"),
            ("if 1.0:\n    {}", "pipe"),
            ("while True:\n    {}", "pipe"),
        ] {
            let text = block.replace("{}", class);
            assert_eq!(verdict(&text, UNDECLARED), expected, "\n{text}\n");
        }
    }

    #[test]
    fn what_ends_the_server_is_refused() {
        let in_plugin = |code: &str| verdict(&format!("class Pipe: pass\n{code}\n"), UNDECLARED);
        for (code, expected) in [
            ("sys.exit(1)", "exits sys.exit() 2:1+11"),
            ("sys.exit(main())", "exits sys.exit() 2:1+16"),
            ("exit()", "exits exit() 2:1+6"),
            ("quit()", "exits quit() 2:1+6"),
            ("os._exit(1)", "exits os._exit() 2:1+11"),
            ("os.abort()", "exits os.abort() 2:1+10"),
            ("raise SystemExit", "exits raise SystemExit 2:1+16"),
            ("raise SystemExit('no') from None", "exits raise SystemExit 2:1+32"),
            ("if not key:\n    sys.exit('no key')", "exits sys.exit() 3:5+18"),
            ("try:\n    import x\nexcept ImportError:\n    sys.exit(1)", "exits sys.exit() 5:5+11"),
            ("try:\n    sys.exit(1)\nexcept Exception: pass", "exits sys.exit() 3:5+11"),
            ("class C:\n    sys.exit(1)", "exits sys.exit() 3:5+11"),
            ("try:\n    sys.exit(1)\nexcept SystemExit: pass", "pipe"),
            ("try:\n    sys.exit(1)\nexcept: pass", "pipe"),
            ("with suppress(SystemExit):\n    sys.exit(1)", "pipe"),
            ("if __name__ == '__main__':\n    sys.exit(main())", "pipe"),
            ("if False:\n    sys.exit(1)", "pipe"),
            ("def main():\n    sys.exit(1)", "pipe"),
            ("class C:\n    def f(self):\n        raise SystemExit", "pipe"),
            ("def f():\n    class C:\n        exit()", "pipe"),
            ("atexit.register(sys.exit)", "pipe"),
            ("app.exit()", "pipe"),
            ("raise ValueError", "pipe"),
            ("raise", "pipe"),
        ] {
            assert_eq!(in_plugin(code), expected, "\n{code}\n");
        }
        assert_eq!(verdict("sys.exit(1)", UNDECLARED), "-", "a script may do as it likes");
    }

    #[test]
    fn every_error_is_told_in_the_order_of_the_file() {
        check(
            UNDECLARED,
            &[
                ("class Pipe: pass\nfrom . import x\nexit()", "relative-import 2:1+15, exits exit() 3:1+6"),
                ("exit()\nclass Pipe: pass\nfrom . import x", "exits exit() 1:1+6, relative-import 3:1+15"),
            ],
        );
    }

    #[test]
    fn a_plugin_for_the_other_server_is_named() {
        check(
            UNDECLARED,
            &[
                ("class Pipeline:\n    pass\n", "pipeline 1:7+8"),
                ("from threading import Event\nclass Pipeline: pass\n", "pipeline 2:7+8"),
                ("from transformers import Pipeline", "-"),
                ("Pipeline = make()", "-"),
                ("def f():\n    class Pipeline: pass\n", "-"),
                ("if TYPE_CHECKING:\n    class Pipeline: pass\n", "-"),
            ],
        );
    }
}
