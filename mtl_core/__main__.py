"""``python -m mtl_core``: work without a browser."""

import sys

from mtl_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
