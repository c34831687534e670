"""``python -m patchcxr``."""

import sys

from patchcxr.cli import main

sys.exit(main())
