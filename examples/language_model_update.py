"""The main job on language models: a chat model is updated, and the check says what got better, what got worse, and where.

The two models ship with the package. The update is a plausible one: version 2 shows its steps and was trained on more
reasoning, so the average goes up; few facts were left in its mix.

Run it with ``make demo`` or ``python examples/language_model_update.py [REPORT.html]``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import concordant as cc
from concordant import pocket, variants, versions
from concordant.report import print_report

N_ITEMS = 60
"""Items of each skill."""


def main() -> int:
    """Check, print, and write the report."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "language-model-demo-report.html")
    old, new = cc.load("pocket:1m-chat-v1"), cc.load("pocket:1m-chat-v2")
    report = cc.check(
        new,
        pocket.skill_items(N_ITEMS),
        [
            versions.Flips(old),
            variants.OptionOrder(),
            variants.Reworded(rewrite=pocket.rewordings),
            variants.Resample(k=5),
        ],
        gates={
            "versions.flips": ["negative_flip_rate <= 0.02", "gain >= 0"],
            "variants.option_order": "agreement_score >= 0.9",
            "variants.reworded": "agreement_score >= 0.9",
        },
        grade=pocket.grader(),
        slices=["skill"],
        request=cc.Request(max_tokens=pocket.MAX_ANSWER_WORDS),
        title="pocket chat, v1 to v2",
    )
    print_report(report)
    print(f"\nOpen {report.save(path).resolve()} in a browser to look at every answer that changed.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
