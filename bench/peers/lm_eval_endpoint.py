"""lm-evaluation-harness over n documents of an OpenAI-compatible server; prints wall seconds of the evaluation."""

import json
import os
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

arguments = json.loads(sys.argv[1])
TASK = """
task: ask
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
    rows = [json.dumps({"question": f"What is {i}?", "answer": "42"}) for i in range(arguments["n"])]
    data.write_text("\n".join(rows))
    (Path(folder) / "tasks").mkdir()
    (Path(folder) / "tasks" / "ask.yaml").write_text(TASK.format(data=data))
    tasks = TaskManager(include_path=str(Path(folder) / "tasks"), include_defaults=False)
    settings = {
        "model": "m",
        "base_url": arguments["url"] + "/chat/completions",
        "num_concurrent": arguments["concurrency"],
        "tokenizer_backend": None,
        "tokenized_requests": False,
    }
    started = time.perf_counter()
    result = lm_eval.simple_evaluate(
        model="local-chat-completions",
        model_args=settings,
        tasks=["ask"],
        task_manager=tasks,
        bootstrap_iters=0,
        apply_chat_template=True,
        log_samples=True,
    )
    wall = time.perf_counter() - started
    assert result["results"]["ask"]["exact_match,none"] == 1.0
print(json.dumps({"wall_s": wall, "version": version("lm_eval")}))
