"""Datasets, losses and one function that fits a network."""
