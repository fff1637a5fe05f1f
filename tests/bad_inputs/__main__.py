"""`python -m tests.bad_inputs > docs/bad-inputs.md`: the table as a document."""

import sys

from tests.bad_inputs.document import document

sys.stdout.write(document())
