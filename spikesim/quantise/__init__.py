"""Float to fixed point for a target: choices, a report of what they change, training in the chip's arithmetic."""

from spikesim.quantise.chip_form import ChipForm, chip_form
from spikesim.quantise.distance import Difference, difference
from spikesim.quantise.loihi import quantise
from spikesim.quantise.measured import Cause, Measured, measure
from spikesim.quantise.report import PopulationReport, ProjectionReport, Quantised
from spikesim.quantise.split import Parts
from spikesim.quantise.tuning import fine_tune

__all__ = [
    "Cause",
    "ChipForm",
    "Difference",
    "Measured",
    "Parts",
    "PopulationReport",
    "ProjectionReport",
    "Quantised",
    "chip_form",
    "difference",
    "fine_tune",
    "measure",
    "quantise",
]
