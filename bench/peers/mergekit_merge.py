"""One merge by mergekit, in a process of its own: seconds and peak memory (LGPL-3; run here, never imported by us)."""

import json
import sys
import time
from pathlib import Path

import torch
import yaml
from mergekit.config import MergeConfiguration
from mergekit.merge import MergeOptions, run_merge

asked = json.loads(sys.argv[1])
torch.set_num_threads(asked["threads"])
with open(asked["recipe"], encoding="utf-8") as file:  # noqa: PTH123
    config = MergeConfiguration.model_validate(yaml.safe_load(file))
options = MergeOptions(quiet=True, copy_tokenizer=False, write_model_card=False)
start, cpu = time.perf_counter(), time.process_time()
run_merge(config, asked["out"], options=options)
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
# the peak of this program; ru_maxrss would be that of the one which started it, where that is larger
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_mb": peak}))
