"""Reading and writing of radiographs, masks and checkpoints."""
