"""What is installed is what lies in the tree, under one import name."""

import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from spikesim import installer, optional

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = ("backends", "models", "hw_profiles")


def packages_in_the_tree():
    found = set()
    for package, folder in PROJECT["tool"]["setuptools"]["package-dir"].items():
        for init in (ROOT / folder).rglob("__init__.py"):
            inner = init.parent.relative_to(ROOT / folder).parts
            # rglob may or may not follow the links, by Python version; their packages are counted where they lie.
            if not (package == "spikesim" and inner and inner[0] in FOLDERS):
                found.add(".".join((package, *inner)))
    return found


def test_every_package_is_declared_once_and_exists():
    declared = PROJECT["tool"]["setuptools"]["packages"]
    assert sorted(declared) == sorted(packages_in_the_tree())


def test_every_folder_of_modules_is_a_package():
    """A folder without __init__.py is not shipped, whatever it holds."""
    bare = {
        str(module.parent.relative_to(ROOT))
        for folder in ("spikesim", *FOLDERS)
        for module in (ROOT / folder).rglob("*.py")
        if not (module.parent / "__init__.py").is_file()
    }
    assert bare == set()


@pytest.mark.parametrize("name", FOLDERS)
def test_links_point_at_the_folders(name):
    link = ROOT / "spikesim" / name
    if not link.is_symlink():
        pytest.skip("a checkout without symbolic links (core.symlinks=false): only type checkers miss them")
    assert os.readlink(link) == f"../{name}"


@pytest.mark.parametrize("name", ["backends", "models"])
def test_the_short_names_are_refused(name):
    """A second copy of every class would make isinstance lie."""
    done = subprocess.run([sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert f"ImportError: import spikesim.{name}, not {name}" in done.stderr


def test_profiles_and_digits_ship():
    assert [p for p in files("spikesim.hw_profiles").iterdir() if p.name.endswith(".toml")]
    data = files("spikesim.data")
    assert (data / "digits.npz").is_file() and "BSD 3-Clause" in (data / "LICENSE-digits.txt").read_text()
    assert (files("spikesim") / "py.typed").is_file()


def test_every_data_file_is_declared():
    table = PROJECT["tool"]["setuptools"]
    for package, folder in table["package-dir"].items():
        for file in (ROOT / folder).rglob("*"):
            parts = file.relative_to(ROOT / folder).parts
            if not file.is_file() or "__pycache__" in parts or file.suffix == ".py":
                continue
            if package == "spikesim" and parts[0] in FOLDERS:
                continue
            owner = ".".join((package, *parts[:-1]))
            patterns = table["package-data"].get(owner, [])
            assert any(file.match(p) for p in patterns), f"{owner}: {file.name} is not in package-data"


def test_licence_files_exist():
    for name in PROJECT["project"]["license-files"]:
        assert (ROOT / name).is_file(), name


def test_the_version_is_said_in_one_voice():
    import spikesim

    version = PROJECT["project"]["version"]
    assert spikesim.__version__ == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_backends_are_entry_points():
    declared = PROJECT["project"]["entry-points"]["spikesim.backends"]
    in_tree = {p.parent.name for p in (ROOT / "backends").glob("*/__init__.py")}
    assert set(declared) == in_tree
    for name, target in declared.items():
        module, _, cls = target.partition(":")
        assert module == f"spikesim.backends.{name}"
        source = (ROOT / "backends" / name / "__init__.py").read_text(encoding="utf-8")
        assert re.search(rf"^class {cls}\b", source, re.MULTILINE), f"{module} defines no class {cls}"


# ---------------------------------------------------------------- requirements

EXTRAS = {name: [Requirement(r) for r in lines] for name, lines in PROJECT["project"]["optional-dependencies"].items()}
BASE = [Requirement(r) for r in PROJECT["project"]["dependencies"]]
NEEDS_TORCH = {"torch", "snntorch", "nirtorch", "norse"}
REFUSED = {"lava-nc", "lava-dl", "norse", "torchvision", "torchaudio", "aeon", "tonic", "igraph"}


def pins(requirements):
    return {str(r.specifier) for r in requirements if r.name == "torch"}


def test_torch_has_one_pin_everywhere():
    pin = str(Requirement(installer.TORCH).specifier)
    for name, requirements in EXTRAS.items():
        if {r.name for r in requirements} & NEEDS_TORCH:
            assert pins(requirements) == {pin}, f"extra {name!r} reaches torch without the pin {pin}"
    assert "<" in pin


def test_base_stays_small():
    assert not {r.name for r in BASE} & (NEEDS_TORCH | REFUSED)
    assert str(Requirement(installer.NUMPY).specifier) in {str(r.specifier) for r in BASE if r.name == "numpy"}


def test_no_requirement_that_the_resolver_refuses():
    named = {r.name for requirements in EXTRAS.values() for r in requirements}
    assert not named & REFUSED


def test_all_means_all():
    (everything,) = EXTRAS["all"]
    assert everything.name == "spikesim" and everything.extras == set(EXTRAS) - {"all"}


def test_the_command_for_a_missing_package_is_true():
    for name, package in optional.PACKAGES.items():
        if found := re.fullmatch(r"pip install 'spikesim\[(\w+)\]'", package.command):
            named = {r.name for r in EXTRAS[found[1]]}
            # quantities comes with neo
            assert package.distribution in named or name == "quantities", f"{name} is not in the extra {found[1]!r}"
        elif package.command.startswith("spikesim install "):
            installer.plan(package.command.rpartition(" ")[2])


def test_marks_of_the_resolver_trap():
    """Lava-nc is installed by command; its version in the plan and in the text for users agree."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for package in ("lava", "norse"):
        pinned = installer.plan(package).steps[-1].arguments[-1].replace("==", " ")
        assert pinned in readme
