"""A cache of deterministic answers, by content: model, prompt and request. It holds no secret and is SQLite in one file."""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from concordant.core.errors import StoreError
from concordant.core.model import Completion, Prompt, Request, digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def default_cache_path() -> Path:
    """Return where the cache is: ``$CONCORDANT_CACHE``, or ``~/.cache/concordant/answers.sqlite``."""
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("CONCORDANT_CACHE") or Path(folder) / "concordant" / "answers.sqlite")


class AnswerCache:
    """Answers by content.

    Parameters
    ----------
    path
        The SQLite file; made, with its folder, if it is not there.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = AnswerCache(Path(folder) / "answers.sqlite")
    ...     key = cache.key("model-1", "2 + 2 =", Request())
    ...     cache.put({key: [Completion("4")]})
    ...     cache.get([key])[key][0].text, len(cache)
    ...     cache.close()
    ('4', 1)
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, model TEXT, completions TEXT) WITHOUT ROWID"
            )
            self._connection.commit()
        except (sqlite3.Error, OSError) as error:
            message = f"the answer cache {path} cannot be used: {error}; remove it, or run with --no-cache"
            raise StoreError(message) from None

    @staticmethod
    def key(fingerprint: str, prompt: Prompt, request: Request) -> str:
        """Return the key of an answer: the digest of model, prompt and request."""
        return digest(fingerprint, prompt, request.key())

    def get(self, keys: Sequence[str]) -> dict[str, list[Completion]]:
        """Return the answers that are there."""
        found: dict[str, list[Completion]] = {}
        for start in range(0, len(keys), 500):
            some = keys[start : start + 500]
            marks = ",".join("?" * len(some))
            query = f"SELECT key, completions FROM answers WHERE key IN ({marks})"
            for key, text in self._connection.execute(query, some):
                found[key] = [Completion(**fields) for fields in json.loads(text)]
        return found

    def put(self, answers: Mapping[str, Iterable[Completion]], model: str = "") -> None:
        """Keep answers; errors are not kept."""
        rows = []
        for key, completions in answers.items():
            listed = [asdict(c) for c in completions]
            if not any(fields["error"] for fields in listed):
                rows.append((key, model, json.dumps(listed)))
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", rows)

    def __len__(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM answers").fetchone()[0])

    def models(self) -> dict[str, int]:
        """Return how many answers of each model there are."""
        return dict(
            self._connection.execute("SELECT model, count(*) FROM answers GROUP BY model ORDER BY model")
        )

    def clear(self, model: str | None = None) -> int:
        """Forget all answers, or those of one model, and return how many there were."""
        with self._connection:
            where, values = ("", ()) if model is None else (" WHERE model = ?", (model,))
            removed = self._connection.execute(f"DELETE FROM answers{where}", values).rowcount
        self._connection.execute("VACUUM")
        return removed

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
