//! Finds the entry class: which of the names that the server looks for a module binds in the end.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use ruff_python_ast::{Expr, Stmt, StmtClassDef};
use ruff_text_size::TextRange;

use super::Intent;
use super::place::{Place, Scope, elements};
use crate::plugin::diagnostic::Rule;
use crate::plugin::kind::{Entry, Kind};

/// How the module binds a name, from the weakest evidence that the file is a plugin to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// Imported from a library with an unrelated class of that name, or from a neighbour, which the server does not
    /// have.
    Borrowed,
    /// Defined here, but perhaps an unrelated class of that name: an `Event` without its hook.
    Namesake,
    /// Imported from another module, such as a package that holds the plugin.
    Imported,
    /// Defined here.
    Defined,
}

/// The most errors, and the most warnings, that are reported of one file: each costs a look through its text, and a
/// notice.
const MOST_OF_A_SEVERITY: usize = 50;

/// What the statements that run on loading tell of a module.
#[derive(Default)]
pub(super) struct Module<'a> {
    pub(super) text: &'a str,
    /// The entry names that it binds in the end, in the server's order of precedence.
    bindings: BTreeMap<Entry, (Origin, TextRange)>,
    /// The names of its classes that have the hook of an entry, with that entry.
    hooked: BTreeSet<(String, Entry)>,
    /// The names of its classes whose instances cannot be called, as far as the file tells.
    pub(super) plain_classes: BTreeSet<String>,
    pub(super) pipeline: Option<TextRange>,
    found: Vec<(Rule, TextRange)>,
}

impl<'a> Module<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, ..Self::default() }
    }

    /// The entry class that the server will take, if any, and the diagnostics, from the top of the file to its end.
    pub(super) fn finish(mut self, intent: Intent) -> (Option<Entry>, Vec<(Rule, TextRange)>) {
        let entry = match self.entry(intent) {
            Ok(Some(entry)) => {
                self.report_shadowed(entry);
                Some(entry)
            }
            // A file that is not a plugin gets no diagnostics, except that it is a pipeline.
            Ok(None) => return (None, self.pipeline.map(|range| (Rule::Pipeline, range)).into_iter().collect()),
            Err((function, range)) => {
                self.report(Rule::BothKinds(function), range);
                None
            }
        };
        self.found.sort_by_key(|(_, range)| range.start());
        (entry, self.found)
    }

    pub(super) fn report(&mut self, rule: Rule, range: TextRange) {
        let severity = rule.severity();
        if self.found.iter().filter(|(rule, _)| rule.severity() == severity).count() < MOST_OF_A_SEVERITY {
            self.found.push((rule, range));
        }
    }

    /// The entry class that the server will take. If the evidence for both kinds is equal, an error: the function's
    /// class, and the place of the tool's.
    fn entry(&self, intent: Intent) -> Result<Option<Entry>, (Entry, TextRange)> {
        let least = if intent.declared { Origin::Namesake } else { Origin::Defined };
        // The server takes the first of a kind; `best` is the strongest evidence that the file is of that kind.
        let candidate = |kind| {
            let of_kind = || self.bindings.iter().filter(|(entry, _)| entry.kind() == kind);
            let (first, (_, range)) = of_kind().next()?;
            let best = of_kind().map(|(_, (origin, _))| *origin).max()?;
            (best >= least).then_some((*first, best, *range))
        };
        match (candidate(Kind::Function), candidate(Kind::Tool)) {
            (None, None) => Ok(None),
            (Some((entry, ..)), None) | (None, Some((entry, ..))) => Ok(Some(entry)),
            // A function that imports `Tools` from elsewhere is still a function.
            (Some((function, its, _)), Some((tool, other, range))) => match (intent.kind, its.cmp(&other)) {
                (Some(Kind::Function), _) | (None, Ordering::Greater) => Ok(Some(function)),
                (Some(Kind::Tool), _) | (None, Ordering::Less) => Ok(Some(tool)),
                (None, Ordering::Equal) => Err((function, range)),
            },
        }
    }

    /// Reports an entry name that the module imports although it defines another: the import decides the type of the
    /// file.
    fn report_shadowed(&mut self, chosen: Entry) {
        let mut of_kind = self.bindings.iter().filter(|(entry, _)| entry.kind() == chosen.kind());
        let defines_another = of_kind.any(|(_, (origin, _))| *origin == Origin::Defined);
        if let Some(&(Origin::Borrowed | Origin::Imported, range)) = self.bindings.get(&chosen)
            && defines_another
        {
            self.report(Rule::ImportedEntry(chosen), range);
        }
    }

    pub(super) fn bind(&mut self, name: &str, origin: Origin, range: TextRange, place: Place) {
        if place.scope == Scope::Module
            && let Some(entry) = Entry::ALL.into_iter().find(|entry| entry.class() == name)
        {
            let may_be_unrelated = entry.mark().is_some() && !self.hooked.contains(&(name.to_owned(), entry));
            let origin = if may_be_unrelated { origin.min(Origin::Namesake) } else { origin };
            self.bindings.insert(entry, (origin, range));
        }
    }

    /// Records a class without a base, a metaclass, a decorator, a `__call__`, or an assignment that may bind one.
    pub(super) fn note_plain(&mut self, class: &StmtClassDef, place: Place) {
        let is_call = |stmt: &Stmt| stmt.as_function_def_stmt().is_some_and(|it| it.name.as_str() == "__call__");
        let is_plain = place.scope == Scope::Module
            && class.arguments.is_none()
            && class.decorator_list.is_empty()
            && class.body.iter().all(|stmt| !is_call(stmt) && !matches!(stmt, Stmt::Assign(_)));
        if is_plain {
            self.plain_classes.insert(class.name.to_string());
        }
    }

    /// Records that the class of this name has a hook: its own, or that of a base or of the class that the name stands
    /// for.
    pub(super) fn note_hooks(&mut self, name: &str, body: &[Stmt], bases: &[Expr]) {
        for (entry, hook) in Entry::ALL.into_iter().filter_map(|entry| Some((entry, entry.mark()?))) {
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

    /// Binds the targets of an assignment, a `for` or a `with`.
    pub(super) fn assign(&mut self, target: &Expr, origin: Origin, place: Place) {
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

    pub(super) fn delete(&mut self, target: &Expr, place: Place) {
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

/// The plain names among the expressions.
pub(super) fn names(expressions: &[Expr]) -> impl Iterator<Item = &str> {
    expressions.iter().filter_map(|expression| Some(expression.as_name_expr()?.id.as_str()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DECLARED, UNDECLARED, check, diagnostic, verdict};
    use super::*;

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
        assert_eq!(verdict(both, UNDECLARED), "both-kinds 3:7+5");
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
                ("class Make: pass\nPipe = Make()", "-"),
                ("class Make: pass\nPipe: Make = Make()", "-"),
                ("class Make:\n    def __call__(self): return self\nPipe = Make()", "pipe"),
                ("class Make(Base): pass\nPipe = Make()", "pipe"),
                ("class Make: pass\nPipe = Make", "pipe"),
                ("if TYPE_CHECKING:\n    from mine import Pipe\nelse:\n    Pipe = Any", "-"),
                ("Pipe = typing.Any", "-"),
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
        assert_eq!(verdict(both, UNDECLARED), "both-kinds 2:7+5");
        assert_eq!(diagnostic(both).rule, Rule::BothKinds(Entry::Filter));
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
                ("from mine import Pipe, Tools", "both-kinds 1:24+5"),
            ],
        );
        let text = "from mine import Tools\nclass Pipe: pass";
        assert_eq!(verdict(text, Intent { declared: true, kind: Some(Kind::Tool) }), "tool");
    }
}
