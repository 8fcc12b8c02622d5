"""A base read: a tokenizer as a typed document, and the scripts that its tokens are of.

In: a tokenizer.json, a tokenizer.model, a folder holding one. Out: the tokenizer, every part that decides ids checked.
It never changes one. `reference` alone imports `tokenizers`.

script               code-point classes: Hangul, and every other script
spelling             how a file writes its tokens, and how all else does
tokenizer_json       the file as a typed document: looked up, changed, written
parsing              the file read, every part that decides ids checked
companions           what the files beside it say of tokens
engine               what the engine makes of it, to cut and encode
reference            the one door to the library that encodes for proofs
sentencepiece_model  tokenizer.model: read, converted
tokenizer            load a base; what it makes of a text by its model alone
"""
