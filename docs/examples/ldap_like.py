"""Clients that log in: bound when made and after each use, unbound when closed.

    pip install ProxyPatternPool
    python ldap_like.py

The client stands in for an LDAP one (`bind` for `simple_bind_s`, `unbind` for
`unbind_s`). To check a password, an application binds as the user, and the connection
then has the user's rights. The pool's `reset` binds as the service again before the
next holder gets it; a connection for which that fails is destroyed.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import ProxyPatternPool as ppp

SERVICE = ("cn=service", "secret")
PASSWORDS = {"cn=service": "secret", "cn=ann": "apple", "cn=bob": "banana"}


class InvalidCredentials(Exception):
    """The directory refuses a name or a password."""


class Client:
    """A connection to a directory, with the rights of the user that is bound."""

    unbound = 0

    def __init__(self, number: int) -> None:
        self.who = ""

    def bind(self, who: str, password: str) -> None:
        """Log in; without success nobody is logged in."""
        self.who = ""
        if PASSWORDS.get(who) != password:
            raise InvalidCredentials(who)
        self.who = who

    def search(self, who: str) -> str | None:
        """Find an entry, which only the service may."""
        if self.who != SERVICE[0]:
            raise PermissionError(self.who)
        return who if who in PASSWORDS else None

    def unbind(self) -> None:
        """Log out and disconnect."""
        Client.unbound += 1


def bind_service(client: Client) -> None:
    """Log in as the service."""
    client.bind(*SERVICE)


directory: ppp.Proxy[Client] = ppp.Proxy(
    max_size=3,
    timeout=5.0,
    reset=bind_service,
    closer=Client.unbind,
    health=lambda client: client.who == SERVICE[0],
    check_after_idle=60.0,
)


def connect(number: int) -> Client:
    """Connect and log in: an error reaches the caller (an `opener`'s is logged)."""
    client = Client(number)
    bind_service(client)
    return client


def login(who: str, password: str) -> bool:
    """Check a user's password."""
    with directory._obj():
        if directory.search(who) is None:
            return False
        try:
            directory.bind(who, password)
        except InvalidCredentials:
            return False
        return True


def main() -> int:
    """Log in 90 times from 8 threads."""
    directory.set_fun(connect)
    tries = [("cn=ann", "apple"), ("cn=bob", "apple"), ("cn=eve", "")] * 30
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda pair: login(*pair), tries))
    print(
        f"{len(found)} logins, {sum(found)} successful,"
        f" all right: {found == [True, False, False] * 30}"
    )
    pool = directory._pool
    assert pool is not None
    stats = pool.stats()
    pool.shutdown()
    print(
        f"failed resets: {stats['nreset_errors']},"
        f" all unbound: {Client.unbound == stats['ncreated'] <= 3}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
