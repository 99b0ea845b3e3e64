"""Pure folds over events: the bill, the trace, the list of runs. Everything shown of a run is computed here."""

from outlay.analysis.bill import Bill, BillFold
from outlay.analysis.billlines import BillLine, RunHead
from outlay.analysis.cachehealth import CacheHealth

__all__ = ["Bill", "BillFold", "BillLine", "CacheHealth", "RunHead"]
