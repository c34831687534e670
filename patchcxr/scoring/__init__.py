"""Scoring of large cohorts, on one machine or many: parts that are claimed, scored and written whole or not at all."""
