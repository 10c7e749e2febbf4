//! Where a statement stands, and whether it is sure to run when the module is loaded.

use ruff_python_ast::Expr;
use ruff_python_ast::name::UnqualifiedName;

/// The scope whose names a statement binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Module,
    /// Runs when the module is loaded, but its names are its own.
    Class,
    /// Runs when it is called, if ever.
    Function,
}

/// Where a statement stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) scope: Scope,
    /// No condition decides whether it runs.
    pub(super) certain: bool,
    /// An `ImportError` from here does not leave the module.
    pub(super) catches_import: bool,
    /// A `SystemExit` from here does not leave the module.
    pub(super) catches_exit: bool,
}

impl Place {
    pub(super) const TOP: Self =
        Self { scope: Scope::Module, certain: true, catches_import: false, catches_exit: false };

    pub(super) fn uncertain(self) -> Self {
        Self { certain: false, ..self }
    }

    /// The same place where exceptions of these classes are caught.
    pub(super) fn catching<'a>(mut self, classes: impl IntoIterator<Item = &'a Expr>) -> Self {
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

    pub(super) fn catching_all(self) -> Self {
        Self { catches_import: true, catches_exit: true, ..self }
    }
}

/// The elements of a tuple or list display; none of any other expression.
pub(super) fn elements(expr: &Expr) -> &[Expr] {
    expr.as_tuple_expr()
        .map(|tuple| &*tuple.elts)
        .or_else(|| expr.as_list_expr().map(|list| &*list.elts))
        .unwrap_or_default()
}
