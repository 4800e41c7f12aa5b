"""What a recipe's labels will take, told before a teacher is paid for them."""

from __future__ import annotations

from rich.console import Console

from distillation.labels.labelling import Price
from distillation.pipeline.labels import line, pairs_of, pool_rows
from distillation.pipeline.recipe import Recipe
from distillation.pipeline.run import (
    Place,
    foresee_pool,
    labelling_of,
    member_order,
    pool_stage,
    run,
)
from distillation.pipeline.split import Material
from distillation.pipeline.stage import folder_of, is_done
from distillation.pipeline.teacher import is_trained, judged_for_members, open_member
from distillation.ranking import judged_pairs
from rerank_core.errors import ConfigError

_SAMPLE = 64


def dry_run(recipe: Recipe, place: Place, show: Console) -> list[Price | None]:
    """Splits and mines, asks each member of the teacher a sample, and tells what the rest takes.

    The rest are the pool's pairs, dev-select, human lists for a spread and, where the recipe opens
    it, dev-report. The sample's answers are kept. A member that is still to be trained is not
    asked: None.
    """
    if recipe.student.learns == "human":
        raise ConfigError("--dry-run: the student learns from judgments, no teacher is asked")
    done = run(recipe, place, show, until="split")
    material = Material(done["split"], place.data)
    foresee_pool(recipe, place, done)
    done["pool"] = pool_stage(recipe, place, material, done, show)
    rows = pool_rows(recipe.labels, done["pool"])
    labelling = labelling_of(recipe, place, show)
    lists = list(judged_for_members(material))
    if recipe.report:
        lists.append(material.judgments("report"))
    prices: list[Price | None] = []
    for number, member in enumerate(recipe.teacher.members):
        what = f"member {number}, {member.kind}"
        order = member_order(member, place, done)
        if is_trained(member) and not is_done(order, place.out):
            show.print(f"{what}: is trained first, see `--until teacher`", highlight=False)
            prices.append(None)
            continue
        teacher = open_member(member, folder_of(order, place.out), place.data)
        pairs = pairs_of(rows, teacher, material)
        for judged in lists:
            pairs += judged_pairs(teacher, judged, material.queries, material.products)
        price = labelling.price(teacher, pairs, sample=_SAMPLE)
        show.print(f"{what}: {line(price)}", highlight=False)
        prices.append(price)
    return prices
