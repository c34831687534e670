"""The options of the commands, a file a topic. Nothing heavy is imported, so that ``--help`` answers at once."""
