//! Imports: the names that they bind, and how the server rewrites them.

use ruff_python_ast::name::UnqualifiedName;
use ruff_python_ast::{Alias, Expr, StmtImport, StmtImportFrom};
use ruff_text_size::TextRange;
use unicode_ident::is_xid_continue;

use super::entry::{Module, Origin};
use super::place::{Place, Scope};
use crate::plugin::diagnostic::Rule;
use crate::plugin::normal;

/// The packages of Python's own library that have a `Pipe`, `Filter`, `Action` or `Event`.
const LIBRARIES: [&str; 8] =
    ["argparse", "asyncio", "logging", "multiprocessing", "sched", "threading", "tkinter", "tracemalloc"];

/// Classifies a module by its dotted name, as an import or an attribute spells it.
pub(super) fn origin(module: &str) -> Origin {
    let root = module.split('.').next().unwrap_or_default();
    // Open WebUI has models of these names, such as `open_webui.models.tools.Tools`.
    let library = LIBRARIES.contains(&root) || root == "open_webui" || normal::rewritten(module).is_some();
    if library { Origin::Borrowed } else { Origin::Imported }
}

impl Module<'_> {
    /// How a value defines a name. `Pipe = package.Pipe` is an import in other words. `Pipe = Any` is for type
    /// checkers, and `Tools = ToolsTable()` is not a class: the server could not make an instance of either. Any other
    /// value defines something new.
    pub(super) fn value_origin(&self, target: &Expr, value: &Expr) -> Origin {
        let instance_of = value.as_call_expr().and_then(|call| call.func.as_name_expr());
        if instance_of.is_some_and(|class| self.plain_classes.contains(class.id.as_str())) {
            return Origin::Namesake;
        }
        let path = UnqualifiedName::from_expr(value);
        match (target.as_name_expr(), value.as_attribute_expr(), path) {
            (Some(name), Some(attribute), Some(path)) if attribute.attr.id == name.id => origin(&path.to_string()),
            (_, _, Some(path)) if path.segments().last() == Some(&"Any") => Origin::Namesake,
            _ => Origin::Defined,
        }
    }

    pub(super) fn import(&mut self, import: &StmtImport, place: Place) {
        for Alias { name, asname, range, .. } in &import.names {
            let bound =
                asname.as_ref().map_or_else(|| name.split('.').next().unwrap_or_default(), |name| name.as_str());
            self.bind(bound, origin(name), *range, place);
        }
    }

    pub(super) fn import_from(&mut self, import: &StmtImportFrom, place: Place) {
        let relative = import.level > 0;
        if relative && place.scope != Scope::Function && !place.catches_import {
            self.report(Rule::RelativeImport, import.range);
        }
        let origin = import.module.as_deref().filter(|_| !relative).map_or(Origin::Borrowed, origin);
        for Alias { name, asname, range, .. } in &import.names {
            self.bind(asname.as_ref().unwrap_or(name), origin, *range, place);
        }
        if let Some((rule, range)) = self.broken_import(import) {
            self.report(rule, range);
        }
    }

    /// An import that the server rewrites to a module that does not exist: `from configparser`, unlike `from config`.
    /// The server goes by the text, so two spaces after `from` avoid it.
    fn broken_import(&self, import: &StmtImportFrom) -> Option<(Rule, TextRange)> {
        let (module, range) = import.module.as_ref().map(|module| (module.as_str(), module.range))?;
        let before = self.text.get(..range.start().to_usize())?;
        let continues = normal::PACKAGES
            .iter()
            .filter_map(|package| module.strip_prefix(package))
            .any(|rest| rest.starts_with(is_xid_continue));
        let becomes = normal::rewritten(module).filter(|_| continues && before.ends_with("from "))?;
        Some((Rule::BrokenImport { module: module.to_owned(), becomes }, range))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DECLARED, UNDECLARED, check, diagnostic, verdict};
    use super::*;
    use crate::plugin::kind::Entry;

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
                ("from multiprocessing import Lock, Pipe\nclass Filter: pass", "pipe, imported-entry 1:35+4"),
                ("from logging import Filter\nclass Action:\n    action = 1", "filter, imported-entry 1:21+6"),
                ("from mine import Thing as Pipe\nclass Event:\n    event = 1", "pipe, imported-entry 1:18+13"),
                ("import mine as Pipe\nclass Filter: pass", "pipe, imported-entry 1:8+12"),
                // It does not come first, or is gone by then.
                ("from asyncio import Event\nclass Filter: pass", "filter"),
                ("from multiprocessing import Pipe\nclass Pipe(Pipe): pass", "pipe"),
                ("from multiprocessing import Pipe as P\nclass Filter: pass", "filter"),
                ("from multiprocessing import Pipe\ndel Pipe\nclass Filter: pass", "filter"),
                ("def f():\n    from multiprocessing import Pipe\nclass Filter: pass", "filter"),
                ("from multiprocessing import Pipe\nclass Tools: pass", "tool"),
            ],
        );
        let found = diagnostic("from multiprocessing import Pipe\nclass Filter: pass");
        assert_eq!(found.rule, Rule::ImportedEntry(Entry::Pipe));
    }

    #[test]
    fn an_import_that_the_rewriting_breaks_surprises() {
        let in_plugin = |import: &str| verdict(&format!("class Pipe: pass\n{import}\n"), UNDECLARED);
        for (import, expected) in [
            ("from configparser import X", "pipe, broken-import 2:6+12"),
            ("from utils_extra.x import y", "pipe, broken-import 2:6+13"),
            ("from mainland import x", "pipe, broken-import 2:6+8"),
            ("from apps2 import x", "pipe, broken-import 2:6+5"),
            ("from configé import x", "pipe, broken-import 2:6+7"),
            ("def f():\n    from configparser import X", "pipe, broken-import 3:10+12"),
            ("try:\n    from configparser import X\nexcept ImportError: pass", "pipe, broken-import 3:10+12"),
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
        let found = diagnostic("from configparser import X\nclass Pipe: pass");
        let (module, becomes) = ("configparser".to_owned(), "open_webui.configparser".to_owned());
        assert_eq!(found.rule, Rule::BrokenImport { module, becomes });
    }

    #[test]
    fn warnings_come_in_the_order_of_the_file() {
        check(
            UNDECLARED,
            &[(
                "from mainland import x\nfrom multiprocessing import Pipe\nclass Filter: pass\nfrom apps2 import y",
                "pipe, broken-import 1:6+8, imported-entry 2:29+4, broken-import 4:6+5",
            )],
        );
    }

    #[test]
    fn a_relative_import_on_loading_is_refused() {
        let in_plugin = |import: &str| verdict(&format!("class Pipe: pass\n{import}\n"), UNDECLARED);
        for (import, expected) in [
            ("from . import x", "relative-import 2:1+15"),
            ("from .x import y", "relative-import 2:1+16"),
            ("from ...x import *", "relative-import 2:1+18"),
            ("class C:\n    from . import x", "relative-import 3:5+15"),
            ("if a:\n    from . import x", "relative-import 3:5+15"),
            ("try:\n    from . import x\nfinally: pass", "relative-import 3:5+15"),
            ("try:\n    from . import x\nexcept ValueError: pass", "relative-import 3:5+15"),
            // A relative import without a parent package raises `ImportError`, not `ModuleNotFoundError`.
            ("try:\n    from . import x\nexcept ModuleNotFoundError: pass", "relative-import 3:5+15"),
            ("try:\n    import x\nexcept ImportError:\n    from . import x", "relative-import 5:5+15"),
            ("try:\n    pass\nexcept ImportError:\n    pass\nelse:\n    from . import x", "relative-import 7:5+15"),
            ("from . import (\n    x,\n)", "relative-import 2:1+15"),
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
}
