"""Texts to train on and to be scored on: their sources, prompts and tasks, as the space file declares them."""

from collections.abc import Iterable
from itertools import combinations
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from rayforget.space.frozen import Frozen, FrozenDict, Name, Problem
from rayforget.space.paths import DataPlace, FolderOrHubName
from rayforget.space.tasks.data import Role
from rayforget.space.tasks.lm_eval import ChatSettings, LmEvalTask, chat_problems
from rayforget.space.tasks.roles import role_problems

Metric = Literal["acc", "acc_norm", "likelihood"]


class Sequences(Frozen):
    """How texts become a language model's training sequences, and how long the input of scoring may be."""

    length: PositiveInt | None = None
    """Longest training sequence in tokens; null takes as many as the model has positions for."""
    scored_length: PositiveInt | None = None
    """Longest input of scoring in tokens, prompt and answer together; null takes as many as the model has positions
    for, as lm-eval does."""
    too_long: Literal["cut", "drop"] = "cut"
    """Training sequences longer than `length`: cut removes the beginning of the prompt (and, if the answer alone is too
    long, the end of the answer); drop leaves them out. Both are counted in the record."""
    loss_on: Literal["answer", "all"] = "answer"
    """The tokens to learn: those of the answer (or output) and the end mark, or also the prompt's."""
    packing: bool = True
    """Puts short sequences side by side in one row; they do not see each other, so that only the speed changes."""


class _Rows(Frozen):
    """The fields that all sources of rows share."""

    fields: FrozenDict[str, str | tuple[str, ...]] = FrozenDict()
    """For data with other names: our name of a field -> its column, e.g. {question: query}, a part of a nested one,
    e.g. {choices: choices.text, choice_labels: choices.label}, or several columns: {choices: [opa, opb, opc, opd]}."""
    limit: PositiveInt | None = None
    """Takes only the first rows, at most this many; null takes all."""
    max_broken: NonNegativeInt = 0
    """How many rows that cannot be used (no JSON, no answer, no text) may be skipped; they are named and counted."""


class JsonLinesSource(_Rows):
    """A file with one JSON object per line, or with one list of them."""

    kind: Literal["jsonl"]
    path: DataPlace
    """The file; also compressed, as .gz or .zst."""


class CsvSource(_Rows):
    """A table as text whose first line names its columns; an empty cell is no value."""

    kind: Literal["csv"]
    path: DataPlace
    """The file, its cells divided by commas, in .tsv by tabs; also compressed, as .gz or .zst."""


class ParquetSource(_Rows):
    """A Parquet file, or a folder of them."""

    kind: Literal["parquet"]
    path: DataPlace
    """The file, or the folder whose *.parquet are read in the order of their names."""


class TextDatasetSource(_Rows):
    """A Hugging Face data set: a local folder (Parquet, JSON lines, `save_to_disk`) or a hub name."""

    kind: Literal["dataset"]
    path: FolderOrHubName
    """Folder, at a URI too, or name on the hub."""
    config: str | None = None
    """The data set's configuration, if it has several."""
    split: str
    """The data set's own name of the split to read."""
    revision: str | None = None
    """Commit of a hub data set; null takes the newest, and the record names the commit used."""


class LanguageSource(Frozen):
    """Items of the built-in language world."""

    kind: Literal["language"]
    part: str
    """One of the world's parts, e.g. `medicine` or `commonsense`."""
    split: Literal["train", "val", "test"]
    """No item is in two splits."""
    count: Annotated[int, Field(gt=0, le=10_000_000)]
    """Number of items."""
    seed: NonNegativeInt = 0
    """Seed of the draws; another seed draws other items of the same kind."""


TextSource = Annotated[
    JsonLinesSource | CsvSource | ParquetSource | TextDatasetSource | LanguageSource, Field(discriminator="kind")
]


class TextCut(Frozen):
    """One labelled set cut in two by a seeded hash of each item's content."""

    source: TextSource
    """The set to cut."""
    seed: NonNegativeInt = 0
    """Seed of the hash; another seed gives another cut."""
    val_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of the items that go to `val`; the others are `test`."""


class _TextTask(Frozen):
    """The fields that all text tasks of the user's own share."""

    role: Role
    """speciality: to be learnt; generality: not to be lost."""
    group: Name | None = None
    """For generality, which is the mean over groups of the mean over a group's tasks, e.g. `common_sense`."""
    train: TextSource | None = None
    """The training set. A speciality with only `train` is trained on and not scored."""
    val: TextSource | None = None
    """Seen by search, schedulers, frontier and pick."""
    test: TextSource | None = None
    """Seen only by the report."""
    cut: TextCut | None = None
    """In place of `val` and `test`, for sets with one labelled split."""

    @property
    def is_scored(self) -> bool:
        """Whether the task counts in a score, or is only trained on."""
        return self.val is not None or self.cut is not None

    @property
    def metric_word(self) -> str:
        """The score's name in tables."""
        return str(getattr(self, "metric", "likelihood"))

    def problems(self) -> Iterable[Problem]:
        """Settings that contradict each other or have no effect."""
        yield from role_problems(self.role, self.group)
        if self.role == "generality" and self.train is not None:
            text = "found with role: generality; only the speciality is trained on: remove it"
            yield Problem(at=("train",), text=text)
        yield from self._split_problems()

    def _split_problems(self) -> Iterable[Problem]:
        only_learnt = self.train is not None and self.val is None and self.test is None
        for split in ("val", "test"):
            given = getattr(self, split) is not None
            if self.cut is not None and given:
                yield Problem(at=(split,), text=f"found beside cut, which makes {split} itself: remove one of them")
            if self.cut is None and not given and not only_learnt:
                text = f"has no {split}; add `{split}:` (or `cut:` for a set with one labelled split)"
                yield Problem(at=(split,), text=text)
        sources = {"train": self.train, "val": self.val, "test": self.test}
        sources["cut"] = None if self.cut is None else self.cut.source
        present = [(split, source) for split, source in sources.items() if source is not None]
        for (one, first), (other, second) in combinations(present, 2):
            if _alike(first, second):
                text = f"is the same source as {one}; splits must not overlap: give {other} its own data"
                yield Problem(at=(other,), text=text)


class _PromptTask(_TextTask):
    """The fields of tasks whose prompt the space writes."""

    delimiter: str | None = None
    """The text between prompt and answer, in training and scoring; null: one space, or nothing if the prompt ends with
    a line break, as those of chat templates do."""
    chat_template: bool = False
    """Whether the tokenizer's chat template makes a conversation of it, in training and scoring: the prompt is the
    user's message, the answer the assistant's."""
    chat_settings: ChatSettings = FrozenDict()
    """The chat template's own variables, e.g. {enable_thinking: false}."""

    def problems(self) -> Iterable[Problem]:
        """Settings that contradict each other or have no effect."""
        yield from super().problems()
        if self.chat_template and self.delimiter is not None:
            text = f"found {self.delimiter!r} beside chat_template, which writes what stands there: remove it"
            yield Problem(at=("delimiter",), text=text)
        yield from chat_problems(self.chat_template, self.chat_settings)


class MultipleChoiceTask(_PromptTask):
    """Rows of question, context (optional), choices, choice_labels (optional), answer (one of the labels if there are
    any, else the choice itself, a letter or an index)."""

    kind: Literal["multiple_choice"]
    prompt: str = "{context}\nQuestion: {question}\nAnswer:"
    """The text before the answer. A line with a field that the row lacks is left out."""
    answer_base: Literal[0, 1] | None = None
    """The index of the first choice, if answers are indices; null takes 0, and asks if no answer of many is 0."""
    metric: Metric = "acc"
    """acc: the choice with the highest log-likelihood is right; acc_norm: per character of the choice;
    likelihood: 2^(-bits per byte) of the right choice."""


class InstructionTask(_PromptTask):
    """Rows of instruction, input (optional), output; scored by 2^(-bits per byte) of the output."""

    kind: Literal["instruction"]
    prompt: str = "Instruction: {instruction}\nInput: {input}\nOutput:"
    """The text before the output. A line with a field that the row lacks is left out."""


class ChatTask(_TextTask):
    """Rows of messages (OpenAI's) or conversations (ShareGPT's), written by the tokenizer's chat template; the
    assistant's turns are learnt, and scored by 2^(-bits per byte)."""

    kind: Literal["chat"]
    chat_settings: ChatSettings = FrozenDict()
    """The chat template's own variables, e.g. {enable_thinking: false}."""


class PlainTextTask(_TextTask):
    """Rows of text; scored by 2^(-bits per byte) of the whole."""

    kind: Literal["text"]


OwnTextTask = MultipleChoiceTask | InstructionTask | ChatTask | PlainTextTask
TextTask = OwnTextTask | LmEvalTask


def _alike(first: TextSource, second: TextSource) -> bool:
    """Whether two sources give the same rows, however many of them may be broken."""
    one, other = (
        source if isinstance(source, LanguageSource) else source.model_copy(update={"max_broken": 0})
        for source in (first, second)
    )
    return one == other
