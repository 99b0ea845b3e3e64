"""HttpTransport over TLS, alone and through a proxy: a server with its own certificate, and a process that trusts it.

In a process of its own, because Python reads SSL_CERT_FILE once.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

#: Of "localhost", valid until 2126, and trusted by nobody but the process below.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIUbk4CSgf2prvpO9AEV7edcXbhFsswCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTEyNTAyNloYDzIxMjYxMDI4
MTI1MDI2WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATFueJQYu7h+cvJrGMmcCzIhdxUeZpFFhNZzEKug4mA3WwwInDMbU9z
dWNH917vPhoc0Gc2NcvkvLid08cbSZfWo2kwZzAdBgNVHQ4EFgQUCuk66Jp1xZJL
8PM0kJkoL7bjmQowHwYDVR0jBBgwFoAUCuk66Jp1xZJL8PM0kJkoL7bjmQowFAYD
VR0RBA0wC4IJbG9jYWxob3N0MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwID
SAAwRQIhAIYfDo2Lm8w3QmaZKFFGYhfzrDW05qsmI4icOQFxDj1UAiBXXFcTyB5o
UBEqFP3UeVsP3/byjPvL+FFS+Lhym5gEfg==
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgHptbo7sAF0fnf9gn
bmOW7vcWU/6czCW1DFdad4x6/JahRANCAATFueJQYu7h+cvJrGMmcCzIhdxUeZpF
FhNZzEKug4mA3WwwInDMbU9zdWNH917vPhoc0Gc2NcvkvLid08cbSZfW
-----END PRIVATE KEY-----
"""
CLIENT = """\
import asyncio, sys
from outlay.errors import ModelError
from outlay.models.transport import HttpTransport

async def main():
    http = HttpTransport()
    for _ in range(2):
        try:
            print((await http.post(sys.argv[1], {"x-api-key": "k"}, b"{}")).body.decode())
        except ModelError as error:
            print(error.message)
    await http.close()

asyncio.run(main())
"""


class Wire:
    """A TLS server that counts its connections, and a proxy that opens tunnels to it."""

    def __init__(self) -> None:
        self.connections = 0
        self.tunnels: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(len(b"{}"))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")

    async def tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.tunnels.append(head)
        port = int(head.split()[1].split(b":")[1])
        there, back = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(65536):
            writer.write(piece)
    writer.close()


async def talk(folder: Path, *, trusted: bool, by_proxy: bool) -> tuple[list[str], Wire]:
    """What a client process says that asks twice."""
    (folder / "certificate.pem").write_text(CERTIFICATE)
    (folder / "key.pem").write_text(KEY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    wire = Wire()
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0, ssl=context)
    proxy = await asyncio.start_server(wire.tunnel, "127.0.0.1", 0)
    port, proxy_port = (one.sockets[0].getsockname()[1] for one in (server, proxy))
    variables = {name: text for name, text in os.environ.items() if "proxy" not in name.lower()}
    if trusted:
        variables["SSL_CERT_FILE"] = str(folder / "certificate.pem")
    if by_proxy:
        variables["https_proxy"] = f"http://user:word@127.0.0.1:{proxy_port}"
    client = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CLIENT, f"https://localhost:{port}/v1", env=variables, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await client.communicate()
    server.close()
    proxy.close()
    return said.decode().splitlines(), wire


async def test_a_certificate_that_does_not_verify_is_an_error(tmp_path: Path) -> None:
    """Nothing is sent to whom we do not know."""
    said, _ = await talk(tmp_path, trusted=False, by_proxy=False)
    assert said == ["the certificate of localhost does not verify"] * 2


@pytest.mark.parametrize("by_proxy", [False, True], ids=["direct", "tunnel"])
async def test_two_calls_over_tls_share_a_connection(tmp_path: Path, by_proxy: bool) -> None:
    """Through a proxy they share its tunnel, which the proxy's credentials open; the server never sees those."""
    said, wire = await talk(tmp_path, trusted=True, by_proxy=by_proxy)
    assert said == ["done", "done"]
    assert wire.connections == 1
    if by_proxy:
        (tunnel,) = wire.tunnels
        assert tunnel.startswith(b"CONNECT localhost:")
        assert b"Proxy-Authorization: Basic dXNlcjp3b3Jk" in tunnel
        assert b"x-api-key" not in tunnel.lower()
