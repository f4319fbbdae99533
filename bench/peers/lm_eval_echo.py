"""lm-evaluation-harness with its dummy model over n local documents; prints CPU seconds of the evaluation."""

import json
import sys
import tempfile
import time
from importlib.metadata import version

from lm_eval_task import local_task

n = json.loads(sys.argv[1])["n"]
with tempfile.TemporaryDirectory() as folder:
    texts = [f"say {i}" for i in range(n)]
    task = local_task(folder, texts, texts)
    import lm_eval

    started = time.process_time()
    result = lm_eval.simple_evaluate(model="dummy", **task)
    cpu = time.process_time() - started
    assert result["n-samples"]["local"]["effective"] == n
print(json.dumps({"cpu_s": cpu, "version": version("lm_eval")}))
