"""The page and the terminal of explanations: everything is there, named as it is, and inert."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from concordant.core.errors import StoreError
from concordant.report.charts import to_svg
from concordant.report.explained import MAX_METHODS, render, write
from concordant.report.explained_reading import MEASURES as READINGS
from concordant.report.explained_terminal import print_explained
from concordant.report.explained_words import answer, beats_text, figures, ranked, seconds_text
from concordant.report.judged_charts import curves_spec, looks
from concordant.report.palette import LIGHT
from report.made_explained import METHODS, made_explained, made_judgement, made_table
from report.made_reports import HOSTILE
from report.test_report_charts import COLOUR
from report.test_report_html import ALLOWED, Page

TAGS = {*ALLOWED.split(), "use", "pre", "br", "fieldset", "legend", "label", "input"} - {"img"}


@pytest.fixture(scope="module")
def made():
    return made_explained()


@pytest.fixture(scope="module")
def page(made):
    return Page(render(made))


@pytest.fixture(scope="module")
def table_page():
    return Page(render(made_table()))


def printed(explained, width=100):
    console = Console(width=width, file=io.StringIO())
    print_explained(explained, console)
    return console.file.getvalue()


def test_it_asks_the_network_for_nothing_and_has_no_style_but_its_own(page, table_page):
    for shown in (page, table_page):
        assert set(shown.tags) <= TAGS
        for _, name, value in shown.attributes:
            assert name not in ("src", "srcset", "action", "data", "style", "background")
            assert not name.startswith("on")
            assert name not in ("href", "xlink:href") or value.startswith("#")
        css = "".join(shown.raw["style"])
        assert "url(" not in css
        assert set(re.findall(r"var\((--[\w-]+)\)", css)) <= set(re.findall(r"(--[\w-]+):", css))


def test_ids_are_unique_and_what_points_to_them_finds_them(page, table_page):
    for shown in (page, table_page):
        ids = [value for _, name, value in shown.attributes if name == "id"]
        assert len(ids) == len(set(ids))
        assert {value[1:] for _, name, value in shown.attributes if name == "href"} <= set(ids)


def test_it_has_all_its_parts(made, page):
    for part in (
        answer(made).replace("\xa0", " "),
        "What decides: torch:made on low_var.npz",
        "24 series of low_var.npz",
        "The classifier is weak.",
        "There is no truth.",
        "+0.700",
        "✗ low, second with 0.67 , truly high, first",
        "most on steps",
        "where the class truly is",
        "Kinds of explanations",
        "concordant explain torch:made low_var.npz",
        "How to read this",
    ):
        assert part.replace(" ,", ",") in page.text.replace(" ,", ","), part
    for place in ranked(made.judged):
        assert place.figure.value in page.text
        assert place.figure.interval in page.text


def test_every_example_is_drawn_with_every_method(made, page):
    classes = [v for t, n, v in page.attributes if n == "class"]
    shown = sum(c.startswith("one") for c in classes)
    assert shown == 12
    for i in range(len(METHODS)):
        assert classes.count(f"by by-{i}") >= 2 * shown  # two channels each, and words
    ids = [value for _, name, value in page.attributes if name == "id" and value.startswith("s")]
    assert len(ids) == 2 * shown * len(METHODS)


def test_the_truth_is_drawn_where_it_is(made):
    steps = np.flatnonzero(made.data.truth[2, :, 0])
    assert f'<path class="truth" d="M{steps[0]} .5h{len(steps)}"/>' in render(made)
    unknown = made_explained(data=made.data.__class__("s", made.data.x, made.data.channels, made.data.labels))
    assert 'class="truth"' not in render(unknown)


def test_the_style_sheet_can_switch_between_as_many_methods_as_are_shown():
    names = [f"method {i}" for i in range(MAX_METHODS + 2)]
    text = render(made_explained(methods=names, judged=None, landmarks={}))
    assert f":has(#method-{MAX_METHODS - 1}:checked) .by-{MAX_METHODS - 1} " in text
    assert f"#method-{MAX_METHODS}" not in text
    assert "2 more explainers left out." in text


def test_one_method_alone_says_that_nothing_was_compared():
    made = made_explained(methods=("timex",), judged=None)
    shown = Page(render(made))
    assert "It was not compared with anything" in shown.text
    assert "method-all" not in {value for _, name, value in shown.attributes if name == "id"}
    assert "The explainers compared" not in shown.text


def test_a_table_has_bars_dots_and_rows_instead_of_lines(table_page):
    for part in ("column 0", "3 columns with smaller attributions left out.", "9 other columns", "typical"):
        assert part in table_page.text, part
    assert "truly" not in table_page.text
    assert "steps" not in table_page.text
    assert table_page.tags.count("article") == 6


def test_hostile_names_are_inert():
    made = made_explained(
        classes=(HOSTILE,) * 4,
        channels=(HOSTILE, HOSTILE),
        name=HOSTILE,
        methods=(HOSTILE, "random"),
        model=HOSTILE,
        warnings=(HOSTILE,),
        settings={HOSTILE: HOSTILE},
    )
    for explained in (made, made_table(columns=(HOSTILE,) * 15)):
        text = render(explained)
        assert not re.search(
            "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]", text
        )
        shown = Page(text)
        assert set(shown.tags) <= TAGS
        assert not [name for _, name, _ in shown.attributes if name.startswith("on")]
        assert shown.tags.count("script") == 1
        assert "\x1b[31m" not in printed(explained)


@pytest.mark.parametrize("n_true", [0, 2])
def test_the_answer_says_whether_random_is_beaten(n_true):
    said = answer(made_explained(judged=made_judgement(METHODS, n_true=n_true, notes=())))
    figure = "the class loses 0.100\xa0(0.060 to 0.140) of its probability; with random numbers, 0.800"
    assert figure in said
    if n_true:
        assert said.startswith("timex is truest to the classifier here: when only")
        assert said.endswith("It is not shown to be truer than integrated-gradients.")
    else:
        assert said.startswith(
            "No explainer is shown to be truer to the classifier than random numbers. The best is timex"
        )


def test_the_answer_names_another_main_measure():
    said = answer(made_explained(judged=made_judgement(METHODS, main="label_agreement_rate")))
    assert "its label agreement rate is 0.800" in said


def test_the_best_of_each_measure_is_marked_in_its_direction(made):
    for measure, by_name in figures(made.judged).items():
        assert [name for name, figure in by_name.items() if figure.is_best] == ["timex"], measure


def test_what_could_not_be_measured_is_a_dash():
    judged = made_judgement(METHODS)
    missing = pl.when(pl.col("measure") == "auprc_score").then(None)
    blank = [missing.otherwise(pl.col(name)).alias(name) for name in ("value", "low", "high")]
    judged = replace(judged, measures=judged.measures.with_columns(blank))
    found = figures(judged)["auprc_score"]["timex"]
    assert (found.value, found.interval, found.is_best) == ("–", "–", False)
    assert "–" in printed(made_explained(judged=judged))
    assert "AUPRC" in Page(render(made_explained(judged=judged))).text


def test_what_is_not_shown_to_be_better_than_random_is_marked(made):
    assert not any(f.is_like_random for by_name in figures(made.judged).values() for f in by_name.values())
    of_signed = (pl.col("explainer") == "integrated-gradients") & (pl.col("measure") == "latent_gram_loss")
    for changed in (
        pl.when(of_signed).then(0.05).otherwise(pl.col("p_adjusted")).alias("p_adjusted"),
        pl.when(of_signed).then(-0.2).otherwise(pl.col("over_random")).alias("over_random"),
    ):
        judged = replace(made.judged, measures=made.judged.measures.with_columns(changed))
        marked = [
            (m, n) for m, by_name in figures(judged).items() for n, f in by_name.items() if f.is_like_random
        ]
        assert marked == [("latent_gram_loss", "integrated-gradients")]
        assert Page(render(replace(made, judged=judged))).text.count("not beyond random") == 1
        assert "0.450~" in printed(replace(made, judged=judged))


def test_random_numbers_pass_the_check_of_sanity_and_are_never_best():
    judged = made_judgement(("timex", "gradient"))
    sanity = judged.measures.filter(measure="latent_gram_loss").with_columns(
        measure=pl.lit("sanity_loss"),
        value=pl.Series([0.3, 0.2, 0.0]),
        over_random=pl.Series([-0.3, -0.2, None]),
    )
    found = figures(replace(judged, measures=pl.concat([judged.measures, sanity])))["sanity_loss"]
    assert [name for name, figure in found.items() if figure.is_best] == ["gradient"]
    assert not any(figure.is_like_random for figure in found.values())


def test_the_truest_explainer_is_shown_first():
    made = made_explained(
        methods=("worse", "random", "best"), judged=made_judgement(("best", "worse")), landmarks={}
    )
    labels = re.findall(r'<input type="radio"[^>]*id="method-(\w+)"( checked)?>([^<]*)', render(made))
    assert labels[:3] == [("0", " checked", "best"), ("1", "", "worse"), ("2", "", "random")]


def test_every_measure_can_be_read_up():
    from concordant.explanations.judging import MEASURES

    assert set(READINGS) == set(MEASURES)


def test_curves_have_the_colours_of_the_palette_and_random_is_grey(made):
    for compact in (False, True):
        (svg,) = to_svg([curves_spec(made.judged, compact=compact)])
        assert set(COLOUR.findall(svg)) <= set(LIGHT.values())
        assert "style=" not in svg
        assert "lost when only this share is kept" in svg
    known = looks(made.judged)
    assert known["random"].colour == LIGHT["soft"]
    assert len({(look.colour, tuple(look.dash)) for look in known.values()}) == len(known)
    of_many = looks(made_judgement([f"m{i}" for i in range(20)]))
    assert list(of_many) == ["m0", "m1", "m2", "m3", "m4", "m5", "random"]
    assert len({(look.colour, tuple(look.dash)) for look in of_many.values()}) == 7


def test_the_terminal_has_the_answer_the_ranking_and_the_measures(made):
    text = printed(made)
    for part in (
        "timex is truest",
        "! The classifier is weak.",
        "0.100 (0.060 to 0.140)",
        "0.800*",
        "1.5 s",
        "There is no",
    ):
        assert part in text, part
    assert max(map(len, text.splitlines())) <= 100
    assert "1.5 s" in printed(made_explained(judged=None))


def test_a_class_with_a_number_for_a_name_is_named_as_a_class():
    shown = Page(render(made_explained(classes=("1", "-1", "a1", "2.0"), judged=None, landmarks={})))
    for part in ("class 1 with", "class -1 with", " a1 with", "class 2.0 with"):
        assert part in shown.text, part


def test_of_many_explainers_that_are_beaten_those_that_are_not_are_named():
    places = ranked(made_judgement([f"m{i}" for i in range(7)]))
    texts = [beats_text(place, places) for place in places]
    assert texts[0] == "all below but m1"
    assert texts[1] == "all below"
    assert texts[3:] == ["m4, m5, m6 and random", "m5, m6 and random", "m6 and random", "random", "none"]


def test_times_are_as_people_say_them():
    assert [seconds_text(s) for s in (0.0, 0.999, 9.94, 59.6, 120)] == [
        "0.00 s",
        "1.00 s",
        "9.9 s",
        "60 s",
        "2 min 0 s",
    ]


def test_it_is_written_to_a_file_or_says_why_not(made, tmp_path):
    write(made, tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(StoreError, match="cannot be written"):
        write(made, tmp_path / "none" / "a.html")


def test_a_page_of_five_methods_and_many_channels_stays_small():
    made = made_explained(methods=("a", "b", "c", "d", "random"))
    x, rng = np.random.default_rng(0).normal(size=(24, 900, 8)), np.random.default_rng(1)
    data = made.data.__class__("s", x, tuple("abcdefgh"), made.data.labels, made.data.classes)
    attributions = {name: rng.random(x.shape) for name in made.attributions}
    text = render(made_explained(data=data, attributions=attributions, judged=None, landmarks={}))
    assert "2 channels with less attribution left out." in text
    assert len(text) < 2_000_000


def test_series_of_a_part_of_a_file_keep_their_numbers(made):
    part = replace(made, data=replace(made.data, numbers=1000 + np.arange(len(made.data.x))))
    page = render(part)
    assert re.search(r"series 10\d\d", page)
    assert not re.search(r"series \d{1,2}\b", page)
