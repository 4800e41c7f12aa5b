"""What templates read that an index lacks, and what searches ask that templates do not take.

The first a cluster answers with nothing, silently; the second `Search` refuses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from rerank_core.cluster.profile import ASKED
from rerank_core.cluster.templates import Template
from rerank_core.cluster.templates.fields import absent, fields_counted, reads
from rerank_core.cluster.templates.rendering import render
from rerank_core.errors import ConfigError, InputError

FIELD_MEND = "give the schema such a field and rebuild, or push templates that do without it"


def lacking(index: str, templates: Iterable[Template], fields: Collection[str]) -> list[str]:
    """A line for each field that templates read and an index with `fields` has not: who reads it.

    `filters (brand)` is what template filters reads when it is given its parameter brand.
    """
    readers: defaultdict[str, list[str]] = defaultdict(list)
    for template in templates:
        for parameter, names in reads(template).items():
            # What it does not run without is said by the gate.
            for name in absent(names - {*template.missing_fields(fields)}, fields):
                readers[name].append(template.name + (f" ({parameter})" if parameter else ""))
    return [
        f"index {index} has no field {name}, so these find and count nothing by it: "
        f"{', '.join(sorted(readers[name]))}"
        for name in sorted(readers)
    ]


def undeclared(templates: Iterable[Template]) -> list[str]:
    """A line for each template of a leg that cannot take all that a search asks of that leg.

    Of a leg's own name: which others a profile asks is the server's to know.
    """
    found = []
    for template in templates:
        asked = ASKED.get(template.name, ()) if template.schema else ()
        if missing := [name for name in asked if name not in template.declared]:
            found.append(
                f"template {template.id} declares no {', '.join(missing)}, so Search refuses what "
                "is asked with it; declare and use it, and push again"
            )
    return found


def counts_nothing(template: Template, fields: Collection[str]) -> tuple[str, ...]:
    """The fields of a template that counts alone, where the index has none of them; else none."""
    if not template.examples:
        return ()
    try:
        body = render(template, template.complete(template.examples[0]))
    except (ConfigError, InputError):
        return ()  # said by who runs it
    counted = fields_counted(body) & reads(template)[""]
    gone = absent(counted, fields)
    return gone if body.get("size") == 0 and len(gone) == len(counted) else ()
