"""The table of TimeX beside its paper: means and spreads worked by hand, and what is not measured left out."""

from __future__ import annotations

from concordant.report.timex_figures import timex_figures
from concordant.studies.evidence.records import recorded


def test_means_and_spreads_stand_beside_the_paper():
    one = {
        "timex.auprc": 0.5,
        "timex.aup": 0.25,
        "timex.aur": 0.75,
        "dynamask.seq_comb_uv_auprc_of_some": 0.1,
    }
    other = {"timex.auprc": 0.7, "timex.aup": 0.25, "timex.aur": 0.25}
    table = timex_figures({"measurements": {"0": one, "1": other}}).splitlines()
    assert table[2:] == [
        "| FreqShapes | TimeX | 0.600 ± 0.141 | 0.250 ± 0.000 | 0.500 ± 0.354 | 0.832, 0.722, 0.638 |",
        "| SeqComb-UV | Dynamask (ours: some series) | 0.100 | – | – | 0.442, 0.878, 0.103 |",
    ]


def test_the_recorded_result_has_its_rows():
    table = timex_figures(recorded()["timex"]).splitlines()
    assert len(table) >= 5
    assert all(line.count("|") == 7 for line in table)
