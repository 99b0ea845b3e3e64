"""What a flow will cost, take and manage, before it is run: a closed form, and simulation in virtual time."""

from outlay.forecast.assumptions import Assumed, Assumptions, Confusion
from outlay.forecast.calibration import Fitted, fit_runs, held_against
from outlay.forecast.closed import NotApplicable, closed_form
from outlay.forecast.distributions import Empirical, Fixed, Lognormal
from outlay.forecast.expect import Expect
from outlay.forecast.expected import Expected, Share
from outlay.forecast.foresight import Forecast, forecast
from outlay.forecast.reliability import Step

__all__ = [
    "Assumed",
    "Assumptions",
    "Confusion",
    "Empirical",
    "Expect",
    "Expected",
    "Fitted",
    "Fixed",
    "Forecast",
    "Lognormal",
    "NotApplicable",
    "Share",
    "Step",
    "closed_form",
    "fit_runs",
    "forecast",
    "held_against",
]
