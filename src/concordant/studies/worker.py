"""A process that runs seeds of studies one after the other: ``python -m concordant.studies.worker``, for `running`.

It reads one JSON task a line and answers with one JSON line. What a study prints goes to a log beside its result. When
its input ends, because whoever started it is done or was killed, it ends at once.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from concordant.core.errors import ConcordantError, described
from concordant.studies.seeds import SeedResult, machine, versions, write_seed
from concordant.studies.study import Scale, Study


def main() -> None:
    """Run tasks until the input ends."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole group; whoever started this ends it
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    while True:
        task = json.loads(lines.get())
        answers.write(json.dumps(_answer(task)) + "\n")
        answers.flush()


def _read(lines: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)  # a seed that nobody waits for is not worth finishing


def _answer(task: dict[str, Any]) -> dict[str, Any]:
    folder, seed = Path(task["folder"]), task["seed"]
    log = folder / f"seed-{seed}.log"
    with log.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        _run(task, folder, seed)
        error = None
    except BaseException as caught:  # SystemExit too: one seed must not end the others
        error = str(caught) if isinstance(caught, ConcordantError) else described(caught)
        traceback.print_exception(caught)
    sys.stdout.flush()
    sys.stderr.flush()
    if not log.stat().st_size:
        log.unlink()
    return {"seed": seed, "error": error}


def _run(task: dict[str, Any], folder: Path, seed: int) -> None:
    study = load(task["module"], task["file"], task["name"], task["path"])
    started = time.perf_counter()
    measurements = study(Scale(task["scale"]), seed)
    seconds = time.perf_counter() - started
    result = SeedResult(
        study=study.slug,
        scale=task["scale"],
        seed=seed,
        measurements=measurements,
        seconds=round(seconds, 3),
        code=task["code"],
        versions=versions(),
        commit=task["commit"],
        machine=machine(),
        threads=task["threads"],
    )
    write_seed(folder, result)


def load(module: str, file: str, name: str, path: list[str]) -> Study:
    """Return a study by the module it was defined in; one that no import finds is run from its file."""
    sys.path[:] = path
    try:
        home = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.split(".")[0]:
            raise
        spec = importlib.util.spec_from_file_location(module, file)
        assert spec is not None
        assert spec.loader is not None
        home = importlib.util.module_from_spec(spec)
        sys.modules[module] = home
        sys.path.insert(0, str(Path(file).parent))
        spec.loader.exec_module(home)
    found = getattr(home, name)
    assert isinstance(found, Study)
    return found


if __name__ == "__main__":
    main()
