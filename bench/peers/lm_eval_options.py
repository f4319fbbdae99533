"""lm-evaluation-harness scoring continuations with a local model; prints log-likelihoods and CPU seconds of one thread."""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

arguments = json.loads(sys.argv[1])

import torch  # noqa: E402

torch.set_num_threads(1)
from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.models.huggingface import HFLM  # noqa: E402

lm = HFLM(
    pretrained=arguments["folder"],
    device="cpu",
    dtype="float32",
    batch_size=arguments["batch_size"],
    add_bos_token=True,
)
pairs = json.loads(Path(arguments["folder"], "pairs.json").read_text())
requests = [Instance(request_type="loglikelihood", doc={}, arguments=tuple(pair), idx=0) for pair in pairs]
walls = []
for _ in range(6):
    started = time.process_time()
    answers = lm.loglikelihood(requests, disable_tqdm=True)
    walls.append(time.process_time() - started)
print(
    json.dumps(
        {
            "cpu_s": min(walls[1:]),
            "logprobs": [answer[0] for answer in answers],
            "version": version("lm_eval"),
        }
    )
)
