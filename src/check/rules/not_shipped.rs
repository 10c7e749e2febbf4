//! A package that the server does not ship and the header does not ask for. The author's machine has it, the server
//! does not, and refuses the file. Which packages come with Open WebUI changes with its versions.

use std::collections::BTreeSet;

use ruff_python_ast::Stmt;
use ruff_python_stdlib::sys::is_known_standard_library;
use ruff_text_size::{Ranged as _, TextRange};

use super::{CheckRule, Context, Report};
use crate::check::semantics::{Node, OF_IMPORTS, PYTHON};
use crate::check::servers::{Shipped, ships};
use crate::plugin::{Severity, normal};

pub(super) const RULE: CheckRule = CheckRule {
    id: "not-shipped",
    severity: Severity::Error,
    title: "a package that neither the server ships nor the header asks for",
    page: "
The server has the packages that its image ships, and installs those that `requirements:` in the
header names. If a file imports any other package, the server refuses the file, unless someone
installed the package there by hand. A later version may no longer ship a package that an earlier
one did.

If the header has other `requirements`, one of them may bring the missing package along: then this
is a warning, or nothing. Imports under `try` with an `except ImportError`, and files that call pip
themselves, are not checked.",
    wrong: "
import left_pad

class Pipe:
    def pipe(self, body):
        return left_pad.pad(body)
",
    right: "
\"\"\"
title: Pad
requirements: left-pad
\"\"\"
import left_pad

class Pipe:
    def pipe(self, body):
        return left_pad.pad(body)
",
    check,
};

/// Packages whose requirement and module have different names. The server's own are in the tables.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("beautifulsoup4", "bs4"),
    ("pyyaml", "yaml"),
    ("pillow", "PIL"),
    ("python-dateutil", "dateutil"),
    ("opencv-python", "cv2"),
    ("scikit-learn", "sklearn"),
    ("pymupdf", "fitz"),
    ("python-dotenv", "dotenv"),
    ("discord-py", "discord"),
    ("pycryptodome", "Crypto"),
];

fn check(context: &Context<'_>, report: &mut Report) {
    let imports = imports(context);
    let missing = imports.iter().map(|import| (import, found(import.0, context)));
    let missing: Vec<_> = missing.filter(|(_, shipped)| *shipped != Shipped::Yes).collect();
    // A file that calls pip installs its packages itself.
    let installs =
        || context.text.contains("pip") && (context.text.contains("subprocess") || context.text.contains("pip.main"));
    if missing.is_empty() || installs() {
        return;
    }
    let requirements: Vec<_> = context
        .frontmatter
        .requirements()
        .unwrap_or_default()
        .split(',')
        .map(distribution)
        .filter(|it| !it.is_empty())
        .collect();
    let claims = |requirement: &str, package: &str| {
        let plain = package.to_lowercase().replace('_', "-");
        requirement.contains(&plain)
            || plain.contains(requirement)
            || OTHER_NAMES.iter().any(|(distribution, module)| *distribution == requirement && *module == package)
    };
    let unclaimed =
        requirements.iter().any(|requirement| !imports.iter().any(|(package, _, _)| claims(requirement, package)));
    let mut told = BTreeSet::new();
    for ((package, range, function), shipped) in missing {
        let is_claimed = requirements.iter().any(|requirement| claims(requirement, package));
        if is_claimed || unclaimed || !told.insert(*package) {
            continue;
        }
        let version = context.version.minor();
        let what = match shipped {
            Shipped::Elsewhere(last) => format!("Open WebUI {version} does not ship `{package}` ({last} did)"),
            Shipped::Yes | Shipped::Never => format!("Open WebUI does not ship `{package}`"),
        };
        let then = match function {
            Some(function) => format!("`{function}` fails when it gets here"),
            None => "the server refuses the file".to_owned(),
        };
        let severity = if requirements.is_empty() { Severity::Error } else { Severity::Warning };
        let message = format!("{what}, and `requirements` does not name it: {then}, unless it was installed there");
        report.add_as(severity, *range, message, "name its package in `requirements:` in the header");
    }
}

/// `some.package[extra]>=1` → `some-package`.
fn distribution(requirement: &str) -> String {
    let name = requirement.trim().split(['[', '=', '<', '>', '~', '!', ';', ' ', '@']).next().unwrap_or_default();
    name.to_lowercase().replace(['_', '.'], "-")
}

/// All top-level packages that are imported without a guard, with their place and the function around.
fn imports<'a>(context: &Context<'a>) -> Vec<(&'a str, TextRange, Option<&'a str>)> {
    let semantics = &context.semantics;
    let mut found = Vec::new();
    for id in &semantics.imports {
        if semantics.is_guarded(*id, OF_IMPORTS) {
            continue;
        }
        let function = semantics.function(semantics.scope(*id)).map(|function| function.name.as_str());
        let mut add = |path: &'a str, range| found.push((path.split('.').next().unwrap_or(path), range, function));
        match semantics.node(*id) {
            Node::Stmt(Stmt::Import(import)) => {
                import.names.iter().for_each(|alias| add(&alias.name, alias.name.range()));
            }
            Node::Stmt(Stmt::ImportFrom(import)) if import.level == 0 => {
                // The server redirects these to its own modules.
                if let Some(module) = import.module.as_ref().filter(|module| normal::rewritten(module).is_none()) {
                    add(module, module.range());
                }
            }
            Node::Stmt(_) | Node::Expr(_) => {}
        }
    }
    found
}

/// Whether the server has a package: its own, Python's, or one that it ships.
fn found(package: &str, context: &Context<'_>) -> Shipped {
    let is_own = matches!(package, "open_webui" | "__future__" | "__main__");
    if is_own || (11..=PYTHON).any(|version| is_known_standard_library(version, package)) {
        return Shipped::Yes;
    }
    ships(package, context.version)
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;

    #[test]
    fn packages_are_looked_up() {
        for (head, expected) in [
            ("import requests, json, bs4, yaml, PIL", ""),
            ("import left_pad", "error 1"),
            ("from left_pad.deep import x", "error 1"),
            ("import left_pad\nimport left_pad.deep", "error 1"),
            ("def f():\n    import left_pad", "error 2"),
            ("try:\n    import left_pad\nexcept ImportError: pass", ""),
            ("if TYPE_CHECKING:\n    import left_pad", ""),
            ("\"\"\"\nrequirements: left-pad>=1\n\"\"\"\nimport left_pad", ""),
            ("\"\"\"\nrequirements: Left.Pad[x]\n\"\"\"\nimport left_pad", ""),
            ("\"\"\"\nrequirements: right-pad\n\"\"\"\nimport left_pad", ""),
            ("\"\"\"\nrequirements: right-pad\n\"\"\"\nimport left_pad, right_pad", "warning 4"),
            ("\"\"\"\nrequirements: scikit-learn\n\"\"\"\nimport sklearn", ""),
            ("import subprocess\nsubprocess.run(['pip', 'install', 'left_pad'])\nimport left_pad", ""),
            ("from utils.misc import x", ""),
            ("import _thread, distutils", ""),
            ("from __future__ import annotations", ""),
        ] {
            table("not-shipped", "0.12.4", &[(&format!("{head}\nclass Pipe: pass\n"), expected)]);
        }
    }
}
