"""The verb ``cache``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from concordant.cli.options import Json


def cache(
    what: Annotated[
        Literal["info", "clear"], typer.Argument(help="Say what is there, or forget it.")
    ] = "info",
    *,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Of this model only.")] = None,
    json: Json = False,
) -> int:
    """Look at the answers kept over runs, or forget them.

    Deterministic answers of servers are kept by content: model, prompt and request. The environment variable
    CONCORDANT_CACHE says where.

    For example:

        concordant cache

        concordant cache clear --model NAME
    """
    from concordant.cli.output import print_json
    from concordant.core.cache import AnswerCache, default_cache_path
    from concordant.core.errors import ConfigError, nearest

    path = default_cache_path()
    models: dict[str, int] = {}
    removed = None
    if path.exists():
        answers = AnswerCache(path)
        try:
            models = answers.models()
            if model is not None and model not in models:
                message = f"the cache holds no answers of {model!r}; {nearest(model, models)}"
                raise ConfigError(message)
            if what == "clear":
                removed = answers.clear(model)
                models = answers.models()
        finally:
            answers.close()
    elif model is not None:
        message = f"the cache holds no answers of {model!r}; {path} is not there yet"
        raise ConfigError(message)
    size = path.stat().st_size if path.exists() else 0
    if json:
        print_json({"path": str(path), "bytes": size, "models": models, "removed": removed})
        return 0
    if removed is not None:
        typer.echo(f"removed {removed:,} answers")
    typer.echo(f"{path}: {sum(models.values()):,} answers, {size / 1e6:.1f} MB")
    for name, count in models.items():
        if model is None or name == model:
            typer.echo(f"  {name}: {count:,}")
    return 0
