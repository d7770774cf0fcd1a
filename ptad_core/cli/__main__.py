"""``python -m ptad_core.cli``: the same as ``ptad``, where no script is installed."""

import sys

from ptad_core.cli import main

sys.exit(main())
