"""Float to fixed point for a target, with a report of the error."""
