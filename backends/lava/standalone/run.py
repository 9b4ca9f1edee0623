"""Run the network of this folder in Lava: ``python run.py``; ``--check`` compares with the spikes that are expected.

Lava runs in a child process with a time limit. If it hangs or fails, you get its output and exit code 3, and nothing of
it is left behind. ``--check`` exits with 1 if a spike differs and shows the first that do.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402
from lava_network import LavaNetwork, save_arrays  # noqa: E402

DIFFER, WRONG_INPUT, FAILED = 1, 2, 3
SHOWN = 10  # differences


def simulate(sample: dict[str, Any], steps: int, io: str) -> dict[str, Any]:
    """Run one sample; return the spikes of every output as ``[steps, n]``, aligned to the steps of the input."""
    network = LavaNetwork.load()
    columns = steps + network.longest
    given = {}
    for name in {pre for pre, _ in network.ends.values()} & network.inputs.keys():  # the others drive nothing
        given[name] = np.zeros((columns, network.inputs[name]), np.int32)
        given[name][:steps] = sample[name]
    rasters = (with_injectors if io == "injector" else with_ring_buffers)(network, given, columns)
    return {name: raster[network.lags[name] : network.lags[name] + steps] for name, raster in rasters.items()}


def with_ring_buffers(network: LavaNetwork, given: dict[str, Any], columns: int) -> dict[str, Any]:
    """Give Lava all input before the run and take all spikes after it."""
    from lava.magma.core.run_conditions import RunSteps

    for name, raster in given.items():
        network.source(name, raster)
    sinks = {name: network.sink(name, columns) for name in network.outputs}
    found = {}
    for part in network.parts():
        first = network.populations[part[0]]
        first.create_runtime(network.run_config())
        with Watch(first.runtime):
            first.run(condition=RunSteps(num_steps=columns))
            found.update({name: np.asarray(sinks[name].data.get()).T for name in part if name in sinks})
        first.stop()
    return found


def with_injectors(network: LavaNetwork, given: dict[str, Any], columns: int) -> dict[str, Any]:
    """Exchange spikes with Lava column by column while it runs, as a closed loop would."""
    from lava.magma.core.run_conditions import RunSteps

    injectors = {name: network.injector(name) for name in given}
    extractors = {name: network.extractor(name) for name in network.outputs}
    found: dict[str, Any] = {name: [] for name in network.outputs}
    sources = {pre: post for pre, post in network.ends.values() if pre in injectors}
    for part in network.parts():
        first = network.populations[part[0]]
        first.create_runtime(network.run_config())
        with Watch(first.runtime):
            first.run(condition=RunSteps(num_steps=columns, blocking=False))
            for k in range(columns):
                for name, injector in injectors.items():
                    if sources[name] in part:
                        injector.send(given[name][k])
                for name in [n for n in part if n in extractors]:
                    found[name].append(np.array(extractors[name].receive()))
            first.wait()
        first.stop()
    return {name: np.array(rows) for name, rows in found.items()}


class Watch:
    """End this process if one of Lava's dies while it should run: Lava itself would wait for it for ever."""

    def __init__(self, runtime: Any) -> None:
        self.actors = list(runtime._messaging_infrastructure.actors)
        self.done = threading.Event()

    def __enter__(self) -> Watch:
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.done.set()

    def _watch(self) -> None:
        sentinels = [actor.sentinel for actor in self.actors]
        while not self.done.is_set():
            if wait(sentinels, timeout=0.2):
                time.sleep(1.0)  # for Lava to notice by itself
                if not self.done.is_set():
                    texts = filter(None, map(_traceback, self.actors))
                    end("\n".join(["a process of Lava ended while it should run", *texts]))


def _traceback(actor: Any) -> str:
    try:
        found = actor.exception
    except (OSError, EOFError, ValueError):
        return ""
    return str(found[1]) if found else ""


def end(message: str) -> None:
    """End this process at once: an orderly end would wait for processes that do not answer."""
    sys.stderr.write(message.rstrip() + "\n")
    sys.stderr.flush()
    os._exit(FAILED)


def child(arguments: argparse.Namespace) -> None:
    """Run all samples and write the spikes as rows (sample, step, neuron)."""

    def listen() -> None:
        while os.read(0, 1024):  # until our parent is gone
            pass
        os.killpg(0, signal.SIGTERM)

    threading.Thread(target=listen, daemon=True).start()
    try:
        inputs = read_inputs(arguments.input)
        steps, samples = next(iter(inputs.values())).shape[:2]
        runs = [simulate({name: x[:, k] for name, x in inputs.items()}, steps, arguments.io) for k in range(samples)]
    except BaseException:
        end(traceback.format_exc())
    spikes = {name: np.argwhere(np.stack([run[name] for run in runs])).astype(np.int32) for name in runs[0]}
    save_arrays(Path(arguments.child), spikes)
    foreign = np.array(sorted({name.partition(".")[0] for name in sys.modules}))
    save_arrays(Path(arguments.child + ".modules.npz"), {"modules": foreign})


def read_inputs(path: Path) -> dict[str, Any]:
    """Read spikes for every input: arrays ``[steps, samples, n]`` or ``[steps, n]`` by name."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
    except (OSError, ValueError, AttributeError) as error:
        refuse(f"{path} is no NPZ file with one array per input: {error}")
    described = json.loads((HERE / "network.json").read_text("utf-8"))
    found, problems = {}, []
    for name, n in described["inputs"].items():
        x = arrays.pop(name, None)
        if x is None or x.ndim not in (2, 3) or x.shape[-1] != n:
            shape = "missing" if x is None else f"of shape {x.shape}"
            problems.append(f"input {name!r} is {shape}; [steps, samples, {n}] or [steps, {n}] is needed")
        else:
            found[name] = (x if x.ndim == 3 else x[:, None]) != 0
    problems += [f"there is no input {name!r}" for name in arrays]
    if len({x.shape[:2] for x in found.values()}) > 1:
        problems.append("the inputs differ in steps or samples")
    if problems:
        refuse(f"{path}: " + "; ".join(problems))
    return found or {"": np.zeros((described["steps"], described["samples"], 0), bool)}


def refuse(message: str) -> None:
    """End with a sentence about what was asked."""
    print(message, file=sys.stderr)
    sys.exit(WRONG_INPUT)


def read_spikes(path: Path) -> dict[str, Any]:
    """Read spikes by population."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def run_child(arguments: argparse.Namespace, result: str) -> str:
    """Run Lava in a process group of its own; return what went wrong."""
    here = [sys.executable, *(["-I"] if sys.flags.isolated else []), "-u", str(HERE / "run.py")]
    command = [*here, "--child", result, "--input", str(arguments.input), "--io", arguments.io]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, env=environment
        )
        try:
            code: Any = process.wait(arguments.timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            end_group(process)
        log.seek(0)
        text = log.read()[-4000:].decode("utf-8", "replace").strip() or "(it printed nothing)"
    if code is None:
        return f"Lava did not finish within {arguments.timeout:g} s and was ended; its last output:\n{text}"
    return f"Lava failed with exit code {code}; its last output:\n{text}" if code else ""


def end_group(process: Any) -> None:
    """End what is left of the child's process group, and only that."""
    try:
        os.killpg(process.pid, signal.SIGTERM)  # Python's resource tracker removes shared memory, then ends, too
        time.sleep(0.5 if process.poll() is None else 0.1)
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.stdin.close()
    process.wait()


def differences(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, list[tuple[int, ...]]]:
    """Return the spikes that only one of the two has, by population."""
    both = {}
    for name, rows in expected.items():
        a, b = ({tuple(row) for row in each.tolist()} for each in (found.get(name, rows[:0]), rows))
        both[name] = sorted(a ^ b)
    return both


def report(arguments: argparse.Namespace, found: dict[str, Any]) -> int:
    """Print what was found, and with --check how it compares."""
    counts = {name: len(rows) for name, rows in found.items()}
    if not arguments.check:
        print(
            json.dumps({"spikes": counts})
            if arguments.json
            else "\n".join(f"{k}: {n} spikes" for k, n in counts.items())
        )
        return 0
    expected = read_spikes(HERE / "expected.npz")
    wanted = sum(map(len, expected.values()))
    differ = differences(found, expected)
    total = sum(map(len, differ.values()))
    if arguments.json:
        by_name = {name: len(rows) for name, rows in differ.items()}
        same = {"expected": wanted, "differing": by_name, "same": not total}
        print(json.dumps({"spikes": counts, **same, "modules": arguments.modules}))
        return DIFFER if total else 0
    for name, rows in differ.items():
        print(f"{name}: {counts.get(name, 0)} spikes, {len(expected[name])} expected, {len(rows)} differ")
        for sample, step, neuron in rows[:SHOWN]:
            print(f"    sample {sample}, step {step}, neuron {neuron}")
    print("the same spikes as expected" if not total else f"{total} spikes differ")
    return DIFFER if total else 0


def main() -> int:
    """Run the child and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with expected.npz (needs input.npz)")
    parser.add_argument("--input", type=Path, default=HERE / "input.npz", help="NPZ, [steps, samples, n] per input")
    parser.add_argument("--out", type=Path, help="NPZ for the spikes: rows (sample, step, neuron) by population")
    parser.add_argument("--io", choices=("ringbuffer", "injector"), help="how spikes enter and leave Lava")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds after which Lava is ended")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    described = json.loads((HERE / "network.json").read_text("utf-8"))
    arguments.io = arguments.io or described["io"]
    if arguments.child:
        child(arguments)
        return 0
    read_inputs(arguments.input)  # says what is wrong with them before Lava starts
    with tempfile.TemporaryDirectory() as folder:
        result = str(Path(folder, "spikes.npz"))
        problem = run_child(arguments, result)
        if problem:
            print(problem, file=sys.stderr)
            return FAILED
        found = read_spikes(Path(result))
        arguments.modules = read_spikes(Path(result + ".modules.npz"))["modules"].tolist()
    if arguments.out:
        save_arrays(arguments.out, found)
    return report(arguments, found)


if __name__ == "__main__":
    sys.exit(main())
