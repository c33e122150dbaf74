"""`SqlJobStore`: jobs in SQLite (a file, in WAL mode) or PostgreSQL, through SQLAlchemy.

What is searched for has a column; the rest of a job is JSON text. Every change begins with an UPDATE that names the
version it was made for: the row it locks orders all who change or log the same job, so that numbers of a log have no
gaps and nobody reads a later line before an earlier one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, OperationalError, ProgrammingError

from fusegpt.config import SettingError
from service.errors import ClusterUnreachable, NotFound
from service.jobs.job import Event, EventKind, Job, now
from service.jobs.state import JobState
from service.jobs.store import changed, first_version, key_reused, name_taken, overtaken

WAIT_S = 30  # for another writer's lock, and for the server's answer
EXAMPLES = "sqlite:////var/lib/fusegpt/jobs.db or postgresql://user@host/database"

_schema = MetaData()
_jobs = Table(
    "jobs",
    _schema,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("experiment", Text, nullable=False, index=True),
    Column("state", Text, nullable=False, index=True),
    Column("owner", Text, nullable=False),
    Column("idempotency_key", Text),  # NULL where there is none: NULLs are never equal
    Column("version", Integer, nullable=False),
    Column("logged", Integer, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("owner", "idempotency_key", name="one_job_a_key"),
    sqlite_autoincrement=True,
)
_events = Table(
    "events",
    _schema,
    Column("job", Text, ForeignKey("jobs.id"), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("time", Float, nullable=False),
    Column("kind", Text, nullable=False),
    Column("trial", Text, nullable=False, index=True),
    Column("data", Text, nullable=False),
)


class SqlJobStore:
    """Implements JobStore. Opening it makes the tables where they are missing."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        with _reaching():
            _make_tables(self._engine)

    def submit(self, job: Job) -> Job:
        kept = first_version(job)
        try:
            with self._writing() as connection:
                number = connection.execute(insert(_jobs).values(_row(kept, logged=0)).returning(_jobs.c.number))
                kept = kept.model_copy(update={"number": number.scalar_one()})
                _log(connection, job.id, "state", {"from": "", "to": job.state, "reason": job.reason})
        except IntegrityError:
            return self._earlier(kept)
        return kept

    def get(self, id_or_name: str) -> Job:
        with self._reading() as connection:
            return _job(_one(connection, id_or_name))

    def jobs(
        self, states: Collection[JobState] = (), experiment: str = "", before: int = 0, limit: int = 100
    ) -> list[Job]:
        query = select(_jobs).order_by(_jobs.c.number.desc()).limit(limit)
        if states:
            query = query.where(_jobs.c.state.in_(sorted(states)))
        if experiment:
            query = query.where(_jobs.c.experiment == experiment)
        if before:
            query = query.where(_jobs.c.number < before)
        with self._reading() as connection:
            return [_job(row) for row in connection.execute(query)]

    def update(self, job: Job, **changes: Any) -> Job:
        after, lines = changed(job, changes)
        this = (_jobs.c.id == job.id) & (_jobs.c.version == job.version)
        with self._writing() as connection:
            row = {"state": after.state, "version": after.version, "body": after.model_dump_json()}
            if connection.execute(update(_jobs).where(this).values(row)).rowcount != 1:
                _one(connection, job.id)
                raise overtaken(job)
            for kind, data in lines:
                _log(connection, job.id, kind, data)
        return after

    def append(self, job_id: str, kind: EventKind, data: dict[str, Any], trial: str = "") -> Event:
        with self._writing() as connection:
            return _log(connection, job_id, kind, data, trial)

    def events(self, job_id: str, after: int = 0, trial: str = "", limit: int = 1000) -> list[Event]:
        query = select(_events).where(_events.c.job == job_id, _events.c.sequence > after)
        if trial:
            query = query.where(_events.c.trial == trial)
        return self._read_events(job_id, query.order_by(_events.c.sequence).limit(limit))

    def newest(self, job_id: str, kind: EventKind) -> Event | None:
        query = select(_events).where(_events.c.job == job_id, _events.c.kind == kind)
        found = self._read_events(job_id, query.order_by(_events.c.sequence.desc()).limit(1))
        return found[0] if found else None

    def trials(self, job_id: str) -> list[Event]:
        about = _events.c.job == job_id, _events.c.trial != ""
        newest = select(func.max(_events.c.sequence)).where(*about).group_by(_events.c.trial)
        query = select(_events).where(*about, _events.c.sequence.in_(newest)).order_by(_events.c.trial)
        return self._read_events(job_id, query)

    def close(self) -> None:
        self._engine.dispose()

    def _read_events(self, job_id: str, query: Any) -> list[Event]:
        with self._reading() as connection:
            found = [_event(row) for row in connection.execute(query)]
            if not found:
                _one(connection, job_id)
        return found

    def _earlier(self, job: Job) -> Job:
        """The job that stands in the way of this one: the same request, or a conflict."""
        query = select(_jobs).where(_jobs.c.owner == job.owner, _jobs.c.idempotency_key == job.idempotency_key)
        with self._reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise name_taken(job.name)
        earlier = _job(row)
        if earlier.request != job.request:
            raise key_reused(job)
        return earlier

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with _reaching(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with _reaching(), self._engine.begin() as connection:
            yield connection


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        cause = str(error.orig).strip().splitlines()[0]
        raise ClusterUnreachable(f"FUSEGPT_STORE: the job store does not answer ({cause})") from None


def _engine(written: str) -> Engine:
    try:
        url = make_url(written)
        if url.drivername in ("postgresql", "postgres"):
            url = url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() == "postgresql":
            return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": WAIT_S})
        if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
            raise ArgumentError
    except (ArgumentError, NoSuchModuleError):
        # Not the URL itself: it may hold a password.
        raise SettingError(f"FUSEGPT_STORE: is no URL of a store; write {EXAMPLES}") from None
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": WAIT_S})
    event.listen(engine, "connect", _tune_sqlite)
    return engine


def _tune_sqlite(connection: Any, _record: Any) -> None:
    """WAL: readers never wait for a writer. NORMAL: a power cut may cost the last moments, never the file."""
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _make_tables(engine: Engine) -> None:
    """Two processes may open a new store at the same moment; the one that comes second finds the tables there."""
    try:
        _schema.create_all(engine)
    except (IntegrityError, ProgrammingError, OperationalError):
        _schema.create_all(engine)


# Columns of their own; the body holds the rest.
_COLUMNS = ("number", "id", "name", "experiment", "state", "owner", "version")


def _row(job: Job, logged: int) -> dict[str, Any]:
    columns = {key: getattr(job, key) for key in _COLUMNS if key != "number"}
    key = job.idempotency_key or None
    return {**columns, "idempotency_key": key, "logged": logged, "body": job.model_dump_json()}


def _job(row: Row[Any]) -> Job:
    columns = dict(row._mapping)
    return Job.model_validate({**json.loads(columns["body"]), **{key: columns[key] for key in _COLUMNS}})


def _one(connection: Connection, id_or_name: str) -> Row[Any]:
    for column in (_jobs.c.id, _jobs.c.name):
        row = connection.execute(select(_jobs).where(column == id_or_name)).one_or_none()
        if row is not None:
            return row
    raise NotFound(f"there is no job {id_or_name!r}")


def _log(connection: Connection, job_id: str, kind: EventKind, data: dict[str, Any], trial: str = "") -> Event:
    """One line at the end of a job's log, in the transaction of `connection`."""
    count = update(_jobs).where(_jobs.c.id == job_id).values(logged=_jobs.c.logged + 1).returning(_jobs.c.logged)
    sequence = connection.execute(count).scalar_one_or_none()
    if sequence is None:
        raise NotFound(f"there is no job {job_id!r}")
    line = Event(job=job_id, sequence=sequence, time=now(), kind=kind, trial=trial, data=data)
    values = {**line.model_dump(), "time": line.time.timestamp(), "data": json.dumps(data)}
    connection.execute(insert(_events).values(values))
    return line


def _event(row: Row[Any]) -> Event:
    columns = dict(row._mapping)
    return Event.model_validate({**columns, "data": json.loads(columns["data"])})
