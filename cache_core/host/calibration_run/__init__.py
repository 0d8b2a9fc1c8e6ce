"""A run that is measured for a calibration."""
