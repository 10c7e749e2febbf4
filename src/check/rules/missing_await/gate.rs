//! Whether a file handles both the servers before and those after a function became a coroutine. Such a file may await
//! only on the newer ones, in ways that no rule can follow, so it is skipped. A file that compares versions, but names
//! none that separates these servers, may still handle both (`minor not in range(6, 9)`): it gets a warning instead of
//! an error.
//!
//! Many files compare the version of something else, or require an older server (`>= "0.8.0"`). A test that separates
//! the servers names the last version without the coroutine, or one with it: `"0.8.12"`, `"0.9"`, `(0, 10)`, or a bare
//! `9`.

use ruff_python_ast::token::TokenKind;
use ruff_python_ast::{CmpOp, Expr};
use ruff_text_size::{Ranged as _, TextRange};

use super::Context;
use crate::check::semantics::{Binding, Call, Node, NodeId, names_in};
use crate::plugin::Severity;

/// The severity of a missing `await` in this file; `None` if the file may tell servers before the first of these minor
/// versions from later ones.
pub(super) fn severity<'a>(context: &Context<'_>, since: impl Iterator<Item = &'a str>) -> Option<Severity> {
    let Some(is_at_least) = compares_versions(context) else { return Some(Severity::Error) };
    let first = since.filter_map(minor).min();
    let tells_apart = first.is_some_and(|first| names(context, first, is_at_least));
    (!tells_apart).then_some(Severity::Warning)
}

/// The minor number: `9` of `0.9`.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("0.")?.parse().ok()
}

/// `None` if the file compares no version; `true` if it compares versions only with `>=` and `<`.
fn compares_versions(context: &Context<'_>) -> Option<bool> {
    let semantics = &context.semantics;
    let text = context.text.to_ascii_lowercase();
    let places = |word| text.match_indices(word).map(|(at, _)| at);
    let mut named: Vec<usize> = places("version").chain(places("minor")).collect();
    named.sort_unstable();
    // `parts[1] > 8`, after `parts = VERSION.split(".")`.
    let split: Vec<usize> = places("version.split(").collect();
    let holds_parts = |name: &str, scope| {
        let bindings = semantics.bindings(name, scope).unwrap_or_default();
        bindings.iter().any(|binding| matches!(binding, Binding::Value(value) if is_one_in(&split, value.range())))
    };
    if named.is_empty() {
        return None;
    }
    let is_prefix_test =
        |call: &Call<'_>| call.expr.func.as_attribute_expr().is_some_and(|method| method.attr.as_str() == "startswith");
    if semantics.calls.iter().any(|call| is_prefix_test(call) && is_one_in(&named, call.expr.range())) {
        return Some(false);
    }
    let is_of_version = |id: NodeId| {
        let operands = semantics.expr(id).map(names_in).unwrap_or_default();
        is_one_in(&named, semantics.node(id).range())
            || operands.iter().any(|name| holds_parts(name, semantics.scope(id)))
    };
    let mut compares = semantics.compares.iter().filter(|id| is_of_version(**id)).peekable();
    compares.peek()?;
    Some(compares.all(|id| match semantics.node(*id) {
        Node::Expr(Expr::Compare(compare)) => compare.ops.iter().all(|op| matches!(op, CmpOp::GtE | CmpOp::Lt)),
        Node::Expr(_) | Node::Stmt(_) => false,
    }))
}

/// Whether any of these sorted places is in a range.
fn is_one_in(places: &[usize], range: TextRange) -> bool {
    let next = places.partition_point(|at| *at < usize::from(range.start()));
    places.get(next).is_some_and(|at| *at < usize::from(range.end()))
}

/// This minor version and later ones. The range ends, so that `0.95` does not count.
fn later(minor: u32) -> std::ops::Range<u32> {
    minor..minor + 30
}

/// Whether the code names this minor version, the one before it, or a later one. `>= "0.8.0"` does not count: every
/// server of both series passes it.
fn names(context: &Context<'_>, minor: u32, is_at_least: bool) -> bool {
    let code = context.tokens.iter().filter(|token| !token.kind().is_trivia());
    let code: Vec<_> = code.map(|token| (token.kind(), token.start(), context.source(token.range()))).collect();
    let kind_at = |at: usize| code.get(at).map(|(kind, ..)| *kind);
    let is_compared =
        |at: usize| at.checked_sub(1).and_then(kind_at).is_some_and(compares) || kind_at(at + 1).is_some_and(compares);
    let follows_zero = |at: usize| matches!(code[..at], [.., (TokenKind::Int, _, "0"), (TokenKind::Comma, ..)]);
    code.iter().enumerate().any(|(at, (kind, start, source))| match kind {
        // The header has the plugin's own version.
        TokenKind::String => start.to_u32() > 0 && names_series(source, minor, is_at_least),
        TokenKind::FStringMiddle => names_series(source, minor, is_at_least),
        // `>= 0.9`, `at_least(0.9)`. Other floats are temperatures, pauses and the like.
        TokenKind::Float => {
            let is_argument = at.checked_sub(1).and_then(kind_at) == Some(TokenKind::Lpar);
            (is_argument || is_compared(at)) && names_series(source, minor, is_at_least)
        }
        // `(0, 9)`, `>= 9`, `8 <`
        TokenKind::Int => {
            let Ok(number) = source.parse::<u32>() else { return false };
            let is_near = number == minor || number + 1 == minor;
            is_near && is_compared(at) || (is_near || later(minor).contains(&number)) && follows_zero(at)
        }
        _ => false,
    })
}

fn compares(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::EqEqual
            | TokenKind::NotEqual
            | TokenKind::Less
            | TokenKind::LessEqual
            | TokenKind::Greater
            | TokenKind::GreaterEqual
    )
}

/// Whether a text contains `0.8`, `0.9` or a later version, alone or as in `0.8.12`. With `is_at_least`, `0.8.0` does
/// not count.
fn names_series(text: &str, minor: u32, is_at_least: bool) -> bool {
    text.match_indices("0.").any(|(at, zero)| {
        let before = text[..at].trim_end_matches(['v', 'V']);
        let rest = &text[at + zero.len()..];
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let Ok(named) = rest[..end].parse::<u32>() else { return false };
        let is_first =
            rest[end..].strip_prefix(".0").is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
        let tells = later(minor).contains(&named) || named + 1 == minor && !(is_first && is_at_least);
        tells && !before.ends_with(|c: char| c.is_ascii_digit() || c == '.')
    })
}
