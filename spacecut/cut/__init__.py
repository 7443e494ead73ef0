"""From rules to decisions with evidence, to a reduced space, to a certificate."""

from spacecut.cut.certificate import Certificate
from spacecut.cut.check import Check, check_certificate
from spacecut.cut.cutting import TOLERANCE, cut
from spacecut.cut.reduction import Decision, Outcome, Reduction, load_reduction, saved
from spacecut.cut.regrid import Gain, gain, regrid

__all__ = [
    "TOLERANCE",
    "Certificate",
    "Check",
    "Decision",
    "Gain",
    "Outcome",
    "Reduction",
    "check_certificate",
    "cut",
    "gain",
    "load_reduction",
    "regrid",
    "saved",
]
