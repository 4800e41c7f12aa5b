"""The command line, a file a command."""

from __future__ import annotations

import typer

from index_builder.commands.pipelines import pipelines
from index_builder.commands.rebuild import rebuild
from index_builder.commands.templates import templates
from index_builder.commands.update import apply, update
from index_builder.commands.versions import doctor, prune, rollback, versions

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def main() -> None:
    """Writes catalogues into k-NN indexes that the sidecar searches and reranks.

    The cluster is at OPENSEARCH_URL (OPENSEARCH_USER, OPENSEARCH_PASSWORD, OPENSEARCH_CA); it may
    be Elasticsearch, too. What is being done goes to stderr, the answer to stdout: for people, or
    with --json one line of JSON.

    Exit codes of all commands; unless it is 0, searches go on as before:

    * 0: done
    * 2: an option, a file, a model or the alias must be mended
    * 3: the catalogue has no good row, or too many bad ones
    * 4: the cluster cannot be reached, or failed
    * 5: a gate failed, doctor found a fault, or what was pushed or compared is not as it should be
    * 130: interrupted by Ctrl-C; 143: by SIGTERM
    * 1: anything else
    """


app.add_typer(templates, name="templates")
app.add_typer(pipelines, name="pipelines")
for command in (rebuild, update, apply, versions, rollback, prune, doctor):
    app.command()(command)
