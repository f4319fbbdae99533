"""One local lm-evaluation-harness task over made-up documents, for the scripts beside; needs no network."""

import json
import os
from pathlib import Path

TASK = """
task: local
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


def local_task(folder, questions, answers):
    """Write the task `local` and its documents into `folder`, and return what `simple_evaluate` needs to run it."""
    os.environ["HF_HOME"] = folder
    os.environ["HF_DATASETS_OFFLINE"] = "1"
    from lm_eval.tasks import TaskManager

    data = Path(folder) / "data.jsonl"
    rows = [json.dumps({"question": q, "answer": a}) for q, a in zip(questions, answers, strict=True)]
    data.write_text("\n".join(rows))
    tasks = Path(folder) / "tasks"
    tasks.mkdir()
    (tasks / "local.yaml").write_text(TASK.format(data=data))
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    return {"tasks": ["local"], "task_manager": manager, "bootstrap_iters": 0, "log_samples": True}
