"""`python -m kovocab` is `kovocab`."""

import sys

from kovocab.cli import main

sys.exit(main())
