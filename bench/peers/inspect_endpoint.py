"""Inspect AI over n one-message samples of an OpenAI-compatible server; prints wall seconds of the evaluation."""

import json
import os
import sys
import tempfile
import time

arguments = json.loads(sys.argv[1])
n, concurrency = arguments["n"], arguments["concurrency"]
os.environ["LOCAL_API_KEY"] = "none"
os.environ["LOCAL_BASE_URL"] = arguments["url"]

import inspect_ai  # noqa: E402
import offline_tokens  # noqa: E402, F401 - before the first sample counts its tokens
from inspect_ai import Task, eval  # noqa: E402
from inspect_ai.dataset import MemoryDataset, Sample  # noqa: E402
from inspect_ai.model import get_model  # noqa: E402
from inspect_ai.scorer import match  # noqa: E402

samples = [Sample(id=str(i), input=f"What is {i}?", target="42") for i in range(n)]
model = get_model("openai-api/local/m")
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    task = Task(dataset=MemoryDataset(samples), scorer=match())
    started = time.perf_counter()
    logs = eval(
        task,
        model=model,
        log_dir=folder,
        display="none",
        max_connections=concurrency,
        max_samples=concurrency,
        adaptive_connections=False,
    )
    wall = time.perf_counter() - started
assert logs[0].status == "success", logs[0].error
assert logs[0].results.scores[0].metrics["accuracy"].value == 1.0
print(json.dumps({"wall_s": wall, "version": inspect_ai.__version__}))
