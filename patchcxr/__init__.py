"""patchcxr: patch-based classification and infection maps for chest X-ray research.

For research only; not a medical device and not for clinical use.
"""

__version__ = "0.4.0"
