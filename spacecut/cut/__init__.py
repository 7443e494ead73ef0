"""From rules to decisions with evidence, to a reduced space, to a certificate."""

from spacecut.cut.certificate import Certificate
from spacecut.cut.check import Check, check_certificate
from spacecut.cut.cutting import TOLERANCE, cut
from spacecut.cut.mixing import mix
from spacecut.cut.reduction import Decision, Outcome, Reduction, load_reduction, saved
from spacecut.cut.regrid import Gain, gain, regrid
from spacecut.cut.rules import Rule, RuleBook, read_rules

__all__ = [
    "TOLERANCE",
    "Certificate",
    "Check",
    "Decision",
    "Gain",
    "Outcome",
    "Reduction",
    "Rule",
    "RuleBook",
    "check_certificate",
    "cut",
    "gain",
    "load_reduction",
    "mix",
    "read_rules",
    "regrid",
    "saved",
]
