"""`templates`: query templates as code."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from index_builder.commands.outcome import answer, cluster_settings, ending, failed_verdict
from index_builder.push import Pushed, choose, push_templates, rollback_templates
from index_builder.trials import compare, rendered_by, try_templates
from index_builder.versions import restore_templates
from rerank_core.cluster.connection import connect
from rerank_core.cluster.features import find_features
from rerank_core.cluster.release import resolve_alias
from rerank_core.cluster.templates import load_templates, render
from rerank_core.cluster.templates.folder import copy_shipped, write_golden
from rerank_core.cluster.templates.golden import rendered_examples
from rerank_core.errors import ConfigError, InputError

templates = typer.Typer(no_args_is_help=True, help="Query templates as code.")


class _Engine(StrEnum):
    OPENSEARCH = "opensearch"
    ELASTICSEARCH = "elasticsearch"


_Folder = Annotated[
    Path | None, typer.Option(help="Template folder. Default: the one of this package.")
]
_Names = Annotated[
    list[str] | None, typer.Option("--name", help="Template; repeatable. Default: all.")
]
_Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]


@templates.command()
def push(
    alias: Annotated[
        str | None,
        typer.Option(
            help="Its index is moved to the templates. Default: they are stored, no more."
        ),
    ] = None,
    folder: _Folder = None,
    name: _Names = None,
    *,
    restore: Annotated[
        bool, typer.Option("--restore", help="Only put back those of the index that are gone.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Stores templates, tries them on the live index, and moves it to them. Exit code 5: not moved.

    An example that does not render to its golden file, or a template that finds nothing, keeps the
    index on the templates that it has.
    """
    with ending(), connect(cluster_settings()) as client:
        if restore:
            if alias is None:
                raise ConfigError("--restore needs --alias: whose templates are to be put back?")
            index, release = resolve_alias(client, alias)
            restored = restore_templates(client, index, release)
            answer(
                restored,
                [f"put back {item}" for item in restored] or ["none is gone"],
                as_json=as_json,
            )
            return
        pushed = push_templates(client, alias, folder, name or ())
    _answer(pushed, as_json=as_json)


@templates.command()
def rollback(
    alias: Annotated[str, typer.Option(help="Whose index goes back.")], *, as_json: _Json = False
) -> None:
    """Takes the last push to an index back; once more, and it is there again."""
    with ending() as progress, connect(cluster_settings()) as client:
        pushed = rollback_templates(client, alias, progress)
    _answer(pushed, as_json=as_json)


@templates.command()
def diff(
    alias: Annotated[str, typer.Option(help="Whose index is compared with the folder.")],
    folder: _Folder = None,
    *,
    as_json: _Json = False,
) -> None:
    """What a push would change, by template and by line. Exit code 5 where there is something."""
    with ending(), connect(cluster_settings()) as client:
        features = find_features(client)
        chosen, _ = choose(folder, features, ())
        index, release = resolve_alias(client, alias)
    found = compare(index, release, chosen)
    answer(found, [line for item in found for line in item.lines()], as_json=as_json)
    if any(item.state == "changed" for item in found):
        failed_verdict()


@templates.command()
def copy(
    folder: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
) -> None:
    """Copies the templates of this package, with schemas and golden files, to begin with."""
    with ending():
        copied = copy_shipped(folder)
    answer(copied, [f"{copied} files in {folder}"], as_json=False)


@templates.command("render")
def render_one(
    name: Annotated[str, typer.Argument(help="Template.")],
    parameters: Annotated[
        str | None, typer.Option(help="JSON, or @FILE. Default: the template's first example.")
    ] = None,
    folder: _Folder = None,
    engine: Annotated[_Engine, typer.Option(help="For which engine.")] = _Engine.OPENSEARCH,
    *,
    stored: Annotated[
        bool, typer.Option("--stored", help="By the cluster, and not in this process.")
    ] = False,
) -> None:
    """The search body that a template makes of parameters, as JSON."""
    with ending():
        there = {template.name: template for template in load_templates(folder, engine.value)}
        if name not in there:
            raise ConfigError(f"no template {name!r}; there is: {', '.join(there)}")
        template = there[name]
        try:
            whole = template.complete(_parameters(parameters) or template.examples[0])
        except InputError as error:
            raise ConfigError(f"--parameters: {error}") from error
        if stored:
            with connect(cluster_settings()) as client:
                body = rendered_by(client, template, whole)
        else:
            body = render(template, whole)
    answer(body, [json.dumps(body, indent=2, ensure_ascii=False)], as_json=False)


@templates.command("test")
def try_all(
    alias: Annotated[
        str | None, typer.Option(help="Runs each on its index, too. Needs OPENSEARCH_URL.")
    ] = None,
    folder: _Folder = None,
    *,
    update: Annotated[
        bool, typer.Option("--update", help="Write what the examples render to as golden files.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Renders every example against its golden file. Exit code 5 for a difference.

    With OPENSEARCH_URL also by the cluster, if it renders templates: both must give the same.
    """
    with ending() as progress:
        if update:
            if folder is None:
                raise ConfigError("--update writes files: name the --folder")
            for engine in _Engine:
                for template in load_templates(folder, engine.value):
                    file = write_golden(template, engine.value, rendered_examples(template), folder)
                    progress.note(f"wrote {file}")
        if alias is None and not os.environ.get("OPENSEARCH_URL"):
            found = try_templates(None, folder)
        else:
            with connect(cluster_settings()) as client:
                found = try_templates(client, folder, alias)
    answer(found, [line for item in found for line in item.lines()], as_json=as_json)
    if any(item.faults for item in found):
        failed_verdict()


def _parameters(given: str | None) -> dict[str, Any] | None:
    if given is None:
        return None
    try:
        text = Path(given[1:]).read_text(encoding="utf-8") if given.startswith("@") else given
        value = json.loads(text)
    except OSError as error:
        raise ConfigError(f"--parameters {given}: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigError(f"--parameters: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError("--parameters: must be a JSON object")
    return value


def _answer(pushed: Pushed, *, as_json: bool) -> None:
    answer(pushed, pushed.lines(), as_json=as_json)
    if pushed.fault:
        failed_verdict()
