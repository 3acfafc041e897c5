"""Reports over a table of sales, for Lua: pandas reads, groups, and counts."""

from __future__ import annotations

import dataclasses

import nffi
import pandas as pd

# read once for each worker; runtime:reload() reads it again
sales = pd.read_csv(nffi.config()["file"], parse_dates=["day"])
sales["total"] = sales["price"] * sales["pieces"]

COLUMNS = ("region", "product")


@dataclasses.dataclass
class Group:
    by: str
    since: str | None = None


def _since(day):
    try:
        return sales if day is None else sales[sales["day"] >= pd.Timestamp(day)]
    except ValueError:
        raise nffi.Error(f"that is no day: {day}") from None


def totals(request: Group):
    """Sum, mean and 95th percentile of each region or product, the largest first."""
    if request.by not in COLUMNS:
        raise nffi.Error(f"sales are grouped by {' or '.join(COLUMNS)}, not by {request.by}")
    groups = _since(request.since).groupby(request.by)["total"]
    table = groups.agg(["count", "sum", "mean"])
    table["p95"] = groups.quantile(0.95)
    table = table.sort_values("sum", ascending=False).round(2)
    return [{"name": name, **row} for name, row in table.to_dict("index").items()]


def months(request):
    """A stream: one month after the other, with what its best product was."""
    for month, rows in sales.groupby(sales["day"].dt.to_period("M")):
        best = rows.groupby("product")["total"].sum()
        yield {"month": str(month), "total": round(rows["total"].sum(), 2), "best": best.idxmax()}
