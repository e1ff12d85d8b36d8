"""Symbols of marks -> their outlines around the origin, for small drawings."""

SHAPES = {
    "circle": "M-4 0A4 4 0 1 1 4 0A4 4 0 1 1-4 0Z",
    "square": "M-3.6-3.6H3.6V3.6H-3.6Z",
    "triangle-up": "M0-4.7L4.5 3.4H-4.5Z",
    "diamond": "M0-5L4.4 0L0 5L-4.4 0Z",
    "triangle-down": "M0 4.7L4.5-3.4H-4.5Z",
    "triangle-left": "M-4.7 0L3.4-4.5V4.5Z",
    "triangle-right": "M4.7 0L-3.4-4.5V4.5Z",
    "cross": "M-1.7-4.8H1.7V-1.7H4.8V1.7H1.7V4.8H-1.7V1.7H-4.8V-1.7H-1.7Z",
    "x": "M-4.2-2.4L-2.4-4.2L0-1.8L2.4-4.2L4.2-2.4L1.8 0L4.2 2.4L2.4 4.2L0 1.8L-2.4 4.2L-4.2 2.4L-1.8 0Z",
    "star": "M0-5L1.4-1.6L5-1.4L2.2 .8L3.2 4.4L0 2.3L-3.2 4.4L-2.2 .8L-5-1.4L-1.4-1.6Z",
}
"""plotly's name of a symbol -> the path, about ten units wide."""
