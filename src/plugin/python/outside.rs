//! Whether a plugin can do more than answer: reach a network, a file, another program, the server, or the user's
//! browser.
//!
//! An allowlist of modules: an unknown one counts as harmful. It is meant for honest texts; a plugin that hides what it
//! does is not found out.

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_parameter, walk_stmt};
use ruff_python_ast::{Expr, Keyword, Parameter, Stmt};

use super::syntax;

/// Modules that only compute, keep time or log.
const HARMLESS: [&str; 50] = [
    "__future__",
    "abc",
    "array",
    "asyncio",
    "base64",
    "binascii",
    "bisect",
    "calendar",
    "cmath",
    "collections",
    "contextlib",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "html",
    "inspect",
    "itertools",
    "json",
    "locale",
    "logging",
    "math",
    "numbers",
    "operator",
    "pprint",
    "pydantic",
    "random",
    "re",
    "secrets",
    "statistics",
    "string",
    "struct",
    "sys",
    "textwrap",
    "time",
    "traceback",
    "types",
    "typing",
    "typing_extensions",
    "unicodedata",
    "uuid",
    "warnings",
    "zlib",
    "zoneinfo",
];

/// Functions and methods of any module that act outside.
const HARMFUL: [&str; 27] = [
    "FileHandler",
    "__import__",
    "breakpoint",
    "compile",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "create_subprocess_exec",
    "create_subprocess_shell",
    "create_unix_connection",
    "create_unix_server",
    "eval",
    "exec",
    "getaddrinfo",
    "getnameinfo",
    "open",
    "open_connection",
    "open_unix_connection",
    "sock_connect",
    "sock_sendto",
    "start_server",
    "start_unix_server",
    "subprocess_exec",
    "subprocess_shell",
];

/// The argument through which a plugin asks the user's browser.
const ASKS: &str = "__event_call__";

/// The first part of a text that can act outside; `None` if there is none.
#[must_use]
pub fn acts_outside(text: &str) -> Option<String> {
    let Ok(parsed) = syntax::parsed(text) else { return Some("invalid Python".to_owned()) };
    let mut search = Search { found: None };
    search.visit_body(parsed.suite());
    search.found
}

struct Search {
    found: Option<String>,
}

impl Search {
    fn note(&mut self, what: impl Into<String>) {
        self.found.get_or_insert_with(|| what.into());
    }

    fn import(&mut self, module: &str) {
        let root = module.split('.').next().unwrap_or_default();
        // `logging.handlers` writes files and sends mail.
        if !HARMLESS.contains(&root) || module == "logging.handlers" || module == "logging.config" {
            self.note(format!("import {module}"));
        }
    }

    fn name(&mut self, name: &str) {
        if HARMFUL.contains(&name) {
            self.note(name);
        }
    }
}

impl<'a> Visitor<'a> for Search {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Import(import) => import.names.iter().for_each(|alias| self.import(&alias.name)),
            Stmt::ImportFrom(import) => {
                let module = import.module.as_deref().unwrap_or(".");
                self.import(module);
                for alias in &import.names {
                    self.name(&alias.name);
                    if module == "logging" && alias.name.as_str() == "handlers" {
                        self.note("import logging.handlers");
                    }
                }
            }
            _ => {}
        }
        walk_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Name(name) if name.id == ASKS => self.note(ASKS),
            Expr::Name(name) => self.name(&name.id),
            // With a file name, `basicConfig` opens that file. An unpacked argument may be one.
            Expr::Call(call) if is_basic_config(&call.func) => {
                let opens = |keyword: &Keyword| !matches!(keyword.arg.as_deref(), Some(name) if name != "filename");
                if call.arguments.keywords.iter().any(opens) {
                    self.note("logging.basicConfig(filename=…)");
                }
            }
            // `re.compile` only makes an expression.
            Expr::Attribute(attribute) if attribute.attr.as_str() != "compile" => self.name(&attribute.attr),
            _ => {}
        }
        walk_expr(self, expression);
    }

    fn visit_parameter(&mut self, parameter: &'a Parameter) {
        if parameter.name.as_str() == ASKS {
            self.note(ASKS);
        }
        walk_parameter(self, parameter);
    }
}

fn is_basic_config(function: &Expr) -> bool {
    match function {
        Expr::Name(name) => name.id == "basicConfig",
        Expr::Attribute(attribute) => attribute.attr.as_str() == "basicConfig",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_computes_does_not_act_outside() {
        for text in [
            "import re\nPATTERN = re.compile('a')",
            "import asyncio\nasync def pipe(self, body):\n    await asyncio.sleep(1)\n    yield 'a'",
            "from typing import Any\nfrom pydantic import BaseModel, Field\nimport collections.abc",
            "import logging\nlogging.getLogger(__name__).info('x')",
            "import logging\nlogging.basicConfig(level=logging.INFO)",
            "async def action(self, body, __event_emitter__=None):\n    await __event_emitter__({})",
            "reopened = opened = 1",
        ] {
            assert_eq!(acts_outside(text), None, "\n{text}\n");
        }
    }

    #[test]
    fn what_may_do_more_is_named() {
        for (text, expected) in [
            ("import httpx", "import httpx"),
            ("import json, os.path", "import os.path"),
            ("from open_webui.models.users import Users", "import open_webui.models.users"),
            ("def pipe():\n    import smtplib", "import smtplib"),
            ("from . import other", "import ."),
            ("import logging.handlers", "import logging.handlers"),
            ("from logging import handlers", "import logging.handlers"),
            ("from asyncio import open_connection as it", "open_connection"),
            ("with open('x') as file:\n    pass", "open"),
            ("import asyncio\nasyncio.create_subprocess_shell('ls')", "create_subprocess_shell"),
            ("import logging\nlogging.FileHandler('x')", "FileHandler"),
            ("import logging\nlogging.basicConfig(level=1, filename='x')", "logging.basicConfig(filename=…)"),
            ("from logging import basicConfig\nbasicConfig(**options)", "logging.basicConfig(filename=…)"),
            ("import asyncio\nasyncio.get_running_loop().create_connection(f, 'h', 1)", "create_connection"),
            ("async def f(loop):\n    await loop.subprocess_exec(p, 'ls')", "subprocess_exec"),
            ("async def f(loop):\n    await loop.subprocess_shell(p, 'ls')", "subprocess_shell"),
            ("async def f(self):\n    await self.asyncio.open_connection('h', 1)", "open_connection"),
            ("import asyncio\nasyncio.start_server(f, port=1)", "start_server"),
            ("call = eval", "eval"),
            ("__import__('os')", "__import__"),
            ("async def action(self, body, __event_call__):\n    pass", "__event_call__"),
            ("def pipe(", "invalid Python"),
        ] {
            assert_eq!(acts_outside(text).as_deref(), Some(expected), "\n{text}\n");
        }
    }

    #[test]
    fn harmless_modules_are_sorted() {
        assert!(HARMLESS.is_sorted() && HARMFUL.is_sorted());
    }
}
