"""`python -m kovocab` is `kovocab`."""

import sys

from kovocab.cli.main import main

sys.exit(main())
