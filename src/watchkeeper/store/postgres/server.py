"""One PostgreSQL server: connected to, checked, and never quoted with its password."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final

import msgspec
import psycopg
from msgspec import Meta
from psycopg import IsolationLevel
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from watchkeeper.errors import ConfigError, Permanent, Retryable, WatchkeeperError
from watchkeeper.store.postgres import schema
from watchkeeper.store.postgres.queries import query
from watchkeeper.telemetry import Secret

Connection = psycopg.Connection[tuple[Any, ...]]

_SECRETS: Final = ("password", "sslpassword")
_GRANT: Final = "set user and password in store.url"
_REMEDIES: Final = {
    "password authentication failed": _GRANT,
    "no password supplied": _GRANT,
    'role "': _GRANT,
    "is not permitted to log in": _GRANT,
    "authentication failed": _GRANT,
    'database "': "make it with CREATE DATABASE ... ENCODING 'UTF8', or set another in store.url",
    "permission denied for database": "run GRANT CONNECT ON DATABASE ... TO ...",
    "no pg_hba.conf entry": "let this user and address in, in the server's pg_hba.conf",
    "does not support SSL": "switch it on there, or set sslmode in store.url",
    "certificate verify failed": "set sslrootcert in store.url to the authority's certificate",
    "root certificate file": "set sslrootcert in store.url to the authority's certificate",
    "server certificate for": "use a name that the certificate has, or another sslmode",
}
"""What a server, or the driver, says where trying again is of no use -> what is."""
_MISREAD: Final = "connection is bad: invalid"
"""What is no value of its option may be a piece of something else: it is not shown."""
_NOT_YET: Final = ("the database system is", "is not currently accepting connections")
"""... but it will be."""


class PostgresConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which database, and how much it keeps."""

    url: Annotated[
        Secret,
        Meta(
            description="postgresql://[user:password@]host:port/database, with libpq's options "
            "behind a question mark: sslmode, sslrootcert, target_session_attrs, several hosts."
        ),
    ] = msgspec.field(default_factory=lambda: Secret("postgresql://127.0.0.1:5432/watchkeeper"))
    schema: Annotated[
        str,
        Meta(
            pattern=r"^[a-z_][a-z0-9_]{0,62}$",
            description="Where its tables are. Several installations share a database under "
            "different ones.",
        ),
    ] = "watchkeeper"
    record_limit: Annotated[
        int,
        Meta(
            ge=1,
            description="Records kept per tenant; beyond it the oldest that have ended are "
            "deleted.",
        ),
    ] = 200_000
    outbox_limit: Annotated[
        int,
        Meta(
            ge=1,
            description="Events kept for readers that resume; who was away for longer starts over.",
        ),
    ] = 100_000
    timeout_s: Annotated[
        float, Meta(ge=0.1, description="How long the server may take over one thing.")
    ] = 10.0
    durable: Annotated[
        bool,
        Meta(
            description="Insist that the server keeps what it has answered for (fsync, "
            "synchronous_commit). Without it a crash of the server loses state."
        ),
    ] = True
    finish_upgrade: Annotated[
        bool,
        Meta(
            description="Apply also those changes of the schema that the release before cannot "
            "run beside. For one start, once every process runs this release."
        ),
    ] = False


class Server:
    """Where a process keeps its state. Foreign errors become ours here, and nowhere else."""

    def __init__(self, config: PostgresConfig) -> None:
        self._config = config
        given = _parsed(config)
        self._conninfo = make_conninfo(**given)
        self._secrets = [str(given[name]) for name in _SECRETS if given.get(name)]
        host = given.get("host") or given.get("hostaddr") or "the local socket"
        self.place = f"{host}:{given.get('port', 5432)}/{given.get('dbname', '')}"

    def prepare(self) -> None:
        """Whether it can be used, and its schema up to date. Raises ConfigError where it cannot."""
        with self.translated(), self.connect() as connection:
            self._check(connection)
            try:
                schema.migrate(connection, self._config.schema, finish=self._config.finish_upgrade)
            except ConfigError as error:
                raise ConfigError([self._told(fault) for fault in error.faults]) from None
            except psycopg.errors.InsufficientPrivilege as error:
                remedy = (
                    f"run GRANT ALL ON SCHEMA {self._config.schema} TO ..., or start as its owner"
                )
                raise ConfigError(self._told(f"{self._text(error)}; {remedy}")) from None

    def look(self) -> None:
        """The same, changing nothing, and whatever its schema is."""
        with self.translated(), self.connect() as connection:
            self._check(connection)

    def connect(self) -> Connection:
        """A new connection, ready for statements. Raises ConfigError where a person must help."""
        try:
            connection = psycopg.connect(self._conninfo, autocommit=True)
        except psycopg.Error as error:
            raise self._unreached(self._text(error)) from None
        try:
            connection.isolation_level = IsolationLevel.READ_COMMITTED
            timeout_ms = str(round(self._config.timeout_s * 1000))
            values = {"schema": self._config.schema, "timeout_ms": timeout_ms}
            connection.execute(query("prepare_session"), values)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """What is wrong with the server or the way there may be put right; what is wrong with
        tables or statements is not by waiting."""
        try:
            yield
        except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as error:
            # The cause is left out, for it may hold what the text must not.
            raise Retryable(
                self._told(f"{self._text(error)}; check the server and store.url")
            ) from None
        except psycopg.Error as error:
            raise Permanent(
                self._told(f"{self._text(error)}; its tables are not as this release made them: "
                           "restore a backup, or set another store.schema")
            ) from None  # fmt: skip

    def _check(self, connection: Connection) -> None:
        found = connection.execute(query("read_settings"), {"names": list(schema.SETTINGS)})
        settings: dict[str, str] = dict(found.fetchall())
        version = connection.info.server_version
        faults = schema.unfit(version, settings, durable=self._config.durable)
        if faults:
            raise ConfigError([self._told(fault) for fault in faults])

    def _unreached(self, text: str) -> WatchkeeperError:
        if text.startswith(_MISREAD):
            return _no_address()
        if not any(phrase in text for phrase in _NOT_YET):
            for phrase, remedy in _REMEDIES.items():
                if phrase in text:
                    return ConfigError(self._told(f"{text}; {remedy}"))
        return Retryable(self._told(f"{text}; check the server and store.url"))

    def _told(self, what: str) -> str:
        return f"store postgres: the server at {self.place}: {what}"

    def _text(self, error: psycopg.Error) -> str:
        """What was said, in one line, without rows of data and without secrets."""
        text = " ".join((error.diag.message_primary or str(error)).split())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _parsed(config: PostgresConfig) -> Mapping[str, Any]:
    """The parts of the address, with what makes a silent server fail in time."""
    patience_s = max(2, round(config.timeout_s))
    ours = {
        "application_name": "watchkeeper",
        "connect_timeout": patience_s,
        "tcp_user_timeout": round(config.timeout_s * 1000),
        "keepalives_idle": patience_s,
        "keepalives_interval": patience_s,
        "keepalives_count": 3,
    }
    url = config.url.reveal()
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:
        raise _no_address() from None
    # A password with such a sign in it is cut there, and its end taken for a host, port or name.
    ports = str(given.get("port", "")).split(",")
    if url.partition("?")[0].count("@") > 1 or not all(re.fullmatch(r"\d*", one) for one in ports):
        raise _no_address()
    # Ours, since all that we send and read is UTF-8.
    return ours | given | {"client_encoding": "UTF8"}


def _no_address() -> ConfigError:
    return ConfigError(
        "store postgres: store.url is no address of a server; write "
        "postgresql://user:password@host:port/database, with %40 for an @ in a name or password, "
        "%3A for a colon and %2F for a slash"
    )
