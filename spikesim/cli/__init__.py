"""The command line, one thin module per verb.

Exit codes: 0 done, 1 a check failed (``compare``), 2 a mistake in what was asked, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import importlib
import sys

import typer

from spikesim.errors import SpikesimError

app = typer.Typer(
    name="spikesim",
    help="Simulate spiking neural networks fast, export them to neuromorphic hardware, profile spikes and energy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

VERBS = (
    "run",
    "resume",
    "sweep",
    "train",
    "prune",
    "learn",
    "analyse",
    "defend",
    "quantise",
    "profile",
    "map",
    "export",
    "convert",
    "show",
    "list",
    "data",
    "install",
    "report",
    "compare",
    "demo",
)


def register() -> None:
    """Add the verbs; their modules are imported here, so that importing the library stays quick."""
    for verb in VERBS:
        target = importlib.import_module(f"spikesim.cli.{verb}_verb").command
        if isinstance(target, typer.Typer):
            app.add_typer(target, name=verb)
        else:
            app.command(verb)(target)


def main() -> None:
    """Run the command line; a user's mistake is one clear sentence and exit code 2."""
    register()
    try:
        app()
    except SpikesimError as error:
        print(f"spikesim: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:  # a folder that is missing, a disk that is full
        print(f"spikesim: {error.filename or 'a file'} cannot be used: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
