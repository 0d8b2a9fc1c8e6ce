"""Calibration: what a model does from step to step, measured once, and what follows from it."""

from .calibration import Average, Calibration, Costs, ModelFacts, RunFacts
from .choose import Chosen, Wish, choose
from .prediction import Prediction, predict
from .scan import scan
from .table import Branch, ErrorTable, Lags, Place

__all__ = [
    "Average",
    "Branch",
    "Calibration",
    "Chosen",
    "Costs",
    "ErrorTable",
    "Lags",
    "ModelFacts",
    "Place",
    "Prediction",
    "RunFacts",
    "Wish",
    "choose",
    "predict",
    "scan",
]
