"""`spikesim install`: the commands, the account of them, and the optional-package helper."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from spikesim import installer, optional
from spikesim.cli.install_verb import command
from spikesim.errors import MissingPackageError, SpikesimError, UnknownNameError


def arguments(package, version):
    return [list(step.arguments) for step in installer.plan(package, version).steps]


@pytest.mark.parametrize("minor", [10, 11, 12, 13])
def test_lava_is_installed_without_its_pins(minor):
    *before, last = arguments("lava", (3, minor))
    assert last[-1] == "lava-nc==0.10.0" and "--no-deps" in last
    # The flag would also reach the dependencies, so it may stand only beside --no-deps, and only where it is needed.
    assert ("--ignore-requires-python" in last) == (minor > 10)
    assert not any("--ignore-requires-python" in step for step in before)
    assert any(word.startswith("asteval") and "<0.10" in word for word in before[0])


def test_lava_dl_is_installed_without_its_pins():
    steps = arguments("lava-dl", (3, 11))
    assert steps[:2] == arguments("lava", (3, 11)) and installer.TORCH in steps[2]
    assert steps[3] == ["install", "--no-deps", "--ignore-requires-python", "lava-dl==0.6.0"]


def test_norse_never_brings_torchvision():
    before, last = arguments("norse", (3, 11))
    assert installer.TORCH in before
    assert last == ["install", "--no-deps", "norse==1.1.0"]


@pytest.mark.parametrize("package", ["lava", "lava-dl", "norse"])
def test_every_step_has_a_reason_and_pip_check_is_explained(package):
    todo = installer.plan(package)
    assert all(len(step.why) > 20 for step in todo.steps)
    assert "pip check" in todo.notes[0]


def test_unknown_package():
    with pytest.raises(UnknownNameError, match="did you mean 'lava'"):
        installer.plan("lavva")


def test_dry_run_runs_nothing(monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("a command was run"))
    lines = []
    installer.run(installer.plan("lava"), dry_run=True, echo=lines.append)
    assert any("lava-nc==0.10.0" in line for line in lines)
    assert lines[-1] == "dry run: nothing was changed."


def test_run_calls_this_interpreters_pip_in_order(monkeypatch):
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda command, **k: calls.append(command) or SimpleNamespace(returncode=0))
    installer.run(installer.plan("norse"), echo=lambda line: None)
    assert [c[:4] for c in calls] == [[sys.executable, "-m", "pip", "install"]] * 2
    assert calls[-1][-1] == "norse==1.1.0"


def test_a_failing_pip_stops_and_is_reported(monkeypatch):
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda command, **k: calls.append(command) or SimpleNamespace(returncode=3))
    with pytest.raises(SpikesimError, match=r"code 3.*spikesim install lava"):
        installer.run(installer.plan("lava"), echo=lambda line: None)
    assert len(calls) == 1


def test_missing_pip_is_named(monkeypatch):
    monkeypatch.setattr(installer.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SpikesimError, match="ensurepip"):
        installer.run(installer.plan("lava"), dry_run=True, echo=lambda line: None)


def test_command_line():
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, ["norse", "--dry-run"])
    assert result.exit_code == 0
    assert "norse==1.1.0" in result.output and "torchvision" in result.output


def test_available_says_what_to_run(monkeypatch):
    monkeypatch.setitem(optional.PACKAGES, "absent", optional.Package("absent-dist", "spikesim install absent"))
    assert optional.available("absent") == (False, "absent-dist is not installed; run: spikesim install absent")
    with pytest.raises(MissingPackageError, match=r"this test needs .*run: spikesim install absent"):
        optional.require("absent.inner", "this test")


def test_available_does_not_import(monkeypatch):
    code = "import sys; from spikesim.optional import available, PACKAGES; [available(n) for n in PACKAGES]; "
    code += "print(sorted(set(PACKAGES) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_broken_package_is_not_called_missing(monkeypatch, tmp_path):
    (tmp_path / "brokenpkg.py").write_text("raise ImportError('libfoo.so not found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(optional.PACKAGES, "brokenpkg", optional.Package("numpy", "pip install brokenpkg"))
    with pytest.raises(SpikesimError, match=r"cannot be imported \(libfoo") as caught:
        optional.require("brokenpkg", "this test")
    assert not isinstance(caught.value, MissingPackageError)


def test_unknown_optional_package():
    with pytest.raises(UnknownNameError, match="'torch'"):
        optional.available("torhc")


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_missing_part_is_a_skip_at_home_and_a_failure_in_ci(require, monkeypatch, ci, outcome):
    monkeypatch.setenv("CI", ci)
    monkeypatch.setitem(optional.PACKAGES, "absent", optional.Package("absent-dist", "spikesim install absent"))
    with pytest.raises(outcome, match="spikesim install absent"):
        require("absent")
