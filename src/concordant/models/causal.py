"""Causal language models of the transformers library: generating, scoring, and looking inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch  # this module is itself imported only when a transformers model is used

from concordant.core.errors import ModelError
from concordant.core.model import Completion
from concordant.models import fallback
from concordant.models.decoding import decode
from concordant.models.fingerprints import fingerprint as fingerprint_of
from concordant.models.heads import recorded_heads
from concordant.models.llama import is_llama
from concordant.models.reading import forward_options, reader_of, reads_masks
from concordant.models.sampling import StopTexts, uniforms
from concordant.models.scoring import score_trees
from concordant.models.tokens import Tokens, batches, padded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from concordant.core.model import Prompt
    from concordant.models.reading import Reader

SMALL, MIDDLING = 20_000_000, 200_000_000
"""Parameters up to which a batch has 256 sequences by default, and up to which it has 64."""

BATCH_TOKENS = 2**16
"""Tokens that a batch holds at most, with those still to come, where its size is not given."""


class CausalLM:
    """A causal language model with its tokenizer, as a `~concordant.models.base.LanguageModel`.

    Parameters
    ----------
    model
        A transformers model with a language modelling head. Its defaults of generation (top-k, penalties,
        ...) are set aside: what is sampled from is the model's own distribution at the temperature of the
        request.
    tokenizer
        Its tokenizer.
    name
        What reports call it.
    fingerprint
        Digest of its weights and settings; by default made from the weights in memory.
    batch_size
        Sequences in one forward pass. By default as many as are fastest on a CPU: 256 for models of up to 20
        million parameters, 64 up to 200 million, 16 for larger ones; fewer where they are so long that
        there would be more than 65,536 tokens.
    chat
        Whether texts are asked as one turn of the user in the chat template; see
        `~concordant.models.tokens.Tokens`.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str | None = None,
        fingerprint: str | None = None,
        batch_size: int | None = None,
        chat: bool = False,
    ) -> None:
        self.model = model.eval()
        self.tokens = Tokens(tokenizer, chat=chat)
        self.chat = chat
        self.name = name or type(model).__name__
        self.fingerprint = fingerprint or fingerprint_of(model)
        self.batch_size = batch_size or _default_batch_size(model)
        self._batch_tokens = None if batch_size else BATCH_TOKENS
        self._ends = _end_ids(model.generation_config.eos_token_id, tokenizer.eos_token_id)
        self._known: dict[Any, Any] = {}
        config = model.config.get_text_config()
        self._longest = int(getattr(config, "max_position_embeddings", None) or 2**31)
        self._forward_options = forward_options(model)

    def __repr__(self) -> str:
        return f"CausalLM({self.name})"

    def with_model(self, model: Any) -> CausalLM:
        """Return another model that is asked in the same way, by the same name; its fingerprint is its own.

        Parameters
        ----------
        model
            A transformers model of the same vocabulary.
        """
        return CausalLM(
            model, self.tokens.tokenizer, name=self.name, batch_size=self.batch_size, chat=self.chat
        )

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        n: int = 1,
        temperature: float = 0.0,
        max_tokens: int = 256,
        seed: int | None = 0,
        stop: Sequence[str] = (),
    ) -> list[list[Completion]]:
        """Continue each prompt; see `LanguageModel.generate`. A prompt that is too long gets an error."""
        if seed is None:
            seed = int(np.random.default_rng().integers(2**63))
        seed %= 2**64
        ids = self.tokens.encode(prompts)
        room = [min(max_tokens, self._longest - len(row)) for row in ids]
        completions: list[list[Completion]] = [[] for _ in prompts]
        for allowed in sorted(set(room), reverse=True):  # nearly always there is but one number of steps
            members = [i for i, steps in enumerate(room) if steps == allowed]
            if allowed <= 0:
                for i in members:
                    completions[i] = [Completion("", error=self._too_long(len(ids[i])))] * n
                continue
            lengths = [n * (len(ids[i]) + allowed) for i in members]
            for part in batches(lengths, max(1, self.batch_size // n), self._batch_tokens):
                rows = [members[k] for k in part]
                made = self._generate([ids[i] for i in rows], n, temperature, allowed, seed, stop)
                for k, i in enumerate(rows):
                    completions[i] = made[k * n : (k + 1) * n]
        return completions

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[NDArray[np.float64]]:
        """Score given completions; see `LanguageModel.score`.

        Raises
        ------
        ModelError
            If a prompt with its completion is too long.
        """
        if len(prompts) != len(completions):
            message = f"model {self.name!r}: {len(completions)} completions for {len(prompts)} prompts"
            raise ModelError(message)
        rows, starts = self.tokens.encode_pairs(prompts, completions)
        too_long = next((row for row in rows if len(row) > self._longest), None)
        if too_long is not None:
            message = f"model {self.name!r}: {self._too_long(len(too_long))}"
            raise ModelError(message)
        if self._found(reads_masks):
            return score_trees(self.model, rows, starts, self.batch_size)
        scores: list[NDArray[np.float64]] = [np.zeros(0)] * len(rows)
        lengths = [(len(row), len(row) - start) for row, start in zip(rows, starts, strict=True)]
        for part in batches(lengths, self.batch_size):
            kept = max(lengths[i][1] for i in part)
            if kept == 0:
                continue
            logprobs = self._logprobs([rows[i] for i in part], kept)
            for i, row in zip(part, logprobs, strict=True):
                scores[i] = row[kept - lengths[i][1] :]
        return scores

    @torch.inference_mode()
    def hidden(self, prompts: Sequence[Prompt], layers: Sequence[int]) -> list[NDArray[np.float32]]:
        """Return the states of each prompt.

        Parameters
        ----------
        prompts
            Texts or conversations.
        layers
            Which layers: 0 is the embedding, 1 what is behind the first layer, -1 the last.

        Returns
        -------
        list of arrays of shape ``(len(layers), n_tokens, d)``
        """
        ids = self.tokens.encode(prompts)
        states: list[Any] = [None] * len(ids)
        for part in batches([len(row) for row in ids], self.batch_size):
            output = self._forward([ids[i] for i in part], output_hidden_states=True)
            chosen = torch.stack([output.hidden_states[layer] for layer in layers], dim=1).float()
            for i, rows in zip(part, chosen.cpu().numpy(), strict=True):
                states[i] = rows[:, rows.shape[1] - len(ids[i]) :]
        return states

    @torch.inference_mode()
    def heads(self, prompts: Sequence[Prompt], layers: Sequence[int]) -> list[NDArray[np.float32]]:
        """Return what each attention head gives, before the output projection of its layer mixes them.

        Parameters
        ----------
        prompts
            Texts or conversations.
        layers
            Which layers: 0 is the first, -1 the last; see `concordant.models.heads.recorded_heads`.

        Returns
        -------
        list of arrays of shape ``(len(layers), n_heads, n_tokens, d_head)``
        """
        ids = self.tokens.encode(prompts)
        found: list[Any] = [None] * len(ids)
        for part in batches([len(row) for row in ids], self.batch_size):
            with recorded_heads(self.model, layers) as heads:
                self._forward([ids[i] for i in part])
            chosen = torch.stack([heads[layer] for layer in layers], dim=1).float()
            for i, rows in zip(part, chosen.cpu().numpy(), strict=True):
                found[i] = rows[:, :, rows.shape[2] - len(ids[i]) :]
        return found

    def _generate(
        self,
        rows: Sequence[Sequence[int]],
        n: int,
        temperature: float,
        max_tokens: int,
        seed: int,
        stop: Sequence[str],
    ) -> list[Completion]:
        """Make the ``len(rows) * n`` completions of one batch."""
        greedy = temperature == 0.0
        copies = 1 if greedy else n  # several greedy samples are one sample, several times
        options: dict[str, Any] = {
            "samples": copies,
            "steps": max_tokens,
            "temperature": temperature,
            "draws": None if greedy else uniforms(rows, n, max_tokens, seed),
            "ends": self._ends,
            "stops": StopTexts(self.tokens.tokenizer, stop) if stop else None,
        }
        reader: Callable[[], Reader] | None = self._found(reader_of)
        if reader is None:
            made, logprobs = fallback.generate(self.model, rows, pad=self.tokens.pad, **options)
        else:
            made, logprobs = decode(reader(), rows, **options)
        completions = map(self._completion, made, logprobs, [stop] * len(made))
        return [completion for completion in completions for _ in range(n // copies)]

    def _found(self, finds: Callable[[Any], Any]) -> Any:
        """Return what a function finds about the model, asked once for the model as it is, with the hooks it has."""
        attention = getattr(self.model.config.get_text_config(), "_attn_implementation", None)
        key = (finds, is_llama(self.model), self.model.dtype, attention)
        if key not in self._known:
            self._known[key] = finds(self.model)
        return self._known[key]

    def _completion(self, ids: list[int], logprobs: NDArray[np.float64], stop: Sequence[str]) -> Completion:
        """Cut the new tokens of one row where its text ends."""
        end = next((i for i, token in enumerate(ids) if token in self._ends), None)
        ids = ids[:end]
        text = self.tokens.decode(ids)
        found = [place for place in map(text.find, stop) if place >= 0]
        if found:
            text = text[: min(found)]
            while ids and len(self.tokens.decode(ids)) > len(text):
                ids.pop()
        reason = "stop" if found or end is not None else "length"
        return Completion(text, float(logprobs[: len(ids)].sum()), len(ids), reason)

    @torch.inference_mode()
    def _logprobs(self, rows: Sequence[Sequence[int]], kept: int) -> NDArray[np.float64]:
        """Return the log-probabilities of the last `kept` tokens of each row."""
        options = {"logits_to_keep": kept + 1} if "logits_to_keep" in self._forward_options else {}
        logits = self._forward(rows, **options).logits[:, -kept - 1 : -1].float()
        ids = padded(rows, self.tokens.pad, logits.device)["input_ids"][:, -kept:]
        found = logits.log_softmax(dim=-1).gather(-1, ids[..., None])[..., 0]
        logprobs: NDArray[np.float64] = found.double().cpu().numpy()
        return logprobs

    def _forward(self, rows: Sequence[Sequence[int]], **options: Any) -> Any:
        inputs = padded(rows, self.tokens.pad, self.model.device)
        return self.model(**self._taken(inputs), use_cache=False, **options)

    def _taken(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: value for name, value in inputs.items() if name in self._forward_options}

    def _too_long(self, tokens: int) -> str:
        return f"the prompt has {tokens} tokens, and the model takes {self._longest} with the answer"


def _default_batch_size(model: Any) -> int:
    parameters = sum(weight.numel() for weight in model.parameters())
    return 256 if parameters <= SMALL else 64 if parameters <= MIDDLING else 16


def _end_ids(*sources: int | Sequence[int] | None) -> list[int]:
    """Return all tokens that end a text, from settings that are a number, several, or none."""
    ids: set[int] = set()
    for source in sources:
        ids |= set() if source is None else {source} if isinstance(source, int) else set(source)
    return sorted(ids)
