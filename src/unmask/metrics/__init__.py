"""How good an estimate is: functions of ``(estimate, target)``, in dB unless said otherwise."""

from unmask.metrics.bleed import Bleed, bleed
from unmask.metrics.bsseval import BSSEval, ConditionWarning, bss_eval
from unmask.metrics.composite import Composite, composite
from unmask.metrics.dnsmos import DNSMOS, Opinion
from unmask.metrics.energy import sdr, snr
from unmask.metrics.log_wmse import log_wmse
from unmask.metrics.permutation import best_permutation, pairwise, permute
from unmask.metrics.running import RunningScores
from unmask.metrics.scale_invariant import si_sar, si_sdr, si_sir
from unmask.metrics.segmental import segmental_snr
from unmask.metrics.speech import pesq, stoi
from unmask.metrics.stft_distance import Resolution, stft_distance
from unmask.metrics.summary import Summary, summary

__all__ = [
    "DNSMOS",
    "BSSEval",
    "Bleed",
    "Composite",
    "ConditionWarning",
    "Opinion",
    "Resolution",
    "RunningScores",
    "Summary",
    "best_permutation",
    "bleed",
    "bss_eval",
    "composite",
    "log_wmse",
    "pairwise",
    "permute",
    "pesq",
    "sdr",
    "segmental_snr",
    "si_sar",
    "si_sdr",
    "si_sir",
    "snr",
    "stft_distance",
    "stoi",
    "summary",
]


def __dir__() -> list[str]:
    return __all__
