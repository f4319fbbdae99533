"""The runner of studies: what is kept, what is run again, what a seed that fails or a process that dies leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from concordant.core.errors import ConfigError, StoreError
from concordant.studies.running import run
from concordant.studies.seeds import read_seed
from concordant.studies.study import Scale
from toy_studies import toy_mean, toy_watched

COMMAND = Path(sys.executable).with_name("concordant")
TESTS = Path(__file__).parents[1]


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Watch which seeds are run; return a function that gives those since it was last called."""
    path = tmp_path / "log"
    monkeypatch.setenv("TOY_LOG", str(path))

    def ran():
        seeds = path.read_text().split() if path.exists() else []
        path.unlink(missing_ok=True)
        return sorted(map(int, seeds))

    return ran


def watched(folder, seeds, **more):
    (result,) = run([toy_watched], Scale.smoke, seeds, folder=folder, progress=False, **more)
    return result


def test_seeds_are_kept_and_not_run_again(tmp_path, log):
    told = []
    (first,) = run(
        [toy_watched],
        Scale.smoke,
        [0, 2],
        folder=tmp_path,
        jobs=1,
        progress=lambda *told_: told.append(told_),
    )
    assert log() == [0, 2]
    assert told == [("toy-watched", 0, 2), ("toy-watched", 1, 2), ("toy-watched", 2, 2)]
    assert (first.kept, first.stale, first.errors) == ((), (), {})
    assert {result.measurements["threads.n"] for result in first.results.values()} == {1}

    kept = json.loads((tmp_path / "toy-watched-smoke" / "seed-0.json").read_text())
    assert kept["measurements"] == toy_watched(Scale.smoke, 0) | {"threads.n": 1.0}
    log()
    assert (kept["study"], kept["scale"], kept["seed"], kept["threads"]) == ("toy-watched", "smoke", 0, 1)
    assert set(kept["versions"]) >= {"python", "numpy", "concordant"}
    assert kept["machine"].split(", ")[0].endswith(("core", "cores"))
    said = (tmp_path / "toy-watched-smoke" / "seed-0.log").read_text()
    assert said == "a line to standard output\nand one to standard error\n"

    second = watched(tmp_path, [0, 1, 2])
    assert log() == [1]
    assert second.kept == (0, 2)
    assert second.results[0] == first.results[0]
    assert list(second.results) == [0, 1, 2]


def test_results_of_other_code_or_torn_ones_are_run_again(tmp_path, log):
    watched(tmp_path, [0, 1])
    folder = tmp_path / "toy-watched-smoke"
    document = json.loads((folder / "seed-0.json").read_text())
    (folder / "seed-0.json").write_text(json.dumps(document | {"code": "of yesterday"}))
    text = (folder / "seed-1.json").read_text()
    (folder / "seed-1.json").write_text(text[: len(text) // 2])
    log()
    again = watched(tmp_path, [0, 1])
    assert log() == [0, 1]
    assert (again.kept, again.stale) == ((), (0,))
    assert read_seed(folder / "seed-0.json").code == document["code"]

    (folder / "seed-0.json").write_text(json.dumps(document | {"measurements": {"new.accuracy": 1.0}}))
    (folder / "seed-1.json").write_text(json.dumps(document | {"schema": 99}))
    log()
    watched(tmp_path, [0, 1])
    assert log() == [0, 1]
    watched(tmp_path, [0, 1], fresh=True)
    assert log() == [0, 1]


def test_a_seed_that_fails_is_named_and_the_others_are_kept(tmp_path, log, monkeypatch):
    for how, seed in (("FAIL", "1"), ("REFUSE", "2 3"), ("EXIT", "4"), ("DIE", "5")):
        monkeypatch.setenv(f"TOY_{how}", seed)
    result = watched(tmp_path, range(7), jobs=2)
    assert result.errors == {
        1: "ValueError: no such luck with 1",
        2: "the data of the paper must be given: --data DIR",
        3: "the data of the paper must be given: --data DIR",
        4: "SystemExit: 3",
        5: "its process died (SIGKILL, perhaps for want of memory)",
    }
    assert list(result.results) == [0, 6]
    assert result.exit_code == 2
    assert "ValueError: no such luck with 1\nand a second line" in (result.folder / "seed-1.log").read_text()

    for how in ("FAIL", "REFUSE", "EXIT", "DIE"):
        monkeypatch.delenv(f"TOY_{how}")
    log()
    assert watched(tmp_path, range(7)).errors == {}
    assert log() == [1, 2, 3, 4, 5]


def test_order_and_number_of_processes_change_nothing(tmp_path):
    (one,) = run([toy_mean], Scale.smoke, [0, 1, 2], folder=tmp_path / "1", jobs=1, progress=False)
    (two,) = run([toy_mean], Scale.smoke, [2, 0, 1], folder=tmp_path / "2", jobs=3, progress=False)
    assert list(two.results) == [2, 0, 1]
    for seed in range(3):
        assert one.results[seed].measurements == two.results[seed].measurements == toy_mean(Scale.smoke, seed)
    assert [d.state for d in one.decisions] == [d.state for d in two.decisions]


@pytest.mark.parametrize(
    ("seeds", "got"), [([], "none"), ([1, 1], "1, 1"), ([-1], "-1"), ([0.5], "0.5"), (["0"], "0")]
)
def test_bad_seeds(tmp_path, seeds, got):
    with pytest.raises(ConfigError, match=f"^seeds must be different whole numbers from 0 up, got {got}$"):
        watched(tmp_path, seeds)


def test_bad_folders_and_jobs(tmp_path):
    with pytest.raises(ConfigError, match="jobs must be at least 1, got 0"):
        watched(tmp_path, [0], jobs=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        watched(tmp_path / "file", [0])
    (tmp_path / "toy-watched-smoke").mkdir()
    with (
        FileLock(tmp_path / "toy-watched-smoke" / ".lock"),
        pytest.raises(
            StoreError, match="is being written by another run; wait for it or choose another folder"
        ),
    ):
        watched(tmp_path, [0])


# -- the command, killed and stopped ------------------------------------------------------------------------


@pytest.fixture
def acme(tmp_path):
    """Install a third party's studies: what pip leaves of them on the path."""
    about = tmp_path / "acme" / "acme-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[concordant.studies]\ntoy-watched = toy_studies:toy_watched\n")
    path = os.pathsep.join([str(tmp_path / "acme"), str(TESTS)])
    return os.environ | {"PYTHONPATH": path, "TOY_LOG": str(tmp_path / "log"), "OMP_NUM_THREADS": "1"}


def start(folder, environment, *words, sleep="0"):
    return subprocess.Popen(
        [COMMAND, "study", "toy-watched", "--scale", "smoke", "--seeds", "0-5", "-j", "1", *words],
        cwd=folder,
        env=environment | {"TOY_SLEEP": sleep},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_third_seed(tmp_path):
    """Wait until the third seed has begun, so that two are done."""
    deadline = time.monotonic() + 60
    log = tmp_path / "log"
    while not log.exists() or len(log.read_text().split()) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def workers_of(pid):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(word) for word in found.split()]


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def done(tmp_path):
    folder = tmp_path / "runs" / "studies" / "toy-watched-smoke"
    return {int(path.stem.removeprefix("seed-")): path.read_bytes() for path in folder.glob("seed-*.json")}


def test_a_study_that_is_killed_goes_on_seed_by_seed(tmp_path, acme):
    process = start(tmp_path, acme, sleep="0.3")
    until_third_seed(tmp_path)
    workers = workers_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = done(tmp_path)
    assert {0, 1} <= set(before) < set(range(6))
    assert all(read_seed(path) for path in (tmp_path / "runs").rglob("seed-*.json"))
    deadline = time.monotonic() + 10
    while any(map(is_running, workers)):  # they end with whoever started them
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (tmp_path / "log").unlink()

    process = start(tmp_path, acme, "--json")
    out, error = process.communicate(timeout=60)
    assert process.returncode in (0, 3), error
    assert sorted(map(int, (tmp_path / "log").read_text().split())) == sorted(set(range(6)) - set(before))
    after = done(tmp_path)
    assert set(after) == set(range(6))
    assert {seed: after[seed] for seed in before} == before
    (study,) = json.loads(out)["studies"]
    assert study["seeds"] == list(range(6))


def test_ctrl_c_leaves_what_is_done(tmp_path, acme):
    process = start(tmp_path, acme, sleep="0.3")
    until_third_seed(tmp_path)
    (worker,) = workers_of(process.pid)
    for pid in (process.pid, worker):  # a terminal sends it to the whole group
        os.kill(pid, signal.SIGINT)
    out, error = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert error == "concordant: stopped; the seeds that are done are kept; the same command goes on\n"
    assert {0, 1} <= set(done(tmp_path)) < set(range(6))
    assert not is_running(worker)
