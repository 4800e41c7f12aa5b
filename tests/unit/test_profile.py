"""What a profile may not say, found when it is read and not when it is searched."""

from __future__ import annotations

import pytest

from rerank_core.cluster.profile import FacetRule, FilterRule, Profile
from rerank_core.errors import ConfigError


@pytest.mark.parametrize("alias", ["", "Pro*,other", "products,other", "_all", "Products"])
def test_an_alias_that_could_be_none_is_refused(alias: str) -> None:
    """By the rule that the index builder has for it."""
    with pytest.raises(ConfigError, match=r"alias .*: 1 to 200 lower-case letters"):
        Profile(alias)


@pytest.mark.parametrize(("rule", "kind"), [(FilterRule, "filter"), (FacetRule, "facet")])
def test_a_rule_without_a_field_is_refused(rule: type[FilterRule | FacetRule], kind: str) -> None:
    """The cluster would answer every search by an error."""
    with pytest.raises(ConfigError, match=f"{kind}: field is empty; name a field of the index"):
        rule("")
