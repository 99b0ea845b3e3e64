"""Run the benches and print their figures beside those of their rivals.

    python -m bench                 all of them
    python -m bench call history    some of them
    python -m bench --quick         fewer repeats
    python -m bench --json          for programs
    python -m bench --strict        exits with 1 where a target is missed

Contestants take turns in processes of their own, in one session; figures are medians over the turns, ratios medians
of the ratios turn by turn. CPU is that of all threads of the client. Nothing but loopback is used. Absolute figures
depend on the machine and on what else it does; the ratios should not, much.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import math
import sys
from collections.abc import Sequence

from bench.contest import Figure

BENCHES = (
    "call",
    "transport",
    "fanout",
    "history",
    "store",
    "imports",
    "bus",
    "sharing",
    "journal",
    "forecast",
    "faults",
