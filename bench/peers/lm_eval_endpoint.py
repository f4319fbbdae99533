"""lm-evaluation-harness over n documents of an OpenAI-compatible server; prints wall seconds of the evaluation."""

import json
import sys
import tempfile
import time
from importlib.metadata import version

from lm_eval_task import local_task

arguments = json.loads(sys.argv[1])
with tempfile.TemporaryDirectory() as folder:
    n = arguments["n"]
    task = local_task(folder, [f"What is {i}?" for i in range(n)], ["42"] * n)
    import lm_eval

    settings = {
        "model": "m",
        "base_url": arguments["url"] + "/chat/completions",
        "num_concurrent": arguments["concurrency"],
        "tokenizer_backend": None,
        "tokenized_requests": False,
    }
    started = time.perf_counter()
    result = lm_eval.simple_evaluate(
        model="local-chat-completions", model_args=settings, apply_chat_template=True, **task
    )
    wall = time.perf_counter() - started
    assert result["results"]["local"]["exact_match,none"] == 1.0
print(json.dumps({"wall_s": wall, "version": version("lm_eval")}))
