"""Patches: where they lie, how they are drawn and how they are reassembled."""
