"""Paths in the record: they come back, the lerp's bytes never changed, and old bytes are read as the lerp."""

from dataclasses import replace

import numpy as np

from rayforget.record.envelope import open_sealed
from rayforget.record.objects import decode_checkpoint, decode_test, encode_checkpoint, encode_test
from rayforget.space.path_text import LERP
from rayforget.values.points import Point, Spot
from rayforget.values.records import TestRecord

LINES = "lines(gamma=0.5)"


def test_a_points_path_comes_back_and_the_lerps_is_not_written(make_record, make_score, assert_same):
    scores = {"photo": make_score(np.random.default_rng(0), 9, "bits")}
    points = tuple(
        Point(alpha=alpha, path=path, coarse=True, scores=scores) for path in (LERP, LINES) for alpha in (0.5, 1.0)
    )
    record = replace(make_record(), points=points)
    data = encode_checkpoint(record)
    assert_same(decode_checkpoint(data, "x"), record)
    written = open_sealed("checkpoint", data, "x")["points"]
    assert [point.get("path") for point in written] == [None, None, LINES, LINES]
    assert written[0].keys() == {"alpha", "coarse", "scores"}  # the fields of a record from before there were paths


def test_test_scores_of_paths_come_back_and_the_lerps_are_pairs(make_score, assert_same):
    scores = {"photo": make_score(np.random.default_rng(0), 9, "bits")}
    spots = (Spot(0.5), Spot(1.0), Spot(0.5, LINES))
    record = TestRecord(trial="a", step=3, theta_1_hash="c", scores=dict.fromkeys(spots, scores), finished=1.0)
    data = encode_test(record)
    assert_same(decode_test(data, "x"), record)
    assert [len(entry) for entry in open_sealed("test", data, "x")["scores"]] == [2, 2, 3]


OLD = (
    b'{"format":1,"kind":"checkpoint","checksum":"d5f0","body":'
    b'{"asked":{},"changed":[],"facts":{},"finished":1.0,"fraction":1.0,"points":[{"alpha":0.5,"coarse":true,'
    b'"scores":{"photo":{"bits":"oA==","count":3.0,"items_hash":"h","num_items":3,"rule":"accuracy","total":2.0}}}],'
    b'"provenance":{},"reason":null,"recipe":{"method":"full"},"seconds":{},"status":"ok","step":5,'
    b'"theta_0_hash":"0","theta_1_hash":"1","trial":"0001-full","weights":{}}}\n'
)
"""As written by a version without paths; the test sets its checksum."""


def test_bytes_from_before_there_were_paths_read_as_the_lerp():
    import hashlib

    body = OLD[OLD.index(b'"body":') + 7 : -2]
    data = OLD.replace(b'"d5f0"', b'"%s"' % hashlib.sha256(body).hexdigest().encode())
    record = decode_checkpoint(data, "x")
    assert [point.spot for point in record.points] == [Spot(0.5, LERP)]
    assert encode_checkpoint(record) == data
