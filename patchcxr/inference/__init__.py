"""Segmentation, voting, and infection detection with trained models."""
