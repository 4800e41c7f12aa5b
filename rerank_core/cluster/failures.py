"""Turns what the cluster's client raises into this project's errors."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import aiohttp
import opensearchpy
import urllib3.exceptions

from rerank_core.errors import (
    ClusterError,
    ClusterRefused,
    ClusterTimeout,
    ClusterUnavailable,
    ConfigError,
    RerankError,
)

_REASON_CHARACTERS = 300
NO_CLUSTER = "the answer is not a cluster's JSON; does the url lead to a search cluster?"

# What comes from below the client where it does not catch it itself: a closed session, a body that
# breaks off. OSError as a whole is not here, since a caller's own file may raise it.
_LEAKING = (
    aiohttp.ClientError,
    urllib3.exceptions.HTTPError,
    TimeoutError,
    ConnectionError,
    ssl.SSLError,
)
_CAUGHT = (
    opensearchpy.TransportError,
    opensearchpy.SerializationError,
    opensearchpy.ImproperlyConfigured,
    *_LEAKING,
)


@contextmanager
def cluster_errors(doing: str) -> Iterator[None]:
    """Everything that a request to the cluster can raise comes out as one of our errors.

    `doing` opens the message, such as ``"counting products-3"``. Raises

    - `ClusterTimeout`: no answer in time, or a gateway says so (408, 504);
    - `ClusterUnavailable`: no connection, an answer that is no cluster's, or 429, 502, 503;
    - `ClusterRefused`: every other status that is no success, with the cluster's own reason;
    - `ConfigError`: the client cannot be made from its settings.

    Other exceptions go through, among them a body that cannot be written as JSON: that is a
    mistake in the calling code and not the cluster's. Cancellation goes through, too.
    """
    try:
        yield
    except AttributeError as error:
        if not _is_the_clients(error):
            raise
        # It reads an error's body as an object without looking.
        raise ClusterUnavailable(f"{doing}: {NO_CLUSTER}") from error
    except _CAUGHT as error:
        if isinstance(error, opensearchpy.SerializationError) and _is_outgoing(error):
            raise
        raise _translate(error, doing) from error


def _translate(error: Exception, doing: str) -> RerankError:
    match error:
        case opensearchpy.ConnectionTimeout():
            return _lost_connection(error, doing)
        case opensearchpy.ConnectionError():
            return _lost_connection(error.info, doing)
        case opensearchpy.TransportError():
            return _answered(error, doing)
        case opensearchpy.SerializationError():
            return ClusterUnavailable(f"{doing}: {NO_CLUSTER}")
        case opensearchpy.ImproperlyConfigured():
            return ConfigError(f"{doing}: {error}")
    return _lost_connection(error, doing)


def _lost_connection(cause: object, doing: str) -> RerankError:
    timeouts = (TimeoutError, urllib3.exceptions.TimeoutError, opensearchpy.ConnectionTimeout)
    # urllib3 counts a refused connection among its timeouts.
    if isinstance(cause, timeouts) and not isinstance(cause, urllib3.exceptions.NewConnectionError):
        return ClusterTimeout(f"{doing}: the cluster did not answer in time")
    reason = _short(str(cause)) or type(cause).__name__
    tls = (ssl.SSLError, aiohttp.ClientSSLError, urllib3.exceptions.SSLError)
    if isinstance(cause, tls):
        return ClusterUnavailable(f"{doing}: no trusted connection, check the CA: {reason}")
    return ClusterUnavailable(f"{doing}: the cluster cannot be reached: {reason}")


def _answered(error: opensearchpy.TransportError, doing: str) -> RerankError:
    status = error.status_code
    if not isinstance(status, int):
        return ClusterUnavailable(f"{doing}: {_short(str(error.error))}")
    answer = error.info if isinstance(error.info, dict) else _json_object(error.error)
    return refusal(status, {"error": error.error, **answer}, doing)


def refusal(status: int, answer: Mapping[str, Any], doing: str) -> ClusterError:
    """What an HTTP status of the cluster's means, with its own reason; `answer` is its JSON.

    Also for one part of a multi-search, which has a status of its own. `cluster_errors` says which
    error each status is.
    """
    message = f"{doing}: the cluster answers {status}: {reason_of(answer)}"
    if status in (408, 504):
        return ClusterTimeout(message)
    if status in (429, 502, 503):
        return ClusterUnavailable(message)
    if status in (401, 403):
        message += "; check user and password"
    return ClusterRefused(message, status)


def reason_of(answer: Mapping[str, Any]) -> str:
    """The cluster's own words on one line, from the root cause that it names."""
    cause = root_cause(answer)
    said = cause.get("reason") or cause.get("type") or answer.get("error") or ""
    return _short(str(said)) or "no reason given"


def root_cause(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object of type and reason below ``error``; empty where the cluster gives none."""
    error = answer.get("error")
    if not isinstance(error, dict):
        return {}
    causes = error.get("root_cause")
    first = causes[0] if isinstance(causes, list) and causes else error
    return first if isinstance(first, dict) else error


def _json_object(text: object) -> dict[str, Any]:
    """The async client hands an error's body over unread."""
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _is_outgoing(error: opensearchpy.SerializationError) -> bool:
    # The client raises one class for both ways. Only what could not be written has a cause other
    # than the decoder's; an unknown content type has none.
    cause = error.args[1] if len(error.args) > 1 else None
    return cause is not None and not isinstance(cause, json.JSONDecodeError)


def _is_the_clients(error: Exception) -> bool:
    """Whether it was raised in the client's own code, and not in ours."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] == opensearchpy.__name__


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _REASON_CHARACTERS else line[: _REASON_CHARACTERS - 1] + "…"
