"""The command as a test runs it: in this process, with its exit code checked."""

from __future__ import annotations

from typer.testing import CliRunner

from concordant.cli.main import app


def run(*words, code=0):
    """Run the command and return what it printed; it must end with `code`."""
    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.stderr
    return result
