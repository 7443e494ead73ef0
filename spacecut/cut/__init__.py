"""From rules to decisions with evidence, to a reduced space, to a certificate."""

from spacecut.cut.certificate import Certificate
from spacecut.cut.reduction import TOLERANCE, Decision, Reduction, cut, load_reduction

__all__ = ["TOLERANCE", "Certificate", "Decision", "Reduction", "cut", "load_reduction"]
