"""Float to fixed point for a target, with a report of the error."""

from spikesim.quantise.chip_form import ChipForm, chip_form
from spikesim.quantise.loihi import PopulationReport, ProjectionReport, Quantised, quantise

__all__ = ["ChipForm", "PopulationReport", "ProjectionReport", "Quantised", "chip_form", "quantise"]
