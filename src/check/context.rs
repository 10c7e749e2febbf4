//! One plugin under check: its tree, its names, its entry class, and the hooks that the server calls.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use ruff_python_ast::token::Tokens;
use ruff_python_ast::{Expr, ParameterWithDefault, Stmt, StmtClassDef, StmtFunctionDef};
use ruff_text_size::{Ranged as _, TextRange, TextSize};

use super::semantics::{Binding, Node, NodeId, Semantics};
use crate::plugin::frontmatter::Frontmatter;
use crate::plugin::python::{is_name, is_plain};
use crate::plugin::{Entry, Plugin, Syntax};
use crate::server_version::ServerVersion;

pub(super) struct Context<'a> {
    pub(super) text: &'a str,
    pub(super) tokens: &'a Tokens,
    pub(super) semantics: Semantics<'a>,
    pub(super) entry: Entry,
    /// The entry class, if the file defines it itself.
    pub(super) class: Option<&'a StmtClassDef>,
    pub(super) frontmatter: &'a Frontmatter,
    pub(super) version: ServerVersion,
    /// The methods of each class, by the class's start and the method's name; `None` if several share the name.
    by_class: RefCell<HashMap<TextSize, HashMap<&'a str, Option<&'a StmtFunctionDef>>>>,
}

/// A method that the server calls.
#[derive(Clone, Copy)]
pub(super) struct Hook<'a> {
    pub(super) function: &'a StmtFunctionDef,
    /// The name of its own argument, beside the arguments with two underscores.
    pub(super) given: &'static str,
    specials: &'static str,
}

impl<'a> Hook<'a> {
    pub(super) fn name(&self) -> &'a str {
        &self.function.name
    }

    /// Whether every version passes this argument.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given == name || self.specials.split(' ').any(|special| special == name)
    }

    /// The version since which the server passes this argument, if older ones do not.
    pub(super) fn since(&self, name: &str) -> Option<&'static str> {
        match (self.name(), name) {
            ("inlet", "__chat_id__" | "__message_id__") => Some("0.7"),
            ("stream", "__chat_id__" | "__message_id__") => Some("0.11"),
            _ => None,
        }
    }

    /// Its parameters without `self`.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &'a ParameterWithDefault> + use<'a> {
        let all: Vec<_> = self.function.parameters.iter_non_variadic_params().collect();
        all.into_iter().skip(usize::from(!is_static(self.function)))
    }

    /// Whether a decorator may give it another signature.
    pub(super) fn is_decorated(&self) -> bool {
        self.function.decorator_list.iter().any(|decorator| !is_name(&decorator.expression, "staticmethod"))
    }
}

fn is_static(function: &StmtFunctionDef) -> bool {
    function.decorator_list.iter().any(|decorator| is_name(&decorator.expression, "staticmethod"))
}

/// The arguments that every version passes to a hook: the name of its own argument, and the names of those with two
/// underscores that it may ask for. Source: the server's `functions.py`, `utils/filter.py` and its callers in
/// `utils/middleware.py`, `utils/actions.py` and `events.py`.
fn given(hook: &str) -> Option<(&'static str, &'static str)> {
    Some(match hook {
        "pipe" => (
            "body",
            "__event_emitter__ __event_call__ __chat_id__ __session_id__ __message_id__ __task__ __task_body__ __files__ \
             __user__ __metadata__ __oauth_token__ __request__ __tools__",
        ),
        "inlet" => (
            "body",
            "__event_emitter__ __event_call__ __user__ __metadata__ __oauth_token__ __request__ __model__ __id__",
        ),
        "outlet" => ("body", "__event_emitter__ __event_call__ __user__ __metadata__ __request__ __model__ __id__"),
        "stream" => (
            "event",
            "__event_emitter__ __event_call__ __user__ __metadata__ __oauth_token__ __request__ __model__ __id__ __body__",
        ),
        "action" => ("body", "__model__ __id__ __event_emitter__ __event_call__ __request__ __user__"),
        "event" => ("event", "__id__ __event__ __event_id__ __event_name__ __app__ __request__"),
        _ => return None,
    })
}

impl<'a> Context<'a> {
    pub(super) fn new(plugin: &'a Plugin, text: &'a str, syntax: &'a Syntax, version: ServerVersion) -> Self {
        let semantics = Semantics::new(syntax.syntax(), syntax.tokens().len());
        let class = match semantics.of_module(plugin.entry.class()) {
            [Binding::Class(class)] => Some(*class),
            _ => None,
        };
        Self {
            text,
            tokens: syntax.tokens(),
            semantics,
            entry: plugin.entry,
            class,
            frontmatter: &plugin.frontmatter,
            version,
            by_class: RefCell::default(),
        }
    }

    /// The method of a class with this name; `None` if several share it.
    pub(super) fn method(&self, class: &'a StmtClassDef, name: &str) -> Option<&'a StmtFunctionDef> {
        let mut by_class = self.by_class.borrow_mut();
        let methods = by_class.entry(class.range.start()).or_insert_with(|| {
            let mut by_name = HashMap::new();
            for method in methods(class) {
                by_name.entry(method.name.as_str()).and_modify(|one| *one = None).or_insert(Some(method));
            }
            by_name
        });
        methods.get(name).copied().flatten()
    }

    /// The methods of the entry class, in the order of the file. Several may share a name.
    pub(super) fn methods(&self) -> Vec<&'a StmtFunctionDef> {
        self.class.map(methods).unwrap_or_default()
    }

    /// The methods that the server calls with arguments of its own choice. The methods of tools do not count: the model
    /// calls those.
    pub(super) fn hooks(&self) -> Vec<Hook<'a>> {
        let methods = self.methods();
        let hook = |name: &&str| {
            let mut named = methods.iter().filter(|method| method.name.as_str() == *name);
            let function = named.next()?;
            // One of several definitions, chosen by version or platform.
            if named.next().is_some() {
                return None;
            }
            let (given, specials) = given(name)?;
            Some(Hook { function, given, specials })
        };
        self.entry.hooks().iter().filter_map(hook).collect()
    }

    /// The methods that a model may call.
    pub(super) fn tools(&self) -> Vec<&'a StmtFunctionDef> {
        if self.entry != Entry::Tools {
            return Vec::new();
        }
        let is_property = |method: &StmtFunctionDef| {
            method.decorator_list.iter().any(|decorator| {
                let name = decorator.expression.as_name_expr().map(|name| name.id.as_str());
                let attribute = decorator.expression.as_attribute_expr().map(|attribute| attribute.attr.as_str());
                matches!(name, Some("property" | "cached_property")) || matches!(attribute, Some("setter" | "deleter"))
            })
        };
        self.methods().into_iter().filter(|method| !method.name.starts_with('_') && !is_property(method)).collect()
    }

    /// Whether the body of the entry class shows all its names: no base, no decorator, no dynamic attributes.
    pub(super) fn is_whole(&self) -> bool {
        self.class.is_some_and(|class| is_plain(class) && class.decorator_list.is_empty())
            && !self.semantics.has_hidden_names
            && !self.text.contains("setattr(")
            && !self.text.contains("__getattr")
            && !self.text.contains("__dict__")
    }

    /// The functions that run when one of these runs: those called as `self.name(…)` or `name(…)`, directly or
    /// indirectly. A function that is passed to a thread does not count.
    pub(super) fn reachable(&self, from: impl IntoIterator<Item = &'a StmtFunctionDef>) -> Vec<&'a StmtFunctionDef> {
        let methods = self.methods();
        let mut found: Vec<&StmtFunctionDef> = Vec::new();
        let mut seen = HashSet::new();
        let mut pending: Vec<&StmtFunctionDef> = from.into_iter().collect();
        let calls = &self.semantics.calls;
        while let Some(function) = pending.pop() {
            if !seen.insert(function.range.start()) {
                continue;
            }
            found.push(function);
            let first = calls.partition_point(|call| call.expr.start() < function.range.start());
            for call in calls[first..].iter().take_while(|call| call.expr.start() < function.range.end()) {
                if !self.is_directly_in(call.id, function) {
                    continue;
                }
                match &*call.expr.func {
                    Expr::Attribute(attribute) if is_name(&attribute.value, "self") => {
                        pending.extend(methods.iter().filter(|method| method.name.id == attribute.attr.id));
                    }
                    Expr::Name(name) => {
                        if let Some([Binding::Function(function)]) = self.semantics.bindings(&name.id, call.scope) {
                            pending.push(function);
                        }
                    }
                    _ => {}
                }
            }
        }
        found
    }

    /// Whether a node belongs to this function itself, not to a function inside it.
    pub(super) fn is_directly_in(&self, id: NodeId, function: &StmtFunctionDef) -> bool {
        self.semantics.function(self.semantics.scope(id)).is_some_and(|around| std::ptr::eq(around, function))
    }

    /// The parent of a node.
    pub(super) fn parent(&self, id: NodeId) -> Option<(NodeId, Node<'a>)> {
        self.semantics.around(id).next()
    }

    /// The text of a range.
    pub(super) fn source(&self, range: TextRange) -> &'a str {
        self.text.get(std::ops::Range::<usize>::from(range)).unwrap_or_default()
    }
}

/// The functions in the body of a class, also under `if` and `try` (but not under `except`).
pub(super) fn methods(class: &StmtClassDef) -> Vec<&StmtFunctionDef> {
    fn collect<'a>(body: &'a [Stmt], found: &mut Vec<&'a StmtFunctionDef>) {
        for statement in body {
            match statement {
                Stmt::FunctionDef(function) => found.push(function),
                Stmt::If(branch) => {
                    collect(&branch.body, found);
                    branch.elif_else_clauses.iter().for_each(|clause| collect(&clause.body, found));
                }
                Stmt::Try(attempt) => {
                    for body in [&attempt.body, &attempt.orelse, &attempt.finalbody] {
                        collect(body, found);
                    }
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    collect(&class.body, &mut found);
    found
}

/// The class with this name in the body of another.
pub(super) fn inner_class<'a>(class: &'a StmtClassDef, name: &str) -> Option<&'a StmtClassDef> {
    class.body.iter().find_map(|statement| statement.as_class_def_stmt().filter(|class| class.name.as_str() == name))
}
