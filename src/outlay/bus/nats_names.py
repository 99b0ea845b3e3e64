"""From names on the bus to names on the server, and from an address to what it says."""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from outlay.errors import ConfigError

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ADDRESS = "nats://host:4222/name?partitions=16&replicas=1"


@dataclass(frozen=True, slots=True)
class Address:
    """`servers` without name and options, `name` of the bus on it. `partitions`: of a topic that is made; how many of
    its keys a group can work on at once."""

    servers: str
    name: str = "outlay"
    partitions: int = 16
    replicas: int = 1

    @property
    def shown(self) -> str:
        """For people and logs: no password."""
        return re.sub(r"//[^/]*@", "//", f"{self.servers}/{self.name}")


def parse(url: str) -> Address:
    """Raises ConfigError for what is not an address of a bus."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    name = parts.path.strip("/") or "outlay"
    if not _PLAIN.fullmatch(name):
        raise ConfigError(f"{name!r} cannot be the name of a bus", hint=f"write {_ADDRESS}; a name has A-Z a-z 0-9 _ -")
    numbers: dict[str, int] = {}
    for option, value in options.items():
        if option not in ("partitions", "replicas") or not value.isascii() or not value.isdigit() or int(value) < 1:
            raise ConfigError(f"{option}={value} is not an option of a bus on NATS", hint=f"write {_ADDRESS}")
        numbers[option] = int(value)
    return Address(f"{parts.scheme}://{parts.netloc}", name, **numbers)


def token(name: str) -> str:
    """One word that the server takes in subjects, streams and consumers, another for each name."""
    return f"n-{name}" if _PLAIN.fullmatch(name) else f"h-{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def partition(key: str, partitions: int) -> int:
    """The same in every process and version: the order of a key depends on it."""
    return zlib.crc32(key.encode()) % partitions
