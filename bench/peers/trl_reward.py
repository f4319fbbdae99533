"""TRL's RewardTrainer on given texts; prints the seconds of a step, round by round."""

import json
from pathlib import Path

from transformers import AutoModelForSequenceClassification, AutoTokenizer
from trl import RewardConfig, RewardTrainer
from trl_rounds import ARGUMENTS, train

folder = ARGUMENTS["folder"]
columns = json.loads(Path(folder, "pairs.json").read_text())
model = AutoModelForSequenceClassification.from_pretrained(folder + "/judge")
tokenizer = AutoTokenizer.from_pretrained(folder)
train(RewardTrainer, RewardConfig, model, columns, tokenizer)
