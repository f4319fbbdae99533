"""Training a language model on its own answers: sample, reward, advantage, clipped policy gradient, and again."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from concordant.core.errors import ConfigError, DataError
from concordant.learn.critic import WithCritic
from concordant.learn.loop import N_CHECKPOINTS, N_VALIDATIONS, train
from concordant.learn.losses.policy import critic_loss, kl_estimate, policy_gradient, token_average
from concordant.learn.losses.reduction import in_unit_interval, positive
from concordant.learn.processes import Processes
from concordant.learn.rollouts import Method, Reward, Rollouts, Sample, evaluated, read_policy
from concordant.learn.sampling import sample_answers
from concordant.learn.sequences import prompt_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from concordant.learn.history import History
    from concordant.learn.losses.policy import Average

AVERAGES: dict[str, Average] = {"rloo": "totals", "grpo": "sequences", "ppo": "tokens"}


def train_policy(
    model: nn.Module,
    tokenizer: Any,
    prompts: Sequence[Any],
    reward: Reward,
    *,
    method: Method = "rloo",
    rounds: int = 100,
    prompts_a_round: int = 16,
    samples: int = 4,
    inner_epochs: int = 1,
    updates: int = 1,
    beta: float = 0.05,
    reference: nn.Module | None = None,
    ratio_clip: float | tuple[float, float] = 0.2,
    critic_weight: float = 0.5,
    critic_clip: float | None = 0.2,
    discount: float = 1.0,
    trace: float = 0.95,
    sample: Sample | None = None,
    max_tokens: int = 32,
    temperature: float = 1.0,
    accumulate: int = 1,
    accelerator: Any | None = None,
    validate_every: int | None = None,
    checkpoint_every: int | None = None,
    **options: Any,
) -> History:
    r"""Train a causal language model in place on answers that it samples itself, and return the record of the run.

    In each round some prompts are drawn, each is answered several times, a function rewards the answers, and the
    model takes a few steps on the clipped policy gradient, held near a reference:

    - ``"rloo"``: an answer is worth its reward, less :math:`\beta` times its divergence from the reference, less the
      mean of the other answers to its prompt; the gradient is that of the expected reward.
    - ``"grpo"``: its reward in standard deviations from the mean of its group; :math:`\beta` times the divergence (k3)
      is added to the loss; means are over each answer, then over answers.
    - ``"ppo"``: each token has its part of the divergence, and the last one the reward; a critic gives generalised
      advantages, which are brought to mean 0 and deviation 1 over the round; means are over tokens.

    Parameters
    ----------
    model
        A causal language model of transformers, with or without adapters, or any module that gives logits
        ``(batch, time, vocabulary)`` for tokens. For PPO of transformers, or a
        :class:`~concordant.learn.WithCritic`, whose critic is then kept. Dropout is off throughout.
    tokenizer
        Of transformers; answers end with the token that ends a text, or those in the generation config of the model.
    prompts
        Texts or conversations, as for :func:`~concordant.learn.answer_rows`.
    reward
        ``reward(prompts, answers)`` gives one finite number an answer, more is better, for lists of equal length; the
        answers are texts without special tokens.
    method
        ``"rloo"``, ``"grpo"`` or ``"ppo"``.
    rounds
        How often answers are sampled; ``rounds * inner_epochs * updates`` steps in all.
    prompts_a_round, samples
        Prompts a round, at most as many as there are, and answers a prompt, at least 2 but for PPO.
    inner_epochs, updates
        Times through the answers of a round, and steps each time.
    beta
        Weight of the divergence from the reference, at least 0; with 0 there is none.
    reference
        What the model is held near; by default a copy of it as it comes.
    ratio_clip
        How far the probability of a token may move within a round before it stops to count, see
        :func:`~concordant.learn.policy_gradient`.
    critic_weight, critic_clip, discount, trace
        Of PPO: weight of the loss of the critic, how far its values may move within a round
        (:func:`~concordant.learn.critic_loss`), and :math:`\gamma` and :math:`\lambda` of
        :func:`~concordant.learn.generalized_advantages`.
    sample
        ``sample(model, rows, k, generator)`` gives k answers, lists of token ids, to each row of token ids;
        by default :func:`~concordant.learn.sampling.sample_answers`.
    max_tokens, temperature
        Longest answer that is sampled, and the temperature, greater than 0, also of the probabilities learnt from.
    accumulate
        Batches a step, of equal numbers of answers, see :func:`~concordant.learn.train`.
    accelerator
        For several processes: each answers its share of the prompts, see :func:`~concordant.learn.train`.
    validate_every, checkpoint_every
        Rounds (not steps) between validations and checkpoints; a tenth of the run by default.
    options
        The others of :func:`~concordant.learn.train`: `optimizer`, `schedule`, `clip`, `validate`, `checkpoint`,
        `resume`, `device`, `seed`, `progress`.

    Returns
    -------
    History
        A row a step; beside the usual ones ``reward``, ``length`` and ``kl`` (nats an answer, from the reference): means
        over the answers of the round; with PPO ``critic_loss``.

    Raises
    ------
    ConfigError
        If an option is outside its range, or the answers of a round cannot be cut into equal batches.
    DataError
        If there are no prompts, or `sample` or `reward` give other than they should.
    ModelError
        If a reward, the loss or its gradient is not finite: the message names the step; the checkpoint is the last good one.
    StoreError
        As for :func:`~concordant.learn.train`. Checkpoints are written between rounds, and a run that was killed goes
        on bit for bit on a CPU, given the model it was begun with.

    References
    ----------
    Ahmadian et al., "Back to Basics: Revisiting REINFORCE Style Optimization", 2024; Shao et al., "DeepSeekMath", 2024;
    Schulman et al., "Proximal Policy Optimization Algorithms", 2017; Ziegler et al., "Fine-Tuning Language Models from
    Human Preferences", 2019.

    Examples
    --------
    >>> from functools import partial
    >>> import tokenizers, torch, transformers
    >>> from concordant.learn.loop import own_generator
    >>> words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"say": 0, "yes": 1, "no": 2}, "no"))
    >>> words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    >>> tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words)
    >>> sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    >>> with own_generator(torch.device("cpu"), 0):
    ...     model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=3, **sizes))
    >>> def agreement(prompts, answers):
    ...     return [answer.count("yes") for answer in answers]
    >>> adam = partial(torch.optim.Adam, lr=0.02)
    >>> options = {"rounds": 20, "prompts_a_round": 1, "samples": 8, "max_tokens": 3, "optimizer": adam}
    >>> history = train_policy(model, tokenizer, ["say"], agreement, method="grpo", **options)
    >>> history.parts["reward"][0] < 2 < history.parts["reward"][-1]
    True
    """
    _check_counts(rounds=rounds, prompts_a_round=prompts_a_round, samples=samples)
    _check_counts(inner_epochs=inner_epochs, updates=updates, accumulate=accumulate)
    _check(method, samples, beta)
    positive("train_policy", temperature=temperature)
    in_unit_interval("train_policy", discount=discount, trace=trace)
    if not prompts_a_round <= len(prompts):
        message = (
            f"train_policy draws {prompts_a_round} prompts a round from at least as many, got {len(prompts)}"
        )
        raise DataError(message)
    n_answers, n_batches = prompts_a_round * samples, updates * accumulate
    if n_answers % n_batches:
        message = f"the {n_answers} answers of a round must go into {n_batches} equal batches (updates times accumulate)"
        raise ConfigError(message)
    rows = prompt_rows(tokenizer, prompts)
    if not all(rows):
        message = f"train_policy needs prompts of at least one token, got none for prompt {rows.index([])}"
        raise DataError(message)
    team = Processes(accelerator, accumulate)
    if team.device is not None:
        team.begin_alike(model.to(team.device))  # before the reference is copied
    is_ppo, average = method == "ppo", AVERAGES[method]
    if beta and reference is None:
        reference = deepcopy(model).requires_grad_(False)
    policy = WithCritic(model) if is_ppo and not isinstance(model, WithCritic) else model
    rollouts = Rollouts(
        model=policy,
        reference=reference if beta else None,
        prompts=prompts,
        rows=rows,
        reward=reward,
        decode=partial(tokenizer.decode, skip_special_tokens=True),
        sample=sample
        or partial(
            sample_answers, max_tokens=max_tokens, temperature=temperature, ends=_ends(model, tokenizer)
        ),
        method=method,
        beta=beta,
        discount=discount,
        trace=trace,
        temperature=temperature,
        n_prompts=prompts_a_round,
        n_samples=samples,
        n_epochs=inner_epochs,
        n_batches=n_batches,
        team=team,
    )

    def loss(net: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        tokens, mask = batch["tokens"], batch["mask"]
        with evaluated(net):
            now, values = read_policy(net, tokens, mask, temperature, critic=is_ppo)
        parts = {name.removeprefix("mean_"): batch[name] for name in batch if name.startswith("mean_")}
        total = policy_gradient(
            now, batch["advantages"], mask, old=batch["old"], clip=ratio_clip, average=average
        )
        if method == "grpo" and beta:
            total = total + beta * token_average(kl_estimate(now, batch["reference"]), mask, average)
        if values is not None:
            parts["critic_loss"] = critic_loss(
                values, batch["returns"], mask, old=batch["values"], clip=critic_clip
            )
            total = total + critic_weight * parts["critic_loss"]
        return {"loss": total, **parts}

    steps_a_round = inner_epochs * updates
    return train(
        policy,
        loss,
        rollouts,
        steps=rounds * steps_a_round,
        accumulate=accumulate,
        accelerator=accelerator,
        validate_every=(validate_every or max(1, rounds // N_VALIDATIONS)) * steps_a_round,
        checkpoint_every=(checkpoint_every or max(1, rounds // N_CHECKPOINTS)) * steps_a_round,
        **options,
    )


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end an answer."""
    named = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    ends = named if isinstance(named, list) else [named]
    return frozenset(int(end) for end in (*ends, tokenizer.eos_token_id) if end is not None)


def _check_counts(**counts: int) -> None:
    for name, number in counts.items():
        if number < 1:
            message = f"{name} of train_policy must be at least 1, got {number}"
            raise ConfigError(message)


def _check(method: str, samples: int, beta: float) -> None:
    if method not in get_args(Method):
        message = f"method of train_policy must be 'rloo', 'grpo' or 'ppo', got {method!r}"
        raise ConfigError(message)
    if not beta >= 0:
        message = f"beta of train_policy must be at least 0, got {beta}"
        raise ConfigError(message)
    if samples < 2 and method != "ppo":
        message = (
            f"samples of train_policy must be at least 2 for {method}, which compares answers, got {samples}"
        )
        raise ConfigError(message)
