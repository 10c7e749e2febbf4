//! How a coroutine value is used: directly, or through names, attributes of `self`, and functions of the file that
//! receive it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;

use ruff_python_ast::{Expr, ExprCall, ExprContext, Keyword, Stmt, StmtClassDef, StmtFunctionDef, UnaryOp};
use ruff_text_size::{Ranged as _, TextRange, TextSize};

use super::Context;
use crate::check::context::methods;
use crate::check::semantics::{Binding, Node, NodeId, ScopeId};
use crate::check::servers::{Found, find};
use crate::plugin::python::is_name;

/// How many expressions in a row a value is followed through.
const MOST_STEPS: u32 = 4;
/// How many attributes of `self` are followed.
const MOST_ATTRIBUTES: usize = 100;

/// How the value of an expression is used.
#[derive(Clone)]
pub(super) enum Fate {
    /// Awaited, returned, passed on, or unknown.
    Fine,
    /// Unused.
    Dropped,
    /// Only tested, as in `if user:`.
    Tested(String),
    /// Used as if it were the awaited result.
    Used(String),
    /// Printed or logged, or passed to a function of this file that does no more. Other uses still count.
    Shown,
}

/// Where the value of an expression goes.
enum Goal<'a> {
    Ends(Fate),
    /// It is bound to this name.
    Name(&'a str),
    /// It is stored in this attribute of `self`.
    Attribute(&'a str),
    /// It is passed to a function of this file, as this parameter.
    Parameter(&'a StmtFunctionDef, &'a str),
}

/// Builtin functions that do not await their arguments.
const SYNCHRONOUS: &[&str] =
    &["bool", "dict", "enumerate", "len", "list", "max", "min", "set", "sorted", "sum", "tuple"];

/// Methods of a logger.
const LOGS: &[&str] = &["critical", "debug", "error", "exception", "info", "warning"];

/// Types that a result may be an instance of, but a coroutine never is.
const RESULTS: &[&str] = &["bool", "dict", "float", "int", "list", "set", "str", "tuple"];

/// Follows values to their uses.
pub(super) struct Judge<'a, 'b> {
    context: &'b Context<'a>,
    /// Whether an expression is a coroutine by itself.
    is_coroutine: &'b dyn Fn(&Expr) -> bool,
    /// The results for attributes, by class and name.
    attributes: RefCell<HashMap<(TextSize, &'a str), Fate>>,
    /// The results for names and parameters, by function, name, and whether the name has no other value.
    names: RefCell<HashMap<(TextSize, &'a str, bool), Fate>>,
}

impl<'a, 'b> Judge<'a, 'b> {
    pub(super) fn new(context: &'b Context<'a>, is_coroutine: &'b dyn Fn(&Expr) -> bool) -> Self {
        Self { context, is_coroutine, attributes: RefCell::default(), names: RefCell::default() }
    }

    /// How the value of this expression is used.
    pub(super) fn fate(&self, id: NodeId) -> Fate {
        self.follow(id, MOST_STEPS)
    }

    fn follow(&self, id: NodeId, steps: u32) -> Fate {
        let Some(steps) = steps.checked_sub(1) else { return Fate::Fine };
        match self.goal(id) {
            Goal::Ends(fate) => fate,
            Goal::Name(name) => self.of_name(id, name, steps),
            Goal::Attribute(name) => self.of_attribute(id, name, steps),
            Goal::Parameter(function, name) => self.of_parameter(function, name, steps),
        }
    }

    fn goal(&self, id: NodeId) -> Goal<'a> {
        let semantics = &self.context.semantics;
        let mut range = semantics.node(id).range();
        let used = |how: &str| Goal::Ends(Fate::Used(how.to_owned()));
        let tested = |how: &str| Goal::Ends(Fate::Tested(how.to_owned()));
        let fine = Goal::Ends(Fate::Fine);
        for (around, node) in semantics.around(id) {
            match node {
                Node::Expr(expr) => match expr {
                    // The value of the outer expression may be this one.
                    Expr::BoolOp(_) => {}
                    Expr::If(choice) if choice.test.range() != range => {}
                    Expr::If(_) => return tested("the test is always true"),
                    Expr::Attribute(attribute) => {
                        let attr = attribute.attr.as_str();
                        return if is_its_own(attr) { fine } else { used(&format!("`.{attr}` fails on a coroutine")) };
                    }
                    Expr::Subscript(subscript) if subscript.value.range() == range => {
                        return used("`[…]` fails on a coroutine");
                    }
                    Expr::Compare(_) => return tested("it compares the coroutine itself"),
                    Expr::UnaryOp(unary) if unary.op == UnaryOp::Not => return tested("the test is always false"),
                    Expr::BinOp(_) => return used("the operation fails"),
                    Expr::FString(_) => return used("its text is `<coroutine object …>`"),
                    Expr::ListComp(_) | Expr::SetComp(_) | Expr::DictComp(_) | Expr::Generator(_) => {
                        return if is_iterated(expr, range) { used("it cannot be iterated over") } else { fine };
                    }
                    Expr::Named(named) => {
                        return named.target.as_name_expr().map_or(fine, |name| Goal::Name(&name.id));
                    }
                    Expr::Starred(_) => return used("it cannot be unpacked"),
                    Expr::Dict(dict) if dict.items.iter().any(|it| it.key.is_none() && it.value.range() == range) => {
                        return used("it cannot be unpacked");
                    }
                    Expr::Call(call) if call.func.range() != range => {
                        let is_unpacked = |it: &Keyword| it.arg.is_none() && it.value.range() == range;
                        if call.arguments.keywords.iter().any(is_unpacked) {
                            return used("it cannot be unpacked");
                        }
                        let scope = semantics.scope(around);
                        if semantics.is_builtin(&call.func, scope, SYNCHRONOUS) {
                            return used(&format!(
                                "`{}(…)` fails on a coroutine",
                                self.context.source(call.func.range())
                            ));
                        }
                        if takes_none(self.context, &call.func, around) {
                            let name = self.context.source(call.func.range());
                            return used(&format!("`{name}` is given the coroutine itself"));
                        }
                        if let Some(fate) = self.of_asked(call, scope, range) {
                            return Goal::Ends(fate);
                        }
                        let Some(function) = local_function(self.context, &call.func, around) else {
                            return if self.is_shown(call, around) { Goal::Ends(Fate::Shown) } else { fine };
                        };
                        let is_method = call.func.is_attribute_expr();
                        let args = &call.arguments.args;
                        let parameter = match args.iter().position(|argument| argument.range() == range) {
                            Some(at) if args[..at].iter().any(Expr::is_starred_expr) => None,
                            Some(at) => {
                                let parameters = &function.parameters;
                                let positional = parameters.posonlyargs.iter().chain(&parameters.args);
                                positional.skip(usize::from(is_method)).nth(at).map(|it| it.name().as_str())
                            }
                            None => call.arguments.keywords.iter().find_map(|keyword| {
                                let name = keyword.arg.as_ref().filter(|_| keyword.value.range() == range)?.as_str();
                                let mut named = function.parameters.iter_non_variadic_params();
                                named.find(|it| it.name().as_str() == name).map(|it| it.name().as_str())
                            }),
                        };
                        return parameter.map_or(fine, |name| Goal::Parameter(function, name));
                    }
                    _ => return fine,
                },
                Node::Stmt(statement) => {
                    let target = |target: &'a Expr| match target {
                        Expr::Name(name) => Goal::Name(&name.id),
                        Expr::Attribute(attribute) if is_name(&attribute.value, "self") => {
                            Goal::Attribute(&attribute.attr)
                        }
                        _ => Goal::Ends(Fate::Fine),
                    };
                    return match statement {
                        Stmt::Expr(_) => Goal::Ends(Fate::Dropped),
                        Stmt::Assign(assign) => match &*assign.targets {
                            [Expr::Tuple(_) | Expr::List(_)] => used("it cannot be unpacked"),
                            [one] => target(one),
                            _ => fine,
                        },
                        Stmt::AnnAssign(assign) => target(&assign.target),
                        Stmt::If(_) | Stmt::While(_) | Stmt::Assert(_) => tested("the test is always true"),
                        Stmt::For(walk) if walk.iter.range() == range => used("it cannot be iterated over"),
                        Stmt::AugAssign(_) => used("the operation fails"),
                        _ => fine,
                    };
                }
            }
            range = node.range();
        }
        fine
    }

    /// How `hasattr`, `getattr` or `isinstance` uses a value: a coroutine never has what they look for.
    fn of_asked(&self, call: &ExprCall, scope: ScopeId, range: TextRange) -> Option<Fate> {
        let semantics = &self.context.semantics;
        let [asked, what, rest @ ..] = &*call.arguments.args else { return None };
        let asks = |names: &[&str]| semantics.is_builtin(&call.func, scope, names) && asked.range() == range;
        match what {
            Expr::StringLiteral(attr) if !is_its_own(attr.value.to_str()) => {
                let attr = attr.value.to_str();
                if asks(&["hasattr"]) {
                    return Some(Fate::Tested(format!("it never has `{attr}`")));
                }
                let how = if rest.is_empty() { "fails" } else { "is always its default" };
                asks(&["getattr"]).then(|| Fate::Used(format!("`getattr(…, \"{attr}\")` of it {how}")))
            }
            _ if semantics.is_builtin(what, scope, RESULTS) && asks(&["isinstance"]) => {
                Some(Fate::Tested(format!("it is never a `{}`", self.context.source(what.range()))))
            }
            _ => None,
        }
    }

    /// Whether a call only prints or logs its arguments, and so awaits none.
    fn is_shown(&self, call: &ExprCall, id: NodeId) -> bool {
        let semantics = &self.context.semantics;
        let logs = call.func.as_attribute_expr().is_some_and(|method| LOGS.contains(&method.attr.as_str()));
        let is_statement = matches!(self.context.parent(id), Some((_, Node::Stmt(Stmt::Expr(_)))));
        is_statement && (logs || semantics.is_builtin(&call.func, semantics.scope(id), &["print"]))
    }

    /// How a value with a name is used: the worst use of the name, if no use is fine.
    fn of_name(&self, id: NodeId, name: &'a str, steps: u32) -> Fate {
        let semantics = &self.context.semantics;
        let Some(function) = semantics.function(semantics.scope(id)) else { return Fate::Fine };
        // Another function may await it.
        if semantics.is_handed_over(name, semantics.scope(id)) {
            return Fate::Fine;
        }
        let bindings = semantics.bindings(name, semantics.scope(id)).unwrap_or_default();
        // A plugin for several versions awaits it where it has to.
        let value = semantics.node(id).range();
        let awaits = |binding: &Binding<'_>| match binding {
            Binding::Value(other @ Expr::Await(_)) => !other.range().contains_range(value),
            _ => false,
        };
        if bindings.iter().any(awaits) {
            return Fate::Fine;
        }
        let is_always = bindings.len() == 1;
        known(&self.names, (function.range().start(), name, is_always), || {
            let is_inner = |load: NodeId| {
                let user = semantics.function(semantics.scope(load));
                !user.is_some_and(|user| std::ptr::eq(user, function))
            };
            if semantics.loads_of(name, function.range()).any(is_inner) {
                return Fate::Fine;
            }
            self.worst(semantics.loads_of(name, function.range()), is_always, steps)
        })
    }

    /// How a function of this file uses a value that is passed to it.
    fn of_parameter(&self, function: &StmtFunctionDef, name: &'a str, steps: u32) -> Fate {
        let semantics = &self.context.semantics;
        // Other callers may pass an ordinary value, so testing the parameter is no error.
        let fate = known(&self.names, (function.range().start(), name, false), || {
            let is_bound_once = semantics.body_of(function).is_some_and(|body| {
                semantics.bindings(name, body).is_some_and(|bindings| matches!(bindings, [Binding::Other]))
            });
            if !is_bound_once || super::asks(self.context.source(function.range())) {
                return Fate::Fine;
            }
            self.worst(semantics.loads_of(name, function.range()), false, steps)
        });
        match fate {
            Fate::Used(how) => Fate::Used(format!("{how} in `{}`", function.name)),
            Fate::Dropped | Fate::Shown => Fate::Shown,
            Fate::Fine | Fate::Tested(_) => Fate::Fine,
        }
    }

    /// How a value stored in an attribute of `self` is used, if the attribute only ever holds such values or `None`.
    fn of_attribute(&self, id: NodeId, name: &'a str, steps: u32) -> Fate {
        let semantics = &self.context.semantics;
        let class = semantics.around(id).find_map(|(_, node)| match node {
            Node::Stmt(Stmt::ClassDef(class)) => Some(class),
            Node::Stmt(_) | Node::Expr(_) => None,
        });
        let Some(class) = class else { return Fate::Fine };
        known(&self.attributes, (class.range().start(), name), || {
            if self.attributes.borrow().len() > MOST_ATTRIBUTES {
                return Fate::Fine;
            }
            self.in_class(class, name, steps).unwrap_or(Fate::Fine)
        })
    }

    fn in_class(&self, class: &'a StmtClassDef, name: &str, steps: u32) -> Option<Fate> {
        let semantics = &self.context.semantics;
        let is_none = |value: &Expr| value.is_none_literal_expr();
        let is_bound_in_body = class.body.iter().any(|statement| match statement {
            Stmt::Assign(assign) => {
                assign.targets.iter().any(|target| is_name(target, name)) && !is_none(&assign.value)
            }
            Stmt::AnnAssign(assign) => {
                is_name(&assign.target, name) && assign.value.as_deref().is_some_and(|value| !is_none(value))
            }
            _ => false,
        });
        let text = self.context.text;
        let is_hidden = ["setattr(", "getattr(", "__dict__"].iter().any(|word| text.contains(word));
        if is_bound_in_body || is_hidden || methods(class).iter().any(|method| method.name.as_str() == name) {
            return None;
        }
        let (mut loads, mut seen) = (Vec::new(), 0);
        for of_self in semantics.loads_of("self", class.range()) {
            let Some((id, Node::Expr(Expr::Attribute(attribute)))) = self.context.parent(of_self) else { continue };
            if attribute.attr.as_str() != name {
                continue;
            }
            seen += 1;
            if attribute.ctx == ExprContext::Load {
                loads.push(id);
                continue;
            }
            let value = match self.context.parent(id)?.1 {
                Node::Stmt(Stmt::Assign(assign)) if matches!(&*assign.targets, [_]) => Some(&*assign.value),
                Node::Stmt(Stmt::AnnAssign(assign)) => assign.value.as_deref(),
                Node::Stmt(_) | Node::Expr(_) => return None,
            };
            if !value.is_none_or(|value| is_none(value) || (self.is_coroutine)(value)) {
                return None;
            }
        }
        // If the attribute also occurs outside of `self.…`, other code may set it.
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let attribute = format!(".{name}");
        let named = text.match_indices(&attribute).filter(|(at, _)| !text[at + attribute.len()..].starts_with(is_word));
        if named.count() != seen {
            return None;
        }
        match self.worst(loads.into_iter(), false, steps) {
            Fate::Used(how) => Some(Fate::Used(format!("`self.{name}` keeps it, and {how}"))),
            Fate::Fine | Fate::Dropped | Fate::Tested(_) | Fate::Shown => None,
        }
    }

    /// The worst use of a value at these places, if no use is fine. `is_always`: the name has no other value, so every
    /// test of it is pointless.
    fn worst(&self, loads: impl Iterator<Item = NodeId>, is_always: bool, steps: u32) -> Fate {
        let mut worst = Fate::Dropped;
        for load in loads {
            worst = match (self.follow(load, steps), worst) {
                (Fate::Fine, _) => return Fate::Fine,
                (Fate::Tested(how), Fate::Dropped) if is_always => Fate::Used(how),
                (Fate::Tested(how), Fate::Dropped) => Fate::Tested(how),
                (Fate::Used(how), Fate::Dropped | Fate::Tested(_)) => Fate::Used(how),
                (_, worst) => worst,
            };
        }
        worst
    }
}

/// The cached result for a key, computed on first use.
fn known<K: Copy + Eq + Hash>(all: &RefCell<HashMap<K, Fate>>, key: K, find: impl FnOnce() -> Fate) -> Fate {
    if let Some(known) = all.borrow().get(&key) {
        return known.clone();
    }
    // Ends the recursion if a value flows back into itself.
    all.borrow_mut().insert(key, Fate::Fine);
    let fate = find();
    all.borrow_mut().insert(key, fate.clone());
    fate
}

/// Modules of the server whose functions take no coroutines. Those for tasks do.
const TAKES_NONE: &[&str] = &["open_webui.models.", "open_webui.routers.", "open_webui.utils.chat."];

/// Whether this is an asynchronous function of the server that takes no coroutine.
fn takes_none(context: &Context<'_>, called: &Expr, id: NodeId) -> bool {
    let semantics = &context.semantics;
    semantics.path(called, semantics.scope(id)).is_some_and(|path| {
        let is_of = TAKES_NONE.iter().any(|module| path.starts_with(module));
        is_of && matches!(find(&path, context.version), Found::Coroutine(_))
    })
}

/// The function of this file that a call resolves to: by its name, or as a method of the class around.
pub(super) fn local_function<'a>(context: &Context<'a>, called: &Expr, id: NodeId) -> Option<&'a StmtFunctionDef> {
    let semantics = &context.semantics;
    let found = match called {
        Expr::Name(name) => match semantics.bindings(&name.id, semantics.scope(id))? {
            [Binding::Function(function)] => *function,
            _ => return None,
        },
        Expr::Attribute(attribute) if is_name(&attribute.value, "self") => {
            let class = semantics.around(id).find_map(|(_, node)| match node {
                Node::Stmt(Stmt::ClassDef(class)) => Some(class),
                Node::Stmt(_) | Node::Expr(_) => None,
            })?;
            context.method(class, &attribute.attr)?
        }
        _ => return None,
    };
    found.decorator_list.is_empty().then_some(found)
}

/// Whether a coroutine has this attribute, or may have it, as all objects have `__class__`.
fn is_its_own(attr: &str) -> bool {
    matches!(attr, "send" | "close" | "throw") || attr.starts_with("cr_") || attr.starts_with("__")
}

/// Whether this is what a comprehension iterates over.
fn is_iterated(comprehension: &Expr, range: TextRange) -> bool {
    let generators = match comprehension {
        Expr::ListComp(it) => &it.generators,
        Expr::SetComp(it) => &it.generators,
        Expr::DictComp(it) => &it.generators,
        Expr::Generator(it) => &it.generators,
        _ => return false,
    };
    generators.iter().any(|generator| generator.iter.range() == range)
}
