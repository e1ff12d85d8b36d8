"""What other packages get wrong is said in one line that names the extension, its package and what to change."""

import re
import sys
from pathlib import Path

import pytest
import torch
from plugins.faulty import PENALTY, Write, steps
from train.learners import VectorLearner
from vector_equipment import no_heartbeat, vector_equipment, vector_recipe

from rayforget.cli import main
from rayforget.errors import BrokenExtensionError, ExtensionError, SpaceError, TrainingError
from rayforget.extensions.use import blame
from rayforget.interpolate.paths.fit import try_paths
from rayforget.record.jobs import TrialJob
from rayforget.space.curve_paths import CurvePaths
from rayforget.space.registries import REGISTRIES
from rayforget.train.loop import train
from rayforget.trial.pipeline import run_trial
from rayforget.values.layers import Layer

PATH = """
import torch
from rayforget.interpolate.paths.path import Path

class ThePath(Path):
    def at(self, theta_0, theta_1, t, layers):
        return {name: BODY for name, end in theta_1.items()}
"""


@pytest.mark.parametrize(
    ("group", "code", "fault"),
    [
        ("metrics", "X = len", "an object of type builtin_function_or_method, which is no subclass of"),
        ("metrics", "class X:\n    word = 'x'", "is X, which is no subclass of rayforget.metrics.metric.Metric"),
        ("metrics", "from rayforget.metrics.metric import Metric as X", "is Metric, which is no subclass"),
        (
            "metrics",
            "from rayforget.metrics.metric import Metric\nclass X(Metric):\n    word = 'x'",
            "has no `of_sums`",
        ),
        ("penalties", "class X:\n    pass", "no subclass of rayforget.train.penalties.hooks.Penalty"),
        (
            "penalties",
            PENALTY.replace("def prepare", "def prepared").replace("ThePenalty", "X"),
            "has no `prepare`: X must define it",
        ),
        (
            "penalties",
            PENALTY.replace('["NAME"]', '["other"]').replace("ThePenalty", "X"),
            "has kind 'other' and is registered as 'NAME'; write kind: Literal[\"NAME\"] in X",
        ),
        ("paths", "from rayforget.interpolate.paths.path import Path\nclass X(Path):\n    pass", "has no `at`"),
        ("paths", PATH.replace("ThePath(Path):", "X(Path):\n    search: int = 1"), "has a parameter `search`"),
        ("foundations", "class X:\n    pass", "no subclass of rayforget.foundations.kind.Kind"),
        (
            "foundations",
            "from rayforget.foundations.kind import Kind\nclass X(Kind):\n    config = 3",
            "has no `tasks`: X must define it",
        ),
        (
            "penalties",
            PENALTY.replace("self, *, lora", "self").replace("ThePenalty", "X"),
            "has X.needs(self); rayforget calls needs(self, *, lora)",
        ),
        (
            "paths",
            PATH.replace("t, layers", "t").replace("ThePath", "X"),
            "has X.at(self, theta_0, theta_1, t); rayforget calls at(self, theta_0, theta_1, t, layers)",
        ),
        (
            "metrics",
            "from rayforget.metrics.metric import Metric\nclass X(Metric):\n    word = 'x'\n"
            "    def __init__(self, k):\n        pass\n    def of_sums(self, own, common):\n        pass",
            "cannot be made without arguments, as X() (missing a required argument: 'k')",
        ),
        (
            "metrics",
            "from rayforget.metrics.metric import Metric\nclass X(Metric):\n    word = 3\n"
            "    def of_sums(self, own, common):\n        pass",
            "has word 3; write its name in tables",
        ),
        ("penalties", "raise SystemExit(3)", "cannot be imported (SystemExit: 3 at box_of_NAME.py:1)"),
        (
            "paths",
            "\nimport no_such_thing",
            "(ModuleNotFoundError: No module named 'no_such_thing' at box_of_NAME.py:2)",
        ),
        ("metrics", "Y = 1", "cannot be imported (AttributeError: module"),
    ],
)
def test_what_is_no_extension_of_its_kind_is_refused_where_it_is_loaded(
    write: Write, group: str, code: str, fault: str
) -> None:
    name = write(group, "X", code)
    with pytest.raises(ExtensionError) as raised:
        REGISTRIES[f"rayforget.{group}"].find(name)
    text = str(raised.value)
    assert fault.replace("NAME", name) in text
    assert f"{REGISTRIES[f'rayforget.{group}'].noun} '{name}' of package box_of_{name} " in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("hooks", "fault"),
    [
        ("    def after_step(self, rate):\n        {}['w']", "failed in after_step: KeyError: 'w' (box_of_NAME.py:19)"),
        ("    def before_clip(self):\n        1 / 0", "failed in before_clip: ZeroDivisionError"),
        ("    def before_forward(self, inputs):\n        torch.ones(2) @ torch.ones(3)", "failed in before_forward"),
        (
            "    pulls = True\n    def pull(self, logits, piece):\n        assert False",
            "failed in pull: AssertionError (",
        ),
    ],
)
def test_a_hook_that_raises_is_named(write: Write, hooks: str, fault: str) -> None:
    name = write("penalties", "ThePenalty", f"{PENALTY}{hooks}\n")
    with pytest.raises(Exception) as raised:  # noqa: PT011  # whatever the hook raises
        steps(name)
    assert f"penalty '{name}' of package box_of_{name} {fault.replace('NAME', name)}" in str(blame(raised.value))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (
            "return TheHooks(training)",
            "return None",
            "gave None from prepare; expected rayforget.train.penalties.hooks",
        ),
        ("return Needs(theta_0=True)", "return {}", "gave an object of type dict from needs; expected rayforget.space"),
        (
            "self.training = training",
            "pass\n    def pull(self, logits, piece):\n        return logits.sum()",
            "has hooks TheHooks with a `pull` that is never called; write `pulls = True`",
        ),
        (
            "self.training = training",
            "pass\n    pulls = True\n    def pull(self, logits, piece):\n        return logits.sum(-1)",
            "gave a tensor of shape (8,) from pull; return a sum",
        ),
        (
            "self.training = training",
            "pass\n    def after_step(self):\n        pass",
            "has TheHooks.after_step(self); rayforget calls after_step(self, learning_rate)",
        ),
        (
            "return Needs(theta_0=True)",
            "return Needs()\n    def prepare(self, training):\n        return list(training.start.values())",
            "reads training.start, theta_0's values, which its `needs` did not ask for; return Needs(theta_0=True)",
        ),
        (
            "self.training = training",
            "pass\n    def after_steps(self, learning_rate):\n        pass",
            "has hooks TheHooks with after_steps, which is no hook; did you mean after_step?",
        ),
        (
            "self.training = training",
            "pass\n    pulls = True\n    def pull(self, logits, piece):\n        return logits.relu_().sum()",
            "changes the logits in place in pull",
        ),
        (
            "self.training = training",
            "pass\n    pulls = True\n    def pull(self, logits, piece):\n        return logits.data.zero_().sum()",
            "changes the logits in place in pull",
        ),
    ],
)
def test_what_a_penalty_gives_is_checked_where_it_gives_it(write: Write, old: str, new: str, fault: str) -> None:
    code = PENALTY.replace(old, new)
    if "def prepare" in new:  # the later one would count
        code = code.replace("    def prepare(self, training):\n        return TheHooks(training)\n", "")
    name = write("penalties", "ThePenalty", code)
    with pytest.raises(BrokenExtensionError) as raised:
        steps(name)
    assert str(raised.value).startswith(f"penalty '{name}' of package box_of_{name} {fault}")


def test_a_pull_that_is_not_finite_is_not_blamed_on_the_learning_rate(write: Write) -> None:
    hooks = "    pulls = True\n    def pull(self, logits, piece):\n        return logits.sum() * float('inf')"
    name = write("penalties", "ThePenalty", PENALTY + hooks)
    with pytest.raises(TrainingError, match=f"what penalty '{name}' of package box_of_{name} adds to the loss is not"):
        steps(name)
    with pytest.raises(TrainingError, match="lower learning_rate"):
        steps("kd", learning_rate=1e30)


def test_what_another_penalty_asked_for_is_not_seen_by_one_that_did_not(write: Write) -> None:
    code = PENALTY.replace("Needs(theta_0=True)", "Needs()").replace("= training", "= dict(training.start)")
    name = write("penalties", "ThePenalty", code)
    recipe = vector_recipe(penalties=[{"kind": kind, "strength": 1.0} for kind in (name, "l2")])
    with pytest.raises(BrokenExtensionError, match="did not ask for"):
        list(train(VectorLearner(), recipe, seed=0, fractions=(1.0,)))


def test_a_hooks_error_in_an_adapters_first_step_is_not_blamed_on_the_adapter(write: Write) -> None:
    hooks = "    pulls = True\n    def pull(self, logits, piece):\n        raise TypeError('mine')"
    name = write("penalties", "ThePenalty", PENALTY + hooks)
    with pytest.raises(TypeError, match="mine"):
        steps(name, adapter={"kind": "lora", "rank": 2, "targets": ["q_proj"]})


@pytest.mark.parametrize(
    ("hooks", "fault"),
    [
        ("    def facts(self):\n        return {'at': {1, 2}}", "gave facts that are no JSON"),
        ("    def facts(self):\n        return {'at': float('nan')}", "gave facts that are no JSON"),
        (
            "    def state_dict(self):\n        return {'it': self}",
            "gave a state_dict that a resume cannot load (found box_of_NAME.TheHooks)",
        ),
        ("    def state_dict(self):\n        return {'it': lambda: 0}", "gave a state_dict that a resume cannot load"),
    ],
)
def test_what_is_kept_of_a_penalty_is_tried_before_the_first_checkpoint(write: Write, hooks: str, fault: str) -> None:
    from rayforget.train.trainer import Trainer

    name = write("penalties", "ThePenalty", f"{PENALTY}{hooks}\n")
    trainer = Trainer(VectorLearner(), vector_recipe(penalties=[{"kind": name, "strength": 1.0}]), seed=0)
    trainer.take_step()
    with pytest.raises(BrokenExtensionError, match=re.escape(fault.replace("NAME", name))):
        trainer.try_keeping()


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("torch.lerp(theta_0[name], end, t).double()", "gave a.weight as torch.float64 of shape (3, 2)"),
        # Spherical interpolation where theta_0 is 0, as a bias often is: 0 / 0.
        (
            "torch.lerp(theta_0[name], end, t) * (theta_0[name] * end).sum() / theta_0[name].norm() / end.norm()",
            "b.bias has numbers that are not finite at t = 0.5",
        ),
        ("end.lerp_(theta_0[name], 1 - t)", "it changes a.weight of theta_0 or theta_1 in place"),
        ("torch.lerp(theta_0[name], end, t) + torch.rand(())", "a.weight differs between two calls at t = 0.5"),
        ("end if torch.equal(theta_0[name], end) else {}[name]", "failed in at: KeyError: 'a.weight' (box_of_"),
        ("torch.lerp(theta_0[name], end, t)", None),
    ],
)
def test_a_path_is_walked_between_two_different_ends(write: Write, body: str, fault: str | None) -> None:
    name = write("paths", "ThePath", PATH.replace("BODY", body))
    theta_0 = {"a.weight": torch.ones(3, 2), "b.bias": torch.zeros(4), "b.weight": torch.ones(9, 9)}
    layers = {key: Layer(index=int(key.startswith("b")), count=2) for key in theta_0}
    paths = CurvePaths(fixed=(name,), searched=())
    if fault is None:
        try_paths(paths, theta_0, layers)
        return
    with pytest.raises(SpaceError) as raised:
        try_paths(paths, theta_0, layers)
    assert str(raised.value).startswith(f"curve.paths: {name} does not fit this model: ")
    assert fault in str(raised.value)


@pytest.mark.parametrize(("given", "shown"), [("None", "None"), ("[1]", "an object of type list")])
def test_a_path_that_gives_no_tensors_is_told_what_to_give(write: Write, given: str, shown: str) -> None:
    name = write("paths", "ThePath", PATH.replace("{name: BODY for name, end in theta_1.items()}", given))
    with pytest.raises(SpaceError, match=f"model: ThePath.at gave {re.escape(shown)}; return a dict of tensors"):
        try_paths(CurvePaths(fixed=(name,), searched=()), {"a.weight": torch.ones(3, 2)}, {})


def test_at_the_command_line_a_fault_is_one_line(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = PENALTY.replace("    def needs", "    def misfits(self, splits):\n        {}['splits']\n\n    def needs")
    name = write("penalties", "ThePenalty", code)
    from plugins.outsiders import SPACE

    (tmp_path / "space.yaml").write_text(SPACE.replace("kind: huber, width: 1e-3", f"kind: {name}"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rayforget", "check", "space.yaml", "--no-probe"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    line = next(i for i, text in enumerate(SPACE.splitlines(), start=1) if "kind: huber" in text)
    assert said == (
        f"space.yaml:{line}: methods.bent.penalties.{name}: penalty '{name}' of package box_of_{name} failed in "
        f"misfits: KeyError: 'splits' (box_of_{name}.py:10)\n"
    )


def test_a_failed_training_is_recorded_under_the_extensions_name(write: Write, tmp_path: Path) -> None:
    from rayforget.on_ray.worker import failure_of

    name = write("penalties", "ThePenalty", f"{PENALTY}    def after_step(self, rate):\n        1 / 0\n")
    equipment = vector_equipment(tmp_path / "runs", methods={"full": {"penalties": [{"kind": name, "strength": 1}]}})
    job = TrialJob(name="0001-full", recipe=vector_recipe(penalties=[{"kind": name, "strength": 1.0}]))
    with pytest.raises(ZeroDivisionError) as raised:
        run_trial(job, equipment, no_heartbeat)
    failure = failure_of(raised.value, 0, 2)
    assert failure.reason.startswith(f"penalty '{name}' of package box_of_{name} failed in after_step: ZeroDivision")
    assert not failure.passing
    assert "Traceback" in failure.traceback
