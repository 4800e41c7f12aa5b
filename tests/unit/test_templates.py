"""Template files and their ids."""

from __future__ import annotations

import hashlib
import re

from rerank_core.cluster.templates import Template, load_templates


def test_an_id_is_name_and_twelve_digits_of_the_sources_hash() -> None:
    """So that another source is another template."""
    digits = hashlib.sha256(b"{}").hexdigest()[:12]

    assert Template("lexical", "{}").id == f"lexical@{digits}"
    assert Template("lexical", "{ }").id != Template("lexical", "{}").id


def test_the_package_brings_both_legs() -> None:
    """By the names that profiles use."""
    assert [template.name for template in load_templates()] == ["lexical", "vector"]


def test_every_parameter_is_told_in_the_opening_comment() -> None:
    """The comment is all that a caller has to go by."""
    for template in load_templates():
        comment, body = template.source.split("}}\n", 1)
        used = set(re.findall(r"{{(?:#toJson}})?(\w+)", body))
        told = set(re.findall(r"^  (\w+)  ", comment, re.MULTILINE))
        assert told == used
