"""Browser review of masks: readers choose, correct or reject the masks that networks propose, until films have a truth.

The collaborative scheme of Degerli 2021 (section III.A), in which networks and radiologists take turns. Everything that
readers do is kept in one file, see :mod:`patchcxr.review.store`. For research, not for clinical use.
"""
