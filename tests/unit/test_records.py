"""Frozen records from JSON and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from pydantic import ConfigDict

from rerank_core import records
from rerank_core.errors import ArtifactError, ConfigError, ReleaseError


@dataclass(frozen=True)
class Inner:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    count: int

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ArtifactError("count: at least 0")


@dataclass(frozen=True)
class Outer:
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    names: tuple[str, ...]
    inner: Inner
    rest: dict[str, Any]


RECORD = Outer(("a", "b"), Inner(3), {"x": [1, None]})
VALUE = {"names": ["a", "b"], "inner": {"count": 3}, "rest": {"x": [1, None]}}


def test_a_record_survives_the_way_out_and_back(tmp_path):
    """Through text, bytes, a file and parsed JSON alike, strict records included."""
    assert records.to_json(RECORD) == VALUE
    path = tmp_path / "record.json"
    path.write_text(json.dumps(VALUE), encoding="utf-8")
    for source in (json.dumps(VALUE), json.dumps(VALUE).encode(), path):
        assert records.read_json(Outer, source, "here", ConfigError) == RECORD
    assert records.read_value(Outer, VALUE, "here", ConfigError) == RECORD


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"inner": {"count": "3"}}, ["inner.count", "integer"]),
        ({"names": ["a", 7]}, ["names.1", "string"]),
        ({"names": "a", "inner": {}}, ["names", "inner.count", "required"]),
        ({"surplus": 1}, ["surplus", "nexpected"]),
        ({"inner": {"count": -1}}, ["count: at least 0"]),
        ({"rest": {"x": object()}}, ["not JSON serializable"]),
    ],
)
def test_every_fault_is_told_with_its_path_and_place(change, told):
    """Also what a record checks by itself, under the reader's own kind of error."""
    with pytest.raises(ReleaseError) as caught:
        records.read_value(Outer, VALUE | change, "index products", ReleaseError)
    message = str(caught.value)
    assert message.startswith("index products: ")
    assert "\n" not in message
    for words in told:
        assert words in message


@pytest.mark.parametrize("source", ["", "{", "[]", b"\xff", "null"])
def test_what_is_no_record_is_refused(source):
    with pytest.raises(ConfigError, match=r"^settings: content: "):
        records.read_json(Outer, source, "settings", ConfigError)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"^settings: No such file"):
        records.read_json(Outer, tmp_path / "none.json", "settings", ConfigError)


def test_a_record_that_breaks_its_own_types_is_not_written():
    with pytest.raises(ValueError, match="names"):
        records.to_json(Outer(7, Inner(3), {}))  # type: ignore[arg-type]
