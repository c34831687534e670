"""Measures over arrays: overlap, classification, localization, biomarkers, severity."""
