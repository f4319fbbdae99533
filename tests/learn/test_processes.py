"""Several processes against one: the same steps, one writer, the same bytes after a stop; and mixed precision.

The processes are forked, so that none of them imports torch anew, and so that what accelerate keeps for the whole of
a process ends with it.
"""

from __future__ import annotations

import math
import os
import socket
import traceback
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from torch import multiprocessing as mp
from torch import nn

from concordant.core.errors import ConfigError, ModelError
from concordant.learn import MLP, Batches, TransformerEncoder, train, train_policy
from concordant.learn.processes import Processes

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

X = torch.randn(24, 3, generator=torch.Generator().manual_seed(1)).double()
Y = X @ torch.tensor([[1.0], [-2.0], [0.5]]).double()
SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9)


def _begin(rank, n, port, work, connection):
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(n)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        connection.send((True, work(rank)))
    except BaseException:
        connection.send((False, traceback.format_exc()))
    os._exit(0)  # without what pytest would do at the end of the process


def in_processes(n, work):
    """Run ``work(rank)`` in n processes that accelerate takes for one run, and return what they return."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = mp.get_context("fork")
    running = []
    for rank in range(n):
        ours, theirs = context.Pipe()
        process = context.Process(target=_begin, args=(rank, n, port, work, theirs))
        process.start()
        running.append((process, ours))
    try:
        heard = [end.recv() if end.poll(120) else (False, "no answer") for _, end in running]
    finally:
        for process, _ in running:
            process.kill()
            process.join()
    for is_well, value in heard:
        assert is_well, value
    return [value for _, value in heard]


def model(seed=0):
    return MLP(3, 1, hidden=(8,), seed=seed).double()


def squared_error(net, batch):
    x, y = batch
    return {"loss": (net(x) - y).square().mean(), "rows": torch.tensor(float(len(x)))}


def weights(net):
    return {name: tensor.tolist() for name, tensor in net.state_dict().items()}


def run(net, accelerator=None, **options):
    # 24 rows in batches of 5: the last batch is smaller, and the last step has one batch, so one process has none
    defaults = {"epochs": 3, "accumulate": 2, "optimizer": SGD, "clip": 0.5, "schedule": "linear", "seed": 3}
    history = train(
        net, squared_error, Batches((X, Y), 5), accelerator=accelerator, **{**defaults, **options}
    )
    return history


def test_two_processes_take_the_steps_of_one(tmp_path):
    def work(rank):
        net = model(seed=rank)  # the first process decides
        seen = []

        def validate(net):
            seen.append(rank)
            return float(10 * rank + 1)

        history = run(net, Accelerator(cpu=True), checkpoint=tmp_path, validate=validate)
        return weights(net), history.parts, history.validation_losses, len(seen)

    alone = model()
    expected = run(alone)
    first, second = in_processes(2, work)
    assert first == second
    got, parts, validations, n_seen = first
    assert validations == [6.0] * n_seen  # the mean of 1 and 11
    for name, values in expected.parts.items():
        assert parts[name] == pytest.approx(values, rel=1e-9), name
    for name, values in alone.state_dict().items():
        assert torch.allclose(torch.tensor(got[name]).double(), values, rtol=1e-6), name
    assert sorted(file.name for file in tmp_path.iterdir()) == ["best.safetensors", "last.safetensors"]


class Unused(nn.Module):
    """A weight that only some batches use, and one that none does."""

    def __init__(self):
        super().__init__()
        self.always, self.some, self.never = (nn.Parameter(torch.ones(1).double()) for _ in range(3))


def test_only_the_first_process_writes_and_a_killed_run_goes_on_bit_for_bit(tmp_path):
    def noisy(net, batch):
        return squared_error(net, (batch[0] + 0.1 * torch.randn_like(batch[0]), batch[1]))["loss"]

    def encoded(net, batch):
        return net(batch[0][:, None].float()).mean() + 0 * batch[1].sum()

    def work(rank):
        from concordant.learn import run_state

        accelerator = Accelerator(cpu=True)
        written = []
        save = run_state.save_tensors
        run_state.save_tensors = lambda path, *rest: (written.append(path), save(path, *rest))
        options = {"accumulate": 2, "optimizer": SGD, "checkpoint_every": 2, "accelerator": accelerator}
        batches = Batches((X, Y), 5)
        train(model(), noisy, batches, steps=9, checkpoint=tmp_path / "whole", **options)
        # a run that stops after step 5: the loss is not finite in one of the processes only
        calls = iter(range(100))
        broken = lambda net, batch: noisy(net, batch) * (math.nan if next(calls) == 5 and rank == 1 else 1)  # noqa: E731
        with pytest.raises(ModelError, match=r"stopped at step 6 because the loss is nan: .* is step 4 in"):
            train(model(), broken, batches, steps=9, checkpoint=tmp_path / "run", **options)
        train(model(), noisy, batches, steps=9, checkpoint=tmp_path / "run", resume=True, **options)

        # dropout: what a process draws is its own, and different
        encoder = TransformerEncoder(3, width=8, heads=2, layers=1, dropout=0.5, seed=0)
        drawn = []
        train(
            encoder,
            lambda n, b: (drawn.append(torch.rand(()).item()), encoded(n, b))[1],
            batches,
            steps=1,
            **options,
        )

        net = Unused()
        loss = lambda n, b: n.always.sum() * 2 + (n.some.sum() if b.item() == 0 else 0)  # noqa: E731
        sgd = partial(torch.optim.SGD, lr=1.0, weight_decay=1.0)
        alike = {**options, "optimizer": sgd}
        train(net, loss, [torch.tensor(0), torch.tensor(1)], steps=1, **alike)
        return len(written), drawn, [net.always.item(), net.some.item(), net.never.item()]

    (n_first, drawn, used), (n_second, others, _) = in_processes(2, work)
    assert (n_first > 0, n_second) == (True, 0)
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == (
        tmp_path / "whole" / "last.safetensors"
    ).read_bytes()
    assert len(drawn) == len(others) == 1
    assert drawn != others
    # 1 - (2 + 1), 1 - (1/2 + 1), and untouched even by the decay
    assert used == pytest.approx([-2.0, -0.5, 1.0])


class Table(nn.Module):
    """A language model of one number for each pair of a token and the next."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(8, 8).double())

    def forward(self, tokens):
        return self.table[tokens]


class Digits:
    bos_token = bos_token_id = eos_token = eos_token_id = None

    def __call__(self, texts, add_special_tokens):
        return {"input_ids": [[int(letter) for letter in text] for text in texts]}

    def decode(self, ids, skip_special_tokens):
        return "".join(map(str, ids))


def answer_all(asked, net, rows, k, generator):
    asked.append(len(rows))
    return [[[token, (token + row[0]) % 8] for token in range(k)] for row in rows]


def on_own_answers(method, asked, accelerator=None, **options):
    """Five prompts a round, so that of two processes one has three and the other two."""
    net = Table()
    defaults = {"rounds": 4, "prompts_a_round": 5, "samples": 8, "accumulate": 2, "optimizer": SGD}
    history = train_policy(
        net,
        Digits(),
        [str(i) for i in range(7)],
        lambda prompts, answers: [
            int(prompt) * int(answer[1]) / 50 for prompt, answer in zip(prompts, answers, strict=True)
        ],
        method=method,
        sample=partial(answer_all, asked),
        accelerator=accelerator,
        **{**defaults, **options},
    )
    return net, history


def test_two_processes_share_the_answers_of_a_round(tmp_path):
    def work(rank):
        asked = []
        net, history = on_own_answers("grpo", asked, Accelerator(cpu=True), checkpoint=tmp_path)
        with pytest.raises(
            ModelError, match=r"stopped at step 1 because the reward of the answer '..' to '.' is nan"
        ):
            train_policy(
                Table(),
                Digits(),
                ["1", "2"],
                lambda p, a: [math.nan if rank else 0.0] * len(a),
                rounds=1,
                prompts_a_round=2,
                accumulate=2,
                accelerator=Accelerator(cpu=True),
                sample=partial(answer_all, []),
            )
        return weights(net), history.parts, asked

    first, second = in_processes(2, work)
    assert first[:2] == second[:2]
    assert (first[2], second[2]) == ([3] * 4, [2] * 4)
    alone, history = on_own_answers("grpo", [])
    for name, values in history.parts.items():
        assert first[1][name] == pytest.approx(values, rel=1e-6, abs=1e-9), name
    assert torch.allclose(torch.tensor(first[0]["table"]).double(), alone.table.detach(), rtol=1e-6)
    assert [file.name for file in tmp_path.iterdir()] == ["last.safetensors"]


def test_half_precision_trains_near_single_precision_and_keeps_single_weights():
    seen = []

    def loss(net, batch):
        hidden = net(batch[0])
        seen.append(str(hidden.dtype))
        return (hidden.float() - batch[1]).square().mean()

    def work(rank):
        net = MLP(3, 1, hidden=(32,), seed=0)
        accelerator = Accelerator(cpu=True, mixed_precision="bf16")
        history = train(
            net,
            loss,
            Batches((X.float(), Y.float()), 8),
            steps=60,
            accelerator=accelerator,
            validate=lambda n: loss(n, (X.float(), Y.float())),
        )
        return history.loss, set(seen), {str(p.dtype) for p in net.parameters()}

    ((half, dtypes, kept),) = in_processes(1, work)
    seen.clear()
    single = train(MLP(3, 1, hidden=(32,), seed=0), loss, Batches((X.float(), Y.float()), 8), steps=60).loss
    assert (dtypes, kept, set(seen)) == ({"torch.bfloat16"}, {"torch.float32"}, {"torch.float32"})
    assert half != single
    assert half == pytest.approx(single, rel=0.05, abs=0.02)


def test_a_round_is_read_in_the_precision_of_the_steps():
    def work(rank):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Embedding(8, 8), nn.Linear(8, 8))
        history = train_policy(
            net,
            Digits(),
            ["12", "3"],
            lambda prompts, answers: [answer.count("7") for answer in answers],
            method="grpo",
            rounds=1,
            prompts_a_round=2,
            samples=8,
            beta=0.0,
            max_tokens=4,
            accelerator=Accelerator(cpu=True, mixed_precision="bf16"),
        )
        return history.loss, history.parts["reward"]

    (((loss,), (reward,)),) = in_processes(1, work)
    assert reward > 0
    assert abs(loss) < 1e-6  # the ratios are 1, and advantages have mean 0


def accelerator(**parts):
    defaults = {
        "num_processes": 1,
        "process_index": 0,
        "mixed_precision": "no",
        "device": torch.device("cpu"),
    }
    return SimpleNamespace(**{**defaults, "distributed_type": SimpleNamespace(name="NO"), **parts})


BAD = {
    "few batches": (
        {"num_processes": 3},
        {"accumulate": 2},
        "that 3 processes share, must be at least 3, got 2",
    ),
    "fp16": ({"mixed_precision": "fp16"}, {}, "mixed_precision 'no' or 'bf16', got 'fp16'"),
    "parts": (
        {"distributed_type": SimpleNamespace(name="FSDP")},
        {},
        "each process a whole model, which FSDP does not",
    ),
    "device": ({}, {"device": "cpu"}, "must be 'auto' with an accelerator, which has its own, got 'cpu'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_accelerators(name):
    parts, options, message = BAD[name]
    with pytest.raises(ConfigError, match=message):
        train(model(), squared_error, [(X, Y)], steps=1, accelerator=accelerator(**parts), **options)


def test_without_an_accelerator_there_is_one_process():
    team = Processes(None)
    assert (team.n, team.is_main, team.takes(5), team.seed(7), team.gathered("a")) == (
        1,
        True,
        True,
        7,
        ["a"],
    )
    assert team.summed({"loss": 2.0}) == {"loss": 2.0}
