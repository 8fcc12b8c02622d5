"""The target built, saved and held to its promises.

In: a base, a vocabulary with its merges, a script. Out: the target's two files, and the proof that base ids and English
are as they were. It never counts a corpus.

rows          what a vocabulary may hold, row by row
placement     where new merges stand among a SentencePiece-style base's
byte_level    where they stand among a byte-level base's, and over which bytes
pieces        new pieces in a tokenizer.model
ranked_model  tokenizer.model made from the order of tokenizer.json's merges
target        the target of either kind
saving        the target's files, and what a base's folder says beside
sides         the base by the engine, what was written by the library
promises      what a target must keep, checked
"""
