//! Checks `global` and `nonlocal`: whether they come before each use of the name, and whether a `nonlocal` name exists.
//! This follows the symbol table of `CPython`.

use ruff_python_ast::Identifier;
use ruff_text_size::{Ranged as _, TextRange};
use rustc_hash::FxHashMap as HashMap;

use super::Scope;

/// How a scope has used a name so far.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Use(u8);

impl Use {
    pub(super) const PARAMETER: Self = Self(1);
    pub(super) const BOUND: Self = Self(2);
    pub(super) const READ: Self = Self(4);
    pub(super) const IMPORTED: Self = Self(8);
    pub(super) const GLOBAL: Self = Self(16);
    pub(super) const NONLOCAL: Self = Self(32);
    const ANNOTATED: Self = Self(64);

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

struct Block<'a> {
    scope: Scope<'a>,
    uses: HashMap<&'a str, Use>,
    /// The `nonlocal` names of inner scopes that are not resolved yet.
    wanted: Vec<(&'a str, TextRange)>,
    /// The `nonlocal` names of this scope.
    nonlocal: Vec<(&'a str, TextRange)>,
}

impl Block<'_> {
    fn of(scope: Scope<'_>) -> Block<'_> {
        Block { scope, uses: HashMap::default(), wanted: Vec::new(), nonlocal: Vec::new() }
    }
}

/// The names of the scopes around a node.
pub(super) struct Names<'a> {
    blocks: Vec<Block<'a>>,
    errors: Vec<(String, TextRange)>,
}

impl Default for Names<'_> {
    fn default() -> Self {
        Self { blocks: vec![Block::of(Scope::Module)], errors: Vec::new() }
    }
}

impl<'a> Names<'a> {
    /// The errors, with those of the module's own scope.
    pub(super) fn finish(mut self) -> Vec<(String, TextRange)> {
        self.leave();
        self.errors
    }

    pub(super) fn enter(&mut self, scope: Scope<'a>) {
        self.blocks.push(Block::of(scope));
    }

    pub(super) fn leave(&mut self) {
        let Some(block) = self.blocks.pop() else { return };
        let mut wanted = block.nonlocal;
        for (name, range) in block.wanted {
            let known = block.uses.get(name).copied().unwrap_or_default();
            let is_bound = known.has(Use::PARAMETER.and(Use::BOUND).and(Use::IMPORTED));
            match block.scope {
                Scope::Function(_) if known.has(Use::GLOBAL) => self.unbound(name, range),
                Scope::Function(_) if known.has(Use::NONLOCAL) || is_bound => {}
                Scope::Class if name == "__class__" => {}
                Scope::Module => self.unbound(name, range),
                Scope::Function(_) | Scope::Class | Scope::Lambda | Scope::Comprehension { .. } => {
                    wanted.push((name, range));
                }
            }
        }
        if let Some(around) = self.blocks.last_mut() {
            around.wanted.append(&mut wanted);
        }
    }

    fn unbound(&mut self, name: &str, range: TextRange) {
        self.errors.push((format!("`nonlocal {name}`: no enclosing function binds `{name}`"), range));
    }

    pub(super) fn note(&mut self, name: &'a str, how: Use) {
        if let Some(block) = self.blocks.last_mut() {
            let known = block.uses.entry(name).or_default();
            *known = known.and(how);
        }
    }

    /// Binds a name in the scope around all comprehensions.
    pub(super) fn bind_around(&mut self, name: &'a str) {
        let mut around = self.blocks.iter_mut().rev();
        if let Some(block) = around.find(|block| !matches!(block.scope, Scope::Comprehension { .. })) {
            let known = block.uses.entry(name).or_default();
            *known = known.and(Use::BOUND);
        }
    }

    fn known(&self, name: &str) -> Use {
        self.blocks.last().and_then(|block| block.uses.get(name)).copied().unwrap_or_default()
    }

    /// A `name: type`, with or without a value.
    pub(super) fn annotate(&mut self, name: &'a str, range: TextRange) {
        let known = self.known(name);
        if known.has(Use::GLOBAL.and(Use::NONLOCAL)) && self.blocks.len() > 1 {
            let word = if known.has(Use::GLOBAL) { "global" } else { "nonlocal" };
            self.errors.push((format!("annotated name `{name}` can't be {word}"), range));
        }
        self.note(name, Use::ANNOTATED.and(Use::BOUND));
    }

    /// A `global name` or `nonlocal name`. The parser's checker reports those of parameters, and at module level.
    pub(super) fn declare(&mut self, name: &'a Identifier, how: Use) {
        let word = if how == Use::GLOBAL { "global" } else { "nonlocal" };
        let known = self.known(name).and(how);
        let words = if known.has(Use::PARAMETER) {
            None
        } else if known.has(Use::READ) {
            Some(format!("name `{name}` is used before its `{word}` declaration"))
        } else if known.has(Use::ANNOTATED) {
            Some(format!("annotated name `{name}` can't be {word}"))
        } else if known.has(Use::BOUND) {
            Some(format!("name `{name}` is assigned to before its `{word}` declaration"))
        } else {
            (known.has(Use::GLOBAL) && known.has(Use::NONLOCAL))
                .then(|| format!("name `{name}` is nonlocal and global"))
        };
        self.errors.extend(words.map(|words| (words, name.range())));
        if how == Use::NONLOCAL
            && !known.has(Use::PARAMETER)
            && let Some(block) = self.blocks.last_mut().filter(|block| !matches!(block.scope, Scope::Module))
        {
            block.nonlocal.push((name.as_str(), name.range()));
        }
        self.note(name, how);
    }
}
