"""From rules to decisions with evidence, to a reduced space, to a certificate."""

from spacecut.cut.certificate import Certificate
from spacecut.cut.check import Check, check_certificate
from spacecut.cut.reduction import TOLERANCE, Decision, Reduction, cut, load_reduction

__all__ = [
    "TOLERANCE",
    "Certificate",
    "Check",
    "Decision",
    "Reduction",
    "check_certificate",
    "cut",
    "load_reduction",
]
