//! What can be known of a plugin's Python without running it.
//!
//! The server runs a text as a module and then asks, by name alone, whether the module has a `Pipe`, a `Filter`, and so
//! on. [`read`] answers the same question from the syntax tree: it follows the statements that run when the module is
//! loaded, in their order, and notes on the way what would go wrong there.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::name::UnqualifiedName;
use ruff_python_ast::token::{Token, TokenKind};
use ruff_python_ast::{
    Alias, BoolOp, CmpOp, ExceptHandler, Expr, ModModule, Number, Stmt, StmtFor, StmtIf, StmtImport, StmtImportFrom,
    StmtMatch, StmtTry, StmtWhile, StmtWith, UnaryOp,
};
use ruff_python_parser::{Mode, Parsed, lexer, parse_module};
use ruff_text_size::{Ranged, TextRange};
use unicode_ident::is_xid_continue;

use super::{Entry, Kind, Problem, Span, Surprise, Warning, normal};

/// What the user said of a file beside its code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Intent {
    /// The file is a plugin by the word of its frontmatter or of `watch.toml`, so that it may have its entry class from
    /// another module, and an `Event` or `Action` without its hook. Without that word such a file is taken for a test, for a
    /// script that uses the plugin, or for a helper.
    pub declared: bool,
    /// Which kind to take of a file that has both.
    pub kind: Option<Kind>,
}

/// What makes a file a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The class that the server will take.
    pub entry: Entry,
    /// What will surprise the author, from the top of the file to its end.
    pub warnings: Vec<Warning>,
}

/// Reads a text that [`normal::clean`] made: `None` where it is no plugin, and where it cannot be deployed, why.
pub fn read(text: &str, intent: Intent) -> Result<Option<Found>, (Problem, Option<Span>)> {
    let here = |range: TextRange| Span::new(text, range.into());
    let parsed = parsed(text)?;
    let mut module = Module { text, ..Module::default() };
    module.block(parsed.suite(), Place::TOP);

    let Some(entry) = module.entry(intent).map_err(|(problem, range)| (problem, Some(here(range))))? else {
        return module.pipeline.map_or(Ok(None), |range| Err((Problem::Pipeline, Some(here(range)))));
    };
    if let Some((problem, range)) = module.harm {
        return Err((problem, Some(here(range))));
    }
    module.surprises.extend(module.shadowed_entry(entry));
    module.surprises.sort_by_key(|(_, range)| range.start());
    let warnings = module.surprises.into_iter().map(|(surprise, range)| Warning { surprise, span: here(range) });
    Ok(Some(Found { entry, warnings: warnings.collect() }))
}

/// Whether bytes that cannot be parsed look as if they were meant as a plugin: a line that begins with an entry class; and
/// for a class with a common name its hook, unless the file is `declared` (see [`Intent`]).
#[must_use]
pub fn resembles_plugin(bytes: &[u8], declared: bool) -> bool {
    // Without its NUL bytes, UTF-16 reads like ASCII.
    let bytes: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    let lines = || bytes.split(|byte| matches!(byte, b'\n' | b'\r'));
    let names = |line: &[u8], name: &str| {
        let rest = line.strip_prefix(name.as_bytes());
        rest.is_some_and(|rest| rest.first().is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_'))
    };
    let defines = |hook: &str| {
        lines().map(<[u8]>::trim_ascii_start).any(|line| {
            let line = line.strip_prefix(b"async").unwrap_or(line).trim_ascii_start();
            line.strip_prefix(b"def ").is_some_and(|rest| names(rest.trim_ascii_start(), hook))
        })
    };
    let is_meant = |entry: &Entry| declared || hook(*entry).is_none_or(defines);
    let has_class =
        |entry: &Entry| lines().filter_map(|line| line.strip_prefix(b"class ")).any(|rest| names(rest, entry.class()));
    Entry::ALL.iter().any(|entry| has_class(entry) && is_meant(entry))
}

/// The method that tells an entry class with a common name from other classes of that name.
fn hook(entry: Entry) -> Option<&'static str> {
    match entry {
        Entry::Action => Some("action"),
        Entry::Event => Some("event"),
        Entry::Pipe | Entry::Filter | Entry::Tools => None,
    }
}

// --- Bindings ---------------------------------------------------------------------------------------------------------

/// How the module comes by a name, from what says least about the file to what says most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    /// From a library with an unrelated thing of that name, or from a neighbour, which the server does not have.
    Borrowed,
    /// The module makes it itself, but it may be an unrelated thing of that name: an `Event` without its hook.
    Namesake,
    /// From another module, as where a package holds the plugin.
    Imported,
    /// The module makes it itself.
    Defined,
}

/// The packages of Python's own library that have a `Pipe`, `Filter`, `Action` or `Event`.
const LIBRARIES: [&str; 8] =
    ["argparse", "asyncio", "logging", "multiprocessing", "sched", "threading", "tkinter", "tracemalloc"];

/// Judges `module` by its name, as an import or an attribute spells it.
fn origin(module: &str) -> Origin {
    let root = module.split('.').next().unwrap_or_default();
    // Open WebUI has models of these names, such as `open_webui.models.tools.Tools`.
    let library = LIBRARIES.contains(&root) || root == "open_webui" || normal::rewritten(module).is_some();
    if library { Origin::Borrowed } else { Origin::Imported }
}

/// What is known of a module after following the statements that load it.
#[derive(Default)]
struct Module<'a> {
    text: &'a str,
    /// The entry names that it ends up with, in the order of the server's precedence.
    bindings: BTreeMap<Entry, (Origin, TextRange)>,
    /// The names of its classes that have the hook of an entry, with that entry.
    hooked: BTreeSet<(String, Entry)>,
    pipeline: Option<TextRange>,
    /// The first thing that makes it unfit to be loaded.
    harm: Option<(Problem, TextRange)>,
    surprises: Vec<(Surprise, TextRange)>,
}

impl Module<'_> {
    /// The entry class that the server will take, where there is one.
    fn entry(&self, intent: Intent) -> Result<Option<Entry>, (Problem, TextRange)> {
        let least = if intent.declared { Origin::Namesake } else { Origin::Defined };
        // The first of a kind is what the server takes; the best is how sure we are that the file is of that kind.
        let candidate = |kind| {
            let of_kind = || self.bindings.iter().filter(|(entry, _)| entry.kind() == kind);
            let (first, (_, range)) = of_kind().next()?;
            let best = of_kind().map(|(_, (origin, _))| *origin).max()?;
            (best >= least).then_some((*first, best, *range))
        };
        match (candidate(Kind::Function), candidate(Kind::Tool)) {
            (None, None) => Ok(None),
            (Some((entry, ..)), None) | (None, Some((entry, ..))) => Ok(Some(entry)),
            // A function that imports another's `Tools` is a function still.
            (Some((function, its, _)), Some((tool, other, range))) => match (intent.kind, its.cmp(&other)) {
                (Some(Kind::Function), _) | (None, Ordering::Greater) => Ok(Some(function)),
                (Some(Kind::Tool), _) | (None, Ordering::Less) => Ok(Some(tool)),
                (None, Ordering::Equal) => Err((Problem::BothKinds(function), range)),
            },
        }
    }

    /// A chosen entry that the module imports, although it defines another: the import decides what the file is.
    fn shadowed_entry(&self, chosen: Entry) -> Option<(Surprise, TextRange)> {
        let (origin, range) = self.bindings.get(&chosen)?;
        let defines_another = self
            .bindings
            .iter()
            .any(|(entry, (origin, _))| entry.kind() == chosen.kind() && *origin == Origin::Defined);
        (matches!(origin, Origin::Borrowed | Origin::Imported) && defines_another)
            .then_some((Surprise::ImportedEntry(chosen), *range))
    }

    fn bind(&mut self, name: &str, origin: Origin, range: TextRange, place: Place) {
        if place.scope == Scope::Module
            && let Some(entry) = Entry::ALL.into_iter().find(|entry| entry.class() == name)
        {
            let may_be_unrelated = hook(entry).is_some() && !self.hooked.contains(&(name.to_owned(), entry));
            let origin = if may_be_unrelated { origin.min(Origin::Namesake) } else { origin };
            self.bindings.insert(entry, (origin, range));
        }
    }

    /// Remembers that the class of this name has a hook: one of its own, or that of a base or of what it is another name for.
    fn note_hooks(&mut self, name: &str, body: &[Stmt], bases: &[Expr]) {
        for (entry, hook) in Entry::ALL.into_iter().filter_map(|entry| Some((entry, hook(entry)?))) {
            let has_own =
                body.iter().any(|statement| match (statement.as_function_def_stmt(), statement.as_assign_stmt()) {
                    (Some(function), _) => function.name.as_str() == hook,
                    (_, Some(assign)) => names(&assign.targets).any(|target| target == hook),
                    (None, None) => false,
                });
            if has_own || names(bases).any(|base| self.hooked.contains(&(base.to_owned(), entry))) {
                self.hooked.insert((name.to_owned(), entry));
            }
        }
    }

    /// Binds what an assignment, a `for` or a `with` assigns to.
    fn assign(&mut self, target: &Expr, origin: Origin, place: Place) {
        if let Some(name) = target.as_name_expr() {
            self.bind(&name.id, origin, name.range, place);
        } else if let Some(starred) = target.as_starred_expr() {
            self.assign(&starred.value, origin, place);
        } else {
            for element in elements(target) {
                self.assign(element, origin, place);
            }
        }
    }

    fn delete(&mut self, target: &Expr, place: Place) {
        if let Some(name) = target.as_name_expr() {
            if place.scope == Scope::Module && place.certain {
                self.bindings.retain(|entry, _| entry.class() != name.id.as_str());
            }
        } else {
            for element in elements(target) {
                self.delete(element, place);
            }
        }
    }
}

/// Those of the expressions that are plain names.
fn names(expressions: &[Expr]) -> impl Iterator<Item = &str> {
    expressions.iter().filter_map(|expression| Some(expression.as_name_expr()?.id.as_str()))
}

/// The elements of a tuple or list display; none of any other expression.
fn elements(expr: &Expr) -> &[Expr] {
    expr.as_tuple_expr()
        .map(|tuple| &*tuple.elts)
        .or_else(|| expr.as_list_expr().map(|list| &*list.elts))
        .unwrap_or_default()
}

// --- The walk ---------------------------------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Module,
    /// Runs when the module is loaded, but its names are its own.
    Class,
    /// Runs when it is called, if ever.
    Function,
}

/// Where a statement stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    scope: Scope,
    /// Nothing decides whether it runs.
    certain: bool,
    /// An `ImportError` from here does not leave the module.
    catches_import: bool,
    /// A `SystemExit` from here does not leave the module.
    catches_exit: bool,
}

impl Place {
    const TOP: Self = Self { scope: Scope::Module, certain: true, catches_import: false, catches_exit: false };

    fn uncertain(self) -> Self {
        Self { certain: false, ..self }
    }

    /// The same place where exceptions of these classes are caught.
    fn catching<'a>(mut self, classes: impl IntoIterator<Item = &'a Expr>) -> Self {
        for class in classes {
            match UnqualifiedName::from_expr(class).as_ref().and_then(|name| name.segments().last().copied()) {
                Some("BaseException") => return self.catching_all(),
                Some("ImportError" | "Exception") => self.catches_import = true,
                Some("SystemExit") => self.catches_exit = true,
                Some(_) | None => self = self.catching(elements(class)),
            }
        }
        self
    }

    fn catching_all(self) -> Self {
        Self { catches_import: true, catches_exit: true, ..self }
    }
}

impl Module<'_> {
    fn block(&mut self, body: &[Stmt], place: Place) {
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
                    self.assign(target, value_origin(target, &assign.value), place);
                }
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    self.assign(&assign.target, value_origin(&assign.target, value), place);
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
            Stmt::Return(outside) => {
                // The parser leaves this one to the compiler, and the compiler runs on the server.
                if place.scope != Scope::Function {
                    self.harms(Problem::Syntax("`return` outside of a function".to_owned()), outside.range);
                }
            }
            Stmt::AugAssign(_)
            | Stmt::Assert(_)
            | Stmt::Global(_)
            | Stmt::Nonlocal(_)
            | Stmt::Pass(_)
            | Stmt::Break(_)
            | Stmt::Continue(_)
            | Stmt::IpyEscapeCommand(_) => {}
        }
    }

    fn import(&mut self, import: &StmtImport, place: Place) {
        for Alias { name, asname, range, .. } in &import.names {
            let bound =
                asname.as_ref().map_or_else(|| name.split('.').next().unwrap_or_default(), |name| name.as_str());
            self.bind(bound, origin(name), *range, place);
        }
    }

    fn import_from(&mut self, import: &StmtImportFrom, place: Place) {
        let relative = import.level > 0;
        if relative && place.scope != Scope::Function && !place.catches_import {
            self.harms(Problem::RelativeImport, import.range);
        }
        let origin = import.module.as_deref().filter(|_| !relative).map_or(Origin::Borrowed, origin);
        for Alias { name, asname, range, .. } in &import.names {
            self.bind(asname.as_ref().unwrap_or(name), origin, *range, place);
        }
        if let Some((surprise, range)) = self.broken_import(import) {
            self.surprises.push((surprise, range));
        }
    }

    /// An import that the server's rewriting turns into one of a module that cannot be: `from configparser`, as
    /// against `from config`. It goes by the text, so that two spaces after `from` are enough to escape it.
    fn broken_import(&self, import: &StmtImportFrom) -> Option<(Surprise, TextRange)> {
        let (module, range) = import.module.as_ref().map(|module| (module.as_str(), module.range))?;
        let before = self.text.get(..range.start().to_usize())?;
        let continues = normal::PACKAGES
            .iter()
            .filter_map(|package| module.strip_prefix(package))
            .any(|rest| rest.starts_with(is_xid_continue));
        let becomes = normal::rewritten(module).filter(|_| continues && before.ends_with("from "))?;
        Some((Surprise::BrokenImport { module: module.to_owned(), becomes }, range))
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
            self.harms(Problem::Exits(how.to_owned()), range);
        }
    }

    fn harms(&mut self, problem: Problem, range: TextRange) {
        self.harm.get_or_insert((problem, range));
    }
}

/// `Pipe = package.Pipe` is an import in other words; any other value makes something new.
fn value_origin(target: &Expr, value: &Expr) -> Origin {
    match (target.as_name_expr(), value.as_attribute_expr(), UnqualifiedName::from_expr(value)) {
        (Some(name), Some(attribute), Some(path)) if attribute.attr.id == name.id => origin(&path.to_string()),
        _ => Origin::Defined,
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
    class.as_name_expr().is_some_and(|name| name.id.as_str() == "SystemExit")
}

/// What a condition comes to on the server, where that is plain to see.
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
    name.as_name_expr().is_some_and(|name| name.id.as_str() == "__name__")
        && main.as_string_literal_expr().is_some_and(|main| main.value.to_str() == "__main__")
}

// --- Syntax -----------------------------------------------------------------------------------------------------------

/// Python's own limits, with room above where they differ between its versions or our count is generous. (In 28,000
/// files of Python's library and of popular packages it comes to 6,800 at most, and next to that to 1,600.) Within them
/// the syntax tree, which is taken down by recursion, fits on the stack of any thread.
const MAX_BRACKETS: usize = 200;
const MAX_INDENTS: usize = 100;
const MAX_DEPTH: usize = 8_000;

/// What Python says of more.
const TOO_MANY_BRACKETS: &str = "too many nested parentheses";
const TOO_MANY_INDENTS: &str = "too many levels of indentation";

/// What stands between two brackets, or in one statement, as far as [`nesting`] has come.
#[derive(Default)]
struct Level {
    /// How deep the current element can be by its own tokens: each operator, dot or call may add a layer.
    own: usize,
    /// How deep the deepest bracket in the current element is.
    inner: usize,
    /// How deep the deepest of the elements before is.
    before: usize,
    /// A `lambda` continues past a comma, and may hold another in a default.
    lambda: bool,
}

impl Level {
    fn element(&self) -> usize {
        self.own + self.inner
    }

    fn deepest(&self) -> usize {
        self.before.max(self.element())
    }
}

/// Parses a text that nests no deeper than Python accepts. Ruff's parser would accept more, by growing its stack, and then
/// leave a tree too deep to be dropped.
fn parsed(text: &str) -> Result<Parsed<ModModule>, (Problem, Option<Span>)> {
    let nested = |words: &str| (Problem::Syntax(words.to_owned()), None);
    // Few texts are so long that they have to be looked over before. Of the others the parser's own tokens tell enough.
    if may_be_too_deep(text) {
        nesting(lexed(text)).map_or(Ok(()), |words| Err(nested(words)))?;
    }
    match parse_module(text) {
        Ok(parsed) => match closed_nesting(parsed.tokens().iter().map(Token::kind)) {
            Some(words) => Err(nested(words)),
            None => Ok(parsed),
        },
        // What is nested without end is seldom closed.
        Err(error) => Err(nesting(lexed(text)).map_or_else(
            || {
                let words = sentence(&error.error.to_string());
                (Problem::Syntax(words), Some(Span::new(text, error.location.into())))
            },
            nested,
        )),
    }
}

/// Whether a text may be deeper than [`MAX_DEPTH`]: each layer takes a word, or a character that is in none. As soon as
/// enough of the others were seen, it is not.
fn may_be_too_deep(text: &str) -> bool {
    let mut before = false;
    let mut adds_none = |byte: u8| {
        let is_word = byte.is_ascii_alphanumeric() || byte == b'_';
        let continues = std::mem::replace(&mut before, is_word) && is_word;
        continues || byte.is_ascii_whitespace()
    };
    let enough = text.len().saturating_sub(MAX_DEPTH);
    text.bytes().filter(|byte| adds_none(*byte)).take(enough).count() < enough
}

/// What [`nesting`] says of the brackets and blocks of a text that parses, where all of them are closed. Tokens come in no
/// order that a processor could guess, so there is no branch.
fn closed_nesting(tokens: impl Iterator<Item = TokenKind>) -> Option<&'static str> {
    let (mut brackets, mut indents, mut most_brackets, mut most_indents) = (0_i32, 0_i32, 0, 0);
    for token in tokens {
        brackets += i32::from(matches!(token, TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace))
            - i32::from(matches!(token, TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace));
        indents += i32::from(token == TokenKind::Indent) - i32::from(token == TokenKind::Dedent);
        most_brackets = most_brackets.max(brackets);
        most_indents = most_indents.max(indents);
    }
    let beyond = |most: i32, limit: usize| usize::try_from(most).is_ok_and(|most| most > limit);
    if beyond(most_brackets, MAX_BRACKETS) {
        Some(TOO_MANY_BRACKETS)
    } else {
        beyond(most_indents, MAX_INDENTS).then_some(TOO_MANY_INDENTS)
    }
}

fn lexed(text: &str) -> impl Iterator<Item = TokenKind> {
    let mut lexer = lexer::lex(text, Mode::Module);
    std::iter::from_fn(move || Some(lexer.next_token()).filter(|kind| *kind != TokenKind::EndOfFile))
}

/// Looks over tokens for nesting that Python would not accept, and says so in Python's words.
#[expect(clippy::wildcard_enum_match_arm, reason = "all other tokens are equal here, whatever Python adds to them")]
fn nesting(tokens: impl Iterator<Item = TokenKind>) -> Option<&'static str> {
    let mut statement = Level::default();
    let mut brackets = Vec::<Level>::new();
    let mut indents = 0_usize;
    for token in tokens {
        let level = brackets.last_mut().unwrap_or(&mut statement);
        match token {
            TokenKind::Indent => indents += 1,
            TokenKind::Dedent => indents = indents.saturating_sub(1),
            TokenKind::Newline => {
                statement = Level::default();
                brackets.clear();
            }
            TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace => brackets.push(Level::default()),
            TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace => {
                if let Some(closed) = brackets.pop() {
                    let level = brackets.last_mut().unwrap_or(&mut statement);
                    level.own += 1;
                    level.inner = level.inner.max(closed.deepest());
                }
            }
            TokenKind::Comma if !level.lambda => *level = Level { before: level.deepest(), ..Level::default() },
            TokenKind::Lambda => {
                level.own += 1;
                level.lambda = true;
            }
            // However many of these stand in a row, they are neighbours and not layers.
            TokenKind::Name
            | TokenKind::Int
            | TokenKind::Float
            | TokenKind::Complex
            | TokenKind::String
            | TokenKind::FStringStart
            | TokenKind::FStringMiddle
            | TokenKind::FStringEnd
            | TokenKind::Comment
            | TokenKind::NonLogicalNewline
            | TokenKind::And
            | TokenKind::Or => {}
            _ => level.own += 1,
        }
        if brackets.len() > MAX_BRACKETS {
            return Some(TOO_MANY_BRACKETS);
        }
        if indents > MAX_INDENTS {
            return Some(TOO_MANY_INDENTS);
        }
        if statement.element() + brackets.iter().map(Level::element).sum::<usize>() > MAX_DEPTH {
            return Some("expression nested too deeply");
        }
    }
    None
}

/// The parser's words as a part of our sentence: they begin like one of their own.
fn sentence(words: &str) -> String {
    let mut rest = words.chars();
    match rest.next() {
        Some(first) if rest.clone().next().is_none_or(|second| !second.is_uppercase()) => {
            first.to_lowercase().chain(rest).collect()
        }
        Some(_) | None => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNDECLARED: Intent = Intent { declared: false, kind: None };
    const DECLARED: Intent = Intent { declared: true, kind: None };

    fn place(span: &Span) -> String {
        format!("{}:{}+{}", span.line, span.column, span.width)
    }

    /// `pipe`, with its warnings behind; `-` for no plugin; or the problem. Places are line:column+width.
    fn verdict(text: &str, intent: Intent) -> String {
        match read(text, intent) {
            Ok(None) => "-".to_owned(),
            Ok(Some(found)) => found.warnings.iter().fold(found.entry.word().to_owned(), |line, warning| {
                format!("{line}, {} {}", warning.surprise.word(), place(&warning.span))
            }),
            Err((problem, span)) => {
                let how = if let Problem::Exits(how) = &problem { format!(" {how}") } else { String::new() };
                format!("{}{how} {}", problem.word(), span.as_ref().map_or_else(|| "nowhere".to_owned(), place))
            }
        }
    }

    #[track_caller]
    fn check(intent: Intent, table: &[(&str, &str)]) {
        for (text, expected) in table {
            assert_eq!(verdict(text, intent), *expected, "\n{text}\n");
        }
    }

    #[test]
    fn a_class_of_the_right_name_makes_a_plugin() {
        check(
            UNDECLARED,
            &[
                ("class Pipe: pass", "pipe"),
                ("class Filter: pass", "filter"),
                ("class Action:\n    def action(self): pass", "action"),
                ("class Event:\n    async def event(self): pass", "event"),
                ("class Tools: pass", "tool"),
                ("class Pipe(Base, metaclass=M):\n    pass\n", "pipe"),
                ("@decorate\nclass Pipe: pass", "pipe"),
                ("class Pipe[T]: pass", "pipe"),
                ("class Ｐｉｐｅ: pass", "pipe"), // Python folds such letters in names.
                ("", "-"),
                ("# class Pipe:", "-"),
                ("'''\nclass Pipe:\n'''", "-"),
                ("class pipe: pass", "-"),
                ("class PIPE: pass", "-"),
                ("class Tool: pass", "-"),
                ("class Pipes: pass", "-"),
                ("class Outer:\n    class Pipe: pass", "-"),
                ("def make():\n    class Pipe: pass", "-"),
                ("def make():\n    global Pipe\n    class Pipe: pass", "-"),
                ("Pipe", "-"),
                ("Pipe()", "-"),
                ("print('Pipe')", "-"),
            ],
        );
    }

    #[test]
    fn an_event_or_action_needs_its_hook_or_a_declaration() {
        for (text, with_hook) in [
            ("class Event: pass", false),
            ("class Event(BaseModel):\n    name: str", false),
            ("class Event(Enum):\n    START = 1", false),
            ("class Event:\n    def events(self): pass", false),
            ("class Event:\n    def action(self): pass", false),
            ("class Event:\n    def f(self):\n        def event(self): pass", false),
            ("class Event: pass\ndef event(): pass", false),
            ("def Event(): pass", false),
            ("Event = namedtuple('Event', 'a b')", false),
            ("Other = Event = None", false),
            ("for Event in x: pass", false),
            ("class Event(Base): pass\nclass Base:\n    def event(self): pass", false),
            ("class Event:\n    def event(self): pass", true),
            ("class Event:\n    @staticmethod\n    async def event(event): pass", true),
            ("class Event:\n    event = handle", true),
            ("class Base:\n    def event(self): pass\nclass Event(Valves, Base): pass", true),
            ("class Mine:\n    def event(self): pass\nEvent = Mine", true),
            ("class Base:\n    def event(self): pass\nclass Mine(Base): pass\nEvent = Mine", true),
            ("if a:\n    class Event:\n        def event(self): pass", true),
        ] {
            assert_eq!(verdict(text, UNDECLARED), if with_hook { "event" } else { "-" }, "\n{text}\n");
            assert_eq!(verdict(text, DECLARED), "event", "\n{text}\n");
        }
        check(UNDECLARED, &[("class Action:\n    action = 1", "action"), ("class Action:\n    event = 1", "-")]);
        // A helper of that name does not change what the file is.
        let helper = "class Event: pass\n";
        for intent in [UNDECLARED, DECLARED] {
            check(
                intent,
                &[(&format!("{helper}class Tools: pass"), "tool"), (&format!("{helper}class Pipe: pass"), "pipe")],
            );
        }
        let both = "class Event:\n    event = 1\nclass Tools: pass";
        assert_eq!(verdict(both, UNDECLARED), "both_kinds 3:7+5");
        let kind = Intent { declared: true, kind: Some(Kind::Function) };
        assert_eq!(verdict(&format!("{helper}class Tools: pass"), kind), "event");
        assert_eq!(verdict(&format!("{helper}class Pipeline: pass"), UNDECLARED), "pipeline 2:7+8");
    }

    #[test]
    fn other_bindings_count_as_well() {
        check(
            UNDECLARED,
            &[
                ("Pipe = make()", "pipe"),
                ("Pipe = None", "pipe"), // The server will say what is wrong with it.
                ("Other = Pipe = make()", "pipe"),
                ("a, Pipe = make()", "pipe"),
                ("[a, [Pipe, b]] = make()", "pipe"),
                ("(a, *Pipe) = make()", "pipe"),
                ("Pipe: type = make()", "pipe"),
                ("Pipe: type", "-"),
                ("Pipe += make()", "-"),
                ("x.Pipe = make()", "-"),
                ("x['Pipe'] = make()", "-"),
                ("def Pipe(): return 1", "pipe"),
                ("async def Pipe(): return 1", "pipe"),
                ("type Pipe = int", "pipe"),
                ("for Pipe in pipes: pass", "pipe"),
                ("with make() as Pipe: pass", "pipe"),
                ("with a, make() as (b, Pipe): pass", "pipe"),
                ("class C:\n    Pipe = 1", "-"),
                ("def f():\n    Pipe = 1", "-"),
                ("lambda Pipe: 1", "-"),
                ("[Pipe for Pipe in x]", "-"),
            ],
        );
    }

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
    fn a_deleted_name_does_not_count() {
        check(
            UNDECLARED,
            &[
                ("class Pipe: pass\ndel Pipe", "-"),
                ("class Pipe: pass\ndel (a, [Pipe])", "-"),
                ("class Pipe: pass\ntry:\n    del Pipe\nexcept NameError: pass", "-"),
                ("class Pipe: pass\nclass Filter: pass\ndel Pipe", "filter"),
                ("class Pipe: pass\ndel Pipe\nclass Pipe: pass", "pipe"),
                ("class Pipe: pass\ndel Pipe.x", "pipe"),
                ("class Pipe: pass\nif a:\n    del Pipe", "pipe"), // Perhaps it is not.
                ("class Pipe: pass\ndef f():\n    del Pipe", "pipe"),
                ("class Pipe: pass\nclass C:\n    Pipe = 1\n    del Pipe", "pipe"),
            ],
        );
    }

    #[test]
    fn the_server_has_an_order_of_precedence() {
        check(
            UNDECLARED,
            &[
                ("class Filter: pass\nclass Pipe: pass", "pipe"),
                ("class Event:\n    event = 1\nclass Action:\n    action = 1", "action"),
                ("class Action: pass\nclass Filter: pass", "filter"),
                ("class Pipeline: pass\nclass Pipe: pass", "pipe"),
            ],
        );
    }

    #[test]
    fn of_both_kinds_one_is_chosen() {
        let both = "class Filter: pass\nclass Tools: pass\nclass Event: pass\n";
        assert_eq!(verdict(both, UNDECLARED), "both_kinds 2:7+5");
        assert_eq!(read(both, UNDECLARED).unwrap_err().0, Problem::BothKinds(Entry::Filter));
        assert_eq!(verdict(both, Intent { declared: true, kind: Some(Kind::Tool) }), "tool");
        assert_eq!(verdict(both, Intent { declared: true, kind: Some(Kind::Function) }), "filter");
        // A kind that the file does not have decides nothing.
        assert_eq!(verdict("class Pipe: pass", Intent { declared: true, kind: Some(Kind::Tool) }), "pipe");
        // What is defined here says more than what is imported.
        check(
            DECLARED,
            &[
                ("from open_webui.models.tools import Tools\nclass Pipe: pass", "pipe"),
                ("from apps.webui.models.tools import Tools\nclass Pipe: pass", "pipe"),
                ("from mine import Tools\nclass Pipe: pass", "pipe"),
                ("from mine import Pipe\nclass Tools: pass", "tool"),
                ("from asyncio import Event\nclass Tools: pass", "tool"),
                ("from mine import Pipe, Tools", "both_kinds 1:24+5"),
            ],
        );
        let text = "from mine import Tools\nclass Pipe: pass";
        assert_eq!(verdict(text, Intent { declared: true, kind: Some(Kind::Tool) }), "tool");
    }

    #[test]
    fn an_import_alone_makes_a_plugin_only_of_a_declared_one() {
        let table = [
            ("from mine.pipe import Pipe", "pipe"),
            ("from mine import Thing as Filter", "filter"),
            ("import mine.Pipe as Pipe", "pipe"),
            ("import Tools", "tool"),
            ("import mine\nPipe = mine.Pipe", "pipe"),
            ("try:\n    from mine import Pipe\nexcept ImportError:\n    raise", "pipe"),
        ];
        for (text, expected) in table {
            assert_eq!(verdict(text, DECLARED), expected, "\n{text}\n");
            assert_eq!(verdict(text, UNDECLARED), "-", "\n{text}\n");
        }
        for intent in [DECLARED, UNDECLARED] {
            check(
                intent,
                &[
                    ("from multiprocessing import Pipe", "-"),
                    ("from multiprocessing.connection import Pipe", "-"),
                    ("from threading import Event", "-"),
                    ("from asyncio import Event, Lock", "-"),
                    ("from asyncio.locks import Event", "-"),
                    ("from logging import Filter", "-"),
                    ("from argparse import Action", "-"),
                    ("Event = asyncio.Event", "-"),
                    ("from open_webui.models.tools import Tools", "-"),
                    ("from main import Pipe", "-"),
                    ("from .pipe import Pipe", "-"),
                    ("from . import Pipe", "-"),
                    ("from mine import Pipe as P", "-"),
                    ("from mine import *", "-"),
                    ("import mine.Pipe", "-"),
                    ("Pipe = make().Pipe", "pipe"),
                    ("Pipe = mine.Other", "pipe"),
                ],
            );
        }
    }

    #[test]
    fn an_imported_name_that_changes_the_type_surprises() {
        check(
            UNDECLARED,
            &[
                ("from multiprocessing import Lock, Pipe\nclass Filter: pass", "pipe, imported_entry 1:35+4"),
                ("from logging import Filter\nclass Action:\n    action = 1", "filter, imported_entry 1:21+6"),
                ("from mine import Thing as Pipe\nclass Event:\n    event = 1", "pipe, imported_entry 1:18+13"),
                ("import mine as Pipe\nclass Filter: pass", "pipe, imported_entry 1:8+12"),
                // It does not come first, or is gone by then.
                ("from asyncio import Event\nclass Filter: pass", "filter"),
                ("from multiprocessing import Pipe\nclass Pipe(Pipe): pass", "pipe"),
                ("from multiprocessing import Pipe as P\nclass Filter: pass", "filter"),
                ("from multiprocessing import Pipe\ndel Pipe\nclass Filter: pass", "filter"),
                ("def f():\n    from multiprocessing import Pipe\nclass Filter: pass", "filter"),
                ("from multiprocessing import Pipe\nclass Tools: pass", "tool"),
            ],
        );
        let found = read("from multiprocessing import Pipe\nclass Filter: pass", UNDECLARED).unwrap().unwrap();
        assert_eq!(found.warnings[0].surprise, Surprise::ImportedEntry(Entry::Pipe));
    }

    #[test]
    fn an_import_that_the_rewriting_breaks_surprises() {
        let in_plugin = |import: &str| verdict(&format!("class Pipe: pass\n{import}\n"), UNDECLARED);
        for (import, expected) in [
            ("from configparser import X", "pipe, broken_import 2:6+12"),
            ("from utils_extra.x import y", "pipe, broken_import 2:6+13"),
            ("from mainland import x", "pipe, broken_import 2:6+8"),
            ("from apps2 import x", "pipe, broken_import 2:6+5"),
            ("from configé import x", "pipe, broken_import 2:6+7"),
            ("def f():\n    from configparser import X", "pipe, broken_import 3:10+12"),
            ("try:\n    from configparser import X\nexcept ImportError: pass", "pipe, broken_import 3:10+12"),
            ("from utils import x", "pipe"),
            ("from utils.misc import x", "pipe"),
            ("from config import x", "pipe"),
            ("from  configparser import X", "pipe"),
            ("from\tconfigparser import X", "pipe"),
            ("import configparser", "pipe"),
            ("from my.configparser import X", "pipe"),
            ("# from configparser import X", "pipe"),
            ("x = 'from configparser import X'", "pipe"),
            ("if TYPE_CHECKING:\n    from configparser import X", "pipe"),
        ] {
            assert_eq!(in_plugin(import), expected, "\n{import}\n");
        }
        assert_eq!(verdict("from configparser import X", UNDECLARED), "-", "no plugin, no warning");
        let found = read("from configparser import X\nclass Pipe: pass", UNDECLARED).unwrap().unwrap();
        let (module, becomes) = ("configparser".to_owned(), "open_webui.configparser".to_owned());
        assert_eq!(found.warnings[0].surprise, Surprise::BrokenImport { module, becomes });
    }

    #[test]
    fn warnings_come_in_the_order_of_the_file() {
        check(
            UNDECLARED,
            &[(
                "from mainland import x\nfrom multiprocessing import Pipe\nclass Filter: pass\nfrom apps2 import y",
                "pipe, broken_import 1:6+8, imported_entry 2:29+4, broken_import 4:6+5",
            )],
        );
    }

    #[test]
    fn a_relative_import_on_loading_is_refused() {
        let in_plugin = |import: &str| verdict(&format!("class Pipe: pass\n{import}\n"), UNDECLARED);
        for (import, expected) in [
            ("from . import x", "relative_import 2:1+15"),
            ("from .x import y", "relative_import 2:1+16"),
            ("from ...x import *", "relative_import 2:1+18"),
            ("class C:\n    from . import x", "relative_import 3:5+15"),
            ("if a:\n    from . import x", "relative_import 3:5+15"),
            ("try:\n    from . import x\nfinally: pass", "relative_import 3:5+15"),
            ("try:\n    from . import x\nexcept ValueError: pass", "relative_import 3:5+15"),
            // A parent that is not known is no ModuleNotFoundError.
            ("try:\n    from . import x\nexcept ModuleNotFoundError: pass", "relative_import 3:5+15"),
            ("try:\n    import x\nexcept ImportError:\n    from . import x", "relative_import 5:5+15"),
            ("try:\n    pass\nexcept ImportError:\n    pass\nelse:\n    from . import x", "relative_import 7:5+15"),
            ("from . import (\n    x,\n)", "relative_import 2:1+15"),
            // Harmless.
            ("try:\n    from . import x\nexcept ImportError: pass", "pipe"),
            ("try:\n    from . import x\nexcept (KeyError, ImportError) as e: pass", "pipe"),
            ("try:\n    from . import x\nexcept KeyError: pass\nexcept Exception: pass", "pipe"),
            ("try:\n    from . import x\nexcept BaseException: pass", "pipe"),
            ("try:\n    from . import x\nexcept builtins.ImportError: pass", "pipe"),
            ("try:\n    from . import x\nexcept: pass", "pipe"),
            ("try:\n  try:\n    from . import x\n  finally: pass\nexcept ImportError: pass", "pipe"),
            ("with suppress(ImportError):\n    from . import x", "pipe"),
            ("with contextlib.suppress(KeyError, ImportError):\n    from . import x", "pipe"),
            ("if TYPE_CHECKING:\n    from . import x", "pipe"),
            ("if __name__ == '__main__':\n    from . import x", "pipe"),
            ("def f():\n    from . import x", "pipe"),
            ("class C:\n    def f(self):\n        from . import x", "pipe"),
        ] {
            assert_eq!(in_plugin(import), expected, "\n{import}\n");
        }
        assert_eq!(verdict("from . import x", UNDECLARED), "-", "a part of a package is its own business");
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
    fn the_first_harm_is_the_one_that_is_told() {
        check(
            UNDECLARED,
            &[
                ("class Pipe: pass\nfrom . import x\nexit()", "relative_import 2:1+15"),
                ("exit()\nclass Pipe: pass\nfrom . import x", "exits exit() 1:1+6"),
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

    #[test]
    fn invalid_python_is_refused_with_its_place() {
        check(
            UNDECLARED,
            &[
                ("class Pipe:\n    def f(self)\n        pass\n", "syntax 2:16+1"),
                ("x = = 1\n", "syntax 1:5+1"),
                ("é = 'ü' ü\n", "syntax 1:9+1"),
                ("print 'x'\n", "syntax 1:7+3"),
                ("\tx = '\n", "syntax 1:1+1"),
                // What is missing is missing behind the last character.
                ("def f(", "syntax 1:7+1"),
                ("def f(\n\n\n", "syntax 1:7+1"),
                ("class Pipe:\n", "syntax 1:12+1"),
                ("x = '''\nabc\n", "syntax 1:5+3"),
                ("class Pipe: pass\nreturn 1\n", "syntax 2:1+8"),
                ("class Pipe:\n    return 1\n", "syntax 2:5+8"),
                ("../elsewhere/pipe.py", "syntax 1:1+1"),
                ("<<<<<<< HEAD\nclass Pipe: pass\n", "syntax 1:1+2"),
            ],
        );
        let (problem, span) = read("if a\n    pass", UNDECLARED).unwrap_err();
        assert_eq!(problem, Problem::Syntax("expected `:`, found newline".to_owned()));
        assert_eq!(span.unwrap().source, "if a");
        let (problem, _) = read("f'{x'", UNDECLARED).unwrap_err();
        assert_eq!(problem, Problem::Syntax("f-string: expecting `}`".to_owned()));
    }

    /// Python of any version that a server may run is not for us to refuse.
    #[test]
    fn syntax_of_later_versions_is_left_to_the_server() {
        check(
            UNDECLARED,
            &[
                ("type X = int\nclass Pipe[T]: pass", "pipe"),
                ("x = f'{'a' + f'{1}'}'\nclass Pipe: pass", "pipe"),
                ("x = t'{1}'\nclass Pipe: pass", "pipe"),
                ("match = case = type = 1\nclass Pipe: pass", "pipe"),
            ],
        );
    }

    /// Text that nests `n` times, of `before…core…after`.
    fn nested(way: &str, n: usize) -> String {
        let parts: Vec<_> = way.split('…').collect();
        parts[0].repeat(n) + parts[1] + &parts[2].repeat(n)
    }

    const CHAINS: &[&str] =
        &["a+…a…", "a**…a…", "…a….a", "…a…()", "…a…[0]", "-…a…", "not …a…", "lambda: …a…", "1 if 1 else …1…"];

    fn chains(n: usize) -> Vec<String> {
        CHAINS.iter().map(|way| nested(way, n)).collect()
    }

    const BRACKETS: &[&str] = &["(…1…)", "[…1…]", "{1: …1…}", "f(…1…)", "a[…1…]", "-(…1…)", "f(a, b=…1…)", "[*a, …1…]"];

    fn brackets(n: usize) -> Vec<String> {
        BRACKETS.iter().map(|way| nested(way, n)).collect()
    }

    fn blocks(n: usize) -> Vec<String> {
        let line = |depth: usize, head: &str| format!("{}{head}\n", " ".repeat(depth));
        let heads = ["if 1:", "def f():", "class C:", "while 1:"];
        heads.map(|head| (0..n).map(|depth| line(depth, head)).collect::<String>() + &line(n, "pass")).into()
    }

    /// What is no Python at all, or not as often as that.
    const ODDITIES: &[&str] = &[
        "f(……",
        "……)",
        "(a, ……",
        "f'{…1…}'",
        "await …a…",
        "async …a…",
        "if a: …a…",
        "@…a…",
        "a := …a…",
        "*…a…",
        "x = yield …a…",
        "lambda a, b=lambda: 1, c=…a…: 1",
    ];

    fn oddities(n: usize) -> Vec<String> {
        ODDITIES.iter().map(|way| nested(way, n)).collect()
    }

    /// Runs on less than the 2 MiB that a thread gets, with the fat frames of a build without optimisation.
    #[track_caller]
    fn on_a_small_stack(check: impl FnOnce() + Send + 'static) {
        std::thread::Builder::new().stack_size(3 << 19).spawn(check).unwrap().join().unwrap();
    }

    #[test]
    fn nesting_without_end_is_a_syntax_error_and_no_crash() {
        on_a_small_stack(|| {
            for text in [chains(10_000), brackets(10_000), oddities(10_000), blocks(500)].concat() {
                assert!(verdict(&text, UNDECLARED).starts_with("syntax "), "{}…", &text[..40]);
            }
        });
        // The deepest that the parser gets to see.
        on_a_small_stack(|| {
            let unclosed = ["[……", "{……", "f(……", "a[……", "{1: ……", "lambda: [……", "f'{……", "[x for x in ……"];
            for way in [CHAINS, BRACKETS, &unclosed].concat() {
                let mut texts = (1..).map(|part| nested(way, MAX_DEPTH / part));
                let _verdict = verdict(&texts.find(|text| !may_be_too_deep(text)).unwrap(), UNDECLARED);
            }
        });
        let words = |text: &str| read(text, UNDECLARED).unwrap_err();
        let syntax = |words: &str| (Problem::Syntax(words.to_owned()), None);
        assert_eq!(words(&brackets(201)[0]), syntax("too many nested parentheses"));
        assert_eq!(words(&blocks(101)[0]), syntax("too many levels of indentation"));
        assert_eq!(words(&chains(8_001)[0]), syntax("expression nested too deeply"));
    }

    /// Python 3.11 and 3.12 take 200 brackets, 99 blocks, and chains of somewhat less than 3,000.
    #[test]
    fn nesting_within_pythons_limits_is_read() {
        on_a_small_stack(|| {
            for text in [brackets(100), blocks(99), chains(2_999), chains(1), brackets(1), blocks(1)].concat() {
                assert_eq!(verdict(&text, UNDECLARED), "-", "{}…", &text[..text.len().min(40)]);
            }
            // The deepest trees that are ever built must be taken down as well.
            for way in ["-…a…", "a+…a…", "…a….a", "…a…()", "not …a…"] {
                assert_eq!(verdict(&nested(way, MAX_DEPTH), UNDECLARED), "-", "{way}");
            }
            assert_eq!(verdict(&nested("-(…1…)", 200), UNDECLARED), "-");
        });
    }

    /// Long is not deep.
    #[test]
    fn length_is_no_nesting() {
        for text in [
            format!("x = [{}]", "-f(a.b) + 1, ".repeat(20_000)),
            format!("x = {{{}}}", "'key': ['a', {'b': 1}],\n".repeat(20_000)),
            format!("x = ({})", "'text'\n".repeat(20_000)),
            "x = a.b(c) + d\n".repeat(20_000),
            format!("x = {}True", "a or b and ".repeat(20_000)),
        ] {
            assert_eq!(verdict(&text, UNDECLARED), "-", "{}…", &text[..40]);
        }
    }

    /// Half-typed text is what a watcher reads all day.
    #[test]
    fn no_text_makes_it_panic() {
        let pieces = [
            "class Pipe",
            ":",
            "\n",
            "    ",
            "(",
            ")",
            "[",
            "{",
            "}",
            "'",
            "\"\"\"",
            "f'",
            "{",
            "!r",
            "=",
            "from ",
            ".",
            "import ",
            "x",
            "é",
            "🦀",
            "1",
            "if ",
            "else",
            "del ",
            "try",
            "except ",
            "with ",
            " as ",
            "match ",
            "case ",
            "lambda",
            "*",
            "@",
            "\\",
            "#",
            ",",
            "return ",
            "async ",
            "await ",
            "\t",
            "\u{c}",
            "type ",
            "$",
            "?",
        ];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..5_000 {
            let length = random.usize(..40);
            let text: String = (0..length).map(|_| pieces[random.usize(..pieces.len())]).collect();
            let _verdict = verdict(&text, DECLARED);
        }
    }

    #[test]
    fn bytes_that_are_no_text_can_resemble_a_plugin() {
        let utf16: Vec<u8> = "\u{feff}x\nclass Filter:".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (bytes, expected) in [
            (&b"caf\xe9\nclass Pipe:"[..], true),
            (b"caf\xe9\r\nclass Tools(Base):\r\n", true),
            (b"caf\xe9\rclass Event\r  async def event(", true),
            (b"caf\xe9\rclass Event", false),
            (b"caf\xe9\nclass Action:\n  def action_(", false),
            (&utf16, true),
            (b"caf\xe9\n class Pipe:", false),
            (b"caf\xe9\nclass Pipeline:", false),
            (b"caf\xe9\nclass Pipe_:", false),
            (b"caf\xe9\n# class Pipe:", false),
            (b"\xff\xd8\xff\xe0", false),
            (b"", false),
        ] {
            assert_eq!(resembles_plugin(bytes, false), expected, "{}", bytes.escape_ascii());
            let class = bytes.windows(6).any(|word| matches!(word, b" Event" | b"Action"));
            assert_eq!(resembles_plugin(bytes, true), expected || class, "{}", bytes.escape_ascii());
        }
    }
}
