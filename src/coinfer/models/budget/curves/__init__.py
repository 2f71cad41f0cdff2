"""What more sampling is worth and what it costs: pure functions of arrays, closed form or with a stated error.

``coverage`` and ``prior`` are about one right answer among k samples, ``best_of`` about a scorer that picks,
``majority`` and ``stopping`` about votes, ``costs`` and ``latency`` about what is paid, ``flops`` about a larger model.
"""
