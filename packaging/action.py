"""What action.yml runs: owui-watch, with annotations for the files and a summary for people.

Settings come from the environment, as action.yml hands them over. The key is one of them, and stays there: it is on no
command line and in no output. Texts of plugins are other people's: nothing of them becomes a workflow command or markup.
The runner finds commands behind spaces and, in the old form, anywhere in a line: it is told to stop reading them, except
around our own annotations.
"""

import json
import os
import re
import secrets
import subprocess
import sys
import tempfile

# What is done with a plugin: the sign of its row.
CHANGES = {
    "would_create": "🆕",
    "would_update": "✏️",
    "created": "🆕",
    "updated": "✏️",
    "deactivated": "⏸️",
    "deleted": "🗑️",
}
SIGNS = {"error": "❌", "warning": "⚠️"}
TITLES = {"check": "Check", "dry-run": "What a deploy would do", "deploy": "Deploy"}
LONGEST = 300
# How many bytes of rows a summary has at most: GitHub refuses a comment of more than 65,536 characters.
MOST = 60_000


def escaped(text, also=""):
    """A text for a workflow command, whose line breaks and separators end it."""
    for char in "%\r\n" + also:
        text = text.replace(char, f"%{ord(char):02X}")
    return text


class Log:
    """The log of the step. The runner reads no commands from it, but our own annotations."""

    def __init__(self):
        self.stop()

    def stop(self):
        # Another one each time: nobody who reads the log can end the pause.
        self.token = secrets.token_hex(32)
        print(f"::stop-commands::{self.token}", flush=True)

    def resume(self):
        print(f"::{self.token}::", flush=True)

    def annotate(self, line):
        self.resume()
        print(line.replace("\r", "%0D"), flush=True)
        self.stop()

    def show(self, text):
        """Shows a text of others. The space keeps their lines from ending the pause."""
        for line in text.splitlines():
            print(" " + line, flush=True)


def annotation(notice):
    """An annotation of the file that a notice is about."""
    fields = {"file": notice.get("path"), "line": notice.get("line"), "col": notice.get("column")}
    fields = [f"{name}={escaped(str(value), ',:')}" for name, value in fields.items() if value]
    text = "\n".join([notice["message"], *(f"hint: {remedy}" for remedy in notice.get("hint", "").splitlines())])
    command = " ".join(filter(None, [notice["level"], ",".join(fields)]))
    return f"::{command}::{escaped(text)}"


def plain(text):
    """A text as it is, in Markdown: no markup, no link, nobody is mentioned."""
    text = " ".join(str(text).split())
    if len(text) > LONGEST:
        text = text[: LONGEST - 1] + "…"
    return re.sub(r"[^\w ./…]|_", lambda found: f"&#{ord(found[0])};", text)


def row(sign, notice):
    place = notice.get("path", "")
    if place and notice.get("line"):
        place += f":{notice['line']}"
    name = " ".join(filter(None, [notice.get("type") or notice.get("kind"), notice.get("id"), notice.get("version")]))
    return f"| {sign} | {plain(name)} | {plain(place)} | {plain(notice['message'])} |"


def table(rows):
    """The rows as a table, as many as fit into a comment."""
    room, shown = MOST, []
    for text in rows:
        room -= len(text.encode()) + 1
        if room < 0:
            break
        shown.append(text)
    rest = len(rows) - len(shown)
    more = ["", f"… and {rest} more: see the log"] if rest else []
    return ["", "| | plugin | file | |", "| --- | --- | --- | --- |", *shown, *more] if rows else []


def run(words, environment, log):
    """Runs owui-watch, and returns its exit code and what it prints. Its errors go to the log."""
    program = environment["ACTION_PROGRAM"]
    try:
        done = subprocess.run([program, *words], env=environment, capture_output=True, check=False)
    except OSError as error:
        sys.exit(f"error: cannot run `{program}`: {error.strerror}")
    # The runner reads stderr beside stdout: only on stdout is it sure to be within the pause.
    log.show(done.stderr.decode("utf-8", "replace"))
    return done.returncode, done.stdout.decode("utf-8", "replace")


def count(number, noun):
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def objects(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def check(words, environment, log):
    """Annotates the files, and returns the exit code and the lines of the summary."""
    # It asks no server.
    environment = {name: value for name, value in environment.items() if name != "OPENWEBUI_API_KEY"}
    if environment.get("ACTION_STRICT") == "true":
        words = [*words, "--strict"]
    code, annotations = run(["check", *words, "--format", "github"], environment, log)
    for line in annotations.split("\n"):
        if re.match("::(error|warning|notice) ", line):
            log.annotate(line)
        else:
            log.show(line)
    found = objects(run(["check", *words, "--format", "json"], environment, log)[1])
    problems = [it for it in found if it.get("event") != "checked"]
    rows = [row(SIGNS.get(it["level"], "ℹ️"), it) for it in problems]
    totals = next((it for it in found if it.get("event") == "checked"), None)
    if totals is None:
        return code, ["It could not be done; the log says why."]
    counts = [count(totals[f"{noun}s"], noun) for noun in ("plugin", "error", "warning")]
    lines = [f"{counts[0]}: {counts[1]}, {counts[2]}."]
    return code, lines + table(rows)


def deploy(words, environment, log):
    """Makes one pass, and returns the exit code and the lines of the summary."""
    code, text = run(["--once", "--json", *words], environment, log)
    rows, totals = [], "It could not be done; the log says why."
    for notice in objects(text):
        event, level = notice["event"], notice["level"]
        if level in SIGNS:
            log.annotate(annotation(notice))
        elif level == "info":
            place = f"{notice['path']}: " if "path" in notice else ""
            log.show(place + notice["message"])
        if event == "summary":
            totals = plain(notice["message"])
        elif event in CHANGES:
            rows.append((notice.get("path", ""), row(CHANGES[event], notice)))
        elif level in SIGNS:
            rows.append((notice.get("path", ""), row(SIGNS[level], notice)))
    # Several are deployed at once: the order in which they end differs from run to run.
    return code, [totals] + table([text for _, text in sorted(rows)])


def main():
    # Windows would use the system's code page, which lacks most of these signs.
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")
    environment = {name: value for name, value in os.environ.items() if value}
    what = environment.get("ACTION_RUN", "check")
    if what not in TITLES:
        sys.exit(f"error: `run` is `{escaped(what, '#')}`\nhint: write `check`, `dry-run` or `deploy`")
    words = ["--config", environment["ACTION_CONFIG"]] if "ACTION_CONFIG" in environment else []
    for root in environment.get("ACTION_ROOT", "").splitlines():
        if root.strip():
            words += ["--root", root.strip()]
    log = Log()
    try:
        if what == "check":
            code, lines = check(words, environment, log)
        else:
            code, lines = deploy([*words, "--dry-run"] if what == "dry-run" else words, environment, log)
    finally:
        log.resume()
    summary = "\n".join([f"### owui-watch: {TITLES[what]}", "", *lines, ""])
    file = tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", prefix="owui-watch-", suffix=".md", dir=environment.get("RUNNER_TEMP"), delete=False
    )
    with file:
        file.write(summary)
    for name, text in [("GITHUB_STEP_SUMMARY", summary), ("GITHUB_OUTPUT", f"summary={file.name}\n")]:
        if name in environment:
            with open(environment[name], "a", encoding="utf-8") as to:
                to.write(text)
    sys.exit(code)


if __name__ == "__main__":
    main()
