"""`python -m evface_edge` is the command `evface-edge`."""

import sys

from evface_edge.cli import main

sys.exit(main())
