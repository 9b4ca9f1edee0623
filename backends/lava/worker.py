"""The child process in which Lava runs: ``python -m spikesim.backends.lava.worker JOB.h5 RESULT.h5``.

Being a fresh process it can do what the caller's cannot: fix the start method to fork, and be ended as a whole. It ends
itself when one of Lava's processes dies, because Lava would wait for that one forever; and, with a third argument
``--end-with-stdin``, when its standard input closes, that is when the caller is gone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NoReturn

from spikesim.backends.lava.jobfile import read_jobs, write_results
from spikesim.backends.lava.shims import import_lava

# Lava gets this long to notice a dead process on its own, which gives the better message.
_GRACE_S = 1.0


class Watchdog:
    """Notices when one of Lava's processes ends while it should be running."""

    def __init__(self) -> None:
        self.runtime: Any = None
        threading.Thread(target=self._watch, daemon=True).start()

    def watch(self, runtime: Any) -> None:
        """Watch the processes of a Lava runtime from now on, or nothing."""
        self.runtime = runtime

    def actors(self) -> list[Any]:
        """Return the processes that Lava has started for the runtime."""
        return [] if self.runtime is None else list(self.runtime._messaging_infrastructure.actors)

    def _watch(self) -> None:
        while True:
            runtime, sentinels = self.runtime, [actor.sentinel for actor in self.actors()]
            if not sentinels:
                time.sleep(0.1)
            elif wait(sentinels, timeout=0.2) and self.runtime is runtime:
                time.sleep(_GRACE_S)
                if self.runtime is runtime:
                    fail(f"a Lava process ended while it should run\n{self.reports()}")

    def reports(self) -> str:
        """Collect the tracebacks that Lava's processes left behind; Lava itself hides them."""
        texts = []
        for actor in self.actors():
            try:
                exception = actor.exception
            except (OSError, EOFError, ValueError):
                continue
            if exception:
                texts.append(exception[1])
        return "\n".join(texts)


def fail(message: str) -> NoReturn:
    """End this process at once: an orderly stop would wait for processes that do not answer."""
    sys.stderr.write(message.rstrip() + "\n")
    sys.stderr.flush()
    os._exit(1)


def _end_with_caller() -> None:
    """Wait for the caller to close our standard input, then end the whole process group."""

    def listen() -> None:
        # Not sys.stdin.read(): that holds a lock which every forked child would wait for.
        while os.read(0, 1024):
            pass
        # Python's resource tracker ignores this signal and stays to remove the shared memory of the others.
        os.killpg(0, signal.SIGTERM)

    if os.getpgid(0) != os.getpid():
        fail("--end-with-stdin ends the whole process group, so it needs a group of its own")
    threading.Thread(target=listen, daemon=True).start()


def main(job_path: str, result_path: str) -> None:
    """Run the jobs of one file and write the results to another."""
    jobs = read_jobs(Path(job_path))
    import_lava()
    from spikesim.backends.lava.session import run_job  # only now: it imports Lava

    dog = Watchdog()
    try:
        results = [run_job(job, dog.watch) for job in jobs]
    except BaseException:
        fail(f"{traceback.format_exc()}\n{dog.reports()}")
    write_results(Path(result_path), results)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[3:] not in ([], ["--end-with-stdin"]):
        sys.exit("usage: python -m spikesim.backends.lava.worker JOB.h5 RESULT.h5 [--end-with-stdin]")
    if len(sys.argv) == 4:
        _end_with_caller()
    main(sys.argv[1], sys.argv[2])
