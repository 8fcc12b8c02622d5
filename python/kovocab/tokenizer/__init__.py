"""A base read, a target built and held to its promises.

In: a tokenizer.json, a tokenizer.model, a vocabulary with its merges. Out: the target's two files, and the proof that
base ids and English are as they were. It never counts a corpus. `reference` alone imports `tokenizers`.

hangul               code-point classes
tokenizer_json       the file as a typed document: looked up, changed, written
parsing              the file read, every part that decides ids checked
companions           what the files beside it say of tokens
reference            the one door to the library that encodes for proofs
sentencepiece_model  tokenizer.model: read, converted, grown
ranked_model         tokenizer.model made from the order of tokenizer.json's merges
placement            where new merges stand among the base's
tokenizer            load a base, build the target, save it
promises             what a target must keep, checked
"""
