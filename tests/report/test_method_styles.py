from rayforget.report.method_styles import assign_looks
from rayforget.report.web.marks import SHAPES


def test_a_method_looks_the_same_whatever_the_order_or_repetition() -> None:
    assert assign_looks(["l2", "kd", "plain", "kd"]) == assign_looks(["kd", "l2"])


def test_twenty_methods_are_all_told_apart() -> None:
    looks = assign_looks(f"m{i:02d}" for i in range(20))
    assert len({(look.color, look.marker) for look in looks.values()}) == 22
    assert len({look.color for method, look in looks.items() if method < "m08"}) == 8


def test_plain_and_theta_0_never_take_a_methods_color() -> None:
    looks = assign_looks([f"m{i}" for i in range(20)])
    others = {look.color for method, look in looks.items() if method not in ("plain", "theta_0")}
    assert not others & {looks["plain"].color, looks["theta_0"].color}


def test_eight_methods_differ_without_colors_too() -> None:
    looks = assign_looks(f"m{i}" for i in range(8))
    assert len({look.symbol for look in looks.values()}) == len({look.marker for look in looks.values()}) == 10
    assert {look.symbol for look in looks.values()} == SHAPES.keys()
