//! Which function each line of a text belongs to. Tracebacks name both.

use ruff_python_ast::Stmt;
use ruff_python_ast::statement_visitor::{StatementVisitor, walk_stmt};
use ruff_text_size::{Ranged as _, TextRange};

use super::syntax;

/// The functions of a text, outer ones before the inner ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Functions(Vec<Function>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Function {
    name: String,
    first: usize,
    last: usize,
}

impl Functions {
    /// The functions of a text that parses.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let parsed = syntax::parsed(text).ok()?;
        let mut finder = Finder { line_ends: text.match_indices('\n').map(|(at, _)| at).collect(), found: Vec::new() };
        finder.visit_body(parsed.suite());
        Some(Self(finder.found))
    }

    /// Whether the innermost function around this line has this name.
    #[must_use]
    pub fn has(&self, name: &str, line: usize) -> bool {
        let mut around = self.0.iter().filter(|function| (function.first..=function.last).contains(&line));
        around.next_back().is_some_and(|function| function.name == name)
    }
}

struct Finder {
    line_ends: Vec<usize>,
    found: Vec<Function>,
}

impl Finder {
    fn lines(&self, range: TextRange) -> (usize, usize) {
        let line = |offset: usize| self.line_ends.partition_point(|end| *end < offset) + 1;
        (line(range.start().into()), line(usize::from(range.end()).saturating_sub(1)))
    }
}

impl<'a> StatementVisitor<'a> for Finder {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        if let Stmt::FunctionDef(function) = statement {
            let (first, last) = self.lines(function.range());
            self.found.push(Function { name: function.name.to_string(), first, last });
        }
        walk_stmt(self, statement);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_belongs_to_the_innermost_function() {
        let text = "x = 1\nclass A:\n    def one(self):\n        def two():\n            é\n        return two\n\n    \
                    async def three(self):\n        if x:\n            pass\ndef four(): pass";
        let functions = Functions::of(text).unwrap();
        let names = ["one", "two", "three", "four"];
        let lines = (1..=12).map(|line| names.iter().find(|name| functions.has(name, line)).copied().unwrap_or("-"));
        let expected = ["-", "-", "one", "two", "two", "one", "-", "three", "three", "three", "four", "-"];
        assert_eq!(lines.collect::<Vec<_>>(), expected);
        assert_eq!(Functions::of("def"), None);
    }
}
