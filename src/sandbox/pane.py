# Tells owui-watch what plugins do: their calls, what they print and log, and where they raise. The launcher runs this in the
# server's process. Plugins see nothing of it: the server gets a stand-in for a plugin's instance, and the stand-in wraps
# the methods that the server calls.
import __future__

import builtins
import collections
import contextvars
import functools
import inspect
import itertools
import json
import linecache
import logging
import queue
import re
import socket
import sys
import threading
import time
import types

FILTERS = {"inlet", "stream", "outlet"}
HOOKS = {"pipe", "action", "event"} | FILTERS
LONGEST = 2000  # characters of a message
LINE = 300  # characters of a line that a plugin prints
RESULT = 100  # characters of a result
FRAMES = 8  # of a traceback
LINES = 100  # that a plugin prints in one call, or in one spell
SPELL = 10  # seconds
WAITING = 1000  # messages that are not sent yet
KEPT = 3  # texts of one plugin: what runs now, and what still runs
TRIALS = 50  # that are not asked for yet
SEEN = 100  # calls of one trial
FUTURES = functools.reduce(lambda flags, name: flags | getattr(__future__, name).compiler_flag, __future__.all_feature_names, 0)

# The plugin that is being loaded: its kind and id.
loading = contextvars.ContextVar("loading", default=None)
# The trial that a request is part of.
trial = contextvars.ContextVar("trial", default=None)
# What the text raised that a request of owui-watch deploys.
refused = contextvars.ContextVar("refused", default=None)
# Whether this thread writes a plugin's log record, which was told already.
writing = threading.local()


def cut(text, longest=LONGEST):
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    # JSON knows no half of a surrogate pair.
    return text.encode("utf-8", "replace").decode("utf-8")


def cut_line(line):
    """A line that a plugin prints, or its beginning and how long the rest is."""
    more = len(line) - LINE
    return cut(line if more <= 0 else f"{line[:LINE]}… ({more} more characters)")


class Wire:
    """Sends messages, on a thread of its own. Nobody waits for it: what does not fit is counted and left out."""

    def __init__(self, port, token):
        self.port, self.token = port, token
        # What the garbage collector runs may write, and so send, in the middle of a `send`: this queue allows that.
        self.waiting = queue.SimpleQueue()
        self.lost = 0
        threading.Thread(target=self.run, name="owui-watch", daemon=True).start()

    def send(self, message):
        if self.waiting.qsize() < WAITING:
            self.waiting.put(message)
        else:
            self.lost += 1

    def run(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
                connection.sendall(self.token.encode() + b"\n")
                for message in self.messages():
                    connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            # Nobody listens any more. What is still told fills the queue, and no more than that.
            pass

    def messages(self):
        """All messages. The calls of a `stream` hook, one for each piece of an answer, become one."""
        streams = {}
        while True:
            try:
                message = self.waiting.get(timeout=0.5 if streams else None)
            except queue.Empty:
                message = None
            if message and message["what"] == "call" and message["hook"] == "stream":
                sum_of = streams.setdefault((message["kind"], message["id"]), {**message, "result": "", "times": 0, "ms": 0})
                sum_of["times"] += 1
                sum_of["ms"] += message["ms"]
                sum_of["again"] = sum_of["again"] or message["again"]
                continue
            yield from streams.values()
            streams.clear()
            lost, self.lost = self.lost, 0
            if lost:
                yield {"what": "lost", "count": lost}
            if message:
                yield message


class Sources:
    """The texts of plugins, by the file names that their code is compiled with. Owui-watch knows the files' paths."""

    def __init__(self):
        self.about, self.names, self.count = {}, collections.defaultdict(list), 0

    def add(self, about, text):
        self.count += 1
        name = f"<{about[0]} {about[1]} {self.count}>"
        self.about[name] = about
        # Python itself quotes source lines from here.
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        names = self.names[about]
        names.append(name)
        while len(names) > KEPT:
            old = names.pop(0)
            self.about.pop(old, None)
            linecache.cache.pop(old, None)
        return name


def brief(value, depth=2):
    """A value in few words. It runs no code of a plugin's, so its own types are no more than named."""
    kind = type(value)
    if kind is str:
        return '"%s"' % value[: RESULT + 1].replace("\r", "").replace("\n", "⏎")
    if value is None or kind in (bool, int, float):
        return repr(value) if kind is not int or abs(value) < 10**30 else "a large number"
    if kind is dict and type(value.get("messages")) is list and value["messages"]:
        messages = value["messages"]
        last = messages[-1].get("content") if type(messages[-1]) is dict else None
        count = "1 message" if len(messages) == 1 else f"{len(messages)} messages, the last"
        return f"{count}: {brief(last, 1)}"
    if kind in (dict, list, tuple) and depth > 0:
        some = itertools.islice(value.items() if kind is dict else value, 6)
        if kind is dict:
            inside = [f"{brief(key, 0)}: {brief(item, depth - 1)}" for key, item in some]
        else:
            inside = [brief(item, depth - 1) for item in some]
        inside += ["…"] if len(value) > len(inside) else []
        return ("{%s}" if kind is dict else "[%s]" if kind is list else "(%s)") % ", ".join(inside)
    if kind in (dict, list, tuple, set, bytes):
        return f"{kind.__name__} of {len(value)}"
    return f"<{kind.__qualname__}>"


def wrong_model(count, model, is_prefixed):
    """What is wrong with an item of `pipes`; None if nothing is. The server lists no item after a wrong one, and no model
    at all where JSON cannot hold a `name`. It makes text of an `id`, and of a `name` behind the pipe's own."""
    if model is None or isinstance(model, (str, bytes, list, tuple, bool, int, float)):
        return f"item {count} of `pipes` is {brief(model)}: it must be a dict with `id` and `name`"
    if not isinstance(model, dict):
        return None
    missing = [key for key in ("id", "name") if key not in model]
    if missing:
        return f"item {count} of `pipes` has no `{missing[0]}`: {brief(model)}"
    if not is_prefixed and not isinstance(model["name"], str):
        return f"item {count} of `pipes` has a `name` that is no text: {brief(model)}"
    return None


def wrong_models(models, verb, is_prefixed):
    """What is wrong with `pipes`, which the server takes for a list of models; None if nothing is."""
    is_iterable = hasattr(type(models), "__iter__") or hasattr(type(models), "__getitem__")
    if not is_iterable or isinstance(models, (str, bytes, dict)):
        return f"`pipes` {verb} {brief(models)}, which is no list"
    if not isinstance(models, (list, tuple)):
        return None
    if not models:
        return f"`pipes` {verb} an empty list"
    return next(filter(None, (wrong_model(count, model, is_prefixed) for count, model in enumerate(models, 1))), None)


def event_name(args, kwargs):
    """The name of the server's event that an `event` method is called with."""
    for value in (*kwargs.values(), *args):
        name = value.get("event") if type(value) is dict else None
        if type(name) is str:
            return cut(name, RESULT)
    return None


def named(error):
    """An exception as Python's own last line of a traceback."""
    kind = type(error)
    module = "" if kind.__module__ in ("builtins", "__main__") else kind.__module__ + "."
    try:
        words = str(error)
    except Exception:
        words = "<no words>"
    words = f"{module}{kind.__qualname__}: {words}" if words else module + kind.__qualname__
    # The server makes up the names of plugins' modules: left out before a class, and the id elsewhere.
    words = re.sub(r"^(function|tool)_\w+\.(?=\w)", "", words)
    return cut(re.sub(r"\b(?:function|tool)_(\w+)_[0-9a-f]{32}\b", r"\1", words))


def place(code, line, position):
    """A place in a plugin's text: line, column, width and the line itself. Columns count characters from 1."""
    text = linecache.getline(code.co_filename, line).rstrip("\r\n")
    _, end_line, start, end = position
    if start is None or end is None:
        start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    else:
        raw = text.encode("utf-8", "replace")
        start = len(raw[:start].decode("utf-8", "replace"))
        end = len(raw[:end].decode("utf-8", "replace")) if end_line == line else len(text.rstrip())
    return {"line": line, "column": start + 1, "width": max(end - start, 1), "source": cut(text, 500)}


class Pane:
    def __init__(self, wire, calls=True, log=False):
        self.wire, self.calls, self.log = wire, calls, log
        self.sources = Sources()
        self.lines = {}
        # How many lines each plugin has printed in this call or spell, and when that began.
        self.printed = {}
        # The plugins whose spell ends by a timer.
        self.timed = set()
        # What the server takes each function for.
        self.types = {}
        # The plugins that raised, and in which hook: the next call that works is told in any case.
        self.raising = {}
        # The garbage collector may run a plugin's code that prints while this is held.
        self.lock = threading.RLock()

    def tell(self, what, about, **more):
        kind, id = about or (None, None)
        self.wire.send({"what": what, "kind": kind, "id": id, "type": self.types.get(about), **more})

    # ---- calls ----

    def wrap(self, function, about, hook):
        """A function that does what this one does, and tells of it. For the server it is of the same kind."""
        if inspect.iscoroutinefunction(function):

            async def wrapper(*args, **kwargs):
                call = Call(self, about, hook, function, args, kwargs)
                try:
                    result = await function(*args, **kwargs)
                except BaseException as error:
                    call.raised(error)
                    raise
                return call.returned(result)

        else:

            def wrapper(*args, **kwargs):
                call = Call(self, about, hook, function, args, kwargs)
                try:
                    result = function(*args, **kwargs)
                except BaseException as error:
                    call.raised(error)
                    raise
                return call.returned(result)

        return functools.wraps(function)(wrapper)

    def wrap_method(self, method, about, hook):
        if isinstance(method, types.MethodType):
            return types.MethodType(self.wrap(method.__func__, about, hook), method.__self__)
        return self.wrap(method, about, hook)

    # ---- tracebacks ----

    def frames(self, error):
        """The plugins' frames of a traceback, the innermost first, and what lies outside of plugins."""
        inside, outside, at = [], 0, None
        trace = error.__traceback__
        while trace:
            code = trace.tb_frame.f_code
            about = self.sources.about.get(code.co_filename)
            if about:
                position = next(itertools.islice(code.co_positions(), trace.tb_lasti // 2, None), (None,) * 4)
                where = place(code, trace.tb_lineno, position)
                inside.append({"kind": about[0], "id": about[1], "name": code.co_name, **where})
                at = None
            elif code.co_filename != __file__:
                outside += 1
                at = "/".join(code.co_filename.replace("\\", "/").split("/")[-2:]) + f":{trace.tb_lineno}"
            trace = trace.tb_next
        inside.reverse()
        return inside[:FRAMES], outside, at

    def traceback(self, error):
        frames, outside, at = self.frames(error)
        causes, cause = [], error
        while len(causes) < 3:
            cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
            if cause is None:
                break
            theirs, _, _ = self.frames(cause)
            causes.append({"error": named(cause), "frame": theirs[0] if theirs else None})
        return {"error": named(error), "frames": frames, "outside": outside, "at": at, "causes": causes}

    def tell_raised(self, about, hook, ms, told):
        self.raising[about] = hook
        self.tell("raise", about, hook=hook, ms=ms, **told)

    # ---- what is printed and logged ----

    def who_prints(self, frame):
        for _ in range(200):
            if frame is None or frame.f_globals.get("__name__") == "logging":
                return None
            about = self.sources.about.get(frame.f_code.co_filename)
            if about:
                return about
            frame = frame.f_back

    def heard(self, text, frame, stream):
        """Something was written to the standard output or error."""
        if getattr(writing, "told", False):
            return
        about = self.who_prints(frame)
        if about is None and not self.log:
            return
        key = (about, threading.get_ident(), stream)
        with self.lock:
            *lines, rest = (self.lines.pop(key, "") + text).split("\n")
            if len(rest) > LONGEST:
                lines, rest = [*lines, rest], ""
            if rest:
                self.lines[key] = rest
        self.tell_lines(about, lines)

    def tell_lines(self, about, lines):
        for line in filter(str.strip, lines):
            if about is None:
                self.tell("log", about, text=cut(line.rstrip()))
            elif self.has_room(about):
                self.tell("print", about, text=cut_line(line.rstrip()))

    def has_room(self, about):
        """Whether one more line of a plugin is told. The others are counted."""
        now = time.monotonic()
        with self.lock:
            count, began = self.printed.get(about, (0, now))
            is_over = now - began >= SPELL
            self.printed[about] = (1, now) if is_over else (count + 1, began)
        if is_over:
            self.tell_more(about, count)
        elif count == LINES:
            self.end_later(about)
        return is_over or count < LINES

    def end_later(self, about):
        """A plugin may print outside of calls: no end of a call tells of the rest then."""
        with self.lock:
            if about in self.timed:
                return
            self.timed.add(about)
        rest = threading.Timer(SPELL, self.end_spell, [about, True])
        rest.daemon = True
        try:
            rest.start()
        except RuntimeError:
            # There are too many threads.
            self.timed.discard(about)

    def end_spell(self, about, by_timer=False):
        with self.lock:
            if by_timer:
                self.timed.discard(about)
            count, _ = self.printed.pop(about, (0, 0))
        self.tell_more(about, count)

    def tell_more(self, about, count):
        if count > LINES:
            self.tell("more", about, count=count - LINES)

    def flush(self, about):
        """A line without an end is told when the call that began it ends, and how many lines were too many."""
        with self.lock:
            keys = [key for key in self.lines if key[0] == about]
            rest = [self.lines.pop(key) for key in keys]
        self.tell_lines(about, rest)
        self.end_spell(about)

    def logged(self, about, record):
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            frames, _, _ = self.frames(record.exc_info[1])
            text += f" ({named(record.exc_info[1])}{', line %d' % frames[0]['line'] if frames else ''})"
        for line in filter(str.strip, text.split("\n")):
            if self.has_room(about):
                self.tell("print", about, text=cut_line(line), level=record.levelname.lower())

    def listen(self):
        """Listens to what is printed and logged from now on."""
        sys.stdout, sys.stderr = Tee(self, sys.stdout), Tee(self, sys.stderr)
        handle = logging.Logger.handle

        @functools.wraps(handle)
        def wrapper(logger, record):
            about = self.sources.about.get(record.pathname)
            if about is None or logger.disabled:
                return handle(logger, record)
            try:
                self.logged(about, record)
            except Exception:
                pass
            writing.told = True
            try:
                return handle(logger, record)
            finally:
                writing.told = False

        logging.Logger.handle = wrapper

    # ---- loading ----

    def watch(self, module):
        """Has the server's module `open_webui.utils.plugin` load plugins that are watched."""
        module.exec = self.run
        for kind in ("function", "tool"):
            name = f"load_{kind}_module_by_id"
            setattr(module, name, self.wrap_loader(getattr(module, name), kind))

    def run(self, text, scope):
        """Stands for `exec` in the server's module: the code knows its file."""
        about = loading.get()
        # As the builtin does: what the caller has from `__future__` counts.
        flags = sys._getframe(1).f_code.co_flags & FUTURES
        if about is None or not isinstance(text, str):
            return builtins.exec(text, scope)
        name = self.sources.add(about, text)
        try:
            code = compile(text, name, "exec", flags, True)
        except Exception:
            # In the server's words.
            code = compile(text, "<string>", "exec", flags, True)
        builtins.exec(code, scope)

    def wrap_loader(self, load, kind):
        def begin(args, kwargs):
            about = (kind, str(args[0] if args else kwargs.get(f"{kind}_id")))
            return about, loading.set(about)

        def failed(about, error):
            try:
                self.flush(about)
                told = self.traceback(error) if isinstance(error, Exception) else None
                if not told or not told["frames"]:
                    return
                answer = refused.get()
                if answer is not None:
                    mine = (frame["line"] for frame in told["frames"] if (frame["kind"], frame["id"]) == about)
                    line = next(mine, None)
                    answer.append(told["error"] + (f" (<string>, line {line})" if line else ""))
                elif not isinstance(error, (SyntaxError, ImportError)):
                    # What the server says of those is enough.
                    self.tell_raised(about, "load", None, told)
            except Exception:
                pass

        def loaded(about, result):
            if about[0] == "function" and type(result[1]) is str:
                self.types[about] = result[1]
            self.flush(about)
            return (StandIn(self, about, result[0]), *result[1:])

        if inspect.iscoroutinefunction(load):

            async def wrapper(*args, **kwargs):
                about, before = begin(args, kwargs)
                try:
                    result = await load(*args, **kwargs)
                except BaseException as error:
                    failed(about, error)
                    raise
                finally:
                    loading.reset(before)
                return loaded(about, result)

        else:

            def wrapper(*args, **kwargs):
                about, before = begin(args, kwargs)
                try:
                    result = load(*args, **kwargs)
                except BaseException as error:
                    failed(about, error)
                    raise
                finally:
                    loading.reset(before)
                return loaded(about, result)

        return functools.wraps(load)(wrapper)


class Call:
    """One call of a plugin, which ends with its result, or with the end of the generator that it has returned."""

    def __init__(self, pane, about, hook, function, args, kwargs):
        self.pane, self.about, self.hook, self.function = pane, about, hook, function
        self.instance = args[0] if args else None
        self.event = event_name(args, kwargs) if hook == "event" else None
        self.began, self.trial = time.perf_counter(), trial.get()

    def ms(self):
        return (time.perf_counter() - self.began) * 1000

    def told(self, result, nothing=False, cancelled=False):
        try:
            self.pane.flush(self.about)
            again = not cancelled and self.pane.raising.get(self.about) in (self.hook, "load")
            if again:
                self.pane.raising.pop(self.about, None)
            # What models there are is asked all the time.
            elif self.hook == "pipes":
                return
            if self.trial and self.hook != "pipes":
                self.trial.saw(self.about, self.hook, nothing)
            if self.pane.calls or again:
                result = cut(result, RESULT)
                more = {"result": result, "again": again, "times": 1}
                self.pane.tell("call", self.about, hook=self.hook, event=self.event, ms=self.ms(), **more)
        except Exception:
            pass

    def raised(self, error):
        try:
            if not isinstance(error, Exception):
                self.told("cancelled", cancelled=True)
                return
            self.pane.flush(self.about)
            told = self.pane.traceback(error)
            # It was called in another way than it is defined.
            told["frames"] = told["frames"] or self.definition()
            if self.trial:
                self.trial.saw(self.about, self.hook, error=told["error"], frames=told["frames"])
            self.pane.tell_raised(self.about, self.hook, self.ms(), told)
        except Exception:
            pass

    def definition(self):
        """The place of the method itself, as the frames of a traceback."""
        code = getattr(self.function, "__code__", None)
        if code is None:
            return []
        where = place(code, code.co_firstlineno, (None,) * 4)
        return [{"kind": self.about[0], "id": self.about[1], "name": code.co_name, **where}]

    def check_models(self, find, *args):
        """A trial tells what is wrong with a list of models: the server leaves the models out, or fails."""
        try:
            if self.trial and self.hook == "pipes":
                wrong = find(*args, hasattr(self.instance, "name"))
                if wrong:
                    self.trial.saw(self.about, self.hook, error=wrong, frames=self.definition())
        except Exception:
            pass

    def returned(self, result):
        if isinstance(result, types.GeneratorType):
            return self.relay(result)
        if isinstance(result, types.AsyncGeneratorType):
            self.check_models(wrong_models, result, "returned")
            return self.relay_async(result)
        try:
            body = getattr(result, "body_iterator", None)
            if isinstance(body, types.AsyncGeneratorType):
                # A streaming response.
                result.body_iterator = self.relay_async(body)
                return result
            self.check_models(wrong_models, result, "returned")
            told = brief(result)
        except Exception:
            told = f"<{type(result).__qualname__}>"
        self.told(told, nothing=result is None)
        return result

    def pieces(self, first, count):
        text = "".join(piece for piece in first if type(piece) is str)
        more = "1 piece" if count == 1 else f"{count} pieces"
        return f"{brief(cut(text, RESULT - 20))} in {more}" if text else more

    def relay(self, inner):
        first, count = [], 0
        step = functools.partial(next, inner)
        try:
            while True:
                item = step()
                count += 1
                self.check_models(wrong_model, count, item)
                if len(first) < 40:
                    first.append(item)
                try:
                    sent = yield item
                except GeneratorExit:
                    inner.close()
                    raise
                except BaseException as error:
                    step = functools.partial(inner.throw, error)
                else:
                    step = functools.partial(inner.send, sent)
        except StopIteration as end:
            self.check_models(lambda is_prefixed: None if count else "`pipes` yielded no model")
            self.told(self.pieces(first, count))
            return end.value
        except GeneratorExit:
            self.told(f"{self.pieces(first, count)}, then cancelled", cancelled=True)
            raise
        except BaseException as error:
            self.raised(error)
            raise

    async def relay_async(self, inner):
        first, count = [], 0
        step = functools.partial(inner.asend, None)
        try:
            while True:
                item = await step()
                count += 1
                if len(first) < 40:
                    first.append(item)
                try:
                    sent = yield item
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as error:
                    step = functools.partial(inner.athrow, error)
                else:
                    step = functools.partial(inner.asend, sent)
        except StopAsyncIteration:
            self.told(self.pieces(first, count))
        except GeneratorExit:
            self.told(f"{self.pieces(first, count)}, then cancelled", cancelled=True)
            raise
        except BaseException as error:
            self.raised(error)
            raise


class StandIn:
    """What the server gets for a plugin's instance. Whatever is read, set or asked is the instance's own, but for the
    methods that the server calls."""

    def __init__(self, pane, about, instance):
        for name, value in (("_pane", pane), ("_about", about), ("_instance", instance)):
            object.__setattr__(self, name, value)

    def __getattribute__(self, name):
        instance = object.__getattribute__(self, "_instance")
        about = object.__getattribute__(self, "_about")
        tried = trial.get() if name in FILTERS and about[0] == "function" else None
        if tried and tried.about != about:
            raise AttributeError(name)
        value = getattr(instance, name)
        is_hook = name in HOOKS or name == "pipes" if about[0] == "function" else not name.startswith("_")
        if is_hook and inspect.isroutine(value):
            return object.__getattribute__(self, "_pane").wrap_method(value, about, name)
        if name == "pipes" and about[0] == "function" and not callable(value):
            Call(object.__getattribute__(self, "_pane"), about, name, None, (instance,), {}).check_models(wrong_models, value, "is")
        return value

    def __setattr__(self, name, value):
        setattr(object.__getattribute__(self, "_instance"), name, value)

    def __delattr__(self, name):
        delattr(object.__getattribute__(self, "_instance"), name)

    def __dir__(self):
        return dir(object.__getattribute__(self, "_instance"))

    def __repr__(self):
        return repr(object.__getattribute__(self, "_instance"))

    def __str__(self):
        return str(object.__getattribute__(self, "_instance"))

    def __eq__(self, other):
        other = object.__getattribute__(other, "_instance") if type(other) is StandIn else other
        return object.__getattribute__(self, "_instance") == other

    def __hash__(self):
        return hash(object.__getattribute__(self, "_instance"))

    def __bool__(self):
        return bool(object.__getattribute__(self, "_instance"))

    def __reduce_ex__(self, protocol):
        return object.__getattribute__(self, "_instance").__reduce_ex__(protocol)


class Tee:
    """A stream that is also listened to."""

    def __init__(self, pane, stream):
        self._pane, self._stream = pane, stream

    def write(self, text):
        written = self._stream.write(text)
        try:
            self._pane.heard(text, sys._getframe(1), id(self))
        except Exception:
            pass
        return written

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def __getattr__(self, name):
        return getattr(self._stream, name)


class Trial:
    """What plugins do for one trial. The filters of others have no hooks meanwhile: the server leaves them out."""

    def __init__(self, about):
        self.about, self.calls = about, []

    def saw(self, about, hook, nothing=False, error=None, frames=()):
        own = next((frame for frame in frames if (frame["kind"], frame["id"]) == about), None)
        call = {"kind": about[0], "id": about[1], "hook": hook, "nothing": nothing, "error": error, "frame": own}
        if call not in self.calls and len(self.calls) < SEEN:
            self.calls.append(call)


class Trials:
    """Stands before the server's app. A request belongs to the trial that its header names, with the plugin's kind and id;
    at the address of a trial it answers, once, what was seen."""

    header, address = b"x-owui-watch-trial", "/owui-watch/trial/"

    def __init__(self, app):
        self.app, self.trials = app, {}

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if scope["path"].startswith(self.address):
            seen = self.trials.pop(scope["path"].removeprefix(self.address), None)
            body = json.dumps(seen and seen.calls).encode()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
            return await send({"type": "http.response.body", "body": body})
        name, *about = dict(scope["headers"]).get(self.header, b"").decode("utf-8", "replace").split(" ", 2)
        if not name:
            return await self.app(scope, receive, send)
        if name not in self.trials and len(self.trials) >= TRIALS:
            del self.trials[next(iter(self.trials))]
        before = trial.set(self.trials.setdefault(name, Trial(tuple(about))))
        try:
            await self.app(scope, receive, send)
        finally:
            trial.reset(before)


class Deploys:
    """Stands before the server's app. Where a text that owui-watch deploys raises an exception when it is loaded, the answer
    names exception and line, in the server's words for a syntax error. owui-watch shows the answer, so no `raise` is sent."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or not scope["path"].endswith(("/create", "/update")):
            return await self.app(scope, receive, send)
        if not dict(scope["headers"]).get(b"user-agent", b"").startswith(b"owui-watch/"):
            return await self.app(scope, receive, send)
        words, is_answered = [], False

        async def answer(message):
            nonlocal is_answered
            if message["type"] == "http.response.start" and message["status"] >= 400 and words:
                is_answered = True
                await send({**message, "headers": [(b"content-type", b"application/json")]})
                await send({"type": "http.response.body", "body": json.dumps({"detail": words[-1]}).encode()})
            elif not is_answered:
                await send(message)

        before = refused.set(words)
        try:
            await self.app(scope, receive, answer)
        finally:
            refused.reset(before)


def start(port, token, calls, log):
    pane = Pane(Wire(port, token), calls, log)
    pane.listen()
    return pane
