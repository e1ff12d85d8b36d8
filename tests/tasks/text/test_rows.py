import csv
import gzip
import io
import json
import re
from random import Random

import datasets
import pandas
import pyarrow
import pytest

from rayforget.errors import TaskError
from rayforget.space.tasks.text import CsvSource, JsonLinesSource, LanguageSource, ParquetSource, TextDatasetSource
from rayforget.tasks.text.csv_quotes import records
from rayforget.tasks.text.rows import json_lines, read_rows

ROWS = [{"q": f"question {i}", "n": i} for i in range(5)]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("a.jsonl", {"kind": "jsonl"}),
        ("a.csv", {"kind": "csv"}),
        ("a.parquet", {"kind": "parquet"}),
        ("train.parquet", {"kind": "dataset", "split": "train"}),
    ],
)
def test_a_pointer_of_git_lfs_in_place_of_data_is_called_one(tmp_path, name, source):
    (tmp_path / name).write_text(POINTER)
    path = str(tmp_path) if source["kind"] == "dataset" else tmp_path / name
    kinds = {"jsonl": JsonLinesSource, "csv": CsvSource, "parquet": ParquetSource, "dataset": TextDatasetSource}
    with pytest.raises(TaskError, match=rf"{name} is Git LFS's pointer to .* git lfs pull"):
        read_rows(kinds[source["kind"]](path=path, **source))


def lines(path, *texts):
    path.write_text("\n".join(texts) + "\n")
    return path


def jsonl(path, **others):
    return JsonLinesSource(kind="jsonl", path=path, **others)


def test_json_lines_keep_their_line_numbers_over_empty_lines(tmp_path):
    path = lines(tmp_path / "a.jsonl", '{"a": 1}', "", '{"a": "é"}')
    read = read_rows(jsonl(path))
    assert [dict(row.values) for row in read.rows] == [{"a": 1}, {"a": "é"}]
    assert [row.name for row in read.rows] == [f"{path}:1", f"{path}:3"]
    assert read.revision is None


@pytest.mark.parametrize("kind", ["jsonl", "parquet file", "parquet folder", "dataset", "saved"])
@pytest.mark.parametrize("limit", [None, 1, 3, 99])
def test_every_source_gives_the_same_rows_in_order_up_to_the_limit(tmp_path, kind, limit):
    table = datasets.Dataset.from_list(ROWS)
    folder = tmp_path / "set"
    folder.mkdir()
    if kind == "jsonl":
        source = jsonl(lines(folder / "a.jsonl", *map(json.dumps, ROWS)), limit=limit)
    elif kind == "dataset":
        lines(folder / "val.jsonl", *map(json.dumps, ROWS))
        source = TextDatasetSource(kind="dataset", path=str(folder), split="validation", limit=limit)
    elif kind == "saved":
        datasets.DatasetDict({"dev": table}).save_to_disk(folder)
        source = TextDatasetSource(kind="dataset", path=str(folder), split="dev", limit=limit)
    else:
        table.select(range(2)).to_parquet(folder / "a.parquet")
        table.select(range(2, 5)).to_parquet(folder / "b.parquet")
        if kind == "parquet file":
            table.to_parquet(folder / "all.parquet")
        source = ParquetSource(
            kind="parquet", path=folder / "all.parquet" if kind == "parquet file" else folder, limit=limit
        )
    assert [dict(row.values) for row in read_rows(source).rows] == ROWS[:limit]


def test_fields_rename_columns(tmp_path):
    path = lines(tmp_path / "a.jsonl", '{"query": "x", "question": "old", "k": 1}', '{"k": 2}')
    first, second = read_rows(jsonl(path, fields={"question": "query"})).rows
    assert first.values == {"question": "x", "k": 1}
    assert second.values == {"k": 2}


def test_fields_may_swap_two_columns(tmp_path):
    path = lines(tmp_path / "a.jsonl", '{"a": 1, "b": 2}')
    assert read_rows(jsonl(path, fields={"a": "b", "b": "a"})).rows[0].values == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("{oops", r":2: expected one JSON object on this line, found '\{oops'"),
        ("[1]", r":2: expected a JSON object, found '\[1\]'"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, line, text):
    path = lines(tmp_path / "a.jsonl", '{"a": 1}', line)
    (good, bad) = read_rows(jsonl(path)).rows
    assert (good.fault, dict(bad.values), bad.name) == (None, {}, f"{path}:2")
    assert re.match(rf"^{path}{text}", bad.fault)
    with pytest.raises(TaskError, match=rf"^{path}{text}"):
        list(json_lines(path))


def test_missing_data_and_columns_are_named(tmp_path):
    with pytest.raises(TaskError, match=r"none.jsonl: cannot be read \(No such file"):
        read_rows(jsonl(tmp_path / "none.jsonl"))
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(TaskError, match=r"empty.jsonl: no rows; expected at least one"):
        read_rows(jsonl(tmp_path / "empty.jsonl"))
    path = lines(tmp_path / "a.jsonl", '{"a": 1, "b": 2}')
    with pytest.raises(TaskError, match=r"a.jsonl:1: no column 'c', which fields calls question; found a, b"):
        read_rows(jsonl(path, fields={"question": "c"}))
    with pytest.raises(TaskError, match=r"expected \*.parquet in this folder, found none"):
        read_rows(ParquetSource(kind="parquet", path=tmp_path))
    with pytest.raises(TaskError, match=r"a.jsonl: cannot be read .*expected a Parquet file"):
        read_rows(ParquetSource(kind="parquet", path=path))
    (tmp_path / "latin.jsonl").write_bytes(b'{"a": "\xe9"}\n')
    with pytest.raises(TaskError, match="expected UTF-8"):
        read_rows(jsonl(tmp_path / "latin.jsonl"))


def test_a_data_set_that_is_not_here_names_the_command_that_downloads_it(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # otherwise it tries for 20 s
    with pytest.raises(TaskError, match=r"download it once: .*load_dataset\('nobody/nothing', split='test'\)"):
        read_rows(TextDatasetSource(kind="dataset", path="nobody/nothing", split="test"))


def test_the_language_world_is_a_source():
    source = LanguageSource(kind="language", part="commonsense", split="val", count=3)
    rows = read_rows(source).rows
    assert len(rows) == 3
    assert {"question", "choices", "answer"} <= rows[0].values.keys()
    assert rows[2].name == "language commonsense[val] #2"


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": "é"}\n', encoding="utf-8-sig")
    assert [dict(row.values) for row in read_rows(jsonl(tmp_path / "a.jsonl")).rows] == [{"a": "é"}]


@pytest.mark.parametrize("value", ["[" * 100_000, "9" * 5000])
def test_json_that_python_does_not_read_names_its_line(tmp_path, value):
    path = lines(tmp_path / "a.jsonl", '{"a": 1}', f'{{"a": {value}}}')
    fault = read_rows(jsonl(path)).rows[1].fault
    expected = "one JSON object on this line|values nested at most 100 deep"
    assert re.search(rf"a\.jsonl:2: expected ({expected}), found (deeper: )?.{{0,80}}( \(.+\))?$", fault)


@pytest.mark.parametrize("ending", ["json", "jsonl", "json.gz", "jsonl.gz", "json.zst"])
@pytest.mark.parametrize("indent", [None, 2, "lines"])
def test_a_list_of_objects_is_read_as_lines_are_also_compressed(tmp_path, ending, indent):
    path = tmp_path / f"a.{ending}"
    text = "\n".join(map(json.dumps, ROWS)) if indent == "lines" else json.dumps(ROWS, indent=indent)
    data = ("\n" + text if indent == "lines" else text).encode("utf-8-sig")
    packed = {"gz": gzip.compress, "zst": lambda raw: pyarrow.compress(raw, "zstd", asbytes=True)}
    path.write_bytes(packed.get(path.suffix[1:], bytes)(data))
    rows = read_rows(jsonl(path)).rows
    assert [dict(row.values) for row in rows] == ROWS
    assert rows[3].name == f"{path}:5" if indent == "lines" else f"{path} #3"


def test_a_table_is_read_with_its_quotes_and_its_empty_cells_are_no_values(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('q,"a, b",c\n"x, ""y""\nz",1,\n\nonly,two\n', encoding="utf-8-sig")
    one, broken = read_rows(CsvSource(kind="csv", path=path)).rows
    assert (dict(one.values), one.name) == ({"q": 'x, "y"\nz', "a, b": "1", "c": None}, f"{path}:3")
    assert broken.fault == f"{path}:5: expected 3 cells, found 2; put quotes around texts with commas"
    (tmp_path / "a.tsv").write_text("q\ta\n1,2\t3\n")
    (row,) = read_rows(CsvSource(kind="csv", path=tmp_path / "a.tsv")).rows
    assert row.values == {"q": "1,2", "a": "3"}
    path.write_text("q,q\n1,2\n")
    with pytest.raises(TaskError, match=r"a.csv:1: expected a line of column names, each once"):
        read_rows(CsvSource(kind="csv", path=path))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (",q,a\n0,x,1\n1,y,\n", [{"q": "x", "a": "1"}, {"q": "y", "a": None}]),  # pandas' index
        ("q,a,,\nx,1,,\n,,,\ny,2,,\n,,,\n", [{"q": "x", "a": "1"}, {"q": "y", "a": "2"}]),  # a spreadsheet's margin
        ("q;a\nx, y;1,5\n", [{"q": "x, y", "a": "1,5"}]),  # of a country with decimal commas
        (f"q,a\n{'x' * 200_000},1\n", [{"q": "x" * 200_000, "a": "1"}]),
        ("q\rx\ry\r", [{"q": "x"}, {"q": "y"}]),
    ],
)
def test_tables_of_other_programs_are_read(tmp_path, text, rows):
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert [row.values for row in read_rows(CsvSource(kind="csv", path=tmp_path / "a.csv")).rows] == rows


@pytest.mark.parametrize("text", ['q,a\nx,y\nz,"w\n1,2\n3,4\n', 'q,a\nx,y\nz,"w\n1,"2"\n'])
def test_a_quote_that_is_never_closed_does_not_swallow_the_rows_behind_it(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(TaskError, match=r"a.csv:3: cannot be read .* each quote in a quoted text twice"):
        read_rows(CsvSource(kind="csv", path=tmp_path / "a.csv"))


@pytest.mark.parametrize(
    "text",
    [
        'q,a\n"abc" ,x\n"d"\t , "e"\n',
        'q,a\r\n"m ""n"" ","o"  \r\n"of\n  two lines" ,"p"\r\n',
        'q;a\n"1,5" ;"" \n',
    ],
)
def test_blanks_behind_a_closing_quote_are_the_texts_as_pandas_has_it(tmp_path, text):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    found = [[row.values[name] or "" for name in "qa"] for row in read_rows(CsvSource(kind="csv", path=path)).rows]
    assert found == pandas.read_csv(path, sep=text[1], dtype=str, keep_default_na=False).to_numpy().tolist()


def test_a_row_with_a_quote_that_is_not_twice_is_one_that_cannot_be_used(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('q,a\n"She said "hi" to me",x\ny,2\n')
    bad, good = read_rows(CsvSource(kind="csv", path=path)).rows
    assert (bad.fault, bad.why) == (
        f"{path}:2: found a quote within a quoted text, expected each one there twice",
        "with a quote within a quoted text",
    )
    assert (good.values, good.name) == ({"q": "y", "a": "2"}, f"{path}:3")


def test_a_quote_that_is_not_twice_ends_the_reading_where_its_row_may_go_on(tmp_path):
    """Else `more", z` would be a row."""
    path = tmp_path / "a.csv"
    path.write_text('q,a\n1,2\n"She said "hi, and\nmore",z\n')
    with pytest.raises(TaskError, match=r"a.csv:3: cannot be read .* each quote in a quoted text twice"):
        read_rows(CsvSource(kind="csv", path=path))


def test_random_tables_are_read_as_the_csv_module_reads_them():
    random = Random(0)
    for _ in range(2000):
        text = "".join(random.choice('ab"",, \n') for _ in range(random.randint(0, 14)))
        try:
            found = [record.cells for record in records(iter(io.StringIO(text, newline="")), ",")]
        except csv.Error:
            continue
        if None not in found:
            assert found == list(csv.reader(io.StringIO(text, newline=""))), text


def test_fields_reach_into_nested_values_and_over_columns(tmp_path):
    row = {
        "question": {"stem": "Why?", "choices": [{"text": "so", "label": "A"}, {"text": "not", "label": "B"}]},
        "context": {"contexts": ["a", "b"]},
        "dotted.name": 5,
        "opa": "x",
        "opb": "y",
    }
    fields = {
        "question": "question.stem",
        "choices": "question.choices.text",
        "second": "question.choices.1.label",
        "context": "context.contexts",
        "n": "dotted.name",
        "ops": ("opa", "opb"),
    }
    (found,) = read_rows(jsonl(lines(tmp_path / "a.jsonl", json.dumps(row)), fields=fields)).rows
    assert found.values == {
        "question": "Why?",
        "choices": ["so", "not"],
        "second": "B",
        "context": ["a", "b"],
        "n": 5,
        "ops": ["x", "y"],
    }
    for wrong in ("question.choices.name", "question.choices.2", "context.contexts.a.b", "opa.b"):
        with pytest.raises(TaskError, match=rf"no column '{wrong}', which fields calls q; found context, dotted.name"):
            read_rows(jsonl(tmp_path / "a.jsonl", fields={"q": wrong}))


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_a_compressed_file_that_is_cut_or_is_none_is_told(tmp_path, ending):
    text = json.dumps(ROWS).encode()
    packed = gzip.compress(text) if ending == "gz" else pyarrow.compress(text, "zstd", asbytes=True)
    for data in (packed[: len(packed) // 2], text):
        (tmp_path / f"a.json.{ending}").write_bytes(data)
        with pytest.raises(TaskError, match=rf"a.json.{ending}: cannot be read \(.+\); expected a file of JSON lines"):
            read_rows(jsonl(tmp_path / f"a.json.{ending}"))


def test_an_object_around_the_list_is_told(tmp_path):
    path = lines(tmp_path / "a.json", json.dumps({"data": ROWS}, indent=1, default=str))
    with pytest.raises(TaskError, match=r"a.json:1: found an object over several lines, expected one object per line"):
        read_rows(jsonl(path))


def test_a_fault_in_a_list_names_its_line_and_another_value_its_index(tmp_path):
    path = lines(tmp_path / "a.json", "", "[", '{"a": 1},', '{"a" 2}]')
    with pytest.raises(TaskError, match=r"a.json:4: expected a list of JSON objects \(Expecting ':'"):
        read_rows(jsonl(path))
    rows = read_rows(jsonl(lines(path, "[", '{"a": 1}, 2', "]"))).rows
    assert [row.fault for row in rows] == [None, f"{path} #1: expected a JSON object, found '2'"]
