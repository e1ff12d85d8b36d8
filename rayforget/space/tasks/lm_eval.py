"""lm-eval's tasks to be scored on, as the space file declares them."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from rayforget.space.frozen import Frozen, FrozenDict, Name, Problem
from rayforget.space.paths import LocalPath, NameOrYaml, is_yaml
from rayforget.space.tasks.data import Role
from rayforget.space.tasks.roles import role_problems

ChatSettings = FrozenDict[str, bool | int | float | str]
LmEvalSplit = Literal["train", "validation", "test"]


class LmEvalCut(Frozen):
    """One split of an lm-eval task cut in two by a seeded hash of each item's content."""

    split: LmEvalSplit
    """The task's own split to cut."""
    seed: NonNegativeInt = 0
    """Seed of the hash; another seed gives another cut."""
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of the items that go to `val`; the others are `test`."""


class LmEvalTask(Frozen):
    """Any task that lm-eval knows by name, with its own prompts and metrics."""

    kind: Literal["lm_eval"]
    role: Role
    """speciality: to be learnt; generality: not to be lost."""
    group: Name | None = None
    """For generality, which is the mean over groups of the mean over a group's tasks, e.g. `common_sense`."""
    task: NameOrYaml
    """lm-eval's name of the task: medmcqa, pubmedqa, hellaswag, arc_easy, ifeval, ... (`lm-eval ls tasks` lists
    them), or a task file of your own, as lm-eval reads them (`my_task.yaml`)."""
    trust_code: bool = False
    """Needed for a task file of your own, whose templates and functions run as code."""
    metric: str
    """One of the task's own metrics: a mean over items (acc, acc_norm, exact_match, prompt_level_strict_acc, ...), or
    made of the whole corpus (bleu, chrf, and f1 and mcc of choices; as shares, not in percent); or `likelihood`:
    2^(-bits per byte) of the right answer, or of the whole text."""
    num_fewshot: NonNegativeInt | None = None
    """Number of solved examples in the prompt; null takes the task's own, which is 0 for most."""
    chat_template: bool = False
    """Whether the tokenizer's chat template writes the prompt, as with lm-eval's `apply_chat_template`."""
    chat_settings: ChatSettings = FrozenDict()
    """The chat template's own variables, e.g. {enable_thinking: false}."""
    fewshot_as_multiturn: bool = True
    """With `chat_template`: the examples are earlier turns of the conversation; false puts all into one message."""
    data_files: FrozenDict[str, LocalPath] = FrozenDict()
    """Local files with the task's schema, in place of its data set: its own split name -> a .jsonl or .parquet file."""
    revision: str | None = None
    """Commit of its data set on the hub; null takes the newest, and the record names the commit used."""
    val: LmEvalSplit | None = None
    """The task's own split that search, schedulers, frontier and pick see."""
    test: LmEvalSplit | None = None
    """The task's own split that only the report sees."""
    cut: LmEvalCut | None = None
    """In place of `val` and `test`, for tasks with one labelled split."""
    limit: PositiveInt | None = None
    """Takes only the first documents of each split, at most this many; null takes all."""

    @property
    def train(self) -> None:
        """None: training sets are declared as multiple_choice, instruction or text."""

    @property
    def is_scored(self) -> bool:
        """Always."""
        return True

    @property
    def metric_word(self) -> str:
        """The score's name in tables."""
        return self.metric

    def problems(self) -> Iterable[Problem]:
        """Settings that contradict each other."""
        yield from role_problems(self.role, self.group)
        yield from self._prompt_problems()
        if self.revision is not None and self.data_files:
            text = f"found {self.revision!r} beside data_files, which take the data set's place: remove one of them"
            yield Problem(at=("revision",), text=text)
        for split in ("val", "test"):
            given = getattr(self, split) is not None
            if (self.cut is None) != given:
                text = f"found beside cut, which makes {split} itself: remove one of them"
                missing = f"has no {split}; name the task's own split (`{split}: validation`), or write `cut:`"
                yield Problem(at=(split,), text=text if given else missing)
        if self.val is not None and self.val == self.test:
            text = f"is {self.val}, as val is; splits must not overlap: write `cut: {{split: {self.val}}}` instead"
            yield Problem(at=("test",), text=text)

    def _prompt_problems(self) -> Iterable[Problem]:
        yield from chat_problems(self.chat_template, self.chat_settings)
        if not self.fewshot_as_multiturn and not self.chat_template:
            text = "found false without chat_template, which alone makes turns: remove it, or add `chat_template: true`"
            yield Problem(at=("fewshot_as_multiturn",), text=text)
        if self.trust_code and not is_yaml(self.task):
            text = f"found true with lm-eval's own task {self.task}; it is for task files of your own: remove it"
            yield Problem(at=("trust_code",), text=text)


def chat_problems(chat_template: bool, settings: ChatSettings) -> Iterable[Problem]:
    """Settings of a template that is not used."""
    if settings and not chat_template:
        text = "found without chat_template, whose variables they are: remove them, or add `chat_template: true`"
        yield Problem(at=("chat_settings",), text=text)
