"""Calibration: what a model does from step to step, measured once, and what follows from it."""

from .calibration import Average, Calibration, Costs, ModelFacts, Part, RunFacts
from .choose import By, Parts, Selection, Selector, Target, choose
from .prediction import Prediction, Predictor, predict
from .study import Study
from .table import Branch, ErrorTable, Lags, Place

__all__ = [
    "Average",
    "Branch",
    "By",
    "Calibration",
    "Selector",
    "Selection",
    "Costs",
    "ErrorTable",
    "Predictor",
    "Lags",
    "ModelFacts",
    "Part",
    "Parts",
    "Place",
    "Prediction",
    "RunFacts",
    "Study",
    "Target",
    "choose",
    "predict",
]
