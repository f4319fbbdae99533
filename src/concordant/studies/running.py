"""The runner of studies: seeds in processes of their own, each result kept as it comes, and resumed after a kill.

A seed of a smoke or pocket run gets one thread, so that its numbers do not depend on how many cores there are and seeds
can run side by side. A seed that fails is named and the others go on; a process that dies takes only its seed with it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from concordant.core.errors import ConfigError, DataError, StoreError
from concordant.core.progress import progress_bars
from concordant.studies.code_digest import code_digest
from concordant.studies.results import StudyResult
from concordant.studies.seeds import SeedResult, commit, n_cores, read_seed, seed_path
from concordant.studies.study import Scale, Study, checked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Tell = Callable[[str, int, int], None]

SEEDS = {Scale.smoke: (0, 1), Scale.pocket: (0, 1, 2, 3, 4), Scale.full: (0, 1, 2, 3, 4)}
"""The seeds that are run where none are named: the reported ones. A study is tuned on seeds from 1000 up."""

FOLDER = Path("runs/studies")
THREAD_LIMITS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)


def run(
    studies: Iterable[Study],
    scale: Scale = Scale.pocket,
    seeds: Sequence[int] | None = None,
    *,
    folder: str | Path = FOLDER,
    jobs: int | None = None,
    fresh: bool = False,
    progress: bool | Tell = True,
) -> list[StudyResult]:
    """Run seeds of studies and decide their claims.

    Parameters
    ----------
    studies
        What to run. A study is imported anew in other processes: it must stand at the top of a module.
    scale
        How large.
    seeds
        Different numbers, at least 0; by default 0 to 4, and 0 and 1 for `Scale.smoke`.
    folder
        Where results are kept, those of a study in ``<slug>-<scale>``; what is there is not run again, unless it comes
        from other code.
    jobs
        How many seeds at once; by default one a core, and one for `Scale.full`, which has all cores.
    fresh
        Run again what is there.
    progress
        Whether to draw a bar for each study (on a terminal only), or a function to be told.

    Returns
    -------
    list of StudyResult
        In the order given; seeds that failed are named in `errors`.

    Raises
    ------
    ConfigError
        If seeds or jobs are not as they should be.
    StoreError
        If the folder cannot be written, or another run is writing it.
    """
    studies = list(studies)
    seeds = _checked_seeds(SEEDS[scale] if seeds is None else seeds)
    if jobs is not None and jobs < 1:
        message = f"jobs must be at least 1, got {jobs}"
        raise ConfigError(message)
    jobs = jobs or (1 if scale is Scale.full else n_cores())
    threads = max(1, n_cores() // jobs) if scale is Scale.full else 1
    with ExitStack() as stack:
        states = [
            _State.opened(study, scale, seeds, Path(folder), threads, stack, fresh=fresh) for study in studies
        ]
        tell = stack.enter_context(progress_bars()) if progress is True else progress or (lambda *_: None)
        tasks = [(state, seed) for state in states for seed in seeds if seed not in state.results]
        for state in states:
            tell(state.study.slug, len(state.results), len(seeds))
        for state, seed, error in _worked(tasks, min(jobs, len(tasks)), threads):
            state.take(seed, error)
            tell(state.study.slug, len(state.results) + len(state.errors), len(seeds))
    return [state.concluded() for state in states]


@dataclass
class _State:
    """A study on its way: what is asked, and what has come."""

    study: Study
    scale: Scale
    seeds: tuple[int, ...]
    folder: Path
    code: str
    threads: int
    results: dict[int, SeedResult] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    stale: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()

    @classmethod
    def opened(
        cls,
        study: Study,
        scale: Scale,
        seeds: tuple[int, ...],
        folder: Path,
        threads: int,
        stack: ExitStack,
        *,
        fresh: bool,
    ) -> _State:
        """Hold the folder of a study for writing, and read what is there."""
        place = (folder / f"{study.slug}-{scale}").absolute()
        try:
            place.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(place / ".lock", timeout=0))
        except Timeout:
            message = (
                f"{place} is being written by another run; wait for it or choose another folder: --output"
            )
            raise StoreError(message) from None
        except OSError as error:
            message = f"the folder {place} cannot be written: {error.strerror or error}"
            raise StoreError(message) from None
        state = cls(study, scale, seeds, place, code_digest(study), threads)
        stale = []
        for seed in seeds:
            path = seed_path(place, seed)
            if fresh:
                path.unlink(missing_ok=True)
            elif (found := read_seed(path)) is not None:
                if state.fits(found):
                    state.results[seed] = found
                else:
                    stale.append(seed)
        state.stale, state.kept = tuple(stale), tuple(state.results)
        return state

    def fits(self, found: SeedResult) -> bool:
        """Whether a kept result is of this code and has what the claims need."""
        if (found.study, found.scale, found.code) != (self.study.slug, self.scale, self.code):
            return False
        try:
            checked(found.measurements, self.study.claims, self.study.slug)
        except DataError:
            return False
        return True

    def task(self, seed: int) -> dict[str, Any]:
        """Return what a worker must know to run a seed."""
        function = self.study.function
        return {
            "module": function.__module__,
            "file": function.__code__.co_filename,
            "name": function.__name__,
            "path": sys.path,
            "scale": self.scale,
            "seed": seed,
            "folder": str(self.folder),
            "code": self.code,
            "commit": commit(),
            "threads": self.threads,
        }

    def take(self, seed: int, error: str | None) -> None:
        """Take what a worker says of a seed."""
        found = read_seed(seed_path(self.folder, seed)) if error is None else None
        if found is not None:
            self.results[seed] = found
        else:
            self.errors[seed] = error or f"its result in {seed_path(self.folder, seed)} cannot be read"

    def concluded(self) -> StudyResult:
        """Return the results in the order of the seeds."""
        results = {seed: self.results[seed] for seed in self.seeds if seed in self.results}
        errors = {seed: self.errors[seed] for seed in self.seeds if seed in self.errors}
        return StudyResult.of(
            self.study, self.scale, results, errors, folder=self.folder, kept=self.kept, stale=self.stale
        )


def _checked_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    seeds = tuple(seeds)
    if not seeds or len(set(seeds)) < len(seeds) or not all(isinstance(s, int) and s >= 0 for s in seeds):
        message = (
            f"seeds must be different whole numbers from 0 up, got {', '.join(map(str, seeds)) or 'none'}"
        )
        raise ConfigError(message)
    return seeds


def _worked(
    tasks: Sequence[tuple[_State, int]], jobs: int, threads: int
) -> Iterable[tuple[_State, int, str | None]]:
    """Run tasks in `jobs` processes and give each, as it is done, with what went wrong; ending early ends them all."""
    waiting = deque(tasks)
    done: queue.SimpleQueue[tuple[_State, int, str | None] | BaseException] = queue.SimpleQueue()
    workers = [_Worker(threads) for _ in range(jobs)]

    def serve(worker: _Worker) -> None:
        try:
            while not worker.ended:
                try:
                    state, seed = waiting.popleft()
                except IndexError:
                    return
                done.put((state, seed, worker.ask(state.task(seed))))
        except BaseException as error:
            done.put(error)

    helpers = [threading.Thread(target=serve, args=(worker,), daemon=True) for worker in workers]
    try:
        for helper in helpers:
            helper.start()
        for _ in tasks:
            came = done.get()
            if isinstance(came, BaseException):
                raise came
            yield came
    finally:
        for worker in workers:
            worker.end()
        for helper in helpers:
            helper.join()
        for worker in workers:
            worker.close()


class _Worker:
    """A process that runs one seed at a time; started when there is something to do, and again when it died."""

    def __init__(self, threads: int) -> None:
        self.ended = False
        self._environment = os.environ | dict.fromkeys(THREAD_LIMITS, str(threads))
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def ask(self, task: dict[str, Any]) -> str | None:
        """Run one task; return what went wrong, or None."""
        process = self._started()
        if process is None:
            return "it was stopped"
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        except OSError:
            answer = ""
        if not answer:
            code = process.wait()
            self.close()
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            memory = ", perhaps for want of memory" if code == -signal.SIGKILL else ""
            return f"its process died ({how}{memory})"
        return json.loads(answer)["error"]  # type: ignore[no-any-return]

    def end(self) -> None:
        """End the process, whatever it is doing: results are kept as they come."""
        with self._lock:
            self.ended = True
            if self._process is not None:
                self._process.kill()
                self._process.wait()

    def close(self) -> None:
        """Forget the process, which has ended."""
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout):
                assert stream is not None
                with suppress(BrokenPipeError):  # of a task that it did not read any more
                    stream.close()
            self._process = None

    def _started(self) -> subprocess.Popen[str] | None:
        with self._lock:
            if self.ended:
                return None
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "concordant.studies.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=self._environment,
                    text=True,
                    encoding="utf-8",
                )
            return self._process
