"""shap's permutation explainer over the fields of prompts; prints CPU seconds, calls and values.

A prompt is asked as a user of shap would write it: texts of a batch of masks, one forward pass, softmax over the options.
"""

import json
import sys
import time
from pathlib import Path

arguments = json.loads(Path(json.loads(sys.argv[1])["file"]).read_text(encoding="utf-8"))

import numpy as np  # noqa: E402
import shap  # noqa: E402
import torch  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

torch.set_num_threads(1)
tokenizer = AutoTokenizer.from_pretrained(arguments["folder"], padding_side="left")
model = AutoModelForCausalLM.from_pretrained(arguments["folder"], dtype=torch.float32).eval()
options = [tokenizer(option, add_special_tokens=False).input_ids[0] for option in arguments["options"]]
n = len(arguments["rows"][0])
asked = 0


def written(row, mask):
    """Write the prompt with the fields of a mask, in the chat template."""
    texts = [text if there else arguments["absent"] for text, there in zip(row, mask, strict=True)]
    prompt = "".join(part if isinstance(part, str) else texts[part] for part in arguments["parts"])
    turns = [{"role": "user", "content": prompt}]
    return tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)


def value_of(row):
    """Return the function that shap explains: masks of fields to probabilities of the first option."""

    def value(masks):
        global asked
        asked += len(masks)
        texts = [written(row, mask) for mask in np.asarray(masks) > 0.5]
        batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            logits = model(
                input_ids=batch.input_ids, attention_mask=batch.attention_mask, logits_to_keep=1
            ).logits[:, -1, options]
        return logits.softmax(-1)[:, 0].double().numpy()

    return value


masker = shap.maskers.Independent(np.zeros((1, n)))
found = []
for rows in (arguments["rows"][:1], arguments["rows"]):  # the first warms up
    asked, found, started = 0, [], time.process_time()
    for i, row in enumerate(rows):
        explainer = shap.explainers.Permutation(value_of(row), masker, seed=i)
        explained = explainer(np.ones((1, n)), max_evals=arguments["evaluations"], silent=True)
        found.append(explained.values[0].tolist())
    cpu = time.process_time() - started
print(json.dumps({"cpu_s": cpu, "calls": asked, "values": found, "version": shap.__version__}))
