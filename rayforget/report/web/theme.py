"""The page's colours on a light and on a dark ground: as CSS variables, and as pairs for the interactive chart."""

from rayforget.report.method_styles import ALERT, INK, MUTED, PALETTE, PAPER, RULE, SHADE

BAND = "rgba(27,31,36,0.08)"
"""The frontier's band."""
BOX = "rgba(95,125,165,0.10)"
"""The baselines' box; what lies below it shows through."""
WALK = "#7b2fd0"
"""The training that a reader walks along; no method has it."""
_COLORS = {
    "ink": (INK, "#e4e7eb"),
    "muted": (MUTED, "#9aa4b0"),
    "alert": (ALERT, "#ff9484"),
    "paper": (PAPER, "#14171b"),
    "shade": (SHADE, "#20262d"),
    "rule": (RULE, "#363d46"),
    "walk": (WALK, "#c4a0ff"),
    "box": (BOX, "rgba(130,160,200,0.12)"),
    "band": (BAND, "rgba(228,231,235,0.13)"),
    "gain": ("0 114 178", "77 166 224"),
    "loss": ("213 94 0", "245 139 69"),
    **{f"c{place}": pair for place, pair in enumerate(PALETTE)},
}
"""Name -> colour on a light ground, on a dark one; of `gain` and `loss` the parts, to be mixed with a share."""


def color_variables() -> str:
    """CSS: each colour as a variable, `--ink`, and as a class that writes in it, `.ink`."""
    light, dark = ("".join(f"--{name}:{pair[place]};" for name, pair in _COLORS.items()) for place in (0, 1))
    classes = "".join(f".{name}{{color:var(--{name})}}" for name in _COLORS if name not in ("gain", "loss"))
    # `print` is always on white: dark colours hold for screens alone
    return f":root{{{light}}}@media screen and (prefers-color-scheme: dark){{:root{{{dark}}}}}{classes}"


def dark_colors() -> dict[str, str]:
    """Colour on a light ground -> the same on a dark one, for the chart, which is painted by its script."""
    return {light: dark for name, (light, dark) in _COLORS.items() if name not in ("gain", "loss")}
