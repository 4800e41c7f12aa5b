"""Asks the sidecar of this container: `python probe.py PORT PATH [CERTIFICATE KEY]`.

Exit code 0 where PATH, /ready or /health, is answered with 200: over plain HTTP or, where that is
not spoken, TLS. With `tls.client_ca` it has to show a certificate of that authority. For health
checks that can do no such thing by themselves: Docker's, and Kubernetes' with mTLS.
"""  # noqa: INP001  a program, in no package

from __future__ import annotations

import ssl
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection


def main(port: str, path: str, *shown: str) -> int:
    """The exit code; `shown` are the files of a certificate and its key, or nothing."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Whom it reaches is known, and no certificate is for this address.
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    if shown:
        tls.load_cert_chain(*shown)
    plain = HTTPConnection("127.0.0.1", int(port), timeout=1)
    secure = HTTPSConnection("127.0.0.1", int(port), timeout=1, context=tls)
    return 0 if _agrees(plain, path) or _agrees(secure, path) else 1


def _agrees(connection: HTTPConnection, path: str) -> bool:
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
