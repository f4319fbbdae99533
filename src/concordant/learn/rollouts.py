"""Rounds of a model's own answers: prompts are drawn, answered and rewarded by the model as it is, then learnt from.

A round is an epoch of :func:`concordant.learn.train`: its batches are made when the first of them is asked for, by
the weights of that moment. All it draws comes from one number that it takes from the generator of the run.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from concordant.core.errors import ConcordantError, DataError, ModelError
from concordant.learn.critic import WithCritic
from concordant.learn.losses.policy import (
    generalized_advantages,
    grpo_advantages,
    kl_estimate,
    rloo_advantages,
    token_rewards,
)
from concordant.learn.randomness import child_seeds
from concordant.learn.sequences import logits_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn

    from concordant.learn.processes import Processes

Method: TypeAlias = Literal["rloo", "grpo", "ppo"]
Sample: TypeAlias = (
    "Callable[[nn.Module, list[list[int]], int, torch.Generator], Sequence[Sequence[Sequence[int]]]]"
)
Reward: TypeAlias = "Callable[[list[Any], list[str]], Sequence[float] | Tensor]"
READ_ROWS = 64


@dataclass(frozen=True)
class Rollouts:
    """One round of answers after another, as an epoch of batches.

    Attributes
    ----------
    model
        The policy, as it is trained; for PPO a :class:`~concordant.learn.critic.WithCritic`.
    reference
        What it is held near; None where it is not.
    prompts, rows
        The prompts as the reward is given them, and their token ids.
    reward, decode, sample
        Functions: of prompts and texts, of token ids, and of model, rows, number of answers and generator.
    method
        ``"rloo"``, ``"grpo"`` or ``"ppo"``: what the advantages are.
    beta, discount, trace, temperature
        As for :func:`~concordant.learn.train_policy`.
    n_prompts, n_samples, n_epochs, n_batches
        Prompts a round, answers a prompt, times through the answers, and batches each time.
    team
        The processes of the run: each answers its share of the prompts.
    """

    model: nn.Module
    reference: nn.Module | None
    prompts: Sequence[Any]
    rows: list[list[int]]
    reward: Reward
    decode: Callable[[Sequence[int]], str]
    sample: Sample
    method: Method
    beta: float
    discount: float
    trace: float
    temperature: float
    n_prompts: int
    n_samples: int
    n_epochs: int
    n_batches: int
    team: Processes

    def __len__(self) -> int:
        return self.n_epochs * self.n_batches

    def __call__(self, generator: torch.Generator) -> Iterator[dict[str, Tensor]]:
        """Make one round by the model as it is now, and go through its batches."""
        seed = int(torch.randint(2**62, (), generator=generator))
        draws = torch.Generator().manual_seed(seed)
        chosen = torch.randperm(len(self.rows), generator=draws)[: self.n_prompts].tolist()
        answers = self._advantages(self._answered(chosen, seed))
        size = len(answers) // self.n_batches
        means = self._means(answers)
        for _ in range(self.n_epochs):
            order = torch.randperm(len(answers), generator=draws).tolist()
            for start in range(0, len(answers), size):
                yield {**side_by_side([answers[i] for i in order[start : start + size]]), **means}

    def _answered(self, chosen: list[int], seed: int) -> list[dict[str, Tensor]]:
        """Return the answers to the chosen prompts, in their order, whichever process has made them."""
        own = child_seeds(seed, self.team.n)[self.team.rank]
        made: list[dict[str, Tensor]] | ConcordantError
        try:
            with (
                self.team.precision()
            ):  # of the steps: else no probability would be the one that is learnt from
                made = self._made(chosen[self.team.rank :: self.team.n], own)
        except ConcordantError as error:  # the others wait to hear from this process
            made = error
        parts = self.team.gathered(made)
        for part in parts:
            if isinstance(part, ConcordantError):
                raise part
        k = self.n_samples
        return [
            parts[place % self.team.n][place // self.team.n * k + j]
            for place in range(len(chosen))
            for j in range(k)
        ]

    def _made(self, chosen: list[int], seed: int) -> list[dict[str, Tensor]]:
        """Answer prompts, and reward and read the answers."""
        if not chosen:
            return []
        policy: Any = self.model.model if isinstance(self.model, WithCritic) else self.model
        generator = torch.Generator(next(policy.parameters()).device).manual_seed(seed)
        drawn = self.sample(policy, [self.rows[i] for i in chosen], self.n_samples, generator)
        _check_drawn(drawn, len(chosen), self.n_samples)
        pairs = [(i, answer) for i, group in zip(chosen, drawn, strict=True) for answer in group]
        texts = [self.decode(answer) for _, answer in pairs]
        asked = [self.prompts[i] for i, _ in pairs]
        scores = _scores(self.reward(asked, texts), asked, texts)
        answers = []
        for (i, answer), score in zip(pairs, scores, strict=True):
            tokens = torch.tensor([*self.rows[i], *answer])
            mask = torch.arange(len(tokens)) >= len(self.rows[i])
            answers.append({"tokens": tokens, "mask": mask, "score": score})
        self._read(answers)
        return answers

    def _read(self, answers: list[dict[str, Tensor]]) -> None:
        """Add log-probabilities under the policy and the reference, and values, to answers in place."""
        device = next(self.model.parameters()).device
        for start in range(0, len(answers), READ_ROWS):
            part = answers[start : start + READ_ROWS]
            batch = side_by_side(part)
            tokens, mask = batch["tokens"].to(device), batch["mask"].to(device)
            read: dict[str, Tensor] = {}
            with torch.no_grad(), evaluated(self.model):
                critic = self.method == "ppo"
                read["old"], values = read_policy(self.model, tokens, mask, self.temperature, critic=critic)
                if values is not None:
                    read["values"] = values.to(read["old"].dtype)
                if self.reference is not None:
                    with evaluated(self.reference.to(device)):
                        logits = logits_of(self.reference, tokens)
                    read["reference"] = chosen_log_probabilities(logits, tokens, mask, self.temperature)
            for name, numbers in read.items():
                for answer, row in zip(part, numbers.cpu(), strict=True):
                    answer[name] = row[: len(answer["tokens"])].clone()

    def _advantages(self, answers: list[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
        """Add what each answer, or each of its tokens, is worth."""
        for answer in answers:
            held_to = answer["old"] if self.reference is None else answer["reference"]
            answer["kl"] = kl_estimate(answer["old"], held_to, "k1")  # 0 outside the answer, where both are
        scores = torch.stack([answer["score"] for answer in answers])
        if self.method == "ppo":
            batch = side_by_side(answers)
            rewards = token_rewards(scores, batch["kl"], batch["mask"], beta=self.beta)
            gains = generalized_advantages(
                rewards, batch["values"], batch["mask"], discount=self.discount, trace=self.trace
            )
            returns = gains + batch["values"]
            real = gains[batch["mask"]]
            gains = (gains - real.mean()) / (real.std() + 1e-8) if len(real) > 1 else gains
            for answer, gain, value in zip(answers, gains, returns, strict=True):
                n = len(answer["tokens"])
                answer["advantages"], answer["returns"] = gain[:n].clone(), value[:n].clone()
            return answers
        if self.method == "rloo":
            scores = scores - self.beta * torch.stack([answer["kl"].sum() for answer in answers])
        groups = scores.view(-1, self.n_samples)
        worth = rloo_advantages(groups) if self.method == "rloo" else grpo_advantages(groups)
        for answer, gain in zip(answers, worth.flatten(), strict=True):
            answer["advantages"] = gain
        return answers

    def _means(self, answers: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return what is recorded of a round: mean reward, length, and divergence from the reference, of an answer."""
        means = {
            "mean_reward": torch.stack([answer["score"] for answer in answers]).mean(),
            "mean_length": torch.stack([answer["mask"].sum() for answer in answers]).float().mean(),
        }
        if self.reference is not None:
            means["mean_kl"] = torch.stack([answer["kl"].sum() for answer in answers]).mean()
        return means


@contextmanager
def evaluated(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode for a while: dropout would make probabilities at two times differ."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


def read_policy(
    model: Any, tokens: Tensor, mask: Tensor, temperature: float, *, critic: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the log-probabilities of the tokens of answers, and with a critic the values, ``(batch, time)``."""
    logits, values = model.logits_and_values(tokens) if critic else (logits_of(model, tokens), None)
    return chosen_log_probabilities(logits, tokens, mask, temperature), values


def chosen_log_probabilities(
    logits: Tensor, tokens: Tensor, mask: Tensor, temperature: float = 1.0
) -> Tensor:
    """Return the log-probabilities of the masked tokens ``(batch, time)``, 0 elsewhere; only those are computed.

    Examples
    --------
    >>> import torch
    >>> tokens = torch.tensor([[0, 1, 1]])
    >>> chosen_log_probabilities(torch.zeros(1, 3, 2), tokens, tokens.bool())
    tensor([[ 0.0000, -0.6931, -0.6931]])
    """
    counts = mask[:, 1:]
    chosen = logits[:, :-1][counts]
    precise = chosen if chosen.dtype == torch.float64 else chosen.float()
    values = -cross_entropy(precise / temperature, tokens[:, 1:][counts], reduction="none")
    places = torch.zeros(tokens.shape, dtype=values.dtype, device=values.device)
    full = places[:, 1:].masked_scatter(counts, values)
    return torch.cat([places[:, :1], full], dim=1)


def side_by_side(answers: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Put answers into one batch: numbers become ``(batch,)``, tokens ``(batch, time)`` with zeros on the right."""
    return {
        name: torch.stack(parts) if parts[0].ndim == 0 else pad_sequence(parts, batch_first=True)
        for name in answers[0]
        for parts in [[answer[name] for answer in answers]]
    }


def _check_drawn(drawn: Sequence[Any], n_prompts: int, n_samples: int) -> None:
    counts = [len(group) for group in drawn]
    if counts != [n_samples] * n_prompts:
        message = (
            f"sample must give {n_samples} answers to each of {n_prompts} prompts, got {len(drawn)} prompts with "
            f"{', '.join(map(str, sorted(set(counts)))) or 'no'} answers"
        )
        raise DataError(message)
    if any(len(answer) == 0 for group in drawn for answer in group):
        message = (
            "sample must give answers of at least one token, if only the one that ends it, got an empty one"
        )
        raise DataError(message)


def _scores(given: Sequence[float] | Tensor, prompts: list[Any], texts: list[str]) -> Tensor:
    """Return the rewards as a tensor, or say which is wrong."""
    scores = torch.as_tensor(given, dtype=torch.float32).detach().cpu()
    if scores.shape != (len(texts),):
        message = f"reward must give one number an answer, {len(texts)}, got shape {tuple(scores.shape)}"
        raise DataError(message)
    wrong = next((i for i, score in enumerate(scores.tolist()) if not math.isfinite(score)), None)
    if wrong is not None:
        message = f"the reward of the answer {texts[wrong]!r} to {prompts[wrong]!r} is {scores[wrong].item()}"
        raise ModelError(message)
    return scores
