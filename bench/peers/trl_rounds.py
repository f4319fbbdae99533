"""What the TRL peers share: a small CPU configuration, and rounds of steps that begin when a line comes in."""

import json
import sys
import time
from importlib.metadata import version

import torch
from transformers import TrainerCallback

ARGUMENTS = json.loads(sys.argv[1])
torch.set_num_threads(ARGUMENTS["threads"])


class Rounds(TrainerCallback):
    """Waits for a line, lets some steps be taken, prints their seconds, and so on until the training ends."""

    def on_step_begin(self, args, state, control, **_):
        """Wait before the first step of a round."""
        if state.global_step % ARGUMENTS["steps"] == 0:
            sys.stdin.readline()
            self.before = time.perf_counter(), time.process_time()

    def on_step_end(self, args, state, control, **_):
        """Tell after the last."""
        if state.global_step % ARGUMENTS["steps"] == 0:
            wall, cpu = time.perf_counter() - self.before[0], time.process_time() - self.before[1]
            say(wall_s=wall / ARGUMENTS["steps"], cpu_s=cpu / ARGUMENTS["steps"])


def say(**fields):
    print(json.dumps(fields), flush=True)


def train(trainer_class, config_class, model, columns, tokenizer, **options):
    """Train with TRL's defaults but for what a small model on a processor does better without."""
    from datasets import Dataset

    config = config_class(
        output_dir=ARGUMENTS["folder"] + "/trl",
        per_device_train_batch_size=ARGUMENTS["batch"],
        max_steps=ARGUMENTS["steps"] * ARGUMENTS["rounds"],
        learning_rate=1e-4,
        lr_scheduler_type="constant",
        train_sampling_strategy="sequential",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        save_strategy="no",
        report_to="none",
        logging_strategy="no",
        disable_tqdm=True,
        **options,
    )
    losses = []

    class Watched(trainer_class):
        def training_step(self, *args, **kwargs):
            loss = super().training_step(*args, **kwargs)
            losses.append(loss.detach())
            return loss

    trainer = Watched(
        model=model,
        args=config,
        train_dataset=Dataset.from_dict(columns),
        processing_class=tokenizer,
        callbacks=[Rounds()],
    )
    say(version=version("trl"))
    trainer.train()
    say(last_loss=float(losses[-1]))
