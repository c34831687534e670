"""Intensity, geometry, lung fields, and the store of prepared films."""
