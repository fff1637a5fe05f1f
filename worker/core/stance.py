"""What becomes of a certificate that breaks a rule."""

from typing import Literal

Stance = Literal["refuse", "warn", "allow"]
