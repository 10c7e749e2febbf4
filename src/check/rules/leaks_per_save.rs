//! Tasks, threads and log handlers that start when the file is loaded, and never end. The server loads a plugin anew
//! with each save, and has no hook for the end of the old one. Nine published plugins.

use std::collections::HashSet;

use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::Ranged as _;

use super::{CheckRule, Context, Report};
use crate::check::semantics::{Call, Node, NodeId};
use crate::plugin::Severity;

pub(super) const RULE: CheckRule = CheckRule {
    id: "leaks-per-save",
    severity: Severity::Warning,
    title: "a task, thread or log handler that each save adds again",
    page: "
At each save, and at each restart of a worker, the server loads the file and creates a new object of
its class. It never stops the old object: tasks and threads that `__init__` or the module started
keep running, and each new log handler prints every line once more. Start such things in the first
call, keep one for the process, or test before you add: `if not logger.handlers:`.",
    wrong: "
import logging

logger = logging.getLogger(__name__)
logger.addHandler(logging.StreamHandler())

class Pipe:
    def pipe(self, body):
        return \"done\"
",
    right: "
import logging

logger = logging.getLogger(__name__)
if not logger.handlers:
    logger.addHandler(logging.StreamHandler())

class Pipe:
    def pipe(self, body):
        return \"done\"
",
    check,
};

fn check(context: &Context<'_>, report: &mut Report) {
    let semantics = &context.semantics;
    let threads = threads(context);
    let started = semantics.calls.iter().filter_map(|call| Some((call, started(context, call, &threads)?)));
    let started: Vec<_> = started.collect();
    let removes = |word: &&str| context.text.contains(*word);
    if started.is_empty() || ["removeHandler(", "handlers.clear()", "handlers = []"].iter().any(removes) {
        return;
    }
    let constructors = context.methods().into_iter().filter(|method| method.name.as_str() == "__init__");
    let loaders = semantics.calls.iter().filter_map(|call| {
        // Functions that are called when the module is loaded.
        if semantics.is_called(call.scope) || semantics.is_guarded(call.id, &[]) {
            return None;
        }
        match semantics.bindings(&call.expr.func.as_name_expr()?.id, call.scope)? {
            [crate::check::semantics::Binding::Function(function)] => Some(*function),
            _ => None,
        }
    });
    let at_load = context.reachable(constructors.chain(loaders));
    for (call, what) in started {
        if report.is_full() {
            break;
        }
        let runs = match semantics.function(call.scope) {
            Some(function) => at_load.iter().any(|it| std::ptr::eq(*it, function)),
            None => !semantics.is_called(call.scope) && !under_main(context, call.id),
        };
        if runs && !is_guarded(context, call.id) {
            let message = format!("each save of the plugin {what} again");
            report.add(call.expr.func.range(), message, "start it on first use, or only if none exists yet");
        }
    }
}

/// The source of each target that a thread is assigned to, such as `self.t`.
fn threads<'a>(context: &Context<'a>) -> HashSet<&'a str> {
    let semantics = &context.semantics;
    let mut names = HashSet::new();
    for call in &semantics.calls {
        if call.path().is_some_and(is_thread)
            && let Some((_, Node::Stmt(Stmt::Assign(assign)))) = context.parent(call.id)
        {
            names.extend(assign.targets.iter().map(|target| context.source(target.range())));
        }
    }
    names
}

fn is_thread(path: &str) -> bool {
    matches!(path, "threading.Thread" | "threading.Timer")
}

/// What a call starts and never stops, in the words of the message.
fn started(context: &Context<'_>, call: &Call<'_>, threads: &HashSet<&str>) -> Option<&'static str> {
    if matches!(call.path(), Some("asyncio.create_task" | "asyncio.ensure_future")) {
        return Some("starts this task");
    }
    let attribute = call.expr.func.as_attribute_expr()?;
    match attribute.attr.as_str() {
        "addHandler" => Some("adds this log handler"),
        "create_task" => {
            let owner = context.source(attribute.value.range());
            (owner.ends_with("loop") || owner.ends_with("loop()")).then_some("starts this task")
        }
        "start" => {
            // `Thread(…).start()`, or a name bound to a thread.
            let made_here = attribute
                .value
                .as_call_expr()
                .is_some_and(|made| context.semantics.path(&made.func, call.scope).as_deref().is_some_and(is_thread));
            let made_before = threads.contains(context.source(attribute.value.range()));
            (made_here || made_before).then_some("starts this thread")
        }
        _ => None,
    }
}

/// Whether a check guards the call: any `if` around it, or a function that looks at the handlers.
fn is_guarded(context: &Context<'_>, id: NodeId) -> bool {
    let is_choice = |node: &Node<'_>| matches!(node, Node::Stmt(Stmt::If(_)) | Node::Expr(Expr::If(_)));
    let early_return = context.semantics.function(context.semantics.scope(id)).is_some_and(|function| {
        let body = context.source(function.range());
        body.contains("hasHandlers()") || body.contains(".handlers")
    });
    context.semantics.around(id).any(|(_, node)| is_choice(&node)) || early_return
}

/// Whether it is under `if __name__ == "__main__"`.
fn under_main(context: &Context<'_>, id: NodeId) -> bool {
    context.semantics.around(id).any(|(_, node)| {
        matches!(node, Node::Stmt(Stmt::If(branch)) if crate::check::semantics::mentions(&branch.test, "__name__"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;

    #[test]
    fn what_starts_with_the_file_is_told() {
        let head = "import asyncio, logging, threading\nlog = logging.getLogger(__name__)\n";
        for (rest, expected) in [
            ("log.addHandler(h)\nclass Pipe: pass", "warning 3"),
            ("if not log.handlers:\n    log.addHandler(h)\nclass Pipe: pass", ""),
            ("def setup():\n    log.addHandler(h)\nsetup()\nclass Pipe: pass", "warning 4"),
            ("def setup():\n    if log.handlers: return\n    log.addHandler(h)\nsetup()\nclass Pipe: pass", ""),
            ("def setup():\n    log.addHandler(h)\nclass Pipe: pass", ""),
            ("class Pipe:\n    def __init__(self): asyncio.create_task(self.run())", "warning 4"),
            (
                "class Pipe:\n    def __init__(self): self.start()\n    def start(self): asyncio.create_task(self.run())",
                "warning 5",
            ),
            ("class Pipe:\n    async def pipe(self, body): asyncio.create_task(self.run())", ""),
            ("class Pipe:\n    def __init__(self): threading.Thread(target=f).start()", "warning 4"),
            (
                "class Pipe:\n    def __init__(self):\n        self.t = threading.Thread(target=f)\n        self.t.start()",
                "warning 6",
            ),
            ("class Pipe:\n    def __init__(self): self.timer.start()", ""),
            ("logging.basicConfig()\nclass Pipe: pass", ""),
            ("if __name__ == '__main__':\n    asyncio.create_task(f())\nclass Pipe: pass", ""),
        ] {
            table("leaks-per-save", "0.12.4", &[(&format!("{head}{rest}\n"), expected)]);
        }
    }
}
