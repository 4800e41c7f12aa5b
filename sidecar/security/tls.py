"""TLS for both surfaces, with certificates that are read again on a reload."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

import grpc

from rerank_core.errors import ConfigError
from sidecar.config import TlsSettings


@dataclass(frozen=True, slots=True)
class Certificates:
    """What the files hold, known to fit together."""

    settings: TlsSettings
    certificate: bytes
    key: bytes
    client_ca: bytes | None
    context: ssl.SSLContext
    """For HTTP."""

    def for_grpc(self) -> grpc.ServerCertificateConfiguration:
        """The same for gRPC."""
        return grpc.ssl_server_certificate_configuration(
            [(self.key, self.certificate)], self.client_ca
        )


def read_certificates(settings: TlsSettings | None) -> Certificates | None:
    """The certificates of these settings; None for none.

    Raises `ConfigError` where a file cannot be read or does not fit.
    """
    if settings is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    client_ca = None
    try:
        context.load_cert_chain(settings.certificate, settings.key, password=_no_password)
        if settings.client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(settings.client_ca)
            client_ca = settings.client_ca.read_bytes()
        return Certificates(
            settings,
            settings.certificate.read_bytes(),
            settings.key.read_bytes(),
            client_ca,
            context,
        )
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"tls: certificate {settings.certificate}, key {settings.key}, client_ca "
            f"{settings.client_ca}: {error}; PEM files that belong together are needed"
        ) from error


def _no_password() -> str:
    # Without this, OpenSSL would ask at the terminal.
    raise ValueError("the key is encrypted; give one without a password")
