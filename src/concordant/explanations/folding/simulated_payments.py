"""Procedural payments, in which only the change at a few personal merchants says who will default.

What one spends at each merchant is a level of one's own; at a few of them it drifts along time, down for those who will
default and up for the others. The trend over all payments of a person is then taken out, so that no figure of the person
as a whole tells the two apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from concordant.core.errors import ConfigError


@dataclass(frozen=True)
class Payments:
    """Events, ``user``, ``day``, ``merchant`` and ``amount`` (on a log scale), and labels, ``user`` and ``label``."""

    events: pl.DataFrame
    labels: pl.DataFrame


def payments(
    n_users: int,
    seed: int,
    *,
    merchants: int = 12,
    events: int = 192,
    drift: float = 1.2,
    drifting: int = 3,
    positive_rate: float = 0.3,
    noise: float = 0.4,
    days: float = 180.0,
) -> Payments:
    """Draw the payments of users, and whether each defaults.

    Parameters
    ----------
    n_users
        How many.
    seed
        Of all draws.
    merchants, events
        Merchants there are, and payments of each user, about equally many at each merchant, in random order.
    drift, drifting
        By how much the amount changes from the middle to an end of the time, and at how many merchants of a user.
    positive_rate
        Share of users who default.
    noise
        Standard deviation of an amount.
    days
        Length of the time; payments fall anywhere in it.

    Raises
    ------
    ConfigError
        If there are fewer events than merchants, or fewer merchants than drift.

    Examples
    --------
    >>> drawn = payments(10, 0)
    >>> drawn.events.shape, drawn.labels.columns
    ((1920, 4), ['user', 'label'])
    """
    if not 1 <= drifting <= merchants <= events:
        message = f"payments need drifting <= merchants <= events, got {drifting}, {merchants} and {events}"
        raise ConfigError(message)
    rng = np.random.default_rng(seed)
    label = rng.permutation(n_users) < round(positive_rate * n_users)
    merchant = rng.permuted(np.tile(np.arange(events) % merchants, (n_users, 1)), axis=1)
    day = np.sort(rng.uniform(0, days, (n_users, events)), axis=1)
    t = 2 * day / days - 1
    offset = rng.normal(scale=1.5, size=(n_users, merchants))
    changes = rng.permuted(np.tile(np.arange(merchants) < drifting, (n_users, 1)), axis=1)
    slope = drift * changes * np.where(label, -1.0, 1.0)[:, None]
    amount = np.take_along_axis(offset, merchant, 1) + np.take_along_axis(slope, merchant, 1) * t
    amount += noise * rng.normal(size=amount.shape)
    centred = t - t.mean(1, keepdims=True)
    trend = (amount * centred).sum(1) / (centred**2).sum(1)
    amount -= trend[:, None] * centred
    user = np.repeat(np.arange(n_users), events)
    table = {"user": user, "day": day.ravel(), "merchant": merchant.ravel(), "amount": amount.ravel()}
    labels = {"user": np.arange(n_users), "label": label.astype(np.int64)}
    return Payments(pl.DataFrame(table), pl.DataFrame(labels))
