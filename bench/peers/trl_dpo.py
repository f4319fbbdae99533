"""TRL's DPOTrainer on given texts, its reference computed beforehand; prints the seconds of a step, round by round."""

import json
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer
from trl_rounds import ARGUMENTS, train

folder = ARGUMENTS["folder"]
columns = json.loads(Path(folder, "pairs.json").read_text())
model = AutoModelForCausalLM.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
train(DPOTrainer, DPOConfig, model, columns, tokenizer, beta=0.1, precompute_ref_log_probs=True)
