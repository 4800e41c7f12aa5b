"""``python -m distillation``: trains and publishes the student."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from rerank_core.errors import ConfigError, RerankError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def describe() -> None:
    """Makes a student: from graded labels to a published model folder."""


@app.command()
def run(  # noqa: PLR0913 - a command has many options
    recipe: Annotated[Path, typer.Argument(help="TOML file with a table a stage.")],
    data: Annotated[Path, typer.Option(help="Folder that holds the sources.")],
    out: Annotated[Path, typer.Option(help="Folder of stages; recipes may share it.")],
    cluster: Annotated[
        str | None, typer.Option(envvar="OPENSEARCH_URL", help="Cluster for BM25.")
    ] = None,
    until: Annotated[str, typer.Option(help="Last stage to do.")] = "publish",
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE over the recipe; repeatable.")
    ] = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Publish a student worse than the one shipped.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Tell pairs, time and tokens of the labels; train nothing."),
    ] = False,
) -> None:
    """Does the stages of a recipe that are not done.

    They are split, teacher, pool, labels, student, calibrate, evaluate and publish, in this order.
    """
    from distillation.pipeline import dry_run as foretelling  # noqa: PLC0415 - torch, for work
    from distillation.pipeline import run as pipeline  # noqa: PLC0415
    from distillation.pipeline.recipe import read_recipe  # noqa: PLC0415
    from rerank_core.cluster.settings import ClusterSettings  # noqa: PLC0415

    if until not in pipeline.STAGES:
        raise ConfigError(f"--until {until}: one of {', '.join(pipeline.STAGES)}")
    settings = ClusterSettings(url=cluster) if cluster else None
    place = pipeline.Place(data, out, settings, recipe.parent, force=force)
    read = read_recipe(recipe, tuple(changes or ()))
    if dry_run:
        foretelling.dry_run(read, place, Console())
        return
    done = pipeline.run(read, place, Console(), until=until)
    Console().print(
        "\n".join(f"{name}: {one.folder}" for name, one in done.items()), soft_wrap=True
    )


_ALL = "all"


@app.command()
def study(
    plan: Annotated[Path, typer.Argument(help="TOML file of arms and seeds.")],
    data: Annotated[Path, typer.Option(help="Folder that holds the sources.")],
    out: Annotated[Path, typer.Option(help="Folder of stages.")],
    pages: Annotated[Path, typer.Option(help="Folder for runs, figures and the page.")],
    cluster: Annotated[
        str | None, typer.Option(envvar="OPENSEARCH_URL", help="Cluster for BM25.")
    ] = None,
    run: Annotated[
        list[str] | None,
        typer.Option(help="Do the missing units of this arm, or of `all`; repeatable."),
    ] = None,
    *,
    report: Annotated[
        bool, typer.Option("--report", help="Open dev-report: when every choice is made.")
    ] = False,
) -> None:
    """Does the units of a grid and writes what they are worth."""
    from distillation.pipeline import run as pipeline  # noqa: PLC0415 - torch loads only for work
    from distillation.study import grid  # noqa: PLC0415
    from distillation.study.plan import read_plan  # noqa: PLC0415
    from distillation.study.report import report as write_report  # noqa: PLC0415
    from distillation.study.shelf import Shelf  # noqa: PLC0415
    from rerank_core.cluster.settings import ClusterSettings  # noqa: PLC0415

    console = Console()
    settings = ClusterSettings(url=cluster) if cluster else None
    place = pipeline.Place(data, out, settings, plan.parent)
    arms = read_plan(plan)
    grid.check_one_split(arms, plan)
    unknown = set(run or ()) - {_ALL, *(arm.name for arm in arms.arms)}
    if unknown:
        raise ConfigError(f"--run {min(unknown)}: {plan} has no such arm")
    if run:
        shelf = Shelf(pages / "runs" / arms.name)
        grid.do_teacher(grid.teacher_recipe(arms, plan), place, shelf, console)
        for unit in grid.units(arms, plan):
            if _ALL in run or unit.arm in run:
                grid.do_unit(unit, place, shelf, console)
    missing = write_report(arms, plan, place, "report" if report else "select", pages)
    if missing:
        console.print(f"not run yet: {', '.join(missing)}", soft_wrap=True)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="TOML file with everything but the data.")],
    labels: Annotated[Path, typer.Option(help="BEIR folder with the graded judgments.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoints and metrics.")],
    catalogue: Annotated[
        list[Path] | None,
        typer.Option(help="BEIR folder whose products anchor lists are mined from; repeatable."),
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(help="Unlabelled queries for the anchor, one a line.")
    ] = None,
    *,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in OUT.")
    ] = False,
) -> None:
    """Trains a cross-encoder on graded judgments, with checkpoints and a metrics file."""
    from distillation.recipe import read_recipe  # noqa: PLC0415 - torch loads only for work
    from distillation.run import Sources, train_student  # noqa: PLC0415

    train_student(
        read_recipe(recipe),
        Sources(labels, tuple(catalogue or ()), queries),
        out,
        resume=resume,
        console=Console(),
    )


_Publication = Annotated[Path, typer.Option(help="TOML file: licence, card, sets to measure on.")]


@app.command()
def publish(
    run: Annotated[Path, typer.Argument(help="Folder that `train` wrote.")],
    folder: Annotated[Path, typer.Argument(help="New model folder.")],
    publication: _Publication,
) -> None:
    """Writes a run's best weights as a sealed model folder."""
    from distillation.publish import publish_student  # noqa: PLC0415 - torch loads only for work

    artifact = publish_student(run, folder, publication)
    Console().print(
        f"{folder}: {artifact.manifest.name} {artifact.manifest.model_hash}", soft_wrap=True
    )


@app.command()
def measure(
    run: Annotated[Path, typer.Argument(help="Folder that `train` wrote.")],
    folder: Annotated[Path, typer.Argument(help="Model folder that `publish` wrote.")],
    publication: _Publication,
    data: Annotated[Path, typer.Option(help="Folder that holds the sets.")],
) -> None:
    """Measures a published folder as it is served, and writes its card."""
    from distillation.card import comparison_table  # noqa: PLC0415 - torch loads only for work
    from distillation.publish import measure_student  # noqa: PLC0415

    console = Console()
    measure_student(
        run,
        folder,
        publication,
        data,
        done=lambda one: console.print(comparison_table([one]), markup=False, soft_wrap=True),
    )


@app.command()
def gate(
    folder: Annotated[str, typer.Argument(help="Model folder, or the name of a known one.")],
    publication: _Publication,
    data: Annotated[Path, typer.Option(help="Folder that holds the sets.")],
    path: Annotated[str, typer.Option(help="Numeric path to judge.")] = "native",
    out: Annotated[Path | None, typer.Option(help="File to keep the verdict in, as JSON.")] = None,
) -> None:
    """Holds a numeric path against fp32 on each set.

    Exit status 1 where nDCG@10 is not shown to be kept on a set of 500 queries or more; smaller
    ones are told and decide nothing, since they could not show it.
    """
    from distillation import gate as gates  # noqa: PLC0415 - torch loads only for work
    from distillation.publication import read_publication  # noqa: PLC0415
    from rerank_core.artifact import open_named  # noqa: PLC0415
    from rerank_core.engine import Engine, load_cross_encoder, path_choice  # noqa: PLC0415

    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise ConfigError(f"{out}: give a file name in a folder that is there")
    artifact = open_named(folder)
    exact = load_cross_encoder(artifact, "onnxruntime")
    judged = load_cross_encoder(artifact, path_choice(path))
    verdicts = []
    with Engine() as engine:
        for one in read_publication(publication).sets:
            if one.reporting_half:  # a part of a set that stands beside it
                continue
            verdicts.append(gates.judge(judged, exact, data, one, engine))
            Console().print(gates.line(verdicts[-1]), markup=False, soft_wrap=True)
    deciding = [verdict for verdict in verdicts if verdict.ndcg.queries >= gates.ENOUGH]
    if not deciding:
        Console().print(f"nothing is decided: no set has {gates.ENOUGH} queries", soft_wrap=True)
    if out is not None:
        text = json.dumps(gates.record(judged, verdicts), indent=2, ensure_ascii=False)
        out.write_text(text + "\n", encoding="utf-8")
    if not all(verdict.ndcg.holds for verdict in deciding):
        raise RerankError(f"{judged.numeric_path} is not shown to rank as fp32 does")


def main() -> None:
    """Runs the command; a known error is one line on stderr and exit status 1."""
    # OpenMP's threads spin while they wait, which beside other work takes ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except RerankError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, style="red", soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
