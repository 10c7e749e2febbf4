//! Names: their bindings, and the full names that they resolve to. One walk over the tree lists its nodes with their
//! parents, and its scopes with their bindings. The order of execution does not matter: a name is known if any scope in
//! reach ever binds it.

mod walk;

use std::cell::OnceCell;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{ExceptHandler, Expr, ExprCall, ModModule, Stmt, StmtClassDef, StmtFunctionDef};
use ruff_python_stdlib::builtins::{is_python_builtin, python_magic_globals};
use ruff_text_size::{Ranged, TextRange};
use rustc_hash::FxHashMap as HashMap;

use crate::plugin::normal;
use crate::plugin::python::has_lazy_annotations;
use walk::Walk;

/// The newest Python that a server runs on, by its minor version.
pub(super) const PYTHON: u8 = 12;
/// Deeper nodes are skipped: a walk must fit on the stack of any thread.
pub(super) const DEEPEST: u32 = 300;

/// The exception classes that guard an import under `try`.
pub(super) const OF_IMPORTS: &[&str] = &["ImportError", "ModuleNotFoundError", "Exception", "BaseException"];

/// No rule looks for a longer dotted name.
const LONGEST_PATH: usize = 12;
/// A name that is imported in more ways is not resolved.
const MOST_PATHS: usize = 8;

/// A node, as an index into [`Semantics::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(u32);

#[derive(Clone, Copy)]
pub(super) enum Node<'a> {
    Stmt(&'a Stmt),
    Expr(&'a Expr),
}

impl Node<'_> {
    pub(super) fn range(self) -> TextRange {
        match self {
            Self::Stmt(stmt) => stmt.range(),
            Self::Expr(expr) => expr.range(),
        }
    }
}

struct Row<'a> {
    node: Node<'a>,
    parent: Option<NodeId>,
    scope: ScopeId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ScopeId(u32);

#[derive(Clone, Copy)]
pub(super) enum ScopeKind<'a> {
    Module,
    Class,
    Function(&'a StmtFunctionDef),
    Lambda,
    Comprehension,
    /// `def f[T]` and the like.
    TypeParameters,
}

struct Scope<'a> {
    kind: ScopeKind<'a>,
    parent: Option<ScopeId>,
    names: HashMap<&'a str, Vec<Binding<'a>>>,
    /// Names declared `global` or `nonlocal`, with the scope that owns them.
    elsewhere: HashMap<&'a str, ScopeId>,
}

/// How a scope binds a name.
#[derive(Clone, Copy)]
pub(super) enum Binding<'a> {
    /// `import a.b` binds `a`.
    Module(&'a str),
    /// `from module import name`: the module and the name.
    From(&'a str, &'a str),
    Function(&'a StmtFunctionDef),
    Class(&'a StmtClassDef),
    /// One name, one value: `name = value`.
    Value(&'a Expr),
    Other,
}

/// A call and its callee.
pub(super) struct Call<'a> {
    pub(super) id: NodeId,
    pub(super) expr: &'a ExprCall,
    pub(super) scope: ScopeId,
    /// The full names of the function, from [`Semantics::paths`].
    pub(super) paths: Vec<String>,
}

impl Call<'_> {
    /// The full name of the callee, if there is exactly one.
    pub(super) fn path(&self) -> Option<&str> {
        if let [path] = &*self.paths { Some(path) } else { None }
    }
}

/// A parsed text and its names.
pub(super) struct Semantics<'a> {
    nodes: Vec<Row<'a>>,
    scopes: Vec<Scope<'a>>,
    /// The calls, in the order of the file.
    pub(super) calls: Vec<Call<'a>>,
    /// Names that are read.
    pub(super) loads: Vec<NodeId>,
    /// The same by name, in the order of the file; computed on first use.
    by_name: OnceCell<HashMap<&'a str, Vec<NodeId>>>,
    /// Statements that import.
    pub(super) imports: Vec<NodeId>,
    /// Comparisons.
    pub(super) compares: Vec<NodeId>,
    /// All functions, with the scope of their body.
    pub(super) functions: Vec<(NodeId, ScopeId, &'a StmtFunctionDef)>,
    /// Whether a name may have a hidden source: `from x import *`, `globals()`, `exec`.
    pub(super) has_hidden_names: bool,
    /// Whether annotations are not evaluated.
    lazy_annotations: bool,
}

const TOP: ScopeId = ScopeId(0);

#[cfg(test)]
thread_local! {
    /// Counts the nodes and scopes that a check looks at: its cost, on any machine.
    pub(in crate::check) static LOOKS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

impl<'a> Semantics<'a> {
    /// `nodes` is the approximate number of nodes.
    pub(super) fn new(module: &'a ModModule, nodes: usize) -> Self {
        let top =
            Scope { kind: ScopeKind::Module, parent: None, names: HashMap::default(), elsewhere: HashMap::default() };
        let done = Semantics {
            nodes: Vec::with_capacity(nodes),
            scopes: vec![top],
            calls: Vec::new(),
            loads: Vec::new(),
            by_name: OnceCell::new(),
            imports: Vec::new(),
            compares: Vec::new(),
            functions: Vec::new(),
            has_hidden_names: false,
            lazy_annotations: has_lazy_annotations(&module.body),
        };
        Walk::over(&module.body, done)
    }

    fn row(&self, id: NodeId) -> &Row<'a> {
        #[cfg(test)]
        LOOKS.set(LOOKS.get() + 1);
        &self.nodes[id.0 as usize]
    }

    fn scope_row(&self, id: ScopeId) -> &Scope<'a> {
        #[cfg(test)]
        LOOKS.set(LOOKS.get() + 1);
        &self.scopes[id.0 as usize]
    }

    pub(super) fn node(&self, id: NodeId) -> Node<'a> {
        self.row(id).node
    }

    pub(super) fn expr(&self, id: NodeId) -> Option<&'a Expr> {
        match self.node(id) {
            Node::Expr(expr) => Some(expr),
            Node::Stmt(_) => None,
        }
    }

    pub(super) fn scope(&self, id: NodeId) -> ScopeId {
        self.row(id).scope
    }

    /// The ancestors of a node, innermost first.
    pub(super) fn around(&self, id: NodeId) -> impl Iterator<Item = (NodeId, Node<'a>)> {
        let mut at = self.row(id).parent;
        std::iter::from_fn(move || {
            let id = at?;
            at = self.row(id).parent;
            Some((id, self.row(id).node))
        })
    }

    pub(super) fn kind(&self, scope: ScopeId) -> ScopeKind<'a> {
        self.scope_row(scope).kind
    }

    /// A scope and its ancestors, up to the module.
    pub(super) fn scopes(&self, from: ScopeId) -> impl Iterator<Item = ScopeId> {
        let mut at = Some(from);
        std::iter::from_fn(move || {
            let id = at?;
            at = self.scope_row(id).parent;
            Some(id)
        })
    }

    /// The innermost function around a scope. Looks through comprehensions, but not through classes and lambdas.
    pub(super) fn function(&self, scope: ScopeId) -> Option<&'a StmtFunctionDef> {
        for scope in self.scopes(scope) {
            match self.kind(scope) {
                ScopeKind::Function(function) => return Some(function),
                ScopeKind::Comprehension | ScopeKind::TypeParameters => {}
                ScopeKind::Module | ScopeKind::Class | ScopeKind::Lambda => return None,
            }
        }
        None
    }

    /// Whether code in a scope runs only when a function is called.
    pub(super) fn is_called(&self, scope: ScopeId) -> bool {
        self.scopes(scope).any(|scope| matches!(self.kind(scope), ScopeKind::Function(_) | ScopeKind::Lambda))
    }

    /// The scope of a function's body.
    pub(super) fn body_of(&self, function: &StmtFunctionDef) -> Option<ScopeId> {
        // They are listed in the order of the file.
        let at = self.functions.binary_search_by_key(&function.range.start(), |(_, _, it)| it.range.start()).ok()?;
        let (_, scope, found) = self.functions[at];
        std::ptr::eq(found, function).then_some(scope)
    }

    /// The bindings of a name, as seen from a scope; `None` if there are none.
    pub(super) fn bindings(&self, name: &str, from: ScopeId) -> Option<&[Binding<'a>]> {
        for (n, id) in self.scopes(from).enumerate() {
            let scope = self.scope_row(id);
            // A class's names are seen in its own body, not from its functions.
            let is_seen = !matches!(scope.kind, ScopeKind::Class) || n == 0 || self.is_class_body(from, id);
            if let Some(found) = scope.names.get(name).filter(|_| is_seen) {
                return Some(found);
            }
        }
        None
    }

    /// Whether the innermost scope (comprehensions aside) declares a name `global` or `nonlocal`.
    pub(super) fn is_handed_over(&self, name: &str, from: ScopeId) -> bool {
        let is_inner = |scope: &ScopeId| matches!(self.kind(*scope), ScopeKind::Comprehension);
        let owner = self.scopes(from).find(|scope| !is_inner(scope));
        owner.is_some_and(|scope| self.scope_row(scope).elsewhere.contains_key(name))
    }

    /// Whether only type parameters and comprehensions lie between a scope and the class around it. In Python, only the
    /// first iterable of a comprehension sees the names of the class; here, the rest of it does, too.
    fn is_class_body(&self, from: ScopeId, class: ScopeId) -> bool {
        self.scopes(from)
            .take_while(|scope| *scope != class)
            .all(|scope| matches!(self.kind(scope), ScopeKind::TypeParameters | ScopeKind::Comprehension))
    }

    /// The reads of a name within a range.
    pub(super) fn loads_of(&self, name: &str, within: TextRange) -> impl Iterator<Item = NodeId> {
        let by_name = self.by_name.get_or_init(|| {
            let mut by_name: HashMap<_, Vec<_>> = HashMap::default();
            for id in &self.loads {
                if let Some(Expr::Name(name)) = self.expr(*id) {
                    by_name.entry(name.id.as_str()).or_default().push(*id);
                }
            }
            for loads in by_name.values_mut() {
                loads.sort_by_key(|id| self.node(*id).range().start());
            }
            by_name
        });
        let all = by_name.get(name).map_or(&[][..], Vec::as_slice);
        let first = all.partition_point(|id| self.node(*id).range().start() < within.start());
        all[first..].iter().copied().take_while(move |id| self.node(*id).range().start() < within.end())
    }

    /// The bindings of a name in the module.
    pub(super) fn of_module(&self, name: &str) -> &[Binding<'a>] {
        self.scope_row(TOP).names.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether Python itself, or the server, gives every module this name.
    pub(super) fn is_given(name: &str) -> bool {
        is_python_builtin(name, PYTHON, false)
            || python_magic_globals(PYTHON).any(|given| given == name)
            || matches!(name, "__class__" | "__module__" | "__qualname__" | "__annotations__" | "__dict__")
    }

    /// The full names that an expression may resolve to through imports: `open_webui.models.users.Users`. Several if it
    /// is imported in one of several ways; none if it may also be something else.
    pub(super) fn paths(&self, expr: &Expr, from: ScopeId) -> Vec<String> {
        let attributes = || std::iter::successors(expr.as_attribute_expr(), |inner| inner.value.as_attribute_expr());
        let root = attributes().last().map_or(expr, |last| &*last.value);
        let Expr::Name(name) = root else { return Vec::new() };
        let mut paths = Vec::new();
        for binding in self.bindings(&name.id, from).unwrap_or_default() {
            match binding {
                Binding::Module(path) => paths.push((*path).to_owned()),
                Binding::From(module, name) => paths.push([&*server_module(module), name].join(".")),
                // `Users = None` where the import failed.
                Binding::Value(Expr::NoneLiteral(_)) => {}
                Binding::Value(_) | Binding::Function(_) | Binding::Class(_) | Binding::Other => return Vec::new(),
            }
            if paths.len() > MOST_PATHS {
                return Vec::new();
            }
        }
        if paths.is_empty() {
            return paths;
        }
        let attributes: Vec<&str> = attributes().map(|attribute| attribute.attr.as_str()).collect();
        if attributes.len() > LONGEST_PATH {
            return Vec::new();
        }
        for path in &mut paths {
            for attribute in attributes.iter().rev() {
                path.push('.');
                path.push_str(attribute);
            }
        }
        paths
    }

    /// The full name, if there is exactly one.
    pub(super) fn path(&self, expr: &Expr, from: ScopeId) -> Option<String> {
        let mut paths = self.paths(expr, from);
        (paths.len() == 1).then(|| paths.remove(0))
    }

    /// Whether an expression is one of these builtin functions.
    pub(super) fn is_builtin(&self, expr: &Expr, from: ScopeId, names: &[&str]) -> bool {
        expr.as_name_expr()
            .is_some_and(|name| names.contains(&name.id.as_str()) && self.bindings(&name.id, from).is_none())
    }

    /// Whether a node runs only for type checkers, under `suppress`, or where one of these exception classes is caught
    /// by its name.
    pub(super) fn is_guarded(&self, id: NodeId, classes: &[&str]) -> bool {
        let range = self.node(id).range();
        let within = |body: &[Stmt]| match (body.first(), body.last()) {
            (Some(first), Some(last)) => TextRange::new(first.start(), last.end()).contains_range(range),
            _ => false,
        };
        self.around(id).any(|(_, node)| match node {
            Node::Stmt(Stmt::If(branch)) => within(&branch.body) && mentions(&branch.test, "TYPE_CHECKING"),
            Node::Stmt(Stmt::Try(attempt)) => {
                within(&attempt.body) && attempt.handlers.iter().any(|handler| catches(handler, classes))
            }
            Node::Stmt(Stmt::With(with)) => {
                within(&with.body) && with.items.iter().any(|item| mentions(&item.context_expr, "suppress"))
            }
            Node::Stmt(_) | Node::Expr(_) => false,
        })
    }

    /// Whether an annotation at this place is never evaluated.
    fn skips_annotation(&self, scope: ScopeId, is_variable: bool) -> bool {
        self.lazy_annotations || (is_variable && matches!(self.kind(scope), ScopeKind::Function(_)))
    }
}

/// The module that an import names after the server's rewriting.
pub(super) fn server_module(module: &str) -> std::borrow::Cow<'_, str> {
    let is_whole =
        |package: &str| module.strip_prefix(package).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if normal::PACKAGES.iter().any(|package| is_whole(package)) {
        normal::rewritten(module).map_or(module.into(), Into::into)
    } else {
        module.into()
    }
}

fn catches(handler: &ExceptHandler, classes: &[&str]) -> bool {
    let ExceptHandler::ExceptHandler(handler) = handler;
    match handler.type_.as_deref() {
        None => classes.contains(&"BaseException"),
        Some(class) => names_in(class).iter().any(|class| classes.contains(class)),
    }
}

/// Whether a name or attribute with this name occurs anywhere in an expression.
pub(super) fn mentions(expr: &Expr, name: &str) -> bool {
    names_in(expr).contains(&name)
}

/// All names and attributes in an expression.
pub(super) fn names_in(expr: &Expr) -> Vec<&str> {
    struct Names<'a>(Vec<&'a str>, u32);
    impl<'a> Visitor<'a> for Names<'a> {
        fn visit_expr(&mut self, expr: &'a Expr) {
            match expr {
                Expr::Name(name) => self.0.push(&name.id),
                Expr::Attribute(attribute) => self.0.push(&attribute.attr),
                _ => {}
            }
            if self.1 < DEEPEST {
                self.1 += 1;
                visitor::walk_expr(self, expr);
                self.1 -= 1;
            }
        }
    }
    let mut names = Names(Vec::new(), 0);
    names.visit_expr(expr);
    names.0
}
