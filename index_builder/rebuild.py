"""A catalogue as a fresh index behind the alias: the stages in their order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from opensearchpy import OpenSearch

from index_builder.changes import ChangeFile, Writing
from index_builder.documents import last_rows, read_documents
from index_builder.gates import Subject, verify
from index_builder.gates.count import count_gate
from index_builder.ids import SeenIds
from index_builder.index import (
    count,
    create_index,
    discard,
    finish_index,
    new_index_name,
    refresh,
    takes_base64,
)
from index_builder.inputs import Files
from index_builder.load import Loader, dead_letters
from index_builder.lock import BuildLock
from index_builder.plan import Plan, Prepared, prepare
from index_builder.progress import Progress
from index_builder.rejects import Rejects, check_rejects_path
from index_builder.report import Report, server_cpu_s
from index_builder.resume import Job, open_job
from index_builder.sending import Sender, Sent
from index_builder.stages import StageClock
from index_builder.swap import swap_alias
from rerank_core.cluster.release import (
    GateRecord,
    Release,
    index_behind,
    read_release,
    sources_of,
    write_release,
)
from rerank_core.cluster.settings import ClusterSettings
from rerank_core.cluster.templates import Template, push, push_pipelines
from rerank_core.errors import ArtifactError, ConfigError, InputError, ReleaseError


def build(plan: Plan, client: OpenSearch, settings: ClusterSettings, progress: Progress) -> Report:
    """Builds the index and moves the alias to it; on any failure the alias stays where it is.

    A failed gate is no exception: the report says so. Raises `ConfigError`, `ArtifactError`,
    `ReleaseError`, `ClusterError`, and `InputError` where the catalogue has no good row or too many
    bad ones.
    """
    prepared = prepare(plan, client)
    behind = index_behind(client, plan.alias)
    for path in prepared.input.paths if isinstance(prepared.input, Files) else ():
        check_rejects_path(plan.rejects or Path("INDEX.rejects.jsonl"), path)
    for name in prepared.composer().missing_fields:
        progress.note(f"the models read the field {name}, which the schema does not have")
    if prepared.lacking:
        progress.note(
            f"this cluster lacks the token filters {', '.join(prepared.lacking)}: words are "
            "matched without them"
        )
    with ExitStack() as stack:
        job = stack.enter_context(open_job(plan, prepared, client, progress, new_index_name))
        lock = stack.enter_context(BuildLock(client, plan.alias, job.owner, job.index))
        job.begin(client, progress)
        rebuild = _Rebuild(plan, prepared, client, settings, progress, job, lock)
        return rebuild.run(behind)


class _Rebuild:
    """One rebuild: what its stages share."""

    def __init__(
        self,
        plan: Plan,
        prepared: Prepared,
        client: OpenSearch,
        settings: ClusterSettings,
        progress: Progress,
        job: Job,
        lock: BuildLock,
    ) -> None:
        self._plan = plan
        self._prepared = prepared
        self._client = client
        self._settings = settings
        self._progress = progress
        self._job = job
        self._lock = lock
        self._clock = StageClock()
        self._sent = Sent()
        self._started_s = time.monotonic()
        self._cpu_s = time.process_time()
        self._server_cpu_s = server_cpu_s(client)
        self._composer = prepared.composer()
        self._released = False
        self._hopeless = False  # not one row is good: going on would not help

    def run(self, behind: tuple[str, dict[str, object]] | None) -> Report:
        job, progress = self._job, self._progress
        try:
            if not job.resumed:
                create_index(self._client, job.index, self._prepared.body)
            progress.note(
                f"{self._prepared.input.name} -> {job.index}, "
                f"vectors by {self._prepared.encoder.name}"
            )
            rejects_path = self._plan.rejects or Path(f"{job.index}.rejects.jsonl")
            with Rejects(rejects_path, keep=job.settled) as rejects:
                report = self._stages(behind, rejects)
        except BaseException as error:
            self._leave(error)
            raise
        if report.swapped:
            job.done()
        else:
            self._leave(None)
        return report

    def _stages(self, behind: tuple[str, dict[str, object]] | None, rejects: Rejects) -> Report:
        plan, job, client = self._plan, self._job, self._client
        records: list[GateRecord] = []
        if job.loaded is None:
            accepted = self._load(rejects)
            with self._clock.timed("finish"):
                refresh(client, job.index)
                records.append(count_gate(accepted, count(client, job.index)))
            if records[0].verdict == "passed":
                job.note_loaded(accepted)
        else:
            accepted = job.loaded
            records.append(count_gate(accepted, accepted))
        changes = ChangeFile(plan.changes, self._writing(), rejects.add)
        before = behind[0] if behind else None
        with self._clock.timed("changes"):
            changes.replay(job.index)
        with self._clock.timed("finish"):
            finish_index(client, job.index, plan.replicas, plan.segments, self._progress)
            prepared = self._prepared
            if prepared.features.stores_templates:
                push(client, prepared.templates)
            if prepared.features.native_pipelines:
                push_pipelines(client)
        with self._clock.timed("verify"):
            subject = Subject(
                index=job.index,
                schema=prepared.schema,
                encoder=prepared.encoder,
                templates=prepared.templates,
                stored=prepared.features.stores_templates,
                own_templates=plan.templates is not None,
                replicas=plan.replicas,
                live=before,
                live_release=_release_of(behind),
                queries=_queries_beside(prepared),
            )
            gates, templates = verify(client, prepared.dialect, subject, plan.gates)
            records += gates
        for record in records:
            self._progress.gate(record)
        swapped = all(record.verdict != "failed" for record in records)
        if swapped:
            with self._clock.timed("changes"):
                changes.replay(job.index)
                refresh(client, job.index)
            documents = count(client, job.index)
            self._lock.check()
            release = self._release(templates, documents, rejects.count, records)
            write_release(client, job.index, release)
            self._released = True
            swap_alias(client, plan.alias, before, job.index, self._progress)
            job.done()
            self._replay_last(changes)
        return self._report(before, rejects, records, accepted, swapped=swapped)

    def _replay_last(self, changes: ChangeFile) -> None:
        """What came while the alias moved."""
        try:
            with self._clock.timed("changes"):
                changes.replay(self._job.index)
        except BaseException:
            self._progress.note(
                f"alias {self._plan.alias} stands for {self._job.index}; the last changes may not "
                f"be in it: python -m index_builder apply {self._plan.changes}"
            )
            raise

    def _writing(self) -> Writing:
        prepared = self._prepared
        return Writing(
            self._client,
            self._settings,
            prepared.dialect,
            prepared.encoder,
            prepared.content,
            self._composer,
        )

    def _load(self, rejects: Rejects) -> int:
        """How many documents the index must have."""
        plan, job, prepared = self._plan, self._job, self._prepared
        source, columns = prepared.input, self._composer.columns
        base64_vectors = takes_base64(
            self._client, prepared.dialect, job.index, prepared.encoder.dimensions
        )
        progress, clock = self._progress, self._clock
        rows = 0

        def on_row(number: int) -> None:
            nonlocal rows
            rows = number
            self._check_rejects(rejects)

        with SeenIds() as seen, SeenIds() as places:
            last = None
            if plan.duplicates == "last":
                last = places
                with clock.timed("find last rows"):
                    last_rows(source.rows(columns), prepared.composer(), last)
            documents = read_documents(
                source.rows(columns),
                self._composer,
                rejects,
                skip=job.settled,
                last=last,
                seen=seen,
                on_row=on_row,
            )
            progress.begin(source.size_bytes)
            with Sender(self._settings, job.index, dead_letters(rejects), plan.limits) as sender:
                self._sent = sender.sent
                loader = Loader(prepared.encoder, prepared.content, base64_vectors, clock, progress)
                loader.load(documents, sender, job.begin_chunk(rejects))
            self._check_rejects(rejects)
            accepted = len(seen) - rejects.refused
        if not accepted:
            self._hopeless = True
            raise _nothing_good(source.name, rejects)
        job.note_settled(rows, rejects)
        return accepted

    def _check_rejects(self, rejects: Rejects) -> None:
        most = self._plan.max_rejects
        if most is not None and rejects.count > most:
            raise InputError(
                self._prepared.input.name,
                f"more than {most:,} rows are rejected (--max-rejects), with reasons: "
                f"{rejects.path}",
            )

    def _leave(self, error: BaseException | None) -> None:
        """The index stays where going on helps, and how to go on is said; else it goes."""
        job, progress = self._job, self._progress
        if self._released:
            return  # complete; whoever moves the alias has said so
        mendable = not self._hopeless and not isinstance(error, ConfigError | ArtifactError)
        if job.again and mendable and (job.settled or job.loaded):
            progress.note(
                f"{job.index} has all rows up to {job.settled:,}; go on with the same command and "
                f"--resume (checkpoint {job.path}). A build without it begins anew and deletes it"
            )
        else:
            discard(self._client, job.index, progress)
            job.done()

    def _release(
        self,
        templates: Sequence[Template],
        documents: int,
        rejected: int,
        records: list[GateRecord],
    ) -> Release:
        prepared = self._prepared
        return Release(
            encoder_name=prepared.encoder.name,
            encoder_hash=prepared.encoder.hash,
            encoder_recipe_hash=prepared.encoder.artifact.manifest.recipe.hash,
            recipe_hash=prepared.reranker.manifest.recipe.hash,
            mapping_hash=prepared.mapping_hash,
            templates={template.name: template.id for template in templates},
            sources=sources_of(templates),
            built_at=datetime.now(UTC),
            documents=documents,
            rejected=rejected,
            builder_version=version("rerank-sidecar"),
            gates=tuple(records),
            engine=f"{prepared.dialect.name} {prepared.dialect.version}",
        )

    def _report(
        self,
        before: str | None,
        rejects: Rejects,
        records: list[GateRecord],
        documents: int,
        *,
        swapped: bool,
    ) -> Report:
        seconds = time.monotonic() - self._started_s
        return Report(
            alias=self._plan.alias,
            index=self._job.index,
            replaced=before if swapped else None,
            swapped=swapped,
            numeric_path=self._prepared.encoder.numeric_path,
            path_reason=self._prepared.encoder.path_reason,
            documents=documents,
            rejected=rejects.count,
            rejects_file=str(rejects.path) if rejects.count else None,
            unknown_columns=tuple(self._composer.unknown_columns),
            resumed_from=self._job.resumed_from,
            retries=self._sent.retries,
            requests=self._sent.requests,
            sent_bytes=self._sent.bytes,
            seconds=seconds,
            documents_per_second=self._sent.written / seconds,
            busy_s=self._clock.busy_s,
            builder_cpu_s=time.process_time() - self._cpu_s,
            cluster_cpu_s=server_cpu_s(self._client) - self._server_cpu_s,
            gates=tuple(records),
        )


def _nothing_good(name: str, rejects: Rejects) -> InputError:
    if rejects.first is None:
        return InputError(name, "has no rows")
    return InputError(
        name,
        f"has no good row; line {rejects.first.line}: {rejects.first.reason}; "
        f"all {rejects.count} are in {rejects.path}",
    )


def _release_of(behind: tuple[str, dict[str, object]] | None) -> Release | None:
    """The live index's; None where it has none that can be read."""
    if behind is None:
        return None
    try:
        return read_release(*behind)
    except ReleaseError:
        return None


def _queries_beside(prepared: Prepared) -> Path | None:
    """The queries of a catalogue that lies in a BEIR folder."""
    if not isinstance(prepared.input, Files):
        return None
    folders = {path.parent for path in prepared.input.paths}
    folder = min(folders)
    return folder if len(folders) == 1 and any(folder.glob("queries.jsonl*")) else None
