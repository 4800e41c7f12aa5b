"""The one error tree.

::

    RerankError
    ├── InputError               a request or a row is malformed; names the field
    ├── TooLargeError            a request has more bytes than are read
    ├── NotFoundError            a model or a profile that is not there
    ├── NotReadyError            starting, stopping or draining; come back
    ├── OverloadError            no room for the work; come back later
    ├── QuotaError               this caller has used up its share; come back later
    ├── UnauthenticatedError     no key, or one that is not known
    ├── ForbiddenError           a key that may not do this
    ├── DeadlineError            the budget ended first
    ├── ScoringError             the engine failed on this request
    ├── SetupError               something here must be mended by its owner
    │   ├── ConfigError          a setting is wrong or contradicts another
    │   ├── ArtifactError        a model folder is incomplete, corrupt or unknown
    │   ├── ReleaseError         an index cannot serve: no record, wrong alias, template gone
    │   └── ToolMissingError     Java, Maven, a free port, disk
    └── ClusterError             the search cluster
        ├── ClusterUnavailable   cannot be reached, or refuses work for now
        ├── ClusterTimeout       did not answer in time
        └── ClusterRefused       said no to this very request

`sidecar.status` maps each leaf to one gRPC status. A message names the thing and the mend.
"""

from __future__ import annotations


class RerankError(Exception):
    """Root of everything this project raises on purpose."""


class InputError(RerankError):
    """A request or a row is malformed.

    `field` is the path of the offending field in the caller's own terms, such as
    ``documents[3].id``.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem

    def inside(self, path: str) -> InputError:
        """The same of what stands at `path`; a problem without a field is of all of it."""
        return InputError(f"{path}.{self.field}" if self.field else path, self.problem)


class TooLargeError(RerankError):
    """A request has more bytes than are read."""


class NotFoundError(RerankError):
    """A named thing is not there; `known` lists what is."""

    def __init__(self, kind: str, name: str, known: tuple[str, ...] = ()) -> None:
        there = f"; there is: {', '.join(known)}" if known else ""
        super().__init__(f"no {kind} named {name!r}{there}")
        self.kind = kind
        self.name = name
        self.known = known


class NotReadyError(RerankError):
    """The server is starting, stopping or has no model yet."""


class OverloadError(RerankError):
    """There is no room for the work now."""


class QuotaError(RerankError):
    """The caller has used up its share; `retry_after_ms` says when there is some again."""

    def __init__(self, message: str, retry_after_ms: int) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class UnauthenticatedError(RerankError):
    """The call brought no key, or one that is not known."""


class ForbiddenError(RerankError):
    """The caller is known and may not do this."""


class DeadlineError(RerankError):
    """The budget of the request ended first."""


class ScoringError(RerankError):
    """The engine failed on this request; others are not touched."""


class SetupError(RerankError):
    """Something in the set-up must be mended by its owner; retrying does not help."""


class ConfigError(SetupError):
    """A setting is wrong, missing, or contradicts another."""


class ArtifactError(SetupError):
    """A model folder is incomplete, corrupt, or of a kind the engine does not know."""


class ReleaseError(SetupError):
    """An index cannot serve: no index behind the alias, no release record, a template gone."""


class ToolMissingError(SetupError):
    """A program, a port or disk space that this machine lacks."""


class ClusterError(RerankError):
    """The search cluster failed."""


class ClusterUnavailable(ClusterError):
    """The cluster cannot be reached or refuses work for now."""


class ClusterTimeout(ClusterError):
    """The cluster did not answer in time."""


class ClusterRefused(ClusterError):
    """The cluster said no to this very request; `status` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status
