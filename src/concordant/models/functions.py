"""Functions as models: the shortest way to have behaviour checked."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

import polars as pl

from concordant.core.columns import to_series
from concordant.core.errors import ConcordantError, described
from concordant.core.model import Completion
from concordant.models.fingerprints import fingerprint as fingerprint_of
from concordant.models.rows import checked, completion_rows, inputs_of, repeat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from concordant.core.items import Items
    from concordant.core.model import Prompt, Request


class FunctionModel:
    """A function of one input, or of a column of inputs, as a batch model.

    A single input is a text (with the choices of an item rendered behind its question), a list of
    messages, a number, an array, or a dictionary for the row of a table. A column is a list of such texts
    or conversations, a numpy array of shape ``(n, ...)``, or a polars data frame. Asked for several
    samples of an item, the function is called once for each of them.

    Parameters
    ----------
    function
        Returns an output (a text, a number, an array, a `Completion`) for an input, or `n` of them for a
        column: a list, array or series, or a data frame with a column `output` and the further columns of
        `BatchModel.respond`.
    name
        What reports call it; the name of the function by default.
    batched
        Whether it takes a column (True) or a single input (False). By default arrays and tables are given as
        columns, and texts and conversations one at a time.
    batch_size
        Rows in one call.
    fingerprint
        Digest of what decides its behaviour; by default made from its code and the values it refers to.
    with_request
        Whether to call it with the keyword ``request=`` as well (temperature, seed, ...).

    Notes
    -----
    Where single inputs are given, an exception is the error of its item, unless every item of the batch
    raises.

    Examples
    --------
    >>> from concordant.core.items import Items
    >>> from concordant.core.model import Request
    >>> items = Items.from_records([{"input": "one"}, {"input": "two"}])
    >>> FunctionModel(str.upper).respond(items, Request())["output"].to_list()
    ['ONE', 'TWO']
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        batched: bool | None = None,
        batch_size: int = 256,
        fingerprint: str | None = None,
        with_request: bool = False,
    ) -> None:
        self.name = name or name_of(function)
        self.fingerprint = fingerprint or fingerprint_of(function)
        self.batch_size = batch_size
        self._function = function
        self._batched = batched
        self._with_request = with_request

    def __repr__(self) -> str:
        return f"FunctionModel({self.name})"

    def respond(self, items: Items, request: Request) -> pl.DataFrame:
        """Call the function on all `items`; see `BatchModel.respond`."""
        call = functools.partial(self._function, request=request) if self._with_request else self._function
        inputs = repeat(inputs_of(items), request.n)
        batched = self._batched if self._batched is not None else not isinstance(inputs, list)
        if batched:
            frame = _frame(call(inputs))
        else:
            table = isinstance(inputs, pl.DataFrame)
            frame = _frame(*_each(call, inputs.iter_rows(named=True) if table else inputs))
        return checked(self.name, items, frame, request.n)


class AsyncFunctionModel:
    """An ``async`` function of one prompt as a concurrent model.

    Parameters
    ----------
    function
        Returns a text or a `Completion` for a prompt (a text or a list of messages), and may be awaited
        many times at once. It is called once for each sample.
    name, fingerprint, with_request
        As for `FunctionModel`.
    concurrency
        How many prompts may be in flight.

    Notes
    -----
    An exception is the error of its sample, except a `ConcordantError`, which ends the run.
    """

    def __init__(
        self,
        function: Callable[..., Awaitable[str | Completion]],
        *,
        name: str | None = None,
        concurrency: int = 16,
        fingerprint: str | None = None,
        with_request: bool = False,
    ) -> None:
        self.name = name or name_of(function)
        self.fingerprint = fingerprint or fingerprint_of(function)
        self.concurrency = concurrency
        self._function = function
        self._with_request = with_request

    def __repr__(self) -> str:
        return f"AsyncFunctionModel({self.name})"

    async def complete(self, prompt: Prompt, request: Request) -> list[Completion]:
        """Await the function once for each sample."""
        further = {"request": request} if self._with_request else {}

        async def sample() -> Completion:
            try:
                return _completion(await self._function(prompt, **further))
            except ConcordantError:
                raise
            except Exception as error:
                return Completion("", error=described(error))

        return list(await asyncio.gather(*(sample() for _ in range(request.n))))

    async def aclose(self) -> None:
        """Do nothing: the function has no connections that are known here."""


def name_of(function: Any) -> str:
    """Return a name for reports: that of the function, or of the class of an object that is called like one.

    Examples
    --------
    >>> name_of(str.upper), name_of(functools.partial(print, end="")), name_of(lambda x: x)
    ('upper', 'print', 'lambda')
    """
    if isinstance(function, functools.partial):
        return name_of(function.func)
    name = getattr(function, "__name__", type(function).__name__)
    return "lambda" if name == "<lambda>" else str(name)


def _each(call: Callable[[Any], Any], rows: Iterable[Any]) -> tuple[list[Any], list[str | None]]:
    """Call a function on each row; return outputs and errors, unless every row raises."""
    outputs: list[Any] = []
    errors: list[str | None] = []
    first: Exception | None = None
    for row in rows:
        try:
            outputs.append(call(row))
            errors.append(None)
        except ConcordantError:
            raise
        except Exception as error:
            first = first or error
            outputs.append(None)
            errors.append(described(error))
    if first is not None and None not in errors:
        raise first
    return outputs, errors


def _frame(outputs: Any, errors: list[str | None] | None = None) -> pl.DataFrame:
    """Make rows of whatever a function returned for a column, or for each of its inputs."""
    if isinstance(outputs, pl.DataFrame) and "output" in outputs.columns:
        return outputs
    if isinstance(outputs, list) and any(isinstance(output, Completion) for output in outputs):
        return completion_rows(list(map(_completion, outputs, errors or [None] * len(outputs))))
    frame = to_series("output", outputs.to_numpy() if hasattr(outputs, "iloc") else outputs).to_frame()
    if errors is not None and any(errors):
        frame = frame.with_columns(error=pl.Series(errors, dtype=pl.String))
    return frame


def _completion(output: Any, error: str | None = None) -> Completion:
    if isinstance(output, Completion):
        return output
    if output is None:
        return Completion("", error=error or "the function returned no text")
    return Completion(str(output))
