"""Grad-CAM, probabilistic Grad-CAM and infection maps."""
