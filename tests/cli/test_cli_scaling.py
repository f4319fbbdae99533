"""The verb scaling, through the real command."""

import json

import pytest

from command import run


@pytest.fixture
def points(tmp_path):
    path = tmp_path / "points.csv"
    rows = [
        f"{n},{run_},{0.02 * n**0.4 * (1 + 0.05 * run_)}" for run_ in (0, 1, 2) for n in (25, 50, 100, 200)
    ]
    path.write_text("\n".join(["n,seed,value", "0,0,0", *rows]))
    return path


def test_fit_prints_both_laws_and_draws_them(points, tmp_path):
    picture = tmp_path / "curve.svg"
    out = run("scaling", "fit", points, "--at", "400", "-o", picture).stdout
    assert "power law" in out
    assert "predicted at 400" in out
    assert "left out 1 points" in out
    assert picture.read_text().startswith("<svg")
    document = json.loads(run("scaling", "fit", points, "--json", "--at", "400").stdout)
    power = document["laws"][0]
    assert power["parameters"]["exponent"]["value"] == pytest.approx(0.4, abs=1e-6)
    assert power["predictions"][0]["value"] == pytest.approx(0.021 * 400**0.4, rel=1e-2)


def test_columns_and_pictures_that_are_not_there(points, tmp_path):
    assert "no column 'loss'" in run("scaling", "fit", points, "--value", "loss", code=2).stderr
    assert ".svg or .png" in run("scaling", "fit", points, "-o", tmp_path / "curve.gif", code=2).stderr
    bad = tmp_path / "bad.csv"
    bad.write_text("n,value\n1,a\n2,b\n")
    assert "must hold a number" in run("scaling", "fit", bad, code=2).stderr


def logs(folder):
    paths = []
    for m in range(4):
        path = folder / f"m{m}.jsonl"
        with path.open("w") as file:
            for i in range(6):
                values = [-3.0 + 0.5 * m + 0.1 * i, -1.5, -2.5 + 0.3 * ((m * i) % 3)]
                row = {
                    "doc_id": i,
                    "doc": {},
                    "target": 0,
                    "arguments": [[f"q{i}", f" option {k}"] for k in range(3)],
                    "resps": [[[v, False]] for v in values],
                    "filtered_resps": [[v, False] for v in values],
                    "acc": float(values[0] == max(values)),
                }
                file.write(json.dumps(row) + "\n")
        paths.append(path)
    return paths


def test_samples_of_logs(tmp_path):
    compute = [word for m in range(4) for word in ("--compute", f"1e{m + 3}")]
    out = run("scaling", "samples", *logs(tmp_path), *compute).stdout
    assert "4 models, 6 items, spearman" in out
    document = json.loads(run("scaling", "samples", *logs(tmp_path), *compute, "--json").stdout)
    assert [row["score"] for row in document["scores"]] == [
        "log_p",
        "p",
        "p_choice",
        "brier_score",
        "accuracy",
    ]
    assert document["scores"][0]["mean"] == pytest.approx(1.0)
    assert document["steps"][0] == {"from": "log_p", "to": "p", "lost": 0, "low": 0, "high": 0}


def test_samples_that_cannot_be_run(tmp_path):
    found = logs(tmp_path)
    assert "say the compute" in run("scaling", "samples", *found, code=2).stderr
    assert "4 logs and 1 numbers" in run("scaling", "samples", *found, "--compute", "1", code=2).stderr
    words = ("--compute", "1", "--compute", "2", "--compute", "3", "--compute", "4", "--method", "cosine")
    assert "must be one of pearson" in run("scaling", "samples", *found, *words, code=2).stderr
