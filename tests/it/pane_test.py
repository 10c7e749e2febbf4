"""What `src/sandbox/pane.py` must not change, and what it must tell. Run by `sandbox_pane.rs` with a plain Python."""

import asyncio
import copy
import importlib.util
import inspect
import io
import json
import logging
import pickle
import socket
import sys
import threading
import time
import types
import typing
import unittest
from unittest import mock

PANE = sys.argv.pop(1)
spec = importlib.util.spec_from_file_location("pane", PANE)
pane_module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pane_module)

PLUGIN = '''
import functools
import logging
import traceback

log = logging.getLogger(__name__)
print("loaded")


class Mine(Exception):
    pass


class Reply:
    def __init__(self, body_iterator):
        self.body_iterator = body_iterator


def marked(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


class Tools:
    kind = "class attribute"

    def __init__(self):
        self.count = 0
        self.closed = False
        self.partial = functools.partial(self.sync, 1)

    def sync(self, a: int, b: "int" = 2) -> int:
        """Adds."""
        self.count += 1
        return a + b

    async def coroutine(self, a, *, b=1):
        return a + b

    def generator(self, n):
        try:
            for i in range(n):
                got = yield i
                if got:
                    yield got
            return "end"
        finally:
            self.closed = True

    async def async_generator(self, n):
        try:
            for i in range(n):
                yield i
        finally:
            self.closed = True

    def broken_generator(self):
        yield 1
        raise Mine("half way")

    async def broken_async_generator(self):
        yield 1
        raise Mine("half way")

    def raises(self, key):
        return {}[key]

    async def raises_async(self):
        try:
            self.raises("x")
        except KeyError as error:
            raise Mine("no x") from error

    def calls_itself(self):
        return self.sync(1), self

    def emits(self, __event_emitter__=None):
        return __event_emitter__("x") if __event_emitter__ else None

    @staticmethod
    def static(a):
        return a

    @classmethod
    def of_class(cls, a):
        return cls.kind, a

    @marked
    def decorated(self, a):
        return a

    def nothing(self):
        return None

    def coroutine_of_sync(self, a):
        return self.coroutine(a)

    def streams(self):
        return Reply(self.async_generator(2))

    def prints(self):
        print("one", 2)
        print("no end", end="")
        traceback.print_stack(limit=1)

    def floods(self, n, key=None):
        self._floods(n)
        return {}[key] if key else n

    def _floods(self, n):
        for i in range(n):
            print("line", i)

    def logs(self):
        log.warning("watch %s", "out")
        try:
            self.raises("y")
        except KeyError:
            log.exception("failed")


def exits():
    raise SystemExit(3)
'''


class Recorder:
    def __init__(self):
        self.messages = []

    def send(self, message):
        json.dumps(message)
        self.messages.append(message)


class Server:
    """Loads plugins as Open WebUI's module does."""

    def __init__(self, future=False):
        text = "from __future__ import annotations\n" if future else ""
        text += (
            "import types\n"
            "def load_tool_module_by_id(tool_id, content=None):\n"
            "    module = types.ModuleType('tool_' + tool_id)\n"
            "    exec(content, module.__dict__)\n"
            "    return module.Tools(), {'title': 'x'}, module\n"
            "async def load_function_module_by_id(function_id, content=None):\n"
            "    module = types.ModuleType('function_' + function_id)\n"
            "    exec(content, module.__dict__)\n"
            "    return module.Pipe(), 'pipe', {}\n"
        )
        self.module = types.ModuleType("plugin")
        exec(compile(text, "open_webui/utils/plugin.py", "exec"), self.module.__dict__)


def watched(text=PLUGIN, **options):
    wire = Recorder()
    pane = pane_module.Pane(wire, **options)
    server = Server()
    pane.watch(server.module)
    instance, frontmatter, module = server.module.load_tool_module_by_id("t", content=text)
    assert frontmatter == {"title": "x"}
    return pane, wire.messages, instance, module


def plain(text=PLUGIN):
    return Server().module.load_tool_module_by_id("t", content=text)[0]


def outcome(run):
    """What a call comes to, with the exception's words and kind if it raises."""
    try:
        result = run()
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
        if inspect.isasyncgen(result):

            async def all_of():
                return [item async for item in result]

            result = asyncio.run(all_of())
        elif inspect.isgenerator(result):
            result = list(result)
        if type(result).__name__ == "Reply":
            result = outcome(lambda: result.body_iterator)
        return ("returned", repr(result).split(" object at ")[0])
    except BaseException as error:
        return ("raised", type(error).__name__, str(error), repr(error.__cause__))


# Each shape of a hook: how it is called.
CALLS = {
    "sync": lambda it: it.sync(1, b=3),
    "sync, by default": lambda it: it.sync(1),
    "sync, missing": lambda it: it.sync(),
    "sync, too many": lambda it: it.sync(1, 2, 3),
    "coroutine": lambda it: it.coroutine(1, b=2),
    "coroutine, missing": lambda it: it.coroutine(),
    "generator": lambda it: it.generator(3),
    "generator, missing": lambda it: it.generator(),
    "async generator": lambda it: it.async_generator(3),
    "broken generator": lambda it: it.broken_generator(),
    "broken async generator": lambda it: it.broken_async_generator(),
    "raises": lambda it: it.raises("x"),
    "raises in a coroutine": lambda it: it.raises_async(),
    "calls itself": lambda it: it.calls_itself()[0],
    "emits": lambda it: it.emits(__event_emitter__=str.upper),
    "no emitter": lambda it: it.emits(),
    "static": lambda it: it.static(1),
    "of class": lambda it: it.of_class(1),
    "decorated": lambda it: it.decorated(1),
    "nothing": lambda it: it.nothing(),
    "coroutine of sync": lambda it: it.coroutine_of_sync(1),
    "streams": lambda it: it.streams(),
    "partial": lambda it: it.partial(2),
    "unknown": lambda it: it.unknown(),
}


class TestNothingChanges(unittest.TestCase):
    def setUp(self):
        self.printed = mock.patch("sys.stdout", io.StringIO())
        self.printed.start()
        self.addCleanup(self.printed.stop)
        self.plain = plain()
        self.pane, self.messages, self.watched, self.module = watched()

    def test_results_and_exceptions(self):
        for name, call in CALLS.items():
            with self.subTest(name):
                expected = outcome(lambda: call(self.plain))
                self.assertEqual(outcome(lambda: call(self.watched)), expected)

    def test_what_the_server_inspects(self):
        names = [name for name in dir(self.plain) if not name.startswith("_")]
        self.assertEqual(dir(self.watched), dir(self.plain))
        for name in names:
            ours, theirs = getattr(self.watched, name), getattr(self.plain, name)
            with self.subTest(name):
                self.assertEqual(callable(ours), callable(theirs))
                if not callable(theirs) or isinstance(theirs, pane_module.functools.partial):
                    continue
                self.assertEqual(str(inspect.signature(ours)), str(inspect.signature(theirs)))
                self.assertEqual(typing.get_type_hints(ours), typing.get_type_hints(theirs))
                for asks in (inspect.iscoroutinefunction, asyncio.iscoroutinefunction, inspect.ismethod, inspect.isclass):
                    self.assertEqual(asks(ours), asks(theirs), asks)
                for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):
                    self.assertEqual(getattr(ours, attribute), getattr(theirs, attribute))

    def test_the_plugin_sees_itself(self):
        _, itself = self.watched.calls_itself()
        self.assertIs(type(itself), self.module.Tools)
        self.assertEqual(itself, self.watched)
        self.assertEqual(self.watched, itself)
        self.assertEqual(hash(self.watched), hash(itself))
        self.assertIsInstance(self.watched, self.module.Tools)
        self.assertIs(self.watched.__class__, self.module.Tools)
        self.assertIs(self.watched.__dict__, itself.__dict__)
        self.assertEqual(set(vars(itself)), {"count", "closed", "partial"})
        self.assertEqual(itself.sync.__func__, self.module.Tools.__dict__["sync"])

    def test_what_is_set_is_the_plugins(self):
        _, itself = self.watched.calls_itself()
        self.watched.valves = {"a": 1}
        self.assertEqual(itself.valves, {"a": 1})
        self.assertTrue(hasattr(self.watched, "valves"))
        del self.watched.valves
        self.assertFalse(hasattr(itself, "valves"))

    def test_copies_and_pickles(self):
        with mock.patch.dict(sys.modules, {self.module.__name__: self.module}):
            del self.watched.partial
            self.watched.sync(1)
            again = pickle.loads(pickle.dumps(self.watched))
            self.assertIs(type(again), self.module.Tools)
            self.assertEqual(again.count, 1)
            self.assertIs(type(copy.copy(self.watched)), self.module.Tools)
            self.assertIs(type(copy.deepcopy(self.watched)), self.module.Tools)

    def test_generators_take_what_they_are_sent(self):
        for it in (self.plain, self.watched):
            generator = it.generator(2)
            self.assertIsInstance(generator, types.GeneratorType)
            self.assertEqual(next(generator), 0)
            self.assertEqual(generator.send("hey"), "hey")
            with self.assertRaises(ValueError):
                generator.throw(ValueError("no"))
            self.assertTrue(it.closed)
            generator = it.generator(1)
            next(generator)
            with self.assertRaises(StopIteration) as end:
                next(generator)
            self.assertEqual(end.exception.value, "end")
            it.closed = False
            generator = it.generator(2)
            next(generator)
            generator.close()
            self.assertTrue(it.closed)

    def test_async_generators_are_closed(self):
        async def close(it):
            generator = it.async_generator(2)
            self.assertIsInstance(generator, types.AsyncGeneratorType)
            self.assertEqual(await anext(generator), 0)
            await generator.aclose()
            self.assertTrue(it.closed)
            with self.assertRaises(ValueError):
                generator = it.async_generator(2)
                await anext(generator)
                await generator.athrow(ValueError("no"))

        asyncio.run(close(self.plain))
        asyncio.run(close(self.watched))

    def test_a_cancelled_call_is_cancelled(self):
        text = "import asyncio\nclass Tools:\n    async def waits(self):\n        await asyncio.sleep(9)\n"
        _, messages, it, _ = watched(text)

        async def cancel():
            task = asyncio.create_task(it.waits())
            await asyncio.sleep(0)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        asyncio.run(cancel())
        self.assertEqual([(m["what"], m["result"]) for m in messages], [("call", "cancelled")])

    def test_the_servers_words_about_broken_code(self):
        for text in ("class Tools(:\n", "x = 'a\n", "import nosuchmodule_x\n", "1/0\n", "class Tools:\n  pass\n\0"):
            with self.subTest(text):
                expected = outcome(lambda: plain(text))
                self.assertEqual(outcome(lambda: watched(text)), expected)

    def test_what_the_server_has_from_the_future(self):
        text = "class Tools:\n    def f(self, a: Unknown): pass\n"
        pane = pane_module.Pane(Recorder())
        server = Server(future=True)
        pane.watch(server.module)
        instance, _, _ = server.module.load_tool_module_by_id("t", content=text)
        self.assertEqual(instance.f.__annotations__, {"a": "Unknown"})
        self.assertEqual(outcome(lambda: watched(text))[:2], ("raised", "NameError"))


class TestWhatIsTold(unittest.TestCase):
    def setUp(self):
        self.stdout, self.stderr = io.StringIO(), io.StringIO()
        handle = logging.Logger.handle
        for patch in (mock.patch("sys.stdout", self.stdout), mock.patch("sys.stderr", self.stderr)):
            patch.start()
            self.addCleanup(patch.stop)
        self.addCleanup(setattr, logging.Logger, "handle", handle)
        self.wire = Recorder()
        self.pane = pane_module.Pane(self.wire)
        self.pane.listen()
        server = Server()
        self.server = server.module
        self.pane.watch(server.module)
        self.it, _, _ = server.module.load_tool_module_by_id("t", content=PLUGIN)

    def told(self, *fields):
        messages = [{field: m.get(field) for field in fields} for m in self.wire.messages]
        self.wire.messages.clear()
        return [tuple(m.values()) for m in messages]

    def test_calls(self):
        self.told()
        for name in ("sync", "coroutine", "generator", "async generator", "nothing", "streams"):
            outcome(lambda: CALLS[name](self.it))
        self.assertEqual(
            self.told("what", "kind", "id", "hook", "result"),
            [
                ("call", "tool", "t", "sync", "4"),
                ("call", "tool", "t", "coroutine", "3"),
                ("call", "tool", "t", "generator", "3 pieces"),
                ("call", "tool", "t", "async_generator", "3 pieces"),
                ("call", "tool", "t", "nothing", "None"),
                ("call", "tool", "t", "streams", "2 pieces"),
            ],
        )

    def test_exceptions_have_their_place(self):
        self.told()
        outcome(lambda: self.it.raises_async())
        (message,) = self.wire.messages
        self.assertEqual((message["what"], message["error"]), ("raise", "Mine: no x"))
        (frame,) = message["frames"]
        lines = PLUGIN.split("\n")
        self.assertEqual(frame["source"], lines[frame["line"] - 1])
        self.assertEqual(frame["source"].strip(), 'raise Mine("no x") from error')
        (cause,) = message["causes"]
        self.assertEqual(cause["error"], "KeyError: 'x'")
        marked = cause["frame"]["source"][cause["frame"]["column"] - 1 :][: cause["frame"]["width"]]
        self.assertEqual(marked, "{}[key]")

    def test_columns_count_characters(self):
        text = "class Tools:\n    def f(self, s=''):\n        größe = 'ü'; {}[größe]\n"
        it, _, _ = self.server.load_tool_module_by_id("u", content=text)
        outcome(lambda: it.f())
        frame = self.wire.messages[-1]["frames"][0]
        self.assertEqual(frame["source"][frame["column"] - 1 :][: frame["width"]], "{}[größe]")

    def test_what_lies_outside_is_counted(self):
        text = "import json\nclass Tools:\n    def f(self):\n        return json.loads('{')\n"
        it, _, _ = self.server.load_tool_module_by_id("u", content=text)
        outcome(lambda: it.f())
        message = self.wire.messages[-1]
        self.assertEqual(message["frames"][0]["line"], 4)
        self.assertGreater(message["outside"], 1)
        self.assertTrue(message["at"].startswith("json/decoder.py:"), message["at"])

    def test_a_wrong_call_is_shown_at_the_definition(self):
        outcome(lambda: self.it.sync())
        message = self.wire.messages[-1]
        self.assertEqual(message["frames"][0]["source"].strip(), 'def sync(self, a: int, b: "int" = 2) -> int:')

    def test_a_generator_that_breaks(self):
        self.told()
        outcome(lambda: self.it.broken_async_generator())
        outcome(lambda: self.it.broken_generator())
        self.assertEqual(self.told("what", "error"), [("raise", "Mine: half way")] * 2)

    def test_code_that_raises_when_it_is_loaded(self):
        outcome(lambda: self.server.load_tool_module_by_id("u", content="x = {}\nx['y']\n"))
        message = self.wire.messages[-1]
        self.assertEqual((message["hook"], message["error"], message["frames"][0]["line"]), ("load", "KeyError: 'y'", 2))

    def test_prints(self):
        self.assertEqual(self.told("what", "id", "text"), [("print", "t", "loaded")])
        print("the server's own")
        self.it.prints()
        told = self.told("what", "text")
        self.assertEqual(told[0], ("print", "one 2"))
        self.assertIn(("print", "no end"), told)
        self.assertRegex(told[1][1], r'File "<tool t 1>", line \d+, in prints')
        self.assertIn("the server's own\none 2\n", self.stdout.getvalue())

    def test_a_long_line_is_cut_and_measured(self):
        most = pane_module.LINE
        for length, shown in [(most, "x" * most), (most + 7, "x" * most + "… (7 more characters)")]:
            self.assertEqual(pane_module.cut_line("x" * length), shown)
        self.told()
        self.pane.tell_lines(("tool", "t"), ["x" * 10**6])
        self.assertEqual(self.told("text")[0][0][most:], f"… ({10**6 - most} more characters)")

    def test_a_flood_of_lines_is_cut_and_counted(self):
        most = pane_module.LINES

        def printed():
            told = self.told("what", "text", "count")
            lines = [entry for entry in told if entry[0] == "print"]
            return len(lines), [entry for entry in told if entry[0] != "print"]

        self.told()
        with mock.patch.object(pane_module.threading, "Timer") as timer:
            self.it.floods(3 * most)
            self.assertEqual(printed(), (most, [("more", None, 2 * most), ("call", None, None)]), "anew in each call")
            with self.assertRaises(KeyError):
                self.it.floods(most + 1, "x")
            self.assertEqual(printed(), (most, [("more", None, 1), ("raise", None, None)]))
            # The plugin prints beside its calls, and stops.
            self.it._floods(most + 2)
            self.assertEqual(printed(), (most, []))
            timer.return_value.start.assert_called_once()
            _, end, about = timer.call_args.args
            end(*about)
            self.assertEqual(printed(), (0, [("more", None, 2)]))

    def test_what_the_garbage_collector_runs_may_print(self):
        # A finalizer runs in the middle of anything, also of what holds the lock.
        self.told()

        def run():
            with self.pane.lock:
                self.it.floods(1)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(30)
        self.assertFalse(thread.is_alive())
        self.assertEqual(self.told("what"), [("print",), ("call",)])
        self.assertIsInstance(pane_module.Wire(0, "").waiting, type(__import__("queue").SimpleQueue()))

    def test_a_method_that_works_again_is_told_in_any_case(self):
        self.pane.calls = False
        self.told()
        with self.assertRaises(KeyError):
            self.it.floods(0, "x")
        self.it.sync(1)
        self.it.floods(0)
        self.it.floods(0)
        self.assertEqual(self.told("what", "hook", "again"), [("raise", "floods", None), ("call", "floods", True)])

    def test_log_records(self):
        self.told()
        handler = logging.StreamHandler(sys.stderr)
        logging.getLogger().addHandler(handler)
        self.addCleanup(logging.getLogger().removeHandler, handler)
        self.it.logs()
        self.assertEqual(
            self.told("what", "text", "level")[:2],
            [
                ("print", "watch out", "warning"),
                ("print", f"failed (KeyError: 'y', line {self.line('return {}[key]')})", "error"),
            ],
        )
        self.assertIn("watch out\n", self.stderr.getvalue())

    def line(self, text):
        return next(n for n, line in enumerate(PLUGIN.split("\n"), 1) if line.strip() == text)

    def test_the_servers_log(self):
        self.pane.log = True
        self.told()
        print("the server's own")
        self.assertEqual(self.told("what", "id", "text"), [("log", None, "the server's own")])

    def test_calls_can_be_left_out(self):
        self.pane.calls = False
        self.told()
        self.it.sync(1)
        outcome(lambda: self.it.raises("x"))
        self.assertEqual(self.told("what"), [("raise",)])

    def test_hooks_of_functions_alone(self):
        text = "class Pipe:\n    def pipes(self):\n        return []\n    def pipe(self):\n        return 1\n    def more(self):\n        return 2\n"
        it, kind, _ = asyncio.run(self.server.load_function_module_by_id("f", text))
        self.assertEqual(kind, "pipe")
        self.told()
        self.assertEqual((it.pipes(), it.pipe(), it.more()), ([], 1, 2))
        self.assertEqual(self.told("what", "kind", "hook"), [("call", "function", "pipe")])

    def test_calls_for_events_have_their_names(self):
        text = "class Pipe:\n    async def event(self, event, **more):\n        event.clear()\n"
        it, _, _ = asyncio.run(self.server.load_function_module_by_id("f", text))
        self.told()
        login = {"event": "auth.login"}
        asyncio.run(it.event(login))
        asyncio.run(it.event(event={"event": "user.deleted"}, __user__={"id": 1}))
        asyncio.run(it.event({"event": 7}))
        self.assertEqual(login, {}, "the plugin has the server's own")
        self.assertEqual(self.told("hook", "event"), [("event", name) for name in ("auth.login", "user.deleted", None)])

    def test_results_are_short(self):
        brief = pane_module.brief
        body = {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}
        for value, expected in [
            ("a\nb", '"a⏎b"'),
            (None, "None"),
            (True, "True"),
            (10**40, "a large number"),
            ({"a": [1, 2.5, {"b": 1}]}, '{"a": [1, 2.5, dict of 1]}'),
            ((), "()"),
            (list(range(100)), "[0, 1, 2, 3, 4, 5, …]"),
            (b"abc", "bytes of 3"),
            (body, '2 messages, the last: "b"'),
            ({"messages": [{"content": "x"}]}, '1 message: "x"'),
            ({"messages": []}, '{"messages": []}'),
            (self.it, "<StandIn>"),
        ]:
            self.assertEqual(brief(value), expected)
        self.assertLess(len(pane_module.cut(brief("x" * 10**6), 160)), 161)


class TestListsOfModels(unittest.TestCase):
    """The result of `pipes`: the server is silent about a wrong one, so a trial tells."""

    def listed(self, result):
        return self.seen(f"class Pipe:\n    async def pipes(self):\n        return {result}\n")

    def seen(self, text):
        wire = Recorder()
        server = Server().module
        pane_module.Pane(wire).watch(server)
        about = ("function", "x")
        instance = asyncio.run(server.load_function_module_by_id("x", text))[0]
        before = pane_module.trial.set(pane_module.Trial(about))
        try:
            outcome(lambda: self.as_the_server_lists(instance))
            return pane_module.trial.get().calls
        finally:
            pane_module.trial.reset(before)

    def as_the_server_lists(self, module):
        if not callable(module.pipes):
            items = module.pipes
        elif asyncio.iscoroutinefunction(module.pipes):
            items = asyncio.run(module.pipes())
        else:
            items = module.pipes()
        return [(f"x.{item['id']}", item["name"]) for item in items]

    def test_a_wrong_one_is_seen_with_its_place(self):
        for result, words in [
            ("None", "`pipes` returned None, which is no list"),
            ("{'id': 'a', 'name': 'A'}", '`pipes` returned {"id": "a", "name": "A"}, which is no list'),
            ("'a'", '`pipes` returned "a", which is no list'),
            ("object()", "`pipes` returned <object>, which is no list"),
            ("[]", "`pipes` returned an empty list"),
            ("['a']", 'item 1 of `pipes` is "a": it must be a dict with `id` and `name`'),
            ("[{'id': 'a', 'name': 'A'}, {'id': 'b'}]", 'item 2 of `pipes` has no `name`: {"id": "b"}'),
            ("[{'id': 'a', 'name': 7}]", 'item 1 of `pipes` has a `name` that is no text: {"id": "a", "name": 7}'),
        ]:
            with self.subTest(result):
                (call,) = self.listed(result)
                self.assertEqual((call["hook"], call["error"], call["frame"]["line"]), ("pipes", words, 2))
        (call,) = self.listed("1 / 0")
        self.assertEqual((call["error"], call["frame"]["line"]), ("ZeroDivisionError: division by zero", 3))

    def test_what_a_generator_yields_is_seen(self):
        for sort, body, words in [
            ("def", "yield from ()", "`pipes` yielded no model"),
            ("def", "yield {'id': 'a', 'name': 'A'}; yield {'id': 'b'}", 'item 2 of `pipes` has no `name`: {"id": "b"}'),
            ("async def", "yield {'id': 'a', 'name': 'A'}", "`pipes` returned <async_generator>, which is no list"),
        ]:
            with self.subTest(body):
                (call,) = self.seen(f"class Pipe:\n    {sort} pipes(self):\n        {body}\n")
                self.assertEqual((call["hook"], call["error"], call["frame"]["line"]), ("pipes", words, 2))
        self.assertEqual(self.seen("class Pipe:\n    def pipes(self):\n        yield {'id': 'a', 'name': 'A'}\n"), [])

    def test_a_list_that_is_an_attribute_is_seen(self):
        for value, words in [
            ("[]", "`pipes` is an empty list"),
            ("None", "`pipes` is None, which is no list"),
            ("[{'name': 'A'}]", 'item 1 of `pipes` has no `id`: {"name": "A"}'),
        ]:
            with self.subTest(value):
                (call,) = self.seen(f"class Pipe:\n    pipes = {value}\n")
                self.assertEqual((call["hook"], call["error"], call["frame"]), ("pipes", words, None))
        self.assertEqual(self.seen("class Pipe:\n    pipes = [{'id': 'a', 'name': 'A'}]\n"), [])

    def test_a_right_one_is_no_news(self):
        for result in ("[{'id': 'a', 'name': 'A', 'more': 1}]", "({'id': 1, 'name': '2'},)", "iter([])", "range(0)"):
            self.assertEqual(self.listed(result), [])
        # The server makes text of it.
        text = "class Pipe:\n    name = 'x: '\n    def pipes(self):\n        return [{'id': 1, 'name': 2}]\n"
        self.assertEqual(self.seen(text), [])


class TestTrials(unittest.TestCase):
    """What is seen of the plugins that the server calls for the requests of a trial."""

    FILTER = """
class Pipe:
    def inlet(self, body):
        return None if body == "nothing" else body

    def stream(self, event):
        return event

    def outlet(self, body):
        return {}[body]
"""

    def setUp(self):
        self.server = Server().module
        pane_module.Pane(Recorder(), calls=False).watch(self.server)
        self.filters = {}
        for name in ("mine", "größe"):
            self.filters[name] = asyncio.run(self.server.load_function_module_by_id(name, self.FILTER))[0]
        self.trials = pane_module.Trials(self.app)

    async def app(self, scope, receive, send):
        """Calls each filter as the server does, in another task."""
        await asyncio.create_task(self.call_filters(scope["body"]))

    async def call_filters(self, body):
        for module in self.filters.values():
            for hook in ("inlet", "stream", "stream", "outlet"):
                handler = getattr(module, hook, None)
                if handler:
                    outcome(lambda: handler(body))

    def ask(self, header=None, path="/api/chat/completions", body="x"):
        sent = []

        async def send(message):
            sent.append(message)

        headers = [(b"accept", b"*/*")] + ([(b"x-owui-watch-trial", header.encode())] if header else [])
        asyncio.run(self.trials({"type": "http", "path": path, "headers": headers, "body": body}, None, send))
        return sent

    def seen(self, name):
        return json.loads(self.ask(path=f"/owui-watch/trial/{name}")[1]["body"])

    def test_the_calls_of_a_trial_are_seen_once(self):
        self.ask("one function größe")
        self.ask("two function mine", body="nothing")
        self.ask()
        first, second = self.seen("one"), self.seen("two")
        self.assertEqual([(call["id"], call["hook"], call["error"]) for call in first], [
            ("größe", "inlet", None), ("größe", "stream", None), ("größe", "outlet", "KeyError: 'x'")
        ])
        self.assertEqual((first[2]["frame"]["line"], first[2]["frame"]["column"]), (10, 16))
        self.assertEqual([(call["id"], call["nothing"]) for call in second], [("mine", True), ("mine", False), ("mine", False)])
        self.assertIsNone(self.seen("one"))

    def test_trials_that_nobody_asks_for_are_forgotten(self):
        for n in range(pane_module.TRIALS + 1):
            self.ask(f"{n} function mine")
        self.assertEqual(len(self.trials.trials), pane_module.TRIALS)
        self.assertIsNone(self.seen("0"))
        self.assertEqual(len(self.seen("1")), 3)

    def test_other_requests_are_as_they_were(self):
        self.ask()
        self.assertEqual(self.trials.trials, {})
        for module in self.filters.values():
            self.assertEqual(module.inlet("a"), "a")


class TestDeploys(unittest.TestCase):
    """What the answers to owui-watch's deploys say of code that raises when it is loaded."""

    def setUp(self):
        self.server, self.wire = Server().module, Recorder()
        pane_module.Pane(self.wire).watch(self.server)

    def deploy(self, text, agent=b"owui-watch/1", path="/api/v1/tools/create"):
        sent = []

        async def app(scope, receive, send):
            result = await asyncio.to_thread(outcome, lambda: self.server.load_tool_module_by_id("t", content=text))
            await send({"type": "http.response.start", "status": 200 if result[0] == "returned" else 400, "headers": []})
            await send({"type": "http.response.body", "body": b'{"detail": "the server"}'})

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "path": path, "headers": [(b"user-agent", agent)]}
        asyncio.run(pane_module.Deploys(app)(scope, None, send))
        self.assertEqual([message["type"] for message in sent], ["http.response.start", "http.response.body"])
        return sent[0]["status"], json.loads(sent[1]["body"])["detail"]

    def told(self):
        return [message["what"] for message in self.wire.messages]

    def test_a_refusal_names_exception_and_line(self):
        for text, words in [
            ("x = {}\n\ndef f():\n    return x['y']\n\nf()", "KeyError: 'y' (<string>, line 4)"),
            ("import no.such", "ModuleNotFoundError: No module named 'no' (<string>, line 1)"),
            ("class Mine(Exception):\n    pass\nraise Mine('so')", "Mine: so (<string>, line 3)"),
            ("raise OSError('in tool_my_t_%s')" % ("0a" * 16), "OSError: in my_t (<string>, line 1)"),
            # The server's words say it.
            ("def f(:", "the server"),
            ("class Other:\n    pass", "the server"),
        ]:
            with self.subTest(text):
                self.assertEqual(self.deploy(text), (400, words))
        self.assertEqual(self.told(), [], "it is told once")
        self.assertEqual(self.deploy(PLUGIN)[0], 200)

    def test_other_requests_get_the_servers_answer(self):
        for elsewhere in ({"agent": b"Mozilla/5.0"}, {"path": "/api/chat/completions"}):
            with self.subTest(elsewhere):
                self.assertEqual(self.deploy("{}['y']", **elsewhere), (400, "the server"))
                self.assertEqual(self.told(), ["raise"])
                self.wire.messages.clear()


class TestTheWire(unittest.TestCase):
    def test_messages_arrive_and_streams_are_one(self):
        listener = socket.create_server(("127.0.0.1", 0))
        wire = pane_module.Wire(listener.getsockname()[1], "token")
        stream = {"what": "call", "kind": "function", "id": "f", "hook": "stream", "ms": 1.0, "result": "{}", "again": False, "times": 1}
        for message in (stream, stream, {**stream, "hook": "outlet"}, stream):
            wire.send(message)
        connection, _ = listener.accept()
        lines = connection.makefile()
        self.assertEqual(next(lines), "token\n")
        told = [json.loads(next(lines)) for _ in range(3)]
        self.assertEqual([(m["hook"], m["times"], m["ms"]) for m in told], [("stream", 2, 2.0), ("outlet", 1, 1.0), ("stream", 1, 1.0)])
        connection.close()
        listener.close()

    def test_nobody_waits_for_a_reader_who_does_not_read(self):
        read = threading.Event()
        connection = mock.MagicMock()
        connection.__enter__.return_value = connection
        connection.sendall.side_effect = lambda _: read.wait()
        with mock.patch.object(pane_module.socket, "create_connection", return_value=connection):
            wire = pane_module.Wire(1, "token")
            for _ in range(20_000):
                wire.send({"what": "print", "kind": "tool", "id": "t", "text": "x"})
            self.assertEqual(wire.lost, 20_000 - pane_module.WAITING)
            read.set()

    def test_nobody_listens(self):
        with mock.patch.object(threading, "excepthook") as hook:
            wire = pane_module.Wire(1, "token")
            for _ in range(2000):
                wire.send({"what": "print"})
            time.sleep(0.1)
            hook.assert_not_called()


if __name__ == "__main__":
    unittest.main()
