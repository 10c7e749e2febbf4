//! Whether a fixed text has the tree of the old one apart from the fix: walks both side by side, node by node.

use std::ops::Range;

use ruff_python_ast::visitor::source_order::{SourceOrderVisitor, TraversalSignal};
use ruff_python_ast::{AnyNodeRef, ModModule, NodeKind};
use ruff_text_size::Ranged as _;

use super::semantics::DEEPEST;

/// One change of the text: a range of the old one, and how many bytes replace it.
pub(super) type Edit = (Range<usize>, usize);

/// Whether the new tree has every node of the old one, in the same order and place, and otherwise only nodes from the
/// edits, which are sorted: an `await` that begins in an edit, a call around an old node, and nodes inside an edit.
pub(super) fn is_same(old: &ModModule, new: &ModModule, edits: &[Edit]) -> bool {
    let (old, new) = (Nodes::of(old), Nodes::of(new));
    let mut rest = new.iter();
    for (kind, range) in &old {
        let starts = places(range.start, edits);
        let ends = places(range.end, edits);
        let is_it = |(new_kind, new): &(NodeKind, Range<usize>)| {
            new_kind == kind && starts.contains(&new.start) && ends.contains(&new.end)
        };
        loop {
            match rest.next() {
                Some(node) if is_around(node, edits) => {}
                Some(node) if is_it(node) => break,
                Some(node) if is_brought(node, edits) => {}
                Some(_) | None => return false,
            }
        }
    }
    rest.all(|node| is_brought(node, edits) || is_around(node, edits))
}

/// Whether a node of the new tree comes from an edit.
fn is_brought((kind, range): &(NodeKind, Range<usize>), edits: &[Edit]) -> bool {
    let begins_node = matches!(kind, NodeKind::ExprAwait | NodeKind::Keyword);
    brought(edits).any(|new| new.contains(&range.start) && (range.end <= new.end || begins_node))
}

/// Whether a node of the new tree is a call that begins in one edit and ends in another, and so wraps an old node.
fn is_around((kind, range): &(NodeKind, Range<usize>), edits: &[Edit]) -> bool {
    matches!(kind, NodeKind::ExprCall | NodeKind::Arguments)
        && brought(edits).any(|new| new.contains(&range.start) && range.end > new.end)
        && brought(edits).any(|new| new.start < range.end && range.end <= new.end && range.start < new.start)
}

/// The ranges of the edits in the new text.
fn brought(edits: &[Edit]) -> impl Iterator<Item = Range<usize>> {
    let mut shift = 0_isize;
    edits.iter().map(move |(old, length)| {
        let start = old.start.saturating_add_signed(shift);
        shift += length.cast_signed() - old.len().cast_signed();
        start..start + length
    })
}

/// The possible places of an old offset in the new text: before or behind text inserted there.
fn places(old: usize, edits: &[Edit]) -> std::ops::RangeInclusive<usize> {
    let mut shift = 0_isize;
    let mut inserted = 0;
    for (range, length) in edits {
        if range.is_empty() && range.start == old {
            inserted += length;
        } else if range.end <= old {
            shift += length.cast_signed() - range.len().cast_signed();
        } else if range.start < old {
            let start = range.start.saturating_add_signed(shift);
            return start..=start + length;
        }
    }
    let at = old.saturating_add_signed(shift);
    at..=at + inserted
}

/// The nodes of a tree, in the order of the text.
struct Nodes {
    found: Vec<(NodeKind, Range<usize>)>,
    depth: u32,
}

impl Nodes {
    fn of(module: &ModModule) -> Vec<(NodeKind, Range<usize>)> {
        let mut nodes = Self { found: Vec::new(), depth: 0 };
        nodes.visit_body(&module.body);
        nodes.found
    }
}

impl<'a> SourceOrderVisitor<'a> for Nodes {
    fn enter_node(&mut self, node: AnyNodeRef<'a>) -> TraversalSignal {
        self.found.push((node.kind(), node.range().into()));
        self.depth += 1;
        // Deeper nodes are not compared. If only one tree reaches this depth, the fix is refused.
        if self.depth > DEEPEST { TraversalSignal::Skip } else { TraversalSignal::Traverse }
    }

    fn leave_node(&mut self, _: AnyNodeRef<'a>) {
        self.depth -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::python;

    #[track_caller]
    fn same(old: &str, new: &str, edits: &[Edit]) -> bool {
        let [old, new] = [old, new].map(|text| python::tree(text).unwrap());
        is_same(old.syntax(), new.syntax(), edits)
    }

    #[test]
    fn only_what_the_edits_bring_may_differ() {
        for (old, new, edits, expected) in [
            ("a = f(1)\n", "a = await f(1)\n", &[(4..4, 6)][..], true),
            ("a = f(1).x\n", "a = (await f(1)).x\n", &[(4..4, 7), (8..8, 1)], true),
            ("a = f(1).x\n", "a = await f(1).x\n", &[(4..4, 6)], true),
            ("f()\ng()\n", "await f()\nawait g()\n", &[(0..0, 6), (4..4, 6)], true),
            ("f(a=1)\n", "f(a=1, b={'c': 2})\n", &[(5..5, 12)], true),
            ("'''\na: 1\n'''\n", "'''\nbb: 1\n'''\n", &[(4..5, 2)], true),
            ("a = ''\n", "a = f(b='', c=1)\n", &[(4..4, 4), (6..6, 6)], true),
            ("a = g(1)\n", "a = f(b=g(1), c=1)\n", &[(4..4, 4), (8..8, 6)], true),
            ("a = 1\n", "a = 1\n", &[], true),
            // More than the edits changed.
            ("a = f(1)\nb\n", "a = await f(1)\nb.c\n", &[(4..4, 6)], false),
            ("a = f(1)\nb\n", "a = await f(1)\n", &[(4..4, 6)], false),
            ("a = f(1)\n", "a = await f(1)\nb\n", &[(4..4, 6)], false),
            ("a = ''\nb\n", "a = f(b='', c=1)\nb()\n", &[(4..4, 4), (6..6, 6)], false),
            ("a = ''\nb\n", "f(a = '')\nb\n", &[(0..0, 2)], false),
            ("a ** f(1)\n", "await a ** f(1)\n", &[(5..5, 6)], false),
            ("a = 1 + 2\n", "a = 1 * (2)\n", &[], false),
            ("if a:\n    b\n    c\n", "if a:\n    b\nc\n", &[(12..16, 0)], false),
        ] {
            assert_eq!(same(old, new, edits), expected, "{old} → {new}");
        }
    }
}
