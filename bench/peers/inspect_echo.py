"""Inspect AI with its mock model and the `match` scorer over n one-message samples; prints CPU seconds of the evaluation."""

import json
import os
import sys
import tempfile
import time

n = json.loads(sys.argv[1])["n"]

import inspect_ai  # noqa: E402
import offline_tokens  # noqa: E402, F401 - before the first sample counts its tokens
from inspect_ai import Task, eval  # noqa: E402
from inspect_ai.dataset import MemoryDataset, Sample  # noqa: E402
from inspect_ai.model import ModelOutput, get_model  # noqa: E402
from inspect_ai.scorer import match  # noqa: E402

samples = [Sample(id=str(i), input=f"say {i}", target=f"say {i}") for i in range(n)]
outputs = [ModelOutput.from_content("mockllm/model", f"say {i}") for i in range(n)]
model = get_model("mockllm/model", custom_outputs=outputs)
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    started = time.process_time()
    logs = eval(
        Task(dataset=MemoryDataset(samples), scorer=match()), model=model, log_dir=folder, display="none"
    )
    cpu = time.process_time() - started
assert logs[0].status == "success", logs[0].error
print(json.dumps({"cpu_s": cpu, "version": inspect_ai.__version__}))
