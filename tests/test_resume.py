"""What is recorded stays recorded: kills at random moments, torn files, full disks, two writers, Ctrl-C."""

import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

import concordant as cc
from concordant.core.errors import StoreError
from concordant.core.store import RunFolder
from concordant.suite import Suite

COMMAND = str(Path(sys.executable).with_name("concordant"))
KILLS = 20
N_ITEMS = 400
FEW = 60

MODELS = """\
import asyncio
import os
import time


def note(model, prompt, request):
    text = prompt if isinstance(prompt, str) else prompt[0]["content"]
    line = f"{model} n={request.n} {text}\\n"
    file = os.open(os.environ["ASKED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())  # one short write to an appended file is never torn
    os.close(file)
    return int(text.split()[0])


async def new(prompt, request):
    number = note("new", prompt, request)
    await asyncio.sleep(float(os.environ.get("SLEEP", 0.004)))
    return str(number if number % 7 else 0)


def old(prompts, request):
    time.sleep(float(os.environ.get("SLEEP", 0.004)))
    return [str(note("old", prompt, request) % 350) for prompt in prompts]
"""
CHECK = """\
models:
  old: {spec: "python:models.py:old", batched: true, batch_size: 8, with_request: true}
  new: {spec: "python:models.py:new", concurrency: 4, with_request: true}
items: questions.jsonl
slices: [topic]
checks:
  - relation: versions.flips
    against: old
    gate: negative_flip_rate <= 0.5
  - relation: variants.resample
    k: 2
"""
# Loads everything once and runs the check in a fork for each line that it reads, so that a kill costs no start-up.
FORKS = """\
import os, sys
import numpy, polars, scipy.stats, yaml, pydantic
import concordant.core.sink
import concordant.models.adapters, concordant.models.load, concordant.report.sanitize, concordant.suite, concordant.versions
import concordant.variants.resample, concordant.versions.flips
from concordant.cli.main import main
concordant.core.sink.FLUSH_SECONDS = 0.02
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        sys.argv = ["concordant", *line.split()]
        main()
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(status, flush=True)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "check.yaml").write_text(CHECK)
    rows = [
        {"id": f"q{i}", "input": f"{i} marbles", "reference": i, "topic": "ab"[i % 2]} for i in range(N_ITEMS)
    ]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def environment(folder, **more):
    quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    return {**os.environ, **quiet, "ASKED": str(folder / "asked.txt"), **more}


def concordant(folder, *words, **more):
    arguments = [COMMAND, "check", "check.yaml", "--trust-code", "--no-cache", *words]
    return subprocess.run(
        arguments, cwd=folder, env=environment(folder, **more), capture_output=True, text=True
    )


def recorded(run):
    """Return what a run holds: (model, n, id) of every item of every pass."""
    passes = json.loads((run / "run.json").read_text())["passes"] if (run / "run.json").exists() else {}
    found = set()
    for path in (run / "behaviours").glob("*.parquet"):
        work = passes[path.name.rsplit("-", 1)[0]]
        found |= {(work["model"], work["n"], item) for item in pl.read_parquet(path)["item"].to_list()}
    return found


def asked(folder):
    """Return what was asked since the last call, in the form of `recorded`."""
    path = folder / "asked.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    words = [line.split() for line in lines]
    return [(model, int(n.removeprefix("n=")), f"q{number}") for model, n, number, _ in words]


def findings(run):
    return pl.read_parquet(run / "findings.parquet")


def test_a_run_killed_at_any_moment_goes_on_where_it_was(folder):
    run, generator = folder / "killed", random.Random(7)
    whole = concordant(folder, "--folder", "whole", SLEEP="0")
    assert whole.returncode == 0, whole.stderr
    asked(folder)

    twice, survived = collections.Counter(), 0
    with subprocess.Popen(
        [sys.executable, "-c", FORKS],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as forks:
        assert forks.stdout.readline() == "ready\n"
        for attempt in range(KILLS + 1):
            before = recorded(run)
            forks.stdin.write("check check.yaml --trust-code --no-cache --folder killed --resume\n")
            forks.stdin.flush()
            child = int(forks.stdout.readline())
            if attempt < KILLS:
                time.sleep(generator.uniform(0.02, 0.3))
                os.kill(child, signal.SIGKILL)
            status = int(forks.stdout.readline())
            survived += os.WIFEXITED(status)
            twice.update(set(asked(folder)) & before)
            assert before <= recorded(run)
        forks.stdin.close()

    assert os.WEXITSTATUS(status) == 0
    assert survived <= 5, "most of the kills came too late to kill anything"
    assert not twice, "what was recorded was asked again"
    assert recorded(run) == recorded(folder / "whole")
    assert findings(run).equals(findings(folder / "whole"))


@pytest.mark.parametrize("during", ["old", "new"])
def test_stopping_by_ctrl_c_is_quick_and_keeps_what_is_recorded(folder, during):
    process = subprocess.Popen(
        [COMMAND, "check", "check.yaml", "--trust-code", "--no-cache", "--folder", "run"],
        cwd=folder,
        env=environment(folder, SLEEP="0.1" if during == "old" else "0.01"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while during not in ((folder / "asked.txt").read_text() if (folder / "asked.txt").exists() else ""):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stopped = time.monotonic()
    out, error = process.communicate(timeout=20)
    assert time.monotonic() - stopped < 3  # the rest of the pass would take 5
    assert process.returncode == 130
    assert error == "concordant: stopped; nothing recorded is lost; go on with --resume\n"
    assert out == ""
    before = recorded(folder / "run")
    assert ("old", 1, "q0") in before
    assert ("old", 1, f"q{N_ITEMS - 1}") not in before or during == "new"
    asked(folder)
    done = concordant(folder, "--folder", "run", "--resume", SLEEP="0")
    assert done.returncode == 0, done.stderr
    assert not set(asked(folder)) & before


# -- in one process, to be quick ---------------------------------------------------------------------------------


@pytest.fixture
def suite(folder, monkeypatch):
    monkeypatch.setenv("ASKED", str(folder / "asked.txt"))
    monkeypatch.setenv("SLEEP", "0")
    monkeypatch.setattr("concordant.core.sink.FLUSH_SECONDS", 0.0)
    return Suite.read(folder / "check.yaml", trust_code=True)


def test_a_torn_segment_is_set_aside_and_asked_again(folder, suite):
    run = folder / "run"
    suite.run(folder=run, progress=False, limit=FEW)
    before, whole = findings(run), recorded(run)
    segment = max((run / "behaviours").glob("*.parquet"), key=lambda path: path.stat().st_size)
    data = segment.read_bytes()
    segment.write_bytes(data[: len(data) // 2])
    (run / "behaviours" / ".left.parquet.1.tmp").write_bytes(b"half")
    asked(folder)
    report = suite.run(folder=run, progress=False, limit=FEW, resume=True)
    assert segment.with_suffix(".torn").read_bytes() == data[: len(data) // 2]
    assert report.about["set_aside"] == [segment.with_suffix(".torn").name]
    assert recorded(run) == whole
    assert findings(run).equals(before)
    assert 0 < len(asked(folder)) < 4 * FEW


def test_two_runs_cannot_write_one_folder(folder, suite):
    with (
        RunFolder(folder / "run").opened(),
        pytest.raises(StoreError, match="run is being written by another run"),
    ):
        suite.run(folder=folder / "run", progress=False, limit=FEW)
    suite.run(folder=folder / "run", progress=False, limit=FEW)
    with pytest.raises(StoreError, match="already holds a run; go on with it by --resume"):
        suite.run(folder=folder / "run", progress=False, limit=FEW)
    with pytest.raises(StoreError, match="holds a run over other items"):
        suite.run(folder=folder / "run", progress=False, resume=True, limit=5)


@pytest.mark.parametrize(
    ("number", "said"), [(28, "there is no space left on its disk"), (30, "its file system is read-only")]
)
def test_a_disk_that_fails_is_named_and_what_was_recorded_is_kept(folder, suite, monkeypatch, number, said):
    real, calls = os.fsync, []

    def fsync(file):
        calls.append(file)
        if len(calls) > 20:
            raise OSError(number, os.strerror(number))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreError, match=said) as caught:
        suite.run(folder=folder / "run", progress=False, limit=FEW)
    assert "all that was recorded before is kept" in str(caught.value)
    assert "\n" not in str(caught.value)
    before = recorded(folder / "run")
    assert len(before) >= 8
    assert not list((folder / "run").rglob("*.tmp"))

    monkeypatch.setattr(os, "fsync", real)
    asked(folder)
    suite.run(folder=folder / "run", progress=False, limit=FEW, resume=True)
    assert not set(asked(folder)) & before


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="only root can mount a small disk"
)
def test_a_disk_that_is_really_full(folder, suite):
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(StoreError, match="there is no space left on its disk"):
            suite.run(folder=disk / "run", progress=False, limit=FEW)
        before = recorded(disk / "run")
        assert before
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        asked(folder)
        suite.run(folder=disk / "run", progress=False, limit=FEW, resume=True)
        assert not set(asked(folder)) & before
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_cannot_be_made_is_named(folder, suite):
    (folder / "file").write_text("")
    with pytest.raises(StoreError, match="a part of the path is a file, not a folder"):
        suite.run(folder=folder / "file" / "run", progress=False, limit=FEW)
    (folder / "run").mkdir()
    (folder / "run" / "run.json").write_text("{")
    with pytest.raises(StoreError, match="run holds no readable run"):
        suite.run(folder=folder / "run", progress=False, limit=FEW, resume=True)
    (folder / "run" / "run.json").write_text('{"schema": 99}')
    with pytest.raises(StoreError, match="written by a later version of concordant"):
        suite.run(folder=folder / "run", progress=False, limit=FEW, resume=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_named(folder, suite):
    (folder / "closed").mkdir(mode=0o500)
    with pytest.raises(StoreError, match="it is not allowed to write there"):
        suite.run(folder=folder / "closed" / "run", progress=False, limit=FEW)


@cc.relation(variants=("plain", "again"))
def same(item):
    yield item.input
    yield item.input


def model_with_bad_items(kind, bad, calls):
    def answer(text):
        calls.append(text)
        if text in bad:
            raise ValueError("not this one")
        return text

    async def answer_soon(text):
        return answer(text)

    return cc.load(answer if kind == "batch" else answer_soon, fingerprint="model")


@pytest.mark.parametrize("kind", ["batch", "concurrent"])
def test_errors_are_asked_again_where_one_wants(tmp_path, kind):
    items = cc.Items.from_records([{"id": f"q{i}", "input": str(i), "reference": i} for i in range(60)])
    bad, calls = {str(i) for i in range(25)}, []
    how = {"folder": tmp_path / "run", "progress": False}
    model = model_with_bad_items(kind, {*bad} - {"0"}, calls)
    first = cc.check(model, items, [same], **how)
    errors = first["same"].answers["plain"]["error"].drop_nulls()
    assert errors.unique().to_list() == ["ValueError: not this one"]
    assert len(errors) == 24

    calls.clear()
    kept = cc.check(model, items, [same], resume=True, **how)
    assert not calls
    assert kept["same"].agreement_score.n == 36

    # All that is left to ask fails, and more of it than would stop a run that has never had an answer.
    again = cc.check(model, items, [same], resume=True, retry_errors=True, **how)
    assert set(calls) == bad - {"0"}
    assert again["same"].agreement_score.n == 36

    calls.clear()
    mended = cc.check(
        model_with_bad_items(kind, {"1"}, calls), items, [same], resume=True, retry_errors=True, **how
    )
    assert set(calls) == bad - {"0"}
    assert mended["same"].agreement_score.n == 59
