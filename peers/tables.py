"""Reading a lake's tables with engines that are not Wardlake, and comparing rows whatever their order."""

import datetime
import decimal
import hashlib
import pathlib

import deltalake
import duckdb
import polars
import pyarrow
import pyarrow.parquet


def location(lake: str, table: str) -> pathlib.Path:
    """The folder of `schema.name`: the name may hold further dots, the schema holds none."""
    schema, _, name = table.partition(".")
    return pathlib.Path(lake) / schema / name


def is_delta(lake: str, table: str) -> bool:
    return (location(lake, table) / "_delta_log").is_dir()


def with_deltalake(lake: str, table: str) -> pyarrow.Table:
    return deltalake.DeltaTable(location(lake, table)).to_pyarrow_table()


def with_polars(lake: str, table: str) -> pyarrow.Table:
    return polars.read_delta(str(location(lake, table))).to_arrow()


def with_duckdb(lake: str, table: str) -> pyarrow.Table:
    """DuckDB's own Parquet reader over the files the log names: its delta extension is not on PyPI."""
    delta = deltalake.DeltaTable(location(lake, table))
    files = delta.file_uris()
    columns = [field.name for field in delta.schema().fields]
    if not files:
        return with_deltalake(lake, table)
    partitioned = bool(delta.metadata().partition_columns)
    query = "select * from read_parquet($files, union_by_name = true, hive_partitioning = $partitioned, hive_types_autocast = false)"
    relation = duckdb.sql(query, params={"files": files, "partitioned": partitioned})
    return relation.to_arrow_table().select(columns)


READERS = {"deltalake": with_deltalake, "polars": with_polars, "duckdb": with_duckdb}


def exported(folder: str | None, table: str) -> pathlib.Path | None:
    """Wardlake's own reading of a table or view, written by `wardlake sql --format parquet`."""
    if folder is None:
        return None
    name = table.partition(".")[2]
    candidates = [pathlib.Path(folder) / f"{stem}.parquet" for stem in (table, name)]
    return next((path for path in candidates if path.is_file()), None)


def from_parquet(path: pathlib.Path) -> pyarrow.Table:
    return pyarrow.parquet.ParquetFile(path).read()


def rows(table: pyarrow.Table) -> list[tuple]:
    """Every row as plain values: decimals and integers stay exact, instants become naive UTC."""
    columns = [[plain(value) for value in column.to_pylist()] for column in table.columns]
    return list(zip(*columns)) if columns else [()] * table.num_rows


def plain(value):
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    if isinstance(value, list):
        return tuple(plain(item) for item in value)
    if isinstance(value, dict):
        return tuple((key, plain(item)) for key, item in sorted(value.items()))
    return value


def text(value) -> str:
    """One spelling per value, whichever type an engine chose to hold it."""
    match value:
        case None:
            return "\\N"
        case bool():
            return str(value).lower()
        case decimal.Decimal():
            return format(value.normalize(), "f") if value else "0"
        case datetime.datetime():
            return value.isoformat(timespec="microseconds")
        case datetime.date():
            return value.isoformat()
        case bytes():
            return value.hex()
        case _:
            return str(value).replace("\\", "\\\\").replace("\x1f", "\\x1f")


def digest(table: pyarrow.Table) -> str:
    """A sum over the rows' hashes: the same for the same rows in any order, and a row that is there twice counts twice."""
    total = 0
    for row in rows(table):
        hashed = hashlib.sha256("\x1f".join(text(value) for value in row).encode()).digest()
        total = (total + int.from_bytes(hashed[:16], "big")) % (1 << 128)
    return f"{total:032x}"
