#!/usr/bin/env python3
"""Makes src/check/servers.txt: what each minor version of Open WebUI defines, which of it is a coroutine, and which
packages it ships. `owui-watch check` reads it.

    python3 tools/server_tables.py [--wheels DIR] [--python SITE_PACKAGES ...] [--check]

It asks pip which versions exist, downloads the newest wheel of each minor version from 0.6 on, and reads the sources in
it: nothing is installed, nothing is run. `uv pip compile` resolves the packages that a server comes with. A package may
be imported by another name: `--python` names installed servers whose metadata tells (repeatable). With `--check` it only
says whether a newer minor version exists than the file knows, and exits with 1 if so.
"""

import argparse
import ast
import importlib.metadata
import pathlib
import re
import subprocess
import sys
import zipfile

TABLE = pathlib.Path(__file__).parent.parent / "src" / "check" / "servers.txt"
FIRST = (0, 6)
# Not for plugins: database migrations and the server's own tests.
SKIPPED = ("open_webui.migrations", "open_webui.internal.migrations", "open_webui.test")
# Hundreds of settings of one class.
WITHOUT_METHODS = ("open_webui.config", "open_webui.env")
# Import names that no metadata at hand tells.
ALIASES = {
    "beautifulsoup4": ["bs4"],
    "pyyaml": ["yaml"],
    "pillow": ["PIL"],
    "python-dateutil": ["dateutil"],
    "opencv-python-headless": ["cv2"],
    "psycopg2-binary": ["psycopg2"],
    "protobuf": ["google"],
    "setuptools": ["setuptools", "pkg_resources"],
}


def released():
    """The newest release of each minor version."""
    out = subprocess.run(
        [sys.executable, "-m", "pip", "index", "versions", "open-webui"], capture_output=True, text=True, check=True
    ).stdout
    versions = re.search(r"Available versions: (.*)", out).group(1).split(", ")
    newest = {}
    for version in versions:
        parts = tuple(int(part) for part in version.split("."))
        if parts[:2] >= FIRST:
            newest[parts[:2]] = max(parts, newest.get(parts[:2], parts))
    return [".".join(map(str, newest[minor])) for minor in sorted(newest)]


def wheel(version, folder):
    """The wheel of a version, downloaded unless it is there."""
    pattern = f"open_webui-{version}-*.whl"
    if not list(folder.glob(pattern)):
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
             "--python-version", "3.11", "--dest", str(folder), f"open-webui=={version}"],
            check=True,
        )
    return next(folder.glob(pattern))


class Module:
    """What a module defines: its names, the methods of its classes, the classes of its instances."""

    def __init__(self, text, package):
        self.kinds, self.classes, self.instances, self.links, self.open = {}, {}, {}, {}, False
        self.package = package
        try:
            self.read(ast.parse(text).body)
        except SyntaxError:
            self.open = True

    def read(self, body):
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                self.kinds[node.name] = "async" if is_coroutine(node) else "def"
                self.open |= node.name == "__getattr__"
            elif isinstance(node, ast.ClassDef):
                self.kinds[node.name] = "class"
                methods = {
                    item.name: "async" if is_coroutine(item) else "def"
                    for item in node.body
                    if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))
                }
                plain = not node.bases and not node.keywords and "__getattr__" not in methods
                for item in node.body:
                    targets = item.targets if isinstance(item, ast.Assign) else [getattr(item, "target", None)]
                    for target in targets:
                        if isinstance(target, ast.Name):
                            methods.setdefault(target.id, "value")
                # Attributes that a method sets.
                for item in ast.walk(node):
                    if isinstance(item, ast.Attribute) and isinstance(item.ctx, ast.Store):
                        methods.setdefault(item.attr, "value")
                self.classes[node.name] = (methods, plain)
            elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    for item in ast.walk(target):
                        if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store):
                            self.kinds.setdefault(item.id, "value")
                            if isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name):
                                self.instances[item.id] = node.value.func.id
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    self.kinds.setdefault((alias.asname or alias.name).split(".")[0], "value")
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if alias.name == "*":
                        self.open = True
                    name = alias.asname or alias.name
                    self.kinds.setdefault(name, "value")
                    if node.level == 0 and (node.module or "").startswith("open_webui"):
                        self.links[name] = (node.module, alias.name)
            elif isinstance(node, (ast.If, ast.Try, ast.With, ast.For, ast.While, ast.Match)):
                for field in ("body", "orelse", "finalbody"):
                    self.read(getattr(node, field, None) or [])
                for handler in getattr(node, "handlers", None) or getattr(node, "cases", None) or []:
                    self.read(handler.body)
                for item in getattr(node, "items", []):
                    if isinstance(item.optional_vars, ast.Name):
                        self.kinds.setdefault(item.optional_vars.id, "value")
                if isinstance(node, ast.For):
                    for item in ast.walk(node.target):
                        if isinstance(item, ast.Name):
                            self.kinds.setdefault(item.id, "value")
        # `global` in a function binds a name of the module.
        for node in body:
            for item in ast.walk(node):
                if isinstance(item, ast.Global):
                    for name in item.names:
                        self.kinds.setdefault(name, "value")


def is_coroutine(function):
    """Whether calling it gives a coroutine: `async def` without a `yield` of its own, and without a decorator that may
    change that."""
    if not isinstance(function, ast.AsyncFunctionDef) or function.decorator_list:
        return False
    pending = list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            return False
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            pending.extend(ast.iter_child_nodes(node))
    return True


def modules(path):
    """The modules in a wheel."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if not name.startswith("open_webui/") or not name.endswith(".py"):
                continue
            package = name.endswith("/__init__.py")
            module = name[:-3].replace("/", ".")
            module = module[: -len(".__init__")] if package else module
            if module.startswith(SKIPPED):
                continue
            found[module] = Module(archive.read(name).decode("utf-8"), package)
    for module in list(found):
        parts = module.split(".")
        for end in range(1, len(parts)):
            found.setdefault(".".join(parts[:end]), Module("", True))
    return found


def resolve(found, module, name, depth=0):
    """Where a name of a module is defined: (module, name)."""
    if depth < 8 and module in found and name in found[module].links:
        link = found[module].links[name]
        if link[0] in found and link[1] in found[link[0]].kinds:
            return resolve(found, *link, depth + 1)
    return module, name


def rows(found):
    """`{(module, None | name | "Instance.method"): kind}`, where a kind is "def", "async", "value" or "open"."""
    out = {}
    for module, content in found.items():
        out[module, None] = "open" if content.open else "value"
        for name in content.kinds:
            where, real = resolve(found, module, name)
            kind = found[where].kinds[real]
            out[module, name] = "async" if kind == "async" else "value"
            instance = found[where].instances.get(real)
            # An instance that another module made is named there.
            if where == module and instance in content.classes and module not in WITHOUT_METHODS:
                methods, plain = content.classes[instance]
                if plain:
                    out[module, name] = "instance"
                for method, kind in methods.items():
                    if not method.startswith("__"):
                        out[module, f"{name}.{method}"] = "async" if kind == "async" else "value"
            elif where != module and found[where].instances.get(real) in found[where].classes:
                out[module, name] = f"link {where}.{real}"
    return out


def shipped(version, path):
    """The distributions that the server's image comes with, dependencies of dependencies included."""
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python-version", "3.11",
               "--python-platform", "linux", "-"]
    names = set()
    # The image has the extras, too. Where they no longer resolve together, they count without their dependencies.
    for wanted in [f"open-webui[all]=={version}", f"open-webui=={version}"]:
        done = subprocess.run(command, input=wanted + "\n", capture_output=True, text=True, check=False)
        if done.returncode == 0:
            lines = [line for line in done.stdout.splitlines() if line and not line.startswith("#")]
            names |= {re.split(r"[=<>\[ ;]", line)[0] for line in lines}
            break
    else:
        raise SystemExit(done.stderr)
    with zipfile.ZipFile(path) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        requires = re.findall(r"^Requires-Dist: ([\w.-]+)", archive.read(metadata).decode("utf-8"), re.M)
    names |= set(requires)
    # The image and every virtual environment have them.
    return {normal(name) for name in names} | {"pip", "setuptools"}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def import_names(folders):
    """`{distribution: import names}` of installed environments."""
    names = {distribution: set(imports) for distribution, imports in ALIASES.items()}
    for folder in folders:
        for distribution in importlib.metadata.distributions(path=[folder]):
            tops = set()
            for file in distribution.files or []:
                top = file.parts[0]
                if top.endswith((".dist-info", ".data", "..")) or top in ("bin", "..", "__pycache__"):
                    continue
                if len(file.parts) == 1 and not top.endswith((".py", ".so", ".pyd")):
                    continue
                top = top.split(".")[0]
                if top.isidentifier():
                    tops.add(top)
            names.setdefault(normal(distribution.metadata["Name"]), set()).update(tops)
    return names


def mask(flags):
    return format(sum(1 << n for n, flag in enumerate(flags) if flag), "x")


def table(versions, tables, packages, names):
    lines = [
        "# Made by tools/server_tables.py. A mask has a bit for each version, the first in the lowest bit.",
        "# @module [mask] [~mask where it may have other names, too]; name [mask] [*mask where it is a coroutine]",
        "# [!mask where it is an instance with these methods alone]; `>` the instance's own place; .method of the name above",
        "versions " + " ".join(versions),
    ]
    keys = sorted({key for found in tables for key in found}, key=lambda key: (key[0], key[1] or ""))
    last = None
    for module, name in keys:
        kinds = [found.get((module, name)) for found in tables]
        exists = mask(kind is not None for kind in kinds)
        # A name that every version has which has its module needs no mask.
        around = last if name is None or "." not in name else owner
        if name is None:
            last, around = exists, mask([True] * len(versions))
        word = module if name is None else name
        if name is not None and "." in name:
            word = "." + name.split(".", 1)[1]
        else:
            owner = exists
        line = ("@" if name is None else "") + word
        if exists != around:
            line += f" {exists}"
        for sign, kind in [("~", "open"), ("*", "async"), ("!", "instance")]:
            if any(k == kind for k in kinds):
                line += f" {sign}{mask(k == kind for k in kinds)}"
        links = {k[5:] for k in kinds if k and k.startswith("link ")}
        if len(links) == 1 and all(k is None or k.startswith("link ") for k in kinds):
            line += f" >{links.pop()}"
        lines.append(line)
    of_import = {}
    for n, closure in enumerate(packages):
        for distribution in closure:
            for top in names.get(distribution) or [distribution.replace("-", "_")]:
                of_import.setdefault(top, set()).add(n)
    lines.append("packages")
    for top in sorted(of_import):
        exists = mask(n in of_import[top] for n in range(len(versions)))
        lines.append(top if exists == mask([True] * len(versions)) else f"{top} {exists}")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--wheels", type=pathlib.Path, default=pathlib.Path("target/wheels"))
    parser.add_argument("--python", action="append", default=[], metavar="SITE_PACKAGES")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    versions = released()
    if args.check:
        known = re.search(r"^versions (.*)", TABLE.read_text(), re.M).group(1).split()
        minors = [{tuple(version.split(".")[:2]) for version in each} for each in (versions, known)]
        new = sorted(".".join(minor) for minor in minors[0] - minors[1])
        print(f"newer than the tables: {', '.join(new)}" if new else "the tables are up to date")
        return 1 if new else 0
    args.wheels.mkdir(parents=True, exist_ok=True)
    tables = [rows(modules(wheel(version, args.wheels))) for version in versions]
    packages = [shipped(version, wheel(version, args.wheels)) for version in versions]
    text = table(versions, tables, packages, import_names(args.python))
    TABLE.write_text(text)
    print(f"{TABLE}: {len(text)} bytes, versions {', '.join(versions)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
