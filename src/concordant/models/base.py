"""What the five sorts of model are asked to be able to do: small structural protocols.

Nothing is inherited from: an object of any library that has these methods *is* one of them.
`concordant.models.as_model` turns a `Predictor` or a `LanguageModel` into what the runner asks
(`concordant.core.model`); reward models, dynamics and policies are asked by the relations and methods
that are about them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from concordant.core.model import Completion, Prompt


@runtime_checkable
class Predictor(Protocol):
    """A classifier or regressor: one output for each row of inputs.

    Three further members are used where an object has them:

    - ``probabilities(x) -> (n, n_classes)``: non-negative rows that sum to 1; the prediction is then the
      most probable of `classes_`, and `predict` is not called. Or ``predict_proba(x)``, as scikit-learn
      names it; the prediction is then still that of `predict`, because the two may disagree there
      (support vector machines).
    - ``classes_``: the `n_classes` labels, in the order of the columns of the probabilities.
    - ``latent(x) -> (n, d)``: a representation of each row.
    """

    def predict(self, x: Any) -> Any:
        """Predict.

        Parameters
        ----------
        x
            Inputs of `n` rows: an array of shape ``(n, d)`` or ``(n, ...)``, a data frame of `n` rows, or
            a list of `n` texts.

        Returns
        -------
        array of shape ``(n,)``
            A label (text or integer) or a number for each row.
        """
        ...


@runtime_checkable
class LanguageModel(Protocol):
    """A model of text that is called with many prompts at once.

    One further method is used where an object has it: ``hidden(prompts, layers) -> list`` of arrays of shape
    ``(len(layers), n_tokens, d)``, the states behind the given layers (0 is the embedding) at each token
    of a prompt.
    """

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
        """Continue each prompt.

        Parameters
        ----------
        prompts
            Texts, or conversations as lists of messages.
        n
            Samples for each prompt, at least 1.
        temperature
            0 is greedy; otherwise the logits are divided by it.
        max_tokens
            Bound on the length of a completion, in tokens.
        seed
            Seed of the sampling; None draws a fresh one. The global generators are neither used nor changed.
        stop
            Texts that end a completion; they are not part of it.

        Returns
        -------
        list of ``len(prompts)`` lists of `n` completions
            `Completion.logprob` is the sum over its tokens, in nats, under the model at temperature 1.
            The token that ends the text is not counted.
        """
        ...

    def score(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> list[NDArray[np.float64]]:
        """Score given completions.

        Parameters
        ----------
        prompts, completions
            The same number of each. A completion is appended to its prompt as it is: it brings its own
            leading space.

        Returns
        -------
        list of arrays of shape ``(n_tokens,)``
            Log-probability of each token of the completion after all tokens before it, in nats; their sum
            is the log-probability of the completion.
        """
        ...


@runtime_checkable
class RewardModel(Protocol):
    """A judge of completions: more is better."""

    def reward(self, prompts: Sequence[Prompt], completions: Sequence[str]) -> NDArray[np.float64]:
        """Judge `n` completions of `n` prompts.

        Returns
        -------
        array of shape ``(n,)`` or ``(n, n_attributes)``
            One score, or one a named attribute.
        """
        ...


@runtime_checkable
class Dynamics(Protocol):
    """A model of how a world moves."""

    def step(
        self, states: NDArray[Any], actions: NDArray[Any], generator: np.random.Generator
    ) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.bool_]]:
        """Move `n` independent worlds by one step.

        Parameters
        ----------
        states
            Shape ``(n, d_state)``.
        actions
            Shape ``(n, d_action)``.
        generator
            Source of the randomness of the transition.

        Returns
        -------
        next states of shape ``(n, d_state)``, rewards of shape ``(n,)``, done of shape ``(n,)``
        """
        ...


@runtime_checkable
class Policy(Protocol):
    """A model of how to act."""

    def act(
        self, observations: NDArray[Any], *, goals: NDArray[Any] | None = None, generator: np.random.Generator
    ) -> NDArray[Any]:
        """Choose an action for each observation.

        Parameters
        ----------
        observations
            Shape ``(n, d_observation)``.
        goals
            Shape ``(n, d_goal)``, for a policy that is told what to reach.
        generator
            Source of the randomness of the policy.

        Returns
        -------
        array of shape ``(n, d_action)``, or ``(n,)`` for discrete actions
        """
        ...
