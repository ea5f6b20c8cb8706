"""A real nginx in front of services, with its defaults: HTTP/1.0 upstream, gzip, buffering."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .redisserver import free_port

MAIN = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  gzip on;
  gzip_proxied any;
  gzip_min_length 0;
  gzip_types *;
{sites}
}}
"""

SITE = """
  upstream llm_stream {{
{servers}
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://llm_stream;
{directives}
    }}
  }}
"""

SOCKET = """
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
"""
"""What a WebSocket needs beside the defaults."""


NEXT = """
      proxy_next_upstream error timeout http_503 non_idempotent;
"""
"""What sends a new run that a draining replica has refused to another one."""


def binary() -> str:
    """The program; where there is none the test fails, so that nobody takes it for passed."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        pytest.fail(
            "nginx is not installed: `make nginx` does it, `make test NGINX=0` does without"
        )
    return found


@contextmanager
def nginx(folder: Path, ports: Sequence[int], directives: str = "") -> Iterator[str]:
    """Start it in front of services on these ports of this machine; its address.

    A service that is down is passed over at each request (`max_fails=0`), so that one that is
    back is asked at once.
    """
    # Addressed as an upstream that has loopback's name: the service answers to no other.
    servers = "\n".join(f"    server 127.0.0.1:{port} max_fails=0;" for port in ports)
    named = "      proxy_set_header Host 127.0.0.1;\n" + directives
    port = free_port()
    site = SITE.format(servers=servers, port=port, directives=named)
    with serving_sites(folder, site, port) as url:
        yield url


@contextmanager
def serving_sites(folder: Path, sites: str, port: int) -> Iterator[str]:
    """Start it with what stands in its `http` block, which has to listen on the port."""
    config = folder / "nginx.conf"
    config.write_text(MAIN.format(folder=folder, sites=sites), "utf-8")
    with subprocess.Popen(
        [binary(), "-p", folder, "-c", config], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while not listens(port):
                assert process.stderr is not None
                assert process.poll() is None, process.stderr.read()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
