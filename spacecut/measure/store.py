"""The store of raw samples: every run is committed as it ends, so a kill at any moment loses none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sql

from spacecut.errors import InputError, MeasurementError
from spacecut.measure.run import PlatformRecord, Run, Task

__all__ = ["DEFAULT_STORE", "Store"]

DEFAULT_STORE = ".spacecut/measurements.sqlite"

_LATER = ("clock_mhz", "preparing")  # columns that stores of earlier versions lack

_metadata = sql.MetaData()
_platforms = sql.Table(
    "platforms",
    _metadata,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("record", sql.Text, nullable=False, unique=True),
)
_runs = sql.Table(
    "runs",
    _metadata,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("platform", sql.ForeignKey("platforms.id"), nullable=False),
    sql.Column("network", sql.Text, nullable=False),
    sql.Column("nodes", sql.Boolean, nullable=False),
    sql.Column("repeat", sql.Integer, nullable=False),
    sql.Column("taken_at", sql.Text, nullable=False),
    sql.Column("seconds", sql.Float, nullable=False),
    sql.Column("total_ms", sql.Text, nullable=False),
    sql.Column("node_ms", sql.Text, nullable=False),
    sql.Column("watched_ms", sql.Text, nullable=False),
    sql.Column("reference_ms", sql.Float, nullable=False),
    *(sql.Column(name, sql.Float, nullable=False, server_default="0") for name in _LATER),
    sql.Column("error", sql.Text),
    sql.UniqueConstraint("platform", "network", "nodes", "repeat"),
)


class Store:
    """Runs of one platform in a database.

    Args:
        url: A path of a SQLite file, or an SQLAlchemy URL.
        platform: The platform whose runs are read and written.

    Raises:
        InputError: The store cannot be opened.
    """

    def __init__(self, url: str, platform: PlatformRecord) -> None:
        record = _key(platform)
        try:
            if "://" not in url:
                Path(url).expanduser().parent.mkdir(parents=True, exist_ok=True)
                url = f"sqlite:///{Path(url).expanduser()}"
            self._engine = sql.create_engine(url)
            if self._engine.dialect.name == "sqlite":
                sql.event.listen(self._engine, "connect", _write_ahead)
            _metadata.create_all(self._engine)
            there = {column["name"] for column in sql.inspect(self._engine).get_columns("runs")}
            with self._engine.begin() as connection:
                for name in (name for name in _LATER if name not in there):
                    connection.execute(sql.text(f"ALTER TABLE runs ADD COLUMN {name} FLOAT NOT NULL DEFAULT 0"))
                found = sql.select(_platforms.c.id).where(_platforms.c.record == record)
                number = connection.execute(found).scalar()
                if number is None:
                    connection.execute(_platforms.insert().values(record=record))
                    number = connection.execute(found).scalar_one()
        except (sql.exc.SQLAlchemyError, ImportError, OSError) as error:
            raise InputError(f"store {url!r} cannot be opened: {_problem(error)}; give another --store") from None
        self._platform = number

    def find(self, task: Task) -> Run | None:
        """The run of a task, a failed one too; None where there is none.

        Raises:
            InputError: The store holds something else, or is another version's.
        """
        rows = self._select(sql.select(_runs).where(*self._same(task)))
        try:
            return _read(rows[0]) if rows else None
        except (ValueError, KeyError, TypeError) as error:
            raise _unreadable(error) from None

    def succeeded(self) -> bool:
        """Whether any run of the platform went well.

        Raises:
            InputError: The store holds something else, or is another version's.
        """
        mine = (_runs.c.platform == self._platform, _runs.c.error.is_(None))
        return bool(self._select(sql.select(_runs.c.id).where(*mine).limit(1)))

    def _select(self, query: Any) -> Sequence[Any]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(query).mappings().all()
        except sql.exc.SQLAlchemyError as error:
            raise _unreadable(error) from None

    def _same(self, task: Task) -> list[Any]:
        """What is true of the row of a task."""
        return [_runs.c.platform == self._platform, *(_runs.c[key] == value for key, value in asdict(task).items())]

    def add(self, run: Run) -> None:
        """Commit a run; an earlier failure of the same task gives way to it.

        Raises:
            MeasurementError: The store cannot be written.
        """
        row = {
            "platform": self._platform,
            **asdict(run.task),
            "taken_at": run.taken_at,
            "seconds": run.seconds,
            "total_ms": json.dumps(run.total_ms),
            "node_ms": json.dumps(run.node_ms),
            "watched_ms": json.dumps(run.watched_ms),
            "reference_ms": run.reference_ms,
            "error": run.error,
            **{name: getattr(run, name) for name in _LATER},
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(_runs.delete().where(*self._same(run.task)))
                connection.execute(_runs.insert().values(row))
        except sql.exc.SQLAlchemyError as error:
            raise MeasurementError(f"the store cannot be written: {_problem(error)}") from None

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()


def _key(platform: PlatformRecord) -> str:
    """What tells platforms apart; what only an estimate has is left out of measurements' keys."""
    fields = asdict(platform)
    for name in ("deterministic", "estimated_by"):
        if not fields[name]:
            del fields[name]
    return json.dumps(fields, sort_keys=True)


def _unreadable(error: Exception) -> InputError:
    return InputError(f"the store cannot be read: {_problem(error)}; give another --store")


def _problem(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]


def _write_ahead(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _read(row: Any) -> Run:
    nodes = json.loads(row["node_ms"])
    return Run(
        Task(row["network"], row["nodes"], row["repeat"]),
        row["taken_at"],
        row["seconds"],
        tuple(json.loads(row["total_ms"])),
        {int(node): tuple(times) for node, times in nodes.items()},
        tuple(json.loads(row["watched_ms"])),
        row["reference_ms"],
        row["error"],
        **{name: row[name] for name in _LATER},
    )
