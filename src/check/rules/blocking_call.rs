//! A call that stops the whole server while it waits. Plugins run on the server's one event loop, a plain `def` as well
//! as an `async def`: with `time.sleep(3)` in a pipe, even `/health` took 2.6 seconds. 13 published plugins.

use ruff_python_ast::StmtFunctionDef;
use ruff_text_size::Ranged as _;

use super::{CheckRule, Context, Report};
use crate::plugin::Severity;

pub(super) const RULE: CheckRule = CheckRule {
    id: "blocking-call",
    severity: Severity::Warning,
    title: "a call that stops the whole server while it waits",
    page: "
The server runs all plugins on a single event loop, whether a hook is a plain `def` or an
`async def`. While a call waits there, every chat of every user stops. Use `httpx.AsyncClient` or
`aiohttp`, `asyncio.sleep` or `asyncio.create_subprocess_exec`, or move the call to a thread with
`await asyncio.to_thread(…)`.

The rule reports only calls that a hook or a tool reaches, directly or through `self.…()` and
functions of the file.",
    wrong: "
import time

class Pipe:
    def pipe(self, body):
        time.sleep(3)
        return \"done\"
",
    right: "
import asyncio

class Pipe:
    async def pipe(self, body):
        await asyncio.sleep(3)
        return \"done\"
",
    check,
};

const BLOCKING: &[(&str, &str)] = &[
    ("time.sleep", "asyncio.sleep"),
    ("requests.get", "httpx.AsyncClient"),
    ("requests.post", "httpx.AsyncClient"),
    ("requests.put", "httpx.AsyncClient"),
    ("requests.patch", "httpx.AsyncClient"),
    ("requests.delete", "httpx.AsyncClient"),
    ("requests.head", "httpx.AsyncClient"),
    ("requests.request", "httpx.AsyncClient"),
    ("httpx.get", "httpx.AsyncClient"),
    ("httpx.post", "httpx.AsyncClient"),
    ("httpx.put", "httpx.AsyncClient"),
    ("httpx.delete", "httpx.AsyncClient"),
    ("httpx.request", "httpx.AsyncClient"),
    ("urllib.request.urlopen", "httpx.AsyncClient"),
    ("subprocess.run", "asyncio.create_subprocess_exec"),
    ("subprocess.call", "asyncio.create_subprocess_exec"),
    ("subprocess.check_call", "asyncio.create_subprocess_exec"),
    ("subprocess.check_output", "asyncio.create_subprocess_exec"),
    ("os.system", "asyncio.create_subprocess_shell"),
];

fn check(context: &Context<'_>, report: &mut Report) {
    let hooks = context.hooks().into_iter().map(|hook| hook.function);
    let starts: Vec<&StmtFunctionDef> = hooks.chain(context.tools()).collect();
    let reached = context.reachable(starts);
    for call in &context.semantics.calls {
        let Some((path, instead)) = BLOCKING.iter().find(|(name, _)| Some(*name) == call.path()) else { continue };
        let function = context.semantics.function(call.scope);
        if function.is_some_and(|function| reached.iter().any(|it| std::ptr::eq(*it, function))) {
            let message = format!("`{path}` stops the whole server while it waits");
            report.add(call.expr.func.range(), message, format!("use `{instead}`, or `await asyncio.to_thread(…)`"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;

    #[test]
    fn what_a_hook_reaches_is_told() {
        for (rest, expected) in [
            ("    def pipe(self, body): time.sleep(1)", "warning 3"),
            ("    def pipe(self, body): self.other()\n    def other(self): requests.post('x')", "warning 4"),
            ("    def pipe(self, body): other()\ndef other(): requests.post('x')", "warning 4"),
            ("    def pipe(self, body): pass\n    def other(self): requests.post('x')", ""),
            ("    def __init__(self): requests.post('x')", ""),
            ("    async def pipe(self, body): await asyncio.to_thread(requests.post, 'x')", ""),
            (
                "    async def pipe(self, body):\n        def inner(): requests.post('x')\n        await asyncio.to_thread(inner)",
                "",
            ),
            ("    async def pipe(self, body):\n        def inner(): requests.post('x')\n        inner()", "warning 4"),
            ("    async def pipe(self, body): return await asyncio.to_thread(lambda: requests.post('x'))", ""),
            ("    async def pipe(self, body): await asyncio.sleep(1)", ""),
        ] {
            table(
                "blocking-call",
                "0.12.4",
                &[(&format!("import time, requests, asyncio\nclass Pipe:\n{rest}\n"), expected)],
            );
        }
        let tool = "import requests\nclass Tools:\n    def search(self, q): return requests.get(q)\n";
        table("blocking-call", "0.12.4", &[(tool, "warning 3")]);
    }
}
