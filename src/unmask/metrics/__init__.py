"""How good an estimate is: functions of ``(estimate, target)``, in dB unless said otherwise."""

from unmask.metrics.bsseval import BSSEval, ConditionWarning, bss_eval
from unmask.metrics.energy import sdr, snr
from unmask.metrics.permutation import best_permutation, pairwise, permute
from unmask.metrics.scale_invariant import si_sar, si_sdr, si_sir
from unmask.metrics.summary import Summary, summary

__all__ = [
    "BSSEval",
    "ConditionWarning",
    "Summary",
    "best_permutation",
    "bss_eval",
    "pairwise",
    "permute",
    "sdr",
    "si_sar",
    "si_sdr",
    "si_sir",
    "snr",
    "summary",
]
