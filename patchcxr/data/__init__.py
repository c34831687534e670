"""The cohort table, its sources, splits and the synthetic cohort."""
