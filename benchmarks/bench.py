"""Run the benchmarks; peers beside the library, round by round.

::

    python benchmarks/bench.py                  everything that is not stored yet, with NEST and Brian2
    python benchmarks/bench.py cuba start       these workloads only
    python benchmarks/bench.py --again cuba     measure it anew
    python benchmarks/bench.py --disturbed      and the runs that were disturbed by other processes
    python benchmarks/bench.py --no-peers       the library alone
    python benchmarks/bench.py --quick          two minutes, the library alone, stored in build/bench
    python benchmarks/bench.py --list           what there is

Results go to ``benchmarks/results/bench/NAME.json``, one file per workload, written after each round, so an interrupted
benchmark goes on where it stopped. Each run has a process of its own. ``write_docs.py`` makes the page of them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import machine
import networks
import numpy as np
import peers
import workloads
from workloads import ALL, QUICK, Row, Workload

STORED = machine.RESULTS / "bench"
QUICK_FOLDER = Path(__file__).resolve().parents[1] / "build" / "bench"
FAILURES = (peers.PeerError, OSError, subprocess.SubprocessError, ValueError)
LIMIT_S = 900.0


# --------------------------------------------------------------------------------------------------------------- a run
def run_here(row: Row, seed: int, name: str) -> dict[str, Any]:
    """Do one run of the library, or of a torch peer, in a new process."""
    options = {"seed": seed, "threads": row.threads, **row.options}
    cold = options.pop("cold", 0)
    options.pop("neighbours", 0)
    if row.kind in ("network", "recording", "first"):
        options.setdefault("network", name)
    elif row.kind in ("inference", "training"):
        options["who"] = row.who
    python = peers.peer(row.who).python if row.who in peers.SHARES else sys.executable
    command = [str(python), str(Path(__file__).with_name("measure.py"))]
    command.append(json.dumps({"kind": row.kind, "options": options}))
    env = {**os.environ, **dict.fromkeys(peers.ONE_THREAD, str(row.threads))}
    env.pop("OMP_WAIT_POLICY", None)  # the library's own default, set when this file imported it; peers have another
    with tempfile.TemporaryDirectory() as empty:
        if cold:
            env |= {"SPIKESIM_CACHE": empty, "NUMBA_CACHE_DIR": f"{empty}/numba"}
        begin = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=LIMIT_S)
        wall = time.perf_counter() - begin
    if done.returncode:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        raise ValueError(lines[-1] if lines else f"exit code {done.returncode}")
    return {**json.loads(done.stdout.splitlines()[-1]), "process_s": wall}


def run_peer(row: Row, seed: int, name: str) -> dict[str, Any]:
    """Do one run of NEST or Brian2."""
    net = networks.describe(row.options.get("network", name))
    duration = row.options["duration"]
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "events.npz"
        request = {"network": net, "seed": seed, "duration": duration, "threads": row.threads}
        request |= {"target": "cpp_standalone", "events": str(path)}
        begin = time.perf_counter()
        answer = peers.run(row.who, f"{row.who}_networks.py", request, row.threads)
        wall = time.perf_counter() - begin
        sizes = [p["cells"] for p in net["populations"]]
        with np.load(path) as file:
            events = networks.flat([(file[f"step{k}"], file[f"neuron{k}"]) for k in range(len(sizes))], sizes)
    rate, cv = networks.rate_and_cv(*events, sum(sizes), duration)
    once = {k: [answer.pop(k)] for k in ("build_s", "sim_s")}
    return {**answer, **once, "rate_hz": rate, "cv_isi": cv, "process_s": wall, "duration": duration}


@contextmanager
def busy_neighbours(number: int) -> Any:
    """Keep so many processors busy with something else."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def one(row: Row, number: int, name: str, patience: float) -> dict[str, Any]:
    """Do the run of one row in one round, with what is known about the machine meanwhile."""
    machine.wait_until_quiet(patience)
    about = {"round": number, "seed": number + 1, "commit": machine.commit()}
    watch = machine.Watch()
    try:
        with busy_neighbours(row.options.get("neighbours", 0)):
            found = (run_peer if row.kind == "peer" else run_here)(row, number + 1, name)
    except FAILURES as error:
        found = {"skipped": str(error)}
    return {**about, **watch.stop(), **found}


# ----------------------------------------------------------------------------------------------------------- a workload
def measure(work: Workload, folder: Path, args: argparse.Namespace) -> None:
    """Do all rounds of a workload that are not stored; store after each."""
    stored = {} if args.again else machine.read(work.name, folder)
    result = {"workload": work.name, "title": work.title, "section": work.section, "goal": work.goal}
    result |= {"machine": machine.machine(), "versions": machine.versions()}
    if not args.no_peers:
        result["peers"] = peers.available()
    old = {r["key"]: r for r in stored.get("rows", [])}
    rows = []
    for row in work.rows:
        if row.who.startswith(workloads.SPIKESIM) or not args.no_peers:
            about = {"key": row.key, "who": row.who, "kind": row.kind, "threads": row.threads, "options": row.options}
            done = [r for r in old.get(row.key, {}).get("runs", []) if "skipped" not in r]
            done = [r for r in done if not (args.disturbed and r["disturbed"])]
            rows.append((row, about | {"runs": done}))
    known = {about["key"] for _, about in rows}
    result["rows"] = [about for _, about in rows] + [r for key, r in old.items() if key not in known and args.no_peers]
    for number in range(max(row.rounds for row in work.rows)):
        for row, about in rows:
            rounds = min(row.rounds, args.rounds)
            skipped = any("skipped" in r for r in about["runs"])
            if number >= rounds or skipped or number in [r["round"] for r in about["runs"]]:
                continue
            about["runs"].append(one(row, number, work.name, args.patience))
            print(f"{work.name:20} {row.key:42} {number}  {summary(about['runs'][-1])}", flush=True)
            machine.write(work.name, result, folder)


def summary(run: dict[str, Any]) -> str:
    """Return a line on one run."""
    if "skipped" in run:
        return f"skipped: {run['skipped']}"
    if "kernels" in run:
        return f"{len(run['kernels'])} figures"
    key = next(k for k in ("ms_per_step", "seconds", "sim_s") if k in run)
    values = run[key] if isinstance(run[key], list) else [run[key]]
    text = f"{key} {median(values):.4g}"
    if "file_s" in run:
        text += f", to a file {median(run['file_s']):.4g}"
    text += f", process {run['process_s']:.3g} s" if "process_s" in run else ""
    return text + (f"  (others kept {run['others_busy']:.2f} processors busy)" if run["disturbed"] else "")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*ALL, []], help="workloads; all by default", metavar="WORKLOAD")
    parser.add_argument("--list", action="store_true", help="list the workloads")
    parser.add_argument("--quick", action="store_true", help="a few workloads, few rounds, no peers, stored in build/")
    parser.add_argument("--no-peers", action="store_true", help="the library alone")
    parser.add_argument("--again", action="store_true", help="measure anew what is stored")
    parser.add_argument("--disturbed", action="store_true", help="measure anew the runs that others disturbed")
    parser.add_argument("--rounds", type=int, default=99, help="at most so many rounds")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait for a quiet machine before a run")
    args = parser.parse_args()
    if args.list:
        print("\n".join(f"{w.name:22} {w.section:14} {w.title}" for w in ALL.values()))
        return
    folder = STORED
    if args.quick:
        folder, args.no_peers, args.again, args.patience = QUICK_FOLDER, True, True, 0.0
        args.rounds = min(args.rounds, 2)
    for name in args.names or (QUICK if args.quick else ALL):
        measure(ALL[name], folder, args)


if __name__ == "__main__":
    main()
