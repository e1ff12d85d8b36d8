"""The record's objects survive their files unchanged, and a changed file is refused."""

import base64
import hashlib
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest

from rayforget.errors import ExtensionError, RecordError
from rayforget.record.objects import decode_checkpoint, decode_test, encode_checkpoint, encode_test
from rayforget.values.points import Point, Spot
from rayforget.values.records import TestRecord
from rayforget.values.scores import Score


@pytest.mark.parametrize("num_items", [1, 7, 8, 9, 1001])
@pytest.mark.parametrize("num_points", [0, 1, 11])
@pytest.mark.parametrize("kind", ["bits", "float32", "weighted"])
def test_a_checkpoint_comes_back_as_it_was(make_record, assert_same, num_items, num_points, kind):
    record = make_record(num_items=num_items, num_points=num_points, kind=kind)
    data = encode_checkpoint(record)
    back = decode_checkpoint(data, "x")
    assert_same(back, record)
    assert encode_checkpoint(back) == data


def test_a_score_without_items_is_refused(make_record):
    score = Score(rule="accuracy", items=np.zeros(0, np.bool_), items_hash="none")
    record = replace(make_record(), points=(Point(alpha=0.5, coarse=True, scores={"t": score}),))
    with pytest.raises(RecordError, match="score of t: no items"):
        encode_checkpoint(record)


def test_special_floats_keep_their_bits(make_record, assert_same):
    items = np.array([-0.0, 1e-45, np.finfo(np.float32).max, 1 / 3], np.float32)
    score = Score(rule="r", items=items, items_hash="h")
    record = replace(make_record(), points=(Point(alpha=-0.1, coarse=False, scores={"t": score}),))
    assert_same(decode_checkpoint(encode_checkpoint(record), "x"), record)


def test_bits_are_one_per_item_and_weights_are_stored_once(make_record):
    body = json.loads(encode_checkpoint(make_record(num_items=1001, kind="bits")))["body"]
    assert len(base64.b64decode(body["points"][0]["scores"]["photo"]["bits"])) == math.ceil(1001 / 8)
    score = Score(rule="r", items=np.ones(5, np.float32), weights=np.arange(1, 6, dtype=np.float32), items_hash="h")
    points = tuple(Point(alpha=a, coarse=True, scores={"t": score}) for a in (0.0, 0.5, 1.0))
    body = json.loads(encode_checkpoint(replace(make_record(), points=points)))["body"]
    assert len(body["weights"]) == 1


def test_classes_are_stored_once_and_come_back(make_record, assert_same):
    scores = [
        Score(rule="balanced_accuracy", items=items, classes=np.array([0, 2, 2, 70_000], np.int32), items_hash="h")
        for items in (np.array([True, False, True, True]), np.array([True, True, True, False]))
    ]
    points = tuple(
        Point(alpha=a, coarse=True, scores={"t": score}) for a, score in zip((0.0, 1.0), scores, strict=True)
    )
    record = replace(make_record(), points=points)
    data = encode_checkpoint(record)
    assert_same(decode_checkpoint(data, "x"), record)
    assert len(json.loads(data)["body"]["weights"]) == 1
    values = [point.scores["t"].value for point in decode_checkpoint(data, "x").points]
    assert values == pytest.approx([(1 + 0.5 + 1) / 3, (1 + 1 + 0) / 3])
    broken = replace(scores[0], classes=np.array([0, 1], np.int32))
    with pytest.raises(RecordError, match="score of t: classes must be int32"):
        encode_checkpoint(replace(record, points=(Point(alpha=0.0, coarse=True, scores={"t": broken}),)))


def test_a_score_of_another_packages_metric_is_readable_without_it(make_record):
    score = Score(rule="kappa", package="nobodys", items=np.ones(3, np.float32), items_hash="h", recorded=0.25)
    record = replace(make_record(), points=(Point(alpha=0.0, coarse=True, scores={"t": score}),))
    (point,) = decode_checkpoint(encode_checkpoint(record), "x").points
    back = point.scores["t"]
    assert (back.rule, back.package, back.value, back.readings) == ("kappa", "nobodys", 0.25, {})
    with pytest.raises(ExtensionError, match="there is no metric 'kappa' here"):
        _ = back.metric


def test_sums_are_readable_without_decoding(make_record):
    record = make_record(num_items=9, kind="weighted")
    body = json.loads(encode_checkpoint(record))["body"]
    for point, stored in zip(record.points, body["points"], strict=True):
        for task, score in point.scores.items():
            assert (stored["scores"][task]["total"], stored["scores"][task]["count"]) == (score.total, score.count)


def test_a_failed_checkpoint_keeps_the_number_that_ended_it(make_record):
    facts = {"losses": [1.0, math.nan], "norm": np.float32(np.inf), "deep": {"x": -math.inf}, "n": np.int64(3)}
    record = replace(make_record(), status="failed", reason="loss is nan\nTraceback", points=(), facts=facts)
    back = decode_checkpoint(encode_checkpoint(record), "x")
    assert math.isnan(back.facts["losses"][1])
    assert (back.facts["norm"], back.facts["deep"], back.facts["n"]) == (math.inf, {"x": -math.inf}, 3)


@pytest.mark.parametrize("where", ["items", "weights", "alpha", "recipe"])
def test_a_number_that_is_not_finite_is_refused_and_named(make_record, where):
    items, weights = np.ones(3, np.float32), np.ones(3, np.float32)
    if where in ("items", "weights"):
        (items if where == "items" else weights)[1] = np.nan
    score = Score(rule="r", items=items, weights=weights, items_hash="h")
    alpha = math.inf if where == "alpha" else 1.0
    record = replace(make_record(), points=(Point(alpha=alpha, coarse=True, scores={"photo": score}),))
    if where == "recipe":
        record = replace(record, recipe={"penalties": [{"strength": math.nan}]})
    names = {"items": "photo", "weights": "photo", "alpha": "points[0].alpha", "recipe": "recipe.penalties[0].strength"}
    with pytest.raises(RecordError, match=re.escape(names[where])):
        encode_checkpoint(record)


def test_every_truncation_is_noticed(make_record):
    data = encode_checkpoint(make_record())
    for length in range(0, len(data), 7):
        with pytest.raises(RecordError, match=r"points/a\.json"):
            decode_checkpoint(data[:length], "points/a.json")
    with pytest.raises(RecordError):
        decode_checkpoint(data[:-1], "points/a.json")


def test_every_flipped_bit_is_noticed(make_record):
    data = encode_checkpoint(make_record(num_points=1))
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position % 8)
        with pytest.raises(RecordError, match=r"points/a\.json"):
            decode_checkpoint(bytes(damaged), "points/a.json")


def test_an_edited_value_is_noticed_and_the_message_says_what_to_do(make_record):
    data = encode_checkpoint(make_record()).replace(b'"step":80', b'"step":81')
    with pytest.raises(RecordError, match=r"checksum does not fit.*restore it from a copy, or delete it"):
        decode_checkpoint(data, "points/a.json")


def test_another_format_or_kind_is_refused(make_record):
    data = encode_checkpoint(make_record())
    with pytest.raises(RecordError, match=r"has format 2, this version reads format 1"):
        decode_checkpoint(data.replace(b'"format":1', b'"format":2'), "a.json")
    with pytest.raises(RecordError, match="holds a checkpoint, expected a test"):
        decode_test(data, "a.json")


def test_the_checksum_is_the_sha256_of_the_body(make_record):
    data = encode_checkpoint(make_record())
    text = data[data.index(b'"body":') + 7 : -2]
    assert json.loads(data)["checksum"] == hashlib.sha256(text).hexdigest()


def test_an_intact_file_that_lacks_a_field_is_a_record_error(make_record):
    data = encode_checkpoint(make_record())
    text = data[data.index(b'"body":') + 7 : -2].replace(b'"changed":["visual.proj","visual.conv1.weight"],', b"")
    sealed = b'{"format":1,"kind":"checkpoint","checksum":"%s","body":%s}\n' % (
        hashlib.sha256(text).hexdigest().encode(),
        text,
    )
    with pytest.raises(RecordError, match=r"a\.json is intact but.*changed"):
        decode_checkpoint(sealed, "a.json")


@pytest.mark.parametrize("num_items", [1, 9])
def test_test_scores_come_back_as_they_were(make_score, assert_same, num_items):
    rng = np.random.default_rng(0)
    scores = {Spot(alpha): {"photo": make_score(rng, num_items, "weighted")} for alpha in (0.1 + 0.2, -0.5, 1.0)}
    record = TestRecord(trial="a-b", step=3, theta_1_hash="c" * 32, scores=scores, finished=12.5)
    back = decode_test(encode_test(record), "x")
    assert_same(back, record)
