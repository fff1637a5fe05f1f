"""`make docs`: writes every document that is made from code."""

from tests.docs.generated import DOCUMENTS
from tests.docs.pages import ROOT

if __name__ == "__main__":
    for path, text in DOCUMENTS.items():
        (ROOT / path).write_text(text(), encoding="utf-8")
