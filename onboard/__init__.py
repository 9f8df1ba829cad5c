"""All that flies, and every contract that training and export must meet. Never imports torch.

A frame walks: frames -> localization (prepare, retrieve, verify, filter, gate) -> mavlink | replay.
"""
