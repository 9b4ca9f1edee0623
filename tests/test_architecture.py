"""The rules of docs/architecture.md, read off the source."""

import ast
import statistics
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
TOP = {"spikesim": "spikesim", "backends": "spikesim.backends", "models": "spikesim.models"}
LINKS = {"backends", "models", "hw_profiles"}

OPTIONAL = {
    "torch", "snntorch", "norse", "nir", "nirtorch", "lava", "pint", "xarray", "neo", "quantities", "triton",
    "lz4", "zstandard", "tensorboard", "distributed", "dask", "gymnasium",
}  # fmt: skip
# A file is about a library if the library's name is a word of its path: convert/nir.py, backends/torch/x.py,
# equations/elementary_torch.py. Besides, these are about it in all but name:
ALSO_ABOUT = {"torch": {"train", "snntorch", "norse", "nirtorch", "triton"}, "nir": {"nirtorch"}, "quantities": {"neo"}}

# What a model may use: the description of networks and equations, never what is done with them.
CORE_FOLDERS = {"spikesim.connect", "spikesim.equations", "spikesim.models"}


class Import(NamedTuple):
    module: str
    line: int
    at_import: bool
    """Whether it runs when the file is imported, not only when a function is called."""


class File(NamedTuple):
    module: str
    path: Path
    tree: ast.Module
    lines: int

    @property
    def where(self):
        return self.path.relative_to(ROOT).as_posix()

    @property
    def words(self):
        return set(self.module.replace(".", " ").replace("_", " ").split()[1:])


@cache
def package_files():
    found = []
    for folder, package in TOP.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if folder == "spikesim" and parts[0] in LINKS:
                continue
            source = path.read_text(encoding="utf-8")
            module = ".".join((package, *(p for p in parts if p != "__init__")))
            found.append(File(module, path, ast.parse(source, str(path)), source.count("\n")))
    return found


def imports(file):
    """List every import of a file, relative ones spelled out."""
    found = []

    def visit(node, at_import):
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, node.lineno, at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(file, node)
            found.append(Import(base, node.lineno, at_import))
            found.extend(Import(f"{base}.{alias.name}", node.lineno, at_import) for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            at_import = False
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            at_import = False
        for child in ast.iter_child_nodes(node):
            visit(child, at_import)

    visit(file.tree, True)
    return found


def _base(file, node):
    if not node.level:
        return node.module or ""
    package = file.module if file.path.name == "__init__.py" else file.module.rpartition(".")[0]
    parts = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])


def inside(module, package):
    return module == package or module.startswith(package + ".")


def none(problems):
    problems = list(problems)
    assert not problems, "\n" + "\n".join(problems)


def backend_of(module):
    parts = module.split(".")
    return parts[2] if inside(module, "spikesim.backends") and len(parts) > 2 else None


# ---------------------------------------------------------------- rule 1


def test_the_core_reaches_backends_through_the_registry_only():
    none(
        f"{file.where}:{found.line} imports {found.module}"
        for file in package_files()
        if not inside(file.module, "spikesim.backends")
        for found in imports(file)
        if inside(found.module, "spikesim.backends")
    )


def test_no_backend_is_imported_by_its_name_as_a_string():
    problems = []
    for file in package_files():
        for node in ast.walk(file.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
                "import_module",
                "__import__",
            ):
                text = ast.unparse(node.args[0]) if node.args else ""
                if "spikesim.backends" in text and not inside(file.module, "spikesim.backends"):
                    problems.append(f"{file.where}:{node.lineno} imports {text}")
    none(problems)


def test_backends_do_not_know_each_other():
    none(
        f"{file.where}:{found.line} imports {found.module}"
        for file in package_files()
        if (own := backend_of(file.module))
        for found in imports(file)
        if backend_of(found.module) not in (None, own)
    )


def test_models_import_only_the_core():
    core = CORE_FOLDERS | {
        f.module for f in package_files() if f.module.count(".") == 1 and f.path.name != "__init__.py"
    }
    none(
        f"{file.where}:{found.line} imports {found.module}; allowed is the core: {', '.join(sorted(core))}"
        for file in package_files()
        if inside(file.module, "spikesim.models")
        for found in imports(file)
        # `from spikesim import ms` names the package and then something in it; only a folder outside the core is wrong.
        if (folder := ".".join(found.module.split(".")[:2])).startswith("spikesim.")
        and folder not in core
        and (ROOT / folder.replace(".", "/") / "__init__.py").is_file()
    )


# ---------------------------------------------------------------- rule 2


def test_optional_libraries_are_imported_where_they_are_the_subject():
    problems = []
    for file in package_files():
        for found in imports(file):
            library = found.module.partition(".")[0]
            if library not in OPTIONAL or not found.at_import:
                continue
            if not file.words & ({library} | ALSO_ABOUT.get(library, set())):
                problems.append(f"{file.where}:{found.line} imports {library} at the top; import it in the function")
    none(problems)


WITHOUT = """
import importlib, sys
blocked = set({blocked!r})
class Wall:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {{name!r}} (blocked)", name=name)
sys.meta_path.insert(0, Wall())
failed = []
for name in {modules!r}:
    try:
        importlib.import_module(name)
    except Exception as error:
        failed.append(f"{{name}}: {{type(error).__name__}}: {{error}}")
print("\\n".join(failed))
"""


def test_everything_else_imports_without_the_optional_libraries():
    """What the rule is for: a base install works, whatever imports whatever."""
    about = OPTIONAL | {"train"}
    modules = [f.module for f in package_files() if not f.words & about and not f.module.endswith("__main__")]
    # The entry point of a backend is imported to ask whether the backend is available.
    modules += [
        f.module for f in package_files() if f.path.name == "__init__.py" and f.path.parent.parent.name == "backends"
    ]
    code = WITHOUT.format(blocked=sorted(OPTIONAL), modules=modules)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    none(done.stdout.split("\n") if done.stdout.strip() else [])


# ---------------------------------------------------------------- rules 3 and 4

NEVER_IMPORTED = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
VAGUE = {"Exception", "BaseException", "RuntimeError", "AssertionError", "SystemExit"}  # KeyError: a Mapping must


def test_no_bare_assert():
    """`python -O` strips it, and it has no message for the user."""
    none(
        f"{file.where}:{node.lineno} assert"
        for file in package_files()
        for node in ast.walk(file.tree)
        if isinstance(node, ast.Assert)
    )


def test_errors_are_of_the_tree():
    """A vague built-in exception says neither what was found nor what to do."""
    problems = []
    for file in package_files():
        for node in ast.walk(file.tree):
            if isinstance(node, ast.Raise) and node.exc is not None:
                raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                if isinstance(raised, ast.Name) and raised.id in VAGUE:
                    problems.append(f"{file.where}:{node.lineno} raises {raised.id}; use spikesim.errors")
    none(problems)


def test_no_file_can_execute_code():
    problems = []
    for file in package_files():
        problems += [
            f"{file.where}:{found.line} imports {found.module}"
            for found in imports(file)
            if found.module.partition(".")[0] in NEVER_IMPORTED
        ]
        problems += [
            f"{file.where}:{node.lineno} {reason}"
            for node in ast.walk(file.tree)
            if isinstance(node, ast.Call) and (reason := _dangerous(node))
        ]
    none(problems)


def _dangerous(call):
    keywords = {k.arg: ast.unparse(k.value) for k in call.keywords}
    name = ast.unparse(call.func)
    if name in ("eval", "exec", "builtins.eval", "builtins.exec"):
        return f"calls {name}"
    if keywords.get("allow_pickle", "False") != "False":
        return "allows pickle"
    if name in ("torch.load", "yaml.load") and keywords.get("weights_only") != "True":
        return f"calls {name}, which executes code from the file"
    return None


# ---------------------------------------------------------------- rule 7


def test_files_can_be_read_in_one_sitting():
    sizes = {f.where: f.lines for f in package_files() if f.lines > 5}
    assert statistics.median(sizes.values()) <= 200
    none(f"{where} has {lines} lines; split it" for where, lines in sizes.items() if lines > 600)


# ---------------------------------------------------------------- the rules themselves


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import torch.nn as nn", [("torch.nn", True)]),
        ("def f():\n    import torch", [("torch", False)]),
        ("if TYPE_CHECKING:\n    import torch", [("torch", False)]),
        ("try:\n    import nir\nexcept ImportError:\n    nir = None", [("nir", True)]),
        ("from . import b", [("spikesim.x", True), ("spikesim.x.b", True)]),
        (
            "from ..backends.numba import run",
            [("spikesim.backends.numba", True), ("spikesim.backends.numba.run", True)],
        ),
    ],
)
def test_the_reader_of_imports(source, expected):
    file = File("spikesim.x.a", ROOT / "spikesim" / "x" / "a.py", ast.parse(source), 1)
    assert [(found.module, found.at_import) for found in imports(file)] == expected


def test_the_reader_of_dangerous_calls():
    def reason(text):
        return _dangerous(ast.parse(text, mode="eval").body)

    assert reason("eval('1')") and reason("np.load(f, allow_pickle=True)") and reason("torch.load(f)")
    assert not reason("np.load(f, allow_pickle=False)") and not reason("torch.load(f, weights_only=True)")
