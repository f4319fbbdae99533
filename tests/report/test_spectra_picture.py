"""The picture of spectra: its marks, its colours, and what is refused."""

from __future__ import annotations

import pytest
import torch

from concordant.core.errors import ConfigError
from concordant.explanations.mechanisms import spectrum_report
from concordant.report.spectra import save_spectra, spectra_spec

ONE = torch.tensor([[1.0, 2.0, 0.0]])
REPORT = spectrum_report({"low": (ONE, ONE), "high": (ONE, -ONE)})


def test_every_eigenvalue_is_a_mark():
    marks = spectra_spec(REPORT)["data"]["values"]
    assert [(mark["layer"], mark["sign"]) for mark in marks] == [
        ("low", "zero"),
        ("low", "positive"),
        ("high", "negative"),
        ("high", "zero"),
    ]
    assert marks[1]["value"] == pytest.approx(5)
    assert spectra_spec(REPORT)["encoding"]["y"]["sort"] == ["low", "high"]


def test_growth_stands_beside(tmp_path):
    spec = spectra_spec(REPORT, growth=[0.5, -0.25])
    assert [row["growth"] for row in spec["hconcat"][1]["data"]["values"]] == [0.5, -0.25]
    save_spectra(REPORT, tmp_path / "new" / "picture.svg", growth=torch.tensor([0.5, -0.25]))
    drawn = (tmp_path / "new" / "picture.svg").read_text()
    assert all(text in drawn for text in ("low", "high", "growth of tokens", "eigenvalues"))


def test_what_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"\.svg or \.png, got '\.pdf'"):
        save_spectra(REPORT, tmp_path / "picture.pdf")
    with pytest.raises(ConfigError, match="each of 2 layers, got 1"):
        spectra_spec(REPORT, growth=[0.5])
