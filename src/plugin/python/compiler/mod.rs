//! Finds what Python's compiler refuses in a text that parses: `await` in a function that is not async, `break` outside
//! of a loop, a parameter that is global as well. A server cannot load such a text, just as one that does not parse.
//!
//! Ruff's parser has a checker for most of this, and this walk tells it the context of each node. The walk itself finds
//! what the checker misses: the order of `global` and `nonlocal` ([`names`]), `except*`, an `except:` or a wildcard
//! that is not the last, a star alone, and some ways to write `__debug__`.

mod names;

use std::cell::RefCell;

use ruff_python_ast::token::{Token, TokenKind};
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    Comprehension, ExceptHandler, Expr, ExprContext, Keyword, Parameters, Pattern, PythonVersion, Stmt,
    StmtFunctionDef, StmtGlobal, StmtImport, StmtImportFrom, StmtNonlocal, StmtTry,
};
use ruff_python_parser::semantic_errors::{
    LazyImportContext, SemanticSyntaxChecker, SemanticSyntaxContext, SemanticSyntaxError,
};
use ruff_text_size::{Ranged, TextRange};

use super::Syntax;
use super::syntax::{bound_by, has_lazy_annotations, nesting};
use super::wording::sentence;
use names::{Names, Use};

/// The oldest Python that a server runs on. What newer ones accept is left to the server.
const PYTHON: PythonVersion = PythonVersion::PY311;
/// Deeper trees are left to the server: a walk must fit on the stack of any thread.
const DEEPEST: usize = 300;

/// The compiler's errors, in the order of the text: the words and the range of each.
pub(super) fn errors(text: &str, syntax: &Syntax) -> Vec<(String, TextRange)> {
    let kinds = || syntax.tokens().iter().map(Token::kind);
    let outline = Outline::of(kinds());
    if outline.longest_line > DEEPEST && nesting(kinds(), DEEPEST).is_some() {
        return Vec::new();
    }
    let mut walk = Walk {
        checker: SemanticSyntaxChecker::new(),
        around: Around {
            text,
            scopes: vec![Scope::Module],
            jumps: Jumps::default(),
            lazy_annotations: has_lazy_annotations(syntax.suite()),
            errors: RefCell::default(),
        },
        names: outline.declares.then(Names::default),
        is_compiled: true,
    };
    walk.visit_body(syntax.suite());
    let mut errors = walk.around.errors.into_inner();
    errors.extend(walk.names.into_iter().flat_map(Names::finish));
    errors.sort_by_key(|(_, range)| range.start());
    // The checker and the walk may report the same mistake.
    errors.dedup_by_key(|(_, range)| range.start());
    errors
}

/// Facts about the tree that the tokens show, in a fraction of the time of a walk.
#[derive(Default)]
struct Outline {
    /// The number of tokens in the longest logical line: no expression can be deeper.
    longest_line: usize,
    /// Whether there is a `global` or a `nonlocal`.
    declares: bool,
}

impl Outline {
    fn of(tokens: impl Iterator<Item = TokenKind>) -> Self {
        let (mut outline, mut line) = (Self::default(), 0);
        for token in tokens {
            line = if token == TokenKind::Newline { 0 } else { line + 1 };
            outline.longest_line = outline.longest_line.max(line);
            outline.declares |= matches!(token, TokenKind::Global | TokenKind::Nonlocal);
        }
        outline
    }
}

#[derive(Clone, Copy)]
enum Scope<'a> {
    Module,
    Class,
    Function(&'a StmtFunctionDef),
    Lambda,
    Comprehension { is_generator: bool },
}

/// Which `break`, `continue` and `return` are allowed.
#[derive(Clone, Copy, Default)]
struct Jumps {
    in_loop: bool,
    /// In an `except*` block. No jump may leave it.
    in_group: bool,
    /// The loop is outside of that block.
    loop_is_outside: bool,
}

/// The context of the node that the walk is at.
struct Around<'a> {
    text: &'a str,
    scopes: Vec<Scope<'a>>,
    jumps: Jumps,
    lazy_annotations: bool,
    errors: RefCell<Vec<(String, TextRange)>>,
}

impl Around<'_> {
    fn report(&self, words: impl Into<String>, range: TextRange) {
        self.errors.borrow_mut().push((words.into(), range));
    }

    fn innermost(&self) -> Scope<'_> {
        self.scopes.last().copied().unwrap_or(Scope::Module)
    }
}

impl SemanticSyntaxContext for Around<'_> {
    fn future_annotations_or_stub(&self) -> bool {
        self.lazy_annotations
    }

    /// Lazy imports are syntax of a later Python.
    fn lazy_import_context(&self) -> Option<LazyImportContext> {
        None
    }

    fn python_version(&self) -> PythonVersion {
        PYTHON
    }

    fn source(&self) -> &str {
        self.text
    }

    /// [`Names`] checks this more exactly.
    fn global(&self, _: &str) -> Option<TextRange> {
        None
    }

    /// [`Names`] checks this more exactly.
    fn has_nonlocal_binding(&self, _: &str) -> bool {
        true
    }

    fn in_async_context(&self) -> bool {
        let around = self.scopes.iter().rev().find(|scope| !matches!(scope, Scope::Comprehension { .. }));
        matches!(around, Some(Scope::Function(function)) if function.is_async)
    }

    fn in_await_allowed_context(&self) -> bool {
        self.in_generator_context()
            || self.scopes.iter().rev().find_map(|scope| match scope {
                Scope::Function(_) | Scope::Lambda => Some(true),
                Scope::Module | Scope::Class => Some(false),
                Scope::Comprehension { .. } => None,
            }) == Some(true)
    }

    fn in_yield_allowed_context(&self) -> bool {
        matches!(self.innermost(), Scope::Function(_) | Scope::Lambda)
    }

    fn in_sync_comprehension(&self) -> bool {
        false // Matters up to Python 3.10.
    }

    fn in_class_body_comprehension(&self) -> bool {
        let around = self.scopes.iter().rev().find(|scope| !matches!(scope, Scope::Comprehension { .. }));
        matches!(around, Some(Scope::Class))
    }

    fn in_module_scope(&self) -> bool {
        matches!(self.innermost(), Scope::Module)
    }

    fn in_function_scope(&self) -> bool {
        matches!(self.innermost(), Scope::Function(_))
    }

    fn in_generator_context(&self) -> bool {
        let mut around = self.scopes.iter().rev().take_while(|scope| matches!(scope, Scope::Comprehension { .. }));
        around.any(|scope| matches!(scope, Scope::Comprehension { is_generator: true }))
    }

    fn in_notebook(&self) -> bool {
        false
    }

    fn report_semantic_error(&self, error: SemanticSyntaxError) {
        self.report(sentence(&error.to_string()), error.range);
    }

    fn in_loop_context(&self) -> bool {
        self.jumps.in_loop
    }

    fn is_bound_parameter(&self, name: &str) -> bool {
        match self.innermost() {
            Scope::Function(function) => function.parameters.iter().any(|parameter| parameter.name().as_str() == name),
            _ => false,
        }
    }
}

struct Walk<'a> {
    checker: SemanticSyntaxChecker,
    around: Around<'a>,
    /// `None` where no name is declared `global` or `nonlocal`.
    names: Option<Names<'a>>,
    /// `false` in the annotation of a local variable, which the compiler skips. Names in it still count.
    is_compiled: bool,
}

impl<'a> Walk<'a> {
    fn within(&mut self, scope: Scope<'a>, visit: impl FnOnce(&mut Self)) {
        let jumps = std::mem::take(&mut self.around.jumps);
        self.around.scopes.push(scope);
        if let Some(names) = &mut self.names {
            names.enter(scope);
        }
        visit(self);
        if let Some(names) = &mut self.names {
            names.leave();
        }
        self.around.scopes.pop();
        self.around.jumps = jumps;
    }

    fn jumping(&mut self, jumps: Jumps, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.around.jumps, jumps);
        visit(self);
        self.around.jumps = outer;
    }

    fn use_name(&mut self, name: &'a str, how: Use) {
        if let Some(names) = &mut self.names {
            names.note(name, how);
        }
    }

    fn loop_body(&mut self, body: &'a [Stmt]) {
        let jumps = Jumps { in_loop: true, loop_is_outside: false, ..self.around.jumps };
        self.jumping(jumps, |walk| walk.visit_body(body));
    }

    fn debug(&self, name: &str, range: TextRange) {
        if name == "__debug__" {
            self.around.report("cannot assign to `__debug__`", range);
        }
    }

    fn parameters(&mut self, parameters: &'a Parameters) {
        for parameter in parameters {
            self.use_name(parameter.name(), Use::PARAMETER);
        }
    }

    /// In the order of Python 3.11 and 3.12, in which `else` comes before `except`.
    fn attempt(&mut self, attempt: &'a StmtTry) {
        self.visit_body(&attempt.body);
        self.visit_body(&attempt.orelse);
        let last = attempt.handlers.len().saturating_sub(1);
        for (n, ExceptHandler::ExceptHandler(handler)) in attempt.handlers.iter().enumerate() {
            match &handler.type_ {
                Some(class) => self.visit_expr(class),
                None if n < last => self.around.report("default `except:` must be last", handler.range),
                None => {}
            }
            if let Some(name) = &handler.name {
                self.use_name(name, Use::BOUND);
            }
            let mut jumps = self.around.jumps;
            if attempt.is_star {
                jumps = Jumps { in_group: true, loop_is_outside: true, ..jumps };
            }
            self.jumping(jumps, |walk| walk.visit_body(&handler.body));
        }
        self.visit_body(&attempt.finalbody);
    }

    /// The first iterable belongs to the scope around.
    fn comprehension(&mut self, results: [Option<&'a Expr>; 2], generators: &'a [Comprehension], is_generator: bool) {
        if let Some(first) = generators.first() {
            self.visit_expr(&first.iter);
        }
        self.within(Scope::Comprehension { is_generator }, |walk| {
            for (n, generator) in generators.iter().enumerate() {
                if n > 0 {
                    walk.visit_expr(&generator.iter);
                }
                walk.visit_expr(&generator.target);
                generator.ifs.iter().for_each(|condition| walk.visit_expr(condition));
            }
            results.into_iter().flatten().for_each(|result| walk.visit_expr(result));
        });
    }
}

impl<'a> Visitor<'a> for Walk<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        self.checker.visit_stmt(stmt, &self.around);
        match stmt {
            Stmt::FunctionDef(function) => {
                self.use_name(&function.name, Use::BOUND);
                function.decorator_list.iter().for_each(|decorator| self.visit_decorator(decorator));
                function.type_params.iter().for_each(|it| self.visit_type_params(it));
                self.visit_parameters(&function.parameters);
                function.returns.iter().for_each(|it| self.visit_annotation(it));
                self.within(Scope::Function(function), |walk| {
                    walk.parameters(&function.parameters);
                    walk.visit_body(&function.body);
                });
            }
            Stmt::ClassDef(class) => {
                self.use_name(&class.name, Use::BOUND);
                class.decorator_list.iter().for_each(|decorator| self.visit_decorator(decorator));
                class.type_params.iter().for_each(|it| self.visit_type_params(it));
                class.arguments.iter().for_each(|it| self.visit_arguments(it));
                self.within(Scope::Class, |walk| walk.visit_body(&class.body));
            }
            Stmt::For(walk) => {
                self.visit_expr(&walk.iter);
                self.visit_expr(&walk.target);
                self.loop_body(&walk.body);
                self.visit_body(&walk.orelse);
            }
            Stmt::While(walk) => {
                self.visit_expr(&walk.test);
                self.loop_body(&walk.body);
                self.visit_body(&walk.orelse);
            }
            Stmt::Try(attempt) => self.attempt(attempt),
            Stmt::Expr(statement) if statement.value.is_starred_expr() => {
                self.around.report("starred expression cannot be used here", stmt.range());
                visitor::walk_stmt(self, stmt);
            }
            Stmt::AnnAssign(assign) => {
                if let (Some(names), Expr::Name(name)) = (&mut self.names, &*assign.target)
                    && assign.simple
                {
                    names.annotate(&name.id, name.range);
                }
                assign.value.iter().for_each(|value| self.visit_expr(value));
                let outer = self.is_compiled;
                self.is_compiled &= !matches!(self.around.innermost(), Scope::Function(_));
                self.visit_annotation(&assign.annotation);
                self.is_compiled = outer;
                self.visit_expr(&assign.target);
            }
            Stmt::Import(StmtImport { names, .. }) | Stmt::ImportFrom(StmtImportFrom { names, .. }) => {
                for alias in names {
                    // `import a.b` binds `a`.
                    let name = alias.asname.as_ref().unwrap_or(&alias.name);
                    self.use_name(name.split('.').next().unwrap_or_default(), Use::IMPORTED);
                }
            }
            Stmt::Global(StmtGlobal { names, .. }) | Stmt::Nonlocal(StmtNonlocal { names, .. }) => {
                let how = if stmt.is_global_stmt() { Use::GLOBAL } else { Use::NONLOCAL };
                if let Some(known) = &mut self.names {
                    for name in names {
                        known.declare(name, how);
                    }
                }
            }
            Stmt::Return(_) | Stmt::Break(_) | Stmt::Continue(_) => {
                let Jumps { in_group, loop_is_outside, .. } = self.around.jumps;
                if in_group && (loop_is_outside || stmt.is_return_stmt()) {
                    let words = "`break`, `continue` and `return` cannot appear in an `except*` block";
                    self.around.report(words, stmt.range());
                }
                visitor::walk_stmt(self, stmt);
            }
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    /// Skips lazy annotations: Python keeps them as text.
    fn visit_annotation(&mut self, annotation: &'a Expr) {
        if !self.around.lazy_annotations {
            self.visit_expr(annotation);
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        if self.is_compiled {
            self.checker.visit_expr(expr, &self.around);
        }
        match expr {
            Expr::Lambda(lambda) => {
                lambda.parameters.iter().for_each(|it| self.visit_parameters(it));
                self.within(Scope::Lambda, |walk| {
                    lambda.parameters.iter().for_each(|it| walk.parameters(it));
                    walk.visit_expr(&lambda.body);
                });
            }
            Expr::ListComp(it) => self.comprehension([Some(&it.elt), None], &it.generators, false),
            Expr::SetComp(it) => self.comprehension([Some(&it.elt), None], &it.generators, false),
            Expr::Generator(it) => self.comprehension([Some(&it.elt), None], &it.generators, true),
            Expr::DictComp(it) => self.comprehension([it.key.as_deref(), Some(&it.value)], &it.generators, false),
            Expr::Named(named) => {
                self.visit_expr(&named.value);
                // It binds its name outside of the comprehensions around it.
                if self.is_compiled {
                    self.checker.visit_expr(&named.target, &self.around);
                }
                if let (Some(names), Expr::Name(name)) = (&mut self.names, &*named.target) {
                    names.bind_around(&name.id);
                }
            }
            Expr::Name(name) => {
                let how = if name.ctx == ExprContext::Load { Use::READ } else { Use::BOUND };
                self.use_name(&name.id, how);
            }
            Expr::Attribute(attribute) if attribute.ctx != ExprContext::Load => {
                self.debug(&attribute.attr, attribute.attr.range);
                visitor::walk_expr(self, expr);
            }
            _ => visitor::walk_expr(self, expr),
        }
    }

    fn visit_keyword(&mut self, keyword: &'a Keyword) {
        keyword.arg.iter().for_each(|name| self.debug(name, name.range));
        visitor::walk_keyword(self, keyword);
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        if let Some(name) = bound_by(pattern) {
            self.use_name(name, Use::BOUND);
        }
        if let Pattern::MatchValue(value) = pattern
            && matches!(&*value.value, Expr::FString(_))
        {
            self.around.report("patterns may only match literals and attribute lookups", value.range);
        }
        if let Pattern::MatchOr(alternatives) = pattern
            && let Some((_, before)) = alternatives.patterns.split_last()
            && let Some(all) = before.iter().find(|pattern| pattern.is_irrefutable())
        {
            self.around.report("this pattern makes the remaining ones unreachable", all.range());
        }
        visitor::walk_pattern(self, pattern);
    }
}

#[cfg(test)]
mod tests;
