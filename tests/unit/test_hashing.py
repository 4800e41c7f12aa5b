"""Hashes that stay the same wherever and whenever they are computed."""

from __future__ import annotations

import hashlib

import pytest

from rerank_core.hashing import canonical_json, hash_file, hash_json


def test_canonical_json_is_sorted_dense_and_utf8():
    assert canonical_json({"b": [1, None, True], "a": "café"}) == (
        '{"a":"café","b":[1,null,true]}'.encode()
    )


def test_equal_values_hash_alike_whatever_their_order():
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    assert hash_json(one) == hash_json(other)
    # sha256 of {"a":1,"b":{"c":2,"d":3}}
    expected = hashlib.sha256(b'{"a":1,"b":{"c":2,"d":3}}').hexdigest()
    assert hash_json(one) == expected
    assert hash_json([one]) != hash_json(one)


def test_a_known_hash():
    """Pinned, so that hashes in indexes and manifests keep their meaning: sha256 of "{}"."""
    assert hash_json({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_json_does_not_have_is_refused(number):
    with pytest.raises(ValueError, match="JSON compliant"):
        hash_json({"value": number})


@pytest.mark.parametrize("size_bytes", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_a_file_hashes_as_its_bytes_at_any_size(tmp_path, size_bytes):
    """Around the block size, too."""
    content = bytes(index % 251 for index in range(size_bytes))
    path = tmp_path / "file"
    path.write_bytes(content)
    assert hash_file(path) == hashlib.sha256(content).hexdigest()
