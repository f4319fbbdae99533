"""lm-evaluation-harness with its dummy model over n local documents; prints CPU seconds of the evaluation."""

import json
import os
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

n = json.loads(sys.argv[1])["n"]
TASK = """
task: echo
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n"]}}
metric_list:
  - {{metric: exact_match}}
"""

with tempfile.TemporaryDirectory() as folder:
    os.environ["HF_HOME"] = folder
    os.environ["HF_DATASETS_OFFLINE"] = "1"
    import lm_eval
    from lm_eval.tasks import TaskManager

    data = Path(folder) / "data.jsonl"
    data.write_text("\n".join(json.dumps({"question": f"say {i}", "answer": f"say {i}"}) for i in range(n)))
    (Path(folder) / "tasks").mkdir()
    (Path(folder) / "tasks" / "echo.yaml").write_text(TASK.format(data=data))
    tasks = TaskManager(include_path=str(Path(folder) / "tasks"), include_defaults=False)
    started = time.process_time()
    result = lm_eval.simple_evaluate(
        model="dummy", tasks=["echo"], task_manager=tasks, bootstrap_iters=0, log_samples=True
    )
    cpu = time.process_time() - started
    assert result["n-samples"]["echo"]["effective"] == n
print(json.dumps({"cpu_s": cpu, "version": version("lm_eval")}))
