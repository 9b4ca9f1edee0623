"""``spikesim run``: simulate a network and print what happened."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spikesim.cli.common import (
    BACKEND_OPTION,
    CheckpointEvery,
    Json,
    NetworkName,
    OutFile,
    Represent,
    Seed,
    Settings,
    Threads,
    check_folder,
    find_network,
    parse_pairs,
    parse_seconds,
    parse_settings,
    print_json,
    print_table,
)
from spikesim.cli.systems import SYSTEMS, show_system

DEFAULT_DURATION = 1.0  # seconds


def command(
    network: NetworkName,
    backend: Annotated[str | None, BACKEND_OPTION] = None,
    duration: Annotated[
        float | None,
        typer.Option("--duration", "-d", help="Biological time in seconds; 1 by default, or what a SONATA file says."),
    ] = None,
    seed: Seed = None,
    dtype: Annotated[str, typer.Option(help="float64 or float32 state.")] = "float64",
    threads: Threads = 0,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: what is faster for the network's size.")] = "cpu",
    ranks: Annotated[int, typer.Option(help="Processes that share the network over MPI; all, under mpiexec.")] = 1,
    represent: Represent = None,
    out: OutFile = None,
    checkpoint_every: CheckpointEvery = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint of --out, if there is one.")] = (
        False
    ),
    plot: Annotated[str | None, typer.Option(help="PNG or SVG file for a raster, or for a system's curves.")] = None,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="SONATA: also neurons that NEST integrates adaptively.")
    ] = False,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Simulate a network: `spikesim run brunel`, `spikesim run my.h5 --duration 10`, `spikesim run circuit.json`.

    `spikesim run quine` (--set hidden=, epochs=, generations=, steps=, ways=grad,auxiliary) and `spikesim run
    plastic_rnn` (--set task=, steps=, hidden=, parts=, rules=hebbian,gradient) train these systems and show a table;
    --plot draws their curves.
    """
    from spikesim.engine import Options, run
    from spikesim.ranks.communicator import under_mpiexec

    check_folder(plot)
    if network in SYSTEMS:
        given: dict[str, Any] = {"--backend": backend, "--duration": duration, "--threads": threads, "--out": out}
        given |= {"--checkpoint-every": checkpoint_every, "--resume": resume, "--ranks": ranks > 1}
        given |= {"--dtype": dtype != "float64", "--device": device != "cpu", "--approximate": approximate}
        given["--represent"] = represent
        show_system(network, parse_settings(settings), seed, json, plot, [name for name, v in given.items() if v])
        return
    circuit = _circuit(network, approximate, json) if network.endswith(".json") else None
    value = find_network(network, parse_settings(settings), seed) if circuit is None else circuit.network
    if circuit is not None and seed is not None:
        value = value.with_(seed=seed)
    duration = duration or (circuit and circuit.duration) or DEFAULT_DURATION
    every = None if checkpoint_every is None else parse_seconds(checkpoint_every, "--checkpoint-every")
    forms = parse_pairs(represent, "--represent")
    recording: Any
    if under_mpiexec():
        options = Options(dtype, threads, device, representations=forms)
        checkpoints = resume or every is not None
        recording = _run_under_mpiexec(value, duration, backend or "numba", ranks, options, seed, out, checkpoints)
        if recording is None:
            return
    else:
        recording = run(
            value,
            duration,
            backend=backend,
            seed=seed,
            dtype=dtype,
            threads=threads,
            device=device,
            representations=forms,
            ranks=ranks,
            out=out,
            checkpoint_every=every,
            resume=resume,
            progress=not json,
        )
    if plot:
        _plot(recording, plot)
    written = circuit.write(recording) if circuit is not None else []
    show(summarise(recording, network), out, json)
    for path in written if not json else ():
        print(f"written to {path}")


def _circuit(path: str, approximate: bool, json: bool) -> Any:
    """Read a SONATA circuit, and say what of it is not as in the file."""
    from spikesim.convert.sonata import read_sonata

    circuit = read_sonata(path, approximate=approximate)
    for line in circuit.report.warnings if not json else ():
        print(f"warning: {line}")
    return circuit


def show(summary: dict[str, Any], out: Any, json: bool) -> None:
    """Print the figures of a run, and exit with 130 if it was stopped."""
    if json:
        print_json(summary)
        return
    _print(summary)
    if out:
        print(f"recording written to {out}")
    if summary["interrupted"]:
        from spikesim.files.checkpoint import checkpoint_path

        how = f"; go on with: spikesim resume {out}" if out and checkpoint_path(out).exists() else ""
        print(f"stopped by Ctrl-C; everything up to then is kept{how}")
        raise typer.Exit(130)


def _run_under_mpiexec(
    network: Any,
    duration: float,
    backend: str,
    ranks: int,
    options: Any,
    seed: int | None,
    out: Any,
    checkpoints: bool,
) -> Any:
    """Run on the processes that mpiexec has started; return the recording on rank 0, None on the others."""
    from spikesim.engine import check_ranks
    from spikesim.errors import InvalidValueError, SpikesimError
    from spikesim.ranks import Communicator, run

    world = Communicator()
    try:
        check_ranks(world.size, backend, options.device, checkpoints)
        if ranks not in (1, world.size):
            raise InvalidValueError(f"mpiexec has started {world.size} ranks, found --ranks {ranks}; leave --ranks out")
        return run(
            network,
            duration,
            seed=seed,
            dtype=options.dtype,
            threads=options.threads or 1,
            representations=options.representations,
            out=out,
            ranks=world,
        )
    except SpikesimError:
        if world.rank == 0:
            raise
        raise typer.Exit(2) from None  # all ranks have made the same mistake; one says so


def summarise(recording: Any, name: str) -> dict[str, Any]:
    """Return the figures of a run that people compare."""
    from spikesim.statistics import cv_isi

    meta, counts = recording.meta, recording.counts
    populations = {
        label: {"neurons": s.n, "spikes": len(s), "rate_hz": s.rate(), "cv_isi": cv_isi(s)}
        for label, s in recording.spikes.items()
    }
    neurons = sum(p["neurons"] for p in populations.values())
    seconds = recording.steps * recording.dt * recording.samples
    spikes = counts.spikes
    return {
        "model": name,
        "backend": meta["backend"],
        "seed": meta["seed"],
        "neurons": neurons,
        "synapses": meta["synapses"],
        "spikes": spikes,
        "mean_rate_hz": spikes / (neurons * seconds) if neurons * seconds else 0.0,
        "cv_isi": _weighted(populations, "cv_isi"),
        "synaptic_events": counts.synaptic_events,
        "build_s": meta["build_s"],
        "compile_s": meta["compile_s"],
        "sim_s": meta["sim_s"],
        "biological_s": meta["biological_s"],
        "peak_mb": meta["peak_mb"],
        "dtype": meta["dtype"],
        "spikesim": meta["spikesim"],
        "interrupted": meta["interrupted"],
        **{key: meta[key] for key in ("device_reason", "ranks") if key in meta},
        "populations": populations,
    }


def _weighted(populations: dict[str, dict[str, Any]], key: str) -> float | None:
    """Mean over populations weighted by neurons, leaving out those without a value."""
    known = [(p["neurons"], p[key]) for p in populations.values() if p[key] == p[key]]
    return sum(n * v for n, v in known) / sum(n for n, _ in known) if known else None


def _print(summary: dict[str, Any]) -> None:
    rows = [(k, v["neurons"], v["spikes"], v["rate_hz"], v["cv_isi"]) for k, v in summary["populations"].items()]
    title = f"{summary['model']} on {summary['backend']}: {summary['neurons']} neurons, {summary['synapses']} synapses"
    if "device_reason" in summary:
        print(summary["device_reason"])
    print_table(title, ("population", "neurons", "spikes", "rate (Hz)", "CV of ISI"), rows)
    factor = summary["sim_s"] / summary["biological_s"] if summary["biological_s"] else 0.0
    print(
        f"{summary['spikes']} spikes, {summary['synaptic_events']} synaptic events in "
        f"{summary['biological_s']:.3g} s of biological time\n"
        f"build {summary['build_s']:.3f} s, compile {summary['compile_s']:.3f} s, simulation {summary['sim_s']:.3f} s "
        f"({factor:.3g} x real time), {summary['peak_mb']:.0f} MB"
    )
    if "ranks" in summary:
        ranks = summary["ranks"]
        print(
            f"{ranks['ranks']} ranks, the largest {max(ranks['peak_mb']):.0f} MB, {max(ranks['neurons']):.0f} neurons; "
            f"{ranks['exchanges']} exchanges took {min(ranks['exchange_s']):.3f} s and brought "
            f"{ranks['bytes'] / 1e6:.3g} MB to each"
        )


def _plot(recording: Any, path: str) -> None:
    from spikesim.plot import raster

    figure = raster(recording).get_figure(root=True)
    if figure is not None:
        figure.savefig(path, dpi=150)
