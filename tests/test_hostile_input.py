"""Whatever lies in a space file, a data set or a record: it is read, or refused in a line that can be printed."""

import gzip
import io
import json
import os
import tarfile
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from synthetic_sweep import make_records

from rayforget import cli
from rayforget.errors import FoundationError, RayforgetError, RecordError, SpaceError, TaskError
from rayforget.foundations.model_folder import read_config
from rayforget.record.objects import decode_checkpoint, encode_checkpoint
from rayforget.record.storage.store import Store
from rayforget.space.file.document import read_document
from rayforget.space.file.load import load_space
from rayforget.space.shipped import quickstart
from rayforget.space.tasks.text import CsvSource, JsonLinesSource, ParquetSource, PlainTextTask, TextDatasetSource
from rayforget.tasks.hub_split import load_split
from rayforget.tasks.images.shards import ShardImages, expand_shards
from rayforget.tasks.text import rows, text_files
from rayforget.tasks.text.documents import own_document
from rayforget.tasks.text.rows import Row, read_rows

few = settings(
    max_examples=30,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SPACE = quickstart().read_text(encoding="utf-8")


def refusal(act: Callable[[], object], kind: type[RayforgetError]) -> str:
    """The message of a refusal: one line of letters, not too long."""
    with pytest.raises(kind) as found:
        act()
    text = str(found.value)
    assert "\n" not in text
    assert len(text) < 1000
    text.encode()
    return text


def bomb(form: str, join: str) -> str:
    """A YAML text of a kilobyte that amounts to 9^10 values."""
    names = "abcdefghijk"
    lines = ["a: &a [x]"]
    lines += [f"{c}: &{c} " + form % join.join([f"*{p}"] * 9) for p, c in pairwise(names)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{SPACE}\nx: 0x{'f' * 5000}", "a number of 5002 digits"),
        (f"{SPACE}\nx: {'9' * 5000}", "a number of 5000 digits"),
        (f"{SPACE}\nx: 0o{'7' * 6000}", "a number of 6002 digits"),
        (SPACE.replace("name: quickstart", r'name: "\ud800"'), "half a character"),
        (SPACE.replace("name: quickstart", r'name: "a\0b"'), "a character of number 0"),
        (f"a: {'[' * 900}{']' * 900}", "nested deeper"),
        (f'{SPACE}\nx: "{"a" * 3_000_000}"', "characters, expected at most"),
        (f'{SPACE}\nvars: {{a: "{"x" * 100000}"}}\nx: "${{a}}{"${a}" * 20000}"', "variables of 2000100000 characters"),
    ],
)
def test_a_hostile_space_is_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpaceError) as found:
        load_space(path)
    assert says in str(found.value).split("\n")[0]
    assert len(str(found.value)) < 1000


def test_aliases_are_counted_as_they_are_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine to the tenth values would fill the memory before anything is refused."""
    monkeypatch.setattr("rayforget.space.file.document.MOST_CHARACTERS", 100_000)
    for text in (bomb("[%s]", ","), bomb("{k: [%s]}", ",")):
        assert "aliases (*name) that amount to more than" in refusal(partial(read_document, text, "s.yaml"), SpaceError)


@pytest.mark.parametrize(
    "options",
    [
        ["search.trainings=0x" + "f" * 5000],
        [".".join(["a"] * 3000) + "=1"],
        [f"a{i}=1" for i in range(5000)],
        ['storage.path="a\\0b"'],
    ],
)
def test_hostile_options_are_refused_in_a_few_lines(
    options: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for option in options for word in ("--set", option)]
    monkeypatch.setattr("sys.argv", ["rayforget", "check", "--no-probe", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    found = capsys.readouterr().err
    assert len(found.splitlines()) <= 51
    assert "Traceback" not in found
    assert max(map(len, found.splitlines())) < 1000


@few
@given(st.text(st.characters(codec=None) | st.sampled_from("{}[]:,&*!|>'\"\n\t -#%@`0xe.")))
def test_no_text_breaks_the_reading_of_a_space(text: str) -> None:
    with suppress(SpaceError):
        read_document(text, "s.yaml")


def jsonl(folder: Path, data: bytes) -> tuple[Row, ...]:
    (folder / "r.jsonl").write_bytes(data)
    return read_rows(JsonLinesSource.model_validate({"kind": "jsonl", "path": str(folder / "r.jsonl")})).rows


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 900 + "]" * 900, "[" * 90000])
def test_a_hostile_value_is_the_fault_of_its_row(tmp_path: Path, value: str) -> None:
    good, bad = jsonl(tmp_path, f'{{"text": "a"}}\n{{"text": {value}}}\n'.encode())
    assert good.fault is None
    assert (bad.fault or "").startswith(f"{bad.name}: expected")
    assert len(bad.fault or "") < 400


def test_half_a_character_in_a_row_is_refused_where_it_is_used(tmp_path: Path) -> None:
    (row,) = jsonl(tmp_path, b'{"text": "a \\ud800"}\n')
    task = PlainTextTask.model_construct(kind="text")
    assert "half a character" in refusal(lambda: own_document(task, row), TaskError)


@pytest.mark.parametrize("kind", [JsonLinesSource, CsvSource])
def test_a_pipe_or_a_device_is_no_source(tmp_path: Path, kind: type[JsonLinesSource | CsvSource]) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (str(tmp_path / "pipe"), "/dev/zero"):
        source = kind.model_construct(path=Path(path))
        assert "it is no regular file" in refusal(lambda source=source: read_rows(source), TaskError)


def test_a_long_line_of_a_table_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "MOST_OF_A_LINE", 200_000)
    path = tmp_path / "r.csv.gz"
    path.write_bytes(gzip.compress(b"text\n" + b"x" * 20_000_000))
    tracemalloc.start()
    said = refusal(lambda: read_rows(CsvSource.model_validate({"kind": "csv", "path": str(path)})), TaskError)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "field larger than field limit" in said
    assert peak < 5e6


def test_a_long_line_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "MOST_OF_A_LINE", 10_000)
    data = b'{"text": "' + b"x" * 20_000_000 + b'"}\n{"text": "b"}\n'
    (tmp_path / "r.jsonl").write_bytes(data)
    tracemalloc.start()
    long, good = jsonl(tmp_path, data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "a line of at most 10000 characters" in (long.fault or "")
    assert (good.values, good.name) == ({"text": "b"}, f"{tmp_path / 'r.jsonl'}:2")
    assert peak < 5e6


def test_more_rows_than_memory_holds_are_refused_from_the_files_own_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MOST_ROWS", 10)
    path = tmp_path / "many.parquet"
    parquet.write_table(pa.table({"text": ["a"] * 11}), path)
    source = ParquetSource.model_validate({"kind": "parquet", "path": str(path)})
    assert "found 11 rows, expected at most 10; set `limit`" in refusal(lambda: read_rows(source), TaskError)
    assert len(read_rows(source.model_copy(update={"limit": 4})).rows) == 4
    (tmp_path / "r.csv").write_text("text\n" + "a\n" * 11)
    table = CsvSource.model_validate({"kind": "csv", "path": str(tmp_path / "r.csv")})
    assert "expected at most 10 rows" in refusal(lambda: read_rows(table), TaskError)


@pytest.mark.parametrize("form", ["plain", "dictionary", "nested"])
def test_a_small_file_that_amounts_to_more_than_memory_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Parquet writes a text once, however often it is there."""
    monkeypatch.setattr(rows, "MOST_CHARACTERS", 5_000_000)
    texts: pa.Array = pa.DictionaryArray.from_arrays(pa.array([0] * 400, pa.int32()), pa.array(["x" * 100_000]))
    if form == "plain":
        texts = texts.dictionary_decode()
    if form == "nested":
        texts = pa.StructArray.from_arrays([texts], ["inner"])
    path = tmp_path / "bomb.parquet"
    parquet.write_table(pa.table({"text": texts}), path, compression="zstd")
    assert path.stat().st_size < 100_000
    source = ParquetSource.model_validate({"kind": "parquet", "path": str(path)})
    tracemalloc.start()
    said = refusal(lambda: read_rows(source), TaskError)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "#50: expected rows of at most 5000000 characters together, which memory must hold; set `limit`" in said
    assert form == "plain" or peak < 3e7
    assert len(read_rows(source.model_copy(update={"limit": 3})).rows) == 3


@pytest.mark.parametrize(("name", "head"), [("r.jsonl.gz", b""), ("r.csv.gz", b"text\n")])
def test_endless_empty_lines_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, head: bytes) -> None:
    monkeypatch.setattr(text_files, "MOST_EMPTY_LINES", 1000)
    path = tmp_path / name
    kind, source = ("csv", CsvSource) if head else ("jsonl", JsonLinesSource)
    wanted = source.model_validate({"kind": kind, "path": str(path)})
    path.write_bytes(gzip.compress(head + b"\n" * 10_000_000))
    assert "expected at most 1000 empty lines" in refusal(lambda: read_rows(wanted), TaskError)
    path.write_bytes(gzip.compress(head + b"\n" * 1000 + (b"a\n" if head else b'{"text": "a"}\n')))
    assert [row.values for row in read_rows(wanted).rows] == [{"text": "a"}]


def test_values_of_parquet_that_python_cannot_hold_are_their_rows_fault(tmp_path: Path) -> None:
    offsets, letters = pa.py_buffer(b"\0\0\0\0\2\0\0\0\4\0\0\0"), pa.py_buffer(b"\xff\xfeab")
    text = pa.Array.from_buffers(pa.string(), 2, [None, offsets, letters])
    parquet.write_table(pa.table({"text": text}), tmp_path / "bad.parquet")
    source = ParquetSource.model_validate({"kind": "parquet", "path": str(tmp_path / "bad.parquet")})
    bad, good = read_rows(source).rows
    assert "cannot be read ('utf-8' codec" in (bad.fault or "")
    assert good.values == {"text": "ab"}


@few
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: json.dumps({"text": text}).encode()))
def test_no_bytes_break_the_reading_of_rows(tmp_path: Path, data: bytes) -> None:
    with suppress(TaskError):
        assert all(row.fault is None or row.fault.startswith(row.name) for row in jsonl(tmp_path, data))


def test_tags_in_a_data_sets_readme_are_a_refusal(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    (tmp_path / "README.md").write_text("---\nx: !!python/object/apply:os.getcwd []\n---\n")
    (tmp_path / "train.jsonl").write_text('{"text": "a"}\n')
    source = TextDatasetSource.model_validate({"kind": "dataset", "path": str(tmp_path), "split": "train"})
    assert "cannot be loaded (ConstructorError" in refusal(lambda: load_split(source, files="files"), TaskError)


def shard(folder: Path, label: bytes, extension: str = "cls", **pax: str) -> ShardImages:
    path = folder / "s.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in (("a.jpg", b"image"), (f"a.{extension}", label)):
            info = tarfile.TarInfo(name)
            info.size, info.pax_headers = len(data), pax
            archive.addfile(info, io.BytesIO(data))
    return ShardImages(str(path), image="jpg", label=extension)


@pytest.mark.parametrize(
    ("label", "extension", "pax"),
    [
        (b"1", "cls", {"GNU.sparse.map": "0,5", "GNU.sparse.size": "99999999999999"}),
        (b"1", "cls", {"GNU.sparse.map": "0,x"}),
        (b"1", "cls", {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}),
        (b'{"label": %d}' % 2**63, "json", {}),
        (b'{"label": "\\ud800"}', "json", {}),
        (b'{"label": ' + b"[" * 900 + b"]" * 900 + b"}", "json", {}),
        (b"9" * 5000, "cls", {}),
        (b"9" * 2**21, "cls", {}),
    ],
)
def test_a_hostile_shard_is_refused_by_name(tmp_path: Path, label: bytes, extension: str, pax: dict[str, str]) -> None:
    assert refusal(lambda: shard(tmp_path, label, extension, **pax), TaskError).startswith(str(tmp_path / "s.tar"))


@pytest.mark.parametrize("size", [b"\x80" + b"\xff" * 11, b"\x80\0\0\0" + b"\xff" * 8, b"\xff" * 12, b"x" * 12])
def test_a_member_of_impossible_size_is_a_damaged_shard(tmp_path: Path, size: bytes) -> None:
    shard(tmp_path, b"1")
    data = bytearray((tmp_path / "s.tar").read_bytes())
    data[124:136], data[148:156] = size, b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    (tmp_path / "s.tar").write_bytes(data)
    path = str(tmp_path / "s.tar")
    assert refusal(lambda: ShardImages(path, image="jpg", label="cls"), TaskError).startswith(path)


@few
@given(st.integers(0, 3000), st.binary(min_size=1, max_size=24))
def test_no_damage_breaks_the_reading_of_a_shard(tmp_path: Path, place: int, damage: bytes) -> None:
    shard(tmp_path, b"1")
    data = bytearray((tmp_path / "s.tar").read_bytes())
    data[place : place + len(damage)] = damage
    (tmp_path / "s.tar").write_bytes(data)
    with suppress(TaskError):
        assert len(ShardImages(str(tmp_path / "s.tar"), image="jpg", label="cls")) == 1


@pytest.mark.parametrize("pattern", ["x-{0..1000000000}.tar", "{0..999}" * 6, "{0.." + "9" * 5000 + "}", "{,,}" * 2000])
def test_ranges_are_counted_before_they_are_written_out(pattern: str) -> None:
    assert "expected at most" in refusal(lambda: expand_shards(f"/none/{pattern}"), TaskError)


@pytest.mark.parametrize("location", ["a\0b", "file:///tmp/%00", "s3://a\0b/x", "s3://bu[/]x"])
def test_a_storage_that_cannot_be_is_refused(location: str) -> None:
    refusal(lambda: Store.open(location), RecordError)


@pytest.mark.parametrize(
    "config", [{"num_hidden_layers": 10**8}, {"model_cfg": {"vision_cfg": {"layers": [3, 10**9, 3]}}}]
)
def test_a_model_of_impossible_depth_is_refused_before_it_is_built(tmp_path: Path, config: dict[str, Any]) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert "expected at most 10000 layers" in refusal(lambda: read_config(tmp_path / "config.json"), FoundationError)


RECORD = encode_checkpoint(make_records(trials=0, seeds=1, scale=0.02, fractions=(1.0,), failures=0)[0][1])


@few
@given(st.integers(0, len(RECORD) - 1), st.binary(max_size=8), st.booleans())
def test_no_damage_of_a_record_is_believed(place: int, damage: bytes, cut: bool) -> None:
    data = RECORD[:place] + damage + (b"" if cut else RECORD[place + len(damage) :])
    if data == RECORD:
        return
    with pytest.raises(RecordError):
        decode_checkpoint(data, "r.json")
