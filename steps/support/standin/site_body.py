"""The bodies of the endpoints' answers, built from the columns that the live code has read."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from time import time as clock
from typing import Any

from steps.support.sql.statement import Value

Row = Mapping[str, Value]

POWER = ("solar_w", "solar_inverter_w", "shunt_w", "load_w", "battery_w", "grid_w")
TOTALS = (
    "solar_kwh_total",
    "load_kwh_total",
    "battery_in_kwh_total",
    "battery_out_kwh_total",
    "grid_in_kwh_total",
    "grid_out_kwh_total",
)
INVERTER = ("fault_code", "fault_timestamp", "generator_status")
SYSTEM = ("model", "serial", "ratings", "solar_size", "battery_size")
POLL_TIMES = ("last_poll_time", "last_success_time", "last_error_time")
POLLS = ("last_error", "consecutive_errors", "total_polls", "successful_polls")

BROKEN = {"success": False, "error": "Internal server error"}
UNAUTHORIZED = {"success": False, "error": "Unauthorized"}


class InvalidTimeError(ValueError):
    """A time column holds something that is not a time, so the code that serves it fails."""


def data(row: Row) -> dict[str, Any]:
    """Return the answer with the latest reading of a system."""
    return {
        "success": True,
        "latest": _latest(row),
        "historical": {"yesterday": _yesterday(row)},
        "inverterTime": time(row.get("inverter_time")),
        "receivedTime": time(row.get("received_time")),
        "vendorType": row.get("vendor_type", "select.live"),
        "vendorSiteId": row.get("vendor_site_id", row.get("system_number")),
        "displayName": row.get("display_name"),
        "systemInfo": _renamed(row, SYSTEM),
        "polling": _polling(row),
    }


def no_data(row: Row) -> dict[str, Any]:
    """Return the answer for a system that has no reading."""
    error = row.get("last_error") or "No data available yet."
    return {"success": False, "error": error, "polling": _polling(row)}


def polled(systems: Sequence[Value], outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer of a cron run that had the same outcome for every system."""
    if not systems:
        return {"success": True, "message": "No systems to poll", "count": 0}
    results = [{"system": system, **outcome} for system in systems]
    return {"success": True, "timestamp": time(clock()), "count": len(results), "results": results}


def time(value: Value) -> str | None:
    """Return seconds since 1970 as the app formats them; None for None. Raise InvalidTimeError if it is not a time."""
    if value is None:
        return None
    if not isinstance(value, int | float):
        raise InvalidTimeError(f"{value!r} is not a number of seconds")
    return datetime.fromtimestamp(value, UTC).isoformat(timespec="seconds")


def _latest(row: Row) -> dict[str, Any]:
    totals = {_camel(name.removesuffix("_total")): row.get(name) for name in TOTALS}
    return {
        "timestamp": time(row.get("inverter_time")),
        "power": _renamed(row, POWER),
        "soc": {"battery": row.get("battery_soc")},
        "energy": {"today": {}, "total": totals},
        "system": _renamed(row, INVERTER),
    }


def _yesterday(row: Row) -> dict[str, Any] | None:
    if row.get("day") is None:
        return None
    intervals = row.get("interval_count")
    coverage = f"{round(intervals / 2.88)}%" if isinstance(intervals, int) else None
    quality = {"intervalCount": intervals, "coverage": coverage}
    return {"date": row["day"], "energy": _renamed(row, ("solar_kwh", "load_kwh")), "dataQuality": quality}


def _polling(row: Row) -> dict[str, Any]:
    times = {_camel(name): time(row.get(name)) for name in POLL_TIMES}
    return {**times, **_renamed(row, POLLS), "isActive": bool(row.get("is_active", 1))}


def _renamed(row: Row, names: tuple[str, ...]) -> dict[str, Value]:
    return {_camel(name): row.get(name) for name in names}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
