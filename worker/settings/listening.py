"""Who may reach what the worker serves over HTTP."""

import ipaddress
from collections.abc import Iterator

from worker.settings.http import Http
from worker.settings.proving import is_host_and_port


def http_problems(http: Http) -> Iterator[str]:
    if not is_host_and_port(http.listen, first_port=0):
        yield "http.listen: HOST:PORT is the form"
    elif not is_loopback(host_of(http.listen)) and not http.is_guarded and not http.only_probes:
        yield (
            "http.listen: not loopback, and nothing guards it: set http.token_file, or http.cert_file, key_file and"
            " client_ca_file; or serve nothing but the probes there, with http.only_probes"
        )
    if (http.cert_file is None) != (http.key_file is None):
        yield "http.cert_file: goes with http.key_file, and neither without the other"
    elif http.client_ca_file is not None and http.cert_file is None:
        yield "http.client_ca_file: needs http.cert_file and http.key_file: only TLS knows client certificates"


def host_of(listen: str) -> str:
    """Of HOST:PORT; of an IPv6 address without its brackets."""
    return listen.rpartition(":")[0].strip("[]")


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
