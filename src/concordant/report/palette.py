"""The colours of the report, in light and dark.

Charts are drawn in the light colours; the page's style sheet turns each of them into the same-named variable, so that a
chart follows the theme of the page and is still right when it stands alone. Worse and better differ in lightness and in
sign, never in colour alone.
"""

from __future__ import annotations

LIGHT = {
    "paper": "#fdfcf9",
    "panel": "#f5f3ed",
    "line": "#dcd8ce",
    "ink": "#20242a",
    "soft": "#5c646e",
    "accent": "#2d5f91",
    "worse": "#a83e28",
    "better": "#17705f",
    "unsure": "#7d5a06",
    "worse-wash": "#f9e6e0",
    "better-wash": "#dff0ea",
    "unsure-wash": "#f7edd3",
    "accent-wash": "#e4ecf4",
}

DARK = {
    "paper": "#14171b",
    "panel": "#1c2025",
    "line": "#363c44",
    "ink": "#e6e3dc",
    "soft": "#a1a9b3",
    "accent": "#8fbbe6",
    "worse": "#f29a84",
    "better": "#74cbb6",
    "unsure": "#e3ba68",
    "worse-wash": "#43251e",
    "better-wash": "#173a33",
    "unsure-wash": "#3b2f14",
    "accent-wash": "#1f3145",
}
