//! The walk over the tree that lists its nodes, scopes and bindings.

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    Comprehension, ExceptHandler, Expr, ExprContext, Parameters, Pattern, Stmt, StmtClassDef, StmtFunctionDef,
    TypeParam, TypeParams,
};

use ruff_text_size::Ranged as _;
use rustc_hash::FxHashMap as HashMap;

use super::{Binding, Call, DEEPEST, Node, NodeId, Row, Scope, ScopeId, ScopeKind, Semantics, TOP};
use crate::plugin::python::bound_by;

pub(super) struct Walk<'a> {
    done: Semantics<'a>,
    parent: Option<NodeId>,
    scope: ScopeId,
    depth: u32,
}

impl<'a> Walk<'a> {
    /// Walks over a module's body.
    pub(super) fn over(body: &'a [Stmt], done: Semantics<'a>) -> Semantics<'a> {
        let mut walk = Walk { done, parent: None, scope: TOP, depth: 0 };
        walk.visit_body(body);
        let mut done = walk.done;
        let mut calls = std::mem::take(&mut done.calls);
        calls.sort_by_key(|call| call.expr.start());
        // The paths need all bindings, so they come last.
        for call in &mut calls {
            call.paths = done.paths(&call.expr.func, call.scope);
        }
        done.calls = calls;
        done
    }

    fn push(&mut self, node: Node<'a>) -> NodeId {
        let id = NodeId(u32::try_from(self.done.nodes.len()).unwrap_or(u32::MAX));
        self.done.nodes.push(Row { node, parent: self.parent, scope: self.scope });
        id
    }

    fn bind(&mut self, name: &'a str, binding: Binding<'a>) {
        let scope = self.scope_for(self.scope, name);
        self.done.scopes[scope.0 as usize].names.entry(name).or_default().push(binding);
    }

    fn scope_for(&self, scope: ScopeId, name: &str) -> ScopeId {
        self.done.scope_row(scope).elsewhere.get(name).copied().unwrap_or(scope)
    }

    fn within(&mut self, kind: ScopeKind<'a>, visit: impl FnOnce(&mut Self)) {
        let id = ScopeId(u32::try_from(self.done.scopes.len()).unwrap_or(u32::MAX));
        let (names, elsewhere) = (HashMap::default(), HashMap::default());
        self.done.scopes.push(Scope { kind, parent: Some(self.scope), names, elsewhere });
        let outer = std::mem::replace(&mut self.scope, id);
        visit(self);
        self.scope = outer;
    }

    fn below(&mut self, id: NodeId, visit: impl FnOnce(&mut Self)) {
        if self.depth >= DEEPEST {
            // The names that are bound below here stay unknown.
            self.done.has_hidden_names = true;
            return;
        }
        let outer = self.parent.replace(id);
        self.depth += 1;
        visit(self);
        self.depth -= 1;
        self.parent = outer;
    }

    /// Defaults and annotations belong to the scope around a function.
    fn signature(&mut self, parameters: &'a Parameters) {
        for parameter in parameters.iter_non_variadic_params() {
            if let Some(default) = &parameter.default {
                self.visit_expr(default);
            }
        }
        for annotation in parameters.iter().filter_map(|parameter| parameter.as_parameter().annotation()) {
            self.annotation(annotation, false);
        }
    }

    fn bind_parameters(&mut self, parameters: &'a Parameters) {
        for parameter in parameters {
            self.bind(parameter.name(), Binding::Other);
        }
    }

    fn annotation(&mut self, annotation: &'a Expr, is_variable: bool) {
        if !self.done.skips_annotation(self.scope, is_variable) {
            self.visit_expr(annotation);
        }
    }

    fn function(&mut self, id: NodeId, function: &'a StmtFunctionDef) {
        self.bind(&function.name, Binding::Function(function));
        for decorator in &function.decorator_list {
            self.visit_expr(&decorator.expression);
        }
        self.parameterised(function.type_params.as_deref(), |walk| {
            walk.signature(&function.parameters);
            if let Some(returns) = &function.returns {
                walk.annotation(returns, false);
            }
            walk.within(ScopeKind::Function(function), |walk| {
                walk.done.functions.push((id, walk.scope, function));
                walk.bind_parameters(&function.parameters);
                walk.visit_body(&function.body);
            });
        });
    }

    fn class(&mut self, class: &'a StmtClassDef) {
        self.bind(&class.name, Binding::Class(class));
        for decorator in &class.decorator_list {
            self.visit_expr(&decorator.expression);
        }
        self.parameterised(class.type_params.as_deref(), |walk| {
            if let Some(arguments) = &class.arguments {
                walk.visit_arguments(arguments);
            }
            walk.within(ScopeKind::Class, |walk| walk.visit_body(&class.body));
        });
    }

    fn parameterised(&mut self, parameters: Option<&'a TypeParams>, visit: impl FnOnce(&mut Self)) {
        match parameters {
            None => visit(self),
            Some(parameters) => self.within(ScopeKind::TypeParameters, |walk| {
                for parameter in &parameters.type_params {
                    let name = match parameter {
                        TypeParam::TypeVar(it) => &it.name,
                        TypeParam::ParamSpec(it) => &it.name,
                        TypeParam::TypeVarTuple(it) => &it.name,
                    };
                    walk.bind(name, Binding::Other);
                }
                visit(walk);
            }),
        }
    }

    /// Records names declared `global` or `nonlocal`, with the scope that owns them.
    fn hand_over(&mut self, names: impl Iterator<Item = &'a str>, is_global: bool) {
        for name in names {
            let around = self.done.scopes(self.scope).skip(1).collect::<Vec<_>>();
            let owner = around.into_iter().find(|scope| {
                !is_global
                    && matches!(self.done.kind(*scope), ScopeKind::Function(_) | ScopeKind::Lambda)
                    && self.done.scope_row(*scope).names.contains_key(name)
            });
            let scope = self.scope;
            self.done.scopes[scope.0 as usize].elsewhere.insert(name, owner.unwrap_or(TOP));
        }
    }

    fn comprehension(&mut self, generators: &'a [Comprehension], elements: &[&'a Expr]) {
        // The first iterable is evaluated in the outer scope.
        if let Some(first) = generators.first() {
            self.visit_expr(&first.iter);
        }
        self.within(ScopeKind::Comprehension, |walk| {
            for (n, generator) in generators.iter().enumerate() {
                if n > 0 {
                    walk.visit_expr(&generator.iter);
                }
                walk.visit_expr(&generator.target);
                for test in &generator.ifs {
                    walk.visit_expr(test);
                }
            }
            for element in elements {
                walk.visit_expr(element);
            }
        });
    }

    fn value_of(&self, name: &'a Expr) -> Binding<'a> {
        let Some(Node::Stmt(statement)) = self.parent.map(|parent| self.done.node(parent)) else {
            return Binding::Other;
        };
        let is_target = |target: &Expr| std::ptr::eq(target, name);
        match statement {
            Stmt::Assign(assign) if assign.targets.iter().any(is_target) => Binding::Value(&assign.value),
            Stmt::AnnAssign(assign) if is_target(&assign.target) => {
                assign.value.as_deref().map_or(Binding::Other, Binding::Value)
            }
            _ => Binding::Other,
        }
    }
}

impl<'a> Visitor<'a> for Walk<'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        let id = self.push(Node::Stmt(statement));
        self.below(id, |walk| match statement {
            Stmt::FunctionDef(function) => walk.function(id, function),
            Stmt::ClassDef(class) => walk.class(class),
            Stmt::Import(import) => {
                walk.done.imports.push(id);
                for alias in &import.names {
                    let path = alias.name.as_str();
                    if let Some(name) = &alias.asname {
                        walk.bind(name, Binding::Module(path));
                    } else {
                        let top = path.split('.').next().unwrap_or(path);
                        walk.bind(top, Binding::Module(top));
                    }
                }
            }
            Stmt::ImportFrom(import) => {
                walk.done.imports.push(id);
                let module = import.module.as_deref().filter(|_| import.level == 0);
                for alias in &import.names {
                    if alias.name.as_str() == "*" {
                        walk.done.has_hidden_names = true;
                    }
                    let binding = module.map_or(Binding::Other, |module| Binding::From(module, &alias.name));
                    walk.bind(alias.asname.as_ref().unwrap_or(&alias.name), binding);
                }
            }
            Stmt::Global(global) => walk.hand_over(global.names.iter().map(ruff_python_ast::Identifier::as_str), true),
            Stmt::Nonlocal(nonlocal) => {
                walk.hand_over(nonlocal.names.iter().map(ruff_python_ast::Identifier::as_str), false);
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    walk.visit_expr(value);
                }
                walk.annotation(&assign.annotation, true);
                walk.visit_expr(&assign.target);
            }
            Stmt::TypeAlias(alias) => {
                // Python evaluates its value lazily, so the names in it are not checked.
                walk.visit_expr(&alias.name);
            }
            _ => visitor::walk_stmt(walk, statement),
        });
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        let id = self.push(Node::Expr(expr));
        match expr {
            Expr::Name(name) => {
                match name.ctx {
                    ExprContext::Store => {
                        let binding = self.value_of(expr);
                        self.bind(&name.id, binding);
                    }
                    ExprContext::Load => {
                        self.done.has_hidden_names |=
                            matches!(name.id.as_str(), "globals" | "exec" | "locals" | "vars");
                        self.done.loads.push(id);
                    }
                    ExprContext::Del | ExprContext::Invalid => {}
                }
                return;
            }
            Expr::Call(expr) => self.done.calls.push(Call { id, expr, scope: self.scope, paths: Vec::new() }),
            Expr::Compare(_) => self.done.compares.push(id),
            _ => {}
        }
        self.below(id, |walk| match expr {
            Expr::Lambda(lambda) => {
                if let Some(parameters) = &lambda.parameters {
                    walk.signature(parameters);
                }
                walk.within(ScopeKind::Lambda, |walk| {
                    if let Some(parameters) = &lambda.parameters {
                        walk.bind_parameters(parameters);
                    }
                    walk.visit_expr(&lambda.body);
                });
            }
            Expr::ListComp(list) => walk.comprehension(&list.generators, &[&list.elt]),
            Expr::SetComp(set) => walk.comprehension(&set.generators, &[&set.elt]),
            Expr::Generator(generator) => walk.comprehension(&generator.generators, &[&generator.elt]),
            Expr::DictComp(dict) => {
                let elements: Vec<&Expr> = dict.key.iter().map(|key| &**key).chain([&*dict.value]).collect();
                walk.comprehension(&dict.generators, &elements);
            }
            Expr::Named(named) => {
                walk.visit_expr(&named.value);
                // A walrus binds its name outside of the comprehensions around it.
                let mut scope = walk.scope;
                while let (ScopeKind::Comprehension, Some(parent)) =
                    (walk.done.kind(scope), walk.done.scope_row(scope).parent)
                {
                    scope = parent;
                }
                let inner = std::mem::replace(&mut walk.scope, scope);
                walk.visit_expr(&named.target);
                walk.scope = inner;
            }
            _ => visitor::walk_expr(walk, expr),
        });
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(it) = handler;
        if let Some(name) = &it.name {
            self.bind(name, Binding::Other);
        }
        visitor::walk_except_handler(self, handler);
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        if let Some(name) = bound_by(pattern) {
            self.bind(name, Binding::Other);
        }
        visitor::walk_pattern(self, pattern);
    }
}
