"""Decoding in process: one text from the logits of several models, or by several workers on one cache.

===============  ==============================  =================================================
method           roles, in order                 settings
===============  ==============================  =================================================
``contrastive``  expert, amateur                 ``alpha``, ``beta``
``proxy``        large, small tuned, small not   ``strength``
``fs_gen``       large, small                    ``threshold``, ``entropy``
``speculative``  target, draft                   ``drafts``
``hogwild``      the model of all workers        ``workers``
===============  ==============================  =================================================
"""
