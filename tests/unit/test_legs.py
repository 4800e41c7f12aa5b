"""What a leg is asked, worked out without a cluster: nothing of a search is dropped in silence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rerank_core import records
from rerank_core.cluster.features import Features
from rerank_core.cluster.profile import FacetRule, FilterRule, Profile
from rerank_core.cluster.release import Release, sources_of
from rerank_core.cluster.resolver import Resolved
from rerank_core.cluster.templates import Template, load_templates
from rerank_core.errors import ReleaseError
from sidecar.asked_fields import check_fields
from sidecar.legs import LegMaker
from sidecar.search_task import FilterTask, SearchTask
from tests.release_records import RECORD

ACME = [{"terms": {"brand": ["Acme"]}}]
COUNTS = {"brand": {"terms": {"field": "brand", "size": 10}}}
TYPES: dict[str, dict[str, Any]] = {
    "query": {"type": "string"},
    "size": {"type": "integer"},
    "filters": {"type": "array", "items": {"type": "object"}, "default": []},
    "facets": {"type": "object", "default": {}},
    "vector": {"type": "array", "items": {"type": "number"}},
    "k": {"type": "integer"},
}
PROFILE = Profile(
    "shop",
    templates={"lexical": "mine"},
    filters={"brand": FilterRule("brand")},
    facets={"brand": FacetRule("brand")},
)

RESOLVED = Resolved(
    "shop-1",
    records.read_value(Release, RECORD, "record", ReleaseError),
    {"title": "text", "parent": "text", "parent.keyword": "keyword"},
)


def declaring(name: str, *parameters: str) -> Template:
    """A template with these parameters; what it is made of does not matter here."""
    return Template(
        name,
        '{"query": {"match_all": {}}}',
        {
            "description": "A template of a test.",
            "type": "object",
            "properties": {one: TYPES[one] for one in parameters},
            "additionalProperties": False,
        },
    )


def asking(*templates: Template, profile: Profile = PROFILE, **values: Any) -> LegMaker:
    """Who makes the calls of a search on an index with these templates."""
    release = replace(
        records.read_value(Release, RECORD, "record", ReleaseError),
        templates={one.name: one.id for one in templates},
        sources=sources_of(templates),
    )
    given = {"query": "drill", "size": 10, "filters": [], "facets": {}, "source_fields": []}
    task = SearchTask("products", "drill", filters=(FilterTask("brand", ("Acme",)),))
    features = Features("opensearch", "3.5.0", frozenset({"lang-mustache"}))
    return LegMaker(task, profile, Resolved("shop-1", release), features, {**given, **values})


@pytest.mark.parametrize(
    ("mine", "values", "dropped"),
    [
        (declaring("mine", "query", "size"), {"filters": ACME}, "filters"),
        (declaring("mine", "query", "size", "filters"), {"facets": COUNTS}, "facets"),
        (declaring("mine", "size", "filters"), {}, "query"),
        (declaring("mine", "query", "filters"), {}, "size"),
        (declaring("mine", "size"), {"filters": ACME}, "query, filters"),
    ],
)
def test_what_a_template_does_not_declare_is_never_dropped(
    mine: Template, values: dict[str, Any], dropped: str
) -> None:
    """A search with a filter would be answered without it: template and parameter are named."""
    with pytest.raises(ReleaseError, match=rf"template {mine.id} of leg lexical .* no {dropped};"):
        asking(mine, load_templates_by_name()["vector"], **values).first_stage()


def test_the_vector_leg_needs_its_vector_and_the_filters_and_no_facets() -> None:
    """Facets are counted by the lexical leg alone."""
    whole = load_templates_by_name()
    given = {"vector": [1.0, 0.0], "k": 10, "facets": COUNTS}
    profile = replace(PROFILE, templates={})
    calls = asking(*whole.values(), profile=profile, **given).first_stage().calls
    assert "facets" not in calls["vector"].parameters
    assert calls["lexical"].parameters["facets"] == COUNTS

    near = declaring("vector", "k", "size")
    with pytest.raises(ReleaseError, match=r"leg vector .* no vector, filters;"):
        asking(near, whole["lexical"], profile=profile, **given, filters=ACME).first_stage()


def test_what_is_not_asked_need_not_be_declared() -> None:
    """A template without filters answers searches that have none."""
    calls = asking(declaring("mine", "query", "size")).first_stage().calls
    assert calls["lexical"].parameters == {"query": "drill", "size": 10}


def test_a_template_whose_parameters_nobody_declared_is_given_all() -> None:
    """As indexes of earlier versions keep them."""
    old = Template("mine", '{"query": {"match_all": {}}}')
    calls = asking(old, filters=ACME).first_stage().calls
    assert calls["lexical"].parameters["filters"] == ACME


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"collapse": "parent.keyword"}, r"collapse of profile products reads parent\.keyword, .*"),
        ({"collapse": "model"}, "no field model, which collapse of profile products reads; name"),
        ({"fields": ("title", "titel")}, r"no field titel, which fields\[1\] of profile"),
        (
            {"fields": ("parent.keyword",)},
            r"fields\[0\] of .* not stored with products; name parent$",
        ),
    ],
)
def test_what_products_are_not_stored_with_is_refused_by_name(
    changes: dict[str, Any], fault: str
) -> None:
    """It would collapse nothing and return nothing, and not say so."""
    profile = replace(Profile("shop"), **changes)
    with pytest.raises(ReleaseError, match=fault):
        check_fields(SearchTask("products", "drill"), (), profile, RESOLVED)


def test_fields_that_nobody_chose_an_index_need_not_have() -> None:
    """The default names a brand, and not every catalogue has one."""
    check_fields(SearchTask("products", "drill"), (), Profile("shop", collapse="parent"), RESOLVED)


def load_templates_by_name() -> dict[str, Template]:
    return {template.name: template for template in load_templates()}
