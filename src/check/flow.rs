//! Where a function's body can end: which `return`s it has, and whether it can fall off its end.

use ruff_python_ast::statement_visitor::{StatementVisitor, walk_stmt};
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Expr, Stmt, StmtReturn};

/// The ends of a body.
#[derive(Default)]
pub(super) struct Ends<'a> {
    /// `return value`.
    pub(super) values: Vec<&'a StmtReturn>,
    /// `return` alone, or `return None`.
    pub(super) nothing: Vec<&'a StmtReturn>,
    /// Whether control flow can reach its end, judged by its shape alone.
    pub(super) falls_off: bool,
    /// Whether it is a generator.
    pub(super) yields: bool,
}

impl<'a> Ends<'a> {
    pub(super) fn of(body: &'a [Stmt]) -> Self {
        let mut ends = Self { falls_off: goes_on(body), yields: yields(body), ..Self::default() };
        ends.visit_body(body);
        ends
    }
}

impl<'a> StatementVisitor<'a> for Ends<'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::FunctionDef(_) | Stmt::ClassDef(_) => {}
            Stmt::Return(end) => match end.value.as_deref() {
                None | Some(Expr::NoneLiteral(_)) => self.nothing.push(end),
                Some(_) => self.values.push(end),
            },
            _ => walk_stmt(self, statement),
        }
    }
}

/// Whether a body has a `yield` of its own.
fn yields(body: &[Stmt]) -> bool {
    struct Yields(bool);
    impl<'a> Visitor<'a> for Yields {
        fn visit_stmt(&mut self, statement: &'a Stmt) {
            if !self.0 && !matches!(statement, Stmt::FunctionDef(_) | Stmt::ClassDef(_)) {
                visitor::walk_stmt(self, statement);
            }
        }
        fn visit_expr(&mut self, expr: &'a Expr) {
            // Looks only at the expressions directly in a statement, not inside them.
            self.0 |= matches!(expr, Expr::Yield(_) | Expr::YieldFrom(_));
        }
    }
    let mut found = Yields(false);
    found.visit_body(body);
    found.0
}

/// Whether control flow may pass the end of a body.
fn goes_on(body: &[Stmt]) -> bool {
    body.iter().all(may_pass)
}

fn may_pass(statement: &Stmt) -> bool {
    match statement {
        Stmt::Return(_) | Stmt::Raise(_) | Stmt::Continue(_) | Stmt::Break(_) => false,
        Stmt::If(branch) => {
            let has_else = branch.elif_else_clauses.iter().any(|clause| clause.test.is_none());
            !has_else || goes_on(&branch.body) || branch.elif_else_clauses.iter().any(|clause| goes_on(&clause.body))
        }
        Stmt::While(walk) => {
            let is_endless = matches!(&*walk.test, Expr::BooleanLiteral(literal) if literal.value);
            !is_endless || breaks(&walk.body)
        }
        Stmt::With(with) => goes_on(&with.body),
        Stmt::Try(attempt) => {
            let body = goes_on(&attempt.body) && goes_on(&attempt.orelse);
            let handlers = attempt.handlers.iter().any(|handler| {
                let ruff_python_ast::ExceptHandler::ExceptHandler(handler) = handler;
                goes_on(&handler.body)
            });
            goes_on(&attempt.finalbody) && (body || handlers)
        }
        Stmt::Match(choice) => {
            let is_full = choice.cases.iter().any(|case| case.guard.is_none() && case.pattern.is_irrefutable());
            !is_full || choice.cases.iter().any(|case| goes_on(&case.body))
        }
        // `sys.exit()` and helpers that raise count as calls that return.
        _ => true,
    }
}

/// Whether a loop's body has a `break` of that loop.
fn breaks(body: &[Stmt]) -> bool {
    struct Breaks(bool);
    impl<'a> StatementVisitor<'a> for Breaks {
        fn visit_stmt(&mut self, statement: &'a Stmt) {
            match statement {
                Stmt::Break(_) => self.0 = true,
                Stmt::For(_) | Stmt::While(_) | Stmt::FunctionDef(_) | Stmt::ClassDef(_) => {}
                _ => walk_stmt(self, statement),
            }
        }
    }
    let mut found = Breaks(false);
    found.visit_body(body);
    found.0
}
