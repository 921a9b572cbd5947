"""The engine: models in use, on files and streams alike, with NumPy and ONNX Runtime alone.

::

    Streamer ── Framing    samples <-> frames: hold, cut, overlap-add, edges, latency
             ├─ Masking    frames -> masked frames: spectrum, network, mask, settings
             │  (Decoding  where the network takes and gives frames itself)
             └─ Mixing     stems, residual, gains and limit, without a click when they change
"""
