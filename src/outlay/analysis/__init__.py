"""Pure folds over events: the bill, the trace, the list of runs. Everything shown of a run is computed here."""

from outlay.analysis.bill import Bill, BillFold
from outlay.analysis.billlines import BillLine, RunHead

__all__ = ["Bill", "BillFold", "BillLine", "RunHead"]
